/**
 * Reads the trap topic, and what the others say of sessions and VIPs, from inside the broker's namespace, with kafkajs, and says a short line for each batch. It makes the topics
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
  /** Of these, the ones in which sessions say that they came up, and nodes what is wrong with a VIP: read too. */
  followed: string[];
}

/** One record: the number it carries, its CloudEvents id, the node and worker that received it and when (UTC milliseconds), the source address. */
export type Seen = [number: number, id: string, node: string, worker: number, at: number, address: string, pdu: string];

/** A session that came up: of which kind (a world has one device that has sessions), on which node, its epoch. */
export type SessionUp = [session: 'bmp' | 'bgp', node: string, epoch: number];

/** What a node says of its VIPs in `system.v1`, kind `vip`. */
export type Said = [node: string, reason: string];

/** Of an event of a session; undefined where it says something else. */
function sessionUp(type: string, data: FollowedData): SessionUp | undefined {
  if (type === 'bmp.router.v1') return data.event === 'session-up' ? ['bmp', data.rx.node, data.epoch] : undefined;
  return data.state === 'up' ? ['bgp', data.rx.node, data.epoch] : undefined;
}

interface FollowedData {
  kind?: string;
  reason?: string;
  event?: string;
  state?: string;
  epoch: number;
  rx: { node: string };
}

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
/** By topic and partition: the offset behind the last record that was said. */
const read = new Map<string, number>();
const consumer = kafka.consumer({ groupId: 'scenario', maxWaitTimeInMs: 200 });
await consumer.connect();
await consumer.subscribe({ topics: [config.topic, ...config.followed], fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch }) => {
    const seen: Seen[] = [];
    const wrong: string[] = [];
    const ups: SessionUp[] = [];
    const said: Said[] = [];
    for (const m of batch.messages) {
      read.set(`${batch.topic} ${batch.partition}`, Number(m.offset) + 1);
      const headers = Object.fromEntries(Object.entries(m.headers ?? {}).map(([k, v]) => [k, String(v)]));
      try {
        const event = validateRecord(headers, m.value!.toString('utf8'));
        if (batch.topic !== config.topic) {
          const data = event.data as FollowedData;
          const up = event.type === 'system.v1' ? undefined : sessionUp(event.type, data);
          if (up) ups.push(up);
          if (data.kind === 'vip') said.push([data.rx.node, data.reason!]);
          continue;
        }
        const { id, data } = event as unknown as {
          id: string;
          data: {
            pdu: string;
            rx: { node: string; worker: number; at: string };
            source: { address: string };
            varbinds: { oid: string; value: number }[];
          };
        };
        const number = data.varbinds.find((v) => v.oid === NUMBER_OID)!.value;
        seen.push([number, id, data.rx.node, data.rx.worker, Date.parse(data.rx.at), data.source.address, data.pdu]);
      } catch (e) {
        wrong.push((e as Error).message);
      }
    }
    say({ seen, ups, said, wrong });
  },
});

answer({
  ready: () => undefined,
  records: async (q) =>
    (await admin.fetchTopicOffsets(q.topic as string)).reduce((n, p) => n + Number(p.high) - Number(p.low), 0),
  /** Answers when all that is in the topic now was read and said. */
  async sync() {
    for (const topic of [config.topic, ...config.followed]) {
      const ends = await admin.fetchTopicOffsets(topic);
      while (ends.some((e) => Number(e.high) > (read.get(`${topic} ${e.partition}`) ?? 0)))
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
  },
});
