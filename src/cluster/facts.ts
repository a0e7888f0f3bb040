/**
 * What a member says of each VIP address, beside its heartbeats and more seldom: whether it announces it, and when it was last sent something
 * there. One UDP datagram, or several, each of which stands for itself. It goes only to members whose heartbeats say that they read it, so
 * that an older tidegate is not troubled. All numbers in network byte order.
 *
 *   0  magic    4  "TGVF"
 *   4  version  1  1
 *   5  zero     1
 *   6  boot     8  as in the sender's heartbeats
 *  14  sequence 8  rises with every datagram of a boot
 *  22  count    2  and for each address:
 *                 1  family: 4 or 6
 *                 4 or 16  address
 *                 1  state: 0 withdrawn, 1 degraded, 2 announced
 *                 4  seconds since the last packet; all ones: none was seen
 *      HMAC     32  as in heartbeats
 */
import type { Buffer } from 'node:buffer';
import { Reader, Writer } from '../core/bytes.ts';
import { formatIp, parseIp } from '../core/ip.ts';
import { DecodeError } from '../core/result.ts';
import { authentic, MAX_BYTES, type Refused, sign } from './message.ts';

export const FACTS_VERSION = 1;
const MAGIC = 0x54475646;
const MAC_BYTES = 32;
const HEAD = 24;
const NEVER = 0xffffffff;
const STATES = ['withdrawn', 'degraded', 'announced'] as const;

export interface VipFact {
  /** RFC 5952 text without a length. */
  address: string;
  state: (typeof STATES)[number];
  /** Since the last packet; absent: none was seen. */
  seconds?: number;
}

export interface FactsPart {
  boot: number;
  sequence: number;
  vips: VipFact[];
}

/** True for bytes that are no heartbeat but this. */
export function isFacts(bytes: Buffer): boolean {
  return bytes.length >= 4 && bytes.readUInt32BE(0) === MAGIC;
}

/** The datagrams, authenticated with `secret`; `sequence()` numbers each. Empty where there is nothing to say. */
export function encodeFacts(boot: number, sequence: () => number, vips: readonly VipFact[], secret: string): Buffer[] {
  const room = MAX_BYTES - HEAD - MAC_BYTES;
  const parts: Buffer[][] = [];
  let used = room;
  for (const v of vips) {
    const bytes = encodeFact(v);
    if (used + bytes.length > room) {
      parts.push([]);
      used = 0;
    }
    parts[parts.length - 1].push(bytes);
    used += bytes.length;
  }
  return parts.map((facts) => {
    const w = new Writer(MAX_BYTES).u32(MAGIC).u8(FACTS_VERSION).u8(0);
    w.u64(BigInt(boot)).u64(BigInt(sequence())).u16(facts.length);
    for (const f of facts) w.bytes(f);
    return w.bytes(sign(w.view(), secret)).done();
  });
}

function encodeFact(v: VipFact): Buffer {
  const address = parseIp(v.address)!;
  const seconds = v.seconds === undefined ? NEVER : Math.min(NEVER - 1, Math.max(0, Math.round(v.seconds)));
  const w = new Writer(24).u8(address.length === 4 ? 4 : 6).bytes(address);
  return w.u8(STATES.indexOf(v.state)).u32(seconds).done();
}

/** A received datagram: proved first, then read. Never throws. */
export function openFacts(bytes: Buffer, secrets: readonly string[]): FactsPart | Refused {
  if (!authentic(bytes, secrets))
    return { ok: false, code: 'auth', reason: 'its HMAC is not made with the secret of this cluster' };
  if (bytes[4] > FACTS_VERSION) return { ok: false, code: 'newer-version', reason: `VIP facts of version ${bytes[4]}` };
  const m = decodeFacts(bytes.subarray(0, bytes.length - MAC_BYTES));
  return m instanceof DecodeError
    ? { ok: false, code: 'malformed', reason: `${m.code} at byte ${m.offset}, ${m.layer}` }
    : m;
}

/** The bytes of one datagram without its HMAC. */
export function decodeFacts(bytes: Buffer): FactsPart | DecodeError {
  const r = new Reader(bytes);
  const bad = (code: 'truncated' | 'trailing' | 'value' | 'marker' | 'version', layer: string) =>
    new DecodeError(code, r.pos, layer);
  if (r.u32() !== MAGIC) return bad(r.failed ? 'truncated' : 'marker', 'magic');
  if (r.u8() !== FACTS_VERSION) return bad(r.failed ? 'truncated' : 'version', 'version');
  r.skip(1);
  const [boot, sequence] = [Number(r.u64()), Number(r.u64())];
  const count = r.u16();
  if (r.failed) return bad('truncated', 'header');
  if (!Number.isSafeInteger(boot) || !Number.isSafeInteger(sequence)) return bad('value', 'header');
  const vips: VipFact[] = [];
  for (let i = 0; i < count; i++) {
    const family = r.u8();
    if (family !== 4 && family !== 6) return bad(r.failed ? 'truncated' : 'value', 'vips');
    const address = r.bytes(family === 4 ? 4 : 16);
    const state = STATES[r.u8()];
    const seconds = r.u32();
    if (r.failed) return bad('truncated', 'vips');
    if (state === undefined) return bad('value', 'vips');
    vips.push({ address: formatIp(address), state, ...(seconds !== NEVER && { seconds }) });
  }
  if (r.left > 0) return bad('trailing', 'vips');
  return { boot, sequence, vips };
}
