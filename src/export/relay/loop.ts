/**
 * What keeps relays from sending in a circle.
 *
 * An encoded notification carries a mark of each relay (encode.ts); ours is an address of 240.0.0.0/4, which no host has, made from site and
 * node. Raw bytes carry nothing, so they are remembered, with who sent them. That equal bytes come from several devices says nothing: all
 * that start at once send the same coldStart. They have come round where
 *
 *   - they come from a peer (a target, a member of the cluster, ourselves) and came from somebody else before; or
 *   - one source sends more copies of them than a burst explains. A circle through relays that are no peers ends that way: for a source that
 *     was not the first to send them copies count nearly for ever.
 */
import { createHash } from 'node:crypto';

/** The mark of a node, as dotted text. */
export function markOf(site: string, node: string): string {
  const b = createHash('sha256').update(`tidegate relay\n${site}\n${node}`).digest();
  return `${240 | (b[0] & 0x0f)}.${b[1]}.${b[2]}.${b[3]}`;
}

export interface RawSource {
  /** RFC 5952 text. */
  address: string;
  port: number;
  /** A target, a member of the cluster or ourselves. */
  peer: boolean;
}

const REMEMBERED = 65_536;
const REMEMBER_MS = 300_000;
/** Equal bytes of one source that are believed at once: agents repeat themselves, and many may stand behind one address. */
const BURST = 32;
/** In so long the source that sent them first may do it again; any other regains one. */
const FIRST_MS = 10_000;
const OTHER_MS = 60_000;

interface Bytes {
  first: string;
  at: number;
}

interface Copies {
  left: number;
  at: number;
}

export class RawMemory {
  private readonly bytes = new Map<string, Bytes>();
  private readonly copies = new Map<string, Copies>();
  private readonly limit: number;

  constructor(limit = REMEMBERED) {
    this.limit = limit;
  }

  /** True where these bytes have been relayed already, and come round. `now`: monotonic milliseconds. */
  looped(raw: Uint8Array, source: RawSource, now: number): boolean {
    // On loopback all have one address, relays and devices: a sender there is known by its port.
    const local = isLoopback(source.address);
    const who = local ? `${source.address} ${source.port}` : source.address;
    const key = createHash('sha256').update(raw).digest('latin1');
    const known = this.bytes.get(key);
    const first = known === undefined || now - known.at > REMEMBER_MS ? who : known.first;
    keep(this.bytes, key, { first, at: now }, this.limit);
    const came = first !== who && source.peer;
    if (came && !local) return true;
    const burst = came ? 1 : BURST;
    const refill = first === who && !source.peer ? BURST / FIRST_MS : came ? 0 : 1 / OTHER_MS;
    const name = key + who;
    const c = this.copies.get(name);
    const left = c === undefined || now - c.at > REMEMBER_MS ? burst : Math.min(burst, c.left + (now - c.at) * refill);
    keep(this.copies, name, { left: left < 1 ? left : left - 1, at: now }, this.limit);
    return left < 1;
  }
}

export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** What was seen last goes last. */
function keep<V>(map: Map<string, V>, key: string, value: V, limit: number): void {
  map.delete(key);
  if (map.size >= limit) map.delete(map.keys().next().value!);
  map.set(key, value);
}
