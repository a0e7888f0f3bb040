/**
 * Reads the trap topic from inside the broker's namespace, with kafkajs, and says a short line for each batch. It makes the topics
 * first. Every record is held against its schema. Started by scenario-world.ts.
 */
import { kafkaReader } from '../../src/export/kafka/kafkajs.ts';
import { validateRecord } from '../schema.ts';
import { answer, say, scriptConfig } from './scenario-script.ts';
import { NUMBER_OID } from './scenario-sender.ts';

export interface ReaderConfig {
  brokers: string[];
  /** Read. */
  topic: string;
  partitions: number;
  /** Made as well. */
  others: string[];
}

/** One record: the number it carries, its CloudEvents id, the node and worker that received it, the source address. */
export type Seen = [number: number, id: string, node: string, worker: number, address: string, pdu: string];

const config = scriptConfig<ReaderConfig>();
const kafka = kafkaReader(config.brokers, { clientId: 'scenario' });
const admin = kafka.admin();
await admin.connect();
await admin.createTopics({
  waitForLeaders: true,
  topics: [
    { topic: config.topic, numPartitions: config.partitions, replicationFactor: 1 },
    ...config.others.map((topic) => ({ topic, numPartitions: 1, replicationFactor: 1 })),
  ],
});
/** By partition: the offset behind the last record that was said. */
const read = new Map<number, number>();
const consumer = kafka.consumer({ groupId: 'scenario', maxWaitTimeInMs: 200 });
await consumer.connect();
await consumer.subscribe({ topic: config.topic, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch }) => {
    const seen: Seen[] = [];
    const wrong: string[] = [];
    for (const m of batch.messages) {
      const headers = Object.fromEntries(Object.entries(m.headers ?? {}).map(([k, v]) => [k, String(v)]));
      try {
        const { id, data } = validateRecord(headers, m.value!.toString('utf8')) as unknown as {
          id: string;
          data: {
            pdu: string;
            rx: { node: string; worker: number };
            source: { address: string };
            varbinds: { oid: string; value: number }[];
          };
        };
        const number = data.varbinds.find((v) => v.oid === NUMBER_OID)!.value;
        seen.push([number, id, data.rx.node, data.rx.worker, data.source.address, data.pdu]);
      } catch (e) {
        wrong.push((e as Error).message);
      }
      read.set(batch.partition, Number(m.offset) + 1);
    }
    say({ seen, wrong });
  },
});

answer({
  ready: () => undefined,
  records: async (q) =>
    (await admin.fetchTopicOffsets(q.topic as string)).reduce((n, p) => n + Number(p.high) - Number(p.low), 0),
  /** Answers when all that is in the topic now was read and said. */
  async sync() {
    const ends = await admin.fetchTopicOffsets(config.topic);
    while (ends.some((e) => Number(e.high) > (read.get(e.partition) ?? 0)))
      await new Promise((resolve) => setTimeout(resolve, 50));
  },
});
