/** YAML with line numbers, variables in scalars, and errors an operator can act on. */
import { isMap, isPair, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import type { z } from 'zod';
import { redact, SECRET } from './redact.ts';

export interface ConfigProblem {
  file: string;
  /** 1-based; 0 where the problem has no line. */
  line: number;
  path: string;
  message: string;
  value?: unknown;
  allowed?: string;
  nearest?: string;
}

export interface YamlDocument {
  file: string;
  value: unknown;
  problems: ConfigProblem[];
  lineOf(path: readonly PropertyKey[]): number;
}

export interface Variables {
  env: Record<string, string | undefined>;
  readFile: (path: string) => string;
}

/** Parses one document. With `variables`, `${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `${file:/path}` are expanded in scalar values; `$$` is a `$`. */
export function parseYaml(file: string, text: string, variables?: Variables): YamlDocument {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problems: ConfigProblem[] = doc.errors.map((e) => ({
    file,
    line: lines.linePos(e.pos[0]).line,
    path: '',
    message: `not valid YAML: ${e.message}`,
  }));
  // Octets in hex look like a number to YAML, or even like a power of ten, and digits of a password, too: what was written counts.
  visit(doc, {
    Scalar(key, node, path) {
      if (key === 'key' || typeof node.value !== 'number' || node.source === undefined) return;
      if (/^0x/i.test(node.source) || HEX.test(keyOf(path)) || SECRET.test(keyOf(path))) node.value = node.source;
    },
  });
  if (variables && problems.length === 0) {
    visit(doc, {
      Scalar(key, node, path) {
        if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('$')) return;
        const expanded = expand(node.value, variables);
        if (expanded.problem !== undefined) {
          problems.push({
            file,
            line: node.range ? lines.linePos(node.range[0]).line : 0,
            path: '',
            message: expanded.problem,
          });
          return;
        }
        // An unquoted value that is one variable takes the type its text has: `port: ${PORT}` is a number.
        const name = keyOf(path);
        node.value =
          node.type === 'PLAIN' && !TEXT.test(name) && !HEX.test(name) && !SECRET.test(name)
            ? retype(expanded.text)
            : expanded.text;
      },
    });
  }
  return {
    file,
    value: problems.length ? undefined : doc.toJS(),
    problems,
    lineOf(path) {
      for (let n = path.length; n >= 0; n--) {
        const node = n === 0 ? doc.contents : doc.getIn(path.slice(0, n) as unknown[], true);
        const parent = n > 0 ? doc.getIn(path.slice(0, n - 1) as unknown[], true) : undefined;
        const key = isMap(parent)
          ? parent.items.map((i) => i.key).find((k) => isScalar(k) && k.value === path[n - 1])
          : undefined;
        // A mapping or list begins on the line below its key, but the key is what somebody looks for.
        const at = isScalar(node) ? (node.range ?? undefined) : (rangeOf(key) ?? rangeOf(node));
        if (at) return lines.linePos(at[0]).line;
      }
      return 0;
    },
  };
}

function rangeOf(node: unknown): readonly [number, number, number] | undefined {
  return (node as { range?: [number, number, number] | null } | undefined)?.range ?? undefined;
}

/** The key a scalar is the value of; empty in a list. */
function keyOf(path: readonly unknown[]): string {
  const pair = path.at(-1);
  return isPair(pair) && isScalar(pair.key) ? String(pair.key.value) : '';
}

/** Octets in hex. */
const HEX = /^(id|engine_id)$/;

/** These are text whatever they look like: a password of digits stays one. */
const TEXT = /^(name|username|user|site|node)$/;

function retype(text: string): unknown {
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  if (text === 'true' || text === 'false') return text === 'true';
  return text;
}

function expand(text: string, v: Variables): { text: string; problem?: string } {
  let problem: string | undefined;
  const out = text.replace(/\$\$|\$\{([^}]*)\}/g, (whole, body: string | undefined) => {
    if (whole === '$$') return '$';
    if (body!.startsWith('file:')) {
      const path = body!.slice(5);
      try {
        return v.readFile(path).replace(/\r?\n$/, '');
      } catch (e) {
        problem ??= `\${file:${path}} cannot be read: ${(e as Error).message}`;
        return '';
      }
    }
    const m = /^([A-Za-z_][A-Za-z0-9_]*)(?::([-?])(.*))?$/s.exec(body!);
    if (!m) {
      problem ??= `\${${body}} is no variable; allowed: \${VAR}, \${VAR:-default}, \${VAR:?message}, \${file:/path}; write $$ for a dollar sign`;
      return '';
    }
    const value = v.env[m[1]];
    if (value !== undefined && (value !== '' || m[2] === undefined)) return value;
    if (m[2] === '-') return m[3];
    problem ??=
      m[2] === '?'
        ? `${m[1]}: ${m[3]}`
        : `the environment variable ${m[1]} is not set; give it, or write \${${m[1]}:-default}`;
    return '';
  });
  return problem === undefined ? { text: out } : { text: out, problem };
}

/** Below these a value may be a secret in the wrong place; `key` may be PEM text. Communities of BGP are none. */
const SECRET_PATH = /^(snmp_trap\.communities|admin\.api\.tokens|key)(\.|$)/;
/** What is never one, also there. */
const PLAIN = /^(from|role)$/;

function maySecret(path: readonly PropertyKey[]): boolean {
  const keys = path.map(String);
  if (keys.some((k) => SECRET.test(k))) return true;
  return keys.some((_, i) => SECRET_PATH.test(keys.slice(i).join('.'))) && !keys.some((k) => PLAIN.test(k));
}

/** Zod's issues as problems: file, line, what stands there, what is allowed, the nearest key. */
export function problemsOf(doc: YamlDocument, error: z.ZodError, schema: z.ZodType): ConfigProblem[] {
  const out: ConfigProblem[] = [];
  const walk = (issues: readonly z.core.$ZodIssue[], base: readonly PropertyKey[]): void => {
    for (const issue of issues) {
      const path = [...base, ...issue.path];
      if (issue.code === 'invalid_union' && issue.errors.length > 0) {
        // The alternative that got furthest is the one that was meant.
        const value = valueAt(doc.value, path);
        const wantsObject = typeof value === 'object' && value !== null;
        const best = issue.errors
          .filter((e) => e.length > 0)
          .sort((a, b) => score(b, wantsObject) - score(a, wantsObject) || a.length - b.length)[0];
        if (best) {
          walk(best, path);
          continue;
        }
      }
      if (issue.code === 'unrecognized_keys') {
        for (const key of issue.keys) {
          const known = keysAt(schema, path);
          const near = nearest(key, known);
          out.push({
            file: doc.file,
            line: doc.lineOf([...path, key]),
            path: [...path, key].join('.'),
            message: `unknown key \`${key}\``,
            allowed: known.length ? known.join(', ') : undefined,
            nearest: near,
          });
        }
        continue;
      }
      const value = valueAt(doc.value, path);
      out.push({
        file: doc.file,
        line: doc.lineOf(path),
        path: path.join('.'),
        message: issue.code === 'custom' ? `must be ${issue.message}` : issue.message,
        value: maySecret(path) ? undefined : redact(value),
        allowed: issue.code === 'invalid_value' ? issue.values.join(', ') : undefined,
      });
    }
  };
  walk(error.issues, []);
  return out;
}

function score(issues: readonly z.core.$ZodIssue[], wantsObject: boolean): number {
  const first = issues[0];
  const typeMismatch = first.code === 'invalid_type' && first.path.length === 0;
  return (typeMismatch ? 0 : 10) + (wantsObject && first.path.length > 0 ? 1 : 0);
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let v: unknown = root;
  for (const key of path) {
    if (typeof v !== 'object' || v === null) return undefined;
    v = (v as Record<PropertyKey, unknown>)[key];
  }
  return v;
}

interface SchemaNode {
  _zod: { def: Record<string, unknown> & { type: string } };
}

/** The keys an object schema allows at `path`. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let nodes: SchemaNode[] = unwrap(schema as unknown as SchemaNode);
  for (const key of path) {
    const next: SchemaNode[] = [];
    for (const n of nodes) {
      const def = n._zod.def;
      if (def.type === 'object') {
        const child = (def.shape as Record<PropertyKey, SchemaNode>)[key];
        if (child) next.push(...unwrap(child));
        else if (def.catchall) next.push(...unwrap(def.catchall as SchemaNode));
      } else if (def.type === 'array') next.push(...unwrap(def.element as SchemaNode));
      else if (def.type === 'record') next.push(...unwrap(def.valueType as SchemaNode));
    }
    nodes = next;
  }
  return [
    ...new Set(nodes.flatMap((n) => (n._zod.def.type === 'object' ? Object.keys(n._zod.def.shape as object) : []))),
  ];
}

function unwrap(n: SchemaNode): SchemaNode[] {
  const def = n._zod.def;
  if (def.innerType) return unwrap(def.innerType as SchemaNode);
  // A pipe is a check or a transformation on one side and the object on the other.
  if (def.type === 'pipe') return [def.in, def.out].flatMap((side) => unwrap(side as SchemaNode));
  if (def.type === 'union') return (def.options as SchemaNode[]).flatMap(unwrap);
  return [n];
}

/** The known key with the smallest edit distance, where that is small enough to be a slip. */
export function nearest(key: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(key.length / 3)) + 1;
  for (const k of known) {
    const d = distance(key, k);
    if (d < bestDistance) {
      best = k;
      bestDistance = d;
    }
  }
  return best;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

/** Of a mapping its keys: a value below may be a secret under a name that is none. */
function wrong(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return value.length === 1 ? 'a list of one' : `a list of ${value.length}`;
  return `{${Object.keys(value).join(', ')}}`;
}

/** The lines an operator reads. */
export function formatProblem(p: ConfigProblem): string {
  const where = p.line > 0 ? `${p.file}:${p.line}` : p.file;
  let text = `${where}: ${p.path ? `${p.path}: ` : ''}${p.message}`;
  if (p.value !== undefined) text += `; got ${wrong(p.value)}`;
  if (p.nearest !== undefined) text += `; did you mean \`${p.nearest}\`?`;
  if (p.allowed !== undefined) text += `; allowed: ${p.allowed}`;
  return text;
}
