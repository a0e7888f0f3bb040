/**
 * `tidegate audit --kafka --heartbeats`: of each sender's runs, which numbers are in the topic. Heartbeats are told by the OID of their
 * trap and of their objects: collectors/snmp-trap/heartbeat.ts has the format. Pure: events in, a report out.
 */
const ROOT = '1.3.6.1.4.1.32473.1';

export interface HeartbeatLoss {
  device: string;
  sender: string;
  /** UTC seconds at which it began to count. */
  run: number;
  /** The highest number there is; what was sent after it and lost is not known here. */
  highest: number;
  received: number;
  duplicates: number;
  missing: number;
  /** Inclusive. */
  ranges: [number, number][];
  /** Events by node. */
  nodes: Record<string, number>;
}

interface Run {
  device: string;
  sender: string;
  run: number;
  numbers: Map<number, string>;
  duplicates: number;
}

interface TrapData {
  trap_oid?: string;
  device?: { id?: string };
  rx?: { node?: string };
  varbinds?: { oid: string; value?: unknown; text?: unknown }[];
}

export class HeartbeatAudit {
  private readonly runs = new Map<string, Run>();
  private readonly ids = new Set<string>();

  /** A record of snmp.trap.v1; others are passed over. The same event published twice is no duplicate: `id` says so. */
  add(type: string, value: Buffer, id = ''): void {
    if (type !== 'snmp.trap.v1' || !value.includes(ROOT)) return;
    let data: TrapData;
    try {
      data = JSON.parse(value.toString('utf8')) as TrapData;
    } catch {
      return;
    }
    if (data.trap_oid !== `${ROOT}.0.1`) return;
    const of = (n: number) => data.varbinds?.find((v) => v.oid === `${ROOT}.1.${n}.0`)?.value;
    const number = Number(of(3));
    const run = Number(of(2) ?? 0);
    if (!Number.isSafeInteger(number) || number < 1 || !Number.isSafeInteger(run)) return;
    const event = id === '' ? JSON.stringify(data.rx) : id;
    if (this.ids.has(event)) return;
    this.ids.add(event);
    const device = data.device?.id ?? '';
    const sender = String(of(1) ?? '');
    const key = `${device}\n${sender}\n${run}`;
    let r = this.runs.get(key);
    if (!r) this.runs.set(key, (r = { device, sender, run, numbers: new Map(), duplicates: 0 }));
    if (r.numbers.has(number)) r.duplicates++;
    else r.numbers.set(number, data.rx?.node ?? '');
  }

  report(): HeartbeatLoss[] {
    const out = [...this.runs.values()].map((r): HeartbeatLoss => {
      const sorted = [...r.numbers.keys()].sort((a, b) => a - b);
      const ranges: [number, number][] = [];
      let next = 1;
      for (const n of sorted) {
        if (n > next) ranges.push([next, n - 1]);
        next = n + 1;
      }
      const nodes: Record<string, number> = {};
      for (const node of r.numbers.values()) nodes[node] = (nodes[node] ?? 0) + 1;
      const { device, sender, run, duplicates } = r;
      const highest = sorted.at(-1) ?? 0;
      return {
        ...{ device, sender, run, highest, received: sorted.length, duplicates },
        missing: highest - sorted.length,
        ranges,
        nodes,
      };
    });
    return out.sort((a, b) => a.device.localeCompare(b.device) || a.sender.localeCompare(b.sender) || a.run - b.run);
  }
}

/** For people. */
export function formatHeartbeats(list: readonly HeartbeatLoss[]): string {
  if (list.length === 0) return 'no heartbeats in the topic: `tidegate send trap --heartbeat` sends them';
  return list
    .map((h) => {
      const shown = h.ranges.slice(0, 20).map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`));
      const more = h.ranges.length > 20 ? ` and ${h.ranges.length - 20} more ranges` : '';
      const nodes = Object.entries(h.nodes).map(([node, n]) => `${node} ${n}`);
      const loss = h.missing === 0 ? 'none missing' : `MISSING ${h.missing}: ${shown.join(', ')}${more}`;
      return `${h.device} ${h.sender}, counting since ${h.run}: 1-${h.highest}, ${h.received} received (${nodes.join(', ')}), ${h.duplicates} twice, ${loss}`;
    })
    .join('\n');
}
