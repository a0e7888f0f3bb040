/**
 * ROUTE-REFRESH, RFC 2918 section 3, RFC 7313 section 3.2.
 *
 *  +---------+------------+---------+
 *  | AFI u16 | subtype u8 | SAFI u8 |   then outbound route filters (RFC 5291), not decoded
 *  +---------+------------+---------+
 */
import { Buffer } from 'node:buffer';
import { BGP_HEADER_LENGTH, MESSAGE_ROUTE_REFRESH } from './constants.ts';
import { finishMessage, startMessage } from './header.ts';
import type { RouteRefreshMessage } from './types.ts';

/** `buf` is one whole message (at least 23 bytes, which `frameBgp` ensures). */
export function decodeRouteRefresh(buf: Buffer): RouteRefreshMessage {
  const at = BGP_HEADER_LENGTH;
  const message: RouteRefreshMessage = {
    kind: 'route-refresh',
    afi: buf.readUInt16BE(at),
    safi: buf[at + 3],
    subtype: buf[at + 2],
  };
  if (buf.length > at + 4) message.orf = buf.toString('hex', at + 4);
  return message;
}

export function encodeRouteRefresh(m: { afi: number; safi: number; subtype?: number; orf?: string }): Buffer {
  const w = startMessage(MESSAGE_ROUTE_REFRESH)
    .u16(m.afi)
    .u8(m.subtype ?? 0)
    .u8(m.safi);
  if (m.orf !== undefined) w.bytes(Buffer.from(m.orf, 'hex'));
  return finishMessage(w);
}
