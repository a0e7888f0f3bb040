/**
 * The heartbeat of a cluster: one UDP datagram, or several where the claims do not fit into one. All numbers in network byte order.
 *
 *   0  magic    4  "TGHB"
 *   4  version  1  1
 *   5  flags    1  bit 0: can hold layer-2 addresses; bit 1: leaving, the last one of this sender; bit 2: reads facts.ts; others 0, and not looked at
 *   6  grade    1  0 dead, 1 degraded, 2 full
 *   7  part     1  0 … parts−1
 *   8  parts    1  1 … 255: how many datagrams make this heartbeat
 *   9  zero     1
 *  10  weight   2  1 … 65535
 *  12  boot     8  UTC microseconds at which the sender began; it names this run of it
 *  20  sequence 8  rises with every heartbeat of a boot, equal in all its parts
 *  28  time     8  UTC milliseconds of the sender's clock
 *  36  site     1 + n  length and UTF-8
 *      node     1 + n
 *      heard    1 + 8 n  count, and the boots of the members the sender hears
 *      claims   2 + …  count, and for each:
 *                 1  state: 1 owner, 2 releasing, 3 taking
 *                 1  family: 4 or 6
 *                 4 or 16  address
 *                 4  epoch: how often the address was taken, as far as the sender knows
 *                 6  MAC address of the interface that has it
 *                 8  releasing: boot of the member that is to take it; else 0
 *      HMAC     32  HMAC-SHA-256 with the cluster's secret over all that stands before it
 *
 * Magic, version and the HMAC at the end stay where they are in every version, so that a newer one is recognised, proved and refused by name.
 */
import type { Buffer } from 'node:buffer';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Reader, Writer } from '../core/bytes.ts';
import { formatIp, parseIp } from '../core/ip.ts';
import { DecodeError } from '../core/result.ts';

export const VERSION = 1;
/** No datagram is larger, so that none is fragmented on an Ethernet. */
export const MAX_BYTES = 1400;
export const MAX_HEARD = 64;

const MAGIC = 0x54474842;
const MAC_BYTES = 32;
const GRADES = ['dead', 'degraded', 'full'] as const;
const STATES = ['owner', 'releasing', 'taking'] as const;

export type ClaimState = (typeof STATES)[number];

/** One address a member holds. */
export interface Claim {
  /** RFC 5952 text without a length. */
  address: string;
  state: ClaimState;
  epoch: number;
  /** `02:00:00:00:00:01`. */
  mac: string;
  /** Releasing: boot of the member that is to take it. */
  to?: number;
}

export interface Heartbeat {
  site: string;
  node: string;
  grade: (typeof GRADES)[number];
  weight: number;
  /** Can hold layer-2 addresses: an interface for them is up. */
  fit: boolean;
  leaving: boolean;
  /** It reads what members say of VIPs (facts.ts). */
  facts?: boolean;
  boot: number;
  sequence: number;
  time: number;
  /** Boots of the members the sender hears. */
  heard: number[];
  claims: Claim[];
}

/** One datagram: a heartbeat with some of its claims. */
export interface HeartbeatPart extends Heartbeat {
  part: number;
  parts: number;
}

export type Refused = { ok: false; code: 'auth' | 'newer-version' | 'malformed'; reason: string };

/** The datagrams of a heartbeat, authenticated with `secret`. */
export function encodeHeartbeat(h: Heartbeat, secret: string): Buffer[] {
  const head = encodeHead(h);
  const room = MAX_BYTES - head.length - 2 - MAC_BYTES;
  const parts: Buffer[][] = [[]];
  let used = 0;
  for (const claim of h.claims) {
    const bytes = encodeClaim(claim);
    if (used + bytes.length > room && parts.length < 255) {
      parts.push([]);
      used = 0;
    }
    if (used + bytes.length > room) break;
    parts[parts.length - 1].push(bytes);
    used += bytes.length;
  }
  return parts.map((claims, part) => {
    const w = new Writer(MAX_BYTES).bytes(head).u16(claims.length);
    w.patchU8(7, part).patchU8(8, parts.length);
    for (const c of claims) w.bytes(c);
    return w.bytes(sign(w.view(), secret)).done();
  });
}

function encodeHead(h: Heartbeat): Buffer {
  const w = new Writer(256).u32(MAGIC).u8(VERSION);
  w.u8((h.fit ? 1 : 0) | (h.leaving ? 2 : 0) | (h.facts ? 4 : 0)).u8(GRADES.indexOf(h.grade));
  w.u8(0).u8(1).u8(0).u16(h.weight);
  w.u64(BigInt(h.boot)).u64(BigInt(h.sequence)).u64(BigInt(h.time));
  for (const text of [h.site, h.node]) {
    const bytes = new TextEncoder().encode(text);
    w.u8(bytes.length).bytes(bytes);
  }
  const heard = h.heard.slice(0, MAX_HEARD);
  w.u8(heard.length);
  for (const boot of heard) w.u64(BigInt(boot));
  return w.done();
}

function encodeClaim(c: Claim): Buffer {
  const address = parseIp(c.address)!;
  const w = new Writer(40).u8(STATES.indexOf(c.state) + 1).u8(address.length === 4 ? 4 : 6);
  w.bytes(address).u32(c.epoch);
  for (const octet of c.mac.split(':')) w.u8(Number.parseInt(octet, 16));
  return w.u64(BigInt(c.to ?? 0)).done();
}

export function sign(bytes: Uint8Array, secret: string): Buffer {
  return createHmac('sha256', secret).update(bytes).digest();
}

/** True for bytes that end with their HMAC under one of `secrets`. */
export function authentic(bytes: Buffer, secrets: readonly string[]): boolean {
  if (bytes.length <= MAC_BYTES) return false;
  const end = bytes.length - MAC_BYTES;
  const mac = bytes.subarray(end);
  let good = false;
  for (const secret of secrets) if (timingSafeEqual(sign(bytes.subarray(0, end), secret), mac)) good = true;
  return good;
}

/** A received datagram: proved first, then read. Never throws. */
export function openHeartbeat(bytes: Buffer, secrets: readonly string[]): HeartbeatPart | Refused {
  if (!authentic(bytes, secrets))
    return { ok: false, code: 'auth', reason: 'its HMAC is not made with the secret of this cluster' };
  if (bytes.readUInt32BE(0) === MAGIC && bytes[4] > VERSION) {
    const reason = `heartbeat version ${bytes[4]}, this node understands up to ${VERSION}: upgrade it`;
    return { ok: false, code: 'newer-version', reason };
  }
  const m = decodeHeartbeat(bytes.subarray(0, bytes.length - MAC_BYTES));
  return m instanceof DecodeError
    ? { ok: false, code: 'malformed', reason: `${m.code} at byte ${m.offset}, ${m.layer}` }
    : m;
}

/** The bytes of one datagram without its HMAC. */
export function decodeHeartbeat(bytes: Buffer): HeartbeatPart | DecodeError {
  const r = new Reader(bytes);
  const bad = (code: 'truncated' | 'trailing' | 'value' | 'marker' | 'version' | 'range' | 'limit', layer: string) =>
    new DecodeError(code, r.pos, layer);
  if (r.u32() !== MAGIC) return bad(r.failed ? 'truncated' : 'marker', 'magic');
  if (r.u8() !== VERSION) return bad(r.failed ? 'truncated' : 'version', 'version');
  const flags = r.u8();
  const grade = GRADES[r.u8()];
  const part = r.u8();
  const parts = r.u8();
  r.skip(1);
  const weight = r.u16();
  const [boot, sequence, time] = [u53(r), u53(r), u53(r)];
  if (r.failed) return bad('truncated', 'header');
  if (grade === undefined || parts === 0 || part >= parts || weight === 0) return bad('value', 'header');
  if (boot === undefined || sequence === undefined || time === undefined) return bad('range', 'header');
  const site = name(r);
  const node = name(r);
  if (site === undefined || node === undefined) return bad(r.failed ? 'truncated' : 'value', 'names');
  const heard: number[] = [];
  const count = r.u8();
  if (count > MAX_HEARD) return bad('limit', 'heard');
  for (let i = 0; i < count && !r.failed; i++) {
    const b = u53(r);
    if (b === undefined) return bad('range', 'heard');
    heard.push(b);
  }
  const claims: Claim[] = [];
  const n = r.u16();
  if (r.failed) return bad('truncated', 'heard');
  // Nothing is made for a count that the bytes cannot hold.
  if (n * 24 > r.left) return bad('truncated', 'claims');
  for (let i = 0; i < n; i++) {
    const claim = readClaim(r);
    if (claim === undefined) return bad(r.failed ? 'truncated' : 'value', 'claims');
    claims.push(claim);
  }
  if (r.left > 0) return bad('trailing', 'claims');
  const fit = (flags & 1) !== 0;
  const leaving = (flags & 2) !== 0;
  const facts = (flags & 4) !== 0 && { facts: true };
  return { site, node, grade, weight, fit, leaving, ...facts, boot, sequence, time, heard, claims, part, parts };
}

function readClaim(r: Reader): Claim | undefined {
  const state = STATES[r.u8() - 1];
  const family = r.u8();
  if (state === undefined || (family !== 4 && family !== 6)) return undefined;
  const bytes = r.bytes(family === 4 ? 4 : 16);
  const epoch = r.u32();
  const mac = r.bytes(6);
  const to = u53(r);
  if (r.failed || to === undefined) return undefined;
  const claim: Claim = { address: formatIp(bytes), state, epoch, mac: macText(mac) };
  if (to !== 0) claim.to = to;
  return claim;
}

/** 1 to 63 octets of UTF-8, as the configuration allows them. */
function name(r: Reader): string | undefined {
  const bytes = r.bytes(r.u8());
  const text = bytes.toString('utf8');
  return /^[A-Za-z0-9._-]{1,63}$/.test(text) ? text : undefined;
}

/** A number below 2^53, or undefined. */
function u53(r: Reader): number | undefined {
  const v = r.u64();
  return v <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(v) : undefined;
}

/** `02:00:00:00:00:01` of six bytes. */
export function macText(mac: Uint8Array): string {
  return Array.from(mac, (b) => b.toString(16).padStart(2, '0')).join(':');
}
