/**
 * The spool of one worker: one append-only log per class under `<data_dir>/spool/<generation>/<worker>/<class>/`.
 * The writer lives in the ingest thread; readers (exporters) live in another thread and see only what is durable.
 */
import type { Buffer } from 'node:buffer';
import type { TextWriter } from '../core/text-writer.ts';
import type { EventClass } from '../event/types.ts';

/** Where a record begins. Segments are numbered from 1 in each log; `offset` is a byte offset in the segment file. Compare by segment, then offset. */
export interface Position {
  segment: number;
  offset: number;
}

/**
 * One record as read back: its payload is bytes[at, end), memory of the reader's buffer; copy it to keep it. Positions and the view of the
 * payload may be made when they are asked for: who moves many records needs neither.
 */
export interface SpooledRecord {
  readonly position: Position;
  /** Those of `position`. */
  readonly segment: number;
  readonly offset: number;
  /** The position behind this record: where a cursor that has passed it stands. */
  readonly next: Position;
  readonly boot: number;
  readonly seq: number;
  readonly sec: number;
  readonly nsec: number;
  readonly bytes: Buffer;
  readonly at: number;
  readonly end: number;
  readonly payload: Buffer;
}

/** The writing half, in the ingest thread. */
export interface SpoolWriter {
  readonly boot: number;
  /** The seq the next appended record of this class will get: it is part of the event's JSON, so it is asked for first. */
  nextSeq(cls: EventClass): number;
  /**
   * Copies `payload` and queues it; returns its seq. The record is durable once `onSynced` reported that seq. Never throws.
   * -1, with nothing queued, where the payload is longer than MAX_PAYLOAD (32 MiB) or the spool is closed.
   */
  append(cls: EventClass, sec: number, nsec: number, payload: Buffer): number;
  /**
   * The same for a payload that is written where it will stand: from the writer's `at` on. What was begun and not ended is forgotten with
   * the next `beginRecord`.
   */
  beginRecord(cls: EventClass): TextWriter;
  /** What was written since `beginRecord` is the payload of a record; returns as `append` does. */
  endRecord(cls: EventClass, sec: number, nsec: number): number;
  /** Somebody waits for the last record of this class: make it durable soon. */
  hurry(cls: EventClass): void;
  /**
   * Gives everything appended to the kernel, so that the death of this process does not lose it. Called after each batch of datagrams.
   * False where some of it is in memory alone: a segment changes, or the disk is slow or refuses.
   */
  writeOut(): boolean;
  /**
   * Called with each `writeOut` and before each fdatasync: the CRC-32 of the values of `count` records from seq `first` on, the first ones
   * in `sums`, which is used again. Every record is in one of these calls, in order, before `onSynced` reports it.
   */
  onSummed: (cls: EventClass, first: number, sums: Uint32Array, count: number) => void;
  /** Called after each fdatasync: every record of `cls` up to and including `seq` is durable; readers may read up to `end`. */
  onSynced: (cls: EventClass, seq: number, end: Position) => void;
  /** An exporter's low-water mark of a class: nothing before it is needed by any durable exporter. Drives retention and fill. */
  exportedUpTo(cls: EventClass, position: Position): void;
  /** Up to where readers may read now: what `onSynced` reported last, or the end of what recovery found. */
  durableEnd(cls: EventClass): Position;
  /** The last seq of this boot that is durable; 0 where none is. */
  durableSeq(cls: EventClass): number;
  /** Bytes handed to `append` and not yet durable. */
  readonly unsyncedBytes: number;
  /** Monotonic ms since which the oldest record waits for its fdatasync; undefined where none waits. */
  readonly waitingSince: number | undefined;
  /** Set while the disk refuses writes: what the operating system said. */
  readonly failure: string | undefined;
  usage(): SpoolUsage;
  /** Resolves when everything appended so far is durable. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface ClassUsage {
  bytes: number;
  unexported: number;
  segments: number;
}

export type SpoolUsage = Record<EventClass, ClassUsage>;
