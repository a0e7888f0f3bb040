/**
 * BMP version 3, RFC 7854 section 4, with RFC 8671 (Adj-RIB-Out), RFC 9069 (Loc-RIB) and RFC 9736 (Peer Up TLVs).
 * After the common header (frame.ts) and, in all but Initiation and Termination, the per-peer header (peer.ts):
 *
 *  Route Monitoring  a BGP UPDATE
 *  Statistics        count u32, then TLVs
 *  Peer Down         reason u8, then a NOTIFICATION (1, 3), an FSM event u16 (2), nothing (4, 5) or TLVs (6)
 *  Peer Up           local address 16 B, local port u16, remote port u16, sent OPEN, received OPEN, TLVs
 *  Initiation, Termination, Route Mirroring   TLVs
 *  TLV               type u16, length u16, value
 */
import type { Buffer } from 'node:buffer';
import { Reader } from '../../core/bytes.ts';
import { DecodeError, isDecodeError } from '../../core/result.ts';
import { BGP_HEADER_LENGTH, MESSAGE_OPEN } from '../bgp/constants.ts';
import { frameBgp } from '../bgp/frame.ts';
import { bmpFramer } from './frame.ts';
import { STATS } from './names.ts';
import { bmpAddress, isIpv6Peer, readPeerHeader } from './peer.ts';
import { BMP_HEADER_LENGTH, type BmpMessage, type PeerDown, type PeerHeader, type Stat, type Tlv } from './types.ts';

/** More than any router sends; keeps one message from making a hundred thousand objects. */
const MAX_TLVS = 4096;

const unlimited = bmpFramer(0xffffffff);

/** `buf` holds exactly one message with its header. Never throws; the result's buffers are views into `buf`. */
export function decodeBmp(buf: Buffer): BmpMessage | DecodeError {
  const length = unlimited(buf, 0, buf.length);
  if (isDecodeError(length)) return length;
  if (length === 0 || length > buf.length) return new DecodeError('truncated', buf.length, 'bmp.header');
  if (length < buf.length) return new DecodeError('trailing', length, 'bmp.header');
  const type = buf[5];
  const r = new Reader(buf, BMP_HEADER_LENGTH);
  if (type === 4 || type === 5) {
    const tlvs = readTlvs(r);
    if (isDecodeError(tlvs)) return tlvs;
    return { kind: type === 4 ? 'initiation' : 'termination', tlvs };
  }
  if (type > 6) return new DecodeError('unsupported', 5, 'bmp.header');
  const peer = readPeerHeader(r);
  if (r.failed) return new DecodeError('truncated', BMP_HEADER_LENGTH, 'bmp.peer');
  switch (type) {
    case 0:
      return { kind: 'route-monitoring', peer, pdu: r.bytes(r.left) };
    case 1:
      return readStats(r, peer);
    case 2:
      return readPeerDown(r, peer);
    case 3:
      return readPeerUp(r, peer);
    default: {
      const tlvs = readTlvs(r);
      return isDecodeError(tlvs) ? tlvs : { kind: 'route-mirroring', peer, tlvs };
    }
  }
}

function readTlvs(r: Reader): Tlv[] | DecodeError {
  const tlvs: Tlv[] = [];
  while (r.left > 0) {
    const at = r.pos;
    const type = r.u16();
    const value = r.bytes(r.u16());
    if (r.failed) return new DecodeError('truncated', at, 'bmp.tlv');
    if (tlvs.length === MAX_TLVS) return new DecodeError('limit', at, 'bmp.tlv');
    tlvs.push({ type, value });
  }
  return tlvs;
}

function readStats(r: Reader, peer: PeerHeader): BmpMessage | DecodeError {
  const at = r.pos;
  const count = r.u32();
  const tlvs = r.failed ? new DecodeError('truncated', at, 'bmp.stats') : readTlvs(r);
  if (isDecodeError(tlvs)) return tlvs;
  if (tlvs.length !== count) return new DecodeError('length', at, 'bmp.stats');
  return { kind: 'stats', peer, stats: tlvs.map(readStat) };
}

function readStat({ type, value: v }: Tlv): Stat {
  const known = STATS[type];
  const name = known?.name ?? String(type);
  if (known?.form === 'counter' && v.length === 4) return { type, name, value: v.readUInt32BE(0) };
  if (known?.form === 'gauge' && v.length === 8) return { type, name, value: String(v.readBigUInt64BE(0)) };
  if (known?.form === 'family-gauge' && v.length === 11) {
    return { type, name, afi: v.readUInt16BE(0), safi: v[2], value: String(v.readBigUInt64BE(3)) };
  }
  return { type, name, raw: v.toString('hex') };
}

function readPeerDown(r: Reader, peer: PeerHeader): PeerDown | DecodeError {
  const at = r.pos;
  const reason = r.u8();
  if (r.failed) return new DecodeError('truncated', at, 'bmp.peer-down');
  const down: PeerDown = { kind: 'peer-down', peer, reason };
  if (reason === 1 || reason === 3) down.notification = r.bytes(r.left);
  else if (reason === 2) {
    down.fsmEvent = r.u16();
    if (r.failed) return new DecodeError('truncated', at + 1, 'bmp.peer-down');
  } else if (reason === 6) {
    const tlvs = readTlvs(r);
    if (isDecodeError(tlvs)) return tlvs;
    down.tlvs = tlvs;
  }
  return down;
}

function readPeerUp(r: Reader, peer: PeerHeader): BmpMessage | DecodeError {
  const at = r.pos;
  const address = r.bytes(16);
  const localPort = r.u16();
  const remotePort = r.u16();
  if (r.failed) return new DecodeError('truncated', at, 'bmp.peer-up');
  const sentOpen = readPdu(r);
  if (isDecodeError(sentOpen)) return sentOpen;
  const receivedOpen = readPdu(r);
  if (isDecodeError(receivedOpen)) return receivedOpen;
  const tlvs = readTlvs(r);
  if (isDecodeError(tlvs)) return tlvs;
  const localAddress = bmpAddress(address, 0, isIpv6Peer(peer));
  return { kind: 'peer-up', peer, localAddress, localPort, remotePort, sentOpen, receivedOpen, tlvs };
}

/**
 * An OPEN that is a header alone: so FRR says that it has not kept the message (FRRouting pull request 23398). The peer's routes can be read
 * without it.
 */
export function isBareOpen(buf: Buffer, pos: number): boolean {
  return buf.readUInt16BE(pos + 16) === BGP_HEADER_LENGTH && buf[pos + 18] === MESSAGE_OPEN;
}

function readPdu(r: Reader): Buffer | DecodeError {
  const length = frameBgp(r.buf, r.pos, r.end);
  if (isDecodeError(length)) {
    // `length` is found when the marker is right and the header whole.
    if (length.code === 'length' && isBareOpen(r.buf, r.pos)) return r.bytes(BGP_HEADER_LENGTH);
    return new DecodeError(length.code, r.pos + length.offset, length.layer);
  }
  if (length === 0 || length > r.left) return new DecodeError('truncated', r.pos, 'bmp.peer-up');
  return r.bytes(length);
}
