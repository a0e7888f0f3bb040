/**
 * Reads one class log in order, from another thread than the writer's: it is told how far the log is durable and never reads beyond.
 * In a segment that is followed by one of the same boot, the records are those before the follower's first seq: what stands behind
 * is void (log.ts says why). Damaged places are stepped over and counted.
 */
import { Buffer } from 'node:buffer';
import { readFully, type SpoolFs } from './fs.ts';
import { soundRecords } from './seal.ts';
import { type OpenedSegment, parseRecord, RECORD_HEAD, type RecordView, resync } from './segment.ts';
import { comparePositions, listSegments, probeSegment, segmentPath, withFile } from './segment-file.ts';
import type { Position, SpooledRecord } from './types.ts';

export interface ReaderDamage {
  position: Position;
  /** Bytes stepped over; 0 where records are missing without a trace. */
  length: number;
  /** Records that are gone with them, as far as the numbering tells. */
  records: number;
}

export interface SpoolReaderOptions {
  dir: string;
  fs: SpoolFs;
  /** How far the log is durable; `all` for a log that nobody writes any more and that was recovered. */
  end: Position | 'all';
  onDamage?: (d: ReaderDamage) => void;
}

interface Current {
  number: number;
  path: string;
  fd: number;
  opened: Extract<OpenedSegment, { state: 'ok' }>;
  size: number;
  /** Records from this seq on are void. Known once the log is durable beyond this segment. */
  seqLimit: number;
  closed: boolean;
  next: number | undefined;
}

export interface Lag {
  /** Exact where the seq at the position is known, else estimated from the bytes. */
  records: number;
  bytes: number;
}

const DEFAULT_READ = 1024 * 1024;

/** Objects kept for `read` with `again`: as many as common reads have. */
const KEPT_RECORDS = 1024;
const NOTHING: Buffer = Buffer.alloc(0);

/** Numbers alone: a view and two positions for each record would cost more than reading it. */
class StoredRecord implements SpooledRecord {
  bytes = NOTHING;
  at = 0;
  end = 0;
  segment = 0;
  offset = 0;
  boot = 0;
  seq = 0;
  sec = 0;
  nsec = 0;

  set(bytes: Buffer, at: number, segment: number, offset: number, boot: number, view: RecordView): void {
    this.bytes = bytes;
    this.at = at;
    this.end = view.next;
    this.segment = segment;
    this.offset = offset;
    this.boot = boot;
    this.seq = view.seq;
    this.sec = view.sec;
    this.nsec = view.nsec;
  }

  get position(): Position {
    return { segment: this.segment, offset: this.offset };
  }

  get next(): Position {
    return { segment: this.segment, offset: this.offset + RECORD_HEAD + this.end - this.at };
  }

  get payload(): Buffer {
    return this.bytes.subarray(this.at, this.end);
  }
}

export class SpoolReader {
  private readonly o: SpoolReaderOptions;
  private end: Position | 'all';
  private endSeq: number | undefined;
  private at: Position = { segment: 0, offset: 0 };
  private current: Current | undefined;
  /** The seq before `at`; undefined after a seek into the middle of a segment. */
  private lastSeq: number | undefined;
  private lastBoot: number | undefined;
  private pendingDamage: ReaderDamage | undefined;
  private buffer: Buffer | undefined;
  /** Of `read` with `again`. */
  private readonly list: StoredRecord[] = [];
  private readonly records: StoredRecord[] = [];
  private readonly view: RecordView = { next: 0, crc: 0, seq: 0, sec: 0, nsec: 0 };
  /** Sealed segments never change: what `lag` learnt of them. */
  private readonly known = new Map<number, { boot: number; firstSeq: number; count: number; body: number }>();
  /** Damaged places stepped over, and the records gone with them. */
  damaged = 0;
  lostRecords = 0;
  /** Records that retention deleted before they were read here, as far as the numbering tells. */
  skipped = 0;

  constructor(o: SpoolReaderOptions) {
    this.o = o;
    this.end = o.end;
  }

  /** The next record to be read begins here, or behind it. */
  get position(): Position {
    return this.at;
  }

  /** The node that wrote the segment being read; '' before the first read. */
  get node(): string {
    return this.current?.opened.header.node ?? '';
  }

  /** The log is durable up to `end`; `seq` is the last durable seq of the boot being written (it makes `lag` exact). */
  setDurableEnd(end: Position | 'all', seq?: number): void {
    this.end = end;
    this.endSeq = seq;
  }

  /** Continues at a position that a record's `position` or `next` gave, or at the oldest record there is. */
  seek(to: Position | 'oldest'): void {
    this.closeCurrent();
    this.at = to === 'oldest' ? { segment: 0, offset: 0 } : { ...to };
    this.lastSeq = undefined;
    this.lastBoot = undefined;
    this.pendingDamage = undefined;
  }

  /**
   * The next records, in order: at least one where there is one, else none; at most about `maxBytes` of them, and possibly fewer than
   * there are. Payloads are views into `into`, or, without it, into a buffer that the next call overwrites. A record larger than the
   * buffer comes in one of its own. `again`: the next such call uses the list and its objects again, for who reads much and keeps neither.
   */
  read(maxBytes: number = DEFAULT_READ, into?: Buffer, again = false): SpooledRecord[] {
    const out = again ? this.list : [];
    out.length = 0;
    let buf = into ?? (this.buffer ??= Buffer.allocUnsafeSlow(DEFAULT_READ));
    while (out.length === 0) {
      const current = this.current ?? this.openNext();
      if (!current) return out;
      if (this.end === 'all' || current.number < this.end.segment) this.closeBounds(current);
      const over = this.lastSeq !== undefined && this.lastSeq + 1 >= current.seqLimit;
      const limit = current.closed ? current.size : (this.end as Position).offset;
      if (over || this.at.offset >= limit) {
        if (!current.closed) return out;
        this.leave(current);
        continue;
      }
      const want = Math.min(limit - this.at.offset, buf.length, Math.max(maxBytes, RECORD_HEAD));
      const got = readFully(this.o.fs, current.fd, buf, want, this.at.offset);
      const needed = this.parse(current, buf, got, this.at.offset + got >= limit || got < want, out, again);
      if (needed > limit - this.at.offset || needed < 0) this.step(current, limit);
      else if (needed > 0 && out.length === 0) {
        maxBytes = Math.max(maxBytes, needed);
        if (needed > buf.length) buf = Buffer.allocUnsafeSlow(needed);
      }
    }
    return out;
  }

  /** What lies between `from` and the durable end. `seq` is the seq before `from`, where the caller knows it. */
  lag(from: Position = this.at, seq: number | undefined = from === this.at ? this.lastSeq : undefined): Lag {
    // Mostly there is nothing: said without a look into the directory.
    if (this.end !== 'all' && comparePositions(from, this.end) >= 0) return { records: 0, bytes: 0 };
    let records = 0;
    let bytes = 0;
    const numbers = listSegments(this.o.fs, this.o.dir).filter(
      (n) => n >= from.segment && (this.end === 'all' || n <= this.end.segment),
    );
    for (const [i, number] of numbers.entries()) {
      const info = this.measure(number, numbers[i + 1]);
      if (!info) continue;
      const start = number === from.segment ? Math.min(from.offset, info.body) : 0;
      const rest = info.body - start;
      bytes += rest;
      if (start === 0) records += info.count;
      else if (rest > 0 && seq !== undefined) records += Math.max(0, info.count - (seq - info.firstSeq + 1));
      else records += Math.round((info.count * rest) / info.body);
    }
    return { records, bytes };
  }

  close(): void {
    this.closeCurrent();
  }

  /** Records in buf[0..got), which begins at `at`. Returns 0, the bytes needed to go on, or -1 where there is damage. */
  private parse(c: Current, buf: Buffer, got: number, last: boolean, out: StoredRecord[], again: boolean): number {
    const base = this.at.offset;
    const { view } = this;
    const { boot } = c.opened.header;
    const sound = soundRecords(buf, 0, got, c.opened.seed);
    let pos = 0;
    for (;;) {
      const before = this.lastSeq ?? c.opened.header.firstSeq - 1;
      const found = parseRecord(buf, pos, got, c.opened.seed, before, view, sound);
      if (found === 'record') {
        if (view.seq >= c.seqLimit) {
          this.at = { segment: c.number, offset: c.size };
          return 0;
        }
        if (this.lastSeq !== undefined && (view.seq !== this.lastSeq + 1 || this.pendingDamage)) {
          this.passed(c, base + pos);
          this.gap(view.seq - this.lastSeq - 1);
        }
        const r = again ? this.record(out.length) : new StoredRecord();
        r.set(buf, pos + RECORD_HEAD, c.number, base + pos, boot, view);
        out.push(r);
        this.lastSeq = view.seq;
        pos = view.next;
        continue;
      }
      this.passed(c, base + pos);
      if (found === 'end') return 0;
      if (found === 'marker' && c.closed && c.opened.footer?.body === base + pos) {
        this.at = { segment: c.number, offset: c.size };
        return 0;
      }
      if (found === 'damaged' || found === 'marker' || last) return -1;
      return got - pos >= 4 ? buf.readUInt32BE(pos) + 8 : RECORD_HEAD;
    }
  }

  /** The object of the i-th record of a read; i rises by one from 0 on. */
  private record(i: number): StoredRecord {
    if (i < this.records.length) return this.records[i];
    const r = new StoredRecord();
    if (i < KEPT_RECORDS) this.records.push(r);
    return r;
  }

  /** Stands at `offset` of the segment: behind what was just read of it. */
  private passed(c: Current, offset: number): void {
    if (offset !== this.at.offset || c.number !== this.at.segment) this.at = { segment: c.number, offset };
  }

  /** Moves over damaged bytes to the next record, the footer, or the end of what may be read. */
  private step(c: Current, limit: number): void {
    const { offset } = this.at;
    // What follows the last record of a closed segment without a footer is an unfinished write.
    const rest = Buffer.allocUnsafeSlow(limit - offset);
    const got = readFully(this.o.fs, c.fd, rest, rest.length, offset);
    const before = this.lastSeq ?? c.opened.header.firstSeq - 1;
    const next = resync(rest, 0, got, c.opened.seed, before, offset);
    const unfinished = next >= got && c.closed && !c.opened.footer;
    if (!unfinished) this.pendingDamage = { position: this.at, length: next, records: 0 };
    this.at = { segment: c.number, offset: next >= got ? limit : offset + next };
  }

  /** `records` seqs are missing before the next record: reports what was stepped over, if anything. */
  private gap(records: number): void {
    const d = this.pendingDamage;
    if (!d && records <= 0) return;
    this.pendingDamage = undefined;
    this.damaged++;
    this.lostRecords += Math.max(0, records);
    const found = d ?? { position: this.at, length: 0, records: 0 };
    this.o.onDamage?.({ ...found, records: Math.max(0, records) });
  }

  /** Done with a segment: whatever should have been in it and was not is counted. */
  private leave(c: Current): void {
    const { footer } = c.opened;
    const expected = Number.isFinite(c.seqLimit) ? c.seqLimit - 1 : footer?.lastSeq;
    this.gap(expected !== undefined && this.lastSeq !== undefined ? expected - this.lastSeq : 0);
    if (expected !== undefined) this.lastSeq = expected;
    this.closeCurrent();
    this.at = { segment: c.number + 1, offset: 0 };
  }

  private closeCurrent(): void {
    if (this.current) this.o.fs.closeSync(this.current.fd);
    this.current = undefined;
  }

  private openNext(): Current | undefined {
    const { fs, dir } = this.o;
    for (;;) {
      if (this.end !== 'all' && comparePositions(this.at, this.end) >= 0) return undefined;
      const numbers = listSegments(fs, dir);
      const number = numbers.find((n) => n >= this.at.segment);
      if (number === undefined || (this.end !== 'all' && number > this.end.segment)) {
        this.gap(0);
        return undefined;
      }
      const path = segmentPath(dir, number);
      const fd = fs.openReadSync(path);
      const { opened, size } = probeSegment(fs, fd, path);
      if (opened.state !== 'ok') {
        // Nothing in it can be told from noise. Recovery empties such a file; here it was damaged since.
        fs.closeSync(fd);
        this.at = { segment: number, offset: 0 };
        if (size > 0) this.pendingDamage ??= { position: this.at, length: size, records: 0 };
        this.at = { segment: number + 1, offset: 0 };
        continue;
      }
      const { boot, firstSeq } = opened.header;
      const start = number !== this.at.segment || this.at.offset <= opened.headerLength;
      if (start) {
        const missing = this.lastBoot === boot && this.lastSeq !== undefined ? firstSeq - 1 - this.lastSeq : 0;
        if (this.pendingDamage) this.gap(missing);
        else this.skipped += Math.max(0, missing);
        this.at = { segment: number, offset: opened.headerLength };
        this.lastSeq = firstSeq - 1;
      }
      this.lastBoot = boot;
      this.current = {
        number,
        path,
        fd,
        opened,
        size,
        seqLimit: Number.POSITIVE_INFINITY,
        closed: false,
        next: undefined,
      };
      return this.current;
    }
  }

  /** The log went on in another segment (or ended): now the end of this one is known. */
  private closeBounds(c: Current): void {
    if (c.closed) return;
    const { fs, dir } = this.o;
    c.closed = true;
    ({ size: c.size, opened: c.opened } = this.reprobe(c));
    c.next = listSegments(fs, dir).find((n) => n > c.number);
    if (c.next === undefined) return;
    const follower = this.header(c.next);
    if (follower?.boot === c.opened.header.boot) c.seqLimit = follower.firstSeq;
  }

  private reprobe(c: Current): { size: number; opened: Current['opened'] } {
    const { opened, size } = probeSegment(this.o.fs, c.fd, c.path);
    return { size, opened: opened.state === 'ok' ? opened : c.opened };
  }

  private header(number: number): { boot: number; firstSeq: number } | undefined {
    const path = segmentPath(this.o.dir, number);
    const { opened } = withFile(this.o.fs, path, (fd) => probeSegment(this.o.fs, fd, path));
    return opened.state === 'ok' ? opened.header : undefined;
  }

  private measure(number: number, next: number | undefined) {
    const cached = this.known.get(number);
    if (cached) return cached;
    const { fs, dir } = this.o;
    const path = segmentPath(dir, number);
    const { opened, size } = withFile(fs, path, (fd) => probeSegment(fs, fd, path));
    if (opened.state !== 'ok') return undefined;
    const { boot, firstSeq } = opened.header;
    const { footer } = opened;
    const last = this.end !== 'all' && this.end.segment === number;
    if (footer && !last) {
      const info = { boot, firstSeq, count: footer.count, body: footer.body };
      this.known.set(number, info);
      return info;
    }
    const follower = next === undefined ? undefined : this.header(next);
    const body = last ? (this.end as Position).offset : size;
    if (last && this.endSeq !== undefined) return { boot, firstSeq, count: this.endSeq - firstSeq + 1, body };
    if (footer && last) return { boot, firstSeq, count: footer.count, body };
    const count = follower?.boot === boot ? follower.firstSeq - firstSeq : 0;
    return { boot, firstSeq, count, body };
  }
}
