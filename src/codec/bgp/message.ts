/** One BGP message, whichever. */
import type { Buffer } from 'node:buffer';
import { DecodeError, isDecodeError } from '../../core/result.ts';
import {
  MESSAGE_KEEPALIVE,
  MESSAGE_NOTIFICATION,
  MESSAGE_OPEN,
  MESSAGE_ROUTE_REFRESH,
  MESSAGE_UPDATE,
} from './constants.ts';
import { frameBgp } from './frame.ts';
import { finishMessage, startMessage } from './header.ts';
import { decodeNotification } from './notification.ts';
import { decodeOpen } from './open.ts';
import { decodeRouteRefresh } from './route-refresh.ts';
import type { BgpContext, BgpMessage } from './types.ts';
import { decodeUpdate } from './update.ts';

/** What holds before the OPENs agreed on anything. */
export const INITIAL_CONTEXT: BgpContext = { as4: false, addPath: new Set(), extendedMessage: false };

/** `buf` holds exactly one message with its header. Never throws. */
export function decodeBgp(buf: Buffer, ctx: BgpContext): BgpMessage | DecodeError {
  const length = frameBgp(buf, 0, buf.length, ctx.extendedMessage);
  if (isDecodeError(length)) return length;
  if (length === 0 || length > buf.length) return new DecodeError('truncated', buf.length, 'bgp.header');
  if (length < buf.length) return new DecodeError('trailing', length, 'bgp.header');
  switch (buf[18]) {
    case MESSAGE_OPEN:
      return decodeOpen(buf);
    case MESSAGE_UPDATE:
      return decodeUpdate(buf, ctx);
    case MESSAGE_NOTIFICATION:
      return decodeNotification(buf);
    case MESSAGE_KEEPALIVE:
      return { kind: 'keepalive' };
    case MESSAGE_ROUTE_REFRESH:
      return decodeRouteRefresh(buf);
    default:
      return new DecodeError('unsupported', 18, 'bgp.header');
  }
}

/** RFC 4271 section 4.4. */
export function encodeKeepalive(): Buffer {
  return finishMessage(startMessage(MESSAGE_KEEPALIVE));
}
