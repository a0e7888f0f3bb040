/** File → Config, or problems with file, line, value, what is allowed and the nearest key. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, isAbsolute, resolve } from 'node:path';
import type { AlarmRule } from '../collectors/snmp-trap/alarm-rules.ts';
import { formatEndpoint, parsePrefix } from '../core/ip.ts';
import { delivers } from '../export/config.ts';
import type { InventoryEntry } from '../inventory/inventory.ts';
import { loadAlarms } from './alarms-file.ts';
import { absolutePaths, describeDocument } from './document.ts';
import { loadInventory } from './inventory-file.ts';
import { type Config, configSchema } from './schema.ts';
import { type ConfigProblem, nearest, parseYaml, problemsOf, type YamlDocument } from './yaml.ts';

export interface Loaded {
  config: Config;
  inventory: InventoryEntry[];
  /** In the order in which they are tried. */
  alarms: AlarmRule[];
  /** What `${file:…}` names, absolute: a change of one is a change of the configuration. */
  files: string[];
  /** The same in the file's own grammar, without secrets (config/document.ts). */
  document: Record<string, unknown>;
}

/** No file at all: everything that listens, on loopback, community `public` from loopback, printed. */
const WITHOUT_FILE = {
  collectors: {
    snmp_trap: {
      listen: ['127.0.0.1:1162', '[::1]:1162'],
      communities: [{ name: 'public', from: ['127.0.0.0/8', '::1/128'] }],
    },
    bmp: {},
    bgp: {},
  },
};

/** With a file that names no collector: the same listeners, and nothing is accepted until the file says from whom. */
const WITHOUT_COLLECTORS = { snmp_trap: {}, bmp: {}, bgp: {} };

/** As a file name: what comes in on standard input. */
export const STANDARD_INPUT = '-';

/** Reads `file` (undefined: the built-in configuration; `-`: standard input). */
export function loadConfig(
  file: string | undefined,
  env: Record<string, string | undefined>,
): Loaded | { problems: ConfigProblem[] } {
  if (file === undefined) {
    const document = describeDocument(configSchema, WITHOUT_FILE, undefined, { base: '.' });
    return finish(configSchema.parse(WITHOUT_FILE), document, undefined, '.', []);
  }
  let text: string;
  try {
    text = readFileSync(file === STANDARD_INPUT ? 0 : file, 'utf8');
  } catch (e) {
    return { problems: [{ file, line: 0, path: '', message: `cannot be read: ${(e as Error).message}` }] };
  }
  const base = dirname(resolve(file));
  const files = new Set<string>();
  const readFile = (path: string): string => {
    files.add(resolve(base, path));
    return readFileSync(resolve(base, path), 'utf8');
  };
  const doc = parseYaml(file, text, { env, readFile });
  if (doc.problems.length) return { problems: doc.problems };
  const parsed = configSchema.safeParse(doc.value ?? {});
  if (!parsed.success) return { problems: problemsOf(doc, parsed.error, configSchema) };
  const document = describeDocument(configSchema, doc.value, parseYaml(file, text).value, { base });
  return finish(parsed.data, document, doc, base, [...files]);
}

/**
 * Only where a running instance is found. The rest of the file, and the inventory, may be wrong: that is when somebody asks an instance what it
 * does. `undefined` where even this cannot be read.
 */
export function loadLocation(
  file: string,
  env: Record<string, string | undefined>,
): { dataDir: string; socket: string } | undefined {
  try {
    const doc = parseYaml(file, readFileSync(file, 'utf8'));
    if (doc.problems.length) return undefined;
    const plain = doc.value as { data_dir?: unknown; admin?: unknown } | null;
    const said = JSON.stringify({ data_dir: plain?.data_dir, admin: { socket: socketOf(plain?.admin) } });
    const { value } = parseYaml(file, said, { env, readFile: (path) => readFileSync(path, 'utf8') });
    const parsed = configSchema.safeParse(value);
    return parsed.success ? { dataDir: parsed.data.data_dir, socket: parsed.data.admin.socket } : undefined;
  } catch {
    return undefined;
  }
}

function socketOf(admin: unknown): unknown {
  return (admin as { socket?: unknown } | null | undefined)?.socket;
}

function finish(
  parsed: ReturnType<typeof configSchema.parse>,
  document: Record<string, unknown>,
  doc: YamlDocument | undefined,
  base: string,
  files: string[],
): Loaded | { problems: ConfigProblem[] } {
  const config: Config = {
    ...parsed,
    collectors: parsed.collectors ?? configSchema.parse({ collectors: WITHOUT_COLLECTORS }).collectors!,
  };
  if (parsed.collectors === undefined) {
    const { collectors } = describeDocument(configSchema, { collectors: WITHOUT_COLLECTORS }, undefined, { base });
    document.collectors = collectors;
  }
  const problems = doc ? crossChecks(config, doc) : [];
  let inventory: InventoryEntry[] = [];
  if (config.inventory) {
    const file = isAbsolute(config.inventory.file) ? config.inventory.file : resolve(base, config.inventory.file);
    config.inventory = { file };
    const loaded = loadInventory(file);
    inventory = loaded.entries;
    problems.push(...loaded.problems);
  }
  config.mibs = { paths: config.mibs.paths.map((p) => resolve(base, p)) };
  if (config.alarms.file !== undefined) config.alarms = { file: resolve(base, config.alarms.file) };
  const alarms = loadAlarms(config.alarms.file);
  problems.push(...alarms.problems);
  // Workers run in data_dir and verbs anywhere: a file is where the configuration says, seen from the configuration.
  for (const e of Object.values(config.export.exporters)) {
    if (e.type !== 'kafka') continue;
    const at = (path: string | undefined): string | undefined => (path === undefined ? undefined : resolve(base, path));
    if (e.tls) e.tls = { ...e.tls, ca: at(e.tls.ca), cert: at(e.tls.cert), key: at(e.tls.key) };
    if (e.sasl) e.sasl = { ...e.sasl, token_file: at(e.sasl.token_file) };
  }
  const tls = config.admin.api?.tls;
  if (tls) {
    tls.cert = resolve(base, tls.cert);
    tls.key = resolve(base, tls.key);
    if (tls.client_ca !== undefined) tls.client_ca = resolve(base, tls.client_ca);
  }
  // Without Kafka or a file the events would go nowhere visible: print them, unless told otherwise.
  const delivered = Object.values(config.export.exporters).some(delivers);
  if (!delivered && config.export.exporters.stdout === undefined)
    config.export.exporters.stdout = { type: 'stdout', enabled: true };
  if (config.export.exporters.stdout?.type === 'stdout' && !('stdout' in (document.export as object)))
    document.export = { ...(document.export as object), stdout: { type: 'stdout', enabled: true } };
  absolutePaths(document, base);
  return problems.length ? { problems } : { config, inventory, alarms: alarms.rules, files, document };
}

/** What no single section can see. */
function crossChecks(config: Config, doc: YamlDocument): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const say = (path: PropertyKey[], message: string, value?: unknown, known?: string[]): void => {
    problems.push({
      file: doc.file,
      line: doc.lineOf(path),
      path: path.join('.'),
      message,
      value,
      allowed: known?.length ? known.join(', ') : undefined,
      nearest: known && typeof value === 'string' ? nearest(value, known) : undefined,
    });
  };
  const vips = config.lb.vips.map((v) => v.name);
  const networks = ['default', ...Object.keys(config.networks)];
  for (const collector of ['snmp_trap', 'bmp', 'bgp'] as const) {
    config.collectors[collector]?.listen.forEach((l, i) => {
      if (l.vip !== undefined && !vips.includes(l.vip))
        say(['collectors', collector, 'listen', i, 'vip'], 'no such VIP under lb.vips', l.vip, vips);
      if (l.network !== undefined && !networks.includes(l.network))
        say(['collectors', collector, 'listen', i, 'network'], 'no such network under networks', l.network, networks);
    });
  }
  // Several nodes of a VIP are one engine: an id that each makes for itself would be another one on each.
  const snmp = config.collectors.snmp_trap;
  for (const [i, p] of (config.lb.bgp?.peers ?? []).entries())
    if (p.network !== undefined && !networks.includes(p.network))
      say(['lb', 'bgp', 'peers', i, 'network'], 'no such network under networks', p.network, networks);
  if (snmp && snmp.users.length > 0 && snmp.engine.id === undefined && vips.length > 0)
    say(
      ['collectors', 'snmp_trap', 'engine', 'id'],
      'with a VIP and SNMPv3 users the engine id must be given, the same on every node; a new one: 0x8000000005 and 12 random octets',
    );
  config.lb.vips.forEach((v, i) => {
    if (vips.indexOf(v.name) !== i) say(['lb', 'vips', i, 'name'], 'this name stands twice', v.name);
    v.addresses.forEach((a, j) => {
      const p = parsePrefix(a)!;
      if (p.length !== p.bytes.length * 8)
        say(['lb', 'vips', i, 'addresses', j], 'a VIP is one address: /32 or /128', a);
    });
  });
  if (config.lb.lease.timeout < 2 * config.lb.lease.interval)
    say(
      ['lb', 'lease', 'timeout'],
      'the lease times out before two renewals: give it at least twice the interval',
      config.lb.lease.timeout,
    );
  const gnmi = config.collectors.gnmi;
  const subscriptions = Object.keys(gnmi?.subscriptions ?? {});
  gnmi?.targets.forEach((t, i) => {
    if (t.network !== undefined && !networks.includes(t.network))
      say(['collectors', 'gnmi', 'targets', i, 'network'], 'no such network under networks', t.network, networks);
    t.subscriptions.forEach((s, j) => {
      if (!subscriptions.includes(s))
        say(['collectors', 'gnmi', 'targets', i, 'subscriptions', j], 'no such subscription', s, subscriptions);
    });
  });
  for (const [name, e] of Object.entries(config.export.exporters)) {
    const network = 'network' in e ? e.network : undefined;
    if (network !== undefined && !networks.includes(network))
      say(['export', name, 'network'], 'no such network under networks', network, networks);
    if (e.type !== 'relay') continue;
    e.targets.forEach((t, i) => {
      if (isOwnListener(config, t))
        say(
          ['export', name, 'targets', i],
          'this node listens there: it would relay to itself',
          formatEndpoint(t.address, t.port),
        );
    });
  }
  return problems;
}

/** True where a collector of this node takes notifications at that address. */
function isOwnListener(config: Config, t: { address: string; port: number }): boolean {
  const vips = (name?: string): string[] =>
    config.lb.vips
      .filter((v) => name === undefined || v.name === name)
      .flatMap((v) => v.addresses.map((a) => a.slice(0, a.indexOf('/'))));
  const ours = (): string[] => Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map((a) => a.address));
  return (config.collectors.snmp_trap?.listen ?? []).some((l) => {
    if (l.port !== t.port) return false;
    if (l.vip !== undefined) return vips(l.vip).includes(t.address);
    if (l.address === t.address) return true;
    if (l.address !== (t.address.includes(':') ? '::' : '0.0.0.0')) return false;
    return t.address.startsWith('127.') || [...ours(), ...vips()].includes(t.address);
  });
}
