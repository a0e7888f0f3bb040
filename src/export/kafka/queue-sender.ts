/** The sending half of the lanes: when a queue is sent, and what its answer means for it. */
import type { TimerHandle } from '../../core/clock.ts';
import { FLAG_WANTS_EXPORTED } from '../../event/record.ts';
import type { Lane, LanesOptions } from './lane.ts';
import type { OutBatch, SendResult } from './producer.ts';
import type { PartitionQueue, PendingRecord } from './queue.ts';

type Batch = OutBatch & { records: readonly PendingRecord[] };

/** What the sending half asks of the reading half. */
export interface LaneHost {
  lanes(): Lane[];
  laneOf(q: PartitionQueue): Lane | undefined;
  /** There may be room to read, or nothing left to do. */
  kick(): void;
  /** True where the queue was moved out of the way and is gone. */
  considerStraggling(lane: Lane, q: PartitionQueue): boolean;
}

/** The least time between requests where somebody waits for an answer. */
const URGENT_LINGER_MS = 5;

export class QueueSender {
  private readonly o: LanesOptions;
  private readonly host: LaneHost;
  private lingerTimer: TimerHandle | undefined;
  /** Monotonic ms at which it fires. */
  private lingerDue = 0;
  private sentAllAt = Number.NEGATIVE_INFINITY;
  private closed = false;

  constructor(o: LanesOptions, host: LaneHost) {
    this.o = o;
    this.host = host;
  }

  close(): void {
    this.closed = true;
    if (this.lingerTimer) this.o.clock.clearTimeout(this.lingerTimer);
  }

  /** The queue will not be used again. */
  retire(q: PartitionQueue): void {
    q.closed = true;
    if (q.retryTimer) this.o.clock.clearTimeout(q.retryTimer);
    if (q.batch) this.o.producer.abandon(q.batch);
    q.batch = undefined;
  }

  /**
   * All queues are sent together, `lingerMs` after the last time: an event of a quiet hour goes at once, a stream in few requests.
   * `urgent`: an inform is among them, whose sender waits for the answer. `complete`: there is no more to be read now, so what is due is sent
   * without a timer.
   */
  armLinger(urgent = false, complete = false): void {
    const { clock, limits } = this.o;
    const now = clock.nowMs();
    const due = Math.max(
      now,
      this.sentAllAt + (urgent ? Math.min(URGENT_LINGER_MS, limits.lingerMs) : limits.lingerMs),
    );
    const atOnce = complete && due <= now;
    if (this.lingerTimer) {
      if (this.lingerDue <= due && !atOnce) return;
      clock.clearTimeout(this.lingerTimer);
      this.lingerTimer = undefined;
    }
    if (atOnce) {
      this.round();
      return;
    }
    this.lingerDue = due;
    this.lingerTimer = clock.setTimeout(() => {
      this.lingerTimer = undefined;
      this.round();
    }, due - now);
  }

  private round(): void {
    this.sentAllAt = this.o.clock.nowMs();
    for (const lane of this.host.lanes()) for (const q of [...lane.queues.values()]) this.trySend(lane, q);
  }

  sendAll(lane: Lane): void {
    // At the end of the log there may be more in a moment: the linger time decides, except where there is none.
    if (this.o.limits.lingerMs > 0 && !lane.filter) {
      for (const q of lane.queues.values())
        if (q.length > 0 && !q.batch) {
          this.armLinger(q.urgent, true);
          return;
        }
      return;
    }
    for (const q of lane.queues.values()) this.trySend(lane, q);
  }

  trySend(lane: Lane, q: PartitionQueue): void {
    if (q.batch || q.closed || q.length === 0 || q.partition < 0) return;
    const records = q.peek(this.o.limits.batchBytes);
    const batch: Batch = {
      topic: q.topic,
      partition: q.partition,
      records,
      state: undefined,
      done: (r) => this.answered(q, batch, r),
    };
    q.batch = batch;
    this.attempt(lane, q);
  }

  private attempt(_lane: Lane, q: PartitionQueue): void {
    q.inFlight = true;
    q.sentAt = this.o.clock.nowMs();
    this.o.producer.send(q.batch!);
  }

  private answered(q: PartitionQueue, batch: Batch, r: SendResult): void {
    const lane = this.host.laneOf(q);
    if (this.closed || q.closed || q.batch !== batch || !lane) return;
    q.inFlight = false;
    const n = batch.records.length;
    switch (r.outcome) {
      case 'ok':
        this.delivered(lane, q, batch.records);
        return;
      case 'too-large':
      case 'invalid-record':
        q.batch = undefined;
        if (n > 1) q.cap = Math.ceil(n / 2);
        else if (this.o.onQuarantine(batch.records, q.topic, q.partition, r)) {
          this.settle(lane, q, 1);
          q.cap = Math.min(this.o.limits.batchEvents, q.cap * 2);
        } else {
          this.retryLater(lane, q);
          return;
        }
        this.o.onRetried(n > 1 ? n : 0);
        this.trySend(lane, q);
        this.host.kick();
        return;
      case 'invalid-topic':
        q.batch = undefined;
        this.o.onTrouble(q.type, q.topic, q.partition, r);
        if (!this.o.onQuarantine(batch.records, q.topic, q.partition, r)) {
          this.retryLater(lane, q);
          return;
        }
        this.settle(lane, q, n);
        this.trySend(lane, q);
        this.host.kick();
        return;
      case 'new-producer':
        this.o.onRetried(n);
        this.attempt(lane, q);
        return;
      default:
        this.o.onRetried(n);
        this.enterTrouble(lane, q, r);
        this.retryLater(lane, q);
    }
  }

  private delivered(lane: Lane, q: PartitionQueue, records: readonly PendingRecord[]): void {
    const { o } = this;
    q.batch = undefined;
    q.backoff.reset();
    lane.backoff.reset();
    lane.retryAt = 0;
    if (q.trouble || lane.filter) {
      q.trouble = undefined;
      o.onTrouble(q.type, q.topic, q.partition, undefined);
    }
    q.cap = Math.min(o.limits.batchEvents, q.cap * 2);
    q.deliveredAt = o.clock.nowMs();
    const { urgent } = q;
    this.settle(lane, q, records.length);
    o.onAcked(records.length);
    if (o.boot !== undefined && urgent) {
      let seqs: number[] | undefined;
      for (const r of records) if (r.record.flags & FLAG_WANTS_EXPORTED && r.boot === o.boot) (seqs ??= []).push(r.seq);
      if (seqs) o.onExported(seqs);
    }
    if (q.length >= q.cap || q.bytes >= o.limits.batchBytes) this.trySend(lane, q);
    else if (q.length > 0) this.armLinger(q.urgent);
    this.host.kick();
  }

  /** `n` events at the head are dealt with. */
  settle(lane: Lane, q: PartitionQueue, n: number): void {
    lane.bytes -= q.shift(n, lane.chunks);
    lane.backlog = Math.max(0, lane.backlog - n);
    if (q.length === 0) this.host.kick();
  }

  enterTrouble(_lane: Lane, q: PartitionQueue, r: SendResult): void {
    if (!q.trouble) {
      q.trouble = { since: this.o.clock.nowMs(), outcome: r.outcome, code: r.code, message: r.message };
      q.detach();
    } else Object.assign(q.trouble, { outcome: r.outcome, code: r.code, message: r.message });
    this.o.onTrouble(q.type, q.topic, q.partition, r);
  }

  private retryLater(lane: Lane, q: PartitionQueue): void {
    if (this.host.considerStraggling(lane, q) || q.retryTimer) return;
    const { clock } = this.o;
    q.retryTimer = clock.setTimeout(() => {
      q.retryTimer = undefined;
      const current = this.host.laneOf(q);
      if (this.closed || q.closed || !current || q.inFlight) return;
      if (this.host.considerStraggling(current, q)) return;
      if (q.batch) this.attempt(current, q);
      else this.trySend(current, q);
    }, q.backoff.next());
  }
}
