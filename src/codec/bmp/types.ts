/** What the BMP codec gives and takes. Nested BGP messages are views into the message that was decoded. */
import type { Buffer } from 'node:buffer';

export const BMP_VERSION = 3;
export const BMP_HEADER_LENGTH = 6;
export const PEER_HEADER_LENGTH = 42;
/** The default of the longest message taken: a BGP message of 65535 bytes fits many times. */
export const BMP_MAX_LENGTH = 1 << 20;

/** RFC 7854 section 10.1. */
export const BMP_TYPES = [
  'route-monitoring',
  'stats',
  'peer-down',
  'peer-up',
  'initiation',
  'termination',
  'route-mirroring',
] as const;
export type BmpKind = (typeof BMP_TYPES)[number];

/** RFC 7854 section 4.2, RFC 8671 section 4, RFC 9069 section 4.2. */
export const PEER_GLOBAL = 0;
export const PEER_RD = 1;
export const PEER_LOCAL = 2;
export const PEER_LOC_RIB = 3;
export const FLAG_V = 0x80;
export const FLAG_L = 0x40;
export const FLAG_A = 0x20;
export const FLAG_O = 0x10;
/** Loc-RIB only: the same bit as V. */
export const FLAG_F = 0x80;

/** The per-peer header, kept as bytes because most messages only need it as a key; `peerIdentity` makes text of it. */
export interface PeerHeader {
  type: number;
  flags: number;
  /** The 42 bytes, a view. */
  bytes: Buffer;
  /** When the router received it, UTC; both 0 where it does not say. */
  sec: number;
  usec: number;
}

export interface PeerIdentity {
  type: string;
  /** A route distinguisher (`65000:1`), or hex for a local instance; absent where it is 0. */
  distinguisher?: string;
  address: string;
  asn: number;
  bgpId: string;
}

export interface Tlv {
  type: number;
  value: Buffer;
}

export type BmpMessage =
  | { kind: 'route-monitoring'; peer: PeerHeader; pdu: Buffer }
  | { kind: 'stats'; peer: PeerHeader; stats: Stat[] }
  | PeerDown
  | PeerUp
  | { kind: 'initiation'; tlvs: Tlv[] }
  | { kind: 'termination'; tlvs: Tlv[] }
  | { kind: 'route-mirroring'; peer: PeerHeader; tlvs: Tlv[] };

export interface PeerUp {
  kind: 'peer-up';
  peer: PeerHeader;
  localAddress: string;
  localPort: number;
  remotePort: number;
  /** Whole BGP messages as the router sent and received them. */
  sentOpen: Buffer;
  receivedOpen: Buffer;
  tlvs: Tlv[];
}

export interface PeerDown {
  kind: 'peer-down';
  peer: PeerHeader;
  reason: number;
  /** Reasons 1 and 3: the BGP NOTIFICATION. */
  notification?: Buffer;
  /** Reason 2: RFC 4271 section 8.1 event number. */
  fsmEvent?: number;
  /** Reason 6. */
  tlvs?: Tlv[];
}

/** A counter is a number, a 64-bit gauge a decimal string; what has no decoder keeps its value as hex. */
export type Stat = { type: number; name: string } & (
  | { value: number | string; afi?: number; safi?: number }
  | { raw: string }
);
