/**
 * Sends record batches: finds the leader, numbers the batch, groups what goes to one broker into one request, and tells each batch what became of
 * it. It never retries by itself: the lane keeps the batch and hands it in again (lanes.ts).
 *
 * Idempotence. A batch gets (producer id, epoch, first sequence) at its first attempt and keeps them, so that a broker recognises it when only the
 * answer was lost. Where the numbers of a partition cannot be used any more (the broker forgot them, or a batch of unknown fate was given up), its
 * batches go without numbers until a new producer id is there; so they do where the cluster has none to give. From there on a repetition is possible;
 * a loss or a change of order is not, as there is at most one batch of a partition in flight.
 */
import { Backoff } from '../../core/backoff.ts';
import type { Clock, TimerHandle } from '../../core/clock.ts';
import type { BrokerAddress, KafkaClient } from './client.ts';
import { type ClientError, meaningOf, type Outcome } from './errors.ts';
import { toClientError } from './failure.ts';
import type { BatchEncoder, BatchRecord, ProducerState } from './record-batch.ts';

/** What is known of a topic. `leaders[p]` is a broker id or -1. */
export interface TopicInfo {
  error: number;
  leaders: number[];
  partitionErrors: number[];
}

export interface SendResult {
  outcome: Outcome;
  code: number;
  message: string | undefined;
  /** Set where the request got no answer. */
  failure: ClientError | undefined;
}

/** One attempt, or several of the same, to write some records to one partition. */
export interface OutBatch {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly BatchRecord[];
  state: (ProducerState & { generation: number }) | undefined;
  done(result: SendResult): void;
}

interface Outbox {
  batches: OutBatch[];
  inFlight: number;
}

export interface ProducerOptions {
  client: KafkaClient;
  encoder: BatchEncoder;
  clock: Clock;
  /** All topics there may be. */
  topics: string[];
  /** Requests in flight to one broker. */
  maxInFlight?: number;
  metadataMaxAgeMs?: number;
  /** New metadata came, or the cluster does not answer. */
  onMetadata: (failure: ClientError | undefined) => void;
}

const OK: SendResult = { outcome: 'ok', code: 0, message: undefined, failure: undefined };
/** Batches of one request, before compression about this much. */
const REQUEST_BATCHES = 16;
const SEQUENCES = 2 ** 31;
const UNNUMBERED: ProducerState = { id: -1n, epoch: -1, sequence: -1 };
const IDENTITY_WAIT_MS = 1000;

export class Producer {
  private readonly o: ProducerOptions;
  private readonly topics = new Map<string, TopicInfo>();
  private brokers = new Map<number, BrokerAddress>();
  private readonly outboxes = new Map<number, Outbox>();
  /** By partition. `broken`: its numbers may not be used any more. */
  private readonly sequences = new Map<string, { generation: number; next: number; broken: boolean }>();
  private generation = 0;
  /** `UNNUMBERED` where the cluster gives no producer id. */
  private identity: { id: bigint; epoch: number } | undefined;
  private identifying = false;
  private refreshing = false;
  private refreshAgain = false;
  private readonly backoff = new Backoff(100, 3000);
  private timer: TimerHandle | undefined;
  private timerAt = 0;
  private flushing = false;
  private closed = false;

  constructor(o: ProducerOptions) {
    this.o = o;
  }

  start(): void {
    void this.fetchMetadata();
  }

  /** Undefined until the cluster has answered once. */
  topic(name: string): TopicInfo | undefined {
    return this.topics.get(name);
  }

  /** Asks for metadata soon; many calls make one request. */
  refresh(): void {
    this.schedule(100);
  }

  /** Takes the batch; `done` is called once, later. */
  send(batch: OutBatch): void {
    const info = this.topics.get(batch.topic);
    const error = info?.error || info?.partitionErrors[batch.partition] || 0;
    const leader = info?.leaders[batch.partition] ?? -1;
    const broker = this.brokers.get(leader);
    if (!broker) {
      const code = error !== 0 ? error : info && info.error === 0 ? 5 : 3;
      this.refresh();
      this.answer(batch, { outcome: meaningOf(code).outcome, code, message: undefined, failure: undefined });
      return;
    }
    let outbox = this.outboxes.get(leader);
    if (!outbox) {
      outbox = { batches: [], inFlight: 0 };
      this.outboxes.set(leader, outbox);
    }
    outbox.batches.push(batch);
    this.flushSoon();
  }

  /** The batch is given up without knowing whether it was written: its sequence numbers must not be used for other records. */
  abandon(batch: OutBatch): void {
    if (batch.state) this.breakNumbers(batch);
    for (const o of this.outboxes.values()) o.batches = o.batches.filter((b) => b !== batch);
  }

  /** New certificates or passwords. */
  reconnect(): void {
    this.o.client.reconnect();
    this.refresh();
  }

  async close(): Promise<void> {
    this.closed = true;
    if (this.timer) this.o.clock.clearTimeout(this.timer);
    await this.o.client.close();
  }

  private answer(batch: OutBatch, result: SendResult): void {
    queueMicrotask(() => {
      if (!this.closed) batch.done(result);
    });
  }

  private flushSoon(): void {
    if (this.flushing) return;
    this.flushing = true;
    queueMicrotask(() => {
      this.flushing = false;
      for (const [leader, outbox] of this.outboxes) this.flush(leader, outbox);
    });
  }

  private flush(leader: number, outbox: Outbox): void {
    while (outbox.batches.length > 0 && outbox.inFlight < (this.o.maxInFlight ?? 5)) {
      if (!this.identity) {
        this.identify();
        return;
      }
      // Two batches of one partition (two lanes after a change of the partition count) go one after the other.
      const taken: OutBatch[] = [];
      const later: OutBatch[] = [];
      const keys = new Set<string>();
      for (const b of outbox.batches) {
        const key = `${b.topic} ${b.partition}`;
        if (taken.length >= REQUEST_BATCHES || keys.has(key)) later.push(b);
        else {
          keys.add(key);
          taken.push(b);
        }
      }
      outbox.batches = later;
      outbox.inFlight++;
      void this.request(leader, outbox, taken);
    }
  }

  private async request(leader: number, outbox: Outbox, batches: OutBatch[]): Promise<void> {
    const results = new Map<OutBatch, SendResult>();
    try {
      const broker = this.brokers.get(leader);
      const encoded = batches.map((b) => ({
        topic: b.topic,
        partition: b.partition,
        records: this.o.encoder.encode(b.records, this.number(b)),
      }));
      const answers = broker ? await this.o.client.produce(broker, encoded) : [];
      for (const b of batches) {
        const a = answers.find((x) => x.partition === b.partition && x.topic === b.topic);
        const code = a?.error ?? 13;
        const { outcome } = meaningOf(code);
        results.set(b, outcome === 'ok' ? OK : { outcome, code, message: a?.message, failure: undefined });
        this.settleNumbers(b, outcome);
        if (outcome !== 'ok' && outcome !== 'too-large' && outcome !== 'invalid-record') this.refresh();
      }
    } catch (e) {
      const failure = toClientError(e);
      for (const b of batches) results.set(b, { outcome: 'refresh', code: 13, message: failure.message, failure });
      this.refresh();
    }
    outbox.inFlight--;
    if (this.closed) return;
    for (const [b, r] of results) b.done(r);
    this.flush(leader, outbox);
  }

  /** The numbers of a batch: those of its first attempt, or the next ones; none where there are none to be had. */
  private number(b: OutBatch): ProducerState {
    if (b.state) return b.state;
    const { generation } = this;
    const { id, epoch } = this.identity ?? UNNUMBERED;
    const key = `${b.topic} ${b.partition}`;
    let s = this.sequences.get(key);
    if (!s || s.generation !== generation) {
      s = { generation, next: 0, broken: false };
      this.sequences.set(key, s);
    }
    if (id === UNNUMBERED.id || s.broken) return UNNUMBERED;
    b.state = { id, epoch, sequence: s.next, generation };
    s.next = (s.next + b.records.length) % SEQUENCES;
    return b.state;
  }

  private settleNumbers(b: OutBatch, outcome: Outcome): void {
    const { state } = b;
    if (outcome === 'ok' || !state) return;
    if (outcome === 'new-producer') {
      b.state = undefined;
      this.breakNumbers({ ...b, state });
    } else if (outcome === 'too-large' || outcome === 'invalid-record' || outcome === 'invalid-topic') {
      // Refused before it was appended: the numbers are free again for the halves of it.
      b.state = undefined;
      const s = this.sequences.get(`${b.topic} ${b.partition}`);
      if (s && s.generation === state.generation) s.next = state.sequence;
    }
  }

  /** The numbers of this partition are of no use any more: a new producer id is asked for, and the others go on meanwhile. */
  private breakNumbers(b: OutBatch): void {
    const s = this.sequences.get(`${b.topic} ${b.partition}`);
    if (!s || s.generation !== b.state?.generation || s.broken) return;
    s.broken = true;
    this.identify();
  }

  /** Asks for a producer id until there is one. The batches wait for the first one only for a moment. */
  private identify(): void {
    if (this.identifying) return;
    this.identifying = true;
    const first = this.identity === undefined;
    const { clock } = this.o;
    const since = clock.nowMs();
    const backoff = new Backoff(100, 5000);
    const attempt = async (): Promise<void> => {
      if (this.closed) return;
      try {
        const identity = await this.o.client.initProducerId();
        this.generation++;
        this.sequences.clear();
        this.identity = identity;
        this.identifying = false;
      } catch (e) {
        const { kafkaCode } = toClientError(e);
        // Denied, or the cluster has none to give: without numbers it is still at least once. A denied topic tells by itself.
        const denied = kafkaCode !== undefined && meaningOf(kafkaCode).outcome === 'denied';
        if (first && !this.identity && (denied || clock.nowMs() - since >= IDENTITY_WAIT_MS))
          this.identity = UNNUMBERED;
        clock.setTimeout(() => void attempt(), denied ? 30_000 : backoff.next());
      }
      this.flushSoon();
    };
    void attempt();
  }

  private schedule(ms: number): void {
    if (this.closed) return;
    const { clock } = this.o;
    const at = clock.nowMs() + ms;
    if (this.refreshing) {
      this.refreshAgain ||= ms <= 1000;
      return;
    }
    if (this.timer && this.timerAt <= at) return;
    if (this.timer) clock.clearTimeout(this.timer);
    this.timerAt = at;
    this.timer = clock.setTimeout(() => {
      this.timer = undefined;
      void this.fetchMetadata();
    }, ms);
  }

  private async fetchMetadata(): Promise<void> {
    if (this.refreshing || this.closed) return;
    this.refreshing = true;
    this.refreshAgain = false;
    let failure: ClientError | undefined;
    try {
      const m = await this.o.client.metadata(this.o.topics);
      this.brokers = new Map(m.brokers.map((b) => [b.id, b]));
      for (const t of m.topics) {
        const info: TopicInfo = { error: t.error, leaders: [], partitionErrors: [] };
        for (const p of t.partitions) {
          info.leaders[p.id] = this.brokers.has(p.leader) ? p.leader : -1;
          info.partitionErrors[p.id] = p.error;
        }
        if (info.error === 0 && info.leaders.length === 0) info.error = 3;
        this.topics.set(t.name, info);
      }
      this.backoff.reset();
    } catch (e) {
      failure = toClientError(e);
    }
    this.refreshing = false;
    if (this.closed) return;
    this.o.onMetadata(failure);
    if (failure) this.schedule(this.backoff.next());
    else this.schedule(this.refreshAgain ? 200 + Math.random() * 200 : (this.o.metadataMaxAgeMs ?? 30_000));
  }
}
