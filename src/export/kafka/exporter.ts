/** The Kafka exporter: one client and producer for all shards of a worker, one set of lanes a shard and class. */
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import { rfc3339Micros } from '../../core/time.ts';
import { project } from '../../event/projections/index.ts';
import { copyEvent } from '../../event/record.ts';
import { EVENT_CLASSES, EVENT_TYPES, type EventClass, type EventType } from '../../event/types.ts';
import type { Position } from '../../spool/types.ts';
import type { Credentials, Exporter, ExporterProblem, ExporterProgress, ShardExport, ShardLogs } from '../types.ts';
import type { ClientFactory } from './client.ts';
import { type KafkaConfig, topicOf } from './config.ts';
import { DeadLetters, dlqRecord } from './dlq.ts';
import { type ClientError, meaningOf, type ProblemText, problemText, unreachableText } from './errors.ts';
import { credentialFiles, FileWatch } from './files.ts';
import { HeaderTemplates } from './headers.ts';
import { DEFAULT_LIMITS, type LaneLimits, type LanesOptions, type LanesState } from './lane.ts';
import { Lanes } from './lanes.ts';
import { makeClient } from './make-client.ts';
import { Producer, type SendResult } from './producer.ts';
import type { Quarantine } from './quarantine.ts';
import type { PendingRecord } from './queue.ts';
import { RebuildableClient } from './rebuild.ts';
import { BatchEncoder } from './record-batch.ts';
import type { KafkaState } from './state.ts';

export interface KafkaExporterOptions {
  name: string;
  config: KafkaConfig;
  node: string;
  worker: number;
  clock: Clock;
  log: Logger;
  quarantine: Quarantine;
  /** Tests put another client here. */
  client?: ClientFactory;
  limits?: Partial<LaneLimits>;
  metadataMaxAgeMs?: number;
  watchFilesMs?: number;
}

/** How long sending may fail without being called a problem: brokers change roles. */
const LASTING_MS = 2000;

const COLLECTOR = new Map<EventType, string>(EVENT_TYPES.map((t) => [t.type, t.collector]));

export class KafkaExporter implements Exporter {
  readonly name: string;
  readonly durable = true;
  onChange: () => void = () => {};
  private readonly o: KafkaExporterOptions;
  private readonly encoder: BatchEncoder;
  /** The names do not change while it runs: made once. */
  private readonly topics: ReadonlyMap<EventType, string>;
  private readonly producer: Producer;
  private readonly client: RebuildableClient;
  private readonly letters: DeadLetters;
  private readonly watch: FileWatch;
  private readonly shards = new Set<KafkaShard>();
  private readonly problems = new Map<string, ExporterProblem & { kind: string }>();
  /** Queues in trouble by topic: the topic's problem goes with the last one. */
  private readonly troubled = new Map<string, Map<number, { since: number; r: SendResult }>>();
  private lag = 0;
  private lagAt = Number.NEGATIVE_INFINITY;
  private acked = 0;
  private retried = 0;
  private quarantined = 0;
  private quarantineDropped = 0;
  private readonly quarantinedBy: Record<string, number> = {};

  constructor(o: KafkaExporterOptions) {
    this.o = o;
    this.name = o.name;
    const { config } = o;
    this.encoder = new BatchEncoder(new HeaderTemplates(o.node, config.formats), config.compression);
    this.topics = new Map(EVENT_TYPES.map((t) => [t.type, topicOf(config, t.type)]));
    this.client = new RebuildableClient(() => makeClient(`${o.node}-${o.worker}`, config, o.client));
    this.producer = new Producer({
      client: this.client,
      encoder: this.encoder,
      clock: o.clock,
      topics: [...new Set(this.topics.values())],
      metadataMaxAgeMs: o.metadataMaxAgeMs,
      onMetadata: (failure) => this.metadata(failure),
    });
    this.letters = new DeadLetters(topicOf(config, 'dlq.v1'), this.producer, o.clock);
    this.watch = new FileWatch(
      credentialFiles(config),
      o.clock,
      () => {
        o.log.info({ exporter: o.name }, 'certificates or tokens have changed: connecting again with the new ones');
        this.producer.reconnect();
      },
      o.watchFilesMs,
    );
    o.quarantine.onDropped = (file, events) => {
      this.quarantineDropped += events;
      o.log.warn({ exporter: o.name, file, events }, 'the quarantine is full: its oldest file is deleted');
    };
    this.producer.start();
  }

  open(logs: ShardLogs): ShardExport {
    const shard = new KafkaShard(logs, (cls, state) => this.lanes(cls, logs, state));
    this.shards.add(shard);
    shard.onClose = () => this.shards.delete(shard);
    return shard;
  }

  setCredentials(c: Credentials): void {
    const { sasl } = this.o.config;
    if (!sasl || (sasl.username === c.username && sasl.password === c.password && sasl.token === c.token)) return;
    Object.assign(sasl, { username: c.username, password: c.password, token: c.token });
    this.o.log.info({ exporter: this.name }, 'the credentials have changed: connecting again with the new ones');
    this.producer.reconnect();
  }

  rebuild(): void {
    this.client.rebuild();
    this.producer.refresh();
  }

  progress(): ExporterProgress {
    const now = this.o.clock.nowMs();
    // Measuring looks into directories: once a second is enough.
    if (now - this.lagAt >= 1000) {
      this.lagAt = now;
      this.lag = 0;
      for (const s of this.shards) this.lag += s.lag();
    }
    return {
      exporter: this.name,
      type: 'kafka',
      durable: true,
      acked: this.acked,
      retried: this.retried,
      quarantined: this.quarantined,
      quarantinedBy: { ...this.quarantinedBy },
      quarantineDropped: this.quarantineDropped,
      skipped: 0,
      lag: this.lag,
      up: !this.problems.has(''),
      problems: [...this.problems.values()].map(({ kind, ...p }) => p),
    };
  }

  async close(): Promise<void> {
    this.watch.stop();
    // Notices of what was set aside are few: they get a moment.
    const end = this.o.clock.nowMs() + 1000;
    while (this.letters.sendable && this.o.clock.nowMs() < end)
      await new Promise<void>((resolve) => {
        this.o.clock.setTimeout(resolve, 20);
      });
    this.letters.close();
    for (const s of [...this.shards]) s.close();
    await this.producer.close();
    this.o.quarantine.close();
  }

  private lanes(cls: EventClass, logs: ShardLogs, state: LanesState | undefined): Lanes {
    const { clock, config } = this.o;
    const limits: LaneLimits = {
      ...DEFAULT_LIMITS,
      batchBytes: config.batch_bytes,
      batchEvents: config.batch_events,
      lingerMs: config.linger,
      ...this.o.limits,
    };
    return new Lanes({
      clock,
      producer: this.producer,
      limits,
      topicOf: (type) => this.topics.get(type)!,
      sizeOf: (r) => this.encoder.sizeOf(r),
      convert: this.converter(),
      open: () => logs.open(cls),
      end: logs.end(cls),
      state,
      boot: logs.boot,
      onExported: (seqs) => logs.onExported(cls, seqs),
      onAcked: (n) => {
        this.acked += n;
      },
      onRetried: (n) => {
        this.retried += n;
      },
      onQuarantine: (records, topic, partition, r) => this.setAside(cls, records, topic, partition, r),
      onUndecodable: (r) => {
        const error = 'no event of a type known here';
        const done = this.guarded(() => this.o.quarantine.putRaw(r.payload, r.position, error, this.now()));
        if (!done) return false;
        this.o.log.error({ exporter: this.name, class: cls, ...r.position }, `set aside: ${error}`);
        this.countQuarantined('system', 1);
        return true;
      },
      onTrouble: (type, topic, partition, r) => this.trouble(type, topic, partition, r),
      onIdle: () => this.onChange(),
    });
  }

  /** What turns events into the configured formats; undefined where all stay as they are. */
  private converter(): LanesOptions['convert'] {
    const format = this.o.config.formats['snmp.trap.v1'] ?? 'cloudevents';
    if (format === 'cloudevents') return undefined;
    return (r, sec, nsec) => {
      const text = project(format, r, sec, nsec);
      return text === undefined ? undefined : copyEvent(r, Buffer.from(text, 'utf8'));
    };
  }

  private setAside(
    cls: EventClass,
    records: readonly PendingRecord[],
    topic: string,
    partition: number,
    r: SendResult,
  ): boolean {
    const { quarantine, log } = this.o;
    const at = this.now();
    const error = `${meaningOf(r.code).name}${r.message ? `: ${r.message}` : ''}`;
    const entries = records.map(({ record, original, sec, nsec }) => ({
      record: original ?? record,
      sec,
      nsec,
      topic,
      partition,
      error,
      at,
    }));
    if (!this.guarded(() => quarantine.put(entries))) return false;
    for (const { record: sent, original, sec, nsec, position } of records) {
      const record = original ?? sent;
      this.countQuarantined(COLLECTOR.get(record.type) ?? 'system', 1);
      // A notice about a notice would never end.
      if (record.type === 'dlq.v1') continue;
      const file = `quarantine/${quarantine.file}`;
      const notice = { topic, error, class: cls, worker: this.o.worker, exporter: this.name, position, file };
      this.letters.put(dlqRecord(record, notice), sec, nsec);
    }
    log.warn(
      { exporter: this.name, topic, partition, events: records.length, error },
      'set aside: Kafka can never accept it',
    );
    return true;
  }

  /** RFC 3339. */
  private now(): string {
    return rfc3339Micros(this.o.clock.wallMs() * 1000);
  }

  /** False, and said, where the quarantine file cannot be written: the event waits, and nothing is lost. */
  private guarded(write: () => void): boolean {
    try {
      write();
    } catch (e) {
      this.setProblem('', 'quarantine', 'quarantine', {
        problem: `the quarantine file cannot be written (${e instanceof Error ? e.message : e})`,
        fix: 'free space under data_dir, or correct its owner',
      });
      return false;
    }
    this.clearProblem('quarantine');
    return true;
  }

  private countQuarantined(collector: string, n: number): void {
    this.quarantined += n;
    this.quarantinedBy[collector] = (this.quarantinedBy[collector] ?? 0) + n;
  }

  private metadata(failure: ClientError | undefined): void {
    if (failure) this.setProblem('', '', failure.failure, unreachableText(this.o.config.brokers, failure));
    else {
      this.clearProblem('');
      for (const s of this.shards) s.metadataChanged();
    }
  }

  private trouble(type: EventType, topic: string, partition: number | 'all', r: SendResult | undefined): void {
    let queues = this.troubled.get(topic);
    if (!queues) {
      queues = new Map();
      this.troubled.set(topic, queues);
    }
    const now = this.o.clock.nowMs();
    if (partition === 'all') queues.clear();
    else if (r) queues.set(partition, { since: queues.get(partition)?.since ?? now, r });
    else {
      queues.delete(partition);
      queues.delete(-1);
    }
    // A leader that moves is no problem yet; a topic that is not there is one at once.
    const lasting = [...queues].filter(
      ([, t]) => (t.r.outcome !== 'retry' && t.r.outcome !== 'refresh') || now - t.since >= LASTING_MS,
    );
    const worst = lasting[0]?.[1].r;
    if (!worst) {
      if (!r) this.clearProblem(topic);
      return;
    }
    // No answer at all: told once, for the whole cluster, by the metadata.
    if (worst.failure && this.problems.has('')) return;
    const partitions = lasting.filter(([, t]) => t.r.code === worst.code).map(([p]) => p);
    const text = problemText(
      worst.code,
      topic,
      partitions.sort((x, y) => x - y),
      worst.message,
    );
    this.setProblem(type, topic, `${worst.code}`, text);
  }

  /** Logs a problem once; again only when it has become one of another kind. */
  private setProblem(type: EventType | '', key: string, kind: string, text: ProblemText): void {
    const have = this.problems.get(key);
    this.problems.set(key, { topic: type, ...text, kind, since: have?.since ?? this.o.clock.wallMs() });
    if (have?.kind === kind) return;
    this.o.log.warn(
      { exporter: this.name, topic: key || undefined, fix: text.fix },
      `${text.problem}; nothing is lost, it waits in the spool`,
    );
    this.onChange();
  }

  private clearProblem(key: string): void {
    const have = this.problems.get(key);
    if (!have) return;
    this.problems.delete(key);
    this.o.log.info({ exporter: this.name, topic: key || undefined }, `over: ${have.problem}`);
    this.onChange();
  }
}

class KafkaShard implements ShardExport {
  onClose: () => void = () => {};
  private readonly byClass = new Map<EventClass, Lanes>();

  constructor(logs: ShardLogs, make: (cls: EventClass, state: LanesState | undefined) => Lanes) {
    const saved = logs.state as Partial<KafkaState> | undefined;
    for (const cls of EVENT_CLASSES) this.byClass.set(cls, make(cls, saved?.classes?.[cls]));
  }

  durable(cls: EventClass, end: Position | 'all', seq: number | undefined): void {
    this.byClass.get(cls)!.durable(end, seq);
  }

  metadataChanged(): void {
    for (const l of this.byClass.values()) l.metadataChanged();
  }

  lowWater(cls: EventClass): Position {
    return this.byClass.get(cls)!.lowWater();
  }

  state(): KafkaState {
    const classes: KafkaState['classes'] = {};
    for (const [cls, l] of this.byClass) classes[cls] = l.state();
    return { v: 1, classes };
  }

  drained(): boolean {
    for (const l of this.byClass.values()) if (!l.drained()) return false;
    return true;
  }

  lag(): number {
    let n = 0;
    for (const l of this.byClass.values()) n += l.lag();
    return n;
  }

  close(): void {
    for (const l of this.byClass.values()) l.close();
    this.onClose();
  }
}
