/**
 * Reads topics from their beginning to where they end when it begins: what `audit --kafka` works on. Partition by partition and without a
 * consumer group: one that cannot be read is named, and the others are read all the same.
 */
import { systemClock } from '../../core/clock.ts';
import type { EventType } from '../../event/types.ts';
import { Audit, type AuditReport, type Unread } from '../audit.ts';
import { HeartbeatAudit, type HeartbeatLoss } from '../heartbeats.ts';
import type { BrokerAddress, KafkaFetcher } from './client.ts';
import { type KafkaConfig, topicOf } from './config.ts';
import { meaningOf, unreachableText } from './errors.ts';
import { toClientError } from './failure.ts';
import { kafkaFetcher } from './kafkajs.ts';
import { clientOptions } from './make-client.ts';
import { wantedTopics } from './topics.ts';

export interface ReadRecord {
  topic: string;
  partition: number;
  offset: number;
  type: string;
  value: Buffer;
}

/** Answers without a record, or failed attempts, in a row, after which a partition is given up. */
const PATIENCE = 5;
/** One after the other: the library opens more connections for more requests, and does not close them all. */
const AT_ONCE = 1;

/**
 * Calls `onRecord` for each record, and resolves with what could not be read. Rejects with an Error in words for the operator where the
 * cluster does not answer at all, and with the topics that do not exist.
 */
export async function readTopics(
  config: KafkaConfig,
  topics: string[],
  onRecord: (r: ReadRecord) => void,
  client: KafkaFetcher = kafkaFetcher(clientOptions(config, 'reader')),
): Promise<{ unread: Unread[]; absent: string[] }> {
  const unread: Unread[] = [];
  const absent: string[] = [];
  const work: { topic: string; partition: number; broker: BrokerAddress }[] = [];
  try {
    const metadata = await client.metadata(topics);
    for (const t of metadata.topics) {
      if (meaningOf(t.error).outcome === 'topic-missing') {
        absent.push(t.name);
        continue;
      }
      if (t.error !== 0) unread.push({ topic: t.name, reason: reasonOf(t.error) });
      for (const p of t.partitions) {
        const broker = metadata.brokers.find((b) => b.id === p.leader);
        if (broker) work.push({ topic: t.name, partition: p.id, broker });
        else
          unread.push({ topic: t.name, partition: p.id, reason: 'it has no leader: start the brokers that hold it' });
      }
    }
    const next = async (): Promise<void> => {
      for (let w = work.shift(); w; w = work.shift()) {
        const { topic, partition, broker } = w;
        const reason = await readPartition(client, broker, topic, partition, onRecord);
        if (reason !== undefined) unread.push({ topic, partition, reason });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
  } catch (e) {
    const { problem, fix } = unreachableText(config.brokers, toClientError(e));
    throw new Error(`${problem}: ${fix}`);
  } finally {
    await client.close();
  }
  unread.sort((a, b) => a.topic.localeCompare(b.topic) || (a.partition ?? -1) - (b.partition ?? -1));
  return { unread, absent: absent.sort() };
}

/** Undefined where it was read to its end; else why not. */
async function readPartition(
  client: KafkaFetcher,
  broker: BrokerAddress,
  topic: string,
  partition: number,
  onRecord: (r: ReadRecord) => void,
): Promise<string | undefined> {
  let end: number | undefined;
  let at = 0;
  let why = 'no more records come before its end';
  for (let left = PATIENCE; left > 0; left--) {
    try {
      if (end === undefined) {
        const bounds = await client.bounds(broker, topic, partition);
        if (bounds.error !== 0) {
          why = reasonOf(bounds.error);
          continue;
        }
        end = bounds.high;
        at = bounds.low;
      }
      while (at < end) {
        const { error, records } = await client.fetch(broker, topic, partition, at);
        if (error !== 0) why = reasonOf(error);
        if (error !== 0 || records.length === 0) break;
        left = PATIENCE;
        for (const { offset, value, type } of records) {
          // What came after the reading began is left for the next time.
          if (offset >= end) break;
          if (value) onRecord({ topic, partition, offset, type, value });
        }
        at = records[records.length - 1].offset + 1;
      }
      if (at >= end) return undefined;
    } catch (e) {
      why = toClientError(e).message;
    }
  }
  return why;
}

function reasonOf(code: number): string {
  const { name, outcome } = meaningOf(code);
  return outcome === 'denied'
    ? `we may not read it (${name}): give our principal the ACLs Read and Describe on it`
    : name;
}

/** The heartbeats in the topic of notifications, as far as it can be read. */
export async function auditHeartbeats(config: KafkaConfig): Promise<{ heartbeats: HeartbeatLoss[]; unread: Unread[] }> {
  const audit = new HeartbeatAudit();
  const topic = topicOf(config, 'snmp.trap.v1');
  const { unread, absent } = await readTopics(config, [topic], (r) => audit.add(r.type, r.value));
  const reason = 'it does not exist: `tidegate topics apply` creates it';
  return { heartbeats: audit.report(), unread: [...unread, ...absent.map((t) => ({ topic: t, reason }))] };
}

/** The audit of everything a configuration publishes, as far as it can be read. */
export async function auditKafka(config: KafkaConfig, nowMs: number = systemClock.wallMs()): Promise<AuditReport> {
  const audit = new Audit();
  const { unread, absent } = await readTopics(config, [...wantedTopics(config).keys()], (r) => audit.add(r));
  for (const [type, format] of Object.entries(config.formats))
    if (format !== 'cloudevents')
      unread.push({
        topic: topicOf(config, type as EventType),
        reason: `its events have the format ${format}, which does not say their coordinates`,
      });
  return audit.report({ unread, absent, nowMs });
}
