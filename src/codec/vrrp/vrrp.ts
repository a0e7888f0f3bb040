/**
 * VRRP advertisements: version 2 (RFC 3768 section 5), version 3 (RFC 9568 section 5, before it RFC 5798). IP protocol 112.
 *
 *  version 2, IPv4 only                                version 3, IPv4 and IPv6
 *  +------------+---------+-------------+-----------+  +------------+---------+-------------+-----------+
 *  | 2 | type 1 | VRID u8 | priority u8 | count u8  |  | 3 | type 1 | VRID u8 | priority u8 | count u8  |
 *  +------------+---------+-------------+-----------+  +------------+---------+-------------+-----------+
 *  | auth type  | interval u8, s | checksum u16     |  | 0 u4 | interval u12, 1/100 s | checksum u16    |
 *  +------------+----------------+------------------+  +------+-----------------------+-----------------+
 *  | count × address 4 B                            |  | count × address, 4 B or 16 B                   |
 *  +------------------------------------------------+  +------------------------------------------------+
 *  | authentication data 8 B, zero                  |
 *  +------------------------------------------------+
 *
 * The length is exact: nothing may follow. The checksum of version 2 is over the message alone; of version 3 over IPv6 with the pseudo
 * header of RFC 8200. Of version 3 over IPv4 there are two dialects, and both are read:
 *
 *  pseudo-header  with a pseudo header, as most open implementations understood RFC 5798
 *  rfc9568        over the message alone, as RFC 9568 section 5.2.8 and some vendors
 *  old-unicast    read only: with a pseudo header in which the multicast group stands although the packet was sent to a host
 */
import { Buffer } from 'node:buffer';
import { formatIp, parseIp } from '../../core/ip.ts';
import { DecodeError } from '../../core/result.ts';
import { foldSum, onesSum } from '../internet-checksum.ts';

export const VRRP_PROTOCOL = 112;
export const VRRP_GROUP_IPV4 = '224.0.0.18';
export const VRRP_GROUP_IPV6 = 'ff02::12';
/** RFC 9568 section 5.2.4: the active router gives up. */
export const PRIORITY_RELEASE = 0;
/** The router owns the addresses. */
export const PRIORITY_OWNER = 255;
/** Centiseconds that the twelve bits of version 3 hold. */
export const MAX_INTERVAL_V3 = 4095;

const HEADER = 8;
const AUTH_DATA = 8;
const GROUP = parseIp(VRRP_GROUP_IPV4)!;

export type VrrpChecksum = 'pseudo-header' | 'rfc9568';

/** JSON-able. */
export interface VrrpAdvert {
  version: 2 | 3;
  vrid: number;
  priority: number;
  /** Centiseconds; of version 2 always whole seconds. */
  interval: number;
  /** RFC 5952 text, in the order of the message. */
  addresses: string[];
}

export interface ReceivedAdvert extends VrrpAdvert {
  /** Which dialect the checksum followed; `plain` where there is but one. */
  checksum: VrrpChecksum | 'old-unicast' | 'plain';
}

/** Decodes what follows the IP header. `source` and `destination` are those of the packet, 4 or 16 bytes both. */
export function decodeVrrp(b: Buffer, source: Uint8Array, destination: Uint8Array): ReceivedAdvert | DecodeError {
  if (b.length < HEADER) return new DecodeError('truncated', b.length, 'vrrp');
  const version = b[0] >> 4;
  if (version !== 2 && version !== 3) return new DecodeError('version', 0, 'vrrp');
  const width = source.length;
  // RFC 9568 section 4: version 2 knows no IPv6.
  if (version === 2 && width !== 4) return new DecodeError('version', 0, 'vrrp');
  if ((b[0] & 15) !== 1) return new DecodeError('unsupported', 0, 'vrrp.type');
  if (b[1] === 0) return new DecodeError('value', 1, 'vrrp.vrid');
  const count = b[3];
  if (count === 0) return new DecodeError('value', 3, 'vrrp.count');
  const end = HEADER + count * width;
  const length = version === 2 ? end + AUTH_DATA : end;
  if (b.length < length) return new DecodeError('truncated', b.length, 'vrrp');
  if (b.length > length) return new DecodeError('trailing', length, 'vrrp');
  let interval: number;
  let checksum: ReceivedAdvert['checksum'] | undefined;
  if (version === 2) {
    // RFC 3768 section 5.3.6 knows only 0; the others were taken out because they protected nothing.
    if (b[4] !== 0) return new DecodeError('unsupported', 4, 'vrrp.authentication');
    interval = b[5] * 100;
    if (foldSum(onesSum(b)) === 0) checksum = 'plain';
  } else {
    interval = b.readUInt16BE(4) & 0x0fff;
    checksum = checksumOf(b, source, destination);
  }
  if (checksum === undefined) return new DecodeError('value', 6, 'vrrp.checksum');
  if (interval === 0) return new DecodeError('value', 4, 'vrrp.interval');
  const addresses: string[] = [];
  for (let at = HEADER; at < end; at += width) addresses.push(formatIp(b, at, width as 4 | 16));
  return { version, vrid: b[1], priority: b[2], interval, addresses, checksum };
}

/**
 * The message, to be sent from `source` to `destination` (4 or 16 bytes both). Addresses of another family are left out; an interval that
 * does not fit is the nearest that does.
 */
export function encodeVrrp(a: VrrpAdvert, source: Uint8Array, destination: Uint8Array, dialect: VrrpChecksum): Buffer {
  const width = source.length;
  const addresses = a.addresses.map((t) => parseIp(t)).filter((x) => x?.length === width);
  const count = Math.min(addresses.length, 255);
  const end = HEADER + count * width;
  const b = Buffer.alloc(a.version === 2 ? end + AUTH_DATA : end);
  b[0] = (a.version << 4) | 1;
  b[1] = a.vrid;
  b[2] = a.priority;
  b[3] = count;
  if (a.version === 2) b[5] = Math.min(255, Math.max(1, Math.round(a.interval / 100)));
  else b.writeUInt16BE(Math.min(MAX_INTERVAL_V3, Math.max(1, Math.round(a.interval))), 4);
  for (let i = 0; i < count; i++) addresses[i]!.copy(b, HEADER + i * width);
  const withHeader = a.version === 3 && (width === 16 || dialect === 'pseudo-header');
  b.writeUInt16BE(foldSum(onesSum(b, withHeader ? pseudoHeader(source, destination, b.length) : 0)), 6);
  return b;
}

function checksumOf(b: Buffer, source: Uint8Array, destination: Uint8Array): ReceivedAdvert['checksum'] | undefined {
  const sum = onesSum(b);
  if (foldSum(sum + pseudoHeader(source, destination, b.length)) === 0)
    return source.length === 16 ? 'plain' : 'pseudo-header';
  if (source.length === 16) return undefined;
  if (foldSum(sum) === 0) return 'rfc9568';
  if (destination[0] < 224 && foldSum(sum + pseudoHeader(source, GROUP, b.length)) === 0) return 'old-unicast';
  return undefined;
}

function pseudoHeader(source: Uint8Array, destination: Uint8Array, length: number): number {
  return onesSum(source, onesSum(destination, VRRP_PROTOCOL + length));
}
