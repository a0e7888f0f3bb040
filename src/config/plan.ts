/** What a changed configuration means: parts that are taken over live, and parts that wait for a restart. */
import type { Config } from './schema.ts';

export interface ReloadPlan {
  /** Dotted paths taken over at once. */
  live: string[];
  /** Dotted paths that take effect at the next start. */
  restart: string[];
}

/** A change below one of these is taken over live. */
const LIVE = [
  'collectors.snmp_trap.communities',
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
  for (const path of changed) {
    const head = LIVE.find((l) => path === l || path.startsWith(`${l}.`));
    const list = head === undefined ? restart : live;
    const entry = head ?? path;
    if (!list.includes(entry)) list.push(entry);
  }
  for (const path of listenersOfChangedVips(before, after)) if (!restart.includes(path)) restart.push(path);
  return { live, restart };
}

/** `running` with the live parts of `wanted`. */
export function mergeLive(running: Config, wanted: Config): Config {
  const snmp = running.collectors.snmp_trap;
  const next = wanted.collectors.snmp_trap;
  return {
    ...running,
    inventory: wanted.inventory,
    mibs: wanted.mibs,
    alarms: wanted.alarms,
    cluster: mergeCluster(running.cluster, wanted.cluster),
    lb: { ...wanted.lb, lease: running.lb.lease, rise: running.lb.rise },
    collectors: {
      ...running.collectors,
      snmp_trap: snmp && next ? { ...next, listen: snmp.listen } : snmp,
    },
  };
}

/** Where heartbeats are received and how often they come stays as it was at start; a cluster comes and goes with a restart. */
function mergeCluster(running: Config['cluster'], wanted: Config['cluster']): Config['cluster'] {
  if (!running || !wanted) return running;
  return { ...running, members: wanted.members, secret: wanted.secret, weight: wanted.weight };
}

/** A listener that names a VIP has a socket for each of its addresses, and sockets are opened at start. */
function listenersOfChangedVips(before: Config, after: Config): string[] {
  const addresses = (c: Config) => new Map(c.lb.vips.map((v) => [v.name, v.addresses.join(' ')]));
  const old = addresses(before);
  const changed = new Set([...addresses(after)].filter(([name, text]) => old.get(name) !== text).map(([name]) => name));
  return Object.entries(after.collectors).flatMap(([name, c]) => {
    const listen = (c as { listen?: { vip?: string }[] } | undefined)?.listen ?? [];
    return listen.some((l) => l.vip !== undefined && changed.has(l.vip)) ? [`collectors.${name}.listen`] : [];
  });
}

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
