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
 *  | raw length u16, raw (only where bit 7 of the type is set)     |
 *  | value: the `data` object as JSON (UTF-8)                      |
 *  +---------------------------------------------------------------+
 *
 * flags: 1 = somebody waits for the exported receipt.
 *
 * `raw` is the datagram as it was received, kept where a relay of raw datagrams is configured. It may hold a community, so it goes to such a relay
 * and nowhere else: it is no part of `value`. A reader that does not know of it knows no such type either, and publishes nothing of the record.
 */
import { Buffer } from 'node:buffer';
import { EVENT_TYPES, type EventType } from './types.ts';

export const RECORD_HEADER = 8;
export const FLAG_WANTS_EXPORTED = 1;
/** Of the type octet: a raw datagram stands before the value. */
const HAS_RAW = 0x80;
/** Longer ones (there are none over UDP) are not kept. */
export const MAX_RAW = 65_535;

const INDEX = new Map<EventType, number>(EVENT_TYPES.map((t, i) => [t.type, i]));

/** A view of a payload: the slices share the payload's memory. */
export interface EventRecord {
  type: EventType;
  flags: number;
  subject: string;
  key: Buffer;
  id: string;
  value: Buffer;
  /** The datagram it was made of. A secret may stand in it. */
  raw?: Buffer;
}

/** The bytes `encodeRecord` will need at most. */
export function recordBound(key: string, id: string, json: string, raw?: Uint8Array): number {
  return RECORD_HEADER + 3 * (key.length + id.length + json.length) + (raw === undefined ? 0 : 2 + raw.length);
}

/** Where the value begins in a payload that `encodeRecord` wrote. */
export function valueOffset(payload: Buffer): number {
  const idEnd = RECORD_HEADER + payload.readUInt16BE(4) + payload.readUInt16BE(6);
  return (payload[0] & HAS_RAW) === 0 ? idEnd : idEnd + 2 + payload.readUInt16BE(idEnd);
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
  raw?: Uint8Array,
): number {
  const keyLength = out.write(key, at + RECORD_HEADER, 'utf8');
  const idLength = out.write(id, at + RECORD_HEADER + keyLength, 'utf8');
  let valueAt = at + RECORD_HEADER + keyLength + idLength;
  out[at] = INDEX.get(type)!;
  if (raw !== undefined && raw.length <= MAX_RAW) {
    out[at] |= HAS_RAW;
    out.writeUInt16BE(raw.length, valueAt);
    out.set(raw, valueAt + 2);
    valueAt += 2 + raw.length;
  }
  const valueLength = out.write(json, valueAt, 'utf8');
  out[at + 1] = flags;
  out.writeUInt16BE(subject.length === key.length ? keyLength : Buffer.byteLength(subject), at + 2);
  out.writeUInt16BE(keyLength, at + 4);
  out.writeUInt16BE(idLength, at + 6);
  return valueAt + valueLength - at;
}

/** Does somebody wait for the exported receipt of this payload? */
export function wantsExported(payload: Buffer): boolean {
  return payload.length > 1 && (payload[1] & FLAG_WANTS_EXPORTED) !== 0;
}

/** Undefined where the bytes are no record (an unknown type of a newer version, or lengths that do not fit). */
export function decodeRecord(payload: Buffer): EventRecord | undefined {
  if (payload.length < RECORD_HEADER) return undefined;
  const type = EVENT_TYPES[payload[0] & ~HAS_RAW];
  const subjectLength = payload.readUInt16BE(2);
  const keyEnd = RECORD_HEADER + payload.readUInt16BE(4);
  const idEnd = keyEnd + payload.readUInt16BE(6);
  if (!type || idEnd > payload.length || RECORD_HEADER + subjectLength > keyEnd) return undefined;
  let valueAt = idEnd;
  let raw: Buffer | undefined;
  if ((payload[0] & HAS_RAW) !== 0) {
    if (idEnd + 2 > payload.length) return undefined;
    valueAt = idEnd + 2 + payload.readUInt16BE(idEnd);
    if (valueAt > payload.length) return undefined;
    raw = payload.subarray(idEnd + 2, valueAt);
  }
  const record: EventRecord = {
    type: type.type,
    flags: payload[1],
    subject: payload.toString('utf8', RECORD_HEADER, RECORD_HEADER + subjectLength),
    key: payload.subarray(RECORD_HEADER, keyEnd),
    id: payload.toString('utf8', keyEnd, idEnd),
    value: payload.subarray(valueAt),
  };
  if (raw) record.raw = raw;
  return record;
}
