/** A cluster in memory behind the client contract: sequences checked as a broker does, faults as a test wants them. */
import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';
import type {
  BrokerAddress,
  ClusterMetadata,
  KafkaClient,
  ProduceAnswer,
  ProduceBatch,
} from '../../src/export/kafka/client.ts';
import { ClientError } from '../../src/export/kafka/errors.ts';
import '../../src/export/kafka/kafkajs.ts';

const require = createRequire(import.meta.url);
const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder');
const Decoder = require('kafkajs/src/protocol/decoder');

export interface StoredRecord {
  key: string;
  value: string;
  id: string;
}

interface FakePartition {
  leader: number;
  log: StoredRecord[];
  /** Producer id → the next sequence expected and the last batches. */
  producers: Map<string, { next: number; recent: string[] }>;
}

export type Fault = 'none' | 'lose-request' | 'lose-answer' | 'not-leader' | 'timeout' | 'forget-producer';

export class FakeKafka {
  readonly topics = new Map<string, { error: number; partitions: FakePartition[] }>();
  up = true;
  /** Answers requests for a producer id with COORDINATOR_LOAD_IN_PROGRESS. */
  noProducerIds = false;
  fault: (topic: string, partition: number) => Fault = () => 'none';
  /** Values longer than this are MESSAGE_TOO_LARGE, as is a batch with one. */
  maxValue = Number.POSITIVE_INFINITY;
  denied = new Set<string>();
  requests = 0;
  duplicates = 0;
  private producerIds = 0n;
  private inFlight = new Set<string>();
  /** Two batches of one partition were in flight at once. */
  overlaps = 0;

  topic(name: string, partitions: number, error = 0): void {
    const t = this.topics.get(name);
    const list = t?.partitions ?? [];
    while (list.length < partitions) list.push({ leader: 1 + (list.length % 2), log: [], producers: new Map() });
    this.topics.set(name, { error, partitions: list });
  }

  all(name: string): StoredRecord[] {
    return this.topics.get(name)?.partitions.flatMap((p) => p.log) ?? [];
  }

  client = (): KafkaClient => ({
    metadata: async (names) => {
      await this.travel();
      if (!this.up) throw new ClientError('network', 'connection refused');
      return this.metadata(names);
    },
    initProducerId: async () => {
      await this.travel();
      if (!this.up) throw new ClientError('network', 'connection refused');
      if (this.noProducerIds) throw new ClientError('network', 'no producer id', 14);
      return { id: ++this.producerIds, epoch: 0 };
    },
    produce: (broker, batches) => this.produce(broker, batches),
    reconnect() {},
    async close() {},
  });

  private metadata(names: string[]): ClusterMetadata {
    return {
      brokers: [1, 2].map((id) => ({ id, host: '127.0.0.1', port: id })),
      topics: names.map((name) => {
        const t = this.topics.get(name);
        if (t?.error !== 0) return { name, error: t?.error ?? 3, partitions: [] };
        return {
          name,
          error: 0,
          partitions: t.partitions.map((p, id) => ({
            id,
            leader: p.leader,
            error: p.leader < 0 ? 5 : 0,
            replicas: [1],
            isr: [1],
          })),
        };
      }),
    };
  }

  private async produce(broker: BrokerAddress, batches: ProduceBatch[]): Promise<ProduceAnswer[]> {
    this.requests++;
    const keys = batches.map((b) => `${b.topic} ${b.partition}`);
    for (const k of keys) {
      if (this.inFlight.has(k)) this.overlaps++;
      this.inFlight.add(k);
    }
    try {
      await this.travel();
      if (!this.up) throw new ClientError('network', 'connection refused');
      const faults = batches.map((b) => this.fault(b.topic, b.partition));
      if (faults.includes('lose-request')) throw new ClientError('network', 'connection reset');
      const answers: ProduceAnswer[] = [];
      for (const [i, b] of batches.entries()) {
        const error = faults[i] === 'not-leader' ? 6 : await this.append(broker, b, faults[i]);
        answers.push({ topic: b.topic, partition: b.partition, error, offset: 0n });
      }
      await this.travel();
      if (faults.includes('lose-answer')) throw new ClientError('timeout', 'request timed out');
      return answers;
    } finally {
      for (const k of keys) this.inFlight.delete(k);
    }
  }

  private async append(broker: BrokerAddress, b: ProduceBatch, fault: Fault): Promise<number> {
    const t = this.topics.get(b.topic);
    if (!t) return 3;
    if (t.error !== 0) return t.error;
    if (this.denied.has(b.topic)) return 29;
    const p = t.partitions[b.partition];
    if (!p) return 3;
    if (p.leader !== broker.id) return 6;
    const d = await decodeBatch(new Decoder(Buffer.from(b.records)));
    const records: StoredRecord[] = d.records.map(
      (r: { key: Buffer; value: Buffer; headers: Record<string, Buffer> }) => ({
        key: r.key.toString(),
        value: r.value.toString(),
        id: r.headers.ce_id.toString(),
      }),
    );
    if (records.some((r) => r.value.length > this.maxValue)) return 10;
    if (fault === 'forget-producer') p.producers.delete(d.producerId);
    if (d.producerId !== '-1') {
      const known = p.producers.get(d.producerId);
      const range = `${d.firstSequence}+${records.length}`;
      if (known?.recent.includes(range)) {
        this.duplicates++;
        return 0;
      }
      if (d.firstSequence !== (known?.next ?? 0)) return known ? 45 : 59;
      p.producers.set(d.producerId, {
        next: d.firstSequence + records.length,
        recent: [...(known?.recent ?? []), range].slice(-5),
      });
    }
    p.log.push(...records);
    return 0;
  }

  private travel(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** Time that runs `factor` times faster: back-off and grace periods of seconds pass in milliseconds. */
export function fastClock(factor: number): Clock {
  const start = systemClock.nowMs();
  return {
    nowMs: () => (systemClock.nowMs() - start) * factor,
    wallMs: () => 1_700_000_000_000,
    wallMicros: () => systemClock.wallMicros(),
    setTimeout: (fn, ms) => systemClock.setTimeout(fn, ms / factor),
    clearTimeout: (h) => systemClock.clearTimeout(h),
  };
}
