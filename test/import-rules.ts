/** The arrows of ARCHITECTURE.md as a table, and the check of a source tree against it. Paths are relative to src/. */
import { posix } from 'node:path';

export interface Violation {
  file: string;
  line: number;
  text: string;
}

/** Who may import whom. The first room whose prefix fits a file is its room; its own folder is always allowed. `type:` allows type imports only. */
const ROOMS: { room: string; may: string[] }[] = [
  { room: 'core/', may: [] },
  { room: 'event/', may: ['core/'] },
  { room: 'codec/', may: ['core/'] },
  { room: 'mib/', may: ['core/', 'codec/'] },
  { room: 'protocol/', may: ['codec/', 'core/', 'event/'] },
  { room: 'telemetry/', may: ['core/', 'event/'] },
  { room: 'rib/', may: ['core/', 'codec/'] },
  { room: 'spool/', may: ['core/', 'event/', 'telemetry/'] },
  { room: 'inventory/', may: ['core/', 'event/', 'config/fields.ts', 'telemetry/'] },
  { room: 'pipeline/', may: ['core/', 'event/', 'spool/', 'telemetry/', 'inventory/types.ts'] },
  // The thread hands relays their sockets.
  { room: 'export/thread.ts', may: ['core/', 'spool/', 'export/', 'net/sender.ts', 'net/native.ts'] },
  // Clients of Kafka dial for themselves; over a device they need a hand.
  {
    room: 'export/kafka/make-client.ts',
    may: ['core/', 'export/', 'net/device.ts'],
  },
  {
    room: 'export/',
    may: ['core/', 'event/', 'codec/', 'protocol/', 'spool/', 'telemetry/', 'config/fields.ts', ...types('net')],
  },
  { room: 'collectors/collector.ts', may: ['core/', 'event/', 'telemetry/', ...types('pipeline', 'net', 'inventory')] },
  {
    // One entry for each collector, so that none imports another: see roomOf.
    room: 'collectors/*/',
    may: [
      ...[
        'codec/',
        'protocol/',
        'mib/',
        'event/',
        'core/',
        'telemetry/',
        'config/fields.ts',
        'collectors/collector.ts',
      ],
      ...types('pipeline', 'net', 'inventory'),
    ],
  },
  {
    room: 'lb/',
    may: ['codec/', 'protocol/', 'core/', 'event/', 'telemetry/', 'config/fields.ts', ...types('net', 'cluster')],
  },
  { room: 'cluster/', may: ['codec/', 'core/', 'event/', 'telemetry/', 'config/fields.ts', ...types('net')] },
  { room: 'k8s/', may: ['core/', 'telemetry/', 'config/fields.ts'] },
  { room: 'net/', may: ['core/', 'codec/', 'telemetry/', 'config/fields.ts'] },
  {
    room: 'config/',
    may: [
      ...[
        'core/',
        'event/',
        'telemetry/',
        'inventory/',
        'mib/',
        'export/config.ts',
        'lb/config.ts',
        'cluster/config.ts',
      ],
      ...['collectors/*/config.ts', 'collectors/snmp-trap/alarm-rules.ts'],
    ],
  },
  {
    room: 'admin/',
    may: [
      'core/',
      'event/',
      'telemetry/',
      'lb/',
      'export/types.ts',
      'spool/types.ts',
      'process/messages.ts',
      'process/counters.ts',
      ...types('config', 'inventory'),
    ],
  },
  { room: 'process/', may: ['*'] },
  { room: 'cli/', may: ['*'] },
  { room: 'main.ts', may: ['cli/'] },
];

/** A pure machine knows neither sockets nor metrics nor configuration. */
const MACHINE = ['codec/', 'protocol/', 'core/', 'event/'];
const MACHINE_NOT = ['core/clock.ts', 'core/log.ts'];

function types(...rooms: string[]): string[] {
  return rooms.map((room) => `type:${room}/`);
}

/** Node's own modules that only some rooms may touch. */
const BUILTINS: { modules: string[]; only: string[]; why: string }[] = [
  {
    modules: ['net', 'dgram', 'tls', 'http', 'https', 'http2', 'dns'],
    only: ['net/', 'admin/', 'export/kafka/'],
    why: 'only the edges touch sockets',
  },
  {
    modules: ['fs'],
    // The rooms whose matter files are, the edges that start and stop an instance, and single files; ARCHITECTURE.md says why each.
    only: [
      ...['spool/', 'config/', 'process/', 'cli/'],
      ...['export/file/rotating.ts', 'export/kafka/files.ts', 'export/kafka/quarantine.ts'],
      ...['net/native.ts', 'net/proc-drops.ts', 'net/unix.ts', 'admin/http.ts'],
    ],
    why: 'only these touch files: ARCHITECTURE.md, "Who touches files"',
  },
  {
    modules: ['child_process', 'cluster', 'worker_threads'],
    // net/address.ts: the `ip` command.
    only: ['process/', 'cli/', 'export/', 'net/address.ts'],
    why: 'processes are made in process/',
  },
  { modules: ['module'], only: ['net/', 'cli/', 'export/kafka/kafkajs.ts'], why: 'only net/ loads native code' },
];

/** A library that opens sockets of its own stands in exactly one file. */
export const SOCKET_LIBRARIES: Record<string, string[]> = {
  '@grpc/grpc-js': ['net/grpc.ts'],
  '@platformatic/kafka': ['export/kafka/platformatic.ts'],
  kafkajs: ['export/kafka/kafkajs.ts'],
  fastify: ['admin/http.ts'],
  // An independent sender and MIB parser in the tests; the product has its own.
  'net-snmp': [],
};

/** Other packages that one room alone may use. */
const PACKAGES: Record<string, string[]> = {
  protobufjs: ['codec/gnmi/', 'net/grpc.ts', 'event/'],
  commander: ['cli/', 'main.ts'],
  'prom-client': ['admin/', 'telemetry/'],
};

const CODE: { pattern: RegExp; only: string[]; why: string }[] = [
  {
    pattern: /\bDate\.now\b|\bperformance\.(now|timeOrigin)\b|\bhrtime\b|\bnew Date\(\s*\)/,
    // kafkajs.ts replaces a timer of its library, whose own times are Date.now()'s.
    only: ['core/clock.ts', 'export/kafka/kafkajs.ts'],
    why: 'only core/clock.ts reads time: take a Clock',
  },
  {
    pattern: /\bnew Date\(\s*[^)\s]/,
    only: ['core/clock.ts', 'core/time.ts'],
    why: 'times are formatted in core/time.ts',
  },
  {
    pattern: /\bprocess\.(env|argv)\b/,
    only: ['main.ts', 'cli/'],
    why: 'only main and cli read argv and the environment',
  },
];

export const MAX_LINES = 500;

function fits(path: string, pattern: string): boolean {
  if (pattern === '*') return true;
  if (pattern.includes('*'))
    return new RegExp(`^${pattern.replaceAll('*', '[^/]+')}${pattern.endsWith('/') ? '' : '$'}`).test(path);
  return pattern.endsWith('/') ? path.startsWith(pattern) : path === pattern;
}

const fitsAny = (path: string, patterns: string[]) => patterns.some((p) => fits(path, p));

function roomOf(file: string): { room: string; may: string[] } | undefined {
  const found = ROOMS.find((r) => fits(file, r.room));
  if (found?.room !== 'collectors/*/') return found;
  return { room: file.split('/').slice(0, 2).join('/').concat('/'), may: found.may };
}

/**
 * The same text with comments and the contents of strings and regular expressions replaced by blanks, so that what is searched for is
 * code. With `strings` the strings stay: import paths are read from that.
 */
export function codeOnly(source: string, strings = false): string {
  let out = '';
  let i = 0;
  const blank = (text: string) => text.replace(/[^\n]/g, ' ');
  const take = (length: number, keep: boolean) => {
    const text = source.slice(i, i + length);
    out += keep ? text : blank(text);
    i += length;
  };
  // Depth of braces inside each open template literal's `${`.
  const templates: number[] = [];
  let braces = 0;
  const template = () => {
    const from = i;
    let j = i;
    while (j < source.length && source[j] !== '`' && !(source[j] === '$' && source[j + 1] === '{'))
      j += source[j] === '\\' ? 2 : 1;
    const opens = source[j] === '$';
    take(j - from, strings);
    take(opens ? 2 : 1, true);
    if (opens) {
      templates.push(braces);
      braces = 0;
    }
  };
  while (i < source.length) {
    const rest = source.slice(i, i + 2);
    const c = source[i];
    if (rest === '//') take((/\n|$/.exec(source.slice(i)) as RegExpExecArray).index, false);
    else if (rest === '/*') take(source.indexOf('*/', i + 2) + 2 - i || source.length - i, false);
    else if (c === "'" || c === '"') {
      const m = /^(['"])(?:\\.|(?!\1)[^\\\n])*\1?/s.exec(source.slice(i))!;
      take(1, true);
      take(m[0].length - 2, strings);
      take(1, true);
    } else if (c === '`') {
      take(1, true);
      template();
    } else if (c === '/' && /(^|[(,=:[!&|?{};\n>]|return)\s*$/.test(out.slice(-40))) {
      const m = /^\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/.exec(source.slice(i));
      take(m ? m[0].length : 1, m === null);
    } else if (c === '}' && templates.length > 0 && braces === 0) {
      braces = templates.pop()!;
      take(1, true);
      template();
    } else {
      if (c === '{') braces++;
      if (c === '}') braces--;
      take(1, true);
    }
  }
  return out;
}

const IMPORT =
  /(?:^|[;\n}])\s*(import|export)\s+(type\s+)?(?:[\w*${}\s,]*?\sfrom\s*|[\w*{}\s,]*?\}\s*from\s*)?(['"])([^'"]+)\3/g;
const DYNAMIC = /\b(?:import|require)\s*\(\s*(['"])([^'"]+)\1/g;

interface Import {
  path: string;
  typeOnly: boolean;
  line: number;
}

export function importsOf(source: string): Import[] {
  const code = codeOnly(source, true);
  const lineAt = (index: number) => code.slice(0, index).split('\n').length;
  const found: Import[] = [];
  for (const m of code.matchAll(IMPORT)) {
    const named = /\{([^}]*)\}/
      .exec(m[0])?.[1]
      .split(',')
      .map((s) => s.trim())
      .filter(Boolean);
    const typeOnly =
      m[2] !== undefined || (named !== undefined && named.length > 0 && named.every((s) => s.startsWith('type ')));
    found.push({ path: m[4], typeOnly, line: lineAt(m.index + m[0].length) });
  }
  for (const m of code.matchAll(DYNAMIC)) found.push({ path: m[2], typeOnly: false, line: lineAt(m.index) });
  return found;
}

function checkInner(file: string, target: string, typeOnly: boolean): string | undefined {
  const home = roomOf(file);
  if (!home) return 'this folder is in no room of test/import-rules.ts';
  if (!target.endsWith('.ts') && !target.endsWith('.json')) return 'local imports end in .ts';
  const own = fits(target, home.room);
  if (file.endsWith('/machine.ts')) {
    const folder = file.slice(0, file.lastIndexOf('/') + 1);
    if (!typeOnly && MACHINE_NOT.includes(target)) return 'a machine is pure: time and logs are not its own';
    if (!own && !fitsAny(target, MACHINE) && !target.startsWith(folder))
      return 'a machine knows only codec, protocol, core and event';
  }
  if (file.startsWith('codec/') && target === 'core/clock.ts') return 'a codec has no clock';
  if (own) return undefined;
  for (const may of home.may) {
    if (may.startsWith('type:') ? typeOnly && fits(target, may.slice(5)) : fits(target, may)) return undefined;
  }
  const asType = home.may.some((m) => m.startsWith('type:') && fits(target, m.slice(5)));
  return asType ? `${home.room} may import only types from there` : `${home.room} may not import it`;
}

function checkOuter(file: string, name: string): string | undefined {
  if (name.startsWith('node:')) {
    const module = name.slice(5).split('/')[0];
    const rule = BUILTINS.find((b) => b.modules.includes(module) && !fitsAny(file, b.only));
    return rule?.why;
  }
  const library = name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
  const only = SOCKET_LIBRARIES[library] ?? PACKAGES[library];
  if (only && !fitsAny(file, only))
    return `${library} stands ${only.length === 0 ? 'nowhere in src/' : `only in ${only.join(', ')}`}`;
  if (/^(core|codec|mib|protocol|event|spool|pipeline|rib)\//.test(file) && !only)
    return 'this room has no dependencies';
  return undefined;
}

/** Every wrong arrow of a tree of sources. */
export function violations(tree: Map<string, string>): Violation[] {
  const found: Violation[] = [];
  for (const [file, source] of tree) {
    for (const { path, typeOnly, line } of importsOf(source)) {
      const local = path.startsWith('.');
      const target = local ? posix.join(posix.dirname(file), path) : path;
      // package.json for the version, and the add-on's own folder.
      const outside = local && target.startsWith('..');
      const why = outside ? undefined : local ? checkInner(file, target, typeOnly) : checkOuter(file, path);
      if (why) found.push({ file, line, text: `imports ${target}: ${why}` });
    }
    const code = codeOnly(source).split('\n');
    for (const { pattern, only, why } of CODE) {
      if (fitsAny(file, only)) continue;
      for (const [i, text] of code.entries()) if (pattern.test(text)) found.push({ file, line: i + 1, text: why });
    }
    const length = source.split('\n').length - 1;
    if (length > MAX_LINES) found.push({ file, line: length, text: `${length} lines, over ${MAX_LINES}: split it` });
  }
  return found;
}
