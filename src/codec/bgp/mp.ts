/**
 * MP_REACH_NLRI and MP_UNREACH_NLRI, RFC 4760 sections 3 and 4; next hops of RFC 2545 and RFC 8950.
 *
 *  +---------+---------+--------------------+----------+-------------+------+
 *  | AFI u16 | SAFI u8 | next hop length u8 | next hop | reserved u8 | NLRI |   MP_REACH
 *  +---------+---------+--------------------+----------+-------------+------+
 *  | AFI u16 | SAFI u8 | withdrawn routes                                  |   MP_UNREACH
 *  +---------+---------+---------------------------------------------------+
 */
import { Buffer } from 'node:buffer';
import type { Reader, Writer } from '../../core/bytes.ts';
import { formatIp, parseIp } from '../../core/ip.ts';
import { familyKey } from './constants.ts';
import { readNlri, writeNlri } from './nlri.ts';
import type { BgpContext, MpReach, MpUnreach, Nlri } from './types.ts';

/** What became of a multiprotocol attribute; with `fault` its NLRI cannot be trusted. */
export interface MpResult<T> {
  value: T;
  fault?: string;
}

/** IPv4 and IPv6 unicast: the families whose NLRI are decoded. */
function isUnicast(afi: number, safi: number): boolean {
  return safi === 1 && (afi === 1 || afi === 2);
}

export function readMpReach(r: Reader, ctx: BgpContext): MpResult<MpReach> {
  const afi = r.u16();
  const safi = r.u8();
  const field = r.bytes(r.u8());
  r.skip(1);
  const value: MpReach = { afi, safi, nextHop: [] };
  if (r.failed) return { value, fault: 'MP_REACH_NLRI is too short' };
  const unicast = isUnicast(afi, safi);
  value.nextHop = nextHops(field);
  if (unicast && value.nextHop.length === 0) return { value, fault: `next hop of ${field.length} bytes` };
  if (unicast && afi === 2 && field.length === 4) return { value, fault: 'next hop of 4 bytes' };
  if (!unicast) value.nextHopRaw = field.toString('hex');
  const fault = readRoutes(r, value, unicast, ctx);
  return fault === undefined ? { value } : { value, fault };
}

export function readMpUnreach(r: Reader, ctx: BgpContext): MpResult<MpUnreach> {
  const value: MpUnreach = { afi: r.u16(), safi: r.u8() };
  if (r.failed) return { value, fault: 'MP_UNREACH_NLRI is too short' };
  const fault = readRoutes(r, value, isUnicast(value.afi, value.safi), ctx);
  return fault === undefined ? { value } : { value, fault };
}

function readRoutes(r: Reader, value: MpUnreach, unicast: boolean, ctx: BgpContext): string | undefined {
  if (!unicast) {
    value.raw = r.bytes(r.left).toString('hex');
    return undefined;
  }
  const routes: Nlri[] = [];
  value.routes = routes;
  if (readNlri(r, value.afi === 2, ctx.addPath.has(familyKey(value.afi, value.safi)), routes)) return undefined;
  return 'NLRI is no list of prefixes';
}

/** 4, 16 or 32 bytes, each also behind an 8-byte route distinguisher (RFC 4364, RFC 4659); empty where the length is none of them. */
function nextHops(field: Buffer): string[] {
  switch (field.length) {
    case 4:
      return [formatIp(field, 0, 4)];
    case 12:
      return [formatIp(field, 8, 4)];
    case 16:
      return [formatIp(field, 0, 16)];
    case 24:
      return [formatIp(field, 8, 16)];
    case 32:
      return [formatIp(field, 0, 16), formatIp(field, 16, 16)];
    case 48:
      return [formatIp(field, 8, 16), formatIp(field, 32, 16)];
    default:
      return [];
  }
}

/** Throws RangeError where a next hop is no address. */
export function writeMpReach(w: Writer, mp: MpReach, ctx: BgpContext): void {
  w.u16(mp.afi).u8(mp.safi);
  const field =
    mp.nextHopRaw === undefined ? Buffer.concat(mp.nextHop.map(addressBytes)) : Buffer.from(mp.nextHopRaw, 'hex');
  w.u8(field.length).bytes(field).u8(0);
  writeRoutes(w, mp, ctx);
}

export function writeMpUnreach(w: Writer, mp: MpUnreach, ctx: BgpContext): void {
  w.u16(mp.afi).u8(mp.safi);
  writeRoutes(w, mp, ctx);
}

function writeRoutes(w: Writer, mp: MpUnreach, ctx: BgpContext): void {
  if (mp.raw !== undefined) w.bytes(Buffer.from(mp.raw, 'hex'));
  if (mp.routes) writeNlri(w, mp.routes, mp.afi === 2, ctx.addPath.has(familyKey(mp.afi, mp.safi)));
}

/** The bytes of an address; throws RangeError where the text is none. */
export function addressBytes(text: string): Buffer {
  const b = parseIp(text);
  if (!b) throw new RangeError(`not an IP address: ${text}`);
  return b;
}
