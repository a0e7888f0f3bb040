/** Traps and informs from many loopback sources, each with a number of its own in a varbind, so that a test can say which ones arrived. */
import { createSocket, type Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeEnvelope, decodePdu } from '../../src/codec/snmp/decode.ts';
import { buildTrap } from '../../src/codec/snmp/describe.ts';
import { isDecodeError } from '../../src/core/result.ts';
import type { Namespace } from './netns.ts';
import { NODE } from './peers.ts';
import type { LogLine, PrintedEvent } from './tidegate.ts';
import { waitFor } from './wait.ts';

/** The varbind that carries the number. */
export const MARK_OID = '1.3.6.1.4.1.8072.9999.1.1';
const PAD_OID = '1.3.6.1.4.1.8072.9999.1.2';

/** A notification of ours: number `n` of the whole test. `pad`: octets more. */
export function marked(n: number, inform = false, pad = 0): Buffer {
  return buildTrap({
    version: 'v2c',
    community: 'public',
    trapOid: '1.3.6.1.6.3.1.1.5.3',
    uptime: 4242,
    inform,
    requestId: n,
    varbinds: [
      { oid: MARK_OID, type: 'unsigned32', value: n },
      ...(pad > 0 ? [{ oid: PAD_OID, type: 'octet-string' as const, value: 'x'.repeat(pad) }] : []),
    ],
  });
}

/** The number of an event's data; undefined where it is none of ours. */
export function markOf(data: Record<string, unknown>): number | undefined {
  const varbinds = data.varbinds as { oid: string; value: number }[] | undefined;
  return varbinds?.find((v) => v.oid === MARK_OID)?.value;
}

/** Which events have which number: number → their ids. */
export function marksOf(events: readonly Pick<PrintedEvent, 'id' | 'data'>[]): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const e of events) {
    const n = markOf(e.data);
    if (n !== undefined) found.set(n, [...(found.get(n) ?? []), e.id]);
  }
  return found;
}

/** `ADDR:PORT` of a collector's first listener, from the ready line. */
export function portOf(ready: LogLine | undefined, collector: string): number {
  const listening = ready?.listening as { collector: string; address: string }[];
  return Number(
    listening
      .find((l) => l.collector === collector)!
      .address.split(':')
      .at(-1),
  );
}

export interface LoadOptions {
  /** Octets more in each notification. */
  pad?: number;
  /** How many other loopback addresses send. */
  sources?: number;
}

/** A crowd of devices. Numbers count from 1 and are never used twice. */
export class SnmpLoad {
  /** Number → source address, in the order they were sent. */
  readonly traps = new Map<number, string>();
  readonly informs = new Map<number, string>();
  /** Informs that were answered. */
  readonly acked = new Set<number>();
  private readonly sentAt = new Map<number, number>();
  private readonly ackedAt = new Map<number, number>();
  port: number;
  /** Octets more in each notification from here on. The answer to an inform has them too, and must find room in our socket. */
  pad: number;
  private readonly sockets: Socket[] = [];
  private next = 1;

  private constructor(port: number, options: LoadOptions) {
    this.port = port;
    this.pad = options.pad ?? 0;
  }

  static async open(port: number, options: LoadOptions = {}): Promise<SnmpLoad> {
    const load = new SnmpLoad(port, options);
    for (let i = 0; i < (options.sources ?? 8); i++) load.sockets.push(await load.bind(`127.0.77.${i + 1}`));
    return load;
  }

  /** The number sent last. */
  get last(): number {
    return this.next - 1;
  }

  /** A socket of one source address and a port of the kernel's choice, closed with the rest. */
  async bind(address: string): Promise<Socket> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(0, address, resolve);
    });
    socket.on('error', () => {});
    socket.on('message', (m) => {
      const envelope = decodeEnvelope(m);
      if (isDecodeError(envelope)) return;
      const pdu = decodePdu(m, envelope);
      if (!isDecodeError(pdu) && pdu.pdu === 'response' && !this.acked.has(pdu.requestId)) {
        this.acked.add(pdu.requestId);
        this.ackedAt.set(pdu.requestId, performance.now());
      }
    });
    return socket;
  }

  /** Numbers of `count` notifications, sent in turn by all sources; `pause` milliseconds after every 50. */
  async send(kind: 'trap' | 'inform', count: number, pause = 5): Promise<number[]> {
    const sent: number[] = [];
    for (let i = 0; i < count; i++) {
      sent.push(await this.one(kind, this.sockets[i % this.sockets.length]));
      if (i % 50 === 49) await sleep(pause);
    }
    return sent;
  }

  /** Sends the next number through this socket; resolves when the kernel has it. */
  async one(kind: 'trap' | 'inform', socket: Socket): Promise<number> {
    const n = this.next++;
    (kind === 'trap' ? this.traps : this.informs).set(n, socket.address().address);
    if (kind === 'inform') this.sentAt.set(n, performance.now());
    await this.put(socket, marked(n, kind === 'inform', this.pad));
    return n;
  }

  /** Sends until `stop` says so: traps and informs by turns, about `rate` a second in all. */
  async run(stop: () => boolean, rate = 1000, kinds: readonly ('trap' | 'inform')[] = ['trap', 'inform']) {
    const started = performance.now();
    for (let i = 0; !stop(); i++) {
      await this.one(kinds[i % kinds.length], this.sockets[Math.floor(i / kinds.length) % this.sockets.length]);
      const ahead = started + ((i + 1) * 1000) / rate - performance.now();
      if (ahead > 5) await sleep(ahead);
    }
  }

  /** Milliseconds from sending an inform to its first Response, both as this process sees them; undefined where there was none. */
  took(n: number): number | undefined {
    const at = this.ackedAt.get(n);
    return at === undefined ? undefined : at - this.sentAt.get(n)!;
  }

  /** Waits until all these informs are answered. */
  answered(numbers: readonly number[]): Promise<unknown> {
    return waitFor(() => {
      const open = numbers.filter((n) => !this.acked.has(n)).length;
      if (open > 0) throw new Error(`${open} of ${numbers.length} informs are not answered`);
      return true;
    }, 'the Responses');
  }

  private put(socket: Socket, packet: Buffer): Promise<void> {
    // Nobody listening (ICMP) is what a device would not notice either.
    return new Promise((resolve) => socket.send(packet, this.port, '127.0.0.1', () => resolve()));
  }

  close(): void {
    for (const s of this.sockets) s.close();
  }
}

/** One value of the metrics page; 0 where the series is not there. `series` as printed: `name{label="value"}`. */
export function seriesOf(page: string, series: string): number {
  const line = page.split('\n').find((l) => l.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1).split(' ')[0]);
}

/** The sum of all series of a metric whose labels fit. */
export function sumOf(page: string, metric: string, labels = /(?:)/): number {
  let sum = 0;
  for (const line of page.split('\n')) {
    const m = /^([a-zA-Z_:]+)(\{.*\})? (\S+)/.exec(line);
    if (m?.[1] === metric && labels.test(m[2] ?? '')) sum += Number(m[3]);
  }
  return sum;
}

/** The metrics page of an instance that is in a namespace. */
export async function metricsIn(ns: Namespace, ready: LogLine | undefined): Promise<string> {
  const page = `fetch('http://${ready?.admin}/metrics').then((r) => r.text()).then((t) => process.stdout.write(t))`;
  return (await ns.exec([NODE, '-e', page])).stdout;
}

/** The metrics page of an instance. */
export async function metricsOf(ready: LogLine | undefined): Promise<string> {
  const answer = await fetch(`http://${ready?.admin}/metrics`);
  return answer.text();
}
