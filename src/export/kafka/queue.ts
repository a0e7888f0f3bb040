/** The events of one partition on their way out, in order: at most one batch of them is in flight. */
import type { Backoff } from '../../core/backoff.ts';
import type { TimerHandle } from '../../core/clock.ts';
import type { EventRecord } from '../../event/record.ts';
import { copyEvent, FLAG_WANTS_EXPORTED } from '../../event/record.ts';
import type { EventType } from '../../event/types.ts';
import type { Position, SpooledRecord } from '../../spool/types.ts';
import type { Chunk, Chunks } from './chunks.ts';
import type { Outcome } from './errors.ts';
import type { OutBatch } from './producer.ts';
import type { BatchRecord } from './record-batch.ts';

export interface PendingRecord extends BatchRecord {
  /** As it was spooled, where `record` has it in another format. */
  original?: EventRecord | undefined;
  readonly seq: number;
  readonly boot: number;
  readonly position: Position;
  /** Bytes in a batch. */
  readonly size: number;
  /** What it is a view of, where that is used again after the delivery. */
  chunk: Chunk | undefined;
}

/** What neighbours in a log have in common. */
export interface Origin {
  boot: number;
  segment: number;
}

/** One as it was read. There are many of them: what can be shared is, and the position is made when it is asked for. */
export class ReadRecord implements PendingRecord {
  record: EventRecord;
  original: EventRecord | undefined;
  readonly sec: number;
  readonly nsec: number;
  readonly seq: number;
  readonly size: number;
  chunk: Chunk | undefined;
  private readonly origin: Origin;
  private readonly offset: number;

  constructor(
    record: EventRecord,
    original: EventRecord | undefined,
    origin: Origin,
    r: SpooledRecord,
    size: number,
    chunk: Chunk | undefined,
  ) {
    this.record = record;
    this.original = original;
    this.sec = r.sec;
    this.nsec = r.nsec;
    this.seq = r.seq;
    this.size = size;
    this.chunk = chunk;
    this.origin = origin;
    this.offset = r.offset;
  }

  get boot(): number {
    return this.origin.boot;
  }

  get position(): Position {
    return { segment: this.origin.segment, offset: this.offset };
  }
}

/** Why a queue does not move. */
export interface Trouble {
  since: number;
  outcome: Outcome;
  code: number;
  message: string | undefined;
}

export class PartitionQueue {
  readonly type: EventType;
  readonly topic: string;
  /** -1 while the topic has no known partitions. */
  readonly partition: number;
  records: PendingRecord[] = [];
  private head = 0;
  bytes = 0;
  /** The batch being tried; it stays the same until it is settled. */
  batch: (OutBatch & { records: readonly PendingRecord[] }) | undefined;
  /** True between `send` and its answer. */
  inFlight = false;
  sentAt = 0;
  deliveredAt = -1;
  /** Events a batch may hold; smaller while a record that is refused is being looked for. */
  cap: number;
  trouble: Trouble | undefined;
  retryTimer: TimerHandle | undefined;
  readonly backoff: Backoff;
  closed = false;
  /** Somebody waits for one of these, or of those that left just before. */
  urgent = false;

  constructor(type: EventType, topic: string, partition: number, cap: number, backoff: Backoff) {
    this.type = type;
    this.topic = topic;
    this.partition = partition;
    this.cap = cap;
    this.backoff = backoff;
  }

  get length(): number {
    return this.records.length - this.head;
  }

  get first(): PendingRecord | undefined {
    return this.records[this.head];
  }

  push(r: PendingRecord): void {
    // A queue that stands still must not keep whole read buffers alive for its few records.
    this.records.push(this.trouble ? detached(r) : r);
    this.bytes += r.size;
    if (r.record.flags & FLAG_WANTS_EXPORTED) this.urgent = true;
  }

  /** The next records, up to `cap` and about `maxBytes`; at least one. They stay in the queue until `shift`. */
  peek(maxBytes: number): PendingRecord[] {
    let bytes = 0;
    let end = this.head;
    const limit = Math.min(this.records.length, this.head + this.cap);
    while (end < limit) {
      bytes += this.records[end].size;
      if (bytes > maxBytes && end > this.head) break;
      end++;
    }
    return this.records.slice(this.head, end);
  }

  /** Everything pending, in order. */
  all(): PendingRecord[] {
    return this.records.slice(this.head);
  }

  /** Drops the first `n` records, which are dealt with; returns their bytes. */
  shift(n: number, chunks: Chunks): number {
    let bytes = 0;
    let chunk: Chunk | undefined;
    let of = 0;
    const end = this.head + n;
    for (let i = this.head; i < end; i++) {
      const r = this.records[i];
      bytes += r.size;
      if (r.chunk !== chunk) {
        if (chunk !== undefined) chunks.release(chunk, of);
        chunk = r.chunk;
        of = 0;
      }
      of++;
    }
    if (chunk !== undefined) chunks.release(chunk, of);
    this.head = end;
    this.bytes -= bytes;
    if (this.head === this.records.length) {
      this.records = [];
      this.head = 0;
      this.urgent = false;
    } else if (this.head > 4096 && this.head * 2 > this.records.length) {
      this.records = this.records.slice(this.head);
      this.head = 0;
    }
    return bytes;
  }

  /** Copies what is pending out of the read buffers: called when the queue begins to stand still. */
  detach(): void {
    for (let i = this.head; i < this.records.length; i++) {
      const before = this.records[i];
      // The batch shares these objects: they are changed in place.
      const copy = detached(before);
      before.record = copy.record;
      before.original = copy.original;
      before.chunk = undefined;
    }
  }
}

function detached(r: PendingRecord): PendingRecord {
  const { sec, nsec, seq, boot, position, size } = r;
  const original = r.original && copyEvent(r.original);
  return { record: copyEvent(r.record), original, sec, nsec, seq, boot, position, size, chunk: undefined };
}
