/**
 * BGP message header, RFC 4271 section 4.1.
 *
 *  +-------------------------------+
 *  | Marker: 16 bytes of 0xff      |
 *  +---------------+-------+-------+
 *  | Length u16    | Type u8       |   Length counts the header: 19..4096, or 65535 with RFC 8654
 *  +---------------+---------------+
 */
import type { Buffer } from 'node:buffer';
import { DecodeError } from '../../core/result.ts';
import type { FrameResult } from '../stream.ts';
import {
  BGP_EXTENDED_MAX_LENGTH,
  BGP_HEADER_LENGTH,
  BGP_MAX_LENGTH,
  MESSAGE_KEEPALIVE,
  MESSAGE_OPEN,
  MESSAGE_ROUTE_REFRESH,
} from './constants.ts';

/** RFC 4271 4.2-4.6 and 2918: the least length of each type, by type. */
const MIN_LENGTH = [0, 29, 23, 21, 19, 23];

/**
 * The length of the message that begins at `pos`, 0 where more bytes are needed to know, or why this is no BGP message.
 * A positive answer may exceed `end - pos`: the message is then incomplete. Marker errors are found at the first wrong byte.
 */
export function frameBgp(buf: Buffer, pos: number, end: number, extendedMessage = false): FrameResult {
  const seen = Math.min(16, end - pos);
  for (let i = 0; i < seen; i++) if (buf[pos + i] !== 0xff) return new DecodeError('marker', i, 'bgp.header');
  if (end - pos < BGP_HEADER_LENGTH) return 0;
  const length = (buf[pos + 16] << 8) | buf[pos + 17];
  const type = buf[pos + 18];
  if (length < BGP_HEADER_LENGTH) return new DecodeError('length', 16, 'bgp.header');
  if (type < MESSAGE_OPEN || type > MESSAGE_ROUTE_REFRESH) return new DecodeError('unsupported', 18, 'bgp.header');
  if (length < MIN_LENGTH[type] || (type === MESSAGE_KEEPALIVE && length !== BGP_HEADER_LENGTH)) {
    return new DecodeError('length', 16, 'bgp.header');
  }
  // RFC 8654 section 4: OPEN and KEEPALIVE are never extended.
  const max = extendedMessage && type !== MESSAGE_OPEN ? BGP_EXTENDED_MAX_LENGTH : BGP_MAX_LENGTH;
  if (length > max) return new DecodeError('length', 16, 'bgp.header');
  return length;
}

/** The NOTIFICATION (RFC 4271 section 6) that answers a decode error of `frameBgp` or `decodeBgp`. */
export function notificationForError(e: DecodeError): { code: number; subcode: number } {
  switch (e.layer) {
    case 'bgp.header':
      return { code: 1, subcode: e.code === 'marker' ? 1 : e.code === 'unsupported' ? 3 : 2 };
    case 'bgp.open':
      return { code: 2, subcode: e.code === 'version' ? 1 : 0 };
    case 'bgp.route-refresh':
      return { code: 7, subcode: 1 };
    case 'bgp.update':
      return { code: 3, subcode: 1 };
    default:
      return { code: 1, subcode: 2 };
  }
}
