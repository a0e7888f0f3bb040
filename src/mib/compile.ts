/**
 * Files → modules with every name resolved. The order of the files does not matter: a module's imports are followed when they are
 * needed, and the result is ordered by them. A file that cannot be read, a symbol that nobody defines, a circle: each is a problem with
 * file and line, and costs only what hangs on it.
 *
 * A name is looked for in its own module, then in the module it is imported from, then in the built-in facts, then everywhere: many
 * vendors' modules forget an import, or name a module by an older name.
 */
import type { ModuleAst, NodeAst, OidAst, SyntaxAst } from './ast.ts';
import type { IndexPart, MibModule, MibNode, MibProblem, MibType, NodeKind } from './model.ts';
import { parseSmi } from './parser.ts';
import { BASE_TYPES, WELL_KNOWN_TYPES } from './tc.ts';

export interface SourceFile {
  path: string;
  text: string;
}

export interface Compiled {
  /** A module stands behind those it imports from. */
  modules: MibModule[];
  problems: MibProblem[];
}

const ROOT_OIDS: Readonly<Record<string, string>> = { ccitt: '0', iso: '1', 'joint-iso-ccitt': '2' };
const MAX_ARCS = 128;
/** The enterprise of the generic traps of SMIv1: their OIDs are those of SNMPv2-MIB (RFC 3584 section 3.1). */
const SNMP_GROUP = '1.3.6.1.2.1.11';
const SNMP_TRAPS = '1.3.6.1.6.3.1.1.5';

/** `known`: modules whose names may be used, such as the built-in facts. Never throws. */
export function compileMibs(files: readonly SourceFile[], known: readonly MibModule[]): Compiled {
  const problems: MibProblem[] = [];
  const modules = new Map<string, ModuleAst>();
  for (const f of files) {
    const parsed = parseSmi(f.path, f.text);
    problems.push(...parsed.problems);
    for (const m of parsed.modules) {
      const other = modules.get(m.name);
      if (other)
        problems.push({
          file: f.path,
          line: m.line,
          message: `module ${m.name} is already in ${other.file}: this one is left out`,
        });
      else modules.set(m.name, m);
    }
  }
  const r = new Resolver(modules, known, problems);
  const out = inOrder(modules).map((m) => r.module(m));
  return { modules: out, problems };
}

/** Depth first along the imports; of a circle in the order of the files. */
function inOrder(modules: Map<string, ModuleAst>): ModuleAst[] {
  const out: ModuleAst[] = [];
  const seen = new Set<ModuleAst>();
  const visit = (m: ModuleAst): void => {
    if (seen.has(m)) return;
    seen.add(m);
    for (const { from } of m.imports.values()) {
      const next = modules.get(from);
      if (next) visit(next);
    }
    out.push(m);
  };
  for (const m of modules.values()) visit(m);
  return out;
}

interface Known {
  nodes: Map<string, MibNode>;
  types: Record<string, MibType>;
}

class Resolver {
  private readonly modules: Map<string, ModuleAst>;
  private readonly problems: MibProblem[];
  private readonly known = new Map<string, Known>();
  private readonly nodes = new Map<ModuleAst, Map<string, NodeAst>>();
  private readonly oids = new Map<NodeAst, string | undefined>();
  private readonly types = new Map<SyntaxAst, MibType | undefined>();
  private readonly said = new Set<string>();

  constructor(modules: Map<string, ModuleAst>, known: readonly MibModule[], problems: MibProblem[]) {
    this.modules = modules;
    this.problems = problems;
    for (const m of known) this.known.set(m.name, { nodes: new Map(m.nodes.map((n) => [n.name, n])), types: m.types });
    for (const m of modules.values()) {
      const own = new Map<string, NodeAst>();
      for (const n of m.nodes) {
        if (own.has(n.name)) this.say(m, n.line, `${n.name} is defined twice`);
        else own.set(n.name, n);
      }
      this.nodes.set(m, own);
    }
  }

  module(m: ModuleAst): MibModule {
    for (const [symbol, { from, line }] of m.imports) {
      if (!this.modules.has(from) && !this.known.has(from) && !isBase(symbol) && !this.anywhere(symbol))
        this.say(m, line, `${symbol} is imported from ${from}, which is not there`);
    }
    const out: MibModule = { name: m.name, nodes: [], types: {} };
    for (const [name, syntax] of m.types) {
      if (syntax.name === 'SEQUENCE' || syntax.name === 'CHOICE') continue;
      const type = this.type(m, syntax, name);
      if (type) out.types[name] = type;
    }
    for (const n of this.nodes.get(m)!.values()) {
      const node = this.node(m, n);
      if (node) out.nodes.push(node);
    }
    return out;
  }

  private node(m: ModuleAst, n: NodeAst): MibNode | undefined {
    const oid = this.oidOf(m, n);
    if (oid === undefined) return undefined;
    const out: MibNode = { name: n.name, oid, kind: this.kind(m, n) };
    if (out.kind === 'scalar' || out.kind === 'column') {
      const type = this.type(m, n.syntax!);
      if (type) out.type = type;
    }
    if (out.kind === 'row') {
      const index = this.indexOf(m, n, new Set());
      if (index) out.index = index;
    }
    if (n.objects) {
      out.objects = [];
      for (const name of n.objects) {
        const oid = this.find(m, name);
        if (oid === undefined) this.say(m, n.line, `${n.name} names ${name}, which is not there`);
        else out.objects.push(oid);
      }
    }
    return out;
  }

  private kind(m: ModuleAst, n: NodeAst): NodeKind {
    if (n.macro === 'NOTIFICATION-TYPE' || n.macro === 'TRAP-TYPE') return 'notification';
    if (n.macro !== 'OBJECT-TYPE' || !n.syntax) return 'node';
    if (n.syntax.name === 'SEQUENCE OF') return 'table';
    if (n.index || n.augments !== undefined) return 'row';
    const sequence = this.findTypeAst(m, n.syntax.name);
    if (sequence?.syntax.name === 'SEQUENCE') return 'row';
    // A column is below a row, whatever module that is in.
    const parent = n.oid?.parent;
    if (parent === undefined || n.oid!.arcs.length !== 1 || parent === n.name) return 'scalar';
    const above = this.findAst(m, parent, n);
    if (!above) return this.findKnown(m, parent)?.kind === 'row' ? 'column' : 'scalar';
    const { macro, index, augments, syntax } = above.node;
    if (index || augments !== undefined) return 'column';
    if (macro !== 'OBJECT-TYPE' || !syntax) return 'scalar';
    return this.findTypeAst(above.module, syntax.name)?.syntax.name === 'SEQUENCE' ? 'column' : 'scalar';
  }

  private indexOf(m: ModuleAst, n: NodeAst, seen: Set<NodeAst>): IndexPart[] | undefined {
    if (n.index)
      return n.index.map((p) => {
        const oid = this.find(m, p.name);
        if (oid === undefined && !isBase(p.name))
          this.say(m, n.line, `${n.name} has the index ${p.name}, which is not there`);
        return { name: p.name, ...(oid === undefined ? {} : { oid }), ...(p.implied ? { implied: true } : {}) };
      });
    if (n.augments === undefined || seen.has(n)) return undefined;
    seen.add(n);
    const found = this.findAst(m, n.augments);
    if (found) return this.indexOf(found.module, found.node, seen);
    const node = this.findKnown(m, n.augments);
    if (!node) this.say(m, n.line, `${n.name} augments ${n.augments}, which is not there`);
    return node?.index;
  }

  private oidOf(m: ModuleAst, n: NodeAst): string | undefined {
    if (this.oids.has(n)) return this.oids.get(n);
    // Whoever comes back here in the meantime walks in a circle.
    this.oids.set(n, undefined);
    let oid: string | undefined;
    if (n.macro === 'TRAP-TYPE') {
      const enterprise = this.value(m, n, n.enterprise!);
      if (enterprise === SNMP_GROUP && n.specific! <= 5) oid = `${SNMP_TRAPS}.${n.specific! + 1}`;
      else if (enterprise !== undefined) oid = `${enterprise}.0.${n.specific}`;
    } else oid = this.value(m, n, n.oid!);
    this.oids.set(n, oid);
    return oid;
  }

  private value(m: ModuleAst, n: NodeAst, v: OidAst): string | undefined {
    let head = '';
    if (v.parent !== undefined) {
      const parent = this.find(m, v.parent, n);
      if (parent === undefined) {
        this.say(m, n.line, `${n.name} hangs on ${v.parent}, which is not there`);
        return undefined;
      }
      head = parent;
    }
    const arcs = [...(head === '' ? [] : head.split('.')), ...v.arcs.map(String)];
    if (arcs.length > MAX_ARCS || v.arcs.some((a) => a < 0 || a > 0xffffffff)) {
      this.say(m, n.line, `${n.name} has no valid OID`);
      return undefined;
    }
    return arcs.join('.');
  }

  /** The OID of a name as `m` sees it. */
  private find(m: ModuleAst, name: string, except?: NodeAst): string | undefined {
    const own = this.nodes.get(m)!.get(name);
    if (own && own !== except) return this.oidOf(m, own);
    const found = this.findAst(m, name, except);
    if (found) return this.oidOf(found.module, found.node);
    return this.findKnown(m, name)?.oid ?? (Object.hasOwn(ROOT_OIDS, name) ? ROOT_OIDS[name] : undefined);
  }

  private findAst(m: ModuleAst, name: string, except?: NodeAst): { module: ModuleAst; node: NodeAst } | undefined {
    const from = m.imports.get(name)?.from;
    const imported = from === undefined ? undefined : this.modules.get(from);
    for (const module of [m, ...(imported ? [imported] : [])]) {
      const node = this.nodes.get(module)!.get(name);
      if (node && node !== except) return { module, node };
    }
    // A fact of the module that is named comes before a stranger's object of the same name.
    if (this.findKnown(m, name)) return undefined;
    for (const module of this.modules.values()) {
      const node = this.nodes.get(module)!.get(name);
      if (node && node !== except && node.macro !== 'TRAP-TYPE') return { module, node };
    }
    return undefined;
  }

  private findKnown(m: ModuleAst, name: string): MibNode | undefined {
    const from = m.imports.get(name)?.from;
    const named = from === undefined ? undefined : this.known.get(from)?.nodes.get(name);
    if (named) return named;
    for (const k of this.known.values()) {
      const node = k.nodes.get(name);
      if (node) return node;
    }
    return undefined;
  }

  private findTypeAst(m: ModuleAst, name: string): { module: ModuleAst; syntax: SyntaxAst } | undefined {
    const own = m.types.get(name);
    if (own) return { module: m, syntax: own };
    const from = m.imports.get(name)?.from;
    const imported = from === undefined ? undefined : this.modules.get(from);
    const there = imported?.types.get(name);
    return imported && there ? { module: imported, syntax: there } : undefined;
  }

  /** `tc`: the syntax is that of a type of this name. */
  private type(m: ModuleAst, s: SyntaxAst, tc?: string): MibType | undefined {
    if (this.types.has(s)) return this.types.get(s);
    this.types.set(s, undefined);
    const below = this.typeNamed(m, s);
    if (!below) return undefined;
    const out: MibType = { ...below };
    if (tc !== undefined) out.tc = tc;
    if (s.hint !== undefined) out.hint = s.hint;
    if (s.values) out.values = s.values;
    if (s.size !== undefined) out.size = s.size;
    this.types.set(s, out);
    return out;
  }

  private typeNamed(m: ModuleAst, s: SyntaxAst): MibType | undefined {
    const { name } = s;
    const found = this.findTypeAst(m, name);
    // SNMPv2-SMI defines the base types by themselves: what they are stands here.
    if (found && !isBase(name)) return this.type(found.module, found.syntax, name);
    if (Object.hasOwn(BASE_TYPES, name)) return BASE_TYPES[name];
    const from = m.imports.get(name)?.from;
    const fact = from === undefined ? undefined : this.known.get(from)?.types[name];
    if (fact) return fact;
    if (Object.hasOwn(WELL_KNOWN_TYPES, name)) return WELL_KNOWN_TYPES[name];
    for (const k of this.known.values()) if (Object.hasOwn(k.types, name)) return k.types[name];
    for (const module of this.modules.values()) {
      const there = module.types.get(name);
      if (there) return this.type(module, there, name);
    }
    this.say(m, s.line, `the type ${name} is not there`);
    return undefined;
  }

  private anywhere(symbol: string): boolean {
    if (Object.hasOwn(WELL_KNOWN_TYPES, symbol)) return true;
    for (const m of this.modules.values()) if (m.types.has(symbol) || this.nodes.get(m)!.has(symbol)) return true;
    for (const k of this.known.values()) if (k.nodes.has(symbol) || Object.hasOwn(k.types, symbol)) return true;
    return false;
  }

  /** Each thing once: what is missing is often missing often. */
  private say(m: ModuleAst, line: number, message: string): void {
    const key = `${m.file}\n${line}\n${message}`;
    if (this.said.has(key)) return;
    this.said.add(key);
    this.problems.push({ file: m.file, line, message });
  }
}

const MACROS =
  /^(OBJECT-TYPE|TRAP-TYPE|NOTIFICATION-TYPE|MODULE-IDENTITY|OBJECT-IDENTITY|OBJECT-GROUP|NOTIFICATION-GROUP|MODULE-COMPLIANCE|AGENT-CAPABILITIES|TEXTUAL-CONVENTION)$/;

/** What is known without any module. */
function isBase(symbol: string): boolean {
  return Object.hasOwn(BASE_TYPES, symbol) || MACROS.test(symbol) || Object.hasOwn(ROOT_OIDS, symbol);
}
