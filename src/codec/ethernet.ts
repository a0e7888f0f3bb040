/**
 * Ethernet II header, IEEE 802.3 clause 3 (the EtherType form). No VLAN tag: the kernel takes it off before a packet socket sees the frame.
 *
 *  +------------------+-------------+----------------+
 *  | destination 6 B  | source 6 B  | EtherType u16  |
 *  +------------------+-------------+----------------+
 *
 * A hardware address is text everywhere: six lower-case octets with colons.
 */
import type { Buffer } from 'node:buffer';

export const ETHERNET_HEADER = 14;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;
export const BROADCAST_MAC = 'ff:ff:ff:ff:ff:ff';
export const ZERO_MAC = '00:00:00:00:00:00';

/** Text of the six octets at `at`. */
export function formatMac(b: Uint8Array, at = 0): string {
  let text = '';
  for (let i = 0; i < 6; i++) text += `${i === 0 ? '' : ':'}${b[at + i].toString(16).padStart(2, '0')}`;
  return text;
}

/** Writes a hardware address at `at`; what is no address is written as zeros. */
export function writeMac(b: Buffer, at: number, mac: string): void {
  const parts = mac.split(':');
  for (let i = 0; i < 6; i++) b[at + i] = Number.parseInt(parts[i] ?? '0', 16) || 0;
}

export function writeEthernet(b: Buffer, destination: string, source: string, etherType: number): void {
  writeMac(b, 0, destination);
  writeMac(b, 6, source);
  b.writeUInt16BE(etherType, 12);
}

/** RFC 2464 section 7: the hardware address of an IPv6 multicast group. */
export function ipv6MulticastMac(group: Uint8Array): string {
  let text = '33:33';
  for (let i = 12; i < 16; i++) text += `:${group[i].toString(16).padStart(2, '0')}`;
  return text;
}
