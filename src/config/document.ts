/**
 * The configuration in the grammar of its file, with every default in place and no secret in it: what `config print` and GET /api/v1/config show.
 * It is valid as a file itself. A `${file:…}` stays one, with its path made absolute; another variable stands as its value, but for secrets,
 * which keep the variable's name, or are masked where they stood in the file.
 */
import { resolve } from 'node:path';
import type { z } from 'zod';
import { SECRET } from './redact.ts';

/** As long as the longest least length of a secret. */
export const MASK = '****************';
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;
const FILE = /^\$\{file:([^}]+)\}$/;
const VARIABLE = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(?::[-?][^}]*)?\}$/;

interface Schema {
  _zod: { def: Record<string, unknown> & { type: string } };
  safeParse(value: unknown): { success: boolean; data?: unknown };
}

export interface DocumentOptions {
  /** Where relative paths of the file start. */
  base: string;
}

/** `value`: the document with variables expanded; `written`: the same as it stands in the file. Both may be undefined: no file. */
export function describeDocument(
  schema: z.ZodType,
  value: unknown,
  written: unknown,
  { base }: DocumentOptions,
): Record<string, unknown> {
  const filled = fill(schema as unknown as Schema, value ?? {});
  return shown(filled, written, '', '', base) as Record<string, unknown>;
}

/** Puts defaults, which schemas have in the file's own grammar, where nothing was given. */
function fill(schema: Schema, value: unknown): unknown {
  const { def } = schema._zod;
  const inner = def.innerType as Schema;
  switch (def.type) {
    case 'default':
    case 'prefault':
      return fill(inner, value === undefined ? def.defaultValue : value);
    case 'optional':
    case 'nullable':
      return value === undefined ? undefined : fill(inner, value);
    case 'pipe': {
      const first = def.in as Schema;
      // A preprocessing step, such as an empty section, belongs to the grammar; a transformation behind does not.
      if (first._zod.def.type !== 'transform') return fill(first, value);
      const made = first.safeParse(value);
      return fill(def.out as Schema, made.success ? made.data : value);
    }
    case 'union': {
      const fits = (def.options as Schema[]).find((o) => o.safeParse(value).success);
      return fits ? fill(fits, value) : value;
    }
    case 'array':
      return Array.isArray(value) ? value.map((v) => fill(def.element as Schema, v)) : value;
    case 'record':
      return mapped(value, (v) => fill(def.valueType as Schema, v));
    case 'object':
      return filledObject(def, value);
    default:
      return value;
  }
}

function filledObject(def: Record<string, unknown>, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const given = value as Record<string, unknown>;
  const shape = def.shape as Record<string, Schema>;
  const rest = def.catchall as Schema | undefined;
  const out: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries(shape)) {
    const filled = fill(schema, given[key]);
    if (filled !== undefined) out[key] = filled;
  }
  for (const [key, v] of Object.entries(given)) if (!(key in shape)) out[key] = rest ? fill(rest, v) : v;
  return out;
}

function mapped(value: unknown, fn: (v: unknown) => unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fn(v)]));
}

/** Without secrets, and so that reading it expands to the same again. */
function shown(value: unknown, written: unknown, key: string, parent: string, base: string): unknown {
  const below = (name: string | number): unknown =>
    typeof written === 'object' && written !== null ? (written as Record<string | number, unknown>)[name] : undefined;
  if (Array.isArray(value)) return value.map((v, i) => shown(v, below(i), key, parent, base));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, shown(v, below(k), k, key, base)]));
  const file = typeof written === 'string' ? FILE.exec(written) : null;
  if (file) return `\${file:${resolve(base, file[1])}}`;
  const secret = SECRET.test(key) || (key === 'name' && parent === 'communities') || PRIVATE_KEY.test(String(value));
  if (secret) {
    const variable = typeof written === 'string' ? VARIABLE.exec(written) : null;
    return variable ? `\${${variable[1]}}` : masked(key, String(value));
  }
  return typeof value === 'string' ? value.replaceAll('$', '$$$$') : value;
}

function masked(key: string, value: string): string {
  if (/^(master_key|localized_key)$/.test(key)) return '0'.repeat(value.replace(/^0x/i, '').length);
  return PRIVATE_KEY.test(value) ? '-----BEGIN PRIVATE KEY-----\nmasked\n-----END PRIVATE KEY-----\n' : MASK;
}

type Json = Record<string, unknown>;

/** Paths that the configuration has relative to its file. */
const PATHS = [
  ['inventory', 'file'],
  ['alarms', 'file'],
  ['mibs', 'paths'],
  ...['cert', 'key', 'client_ca'].map((name) => ['admin', 'api', 'tls', name]),
  ...['ca', 'cert', 'key'].map((name) => ['export', '*', 'tls', name]),
  ['export', '*', 'sasl', 'token_file'],
];

/** Makes them absolute, in place: what is printed may be read from elsewhere. */
export function absolutePaths(document: Json, base: string): void {
  const visit = (at: unknown, [head, ...rest]: string[]): void => {
    if (typeof at !== 'object' || at === null) return;
    for (const key of head === '*' ? Object.keys(at) : [head]) {
      const map = at as Json;
      if (rest.length > 0) visit(map[key], rest);
      else if (key in map) map[key] = absolute(map[key], base);
    }
  };
  for (const path of PATHS) visit(document, path);
}

function absolute(value: unknown, base: string): unknown {
  if (Array.isArray(value)) return value.map((v) => absolute(v, base));
  return typeof value === 'string' && !value.startsWith('${') ? resolve(base, value) : value;
}
