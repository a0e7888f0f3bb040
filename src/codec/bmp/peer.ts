/**
 * BMP per-peer header, RFC 7854 section 4.2.
 *
 *  +---------+----------+--------------------+--------------+--------+------------+---------+----------+
 *  | type u8 | flags u8 | distinguisher 8 B  | address 16 B | AS u32 | BGP id 4 B | sec u32 | usec u32 |
 *  +---------+----------+--------------------+--------------+--------+------------+---------+----------+
 *  An IPv4 address is in the last four bytes of its field.
 */
import { Buffer } from 'node:buffer';
import type { Reader, Writer } from '../../core/bytes.ts';
import { formatIp, parseIp } from '../../core/ip.ts';
import {
  FLAG_A,
  FLAG_F,
  FLAG_L,
  FLAG_O,
  FLAG_V,
  PEER_GLOBAL,
  PEER_HEADER_LENGTH,
  PEER_LOC_RIB,
  PEER_RD,
  type PeerHeader,
  type PeerIdentity,
} from './types.ts';

const TYPE_NAMES = ['global', 'rd', 'local', 'loc-rib'];

/** Asks `r.failed` afterwards. */
export function readPeerHeader(r: Reader): PeerHeader {
  const bytes = r.bytes(PEER_HEADER_LENGTH);
  if (r.failed) return { type: 0, flags: 0, bytes, sec: 0, usec: 0 };
  return {
    type: bytes[0],
    flags: bytes[1],
    bytes,
    sec: bytes.readUInt32BE(34),
    usec: bytes.readUInt32BE(38),
  };
}

/**
 * The peer within a session: type, distinguisher, address and BGP identifier, never the flags (RFC 8671: one Peer Up serves
 * several views). With `withoutId` the identifier counts as 0.
 */
export function peerKey(peer: PeerHeader, withoutId = false): string {
  const b = peer.bytes;
  return (
    String.fromCharCode(peer.type) +
    b.toString('latin1', 2, 26) +
    (withoutId ? '\0\0\0\0' : b.toString('latin1', 30, 34))
  );
}

/** True where addresses of this header are IPv6. The bit means something else for Loc-RIB, whose address is zero. */
export function isIpv6Peer(peer: PeerHeader): boolean {
  return peer.type !== PEER_LOC_RIB && (peer.flags & FLAG_V) !== 0;
}

/** 16 bytes at `at` as text. */
export function bmpAddress(buf: Buffer, at: number, ipv6: boolean): string {
  return ipv6 ? formatIp(buf, at, 16) : formatIp(buf, at + 12, 4);
}

export function peerIdentity(peer: PeerHeader): PeerIdentity {
  const b = peer.bytes;
  const identity: PeerIdentity = {
    type: TYPE_NAMES[peer.type] ?? String(peer.type),
    address: bmpAddress(b, 10, isIpv6Peer(peer)),
    asn: b.readUInt32BE(26),
    bgpId: formatIp(b, 30, 4),
  };
  const distinguisher = distinguisherText(peer.type, b, 2);
  if (distinguisher !== undefined) identity.distinguisher = distinguisher;
  return identity;
}

/** RFC 4364 section 4.2 text of a route distinguisher; hex for a local instance's own number and unknown kinds. */
function distinguisherText(type: number, b: Buffer, at: number): string | undefined {
  const high = b.readUInt32BE(at);
  const low = b.readUInt32BE(at + 4);
  if (high === 0 && low === 0) return undefined;
  if (type === PEER_RD || type === PEER_LOC_RIB) {
    switch (b.readUInt16BE(at)) {
      case 0:
        return `${b.readUInt16BE(at + 2)}:${low}`;
      case 1:
        return `${formatIp(b, at + 2, 4)}:${b.readUInt16BE(at + 6)}`;
      case 2:
        return `${b.readUInt32BE(at + 2)}:${b.readUInt16BE(at + 6)}`;
    }
  }
  return `0x${b.toString('hex', at, at + 8)}`;
}

/** Which of the router's tables a message speaks of (RFC 7854 4.2, RFC 8671, RFC 9069). */
export type RibView = 'adj-rib-in-pre' | 'adj-rib-in-post' | 'adj-rib-out-pre' | 'adj-rib-out-post' | 'loc-rib';

export function ribView(type: number, flags: number): RibView {
  if (type === PEER_LOC_RIB) return 'loc-rib';
  if ((flags & FLAG_O) !== 0) return (flags & FLAG_L) !== 0 ? 'adj-rib-out-post' : 'adj-rib-out-pre';
  return (flags & FLAG_L) !== 0 ? 'adj-rib-in-post' : 'adj-rib-in-pre';
}

/** What a sender says of a peer. */
export interface PeerInput {
  /** Default: global instance. */
  type?: number;
  /** 16 hex digits. */
  distinguisher?: string;
  address: string;
  asn: number;
  bgpId: string;
  postPolicy?: boolean;
  /** The PDU has two-byte AS numbers. */
  as2?: boolean;
  adjRibOut?: boolean;
  /** Loc-RIB only. */
  filtered?: boolean;
  sec?: number;
  usec?: number;
}

/** Throws RangeError where an address is none. */
export function writePeerHeader(w: Writer, p: PeerInput): void {
  const type = p.type ?? PEER_GLOBAL;
  let flags = 0;
  if (type === PEER_LOC_RIB) flags = p.filtered ? FLAG_F : 0;
  else {
    if (p.address.includes(':')) flags |= FLAG_V;
    if (p.postPolicy) flags |= FLAG_L;
    if (p.as2) flags |= FLAG_A;
    if (p.adjRibOut) flags |= FLAG_O;
  }
  w.u8(type)
    .u8(flags)
    .bytes(Buffer.from(p.distinguisher ?? '0000000000000000', 'hex'));
  writeBmpAddress(w, p.address);
  w.u32(p.asn);
  w.bytes(ipBytes(p.bgpId))
    .u32(p.sec ?? 0)
    .u32(p.usec ?? 0);
}

/** 16 bytes. Throws RangeError where the text is no address. */
export function writeBmpAddress(w: Writer, text: string): void {
  const b = ipBytes(text);
  if (b.length === 4) w.bytes(ZERO_12);
  w.bytes(b);
}

const ZERO_12 = Buffer.alloc(12);

function ipBytes(text: string): Buffer {
  const b = parseIp(text);
  if (!b) throw new RangeError(`not an IP address: ${text}`);
  return b;
}
