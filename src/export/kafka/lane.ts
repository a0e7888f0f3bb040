/** A reader of a class log and the queues it fills; what a lane is told and asked. */
import { Backoff } from '../../core/backoff.ts';
import type { Clock } from '../../core/clock.ts';
import { type EventRecord, RECORD_HEADER, SpooledEvent } from '../../event/record.ts';
import type { EventType } from '../../event/types.ts';
import { comparePositions } from '../../spool/segment-file.ts';
import type { Position, SpooledRecord } from '../../spool/types.ts';
import type { RecordSource } from '../types.ts';
import type { Chunks } from './chunks.ts';
import { partitionFor } from './partitioner.ts';
import type { Producer, SendResult } from './producer.ts';
import { PartitionQueue, type PendingRecord } from './queue.ts';

export interface LaneLimits {
  batchBytes: number;
  batchEvents: number;
  /** At least this long between two rounds of sending what is no full batch. */
  lingerMs: number;
  /** Bytes of events the main lane may hold; a straggler holds at most one batch's worth. */
  pendingBytes: number;
  readBytes: number;
  /** How long a partition may stand still before it becomes a straggler. */
  graceMs: number;
}

export const DEFAULT_LIMITS: LaneLimits = {
  batchBytes: 900 * 1024,
  batchEvents: 1000,
  lingerMs: 20,
  pendingBytes: 16 * 1024 * 1024,
  readBytes: 512 * 1024,
  graceMs: 1000,
};

/** Where a straggler stands. `count` and `partition` are absent where it is the whole topic. */
export interface StragglerState {
  type: EventType;
  count?: number;
  partition?: number;
  position: Position;
}

export interface LanesState {
  position: Position;
  stragglers: StragglerState[];
}

export interface LanesOptions {
  clock: Clock;
  producer: Pick<Producer, 'topic' | 'send' | 'abandon' | 'refresh'>;
  limits: LaneLimits;
  topicOf: (type: EventType) => string;
  sizeOf: (r: EventRecord) => number;
  /** Another format of it; undefined: as it is. */
  convert?: (r: EventRecord, sec: number, nsec: number) => EventRecord | undefined;
  open: () => RecordSource;
  end: Position | 'all';
  state: LanesState | undefined;
  /** Receipts are due for records of this boot. */
  boot: number | undefined;
  onExported: (seqs: number[]) => void;
  onAcked: (events: number) => void;
  onRetried: (events: number) => void;
  /** Sets events aside for ever. False where that failed: it is tried again. */
  onQuarantine: (records: readonly PendingRecord[], topic: string, partition: number, r: SendResult) => boolean;
  /** A spooled record that no exporter understands. */
  onUndecodable: (r: SpooledRecord) => boolean;
  /** A queue stands still (result) or moves again (undefined; partition 'all': nothing of the topic stands still any more). */
  onTrouble: (type: EventType, topic: string, partition: number | 'all', r: SendResult | undefined) => void;
  /** Called when `drained` may have become true. */
  onIdle: () => void;
}

/** What a straggler owns. */
export interface Filter {
  type: EventType;
  count: number | undefined;
  partition: number | undefined;
}

/** How a lane deals out the events of a type. */
interface Dealt {
  type: EventType;
  /** Partitions of its topic; undefined before the first. */
  count: number | undefined;
  /** Those of `Lane.queues` that were asked for, by partition: a record's way to its queue without a text. One that left is closed. */
  queues: PartitionQueue[];
}

/** Stands in the log and holds what it read of it. */
export class Lane {
  readonly source: RecordSource;
  readonly filter: Filter | undefined;
  readonly queues = new Map<string, PartitionQueue>();
  readonly backoff: Backoff;
  /** Shared by the lanes of a log: their queues change hands. */
  readonly chunks: Chunks;
  bytes = 0;
  /** A straggler that failed waits until then. */
  retryAt = 0;
  /** Events left to this straggler and not delivered yet, as far as this process saw them. */
  backlog = 0;
  atEnd = false;
  private readonly dealt = new Map<EventType, Dealt>();
  /** Of them, the one asked for last: neighbours in a log are mostly of one type. */
  private last: Dealt | undefined;

  constructor(source: RecordSource, filter: Filter | undefined, chunks: Chunks) {
    this.chunks = chunks;
    this.source = source;
    this.filter = filter;
    this.backoff = new Backoff(500, 5000);
  }

  /** The queue of a partition (-1 while they are not known); a new one, of at most `cap` events a batch, where there is none. */
  queue(type: EventType, topic: string, partition: number, cap: number): PartitionQueue {
    const found = this.of(type).queues;
    if (partition >= 0 && partition < found.length && !found[partition].closed) return found[partition];
    const key = `${topic} ${partition}`;
    let q = this.queues.get(key);
    if (!q) {
      q = new PartitionQueue(type, topic, partition, cap, new Backoff(50, 1000));
      this.queues.set(key, q);
    }
    // Without holes: the first records of a topic fill it.
    if (partition >= 0 && partition <= found.length) found[partition] = q;
    return q;
  }

  /** Partitions of the type's topic as this lane deals them out; undefined where it has dealt out none. */
  count(type: EventType): number | undefined {
    return this.of(type).count;
  }

  setCount(type: EventType, count: number | undefined): void {
    this.of(type).count = count;
  }

  clearCounts(): void {
    for (const d of this.dealt.values()) d.count = undefined;
  }

  private of(type: EventType): Dealt {
    if (this.last?.type === type) return this.last;
    let d = this.dealt.get(type);
    if (d === undefined) this.dealt.set(type, (d = { type, count: undefined, queues: [] }));
    this.last = d;
    return d;
  }

  lowWater(): Position {
    let low = this.source.position;
    for (const q of this.queues.values()) {
      const first = q.first;
      if (first && comparePositions(first.position, low) < 0) low = first.position;
    }
    return low;
  }

  outstanding(type: EventType): boolean {
    for (const q of this.queues.values()) if (q.type === type && q.length > 0) return true;
    return false;
  }
}

/** True where the record is the filter's. */
export function matches(f: Filter, r: EventRecord): boolean {
  if (r.type !== f.type) return false;
  if (f.partition === undefined) return true;
  const partition =
    r instanceof SpooledEvent
      ? partitionFor(r.bytes, f.count!, r.at + RECORD_HEADER, r.keyEnd)
      : partitionFor(r.key, f.count!);
  return partition === f.partition;
}
