/**
 * Neighbor Solicitation and Neighbor Advertisement, RFC 4861 sections 4.3, 4.4 and 7.1, in IPv6 (RFC 8200) over Ethernet (RFC 2464).
 *
 *  | Ethernet 14 B | IPv6 header 40 B: next header 58, hop limit 255 | ICMPv6 |
 *
 *  +----------+-----------+---------------+
 *  | type u8  | code u8=0 | checksum u16  |    over the pseudo header of RFC 8200 section 8.1
 *  +----------+-----------+---------------+
 *  | NS (135): reserved u32               |    NA (136): R, S, O bits from the left, the rest reserved
 *  | target address 16 B                  |
 *  | options: type u8, length u8 in units of 8 B (not 0), 1 source and 2 target link-layer address |
 *  +--------------------------------------+
 */
import { Buffer } from 'node:buffer';
import { formatIp, parseIp } from '../../core/ip.ts';
import { DecodeError } from '../../core/result.ts';
import { ETHERNET_HEADER, ETHERTYPE_IPV6, formatMac, ipv6MulticastMac, writeEthernet, writeMac } from '../ethernet.ts';
import { transportChecksum } from '../internet-checksum.ts';

export const ICMPV6 = 58;
export const NEIGHBOR_SOLICITATION = 135;
export const NEIGHBOR_ADVERTISEMENT = 136;
export const ALL_NODES = 'ff02::1';

const IPV6_HEADER = 40;
const ICMP_AT = ETHERNET_HEADER + IPV6_HEADER;
const FIXED = 24;
const SOURCE_LINK_LAYER = 1;
const TARGET_LINK_LAYER = 2;

interface Common {
  target: string;
  /** `::` in a solicitation of duplicate address detection. */
  source: string;
  destination: string;
  ethernetSource: string;
  ethernetDestination: string;
}

export interface NeighborSolicitation extends Common {
  kind: 'solicitation';
  /** Source link-layer address option. */
  sourceMac?: string;
}

export interface NeighborAdvertisement extends Common {
  kind: 'advertisement';
  router: boolean;
  solicited: boolean;
  override: boolean;
  /** Target link-layer address option. */
  targetMac?: string;
}

/** JSON-able. Addresses as RFC 5952 text, hardware addresses as `02:00:00:00:00:01`. */
export type NdpFrame = NeighborSolicitation | NeighborAdvertisement;

/** Decodes a frame that begins with its Ethernet header and checks all that RFC 4861 section 7.1 demands, hop limit and checksum included. */
export function decodeNdp(frame: Buffer): NdpFrame | DecodeError {
  if (frame.length < ICMP_AT) return new DecodeError('truncated', frame.length, 'ipv6');
  if (frame.readUInt16BE(12) !== ETHERTYPE_IPV6) return new DecodeError('marker', 12, 'ethernet');
  if (frame[14] >> 4 !== 6) return new DecodeError('version', 14, 'ipv6');
  // An extension header or fragment: RFC 6980 forbids the latter, and nobody sends the former.
  if (frame[20] !== ICMPV6) return new DecodeError('unsupported', 20, 'ipv6');
  if (frame[21] !== 255) return new DecodeError('value', 21, 'ipv6.hop-limit');
  const end = ICMP_AT + frame.readUInt16BE(18);
  if (end > frame.length) return new DecodeError('truncated', frame.length, 'ipv6');
  if (end - ICMP_AT < FIXED) return new DecodeError('length', 18, 'icmpv6');
  const type = frame[ICMP_AT];
  if (type !== NEIGHBOR_SOLICITATION && type !== NEIGHBOR_ADVERTISEMENT)
    return new DecodeError('unsupported', ICMP_AT, 'icmpv6');
  if (frame[ICMP_AT + 1] !== 0) return new DecodeError('value', ICMP_AT + 1, 'icmpv6');
  const source = frame.subarray(22, 38);
  const destination = frame.subarray(38, 54);
  if (transportChecksum(source, destination, ICMPV6, frame.subarray(ICMP_AT, end)) !== 0)
    return new DecodeError('value', ICMP_AT + 2, 'icmpv6.checksum');
  const target = frame.subarray(ICMP_AT + 8, ICMP_AT + 24);
  if (target[0] === 0xff) return new DecodeError('value', ICMP_AT + 8, 'icmpv6.target');
  const common: Common = {
    target: formatIp(target),
    source: formatIp(source),
    destination: formatIp(destination),
    ethernetSource: formatMac(frame, 6),
    ethernetDestination: formatMac(frame, 0),
  };
  const solicitation = type === NEIGHBOR_SOLICITATION;
  const wanted = solicitation ? SOURCE_LINK_LAYER : TARGET_LINK_LAYER;
  let mac: string | undefined;
  for (let at = ICMP_AT + FIXED; at < end; ) {
    const length = at + 1 < end ? frame[at + 1] * 8 : 0;
    if (length === 0 || at + length > end) return new DecodeError('length', at, 'icmpv6.option');
    if (frame[at] === wanted && length === 8) mac ??= formatMac(frame, at + 2);
    at += length;
  }
  if (solicitation) {
    if (common.source === '::' && (mac !== undefined || !isSolicitedNode(destination)))
      return new DecodeError('value', 22, 'icmpv6.source');
    const ns: NeighborSolicitation = { kind: 'solicitation', ...common };
    if (mac !== undefined) ns.sourceMac = mac;
    return ns;
  }
  const flags = frame[ICMP_AT + 4];
  const solicited = (flags & 0x40) !== 0;
  if (solicited && destination[0] === 0xff) return new DecodeError('value', ICMP_AT + 4, 'icmpv6.flags');
  const na: NeighborAdvertisement = {
    kind: 'advertisement',
    ...common,
    router: (flags & 0x80) !== 0,
    solicited,
    override: (flags & 0x20) !== 0,
  };
  if (mac !== undefined) na.targetMac = mac;
  return na;
}

/** The whole frame with its checksum. An address that is none is written as zeros. */
export function encodeNdp(f: NdpFrame): Buffer {
  const mac = f.kind === 'solicitation' ? f.sourceMac : f.targetMac;
  const length = FIXED + (mac === undefined ? 0 : 8);
  const b = Buffer.alloc(ICMP_AT + length);
  writeEthernet(b, f.ethernetDestination, f.ethernetSource, ETHERTYPE_IPV6);
  b[14] = 0x60;
  b.writeUInt16BE(length, 18);
  b[20] = ICMPV6;
  b[21] = 255;
  writeIpv6(b, 22, f.source);
  writeIpv6(b, 38, f.destination);
  b[ICMP_AT] = f.kind === 'solicitation' ? NEIGHBOR_SOLICITATION : NEIGHBOR_ADVERTISEMENT;
  if (f.kind === 'advertisement')
    b[ICMP_AT + 4] = (f.router ? 0x80 : 0) | (f.solicited ? 0x40 : 0) | (f.override ? 0x20 : 0);
  writeIpv6(b, ICMP_AT + 8, f.target);
  if (mac !== undefined) {
    b[ICMP_AT + 24] = f.kind === 'solicitation' ? SOURCE_LINK_LAYER : TARGET_LINK_LAYER;
    b[ICMP_AT + 25] = 1;
    writeMac(b, ICMP_AT + 26, mac);
  }
  const sum = transportChecksum(b.subarray(22, 38), b.subarray(38, 54), ICMPV6, b.subarray(ICMP_AT));
  b.writeUInt16BE(sum, ICMP_AT + 2);
  return b;
}

/** ff02::1:ffXX:XXXX of an address (RFC 4291 section 2.7.1). */
export function solicitedNode(ip: string): string {
  const group = parseIp('ff02::1:ff00:0')!;
  parseIp(ip)?.copy(group, 13, 13);
  return formatIp(group);
}

/** "Who has `target`?" from `source`, to its solicited-node group. */
export function neighborSolicitation(mac: string, source: string, target: string): NeighborSolicitation {
  const destination = solicitedNode(target);
  const ns: NeighborSolicitation = {
    kind: 'solicitation',
    target,
    source,
    destination,
    ethernetSource: mac,
    ethernetDestination: ipv6MulticastMac(parseIp(destination)!),
  };
  if (source !== '::') ns.sourceMac = mac;
  return ns;
}

/** Duplicate address detection, RFC 4862 section 5.4.2: asks without an address of its own. */
export function neighborProbe(mac: string, target: string): NeighborSolicitation {
  return neighborSolicitation(mac, '::', target);
}

/**
 * The unsolicited advertisement of RFC 4861 section 7.2.6, to all nodes with Override, so that caches follow at once. `source`: an address
 * of ours; the target itself where we have no other. `to`: one neighbour instead of everybody.
 */
export function unsolicitedAdvertisement(
  mac: string,
  target: string,
  options: { source?: string; router?: boolean; to?: { ip: string; mac: string } } = {},
): NeighborAdvertisement {
  return {
    kind: 'advertisement',
    target,
    source: options.source ?? target,
    destination: options.to?.ip ?? ALL_NODES,
    router: options.router ?? false,
    solicited: false,
    override: true,
    targetMac: mac,
    ethernetSource: mac,
    ethernetDestination: options.to?.mac ?? ipv6MulticastMac(parseIp(ALL_NODES)!),
  };
}

/** The answer to a solicitation; to all nodes where the asker has no address yet (RFC 4861 section 7.2.4). */
export function answerSolicitation(mac: string, ns: NeighborSolicitation, router = false): NeighborAdvertisement {
  const source = ns.target;
  if (ns.source === '::') return unsolicitedAdvertisement(mac, ns.target, { source, router });
  const to = { ip: ns.source, mac: ns.sourceMac ?? ns.ethernetSource };
  return { ...unsolicitedAdvertisement(mac, ns.target, { source, router, to }), solicited: true };
}

function isSolicitedNode(b: Uint8Array): boolean {
  const prefix = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff];
  return prefix.every((v, i) => b[i] === v);
}

function writeIpv6(b: Buffer, at: number, text: string): void {
  const bytes = parseIp(text);
  if (bytes?.length === 16) bytes.copy(b, at);
}
