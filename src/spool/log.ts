/**
 * The log of one class: appends gather in memory, and one round at a time writes them and waits for fdatasync. Whatever arrives
 * during a round goes into the next one (group commit). `writeOut` hands what gathered to the kernel before its round comes, so that a
 * process that is killed takes nothing with it; durable it is only after the round's fdatasync.
 *
 * After a failed write or fdatasync the file is never written again: the kernel may have dropped the pages it could not write and
 * report success the next time. The records not yet reported go, from memory, to a new segment whose header names the first of them;
 * in the old one everything from that seq on is void, and readers stop there.
 */
import { Buffer } from 'node:buffer';
import { Backoff } from '../core/backoff.ts';
import type { Clock, TimerHandle } from '../core/clock.ts';
import { TextWriter } from '../core/text-writer.ts';
import type { EventClass } from '../event/types.ts';
import { errorCode, type SpoolFs, writeAll } from './fs.ts';
import type { SegmentInfo } from './recovery.ts';
import { sealRecords } from './seal.ts';
import {
  addDigest,
  encodeFooter,
  encodeSegmentHeader,
  MAX_PAYLOAD,
  RECORD_HEAD,
  recordSeed,
  writeRecordFront,
} from './segment.ts';
import { comparePositions, segmentPath } from './segment-file.ts';
import type { ClassUsage, Position } from './types.ts';

export interface ClassLogOptions {
  dir: string;
  fs: SpoolFs;
  clock: Clock;
  cls: EventClass;
  boot: number;
  worker: number;
  site: string;
  node: string;
  segmentBytes: number;
  /** Rounds begin at least this many milliseconds apart: it trades latency for fewer syncs. 0 is no wait. */
  commitIntervalMs: number;
  /** The same where somebody waits for the answer (`hurry`). */
  urgentIntervalMs: number;
  /** What recovery found. */
  segments: SegmentInfo[];
  nextNumber: number;
  random?: () => number;
  /** The CRC-32 of the values of `count` records from `first` on, in order, before they are durable: see SpoolWriter.onSummed. */
  onSummed(first: number, sums: Uint32Array, count: number): void;
  onSynced(seq: number, end: Position): void;
  /** Seconds one fdatasync took. */
  onSyncTime(seconds: number): void;
  /** A write or sync failed. The answer says whether space was freed, so that trying again at once is worth it. */
  onError(error: unknown, full: boolean): boolean;
  /** A new segment began. */
  onRoll(): void;
}

interface Active {
  info: SegmentInfo;
  fd: number;
  headerLength: number;
  count: number;
  digest: number;
}

const INITIAL_BUFFER = 256 * 1024;
/** A buffer that a burst made larger than this is given back when it is empty. */
const KEPT_BUFFER = 8 * 1024 * 1024;
/** While a round takes longer than this, nothing is written from the loop that reads the sockets. */
const SLOW_ROUND_MS = 100;
/** This much is never kept waiting for `commitIntervalMs`. */
const LARGE_BATCH = 1024 * 1024;

/** Of the records being sealed. */
let sums = new Uint32Array(4096);

export class ClassLog {
  readonly cls: EventClass;
  private readonly o: ClassLogOptions;
  private readonly seed: number;
  private readonly backoff: Backoff;
  private readonly segments: SegmentInfo[];
  private nextNumber: number;
  private active: Active | undefined;
  private lastSeq = 0;
  private syncedSeq = 0;
  private end: Position;
  private exported: Position = { segment: 0, offset: 0 };
  private totalBytes: number;

  /** Appends go here; at the start of a round its buffer and the other one change places. Records are [0, pendingLength). */
  private readonly pending = new TextWriter(INITIAL_BUFFER);
  private pendingLength = 0;
  /** Bytes of `pending` that are in the active file already, from `pendingAt` on. */
  private pendingWritten = 0;
  private pendingAt = 0;
  /** Bytes of `pending`, and the last seq, whose CRCs are written. */
  private sealedLength = 0;
  private sealedSeq = 0;
  private pendingSince = 0;
  private batch: Buffer = Buffer.allocUnsafeSlow(INITIAL_BUFFER);
  private batchLength = 0;
  private batchSince = 0;
  private batchLast = 0;
  private batchWritten = 0;

  private running = false;
  private scheduled = false;
  private timer: TimerHandle | undefined;
  private urgent = false;
  private lastStart = Number.NEGATIVE_INFINITY;
  private closing = false;
  private waiters: { seq: number; resolve: () => void }[] = [];
  private idle: (() => void)[] = [];
  failure: string | undefined;

  constructor(o: ClassLogOptions) {
    this.o = o;
    this.cls = o.cls;
    this.seed = recordSeed(o.boot, o.cls, o.worker);
    this.backoff = new Backoff(100, 5000, o.random);
    this.segments = o.segments;
    this.nextNumber = o.nextNumber;
    this.totalBytes = o.segments.reduce((sum, s) => sum + s.bytes, 0);
    const last = o.segments.at(-1);
    this.end = last ? { segment: last.number, offset: last.end } : { segment: 0, offset: 0 };
  }

  get nextSeq(): number {
    return this.lastSeq + 1;
  }

  get durableEnd(): Position {
    return this.end;
  }

  get durableSeq(): number {
    return this.syncedSeq;
  }

  get unsyncedBytes(): number {
    return this.pendingLength + this.batchLength;
  }

  /** Monotonic ms since which the oldest record waits; undefined where none does. */
  get waitingSince(): number | undefined {
    return this.batchLength > 0 ? this.batchSince : this.pendingLength > 0 ? this.pendingSince : undefined;
  }

  get bytes(): number {
    return this.totalBytes;
  }

  /** See SpoolWriter.append. */
  append(sec: number, nsec: number, payload: Buffer): number {
    if (payload.length > MAX_PAYLOAD || this.closing) return -1;
    this.beginRecord().bytes(payload);
    return this.endRecord(sec, nsec);
  }

  /** See SpoolWriter.beginRecord. */
  beginRecord(): TextWriter {
    const { pending } = this;
    pending.at = this.pendingLength;
    pending.room(RECORD_HEAD);
    pending.at += RECORD_HEAD;
    return pending;
  }

  /** See SpoolWriter.endRecord: -1, with nothing queued, where the payload is longer than MAX_PAYLOAD or the log is closed. */
  endRecord(sec: number, nsec: number): number {
    const at = this.pendingLength;
    const { pending } = this;
    const length = pending.at - at - RECORD_HEAD;
    if (length > MAX_PAYLOAD || this.closing) return -1;
    if (at === 0) this.pendingSince = this.o.clock.nowMs();
    const seq = ++this.lastSeq;
    writeRecordFront(pending.buf, at, seq, sec, nsec, length);
    this.pendingLength = pending.at;
    if (!this.running && (!this.scheduled || (this.timer && this.pendingLength >= LARGE_BATCH))) this.schedule();
    return seq;
  }

  /** Somebody waits for what was just appended: its round comes after `urgentIntervalMs`. */
  hurry(): void {
    if (this.urgent || this.pendingLength === 0) return;
    this.urgent = true;
    if (this.timer === undefined || this.failure !== undefined || this.running) return;
    this.cancelTimer();
    this.schedule();
  }

  /**
   * Gives what was appended to the kernel. False where it is in this process' memory alone: while a segment changes, and while the
   * disk refuses. Errors are left to the round, which meets them too.
   */
  writeOut(): boolean {
    this.sealPending();
    const from = this.pendingWritten;
    const length = this.pendingLength - from;
    // What is before it in the file has to be there first.
    if (this.batchWritten < this.batchLength) return false;
    if (length === 0) return true;
    const { active } = this;
    // A disk that takes its time must not stop the loop that reads the sockets.
    const slow = this.running && this.o.clock.nowMs() - this.lastStart > SLOW_ROUND_MS;
    if (!active || slow || this.failure !== undefined || this.pendingAt + this.pendingLength > this.o.segmentBytes)
      return false;
    try {
      const taken = this.o.fs.writeSync(active.fd, this.pending.buf, from, length, this.pendingAt + from);
      this.pendingWritten += Math.max(0, taken);
    } catch {
      return false;
    }
    this.startWithBatch();
    return this.pendingWritten === this.pendingLength;
  }

  /** A round that is due in a moment begins with the end of a batch of datagrams: one awakening less. */
  private startWithBatch(): void {
    if (this.timer === undefined || this.running || this.failure !== undefined || this.closing) return;
    if (this.lastStart + this.o.commitIntervalMs - this.o.clock.nowMs() > this.o.commitIntervalMs / 5) return;
    this.cancelTimer();
    this.start();
  }

  /** Resolves when everything appended so far is durable; while the disk refuses, it waits. */
  flush(): Promise<void> {
    if (this.syncedSeq >= this.lastSeq) return Promise.resolve();
    return new Promise((resolve) => this.waiters.push({ seq: this.lastSeq, resolve }));
  }

  /** One last attempt for what waits, then the segment is sealed. False where records could not be made durable. */
  async close(): Promise<boolean> {
    this.closing = true;
    this.cancelTimer();
    await this.settled();
    if (this.unsyncedBytes > 0) {
      void this.run();
      await this.settled();
      this.cancelTimer();
    }
    if (this.active) await this.seal();
    return this.unsyncedBytes === 0;
  }

  exportedUpTo(position: Position): void {
    if (comparePositions(position, this.exported) > 0) this.exported = { ...position };
  }

  usage(): ClassUsage {
    return { bytes: this.totalBytes, unexported: this.unexported(), segments: this.segments.length };
  }

  /** When the oldest segment that may go was begun; undefined where none may: the newest file stays, so that no number is used twice. */
  oldestDroppable(): number | undefined {
    const s = this.segments[0];
    if (this.segments.length < 2 || comparePositions(this.exported, { segment: s.number, offset: s.end }) < 0)
      return undefined;
    return s.created;
  }

  /** Deletes the oldest segment, which `oldestDroppable` allowed. */
  async dropOldest(): Promise<void> {
    const s = this.segments.shift()!;
    this.totalBytes -= s.bytes;
    await this.o.fs.unlink(segmentPath(this.o.dir, s.number));
  }

  /** Space was freed: do not wait for the back-off. */
  retryNow(): void {
    if (this.failure === undefined || this.running) return;
    this.cancelTimer();
    this.start();
  }

  private unexported(): number {
    let sum = 0;
    for (let i = this.segments.length - 1; i >= 0; i--) {
      const s = this.segments[i];
      if (s.number < this.exported.segment) break;
      if (s.number > this.exported.segment) sum += s.bytes;
      else sum += Math.max(0, s.end - this.exported.offset);
    }
    return sum;
  }

  private sealPending(): void {
    const records = this.lastSeq - this.sealedSeq;
    if (records === 0) return;
    if (sums.length < records) sums = new Uint32Array(2 * records);
    sealRecords(this.pending.buf, this.sealedLength, this.pendingLength, this.seed, sums);
    this.o.onSummed(this.sealedSeq + 1, sums, records);
    this.sealedLength = this.pendingLength;
    this.sealedSeq = this.lastSeq;
  }

  private schedule(): void {
    if (this.failure !== undefined || this.closing) return;
    const { commitIntervalMs, urgentIntervalMs } = this.o;
    const wait = this.lastStart + (this.urgent ? urgentIntervalMs : commitIntervalMs) - this.o.clock.nowMs();
    if (wait <= 0 || this.pendingLength >= LARGE_BATCH) {
      this.cancelTimer();
      this.start();
    } else {
      this.scheduled = true;
      this.timer = this.o.clock.setTimeout(() => {
        this.timer = undefined;
        this.scheduled = false;
        void this.run();
      }, wait);
    }
  }

  /** After the current callback: all datagrams of one socket read go into one round. */
  private start(): void {
    this.scheduled = true;
    queueMicrotask(() => {
      if (!this.scheduled) return;
      this.scheduled = false;
      void this.run();
    });
  }

  private cancelTimer(): void {
    this.scheduled = false;
    if (this.timer) this.o.clock.clearTimeout(this.timer);
    this.timer = undefined;
  }

  private settled(): Promise<void> {
    return this.running ? new Promise((resolve) => this.idle.push(resolve)) : Promise.resolve();
  }

  private async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    while (this.batchLength > 0 || this.pendingLength > 0) {
      this.lastStart = this.o.clock.nowMs();
      if (this.batchLength === 0) {
        this.writeOut();
        this.swap();
      }
      let failed: { error: unknown } | undefined;
      try {
        await this.commit();
      } catch (error) {
        failed = { error };
      }
      if (failed) {
        await this.abandon();
        if (!this.failed(failed.error)) break;
        continue;
      }
      this.succeeded();
      // With a pause between rounds the rest waits for its turn.
      if (this.o.commitIntervalMs > 0 && !this.closing) break;
    }
    this.running = false;
    for (const resolve of this.idle.splice(0)) resolve();
    if (this.pendingLength > 0 && this.failure === undefined && !this.scheduled) this.schedule();
  }

  private swap(): void {
    const empty = this.batch;
    this.batch = this.pending.buf;
    this.batchLength = this.pendingLength;
    this.batchSince = this.pendingSince;
    this.batchLast = this.lastSeq;
    this.batchWritten = this.pendingWritten;
    this.pendingWritten = 0;
    this.sealedLength = 0;
    this.pendingAt += this.batchLength;
    this.urgent = false;
    this.pending.buf = empty.length > KEPT_BUFFER ? Buffer.allocUnsafeSlow(INITIAL_BUFFER) : empty;
    this.pendingLength = 0;
  }

  private async commit(): Promise<void> {
    const { fs, clock } = this.o;
    let active = this.active;
    // What is in the file already stays there: a segment may grow a little over its size.
    const roll = this.batchWritten === 0 && active !== undefined && active.count > 0;
    if (roll && active && active.info.end + this.batchLength > this.o.segmentBytes) {
      await this.seal();
      active = undefined;
    }
    active ??= await this.begin();
    const { info, fd } = active;
    await writeAll(fs, fd, this.batch, this.batchLength, info.end, this.batchWritten);
    this.batchWritten = this.batchLength;
    const before = clock.nowMs();
    await fs.fdatasync(fd);
    this.o.onSyncTime((clock.nowMs() - before) / 1000);
    info.end += this.batchLength;
    info.bytes += this.batchLength;
    info.lastSeq = this.batchLast;
    this.totalBytes += this.batchLength;
    active.count += this.batchLast - this.syncedSeq;
    for (let at = 0; at < this.batchLength; at += 8 + this.batch.readUInt32BE(at))
      active.digest = addDigest(active.digest, this.batch.readUInt32BE(at + 4));
  }

  private succeeded(): void {
    this.failure = undefined;
    this.backoff.reset();
    this.batchLength = 0;
    this.batchWritten = 0;
    this.syncedSeq = this.batchLast;
    const { number, end } = this.active!.info;
    this.end = { segment: number, offset: end };
    while (this.waiters.length > 0 && this.waiters[0].seq <= this.syncedSeq) this.waiters.shift()!.resolve();
    this.o.onSynced(this.syncedSeq, this.end);
  }

  /** True where the round is to be tried again at once. */
  private failed(error: unknown): boolean {
    const first = this.failure === undefined;
    const full = errorCode(error) === 'ENOSPC' || errorCode(error) === 'EDQUOT';
    this.failure = error instanceof Error ? error.message : String(error);
    const freed = this.o.onError(error, full);
    // A failed sync is the file's misfortune: a new file is tried at once, and only a second failure waits.
    if (freed || (first && !full)) return true;
    if (this.closing) return false;
    this.timer = this.o.clock.setTimeout(() => {
      this.timer = undefined;
      void this.run();
    }, this.backoff.next());
    return false;
  }

  /** A new segment: its name is durable before a record in it can be reported. */
  private async begin(): Promise<Active> {
    const { fs, dir, clock } = this.o;
    const number = this.nextNumber++;
    const path = segmentPath(dir, number);
    const created = clock.wallMs() * 1000;
    const { cls, worker, boot, site, node } = this.o;
    const firstSeq = this.syncedSeq + 1;
    const header = encodeSegmentHeader({ cls, worker, boot, firstSeq, created, site, node });
    const fd = await fs.create(path);
    try {
      await writeAll(fs, fd, header, header.length, 0);
      await fs.fsyncDir(dir);
    } catch (e) {
      await fs.close(fd).catch(() => {});
      await fs.unlink(path).catch(() => {});
      throw e;
    }
    const bytes = header.length;
    const info: SegmentInfo = { number, boot, firstSeq, lastSeq: firstSeq - 1, end: bytes, bytes, created };
    this.segments.push(info);
    this.totalBytes += bytes;
    this.active = { info, fd, headerLength: bytes, count: 0, digest: 0 };
    this.pendingAt = bytes + this.batchLength;
    this.o.onRoll();
    return this.active;
  }

  /** The footer is a convenience: without it the segment is read whole at the next start. */
  private async seal(): Promise<void> {
    const { fs, cls, worker, boot } = this.o;
    const { info, fd, headerLength, count, digest } = this.active!;
    this.active = undefined;
    const { firstSeq, lastSeq, end } = info;
    const footer = { cls, worker, headerLength, boot, firstSeq, lastSeq, count, digest, body: end, damaged: 0 };
    try {
      const bytes = encodeFooter(footer);
      await writeAll(fs, fd, bytes, bytes.length, end);
      await fs.fdatasync(fd);
      info.bytes += bytes.length;
      this.totalBytes += bytes.length;
    } catch (e) {
      this.o.onError(e, false);
    }
    await fs.close(fd).catch(() => {});
  }

  /** Leaves a file that failed. It is kept for what is durable in it; where that is nothing, it goes. */
  private async abandon(): Promise<void> {
    if (!this.active) return;
    const { info, fd, count } = this.active;
    this.active = undefined;
    this.batchWritten = 0;
    this.pendingWritten = 0;
    await this.o.fs.close(fd).catch(() => {});
    if (count > 0) return;
    this.segments.splice(this.segments.indexOf(info), 1);
    this.totalBytes -= info.bytes;
    await this.o.fs.unlink(segmentPath(this.o.dir, info.number)).catch(() => {});
  }
}
