/**
 * The way of one class log of one shard to its topics.
 *
 * The main lane reads the log once and deals the events out to the queues of their partitions. A partition (or a whole topic) that cannot be
 * written becomes a straggler: its events leave the memory, and a lane of its own reads the log again from its first undelivered event, only for that
 * partition, once it can be written. The main lane leaves those events out meanwhile. A straggler never reads beyond the lane it left; when it stands
 * where that one stands, its queues are handed over and it ends. So the memory is bounded, the order of a key is kept, and nothing waits for it.
 *
 * A straggler owns keys, not a partition of today: it remembers the number of partitions there were when it left.
 */
import { Buffer } from 'node:buffer';
import { Backoff } from '../../core/backoff.ts';
import type { Clock, TimerHandle } from '../../core/clock.ts';
import { decodeRecord, type EventRecord, FLAG_WANTS_EXPORTED } from '../../event/record.ts';
import type { EventType } from '../../event/types.ts';
import { comparePositions } from '../../spool/segment-file.ts';
import type { Position, SpooledRecord } from '../../spool/types.ts';
import type { RecordSource } from '../types.ts';
import { partitionFor } from './partitioner.ts';
import type { OutBatch, Producer, SendResult } from './producer.ts';
import { PartitionQueue, type PendingRecord } from './queue.ts';

export interface LaneLimits {
  batchBytes: number;
  batchEvents: number;
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
  lingerMs: 5,
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

interface Filter {
  type: EventType;
  count: number | undefined;
  partition: number | undefined;
}

class Lane {
  readonly source: RecordSource;
  readonly filter: Filter | undefined;
  readonly queues = new Map<string, PartitionQueue>();
  /** Partitions of a topic as this lane deals them out. */
  readonly counts = new Map<EventType, number>();
  readonly backoff: Backoff;
  bytes = 0;
  /** A straggler that failed waits until then. */
  retryAt = 0;
  /** Events left to this straggler and not delivered yet, as far as this process saw them. */
  backlog = 0;
  atEnd = false;

  constructor(source: RecordSource, filter: Filter | undefined) {
    this.source = source;
    this.filter = filter;
    this.backoff = new Backoff(500, 5000);
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

export class Lanes {
  private readonly o: LanesOptions;
  private readonly main: Lane;
  private stragglers: Lane[] = [];
  private end: Position | 'all';
  private endSeq: number | undefined;
  private kicked = false;
  private lingerTimer: TimerHandle | undefined;
  private wakeTimer: TimerHandle | undefined;
  private closed = false;

  constructor(o: LanesOptions) {
    this.o = o;
    this.end = o.end;
    this.main = this.lane(undefined, o.state?.position ?? 'oldest');
    for (const s of o.state?.stragglers ?? [])
      this.stragglers.push(this.lane({ type: s.type, count: s.count, partition: s.partition }, s.position));
    this.kick();
  }

  durable(end: Position | 'all', seq: number | undefined): void {
    this.end = end;
    this.endSeq = seq;
    this.main.source.setDurableEnd(end, seq);
    this.main.atEnd = false;
    this.kick();
  }

  /** New metadata: topics may have come, leaders may be back. */
  metadataChanged(): void {
    for (const lane of [this.main, ...this.stragglers]) {
      for (const q of [...lane.queues.values()]) {
        const info = this.o.producer.topic(q.topic);
        if (!info) continue;
        if (q.partition < 0 && info.error === 0) this.redeal(lane, q);
        else if (q.partition < 0) this.judgeTopic(lane, q, info.error);
      }
    }
    this.kick();
  }

  lowWater(): Position {
    let low = this.main.lowWater();
    for (const s of this.stragglers) {
      const at = s.lowWater();
      if (comparePositions(at, low) < 0) low = at;
    }
    return low;
  }

  state(): LanesState {
    return {
      position: this.main.lowWater(),
      stragglers: this.stragglers.map((s) => ({
        type: s.filter!.type,
        count: s.filter!.count,
        partition: s.filter!.partition,
        position: s.lowWater(),
      })),
    };
  }

  drained(): boolean {
    if (!this.main.atEnd || this.stragglers.length > 0) return false;
    for (const q of this.main.queues.values()) if (q.length > 0) return false;
    return true;
  }

  /** Events not delivered: what the main lane has not read, what waits in queues, what is left to stragglers. */
  lag(): number {
    let n = this.main.source.lag().records;
    for (const q of this.main.queues.values()) n += q.length;
    for (const s of this.stragglers) n += s.backlog;
    return n;
  }

  /** Bytes held in memory, for tests and status. */
  get pendingBytes(): number {
    return [this.main, ...this.stragglers].reduce((n, l) => n + l.bytes, 0);
  }

  get stragglerCount(): number {
    return this.stragglers.length;
  }

  close(): void {
    this.closed = true;
    if (this.lingerTimer) this.o.clock.clearTimeout(this.lingerTimer);
    if (this.wakeTimer) this.o.clock.clearTimeout(this.wakeTimer);
    for (const lane of [this.main, ...this.stragglers]) {
      for (const q of lane.queues.values()) this.retire(q);
      lane.source.close();
    }
  }

  private lane(filter: Filter | undefined, at: Position | 'oldest'): Lane {
    const source = this.o.open();
    source.setDurableEnd(this.end, this.endSeq);
    source.seek(at);
    return new Lane(source, filter);
  }

  private kick(): void {
    if (this.kicked || this.closed) return;
    this.kicked = true;
    setImmediate(() => {
      this.kicked = false;
      if (this.closed) return;
      let more = this.pump(this.main);
      for (const s of [...this.stragglers]) more = this.pumpStraggler(s) || more;
      if (more) this.kick();
      else if (this.drained()) this.o.onIdle();
    });
  }

  /** Reads one chunk where there is room. True where there may be more to do at once. */
  private pump(lane: Lane): boolean {
    const { limits } = this.o;
    const room = lane === this.main ? limits.pendingBytes : limits.batchBytes;
    if (lane.atEnd) return false;
    if (lane.bytes >= room) {
      if (lane === this.main) this.makeRoom();
      return false;
    }
    const records = lane.source.read(limits.readBytes, Buffer.allocUnsafeSlow(this.chunk(lane)));
    if (records.length === 0) {
      lane.atEnd = true;
      this.sendAll(lane);
      return false;
    }
    for (const r of records) {
      if (this.deal(lane, r)) continue;
      // It cannot be dealt out yet: the lane waits here.
      lane.source.seek(r.position);
      this.sendAll(lane);
      return false;
    }
    this.armLinger();
    return true;
  }

  /** The main lane may hold no more: is it one partition that keeps the others waiting? */
  private makeRoom(): void {
    for (const q of [...this.main.queues.values()]) if (q.trouble || q.inFlight) this.considerStraggling(this.main, q);
    this.wakeLater();
  }

  /** As much as there is, so that a quiet log does not cost a large buffer for each event. */
  private chunk(lane: Lane): number {
    const { readBytes } = this.o.limits;
    const { end } = this;
    const at = lane.source.position;
    if (end === 'all' || end.segment !== at.segment) return readBytes;
    return Math.max(4096, Math.min(readBytes, end.offset - at.offset));
  }

  private pumpStraggler(s: Lane): boolean {
    const now = this.o.clock.nowMs();
    if (!this.stragglers.includes(s)) return false;
    if (now < s.retryAt || !this.writable(s)) {
      this.wakeLater();
      return false;
    }
    const parent = this.parentOf(s);
    s.source.setDurableEnd(parent.source.position);
    s.atEnd = false;
    // Most of what it reads belongs to others: a few chunks at a time, so that it catches up with a lane that is reading too.
    let more = true;
    for (let i = 0; i < 4 && more && !s.atEnd; i++) more = this.pump(s);
    return s.atEnd ? this.rejoin(s, parent) : more;
  }

  /** The lane that takes over from a straggler: its topic's, or the main one. */
  private parentOf(s: Lane): Lane {
    if (s.filter!.partition === undefined) return this.main;
    return (
      this.stragglers.find((x) => x !== s && x.filter!.partition === undefined && x.filter!.type === s.filter!.type) ??
      this.main
    );
  }

  private writable(s: Lane): boolean {
    const { type, partition, count } = s.filter!;
    const info = this.o.producer.topic(this.o.topicOf(type));
    if (info?.error !== 0) return false;
    return partition === undefined || count !== info.leaders.length || info.leaders[partition] >= 0;
  }

  /** The straggler has read all its parent has: hands its queues over. */
  private rejoin(s: Lane, parent: Lane): boolean {
    const { type } = s.filter!;
    const count = s.counts.get(type);
    const other = parent.counts.get(type);
    if (
      count !== undefined &&
      other !== undefined &&
      count !== other &&
      (s.outstanding(type) || parent.outstanding(type))
    )
      return false;
    for (const [key, q] of s.queues) {
      const theirs = parent.queues.get(key);
      if (theirs && (theirs.length > 0 || theirs.inFlight) && q.length > 0) return false;
    }
    for (const [key, q] of s.queues) {
      const theirs = parent.queues.get(key);
      if (theirs && (theirs.length > 0 || theirs.inFlight)) {
        this.retire(q);
        continue;
      }
      if (theirs) this.retire(theirs);
      parent.queues.set(key, q);
      parent.bytes += q.bytes;
    }
    if (count !== undefined) parent.counts.set(type, count);
    s.queues.clear();
    s.source.close();
    this.stragglers = this.stragglers.filter((x) => x !== s);
    const last = !this.stragglers.some((x) => x.filter!.type === type);
    const stuck = [...this.main.queues.values()].some((q) => q.type === type && q.trouble);
    if (last && !stuck) this.o.onTrouble(type, this.o.topicOf(type), 'all', undefined);
    return true;
  }

  /** Puts one event into its queue. False where it has to wait outside. */
  private deal(lane: Lane, r: SpooledRecord): boolean {
    const { o } = this;
    const record = decodeRecord(r.payload);
    if (!record) return lane !== this.main || o.onUndecodable(r);
    if (lane.filter && !matches(lane.filter, record)) return true;
    const owner = this.ownerOf(lane, record);
    if (owner !== lane) {
      if (lane === this.main) owner.backlog++;
      return true;
    }
    const topic = o.topicOf(record.type);
    const info = o.producer.topic(topic);
    if (!info) return false;
    let partition = -1;
    if (info.error === 0) {
      const count = info.leaders.length;
      if (lane.counts.get(record.type) !== count) {
        // Another number of partitions: a key may have moved, so what was dealt out before goes first.
        if (lane.outstanding(record.type)) return false;
        lane.counts.set(record.type, count);
      }
      partition = partitionFor(record.key, count);
    }
    const q = this.queue(lane, record.type, topic, partition);
    const { sec, nsec, seq, boot, position } = r;
    const pending = { record, sec, nsec, seq, boot, position, size: o.sizeOf(record) };
    q.push(pending, o.clock.nowMs());
    lane.bytes += pending.size;
    if (partition < 0) this.judgeTopic(lane, q, info.error);
    else {
      if (q.length >= q.cap || q.bytes >= o.limits.batchBytes) this.trySend(lane, q);
      if (q.bytes > o.limits.pendingBytes / 4) this.considerStraggling(lane, q);
    }
    return true;
  }

  private ownerOf(lane: Lane, record: EventRecord): Lane {
    if (this.stragglers.length === 0 || lane.filter?.partition !== undefined) return lane;
    let owner = lane;
    for (const s of this.stragglers) {
      if (s === lane || !matches(s.filter!, record)) continue;
      if (s.filter!.partition !== undefined) return s;
      if (!lane.filter) owner = s;
    }
    return owner;
  }

  private queue(lane: Lane, type: EventType, topic: string, partition: number): PartitionQueue {
    const key = `${topic} ${partition}`;
    let q = lane.queues.get(key);
    if (!q) {
      q = new PartitionQueue(type, topic, partition, this.o.limits.batchEvents, new Backoff(50, 1000));
      lane.queues.set(key, q);
    }
    return q;
  }

  /** The topic has come: its events get their partitions. */
  private redeal(lane: Lane, q: PartitionQueue): void {
    const { o } = this;
    const info = o.producer.topic(q.topic)!;
    lane.queues.delete(`${q.topic} ${q.partition}`);
    lane.counts.set(q.type, info.leaders.length);
    const now = o.clock.nowMs();
    for (const r of q.all())
      this.queue(lane, q.type, q.topic, partitionFor(r.record.key, info.leaders.length)).push(r, now);
    this.retire(q);
    o.onTrouble(q.type, q.topic, -1, undefined);
    this.sendAll(lane);
  }

  /** A topic without partitions: missing, denied or impossible. */
  private judgeTopic(lane: Lane, q: PartitionQueue, code: number): void {
    const outcome = code === 17 ? 'invalid-topic' : code === 29 ? 'denied' : 'topic-missing';
    const result: SendResult = { outcome, code, message: undefined, failure: undefined };
    if (outcome === 'invalid-topic') {
      this.o.onTrouble(q.type, q.topic, -1, result);
      const records = q.all();
      if (records.length > 0 && this.o.onQuarantine(records, q.topic, -1, result)) this.settle(lane, q, records.length);
      return;
    }
    this.enterTrouble(lane, q, result);
    this.considerStraggling(lane, q);
    this.wakeLater();
  }

  private armLinger(): void {
    const { clock, limits } = this.o;
    this.lingerTimer ??= clock.setTimeout(() => {
      this.lingerTimer = undefined;
      const now = clock.nowMs();
      let again = false;
      for (const lane of [this.main, ...this.stragglers]) {
        for (const q of lane.queues.values()) {
          if (q.length === 0 || q.batch || q.partition < 0) continue;
          if (now - q.waitingSince >= limits.lingerMs - 0.5) this.trySend(lane, q);
          else again = true;
        }
      }
      if (again) this.armLinger();
    }, limits.lingerMs);
  }

  private sendAll(lane: Lane): void {
    // At the end of the log there may be more in a moment: the linger time decides, except where there is none.
    if (this.o.limits.lingerMs > 0 && lane === this.main) {
      for (const q of lane.queues.values())
        if (q.length > 0 && !q.batch) {
          this.armLinger();
          return;
        }
      return;
    }
    for (const q of lane.queues.values()) this.trySend(lane, q);
  }

  private trySend(lane: Lane, q: PartitionQueue): void {
    if (q.batch || q.closed || q.length === 0 || q.partition < 0) return;
    const records = q.peek(this.o.limits.batchBytes);
    const batch: OutBatch & { records: readonly PendingRecord[] } = {
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

  private laneOf(q: PartitionQueue): Lane | undefined {
    const key = `${q.topic} ${q.partition}`;
    if (this.main.queues.get(key) === q) return this.main;
    return this.stragglers.find((s) => s.queues.get(key) === q);
  }

  private answered(q: PartitionQueue, batch: OutBatch & { records: readonly PendingRecord[] }, r: SendResult): void {
    const lane = this.laneOf(q);
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
        this.kick();
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
        this.kick();
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
    if (q.trouble || lane !== this.main) {
      q.trouble = undefined;
      o.onTrouble(q.type, q.topic, q.partition, undefined);
    }
    q.cap = Math.min(o.limits.batchEvents, q.cap * 2);
    q.deliveredAt = o.clock.nowMs();
    this.settle(lane, q, records.length);
    o.onAcked(records.length);
    if (o.boot !== undefined) {
      let seqs: number[] | undefined;
      for (const r of records) if (r.record.flags & FLAG_WANTS_EXPORTED && r.boot === o.boot) (seqs ??= []).push(r.seq);
      if (seqs) o.onExported(seqs);
    }
    if (q.length >= q.cap || q.bytes >= o.limits.batchBytes) this.trySend(lane, q);
    else if (q.length > 0) this.armLinger();
    this.kick();
  }

  /** `n` events at the head are dealt with. */
  private settle(lane: Lane, q: PartitionQueue, n: number): void {
    lane.bytes -= q.shift(n, this.o.clock.nowMs());
    lane.backlog = Math.max(0, lane.backlog - n);
    if (q.length === 0) this.kick();
  }

  private enterTrouble(_lane: Lane, q: PartitionQueue, r: SendResult): void {
    if (!q.trouble) {
      q.trouble = { since: this.o.clock.nowMs(), outcome: r.outcome, code: r.code, message: r.message };
      q.detach();
    } else Object.assign(q.trouble, { outcome: r.outcome, code: r.code, message: r.message });
    this.o.onTrouble(q.type, q.topic, q.partition, r);
  }

  private retryLater(lane: Lane, q: PartitionQueue): void {
    if (this.considerStraggling(lane, q) || q.retryTimer) return;
    const { clock } = this.o;
    q.retryTimer = clock.setTimeout(() => {
      q.retryTimer = undefined;
      const current = this.laneOf(q);
      if (this.closed || q.closed || !current || q.inFlight) return;
      if (this.considerStraggling(current, q)) return;
      if (q.batch) this.attempt(current, q);
      else this.trySend(current, q);
    }, q.backoff.next());
  }

  /** Moves a queue that stands still out of the way, where others need not wait for it. True where it is gone. */
  private considerStraggling(lane: Lane, q: PartitionQueue): boolean {
    const { limits, clock, producer } = this.o;
    const now = clock.nowMs();
    const slow = q.inFlight && now - q.sentAt >= limits.graceMs;
    if (!q.trouble && !slow) return false;
    const since = q.trouble?.since ?? q.sentAt;
    const patient = now - since < limits.graceMs;
    const outcome = q.trouble?.outcome;
    if (lane !== this.main) {
      // A straggler that fails again leaves the memory at once, and tries again later.
      if (outcome === 'topic-missing' || outcome === 'denied' || outcome === 'no-leader' || outcome === 'refused') {
        if (q.inFlight) return false;
        this.restart(lane);
        return true;
      }
      return false;
    }
    if (patient && q.bytes <= limits.pendingBytes / 4) return false;
    if (q.trouble && (outcome === 'topic-missing' || outcome === 'denied' || outcome === 'refused')) {
      if (patient) return false;
    } else {
      // One broker or all of them? As long as no other partition moves, there is nothing to be gained by reading the log twice.
      const others = this.othersMove(q, since);
      const info = producer.topic(q.topic);
      const led = outcome === 'no-leader' && info?.leaders.some((l) => l >= 0) === true;
      if (patient || !(others || led)) return false;
    }
    this.straggle(q);
    return true;
  }

  private othersMove(q: PartitionQueue, since: number): boolean {
    for (const other of this.main.queues.values()) {
      if (other !== q && other.deliveredAt > since) return true;
    }
    return false;
  }

  /** Takes a queue of the main lane out of the memory and gives it a lane of its own. */
  private straggle(q: PartitionQueue): void {
    const { type } = q;
    const count = this.main.counts.get(type);
    const partial = q.partition >= 0 && count !== undefined;
    const same = this.stragglers.filter((s) => s.filter!.type === type);
    // Lanes of one topic with different numbers of partitions would share keys: then the whole topic becomes one lane.
    const whole = !partial || same.some((s) => s.filter!.count !== undefined && s.filter!.count !== count);
    let from = q.first!.position;
    let backlog = q.length;
    const drop = (lane: Lane, queue: PartitionQueue) => {
      lane.queues.delete(`${queue.topic} ${queue.partition}`);
      lane.bytes -= queue.bytes;
      this.retire(queue);
    };
    drop(this.main, q);
    if (whole) {
      for (const other of [...this.main.queues.values()]) {
        if (other.type !== type) continue;
        if (other.first && comparePositions(other.first.position, from) < 0) from = other.first.position;
        backlog += other.length;
        drop(this.main, other);
      }
      for (const s of same) {
        const at = s.lowWater();
        if (comparePositions(at, from) < 0) from = at;
        backlog += s.backlog;
        for (const other of s.queues.values()) this.retire(other);
        s.source.close();
        this.stragglers = this.stragglers.filter((x) => x !== s);
      }
      this.main.counts.delete(type);
    }
    const filter: Filter = whole
      ? { type, count: undefined, partition: undefined }
      : { type, count, partition: q.partition };
    const lane = this.lane(filter, from);
    lane.backlog = backlog;
    lane.retryAt = this.o.clock.nowMs() + lane.backoff.next();
    this.stragglers.push(lane);
    this.kick();
    this.wakeLater();
  }

  /** A straggler that failed again: forgets what it read. */
  private restart(s: Lane): void {
    const at = s.lowWater();
    for (const q of s.queues.values()) this.retire(q);
    s.queues.clear();
    s.counts.clear();
    s.bytes = 0;
    s.source.seek(at);
    s.retryAt = this.o.clock.nowMs() + s.backoff.next();
    this.wakeLater();
  }

  private retire(q: PartitionQueue): void {
    q.closed = true;
    if (q.retryTimer) this.o.clock.clearTimeout(q.retryTimer);
    if (q.batch) this.o.producer.abandon(q.batch);
    q.batch = undefined;
  }

  /** Stragglers are looked after about each half second while there are any. */
  private wakeLater(): void {
    if (this.wakeTimer || this.closed) return;
    const { clock, producer } = this.o;
    this.wakeTimer = clock.setTimeout(() => {
      this.wakeTimer = undefined;
      for (const q of [...this.main.queues.values()])
        if (q.trouble && !q.inFlight) this.considerStraggling(this.main, q);
      const waiting = this.stragglers.length > 0 || [...this.main.queues.values()].some((q) => q.partition < 0);
      if (waiting) {
        producer.refresh();
        this.wakeLater();
      }
      this.kick();
    }, 500);
  }
}

function matches(f: Filter, r: EventRecord): boolean {
  if (r.type !== f.type) return false;
  return f.partition === undefined || partitionFor(r.key, f.count!) === f.partition;
}
