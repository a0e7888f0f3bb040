/**
 * The format of a spool segment, version 1. Pure: bytes in, bytes out. All numbers are big-endian.
 *
 *   segment = header record* [footer]            file name: the segment's number, 12 digits, `.seg`
 *
 * Header: who wrote it and what its first record is called.
 *    0  magic            8 bytes "TIDESEG\n"
 *    8  version          u16   1. The first ten bytes never change their meaning: a newer version is recognised by them
 *   10  header length    u16   L, CRC included
 *   12  class            u8    index in EVENT_CLASSES
 *   13  reserved         u8    0
 *   14  worker           u16
 *   16  boot             u64   UTC microseconds at which the writing process began
 *   24  first seq        u64   the seq of the first record of this segment
 *   32  created          u64   UTC microseconds
 *   40  site length u8, node length u8, site (UTF-8), node (UTF-8)
 *   L-4 crc32            u32   over bytes 0..L-4
 *
 * Record:
 *    0  length           u32   bytes behind the CRC: 16 + payload
 *    4  crc32            u32   over everything behind it, started from the writer's seed (below)
 *    8  seq              u64   rises by one from record to record
 *   16  time             u64   UTC nanoseconds since 1970
 *   24  payload                (event/record.ts)
 *
 * Footer, written when a segment is sealed; a file without one was being written when its process ended:
 *    0  marker           u32   0xffffffff (no record is that long)
 *    4  crc32            u32   over everything behind it
 *    8  version u16, header length u16, class u8, reserved u8, worker u16
 *   16  boot u64, first seq u64, last seq u64 (first seq - 1 where there is no record)
 *   40  count            u32   records
 *   44  digest           u32   over the records' CRCs in order: d = d * 31 + crc, modulo 2^32
 *   48  body             u32   offset of the footer in the file
 *   52  damaged          u32   damaged places known when it was sealed
 *
 * The CRC of a record starts from a seed made of boot, class and worker: bytes of another log, of an earlier use of the disk block,
 * or a record forged inside a payload are not taken for a record of this segment.
 */
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import { crcShort } from './crc.ts';

export const SEGMENT_VERSION = 1;
export const RECORD_HEAD = 24;
export const FOOTER_LENGTH = 56;
/** The longest payload: what one append may take. */
export const MAX_PAYLOAD = 32 * 1024 * 1024;

const MAGIC = Buffer.from('TIDESEG\n', 'latin1');
const HEADER_FIXED = 42;
const MARKER = 0xffffffff;
const TWO32 = 4294967296;

export interface SegmentHeader {
  cls: EventClass;
  worker: number;
  boot: number;
  firstSeq: number;
  /** UTC microseconds. */
  created: number;
  site: string;
  node: string;
}

/** A decoded header; `length` is where the first record begins. */
export type DecodedHeader =
  | { state: 'ok'; header: SegmentHeader; length: number }
  | { state: 'newer'; version: number }
  | { state: 'torn' }
  | { state: 'damaged' };

export interface SegmentFooter {
  cls: EventClass;
  worker: number;
  headerLength: number;
  boot: number;
  firstSeq: number;
  lastSeq: number;
  count: number;
  digest: number;
  body: number;
  damaged: number;
}

function writeU32(buf: Buffer, at: number, v: number): void {
  buf[at] = v >>> 24;
  buf[at + 1] = v >>> 16;
  buf[at + 2] = v >>> 8;
  buf[at + 3] = v;
}

function readU32(buf: Buffer, at: number): number {
  return ((buf[at] << 24) | (buf[at + 1] << 16) | (buf[at + 2] << 8) | buf[at + 3]) >>> 0;
}

/** Numbers up to 2^53 as u64. */
export function writeU64(buf: Buffer, at: number, v: number): void {
  writeU32(buf, at, Math.floor(v / TWO32));
  writeU32(buf, at + 4, v % TWO32);
}

export function readU64(buf: Buffer, at: number): number {
  return readU32(buf, at) * TWO32 + readU32(buf, at + 4);
}

/** sec * 10^9 + nsec as u64 without BigInt: the product is made of two halves that a double holds exactly. */
function writeTime(buf: Buffer, at: number, sec: number, nsec: number): void {
  const high = Math.floor(sec / 65536) * 1e9;
  const low = (high % 65536) * 65536 + (sec % 65536) * 1e9 + nsec;
  writeU32(buf, at, Math.floor(high / 65536) + Math.floor(low / TWO32));
  writeU32(buf, at + 4, low % TWO32);
}

const time = { sec: 0, nsec: 0 };

/** The quotient in doubles is off by one second at most; the low 32 bits tell by how much. */
function readTime(buf: Buffer, at: number): void {
  const low = readU32(buf, at + 4);
  let sec = Math.floor((readU32(buf, at) * TWO32 + low) / 1e9);
  let nsec = (low - Math.imul(sec, 1_000_000_000)) | 0;
  if (nsec < 0) {
    sec--;
    nsec += 1_000_000_000;
  } else if (nsec >= 1_000_000_000) {
    sec++;
    nsec -= 1_000_000_000;
  }
  time.sec = sec;
  time.nsec = nsec;
}

/** Where the CRC of each record of a writer begins. */
export function recordSeed(boot: number, cls: EventClass, worker: number): number {
  const b = Buffer.alloc(11);
  writeU64(b, 0, boot);
  b[8] = EVENT_CLASSES.indexOf(cls);
  b.writeUInt16BE(worker, 9);
  return crc32(b);
}

function cut(text: string): Buffer {
  return Buffer.from(text, 'utf8').subarray(0, 255);
}

/** Site and node are cut at 255 bytes of UTF-8. */
export function encodeSegmentHeader(h: SegmentHeader): Buffer {
  const site = cut(h.site);
  const node = cut(h.node);
  const length = HEADER_FIXED + site.length + node.length + 4;
  const b = Buffer.alloc(length);
  MAGIC.copy(b, 0);
  b.writeUInt16BE(SEGMENT_VERSION, 8);
  b.writeUInt16BE(length, 10);
  b[12] = EVENT_CLASSES.indexOf(h.cls);
  b.writeUInt16BE(h.worker, 14);
  writeU64(b, 16, h.boot);
  writeU64(b, 24, h.firstSeq);
  writeU64(b, 32, h.created);
  b[40] = site.length;
  b[41] = node.length;
  site.copy(b, HEADER_FIXED);
  node.copy(b, HEADER_FIXED + site.length);
  writeU32(b, length - 4, crc32(b.subarray(0, length - 4)));
  return b;
}

/** The most a header of version 1 can be long: what to read to decode one. */
export const MAX_HEADER = HEADER_FIXED + 255 + 255 + 4;

/** `torn`: the bytes end before the header does. `newer`: written by a newer tidegate; leave the file alone. */
export function decodeSegmentHeader(b: Buffer): DecodedHeader {
  const magic = Math.min(b.length, MAGIC.length);
  if (b.compare(MAGIC, 0, magic, 0, magic) !== 0) return { state: 'damaged' };
  if (b.length < 12) return { state: 'torn' };
  const version = b.readUInt16BE(8);
  if (version > SEGMENT_VERSION) return { state: 'newer', version };
  const length = b.readUInt16BE(10);
  if (version === 0 || length < HEADER_FIXED + 4 || length > MAX_HEADER) return { state: 'damaged' };
  if (b.length < length) return { state: 'torn' };
  if (readU32(b, length - 4) !== crc32(b.subarray(0, length - 4))) return { state: 'damaged' };
  const cls = EVENT_CLASSES[b[12]];
  const nodeAt = HEADER_FIXED + b[40];
  if (cls === undefined || nodeAt + b[41] + 4 !== length) return { state: 'damaged' };
  return {
    state: 'ok',
    length,
    header: {
      cls,
      worker: b.readUInt16BE(14),
      boot: readU64(b, 16),
      firstSeq: readU64(b, 24),
      created: readU64(b, 32),
      site: b.toString('utf8', HEADER_FIXED, nodeAt),
      node: b.toString('utf8', nodeAt, nodeAt + b[41]),
    },
  };
}

/** Writes what stands in front of a payload of `length` bytes at `at + RECORD_HEAD`, all but the CRC (seal.ts). No allocation. */
export function writeRecordFront(
  out: Buffer,
  at: number,
  seq: number,
  sec: number,
  nsec: number,
  length: number,
): void {
  writeU32(out, at, 16 + length);
  writeU64(out, at + 8, seq);
  writeTime(out, at + 16, sec, nsec);
}

export function encodeFooter(f: SegmentFooter): Buffer {
  const b = Buffer.alloc(FOOTER_LENGTH);
  writeU32(b, 0, MARKER);
  b.writeUInt16BE(SEGMENT_VERSION, 8);
  b.writeUInt16BE(f.headerLength, 10);
  b[12] = EVENT_CLASSES.indexOf(f.cls);
  b.writeUInt16BE(f.worker, 14);
  writeU64(b, 16, f.boot);
  writeU64(b, 24, f.firstSeq);
  writeU64(b, 32, f.lastSeq);
  writeU32(b, 40, f.count);
  writeU32(b, 44, f.digest);
  writeU32(b, 48, f.body);
  writeU32(b, 52, f.damaged);
  writeU32(b, 4, crc32(b.subarray(8)));
  return b;
}

/** The footer at `at`, or undefined where none stands there. `offset` is the file offset of `at`: a footer knows where it belongs. */
export function decodeFooter(b: Buffer, at: number, offset: number): SegmentFooter | undefined {
  if (b.length - at < FOOTER_LENGTH || readU32(b, at) !== MARKER) return undefined;
  if (readU32(b, at + 4) !== crc32(b.subarray(at + 8, at + FOOTER_LENGTH)) || readU32(b, at + 48) !== offset)
    return undefined;
  const cls = EVENT_CLASSES[b[at + 12]];
  if (cls === undefined) return undefined;
  return {
    cls,
    worker: b.readUInt16BE(at + 14),
    headerLength: b.readUInt16BE(at + 10),
    boot: readU64(b, at + 16),
    firstSeq: readU64(b, at + 24),
    lastSeq: readU64(b, at + 32),
    count: readU32(b, at + 40),
    digest: readU32(b, at + 44),
    body: offset,
    damaged: readU32(b, at + 52),
  };
}

export function addDigest(digest: number, crc: number): number {
  return (Math.imul(digest, 31) + crc) >>> 0;
}

/** What `parseRecord` found; reused from call to call. */
export interface RecordView {
  next: number;
  crc: number;
  seq: number;
  sec: number;
  nsec: number;
}

export function newRecordView(): RecordView {
  return { next: 0, crc: 0, seq: 0, sec: 0, nsec: 0 };
}

/**
 * What stands at `at`: a `record` (filled into `view`; its payload is at + RECORD_HEAD .. view.next), the `marker` of a footer,
 * nothing (`end`), the beginning of something that reaches past `end` (`short`), or bytes that are none of these (`damaged`). Of records
 * that end before `sound` the CRC was looked at before (seal.ts).
 */
export function parseRecord(
  buf: Buffer,
  at: number,
  end: number,
  seed: number,
  previousSeq: number,
  view: RecordView,
  sound = 0,
): 'record' | 'marker' | 'end' | 'short' | 'damaged' {
  if (at >= end) return 'end';
  if (end - at < RECORD_HEAD) return 'short';
  const length = readU32(buf, at);
  if (length === MARKER) return 'marker';
  if (length < 16 || length > 16 + MAX_PAYLOAD) return 'damaged';
  const next = at + 8 + length;
  if (next > end) return 'short';
  const seq = readU64(buf, at + 8);
  if (seq <= previousSeq) return 'damaged';
  const crc = readU32(buf, at + 4);
  if (
    next > sound &&
    crc32(buf.subarray(at + RECORD_HEAD, next), crcShort(buf, at + 8, at + RECORD_HEAD, seed)) !== crc
  )
    return 'damaged';
  readTime(buf, at + 16);
  view.next = next;
  view.crc = crc;
  view.seq = seq;
  view.sec = time.sec;
  view.nsec = time.nsec;
  return 'record';
}

/**
 * The next place at or behind `from` where a valid record begins, or the valid footer, or `end` where there is neither. `at` is the
 * damaged record: where its length leads to a record, that one is taken. `fileOffset` is the file offset of buf[0].
 */
export function resync(
  buf: Buffer,
  at: number,
  end: number,
  seed: number,
  previousSeq: number,
  fileOffset: number,
): number {
  const view = newRecordView();
  const stands = (p: number) => {
    const found = parseRecord(buf, p, end, seed, previousSeq, view);
    return found === 'record' || (found === 'marker' && decodeFooter(buf, p, fileOffset + p) !== undefined);
  };
  if (end - at >= RECORD_HEAD) {
    const byLength = at + 8 + readU32(buf, at);
    if (byLength < end && stands(byLength)) return byLength;
  }
  // A seq in this range is cheap to look for, and rare: only there is a CRC worth computing.
  const most = previousSeq + 1 + Math.ceil((end - at) / RECORD_HEAD);
  for (let p = at + 1; p + RECORD_HEAD <= end; p++) {
    const seq = readU64(buf, p + 8);
    const plausible = seq > previousSeq && seq <= most;
    if ((plausible || readU32(buf, p) === MARKER) && stands(p)) return p;
  }
  return end;
}

export interface Damage {
  /** File offset and length of the bytes that are no record. */
  offset: number;
  length: number;
  /** The last seq before it, and how many seqs are missing because of it. */
  afterSeq: number;
  records: number;
}

export interface SegmentScan {
  header: SegmentHeader;
  headerLength: number;
  seed: number;
  /** Offset behind the last valid record. */
  end: number;
  count: number;
  lastSeq: number;
  digest: number;
  damages: Damage[];
  /** Present where the segment is sealed. */
  footer: SegmentFooter | undefined;
  /** Bytes behind `end` that are neither record nor footer. Only an unsealed segment has them. */
  torn: number;
}

/**
 * Reads a whole segment. Records with a seq of `seqLimit` or more are not of this segment (they were written again to the next one)
 * and count as torn. `onRecord` gets each record's offset and view. The answer is a string where there is no usable header.
 */
export function scanSegment(
  buf: Buffer,
  seqLimit = Number.POSITIVE_INFINITY,
  onRecord?: (at: number, view: RecordView) => void,
): SegmentScan | 'newer' | 'torn' | 'damaged' {
  const opened = openSegment(buf.subarray(0, MAX_HEADER), footerBytes(buf), buf.length);
  if (opened.state !== 'ok') return opened.state;
  const { header, headerLength, seed } = opened;
  const scan: SegmentScan = {
    header,
    headerLength,
    seed,
    end: headerLength,
    count: 0,
    lastSeq: header.firstSeq - 1,
    digest: 0,
    damages: [],
    footer: undefined,
    torn: 0,
  };
  const view = newRecordView();
  for (let at = headerLength; ; ) {
    const found = parseRecord(buf, at, buf.length, seed, scan.lastSeq, view);
    if (found === 'record') {
      if (view.seq >= seqLimit) break;
      const missing = view.seq - scan.lastSeq - 1;
      const last = scan.damages.at(-1);
      if (last?.offset === scan.end) last.records = missing;
      else if (missing > 0) scan.damages.push({ offset: at, length: 0, afterSeq: scan.lastSeq, records: missing });
      onRecord?.(at, view);
      scan.count++;
      scan.lastSeq = view.seq;
      scan.digest = addDigest(scan.digest, view.crc);
      at = scan.end = view.next;
      continue;
    }
    if (found === 'marker' && opened.footer && at === opened.footer.body) {
      scan.footer = opened.footer;
      const last = scan.damages.at(-1);
      if (last?.offset === scan.end) last.records = Math.max(0, scan.footer.lastSeq - scan.lastSeq);
      return scan;
    }
    if (found === 'end') break;
    // A seq that must not be there any more ends the segment even where the bytes before it are damaged.
    if (scan.lastSeq + 1 >= seqLimit) break;
    const next = resync(buf, at, buf.length, seed, scan.lastSeq, 0);
    if (next >= buf.length) break;
    if (parseRecord(buf, next, buf.length, seed, scan.lastSeq, view) === 'record' && view.seq >= seqLimit) break;
    scan.damages.push({ offset: at, length: next - at, afterSeq: scan.lastSeq, records: 0 });
    at = next;
  }
  scan.torn = buf.length - scan.end;
  return scan;
}

function footerBytes(buf: Buffer): Buffer {
  return buf.subarray(Math.max(0, buf.length - FOOTER_LENGTH));
}

export type OpenedSegment =
  | {
      state: 'ok';
      header: SegmentHeader;
      headerLength: number;
      seed: number;
      footer: SegmentFooter | undefined;
    }
  | { state: 'newer' | 'torn' | 'damaged' };

/** From a segment's first bytes (MAX_HEADER of them) and its last (FOOTER_LENGTH). A damaged header is made good from the footer. */
export function openSegment(head: Buffer, tail: Buffer, size: number): OpenedSegment {
  const decoded = decodeSegmentHeader(head);
  if (decoded.state === 'newer') return decoded;
  const footer = tail.length === FOOTER_LENGTH ? decodeFooter(tail, 0, size - FOOTER_LENGTH) : undefined;
  if (decoded.state === 'ok') {
    const { header, length } = decoded;
    const own = footer?.boot === header.boot && footer.firstSeq === header.firstSeq && footer.cls === header.cls;
    const seed = recordSeed(header.boot, header.cls, header.worker);
    return { state: 'ok', header, headerLength: length, seed, footer: own ? footer : undefined };
  }
  if (!footer) return { state: decoded.state };
  const { cls, worker, boot, firstSeq, headerLength } = footer;
  return {
    state: 'ok',
    header: { cls, worker, boot, firstSeq, created: 0, site: '', node: '' },
    headerLength,
    seed: recordSeed(boot, cls, worker),
    footer,
  };
}

/** `000000000001.seg` */
export function segmentName(number: number): string {
  return `${String(number).padStart(12, '0')}.seg`;
}

/** The number of a segment's file name, or undefined where it is another file. */
export function segmentNumber(name: string): number | undefined {
  return /^\d{12}\.seg$/.test(name) ? Number(name.slice(0, 12)) : undefined;
}
