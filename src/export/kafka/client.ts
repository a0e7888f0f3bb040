/**
 * What we need of a Kafka client library: single requests and their answers, partition by partition. Retries, order, sequence
 * numbers and batches are ours (producer.ts), so that they are the same with each library. One adapter file per library.
 */
import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

export interface BrokerAddress {
  id: number;
  host: string;
  port: number;
}

export interface PartitionMetadata {
  id: number;
  /** Broker id, -1 where there is none. */
  leader: number;
  error: number;
  replicas: number[];
  isr: number[];
}

export interface TopicMetadata {
  name: string;
  error: number;
  partitions: PartitionMetadata[];
  /** Bit n: the operation n of Kafka's AclOperation is allowed to us; undefined where the library cannot ask. */
  operations?: number;
}

export interface ClusterMetadata {
  brokers: BrokerAddress[];
  topics: TopicMetadata[];
}

/** `records` is a whole RecordBatch (record-batch.ts). */
export interface ProduceBatch {
  topic: string;
  partition: number;
  records: Buffer;
}

export interface ProduceAnswer {
  topic: string;
  partition: number;
  /** Kafka's error code, 0 where it was written by all in-sync replicas. */
  error: number;
  message?: string;
  offset: bigint;
}

/** Every method rejects with ClientError only. */
export interface KafkaClient {
  /** Connects where needed. Errors of single topics and partitions are in the answer. */
  metadata(topics: string[]): Promise<ClusterMetadata>;
  initProducerId(): Promise<{ id: bigint; epoch: number }>;
  /** acks=all to one broker; at most one batch a partition in one call. */
  produce(broker: BrokerAddress, batches: ProduceBatch[]): Promise<ProduceAnswer[]>;
  /** New connections from now on: certificates or passwords have changed. Requests in flight are answered first. */
  reconnect(): void;
  close(): Promise<void>;
}

export interface PartitionBounds {
  error: number;
  /** The oldest offset there is, and the one the next record will get. */
  low: number;
  high: number;
}

export interface FetchAnswer {
  error: number;
  /** `value` null: nothing of ours. `type`: header ce_type. */
  records: { offset: number; value: Buffer | null; type: string }[];
}

/** What `audit` needs besides. */
export interface KafkaFetcher extends KafkaClient {
  bounds(broker: BrokerAddress, topic: string, partition: number): Promise<PartitionBounds>;
  fetch(broker: BrokerAddress, topic: string, partition: number, offset: number): Promise<FetchAnswer>;
}

export interface TopicAnswer {
  name: string;
  error: number;
  message?: string;
}

/** What `topics` and `check` need besides; only the default client has it. */
export interface KafkaAdmin extends KafkaClient {
  createTopics(
    topics: { name: string; partitions: number; replication: number; settings: Record<string, string> }[],
  ): Promise<TopicAnswer[]>;
  createPartitions(topics: { name: string; count: number }[]): Promise<TopicAnswer[]>;
  /** Changes these settings and leaves the others as they are (IncrementalAlterConfigs, Kafka 2.3). */
  alterTopics(topics: { name: string; settings: Record<string, string> }[]): Promise<TopicAnswer[]>;
  /** Settings of topics, by topic and name; a topic that may not be asked is left out. */
  topicSettings(topics: string[], names: string[]): Promise<Map<string, Record<string, string>>>;
}

export const SASL_MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'] as const;
export type SaslMechanism = (typeof SASL_MECHANISMS)[number];

export interface ResolvedSasl {
  mechanism: SaslMechanism;
  username: string;
  password: string;
  /** oauthbearer: asked at each authentication. */
  token: () => string;
}

export interface ClientOptions {
  clientId: string;
  brokers: BrokerAddress[];
  /** Asked at each connection, so that new files are taken. Undefined: no TLS. */
  tls: (() => ConnectionOptions) | undefined;
  sasl: ResolvedSasl | undefined;
  /** Opens a stream, where it must not be an ordinary one. */
  device?: DeviceDial;
  connectTimeoutMs: number;
  requestTimeoutMs: number;
}

/** Streams over a VRF or interface (net/device.ts). */
export interface DeviceDial {
  /** A socket on its way to a host; fails with 'error'. */
  connect(host: string, port: number): Socket;
  /** The stream that is opened inside `dial` takes the device. */
  around<T>(dial: () => T): T;
}

export type ClientFactory = (options: ClientOptions) => KafkaClient;

/** `HOST:PORT`, `[V6]:PORT` or `HOST` (port 9092); undefined where it is none of them. Names stay names. */
export function parseBroker(text: string): { host: string; port: number } | undefined {
  const m = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]\s/]+))(?::(\d{1,5}))?$/.exec(text);
  if (!m) return undefined;
  const port = m[3] === undefined ? 9092 : Number(m[3]);
  return port >= 1 && port <= 65535 ? { host: m[1] ?? m[2], port } : undefined;
}
