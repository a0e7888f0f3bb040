/**
 * NOTIFICATION, RFC 4271 section 4.5; Shutdown Communication, RFC 9003; Hard Reset, RFC 8538.
 *
 *  +---------+------------+------+
 *  | code u8 | subcode u8 | data |   Cease 2 and 4: data is length u8 and UTF-8 text; Cease 9: code, subcode and data of the reason
 *  +---------+------------+------+
 */
import { Buffer } from 'node:buffer';
import type { Writer } from '../../core/bytes.ts';
import { BGP_HEADER_LENGTH, MESSAGE_NOTIFICATION } from './constants.ts';
import { finishMessage, startMessage } from './header.ts';
import type { NotificationMessage } from './types.ts';

const CEASE = 6;
const HARD_RESET = 9;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** `buf` is one whole message (at least 21 bytes, which `frameBgp` ensures). */
export function decodeNotification(buf: Buffer): NotificationMessage {
  const message: NotificationMessage = { kind: 'notification', ...reason(buf.subarray(BGP_HEADER_LENGTH)) };
  const inner = buf.subarray(BGP_HEADER_LENGTH + 2);
  if (message.code === CEASE && message.subcode === HARD_RESET && inner.length >= 2) message.wrapped = reason(inner);
  return message;
}

/** Code, subcode and data of at least two bytes. */
function reason(b: Buffer): Omit<NotificationMessage, 'kind' | 'wrapped'> {
  const data = b.subarray(2);
  const text = shutdownText(b[0], b[1], data);
  return { code: b[0], subcode: b[1], data: data.toString('hex'), ...(text !== undefined && { text }) };
}

function carriesText(code: number, subcode: number): boolean {
  return code === 6 && (subcode === 2 || subcode === 4);
}

function shutdownText(code: number, subcode: number, data: Buffer): string | undefined {
  if (!carriesText(code, subcode) || data.length < 2 || data[0] === 0 || data[0] >= data.length) return undefined;
  try {
    return utf8.decode(data.subarray(1, 1 + data[0]));
  } catch {
    return undefined;
  }
}

/**
 * `text` is sent as Shutdown Communication where the code carries one (cut at 255 bytes between characters), else `data` as it is; of a Hard
 * Reset without data what it wraps.
 */
export function encodeNotification(n: {
  code: number;
  subcode: number;
  data?: string;
  text?: string;
  wrapped?: NotificationMessage['wrapped'];
}): Buffer {
  const w = startMessage(MESSAGE_NOTIFICATION);
  if (n.wrapped && (n.data ?? '') === '') {
    w.u8(n.code).u8(n.subcode);
    writeReason(w, n.wrapped);
  } else writeReason(w, n);
  return finishMessage(w);
}

function writeReason(w: Writer, n: { code: number; subcode: number; data?: string; text?: string }): void {
  w.u8(n.code).u8(n.subcode);
  if (n.text === undefined || !carriesText(n.code, n.subcode)) {
    w.bytes(Buffer.from(n.data ?? '', 'hex'));
    return;
  }
  let length = 0;
  let text = '';
  for (const ch of n.text) {
    const bytes = Buffer.byteLength(ch);
    if (length + bytes > 255) break;
    length += bytes;
    text += ch;
  }
  w.u8(length).bytes(Buffer.from(text));
}
