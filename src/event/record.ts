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
  raw?: Buffer | undefined;
}

/** The bytes `encodeRecord` will need at most. */
export function recordBound(key: string, id: string, json: string, raw?: Uint8Array): number {
  return RECORD_HEADER + 3 * (key.length + id.length + json.length) + (raw === undefined ? 0 : 2 + raw.length);
}

/**
 * Writes the eight octets in front of a payload whose parts are written: lengths in octets. `index`: of the type in EVENT_TYPES; `raw`: a
 * datagram stands before the value.
 */
export function writeRecordHead(
  out: Buffer,
  at: number,
  index: number,
  flags: number,
  subjectLength: number,
  keyLength: number,
  idLength: number,
  raw: boolean,
): void {
  out[at] = index | (raw ? HAS_RAW : 0);
  out[at + 1] = flags;
  out[at + 2] = subjectLength >> 8;
  out[at + 3] = subjectLength;
  out[at + 4] = keyLength >> 8;
  out[at + 5] = keyLength;
  out[at + 6] = idLength >> 8;
  out[at + 7] = idLength;
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
  const keepsRaw = raw !== undefined && raw.length <= MAX_RAW;
  if (keepsRaw) {
    out.writeUInt16BE(raw.length, valueAt);
    out.set(raw, valueAt + 2);
    valueAt += 2 + raw.length;
  }
  const valueLength = out.write(json, valueAt, 'utf8');
  const subjectLength = subject.length === key.length ? keyLength : Buffer.byteLength(subject);
  writeRecordHead(out, at, INDEX.get(type)!, flags, subjectLength, keyLength, idLength, keepsRaw);
  return valueAt + valueLength - at;
}

/** Does somebody wait for the exported receipt of the payload in bytes[at, end)? */
export function wantsExported(bytes: Buffer, at: number, end: number): boolean {
  return end - at > 1 && (bytes[at + 1] & FLAG_WANTS_EXPORTED) !== 0;
}

/**
 * The payload in bytes[at, end); undefined where it is no record (an unknown type of a newer version, or lengths that do not fit). It shares
 * that memory, and makes views and texts only when they are asked for: an exporter that moves bytes needs none.
 */
export function decodeRecord(bytes: Buffer, at = 0, end: number = bytes.length): SpooledEvent | undefined {
  if (end - at < RECORD_HEADER) return undefined;
  const octet = bytes[at];
  const type = EVENT_TYPES[octet & ~HAS_RAW];
  const subjectEnd = at + RECORD_HEADER + u16(bytes, at + 2);
  const keyEnd = at + RECORD_HEADER + u16(bytes, at + 4);
  const idEnd = keyEnd + u16(bytes, at + 6);
  if (!type || idEnd > end || subjectEnd > keyEnd) return undefined;
  let valueAt = idEnd;
  if ((octet & HAS_RAW) !== 0) {
    if (idEnd + 2 > end) return undefined;
    valueAt = idEnd + 2 + u16(bytes, idEnd);
    if (valueAt > end) return undefined;
  }
  return new SpooledEvent(bytes, at, end, type.type, bytes[at + 1], subjectEnd, keyEnd, idEnd, valueAt);
}

function u16(b: Uint8Array, at: number): number {
  return (b[at] << 8) | b[at + 1];
}

/** An event as it lies in its payload, bytes[at, end): `keyEnd` and the others are offsets in `bytes`. */
export class SpooledEvent implements EventRecord {
  readonly bytes: Buffer;
  readonly at: number;
  readonly end: number;
  readonly type: EventType;
  readonly flags: number;
  readonly subjectEnd: number;
  readonly keyEnd: number;
  readonly idEnd: number;
  readonly valueAt: number;

  constructor(
    bytes: Buffer,
    at: number,
    end: number,
    type: EventType,
    flags: number,
    subjectEnd: number,
    keyEnd: number,
    idEnd: number,
    valueAt: number,
  ) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.type = type;
    this.flags = flags;
    this.subjectEnd = subjectEnd;
    this.keyEnd = keyEnd;
    this.idEnd = idEnd;
    this.valueAt = valueAt;
  }

  /** An event that stands elsewhere, as it would be spooled: its key begins with its subject; without its datagram. */
  static of(r: EventRecord): SpooledEvent {
    if (r instanceof SpooledEvent) return r;
    const idLength = Buffer.byteLength(r.id);
    const keyEnd = RECORD_HEADER + r.key.length;
    const idEnd = keyEnd + idLength;
    const payload = Buffer.allocUnsafe(idEnd + r.value.length);
    const subjectLength = Buffer.byteLength(r.subject);
    writeRecordHead(payload, 0, INDEX.get(r.type)!, r.flags, subjectLength, r.key.length, idLength, false);
    payload.set(r.key, RECORD_HEADER);
    payload.write(r.id, keyEnd, 'utf8');
    payload.set(r.value, idEnd);
    const subjectEnd = RECORD_HEADER + subjectLength;
    return new SpooledEvent(payload, 0, payload.length, r.type, r.flags, subjectEnd, keyEnd, idEnd, idEnd);
  }

  get subject(): string {
    return this.bytes.toString('utf8', this.at + RECORD_HEADER, this.subjectEnd);
  }

  get key(): Buffer {
    return this.bytes.subarray(this.at + RECORD_HEADER, this.keyEnd);
  }

  get id(): string {
    return this.bytes.toString('utf8', this.keyEnd, this.idEnd);
  }

  get value(): Buffer {
    return this.bytes.subarray(this.valueAt, this.end);
  }

  get raw(): Buffer | undefined {
    return this.valueAt === this.idEnd ? undefined : this.bytes.subarray(this.idEnd + 2, this.valueAt);
  }
}

/** A copy with memory of its own, or with another value. It has no datagram: that is not for those who keep or convert events. */
export function copyEvent(r: EventRecord, value: Buffer = Buffer.from(r.value)): EventRecord {
  return { type: r.type, flags: r.flags, subject: r.subject, key: Buffer.from(r.key), id: r.id, value };
}
