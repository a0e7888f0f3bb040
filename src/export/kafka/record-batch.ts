/**
 * Kafka's RecordBatch, magic 2 (kafka.apache.org/documentation/#recordbatch), big-endian. Both clients send the bytes made here,
 * so they are equal, and a record costs no object.
 *
 *    0  baseOffset i64 = 0              23  lastOffsetDelta i32
 *    8  batchLength i32 (from 12 on)    27  baseTimestamp i64, 35 maxTimestamp i64 (ms)
 *   12  partitionLeaderEpoch i32 = -1   43  producerId i64, 51 producerEpoch i16, 53 baseSequence i32
 *   16  magic i8 = 2                    57  count i32
 *   17  crc32c u32 over 21…             61  records (compressed as a whole)
 *   21  attributes i16 (0-2: compression)
 *
 *   record = length varint, attributes i8 = 0, timestampDelta varlong, offsetDelta varint, keyLength varint, key,
 *            valueLength varint, value, headerCount varint, (nameLength varint, name, valueLength varint, value)*   (varints are zigzag)
 */
import { Buffer } from 'node:buffer';
import { constants as os } from 'node:os';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { kernels } from '../../core/kernels.ts';
import { rfc3339 } from '../../core/time.ts';
import { type EventRecord, RECORD_HEADER, SpooledEvent } from '../../event/record.ts';
import { crc32c } from './crc32c.ts';
import type { HeaderTemplates } from './headers.ts';

export const COMPRESSIONS = ['none', 'gzip', 'zstd'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** One event to be sent. */
export interface BatchRecord {
  record: EventRecord;
  sec: number;
  nsec: number;
}

/** What makes a producer's batches recognisable when they arrive twice; `id` -1 for none. */
export interface ProducerState {
  id: bigint;
  epoch: number;
  sequence: number;
}

const HEAD = 61;
const ATTRIBUTES: Record<Compression, number> = { none: 0, gzip: 1, zstd: 4 };
// Level 1 costs half of the default's time for a few percent more bytes on JSON; measured with bench/kafka.ts. The add-on sets more than the level
// (native/batch.c), what node:zlib does not let: its bytes are others than those made here, and any zstd reads both.
const ZSTD_LEVEL = 1;
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } };

/** Lengths, deltas and times of one record, at most. */
const RECORD_OVERHEAD = 40;
/** Columns of a record for the add-on. */
const ROW = 5;
const TIME_LENGTH = 30;
const { ENOSPC } = os.errno;

/** Writes batches into one growing buffer of its own. */
export class BatchEncoder {
  private buf = Buffer.allocUnsafeSlow(1 << 20);
  private pos = 0;
  /** What the add-on packs: see Kernels.packRecords. */
  private readonly memory: Buffer[] = [];
  private rows = new Float64Array(1024 * ROW);
  private readonly templates: HeaderTemplates;
  private readonly compression: Compression;

  constructor(templates: HeaderTemplates, compression: Compression) {
    this.templates = templates;
    this.compression = compression;
  }

  /** Bytes of a record in an uncompressed batch, at most a few too many: what batching counts with. */
  sizeOf(r: EventRecord): number {
    const own =
      r instanceof SpooledEvent
        ? r.end - r.at + r.subjectEnd - r.at
        : r.key.length + r.value.length + r.id.length + r.subject.length;
    return RECORD_OVERHEAD + TIME_LENGTH + own + this.templates.of(r.type).size;
  }

  /** The bytes of one batch, freshly allocated. `records` is not empty. */
  encode(records: readonly BatchRecord[], producer: ProducerState): Buffer {
    const { length } = records;
    const base = millis(records[0].sec, records[0].nsec);
    let max = base;
    for (let i = 1; i < length; i++) {
      const { sec, nsec } = records[i];
      const ts = millis(sec, nsec);
      if (ts > max) max = ts;
    }
    const out = this.packed(records, base) ?? this.written(records, base);
    out.fill(0, 0, 8);
    out.writeInt32BE(out.length - 12, 8);
    out.writeInt32BE(-1, 12);
    out[16] = 2;
    out.writeInt16BE(ATTRIBUTES[this.compression], 21);
    out.writeInt32BE(length - 1, 23);
    out.writeBigInt64BE(BigInt(base), 27);
    out.writeBigInt64BE(BigInt(max), 35);
    out.writeBigInt64BE(producer.id, 43);
    out.writeInt16BE(producer.epoch, 51);
    out.writeInt32BE(producer.sequence, 53);
    out.writeInt32BE(length, 57);
    out.writeUInt32BE(crc32c(out, 21), 17);
    return out;
  }

  /** By the add-on, in one call; undefined where it has to be done here. */
  private packed(records: readonly BatchRecord[], base: number): Buffer | undefined {
    const { native } = kernels;
    if (native === undefined || this.compression === 'gzip') return undefined;
    const { memory } = this;
    const { length } = records;
    if (this.rows.length < ROW * length) this.rows = new Float64Array(2 * ROW * length);
    const { rows } = this;
    const { type } = records[0].record;
    const t = this.templates.of(type);
    let bound = length * (t.size + RECORD_OVERHEAD + TIME_LENGTH);
    let last: Buffer | undefined;
    for (let i = 0, at = 0; i < length; i++, at += ROW) {
      const r = records[i];
      const e = SpooledEvent.of(r.record);
      if (e.type !== type) {
        // What was read must not be held by a list that nobody uses.
        memory.length = 0;
        return undefined;
      }
      // Neighbours were read in one piece: a batch stands in few of them.
      if (e.bytes !== last) memory.push((last = e.bytes));
      rows[at] = memory.length - 1;
      rows[at + 1] = e.at;
      rows[at + 2] = e.end;
      rows[at + 3] = r.sec;
      rows[at + 4] = r.nsec;
      bound += e.end - e.at;
    }
    const level = this.compression === 'zstd' ? ZSTD_LEVEL : 0;
    let n: number;
    // What zstd cannot make smaller it makes a little larger.
    for (this.size(HEAD + bound + (bound >> 7) + 1024); ; this.size(2 * this.buf.length)) {
      n = native.packRecords(memory, rows, length, base, t.parts, t.count, level, this.buf, HEAD);
      if (n !== -ENOSPC) break;
    }
    memory.length = 0;
    return n < 0 ? undefined : Buffer.from(this.buf.subarray(0, HEAD + n));
  }

  private written(records: readonly BatchRecord[], base: number): Buffer {
    this.pos = HEAD;
    for (let i = 0; i < records.length; i++) {
      const { sec, nsec } = records[i];
      this.record(records[i], millis(sec, nsec) - base, i);
    }
    if (this.compression === 'none') return Buffer.from(this.buf.subarray(0, this.pos));
    const plain = this.buf.subarray(HEAD, this.pos);
    const packed = this.compression === 'zstd' ? zstdCompressSync(plain, ZSTD) : gzipSync(plain, { level: 1 });
    const out = Buffer.allocUnsafe(HEAD + packed.length);
    out.set(packed, HEAD);
    return out;
  }

  /** Room for `n` bytes, of which none is kept. */
  private size(n: number): void {
    if (n > this.buf.length) this.buf = Buffer.allocUnsafeSlow(Math.max(n, 2 * this.buf.length));
  }

  private record(r: BatchRecord, timestampDelta: number, offsetDelta: number): void {
    const e = SpooledEvent.of(r.record);
    const { bytes } = e;
    const keyAt = e.at + RECORD_HEADER;
    const t = this.templates.of(e.type);
    const [p0, p1, p2, p3] = t.parts;
    const time = rfc3339(r.sec, r.nsec);
    const keyLength = e.keyEnd - keyAt;
    const valueLength = e.end - e.valueAt;
    const idLength = e.idEnd - e.keyEnd;
    const subjectLength = e.subjectEnd - keyAt;
    const body =
      1 +
      varintSize(timestampDelta) +
      varintSize(offsetDelta) +
      varintSize(keyLength) +
      keyLength +
      varintSize(valueLength) +
      valueLength +
      varintSize(t.count) +
      t.size +
      varintSize(idLength) +
      idLength +
      varintSize(time.length) +
      time.length +
      varintSize(subjectLength) +
      subjectLength;
    this.room(body + 10);
    this.varint(body);
    this.buf[this.pos++] = 0;
    this.varint(timestampDelta);
    this.varint(offsetDelta);
    this.varint(keyLength);
    this.part(bytes, keyAt, e.keyEnd);
    this.varint(valueLength);
    this.part(bytes, e.valueAt, e.end);
    this.varint(t.count);
    this.bytes(p0);
    this.varint(idLength);
    this.part(bytes, e.keyEnd, e.idEnd);
    this.bytes(p1);
    this.varint(time.length);
    this.pos += this.buf.write(time, this.pos, 'latin1');
    this.bytes(p2);
    this.varint(subjectLength);
    this.part(bytes, keyAt, e.subjectEnd);
    this.bytes(p3);
  }

  private room(n: number): void {
    if (this.pos + n <= this.buf.length) return;
    const next = Buffer.allocUnsafe(Math.max(this.buf.length * 2, this.pos + n));
    this.buf.copy(next, 0, 0, this.pos);
    this.buf = next;
  }

  private bytes(b: Buffer): void {
    this.buf.set(b, this.pos);
    this.pos += b.length;
  }

  private part(b: Buffer, from: number, to: number): void {
    b.copy(this.buf, this.pos, from, to);
    this.pos += to - from;
  }

  private varint(n: number): void {
    let v = zigzag(n);
    while (v > 0x7f) {
      this.buf[this.pos++] = (v % 128) | 0x80;
      v = Math.floor(v / 128);
    }
    this.buf[this.pos++] = v;
  }
}

/** Exact for |n| < 2^52. */
function zigzag(n: number): number {
  return n < 0 ? -2 * n - 1 : 2 * n;
}

function varintSize(n: number): number {
  let v = zigzag(n);
  let size = 1;
  while (v > 0x7f) {
    v = Math.floor(v / 128);
    size++;
  }
  return size;
}

function millis(sec: number, nsec: number): number {
  return sec * 1000 + Math.floor(nsec / 1e6);
}
