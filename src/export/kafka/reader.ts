/** Reads topics from their beginning to where they end now: what `audit --kafka` works on. */
import { randomUUID } from 'node:crypto';
import { Audit, type AuditReport } from '../audit.ts';
import type { KafkaConfig } from './config.ts';
import { unreachableText } from './errors.ts';
import { toClientError } from './failure.ts';
import { kafkaReader } from './kafkajs.ts';
import { clientOptions } from './make-client.ts';
import { wantedTopics } from './topics.ts';

export interface ReadRecord {
  topic: string;
  partition: number;
  offset: string;
  type: string;
  value: Buffer;
}

/** No record for so long before the end of the topics: reading is given up. */
const STALL_MS = 20_000;

/** Calls `onRecord` for each record; rejects with an Error in words for the operator. Topics that do not exist are left out. */
export async function readTopics(
  config: KafkaConfig,
  topics: string[],
  onRecord: (r: ReadRecord) => void,
): Promise<void> {
  const options = clientOptions(config, 'reader');
  const kafka = kafkaReader(config.brokers, {
    clientId: options.clientId,
    clientOptions: options,
    connectionTimeout: options.connectTimeoutMs,
    retry: { retries: 3 },
  });
  const groupId = `${config.client_id}-audit-${randomUUID()}`;
  const admin = kafka.admin();
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 200, maxBytesPerPartition: 4 * 1024 * 1024 });
  try {
    await admin.connect();
    const left = new Map<string, number>();
    const existing = new Set(await admin.listTopics());
    const wanted = topics.filter((t) => existing.has(t));
    for (const topic of wanted)
      for (const { partition, low, high } of await admin.fetchTopicOffsets(topic))
        if (Number(high) > Number(low)) left.set(`${topic} ${partition}`, Number(high));
    if (left.size === 0) return;
    await consumer.connect();
    const nonEmpty = new Set([...left.keys()].map((k) => k.split(' ')[0]));
    await consumer.subscribe({ topics: [...nonEmpty], fromBeginning: true });
    await consume(consumer, left, onRecord);
    await consumer.disconnect();
    await admin.deleteGroups([groupId]).catch(() => {});
  } catch (e) {
    if (e instanceof Stalled) throw e;
    const { problem, fix } = unreachableText(config.brokers, toClientError(e));
    throw new Error(`${problem}: ${fix}`);
  } finally {
    await consumer.disconnect().catch(() => {});
    await admin.disconnect().catch(() => {});
  }
}

class Stalled extends Error {}

function consume(
  consumer: ReturnType<ReturnType<typeof kafkaReader>['consumer']>,
  left: Map<string, number>,
  onRecord: (r: ReadRecord) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout;
    const arm = () => {
      clearTimeout(timer);
      timer = setTimeout(
        () =>
          reject(
            new Stalled(
              `no more records come, and these partitions are not read to their end: ${[...left.keys()].join(', ')}`,
            ),
          ),
        STALL_MS,
      );
    };
    const end = (fn: () => void) => {
      clearTimeout(timer);
      fn();
    };
    arm();
    // It starts again by itself after what passes, such as a group coordinator that is being loaded.
    consumer.on(consumer.events.CRASH, (e) => {
      if (!e.payload.restart) end(() => reject(e.payload.error));
    });
    consumer
      .run({
        autoCommit: false,
        partitionsConsumedConcurrently: 4,
        eachBatch: async ({ batch, heartbeat }) => {
          arm();
          const key = `${batch.topic} ${batch.partition}`;
          const high = left.get(key);
          if (high === undefined) return;
          for (const m of batch.messages) {
            // What came after the reading began is left for the next time.
            if (Number(m.offset) >= high) break;
            if (!m.value) continue;
            const type = m.headers?.ce_type;
            onRecord({
              topic: batch.topic,
              partition: batch.partition,
              offset: m.offset,
              type: type === undefined ? '' : String(type),
              value: m.value,
            });
          }
          await heartbeat();
          if (Number(batch.lastOffset()) >= high - 1) left.delete(key);
          if (left.size === 0) end(resolve);
        },
      })
      .catch((e) => end(() => reject(e)));
  });
}

/** The audit of everything a configuration publishes. */
export async function auditKafka(config: KafkaConfig): Promise<AuditReport> {
  const audit = new Audit();
  await readTopics(config, [...wantedTopics(config).keys()], (r) => audit.add(r));
  return audit.report();
}
