/**
 * What the host lost before any socket of ours, from /proc: network interfaces, UDP, reassembly. The counters are of the whole network
 * namespace, so other programs' losses are in them; what our own sockets dropped is counted by themselves (`lost {reason="kernel"}`).
 */
import { readFileSync } from 'node:fs';
import { rfc3339Millis } from '../core/time.ts';
import type { Registry } from '../telemetry/registry.ts';

/** Reads a file as text; undefined where it cannot be read. */
export type ReadText = (path: string) => string | undefined;

export const KERNEL_COUNTERS = [
  'nic_rx_dropped',
  'nic_rx_errors',
  'nic_rx_fifo',
  'udp_no_ports',
  'udp_in_errors',
  'udp_rcvbuf_errors',
  'ip_reasm_fails',
] as const;
export type KernelCounter = (typeof KERNEL_COUNTERS)[number];

/** /proc/net/snmp, and /proc/net/snmp6 where it has another name. `udp_in_errors` has `udp_rcvbuf_errors` in it. */
const SNMP: Record<string, KernelCounter> = {
  'Ip.ReasmFails': 'ip_reasm_fails',
  'Udp.NoPorts': 'udp_no_ports',
  'Udp.InErrors': 'udp_in_errors',
  'Udp.RcvbufErrors': 'udp_rcvbuf_errors',
};
const SNMP6: Record<string, KernelCounter> = {
  Ip6ReasmFails: 'ip_reasm_fails',
  Udp6NoPorts: 'udp_no_ports',
  Udp6InErrors: 'udp_in_errors',
  Udp6RcvbufErrors: 'udp_rcvbuf_errors',
};
/** Columns of /proc/net/dev behind the name: bytes packets errs drop fifo. */
const DEV: [number, KernelCounter][] = [
  [2, 'nic_rx_errors'],
  [3, 'nic_rx_dropped'],
  [4, 'nic_rx_fifo'],
];

export function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Each counter of each place: `udp_no_ports 4`, `nic_rx_dropped eth0`. */
export function kernelCounters(read: ReadText): Map<string, number> {
  const out = new Map<string, number>();
  const put = (counter: KernelCounter, place: string, text: string | undefined): void => {
    const value = Number(text);
    if (Number.isSafeInteger(value)) out.set(`${counter} ${place}`, value);
  };
  const snmp = (read('/proc/net/snmp') ?? '').split('\n');
  for (let i = 0; i + 1 < snmp.length; i += 2) {
    const names = snmp[i].split(' ');
    const values = snmp[i + 1].split(' ');
    const group = names[0].slice(0, -1);
    names.forEach((name, at) => {
      const counter = SNMP[`${group}.${name}`];
      if (counter !== undefined) put(counter, '4', values[at]);
    });
  }
  for (const line of (read('/proc/net/snmp6') ?? '').split('\n')) {
    const [name, value] = line.split(/\s+/);
    if (SNMP6[name] !== undefined) put(SNMP6[name], '6', value);
  }
  for (const line of (read('/proc/net/dev') ?? '').split('\n')) {
    const colon = line.indexOf(':');
    if (colon < 0) continue;
    const values = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/);
    for (const [column, counter] of DEV) put(counter, line.slice(0, colon).trim(), values[column]);
  }
  return out;
}

export class KernelLosses {
  private readonly read: ReadText;
  private readonly registry: Registry;
  private last: Map<string, number>;
  /** Not yet said in an event. */
  private readonly unsaid = new Map<KernelCounter, number>();
  private saidAt: number;

  /** What was lost before is not counted. `wall`: UTC milliseconds. */
  constructor(read: ReadText, registry: Registry, wall: number) {
    this.read = read;
    this.registry = registry;
    this.last = kernelCounters(read);
    this.saidAt = wall;
    for (const counter of KERNEL_COUNTERS) registry.handle('tidegate_kernel_losses_total', { counter });
  }

  /** Brings the metrics up to date. A counter that went back (an interface that is another one now) begins anew. */
  poll(): void {
    const now = kernelCounters(this.read);
    for (const [key, value] of now) {
      const before = this.last.get(key);
      if (before === undefined || value <= before) continue;
      const counter = key.slice(0, key.indexOf(' ')) as KernelCounter;
      const fresh = value - before;
      this.registry.handle('tidegate_kernel_losses_total', { counter }).value += fresh;
      this.unsaid.set(counter, (this.unsaid.get(counter) ?? 0) + fresh);
    }
    this.last = now;
  }

  /** Says what was lost since the last time: one system.v1 event for each counter that moved. */
  say(wall: number, emit: (data: Record<string, unknown>) => void): void {
    this.poll();
    const from = this.saidAt;
    this.saidAt = wall;
    for (const [counter, count] of this.unsaid) {
      const reason = counter.replaceAll('_', '-');
      emit({ kind: 'drop', reason, count, from: rfc3339Millis(from), to: rfc3339Millis(wall) });
    }
    this.unsaid.clear();
  }
}
