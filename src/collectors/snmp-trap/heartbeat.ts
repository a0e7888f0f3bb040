/**
 * Heartbeats: numbered traps that a device, or a host beside it, sends so that what is really lost on the way to Kafka can be counted.
 *
 *   snmpTrapOID  1.3.6.1.4.1.32473.1.0.1       (32473: the enterprise number for examples, RFC 5612)
 *   …32473.1.1.1.0  sender    OCTET STRING     who counts; default: the device
 *   …32473.1.1.2.0  run       Gauge32          UTC seconds at which it began to count from 1
 *   …32473.1.1.3.0  sequence  Gauge32          1, 2, 3, …
 *   …32473.1.1.4.0  interval  Gauge32          milliseconds between two; 0 or absent: nobody says
 *
 * Behind one VIP several nodes each see a part of the numbers. So a node says how many different ones of the newest run it saw and the
 * highest; the sum over the nodes, and the topic (`audit --heartbeats`), say what is missing.
 */
const ROOT = '1.3.6.1.4.1.32473.1';
export const HEARTBEAT_TRAP = `${ROOT}.0.1`;
export const HEARTBEAT_OIDS = {
  sender: `${ROOT}.1.1.0`,
  run: `${ROOT}.1.2.0`,
  sequence: `${ROOT}.1.3.0`,
  interval: `${ROOT}.1.4.0`,
} as const;

export interface Heartbeat {
  sender: string;
  run: number;
  sequence: number;
}

/** What a notification with the heartbeat's OID says; undefined where it has no number. */
export function heartbeatOf(varbinds: readonly { oid: string; value?: unknown }[]): Heartbeat | undefined {
  let sender = '';
  let run = 0;
  let sequence = -1;
  for (const { oid, value } of varbinds) {
    if (oid === HEARTBEAT_OIDS.sender) sender = String(value ?? '');
    else if (oid === HEARTBEAT_OIDS.run) run = Number(value);
    else if (oid === HEARTBEAT_OIDS.sequence) sequence = Number(value);
  }
  return Number.isSafeInteger(run) && Number.isSafeInteger(sequence) && sequence > 0
    ? { sender: sender.slice(0, 64), run, sequence }
    : undefined;
}

/** What one node saw of one sender's newest run. */
export interface HeartbeatRun {
  device: string;
  sender: string;
  run: number;
  /** Different numbers. */
  received: number;
  highest: number;
  duplicates: number;
}

/** Numbers this far below the highest are still told from repetitions. */
const WINDOW = 1024;
/** Senders that are followed. */
const MAX_SENDERS = 1000;

interface Followed extends HeartbeatRun {
  /** A bit for each of the WINDOW numbers up to `highest`, by number modulo WINDOW. */
  seen: Uint32Array;
}

/** Pure: numbers in, counts out. */
export class Heartbeats {
  private readonly runs = new Map<string, Followed>();

  /** The counts of the sender after this one; undefined where there are too many senders, or it is of an older run. */
  take(device: string, h: Heartbeat): HeartbeatRun | undefined {
    const key = `${device}\n${h.sender}`;
    let r = this.runs.get(key);
    if (!r || h.run > r.run) {
      if (!r && this.runs.size >= MAX_SENDERS) return undefined;
      const { sender, run } = h;
      r = { device, sender, run, received: 0, highest: 0, duplicates: 0, seen: new Uint32Array(WINDOW / 32) };
      this.runs.set(key, r);
    }
    if (h.run < r.run) return undefined;
    const n = h.sequence;
    if (n > r.highest) {
      // The numbers between have not been seen: their places are those of older ones.
      for (let i = Math.max(r.highest + 1, n - WINDOW + 1); i <= n; i++) clear(r.seen, i);
      r.highest = n;
    } else if (n <= r.highest - WINDOW || has(r.seen, n)) {
      r.duplicates++;
      return r;
    }
    r.seen[(n % WINDOW) >> 5] |= 1 << (n & 31);
    r.received++;
    return r;
  }

  list(): HeartbeatRun[] {
    return [...this.runs.values()].map(({ seen: _, ...r }) => r);
  }
}

function has(seen: Uint32Array, n: number): boolean {
  return (seen[(n % WINDOW) >> 5] & (1 << (n & 31))) !== 0;
}

function clear(seen: Uint32Array, n: number): void {
  seen[(n % WINDOW) >> 5] &= ~(1 << (n & 31));
}
