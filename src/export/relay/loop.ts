/**
 * What keeps relays from sending in a circle.
 *
 * An encoded notification carries a mark of each relay (encode.ts); ours is an address of 240.0.0.0/4, which no host has, made from site and
 * node. Raw bytes carry nothing, so they are remembered: equal bytes from another source have come round, and equal bytes from the same source
 * more than a few times within seconds do so through workers that do not know of each other.
 */
import { createHash } from 'node:crypto';

/** The mark of a node, as dotted text. */
export function markOf(site: string, node: string): string {
  const b = createHash('sha256').update(`tidegate relay\n${site}\n${node}`).digest();
  return `${240 | (b[0] & 0x0f)}.${b[1]}.${b[2]}.${b[3]}`;
}

const REMEMBERED = 65_536;
const REMEMBER_MS = 300_000;
/** Equal bytes of one source within BURST_MS that are still believed: agents repeat themselves. */
const BURST = 8;
const BURST_MS = 10_000;

interface Seen {
  source: string;
  at: number;
  since: number;
  count: number;
}

export class RawMemory {
  private readonly seen = new Map<string, Seen>();
  private readonly limit: number;

  constructor(limit = REMEMBERED) {
    this.limit = limit;
  }

  /** True where these bytes have been relayed already. `now`: monotonic milliseconds. */
  looped(raw: Uint8Array, source: string, now: number): boolean {
    const key = createHash('sha256').update(raw).digest('latin1');
    const s = this.seen.get(key);
    if (s === undefined || now - s.at > REMEMBER_MS) {
      this.seen.delete(key);
      if (this.seen.size >= this.limit) this.seen.delete(this.seen.keys().next().value!);
      this.seen.set(key, { source, at: now, since: now, count: 1 });
      return false;
    }
    if (s.source !== source) return true;
    s.at = now;
    if (now - s.since > BURST_MS) {
      s.since = now;
      s.count = 0;
    }
    return ++s.count > BURST;
  }
}
