import type { Draft, Receipt, ShedKind } from '../event/types.ts';

/** What a collector may do with an event. One pipeline a worker; all calls are synchronous, receipts come later. */
export interface Pipeline {
  /**
   * Numbers, encodes and spools one event. False where the spool sheds this kind now: the event is counted as shed and the
   * receipt is never called (an inform goes unanswered, a session closes). What the draft says is copied: its collector may make the next
   * one of the same memory.
   */
  emit(draft: Draft, receipt?: Receipt): boolean;
  /**
   * A collector calls it after each batch of datagrams: what it emitted is given to the kernel, so that the death of the process does
   * not lose it. False where some of it still is in memory alone.
   */
  batchDone(): boolean;
  /** Would an event of this kind be taken now? Asked before a session is accepted or work is done for nothing. */
  accepts(kind: ShedKind): boolean;
  /** True while more than `max_unsynced_bytes` wait for fdatasync: stream collectors stop reading until `onResume`. */
  readonly paused: boolean;
  onResume(fn: () => void): void;
  /** True where a durable exporter (Kafka) is configured: only then is there an `exported` to wait for. */
  readonly hasDurableExporter: boolean;
}
