/**
 * Capture files, for `tidegate decode`: classic pcap (both byte orders, microseconds and nanoseconds) and the enhanced packet
 * blocks of pcapng. What is taken out of a frame is the payload of UDP, or of a TCP segment.
 *
 *   pcap:    magic u32 | version 2×u16 | zone i32 | sigfigs u32 | snaplen u32 | link type u32 | { sec u32 | frac u32 | kept u32 | length u32 | bytes }…
 *   pcapng:  { block type u32 | length u32 | body | length u32 }…   (section 0x0a0d0d0a, interface 1, enhanced packet 6)
 */
import type { Buffer } from 'node:buffer';
import { formatIp } from '../core/ip.ts';
import { DecodeError } from '../core/result.ts';

export interface CapturedPayload {
  /** Number of the frame in the file, from 1. */
  frame: number;
  protocol: 'udp' | 'tcp';
  source: string;
  sourcePort: number;
  destination: string;
  destinationPort: number;
  /** TCP only. */
  seq: number;
  payload: Buffer;
}

const MAX_FRAME = 256 * 1024;

/** True where the bytes begin like a capture file. */
export function isCapture(b: Buffer): boolean {
  if (b.length < 24) return false;
  const magic = b.readUInt32BE(0);
  return [0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a].includes(magic);
}

/** All UDP and TCP payloads of a capture, in file order. A frame that is cut or not IP is passed over. */
export function readCapture(b: Buffer): CapturedPayload[] | DecodeError {
  if (!isCapture(b)) return new DecodeError('marker', 0, 'pcap');
  return b.readUInt32BE(0) === 0x0a0d0d0a ? readBlocks(b) : readClassic(b);
}

function readClassic(b: Buffer): CapturedPayload[] | DecodeError {
  const magic = b.readUInt32BE(0);
  const little = magic === 0xd4c3b2a1 || magic === 0x4d3cb2a1;
  const u32 = (at: number): number => (little ? b.readUInt32LE(at) : b.readUInt32BE(at));
  const link = u32(20) & 0xffff;
  const out: CapturedPayload[] = [];
  let at = 24;
  for (let frame = 1; at + 16 <= b.length; frame++) {
    const kept = u32(at + 8);
    if (kept > MAX_FRAME || at + 16 + kept > b.length) return new DecodeError('length', at + 8, 'pcap record');
    const p = payloadOf(b.subarray(at + 16, at + 16 + kept), link, frame);
    if (p) out.push(p);
    at += 16 + kept;
  }
  return out;
}

function readBlocks(b: Buffer): CapturedPayload[] | DecodeError {
  const little = b.readUInt32LE(8) === 0x1a2b3c4d;
  const u32 = (at: number): number => (little ? b.readUInt32LE(at) : b.readUInt32BE(at));
  const u16 = (at: number): number => (little ? b.readUInt16LE(at) : b.readUInt16BE(at));
  const links: number[] = [];
  const out: CapturedPayload[] = [];
  let frame = 0;
  for (let at = 0; at + 12 <= b.length; ) {
    const type = u32(at);
    const length = u32(at + 4);
    if (length < 12 || length % 4 !== 0 || at + length > b.length)
      return new DecodeError('length', at + 4, 'pcapng block');
    if (type === 1 && length >= 20) links.push(u16(at + 8));
    if (type === 6 && length >= 32) {
      frame++;
      const kept = u32(at + 20);
      if (at + 28 + kept > at + length) return new DecodeError('length', at + 20, 'pcapng packet');
      const p = payloadOf(b.subarray(at + 28, at + 28 + kept), links[u32(at + 8)] ?? -1, frame);
      if (p) out.push(p);
    }
    at += length;
  }
  return out;
}

/** Link types: 0 and 108 loopback, 1 Ethernet (with VLAN tags), 12, 14 and 101 raw IP, 113 and 276 Linux "any". */
function networkOffset(f: Buffer, link: number): number {
  if (link === 0 || link === 108) return 4;
  if (link === 12 || link === 14 || link === 101 || link === 228 || link === 229) return 0;
  if (link === 113) return 16;
  if (link === 276) return 20;
  if (link !== 1) return -1;
  let at = 12;
  while (at + 2 <= f.length && [0x8100, 0x88a8, 0x9100].includes(f.readUInt16BE(at))) at += 4;
  return at + 2;
}

function payloadOf(f: Buffer, link: number, frame: number): CapturedPayload | undefined {
  const at = networkOffset(f, link);
  if (at < 0 || at >= f.length) return undefined;
  const version = f[at] >> 4;
  let protocol: number;
  let start: number;
  let end: number;
  let source: string;
  let destination: string;
  if (version === 4) {
    if (at + 20 > f.length) return undefined;
    // A later fragment has no ports.
    if ((f.readUInt16BE(at + 6) & 0x1fff) !== 0) return undefined;
    protocol = f[at + 9];
    start = at + (f[at] & 0x0f) * 4;
    end = Math.min(f.length, at + f.readUInt16BE(at + 2));
    source = formatIp(f, at + 12, 4);
    destination = formatIp(f, at + 16, 4);
  } else if (version === 6) {
    if (at + 40 > f.length) return undefined;
    protocol = f[at + 6];
    start = at + 40;
    end = Math.min(f.length, start + f.readUInt16BE(at + 4));
    source = formatIp(f, at + 8, 16);
    destination = formatIp(f, at + 24, 16);
  } else return undefined;
  const header = protocol === 17 ? 8 : 20;
  if ((protocol !== 17 && protocol !== 6) || start + header > end) return undefined;
  const body = protocol === 17 ? start + 8 : start + (f[start + 12] >> 4) * 4;
  if (body > end) return undefined;
  return {
    frame,
    protocol: protocol === 17 ? 'udp' : 'tcp',
    source,
    sourcePort: f.readUInt16BE(start),
    destination,
    destinationPort: f.readUInt16BE(start + 2),
    seq: protocol === 6 ? f.readUInt32BE(start + 4) : 0,
    payload: f.subarray(body, end),
  };
}

/** The byte streams of the TCP connections of a capture, each direction on its own: in order, repeated segments once, cut at the first gap. */
export function tcpStreams(
  payloads: readonly CapturedPayload[],
): { source: string; destination: string; frames: number; parts: Buffer[] }[] {
  const flows = new Map<string, CapturedPayload[]>();
  for (const p of payloads) {
    if (p.protocol !== 'tcp' || p.payload.length === 0) continue;
    const key = `${p.source} ${p.sourcePort} ${p.destination} ${p.destinationPort}`;
    const list = flows.get(key);
    if (list) list.push(p);
    else flows.set(key, [p]);
  }
  const out: { source: string; destination: string; frames: number; parts: Buffer[] }[] = [];
  for (const list of flows.values()) {
    const first = list[0].seq;
    const sorted = [...list].sort((a, b) => ((a.seq - first) | 0) - ((b.seq - first) | 0));
    const parts: Buffer[] = [];
    let next = (sorted[0].seq - first) | 0;
    for (const p of sorted) {
      const offset = (p.seq - first) | 0;
      if (offset > next) break;
      if (offset + p.payload.length <= next) continue;
      parts.push(p.payload.subarray(next - offset));
      next = offset + p.payload.length;
    }
    out.push({ source: list[0].source, destination: list[0].destination, frames: list.length, parts });
  }
  return out;
}
