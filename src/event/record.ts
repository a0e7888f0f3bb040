/**
 * The payload of a spooled record: one event, encoded once, ready for every exporter.
 *
 *  0               1               2               3
 *  +---------------+---------------+-------------------------------+
 *  | type index u8 | flags u8      | subject length u16            |
 *  +---------------+---------------+-------------------------------+
 *  | key length u16                | id length u16                 |
 *  +-------------------------------+-------------------------------+
 *  | key (UTF-8; its first `subject length` bytes are the subject) |
 *  | id (UTF-8)                                                    |
 *  | value: the `data` object as JSON (UTF-8)                      |
 *  +---------------------------------------------------------------+
 *
 * flags: 1 = somebody waits for the exported receipt.
 */
import { Buffer } from 'node:buffer';
import { EVENT_TYPES, type EventType } from './types.ts';

export const RECORD_HEADER = 8;
export const FLAG_WANTS_EXPORTED = 1;

const INDEX = new Map<EventType, number>(EVENT_TYPES.map((t, i) => [t.type, i]));

/** A view of a payload: the slices share the payload's memory. */
export interface EventRecord {
  type: EventType;
  flags: number;
  subject: string;
  key: Buffer;
  id: string;
  value: Buffer;
}

/** The bytes `encodeRecord` will need at most. */
export function recordBound(key: string, id: string, json: string): number {
  return RECORD_HEADER + 3 * (key.length + id.length + json.length);
}

/** Writes a payload at `at` (there must be `recordBound` bytes of room) and returns its length. */
export function encodeRecord(
  out: Buffer,
  at: number,
  type: EventType,
  flags: number,
  subject: string,
  key: string,
  id: string,
  json: string,
): number {
  const keyLength = out.write(key, at + RECORD_HEADER, 'utf8');
  const idLength = out.write(id, at + RECORD_HEADER + keyLength, 'utf8');
  const valueLength = out.write(json, at + RECORD_HEADER + keyLength + idLength, 'utf8');
  out[at] = INDEX.get(type)!;
  out[at + 1] = flags;
  out.writeUInt16BE(subject.length === key.length ? keyLength : Buffer.byteLength(subject), at + 2);
  out.writeUInt16BE(keyLength, at + 4);
  out.writeUInt16BE(idLength, at + 6);
  return RECORD_HEADER + keyLength + idLength + valueLength;
}

/** Undefined where the bytes are no record (an unknown type of a newer version, or lengths that do not fit). */
export function decodeRecord(payload: Buffer): EventRecord | undefined {
  if (payload.length < RECORD_HEADER) return undefined;
  const type = EVENT_TYPES[payload[0]];
  const subjectLength = payload.readUInt16BE(2);
  const keyEnd = RECORD_HEADER + payload.readUInt16BE(4);
  const idEnd = keyEnd + payload.readUInt16BE(6);
  if (!type || idEnd > payload.length || RECORD_HEADER + subjectLength > keyEnd) return undefined;
  return {
    type: type.type,
    flags: payload[1],
    subject: payload.toString('utf8', RECORD_HEADER, RECORD_HEADER + subjectLength),
    key: payload.subarray(RECORD_HEADER, keyEnd),
    id: payload.toString('utf8', keyEnd, idEnd),
    value: payload.subarray(idEnd),
  };
}
