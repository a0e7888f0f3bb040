/**
 * ARP for IPv4 over Ethernet: RFC 826, conflict detection and announcements RFC 5227, gratuitous forms RFC 5944 section 4.6.
 *
 *  +--------------------+--------------------+-----------+-----------+---------------+
 *  | hardware type u16  | protocol type u16  | hlen u8   | plen u8   | operation u16 |
 *  |        = 1         |     = 0x0800       |   = 6     |   = 4     | 1 req, 2 rep  |
 *  +--------------------+--------------------+-----------+-----------+---------------+
 *  | sender hardware 6 B | sender IPv4 4 B | target hardware 6 B | target IPv4 4 B   |
 *  +---------------------+-----------------+---------------------+-------------------+
 *
 * An Ethernet header stands before it, padding of the sender's choice may follow.
 */
import { Buffer } from 'node:buffer';
import { formatIp, parseIp } from '../../core/ip.ts';
import { DecodeError } from '../../core/result.ts';
import {
  BROADCAST_MAC,
  ETHERNET_HEADER,
  ETHERTYPE_ARP,
  formatMac,
  writeEthernet,
  writeMac,
  ZERO_MAC,
} from '../ethernet.ts';

export const ARP_FRAME_LENGTH = ETHERNET_HEADER + 28;

/** JSON-able. Addresses as text, hardware addresses as `02:00:00:00:00:01`. */
export interface ArpFrame {
  operation: 'request' | 'reply';
  senderMac: string;
  /** `0.0.0.0` in a probe. */
  senderIp: string;
  targetMac: string;
  targetIp: string;
  ethernetSource: string;
  ethernetDestination: string;
}

/** Decodes a frame that begins with its Ethernet header. */
export function decodeArp(frame: Buffer): ArpFrame | DecodeError {
  if (frame.length < ARP_FRAME_LENGTH) return new DecodeError('truncated', frame.length, 'arp');
  if (frame.readUInt16BE(12) !== ETHERTYPE_ARP) return new DecodeError('marker', 12, 'ethernet');
  if (frame.readUInt16BE(14) !== 1) return new DecodeError('unsupported', 14, 'arp');
  if (frame.readUInt16BE(16) !== 0x0800) return new DecodeError('unsupported', 16, 'arp');
  if (frame[18] !== 6) return new DecodeError('length', 18, 'arp');
  if (frame[19] !== 4) return new DecodeError('length', 19, 'arp');
  const operation = frame.readUInt16BE(20);
  if (operation !== 1 && operation !== 2) return new DecodeError('unsupported', 20, 'arp');
  // The low bit of the first octet marks a group: nobody's own address.
  if ((frame[22] & 1) === 1) return new DecodeError('value', 22, 'arp');
  return {
    operation: operation === 1 ? 'request' : 'reply',
    senderMac: formatMac(frame, 22),
    senderIp: formatIp(frame, 28, 4),
    targetMac: formatMac(frame, 32),
    targetIp: formatIp(frame, 38, 4),
    ethernetSource: formatMac(frame, 6),
    ethernetDestination: formatMac(frame, 0),
  };
}

/** The whole frame. An address that is none is written as zeros. */
export function encodeArp(f: ArpFrame): Buffer {
  const b = Buffer.alloc(ARP_FRAME_LENGTH);
  writeEthernet(b, f.ethernetDestination, f.ethernetSource, ETHERTYPE_ARP);
  b.writeUInt16BE(1, 14);
  b.writeUInt16BE(0x0800, 16);
  b[18] = 6;
  b[19] = 4;
  b.writeUInt16BE(f.operation === 'request' ? 1 : 2, 20);
  writeMac(b, 22, f.senderMac);
  writeIpv4(b, 28, f.senderIp);
  writeMac(b, 32, f.targetMac);
  writeIpv4(b, 38, f.targetIp);
  return b;
}

/** "Who has `targetIp`?" to everybody, or to `to` alone. */
export function arpRequest(mac: string, senderIp: string, targetIp: string, to = BROADCAST_MAC): ArpFrame {
  return {
    operation: 'request',
    senderMac: mac,
    senderIp,
    targetMac: ZERO_MAC,
    targetIp,
    ethernetSource: mac,
    ethernetDestination: to,
  };
}

/** "`senderIp` is at `mac`" to one asker. */
export function arpReply(mac: string, senderIp: string, targetMac: string, targetIp: string): ArpFrame {
  return {
    operation: 'reply',
    senderMac: mac,
    senderIp,
    targetMac,
    targetIp,
    ethernetSource: mac,
    ethernetDestination: targetMac,
  };
}

/** RFC 5227 section 1.1: a request without a sender's address changes no cache. */
export function arpProbe(mac: string, ip: string): ArpFrame {
  return arpRequest(mac, '0.0.0.0', ip);
}

/** The announcement of RFC 5227 section 1.1 (request form). `to`: the hardware address of one neighbour instead of everybody. */
export function gratuitousRequest(mac: string, ip: string, to = BROADCAST_MAC): ArpFrame {
  return arpRequest(mac, ip, ip, to);
}

/** The reply form (RFC 5944 section 4.6: the target's hardware address is the one to learn), for neighbours that ignore the other. */
export function gratuitousReply(mac: string, ip: string, to = BROADCAST_MAC): ArpFrame {
  return { ...arpReply(mac, ip, mac, ip), ethernetDestination: to };
}

/** True where sender and target address are the same: an announcement in either form. */
export function isGratuitous(f: ArpFrame): boolean {
  return f.senderIp === f.targetIp;
}

/** True for a probe: somebody wants to take `targetIp`. */
export function isProbe(f: ArpFrame): boolean {
  return f.operation === 'request' && f.senderIp === '0.0.0.0';
}

function writeIpv4(b: Buffer, at: number, text: string): void {
  const bytes = parseIp(text);
  if (bytes?.length === 4) bytes.copy(b, at);
}
