/**
 * Tells the topic dlq.v1 what was quarantined. The quarantine file is the record of it; this is the notice, so it is bounded and
 * waits in memory only, and a missing dlq topic holds nothing else up.
 */
import { Buffer } from 'node:buffer';
import { Backoff } from '../../core/backoff.ts';
import type { Clock } from '../../core/clock.ts';
import { shortHash } from '../../core/hash.ts';
import type { EventRecord } from '../../event/record.ts';
import type { EventClass } from '../../event/types.ts';
import type { Position } from '../../spool/types.ts';
import { partitionFor } from './partitioner.ts';
import type { OutBatch, Producer } from './producer.ts';
import type { BatchRecord } from './record-batch.ts';

const LIMIT = 1000;
const PARSE_LIMIT = 4 * 1024 * 1024;

export interface DlqNotice {
  topic: string;
  error: string;
  class: EventClass;
  worker: number;
  exporter: string;
  /** Where the event is in the spool of its shard. */
  position: Position;
  /** The quarantine file that has it, relative to data_dir. */
  file: string;
}

/** The notice as an event: it keeps the coordinates of the event it speaks of. */
export function dlqRecord(original: EventRecord, n: DlqNotice): EventRecord {
  const key = original.key.toString('utf8');
  let common: Record<string, unknown> = {};
  if (original.value.length <= PARSE_LIMIT) {
    try {
      const { network, device, rx, content_id } = JSON.parse(original.value.toString('utf8')) as Record<
        string,
        unknown
      >;
      common = { network, device, rx, content_id };
    } catch {
      // Not JSON: the notice goes without what it would have said.
    }
  }
  const data = {
    ...common,
    topic: n.topic,
    key,
    error: n.error,
    size: original.key.length + original.value.length,
    offset: n.position.offset,
    segment: n.position.segment,
    worker: n.worker,
    class: n.class,
    exporter: n.exporter,
    event: original.id,
    event_type: original.type,
    file: n.file,
  };
  return {
    type: 'dlq.v1',
    flags: 0,
    subject: original.subject,
    key: Buffer.from(original.key),
    id: shortHash(`dlq\n${original.id}`),
    value: Buffer.from(JSON.stringify(data)),
  };
}

export class DeadLetters {
  private readonly topic: string;
  private readonly producer: Producer;
  private readonly clock: Clock;
  private readonly backoff = new Backoff(200, 5000);
  private waiting: BatchRecord[] = [];
  private busy = false;
  private closed = false;
  /** Notices given up because too many waited. */
  dropped = 0;

  constructor(topic: string, producer: Producer, clock: Clock) {
    this.topic = topic;
    this.producer = producer;
    this.clock = clock;
  }

  /** Some wait, and their topic is there. */
  get sendable(): boolean {
    return this.waiting.length > 0 && this.producer.topic(this.topic)?.error === 0;
  }

  put(record: EventRecord, sec: number, nsec: number): void {
    if (this.waiting.length >= LIMIT) {
      this.dropped++;
      return;
    }
    this.waiting.push({ record, sec, nsec });
    this.send();
  }

  close(): void {
    this.closed = true;
  }

  private send(): void {
    const first = this.waiting[0];
    if (this.busy || this.closed || !first) return;
    this.busy = true;
    const info = this.producer.topic(this.topic);
    if (info?.error !== 0) {
      this.producer.refresh();
      this.later();
      return;
    }
    const count = info.leaders.length;
    const partition = partitionFor(first.record.key, count);
    let n = 1;
    while (n < this.waiting.length && n < 100 && partitionFor(this.waiting[n].record.key, count) === partition) n++;
    const batch: OutBatch = {
      topic: this.topic,
      partition,
      records: this.waiting.slice(0, n),
      state: undefined,
      done: (r) => {
        if (r.outcome === 'ok' || r.outcome === 'too-large' || r.outcome === 'invalid-record') {
          if (r.outcome !== 'ok') this.dropped += n;
          this.waiting.splice(0, n);
          this.backoff.reset();
          this.busy = false;
          this.send();
          return;
        }
        this.producer.abandon(batch);
        this.later();
      },
    };
    this.producer.send(batch);
  }

  private later(): void {
    this.clock.setTimeout(() => {
      this.busy = false;
      this.send();
    }, this.backoff.next());
  }
}
