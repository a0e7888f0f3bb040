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
import type { TimerHandle } from '../../core/clock.ts';
import { decodeRecord, type EventRecord, RECORD_HEADER, wantsExported } from '../../event/record.ts';
import type { EventType } from '../../event/types.ts';
import { comparePositions } from '../../spool/segment-file.ts';
import type { Position, SpooledRecord } from '../../spool/types.ts';
import { type Chunk, Chunks } from './chunks.ts';
import { type Filter, Lane, type LanesOptions, type LanesState, matches } from './lane.ts';
import { partitionFor } from './partitioner.ts';
import type { SendResult, TopicInfo } from './producer.ts';
import { type Origin, type PartitionQueue, ReadRecord } from './queue.ts';
import { QueueSender } from './queue-sender.ts';

const CHUNKS_A_TURN = 4;

export class Lanes {
  private readonly o: LanesOptions;
  private readonly main: Lane;
  private readonly chunks: Chunks;
  private stragglers: Lane[] = [];
  private end: Position | 'all';
  private endSeq: number | undefined;
  private kicked = false;
  private readonly sender: QueueSender;
  /** Of the event dealt out last. */
  private origin: Origin = { boot: 0, segment: 0 };
  /** Where events of the type dealt out last go: metadata do not change while one read is dealt out. */
  private route: { type: EventType; topic: string; info: TopicInfo | undefined } | undefined;
  private wakeTimer: TimerHandle | undefined;
  private closed = false;

  constructor(o: LanesOptions) {
    this.o = o;
    this.chunks = new Chunks(o.limits.readBytes);
    this.end = o.end;
    this.sender = new QueueSender(o, {
      lanes: () => [this.main, ...this.stragglers],
      laneOf: (q) => this.laneOf(q),
      kick: () => this.kick(),
      considerStraggling: (lane, q) => this.considerStraggling(lane, q),
    });
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
    this.sender.close();
    if (this.wakeTimer) this.o.clock.clearTimeout(this.wakeTimer);
    for (const lane of [this.main, ...this.stragglers]) {
      for (const q of lane.queues.values()) this.sender.retire(q);
      lane.source.close();
    }
  }

  private lane(filter: Filter | undefined, at: Position | 'oldest'): Lane {
    const source = this.o.open();
    source.setDurableEnd(this.end, this.endSeq);
    source.seek(at);
    return new Lane(source, filter, this.chunks);
  }

  private kick(): void {
    if (this.kicked || this.closed) return;
    this.kicked = true;
    // Where all is read there is nothing to do but to say so: not worth a turn of the event loop.
    if (this.main.atEnd && this.stragglers.length === 0) queueMicrotask(this.turn);
    else setImmediate(this.turn);
  }

  private readonly turn = (): void => {
    this.kicked = false;
    if (this.closed) return;
    let more = this.pumpSome(this.main);
    for (const s of [...this.stragglers]) more = this.pumpStraggler(s) || more;
    if (more) this.kick();
    else if (this.drained()) this.o.onIdle();
  };

  /** A few chunks a turn. Of a straggler most belongs to others, and it has to catch up with a lane that is reading too. */
  private pumpSome(lane: Lane): boolean {
    let more = true;
    for (let i = 0; i < CHUNKS_A_TURN && more && !lane.atEnd; i++) more = this.pump(lane);
    return more && !lane.atEnd;
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
    const wanted = this.wanted(lane);
    const chunk = this.chunks.take(wanted);
    const from = chunk.used;
    const records = lane.source.read(limits.readBytes, chunk.buf.subarray(from, from + wanted), true);
    if (records.length === 0) {
      lane.atEnd = true;
      this.sender.sendAll(lane);
      return false;
    }
    // A record larger than what there was room for is in memory of its own.
    const own = records[0].bytes.buffer === chunk.buf.buffer ? chunk : undefined;
    if (own) {
      const last = records[records.length - 1];
      own.used = last.bytes.byteOffset - own.buf.byteOffset + last.end;
    }
    let urgent = false;
    this.route = undefined;
    for (const r of records) {
      urgent ||= wantsExported(r.bytes, r.at, r.end);
      if (this.deal(lane, r, own)) continue;
      // It cannot be dealt out yet: the lane waits here.
      lane.source.seek(r.position);
      this.judgeTopics(lane);
      this.sender.sendAll(lane);
      this.wakeLater();
      return false;
    }
    if (own?.live === 0) this.chunks.reuse(own);
    this.judgeTopics(lane);
    this.sender.armLinger(urgent);
    if (lane !== this.main || this.end === 'all' || comparePositions(lane.source.position, this.end) < 0) return true;
    lane.atEnd = true;
    this.sender.sendAll(lane);
    return false;
  }

  /** The main lane may hold no more: is it one partition that keeps the others waiting? */
  private makeRoom(): void {
    for (const q of [...this.main.queues.values()]) if (q.trouble || q.inFlight) this.considerStraggling(this.main, q);
    this.wakeLater();
  }

  /** As much as there is, so that a quiet log does not cost a large buffer for each event. */
  private wanted(lane: Lane): number {
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
    const more = this.pumpSome(s);
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
    const count = s.count(type);
    const other = parent.count(type);
    const moved = count !== undefined && other !== undefined && count !== other;
    if (moved && (s.outstanding(type) || parent.outstanding(type))) return false;
    for (const [key, q] of s.queues) {
      const theirs = parent.queues.get(key);
      if (theirs && (theirs.length > 0 || theirs.inFlight) && q.length > 0) return false;
    }
    for (const [key, q] of s.queues) {
      const theirs = parent.queues.get(key);
      if (theirs && (theirs.length > 0 || theirs.inFlight)) {
        this.sender.retire(q);
        continue;
      }
      if (theirs) this.sender.retire(theirs);
      parent.queues.set(key, q);
      parent.bytes += q.bytes;
    }
    if (count !== undefined) parent.setCount(type, count);
    s.queues.clear();
    s.source.close();
    this.stragglers = this.stragglers.filter((x) => x !== s);
    const last = !this.stragglers.some((x) => x.filter!.type === type);
    const stuck = [...this.main.queues.values()].some((q) => q.type === type && q.trouble);
    if (last && !stuck) this.o.onTrouble(type, this.o.topicOf(type), 'all', undefined);
    return true;
  }

  /** Puts one event into its queue. False where it has to wait outside. */
  private deal(lane: Lane, r: SpooledRecord, chunk: Chunk | undefined): boolean {
    const { o } = this;
    const spooled = decodeRecord(r.bytes, r.at, r.end);
    if (!spooled) return lane !== this.main || o.onUndecodable(r);
    if (lane.filter && !matches(lane.filter, spooled)) return true;
    const owner = this.ownerOf(lane, spooled);
    if (owner !== lane) {
      if (lane === this.main) owner.backlog++;
      return true;
    }
    const { type } = spooled;
    if (this.route?.type !== type) {
      const topic = o.topicOf(type);
      this.route = { type, topic, info: o.producer.topic(topic) };
    }
    const { topic, info } = this.route;
    if (!info) return false;
    let partition = -1;
    if (info.error === 0) {
      const count = info.leaders.length;
      if (lane.count(type) !== count) {
        // Another number of partitions: a key may have moved, so what was dealt out before goes first.
        if (lane.outstanding(type)) return false;
        lane.setCount(type, count);
      }
      partition = partitionFor(spooled.bytes, count, spooled.at + RECORD_HEADER, spooled.keyEnd);
    }
    const q = lane.queue(type, topic, partition, o.limits.batchEvents);
    const { boot, segment } = r;
    if (segment !== this.origin.segment || boot !== this.origin.boot) this.origin = { boot, segment };
    const converted = o.convert?.(spooled, r.sec, r.nsec);
    const record = converted ?? spooled;
    const pending = new ReadRecord(record, converted && spooled, this.origin, r, o.sizeOf(record), chunk);
    // A queue that stands still takes a copy.
    if (chunk && !q.trouble) chunk.live++;
    q.push(pending);
    lane.bytes += pending.size;
    if (partition >= 0) {
      if (q.length >= q.cap || q.bytes >= o.limits.batchBytes) this.sender.trySend(lane, q);
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

  /** The topic has come: its events get their partitions. */
  private redeal(lane: Lane, q: PartitionQueue): void {
    const { o } = this;
    const info = o.producer.topic(q.topic)!;
    lane.queues.delete(`${q.topic} ${q.partition}`);
    lane.setCount(q.type, info.leaders.length);
    const { length } = info.leaders;
    for (const r of q.all())
      lane.queue(q.type, q.topic, partitionFor(r.record.key, length), o.limits.batchEvents).push(r);
    this.sender.retire(q);
    o.onTrouble(q.type, q.topic, -1, undefined);
    this.sender.sendAll(lane);
  }

  /** Looks after what was dealt out to topics that cannot take it now. */
  private judgeTopics(lane: Lane): void {
    for (const q of [...lane.queues.values()]) {
      const info = q.partition < 0 && q.length > 0 ? this.o.producer.topic(q.topic) : undefined;
      if (info && info.error !== 0) this.judgeTopic(lane, q, info.error);
    }
  }

  /** A topic without partitions: missing, denied or impossible. */
  private judgeTopic(lane: Lane, q: PartitionQueue, code: number): void {
    const outcome = code === 17 ? 'invalid-topic' : code === 29 ? 'denied' : 'topic-missing';
    const result: SendResult = { outcome, code, message: undefined, failure: undefined };
    if (outcome === 'invalid-topic') {
      this.o.onTrouble(q.type, q.topic, -1, result);
      const records = q.all();
      if (records.length === 0) return;
      if (this.o.onQuarantine(records, q.topic, -1, result)) this.sender.settle(lane, q, records.length);
      else this.wakeLater();
      return;
    }
    this.sender.enterTrouble(lane, q, result);
    this.considerStraggling(lane, q);
    this.wakeLater();
  }

  private laneOf(q: PartitionQueue): Lane | undefined {
    const key = `${q.topic} ${q.partition}`;
    if (this.main.queues.get(key) === q) return this.main;
    return this.stragglers.find((s) => s.queues.get(key) === q);
  }

  /** Moves a queue that stands still out of the way, where others need not wait for it. True where it is gone. */
  private considerStraggling(lane: Lane, q: PartitionQueue): boolean {
    const { limits, clock, producer } = this.o;
    const now = clock.nowMs();
    // A broker that answers slowly is no broker that is away: moving it aside would only send everything twice.
    const slow = q.inFlight && now - q.sentAt >= 4 * limits.graceMs;
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
    const count = this.main.count(type);
    const partial = q.partition >= 0 && count !== undefined;
    const same = this.stragglers.filter((s) => s.filter!.type === type);
    // Lanes of one topic with different numbers of partitions would share keys: then the whole topic becomes one lane.
    const whole = !partial || same.some((s) => s.filter!.count !== undefined && s.filter!.count !== count);
    let from = q.first!.position;
    let backlog = q.length;
    const drop = (lane: Lane, queue: PartitionQueue) => {
      lane.queues.delete(`${queue.topic} ${queue.partition}`);
      lane.bytes -= queue.bytes;
      this.sender.retire(queue);
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
        for (const other of s.queues.values()) this.sender.retire(other);
        s.source.close();
        this.stragglers = this.stragglers.filter((x) => x !== s);
      }
      this.main.setCount(type, undefined);
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
    for (const q of s.queues.values()) this.sender.retire(q);
    s.queues.clear();
    s.clearCounts();
    s.bytes = 0;
    s.source.seek(at);
    s.retryAt = this.o.clock.nowMs() + s.backoff.next();
    this.wakeLater();
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
