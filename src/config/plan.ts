/** What a changed configuration means: parts that are taken over live, and parts that wait for a restart. */
import type { ListenerConfig } from './fields.ts';
import type { Config } from './schema.ts';

export interface ReloadPlan {
  /** Dotted paths taken over at once. */
  live: string[];
  /** Dotted paths that take effect at the next start. */
  restart: string[];
}

/** A change below one of these is taken over live, and of nothing else: what runs takes from a new file what stands here. */
const LIVE = [
  'collectors.snmp_trap.listen',
  'collectors.bmp.listen',
  'collectors.bgp.listen',
  'collectors.snmp_trap.communities',
  'collectors.snmp_trap.allow',
  'collectors.snmp_trap.deny',
  'collectors.snmp_trap.trusted_relays',
  'collectors.snmp_trap.rate_limit',
  'collectors.snmp_trap.dedup',
  'collectors.snmp_trap.engine',
  'collectors.snmp_trap.users',
  'collectors.snmp_trap.engines',
  'collectors.snmp_trap.new_engines',
  'collectors.snmp_trap.reports',
  'collectors.snmp_trap.ack',
  'collectors.snmp_trap.ack_budget',
  'collectors.snmp_trap.informs_in_flight',
  'inventory',
  'mibs',
  'alarms',
  'lb.interface',
  'lb.drain',
  'lb.vips',
  'lb.bgp',
  'lb.l2',
  'lb.vrrp',
  'cluster.members',
  'cluster.secret',
  'cluster.weight',
];

/** Compares two configurations leaf by leaf. */
export function planReload(before: Config, after: Config): ReloadPlan {
  const changed: string[] = [];
  compare(before, after, '', changed);
  const live: string[] = [];
  const restart: string[] = [];
  const heads = liveNow(before, after);
  for (const path of changed) {
    const head = heads.find((l) => path === l || path.startsWith(`${l}.`));
    const list = head === undefined ? restart : live;
    const entry = head ?? path;
    if (!list.includes(entry)) list.push(entry);
  }
  const merged = mergeLive(before, after);
  for (const name of COLLECTORS) {
    if (waiting(before, after, name).length === 0) continue;
    const path = `collectors.${name}.listen`;
    restart.push(path);
    const listen = (c: Config) => JSON.stringify(c.collectors[name]?.listen);
    // Where all that differs waits, nothing is taken over.
    if (listen(merged) === listen(before) && live.includes(path)) live.splice(live.indexOf(path), 1);
  }
  return { live, restart };
}

const COLLECTORS = ['snmp_trap', 'bmp', 'bgp'] as const;

/** Listeners of a network that is not what it was at start: their sockets would be bound to another device. */
function waiting(running: Config, wanted: Config, collector: (typeof COLLECTORS)[number]): ListenerConfig[] {
  if (!running.collectors[collector]) return [];
  const device = (c: Config, network: string) => JSON.stringify(c.networks[network]);
  return (wanted.collectors[collector]?.listen ?? []).filter(
    ({ network = 'default' }) => device(running, network) !== device(wanted, network),
  );
}

/** `running` with the live parts of `wanted`: exactly what the plan calls live. */
export function mergeLive(running: Config, wanted: Config): Config {
  let merged: unknown = running;
  for (const path of liveNow(running, wanted)) merged = take(merged, wanted, path.split('.'));
  return withoutWaiting(merged as Config, running, wanted);
}

/** Listeners that wait for the restart are not among those that run; where they ran before they stay. */
function withoutWaiting(merged: Config, running: Config, wanted: Config): Config {
  const collectors = { ...merged.collectors };
  for (const name of COLLECTORS) {
    const wait = waiting(running, wanted, name);
    const c = collectors[name];
    if (wait.length === 0 || c === undefined) continue;
    // What runs in such a network goes on as it is.
    const networks = new Set(wait.map((w) => w.network));
    const kept = (running.collectors[name]?.listen ?? []).filter((l) => networks.has(l.network));
    const listen = [...c.listen.filter((l) => !wait.includes(l)), ...kept];
    Object.assign(collectors, { [name]: { ...c, listen } });
  }
  return { ...merged, collectors };
}

/** The networks are those of the start: a peer that needs another one would be dialled past its VRF, so it waits with it. */
function liveNow(running: Config, wanted: Config): string[] {
  const device = (c: Config, network: string | undefined) => c.networks[network ?? 'default']?.device;
  const waits = (wanted.lb.bgp?.peers ?? []).some((p) => device(running, p.network) !== device(wanted, p.network));
  return [...(waits ? LIVE.filter((l) => l !== 'lb.bgp') : LIVE), ...credentials(running, wanted)];
}

/** A user, password or token of Kafka that is renewed is taken with the next connections; another mechanism is another way to log in. */
function credentials(running: Config, wanted: Config): string[] {
  return Object.entries(running.export.exporters).flatMap(([name, e]) => {
    const next = wanted.export.exporters[name];
    if (e.type !== 'kafka' || next?.type !== 'kafka' || e.sasl?.mechanism !== next.sasl?.mechanism) return [];
    return ['username', 'password', 'token'].map((key) => `export.exporters.${name}.sasl.${key}`);
  });
}

/** `running` with what `wanted` has at `path`. A section that comes or goes as a whole waits for a restart. */
function take(running: unknown, wanted: unknown, [key, ...rest]: string[]): unknown {
  if (key === undefined) return wanted;
  if (typeof running !== 'object' || typeof wanted !== 'object' || running === null || wanted === null) return running;
  const [r, w] = [running, wanted] as Record<string, unknown>[];
  return { ...r, [key]: take(r[key], w[key], rest) };
}

/** The same of documents (config/document.ts), whose parts have the same names. */
export function mergeLiveDocument(running: Document, wanted: Document, before: Config, after: Config): Document {
  let merged: unknown = running;
  // Exporters stand there by name alone.
  for (const path of liveNow(before, after))
    merged = take(merged, wanted, path.replace(/^export\.exporters\./, 'export.').split('.'));
  return merged as Document;
}

type Document = Record<string, unknown>;

function compare(a: unknown, b: unknown, path: string, out: string[]): void {
  if (Object.is(a, b)) return;
  if (
    typeof a === 'object' &&
    typeof b === 'object' &&
    a !== null &&
    b !== null &&
    Array.isArray(a) === Array.isArray(b)
  ) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    for (const k of keys)
      compare(
        (a as Record<string, unknown>)[k],
        (b as Record<string, unknown>)[k],
        path === '' ? k : `${path}.${k}`,
        out,
      );
    return;
  }
  out.push(path);
}
