/**
 * NOTIFICATION, RFC 4271 section 4.5; Shutdown Communication, RFC 9003.
 *
 *  +---------+------------+------+
 *  | code u8 | subcode u8 | data |   Cease 2 and 4: data is length u8 and UTF-8 text
 *  +---------+------------+------+
 */
import { Buffer } from 'node:buffer';
import { BGP_HEADER_LENGTH, MESSAGE_NOTIFICATION } from './constants.ts';
import { finishMessage, startMessage } from './header.ts';
import type { NotificationMessage } from './types.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** `buf` is one whole message (at least 21 bytes, which `frameBgp` ensures). */
export function decodeNotification(buf: Buffer): NotificationMessage {
  const code = buf[BGP_HEADER_LENGTH];
  const subcode = buf[BGP_HEADER_LENGTH + 1];
  const data = buf.subarray(BGP_HEADER_LENGTH + 2);
  const message: NotificationMessage = { kind: 'notification', code, subcode, data: data.toString('hex') };
  const text = shutdownText(code, subcode, data);
  if (text !== undefined) message.text = text;
  return message;
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

/** `text` is sent as Shutdown Communication where the code carries one (cut at 255 bytes between characters), else `data` as it is. */
export function encodeNotification(n: { code: number; subcode: number; data?: string; text?: string }): Buffer {
  const w = startMessage(MESSAGE_NOTIFICATION).u8(n.code).u8(n.subcode);
  if (n.text !== undefined && carriesText(n.code, n.subcode)) {
    let length = 0;
    let text = '';
    for (const ch of n.text) {
      const bytes = Buffer.byteLength(ch);
      if (length + bytes > 255) break;
      length += bytes;
      text += ch;
    }
    w.u8(length).bytes(Buffer.from(text));
  } else if (n.data !== undefined) w.bytes(Buffer.from(n.data, 'hex'));
  return finishMessage(w);
}
