/**
 * An SMI file as modules (RFC 2578, 2579, 2580; SMIv1: RFC 1155, 1212, 1215). What events need is read: OIDs, types, indexes, the
 * objects of notifications. Descriptions and conformance are passed over. A declaration that cannot be read is a problem with its line,
 * and reading goes on at the next one.
 */
import type { ModuleAst, NodeAst, OidAst, SyntaxAst } from './ast.ts';
import { type Tokens, tokenize } from './lexer.ts';
import type { MibProblem } from './model.ts';

/** Macros whose value is an OID. */
const OID_MACROS = new Set([
  'OBJECT-TYPE',
  'NOTIFICATION-TYPE',
  'MODULE-IDENTITY',
  'OBJECT-IDENTITY',
  'OBJECT-GROUP',
  'NOTIFICATION-GROUP',
  'MODULE-COMPLIANCE',
  'AGENT-CAPABILITIES',
]);

const IDENTIFIER = /^[A-Za-z][A-Za-z0-9_-]*$/;
const LOWER = /^[a-z][A-Za-z0-9_-]*$/;
const UPPER = /^[A-Z][A-Za-z0-9_-]*$/;
const NUMBER = /^-?[0-9]+$/;

/** Ends the reading of one declaration. */
class Malformed {
  readonly line: number;
  readonly message: string;
  constructor(line: number, message: string) {
    this.line = line;
    this.message = message;
  }
}

/** Every module of a file, and what could not be read. Never throws. */
export function parseSmi(file: string, source: string): { modules: ModuleAst[]; problems: MibProblem[] } {
  const tokens = tokenize(source);
  const problems: MibProblem[] = tokens.problems.map((p) => ({ file, ...p }));
  if (tokens.stopped) return { modules: [], problems };
  const p = new Parser(file, tokens, problems);
  const modules: ModuleAst[] = [];
  while (!p.done) {
    try {
      modules.push(p.module());
    } catch (e) {
      if (!(e instanceof Malformed)) throw e;
      problems.push({ file, line: e.line, message: e.message });
      break;
    }
  }
  if (modules.length === 0 && problems.length === 0)
    problems.push({ file, line: 0, message: 'no module in this file' });
  return { modules, problems };
}

class Parser {
  private readonly file: string;
  private readonly text: string[];
  private readonly lines: number[];
  private readonly problems: MibProblem[];
  private at = 0;

  constructor(file: string, tokens: Tokens, problems: MibProblem[]) {
    this.file = file;
    this.text = tokens.text;
    this.lines = tokens.line;
    this.problems = problems;
  }

  get done(): boolean {
    return this.at >= this.text.length;
  }

  module(): ModuleAst {
    const line = this.line;
    const name = this.next();
    if (!IDENTIFIER.test(name)) this.fail(`a module begins with its name, not ${show(name)}`, line);
    if (this.peek() === '{') this.skipBlock('{', '}');
    if (this.peek() !== 'DEFINITIONS') this.fail(`DEFINITIONS expected after the module's name ${name}`);
    while (!this.done && this.peek() !== 'BEGIN') this.at++;
    this.expect('BEGIN');
    const m: ModuleAst = { name, file: this.file, line, imports: new Map(), nodes: [], types: new Map() };
    for (;;) {
      if (this.done) {
        this.problems.push({ file: this.file, line: this.line, message: `module ${name} has no END` });
        return m;
      }
      const t = this.peek();
      if (t === 'END') {
        this.at++;
        return m;
      }
      const before = this.at;
      try {
        this.declaration(m);
      } catch (e) {
        if (!(e instanceof Malformed)) throw e;
        this.problems.push({ file: this.file, line: e.line, message: e.message });
        this.recover(before);
      }
    }
  }

  private declaration(m: ModuleAst): void {
    const t = this.peek();
    if (t === 'IMPORTS') this.imports(m);
    else if (t === 'EXPORTS') {
      while (!this.done && this.next() !== ';');
    } else this.definition(m);
  }

  private definition(m: ModuleAst): void {
    const line = this.line;
    const name = this.next();
    if (!IDENTIFIER.test(name)) this.fail(`a declaration begins with a name, not ${show(name)}`, line);
    const what = this.peek();
    if (what === 'MACRO') this.skipMacro();
    else if (what === '::=') this.type(m, name, line);
    else if (what === 'OBJECT' && this.peek(1) === 'IDENTIFIER') {
      this.at += 2;
      this.expect('::=');
      m.nodes.push({ name, line, macro: 'OBJECT IDENTIFIER', oid: this.oid() });
    } else if (what === 'TRAP-TYPE') this.trap(m, name, line);
    else if (OID_MACROS.has(what)) this.object(m, name, line, what);
    else this.fail(`${name}: ${show(what)} is no kind of declaration`);
  }

  private imports(m: ModuleAst): void {
    this.at++;
    let symbols: { name: string; line: number }[] = [];
    for (;;) {
      if (this.done) this.fail('IMPORTS has no end');
      const line = this.line;
      const t = this.next();
      if (t === ';') return;
      if (t === 'FROM') {
        const from = this.next();
        if (!IDENTIFIER.test(from)) this.fail(`FROM is followed by a module's name, not ${show(from)}`, line);
        for (const s of symbols) m.imports.set(s.name, { from, line: s.line });
        symbols = [];
        if (this.peek() === '{') this.skipBlock('{', '}');
      } else if (t === '::=' || t === 'END') this.fail('IMPORTS has no `;`', line);
      else if (t !== ',') symbols.push({ name: t, line });
    }
  }

  private type(m: ModuleAst, name: string, line: number): void {
    this.expect('::=');
    let hint: string | undefined;
    if (this.peek() === 'TEXTUAL-CONVENTION') {
      this.at++;
      while (this.peek() !== 'SYNTAX') {
        if (this.done || this.peek() === '::=') this.fail(`textual convention ${name} has no SYNTAX`, line);
        if (this.next() === 'DISPLAY-HINT') hint = this.string();
      }
      this.at++;
    }
    const syntax = this.syntax();
    if (hint !== undefined) syntax.hint = hint;
    m.types.set(name, syntax);
  }

  private object(m: ModuleAst, name: string, line: number, macro: string): void {
    this.at++;
    const node: NodeAst = { name, line, macro };
    for (;;) {
      if (this.done) this.fail(`${name} has no value`, line);
      const t = this.next();
      if (t === '::=') break;
      switch (t) {
        case 'SYNTAX':
          if (macro === 'OBJECT-TYPE') node.syntax = this.syntax();
          break;
        case 'INDEX':
          if (macro === 'OBJECT-TYPE' && this.peek() === '{') node.index = this.index();
          break;
        case 'AUGMENTS':
          if (this.peek() === '{') node.augments = this.names()[0];
          break;
        case 'OBJECTS':
          if (macro === 'NOTIFICATION-TYPE') node.objects = this.names();
          break;
        case 'DEFVAL':
          if (this.peek() === '{') this.skipBlock('{', '}');
          break;
        default:
      }
    }
    node.oid = this.oid();
    m.nodes.push(node);
  }

  /** RFC 1215 section 2. */
  private trap(m: ModuleAst, name: string, line: number): void {
    this.at++;
    const node: NodeAst = { name, line, macro: 'TRAP-TYPE' };
    for (;;) {
      if (this.done) this.fail(`${name} has no value`, line);
      const t = this.next();
      if (t === '::=') break;
      if (t === 'ENTERPRISE') {
        if (this.peek() === '{') node.enterprise = this.oid();
        else node.enterprise = { parent: this.next(), arcs: [] };
      } else if (t === 'VARIABLES' && this.peek() === '{') node.objects = this.names();
    }
    const value = this.next();
    if (!/^[0-9]+$/.test(value)) this.fail(`${name}: a trap's value is a number, not ${show(value)}`);
    node.specific = Number(value);
    if (!node.enterprise) this.fail(`${name} has no ENTERPRISE`, line);
    m.nodes.push(node);
  }

  private syntax(): SyntaxAst {
    const line = this.line;
    if (this.peek() === '[') {
      this.skipBlock('[', ']');
      if (this.peek() === 'IMPLICIT' || this.peek() === 'EXPLICIT') this.at++;
    }
    let name = this.next();
    if (!IDENTIFIER.test(name)) this.fail(`a type expected, not ${show(name)}`, line);
    if (name === 'OCTET' || name === 'OBJECT' || name === 'BIT') name = `${name} ${this.next()}`;
    else if (name === 'SEQUENCE' && this.peek() === 'OF') {
      this.at += 2;
      return { name: 'SEQUENCE OF', line };
    } else if (name === 'SEQUENCE' || name === 'CHOICE') {
      this.skipBlock('{', '}');
      return { name, line };
    }
    // Module.Type
    if (this.peek() === '.') {
      this.at++;
      name = this.next();
    }
    const out: SyntaxAst = { name, line };
    if (this.peek() === '{') out.values = this.labels();
    if (this.peek() === '(') out.size = this.constraint();
    return out;
  }

  /** `{ up(1), down(2) }`; a value may be negative. */
  private labels(): Record<number, string> {
    const out: Record<number, string> = {};
    this.expect('{');
    for (;;) {
      const t = this.next();
      if (t === '}') return out;
      if (t === ',') continue;
      if (!IDENTIFIER.test(t)) this.fail(`a label expected, not ${show(t)}`);
      this.expect('(');
      const n = this.next();
      if (!NUMBER.test(n)) this.fail(`${t}: a number expected, not ${show(n)}`);
      this.expect(')');
      out[Number(n)] ??= t;
    }
  }

  /** `(SIZE (6))`, `(0..10 | 20)`: of a size that can only be one, that one. */
  private constraint(): number | undefined {
    const from = this.at;
    this.skipBlock('(', ')');
    const inside = this.text.slice(from + 1, this.at - 1);
    if (inside[0] !== 'SIZE') return undefined;
    const sizes = inside.slice(2, -1);
    if (sizes.length === 1 && NUMBER.test(sizes[0])) return Number(sizes[0]);
    return sizes.length === 3 && sizes[1] === '..' && sizes[0] === sizes[2] ? Number(sizes[0]) : undefined;
  }

  private index(): { name: string; implied: boolean }[] {
    const out: { name: string; implied: boolean }[] = [];
    let implied = false;
    for (const name of this.names()) {
      if (name === 'IMPLIED') implied = true;
      else {
        out.push({ name, implied });
        implied = false;
      }
    }
    return out;
  }

  /** `{ a, b }`. SMIv1 allows types in an INDEX (`INTEGER`); they are names here, too. */
  private names(): string[] {
    const out: string[] = [];
    this.expect('{');
    for (;;) {
      if (this.done) this.fail('`}` expected');
      const t = this.next();
      if (t === '}') return out;
      if (t === ',') continue;
      if (this.peek() === '.') {
        this.at++;
        out.push(this.next());
      } else if (IDENTIFIER.test(t)) out.push(t);
    }
  }

  /** `{ parent 1 }`, `{ iso org(3) dod(6) 1 }`, `{ 1 3 6 }`. */
  private oid(): OidAst {
    const out: OidAst = { arcs: [] };
    const line = this.line;
    if (this.peek() !== '{') {
      // An OID value may be another name.
      const name = this.next();
      if (!LOWER.test(name)) this.fail(`an OID in braces expected, not ${show(name)}`, line);
      return { parent: name, arcs: [] };
    }
    this.expect('{');
    for (;;) {
      let t = this.next();
      if (t === '}') {
        if (out.parent === undefined && out.arcs.length === 0) this.fail('an empty OID', line);
        return out;
      }
      if (this.peek() === '.' && UPPER.test(t)) {
        this.at++;
        t = this.next();
      }
      if (NUMBER.test(t)) out.arcs.push(Number(t));
      else if (!IDENTIFIER.test(t)) this.fail(`${show(t)} in an OID`);
      else if (this.peek() === '(') {
        this.at++;
        const n = this.next();
        if (!NUMBER.test(n)) this.fail(`${t}: a number expected, not ${show(n)}`);
        this.expect(')');
        // `{ iso org(3) }`: a number that stands with the first name is the name's own.
        if (out.parent === undefined && out.arcs.length === 0 && !(t in ROOT_ARCS)) out.parent = t;
        else out.arcs.push(Number(n));
      } else if (out.parent === undefined && out.arcs.length === 0) out.parent = t;
      else this.fail(`${t} has no number in an OID`);
    }
  }

  private string(): string {
    const t = this.next();
    if (!t.startsWith('"')) this.fail(`a string expected, not ${show(t)}`);
    return t.slice(1);
  }

  private skipBlock(open: string, close: string): void {
    const line = this.line;
    this.expect(open);
    for (let depth = 1; depth > 0; ) {
      if (this.done) this.fail(`\`${open}\` is never closed`, line);
      const t = this.next();
      if (t === open) depth++;
      else if (t === close) depth--;
    }
  }

  private skipMacro(): void {
    while (!this.done && this.next() !== 'END');
  }

  /** Goes on where the next declaration seems to begin. */
  private recover(from: number): void {
    let i = Math.max(this.at, from + 1);
    for (; i < this.text.length; i++) {
      const t = this.text[i];
      if (t === 'END') break;
      const next = this.text[i + 1];
      if (LOWER.test(t) && (OID_MACROS.has(next) || next === 'TRAP-TYPE')) break;
      if (LOWER.test(t) && next === 'OBJECT' && this.text[i + 2] === 'IDENTIFIER' && this.text[i + 3] === '::=') break;
      // Directly behind a name stands what was no kind of declaration.
      if (UPPER.test(t) && next === '::=' && i > from + 1) break;
    }
    this.at = i;
  }

  private get line(): number {
    return this.lines[Math.min(this.at, this.lines.length - 1)] ?? 0;
  }

  private peek(ahead = 0): string {
    return this.text[this.at + ahead] ?? '';
  }

  private next(): string {
    if (this.done) this.fail('the file ends in the middle of a declaration');
    return this.text[this.at++];
  }

  private expect(t: string): void {
    const line = this.line;
    const found = this.next();
    if (found !== t) this.fail(`\`${t}\` expected, not ${show(found)}`, line);
  }

  private fail(message: string, line = this.lines[Math.max(0, Math.min(this.at, this.lines.length) - 1)] ?? 0): never {
    throw new Malformed(line, message);
  }
}

/** Their numbers stand in the OIDs: `{ iso(1) org(3) }`. */
const ROOT_ARCS: Readonly<Record<string, number>> = { ccitt: 0, itu: 0, iso: 1, 'joint-iso-ccitt': 2 };

function show(t: string): string {
  return t.startsWith('"') ? 'a string' : `\`${t.slice(0, 60)}\``;
}
