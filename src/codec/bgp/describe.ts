/** For `tidegate decode bgp`: bytes of one or more messages as JSON-able descriptions. */
import type { Buffer } from 'node:buffer';
import { type DecodeError, isDecodeError } from '../../core/result.ts';
import { notificationCodeName, notificationSubcodeName } from './constants.ts';
import { frameBgp } from './frame.ts';
import { decodeBgp } from './message.ts';
import { negotiate } from './negotiate.ts';
import type { BgpContext, BgpMessage, OpenMessage } from './types.ts';

export type Described =
  | { ok: true; message: object }
  | { ok: false; error: { code: string; offset: number; layer: string } };

export interface DescribeBgpOptions {
  /** Default true: four-byte AS numbers, as on any session of today. */
  as4?: boolean;
  /** `afi/safi` with path identifiers. */
  addPath?: readonly string[];
}

/**
 * Every message of `bytes` in turn; ends at the first that loses the framing. Two OPENs in the bytes are taken as the two sides of
 * one session: what follows is read as they agreed, unless the options say otherwise.
 */
export function describeBgp(bytes: Buffer, options: DescribeBgpOptions = {}): Described[] {
  let ctx: BgpContext = {
    as4: options.as4 ?? true,
    addPath: new Set(options.addPath ?? []),
    extendedMessage: true,
  };
  const opens: OpenMessage[] = [];
  const out: Described[] = [];
  for (let pos = 0; pos < bytes.length; ) {
    const length = frameBgp(bytes, pos, bytes.length, true);
    if (isDecodeError(length)) {
      out.push(refused(length, pos));
      break;
    }
    const end = length === 0 || length > bytes.length - pos ? bytes.length : pos + length;
    const message = decodeBgp(bytes.subarray(pos, end), ctx);
    out.push(isDecodeError(message) ? refused(message, pos) : { ok: true, message: describeBgpMessage(message) });
    if (!isDecodeError(message) && message.kind === 'open' && opens.push(message) === 2) {
      const n = negotiate(opens[0], opens[1]);
      ctx = {
        as4: options.as4 ?? n.as4,
        addPath: options.addPath ? ctx.addPath : new Set([...n.addPathReceive, ...n.addPathSend]),
        extendedMessage: true,
      };
    }
    pos = end;
  }
  return out;
}

/** A decoded message, a NOTIFICATION with the names of its codes. */
export function describeBgpMessage(m: BgpMessage): object {
  if (m.kind !== 'notification') return m;
  return { ...m, name: notificationCodeName(m.code), subname: notificationSubcodeName(m.code, m.subcode) };
}

/** An error as `decode` prints it; `base` is where the message begins in the input. */
export function refused(e: DecodeError, base: number): Described {
  return { ok: false, error: { code: e.code, offset: base + e.offset, layer: e.layer } };
}
