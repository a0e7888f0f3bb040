/** @platformatic/kafka behind our client contract: its connections, SASL and request codecs; retries and batches are ours. */
import type { Socket } from 'node:net';
import {
  type API,
  apiVersionsV3,
  Connection,
  createPartitionsV2,
  createPartitionsV3,
  createTopicsV5,
  createTopicsV6,
  createTopicsV7,
  describeConfigsV3,
  describeConfigsV4,
  incrementalAlterConfigsV0,
  incrementalAlterConfigsV1,
  initProducerIdV2,
  initProducerIdV3,
  initProducerIdV4,
  initProducerIdV5,
  metadataV9,
  metadataV10,
  metadataV11,
  metadataV12,
  produceV9,
  produceV10,
  produceV11,
  ResponseError,
  type SASLMechanismValue,
  Writer,
} from '@platformatic/kafka';
import { parseIp } from '../../core/ip.ts';
import type {
  BrokerAddress,
  ClientOptions,
  ClusterMetadata,
  KafkaAdmin,
  ProduceAnswer,
  ProduceBatch,
  TopicAnswer,
} from './client.ts';
import { ClientError, ILLEGAL_SASL_STATE, tokenRefused } from './errors.ts';
import { toClientError } from './failure.ts';
import { produceBody } from './produce-request.ts';

const PRODUCE = { 9: produceV9, 10: produceV10, 11: produceV11 } as const;
const METADATA = { 9: metadataV9, 10: metadataV10, 11: metadataV11, 12: metadataV12 } as const;
const INIT = { 2: initProducerIdV2, 3: initProducerIdV3, 4: initProducerIdV4, 5: initProducerIdV5 } as const;
const CREATE_TOPICS = { 5: createTopicsV5, 6: createTopicsV6, 7: createTopicsV7 } as const;
const CREATE_PARTITIONS = { 2: createPartitionsV2, 3: createPartitionsV3 } as const;
const DESCRIBE_CONFIGS = { 3: describeConfigsV3, 4: describeConfigsV4 } as const;
const ALTER_CONFIGS = { 0: incrementalAlterConfigsV0, 1: incrementalAlterConfigsV1 } as const;
const PRODUCE_KEY = 0;
const CREATE_TOPICS_KEY = 19;
const DESCRIBE_CONFIGS_KEY = 32;
const CREATE_PARTITIONS_KEY = 37;
const ADMIN_TIMEOUT_MS = 10_000;
const ALTER_CONFIGS_KEY = 44;
const TOPIC_RESOURCE = 2;
const SET = 0;

const METADATA_KEY = 3;
const INIT_KEY = 22;

interface Link {
  connection: Connection;
  ready: Promise<void>;
  /** API key → the highest version both sides speak. */
  versions: Map<number, number>;
  inFlight: number;
  retired: boolean;
}

/** The answer of a request; the library throws it away where a part of it is an error, and keeps it in the error. */
function call<Args extends unknown[], Answer>(
  api: API<Args, Answer>,
  connection: Connection,
  ...args: Args
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, answer?: Answer) => {
      if (!error) resolve(answer as Answer);
      else if (error instanceof ResponseError) resolve((error as unknown as { response: Answer }).response);
      else reject(error);
    };
    (api as unknown as (c: Connection, ...rest: unknown[]) => void)(connection, ...args, done);
  });
}

/** The stream below TLS; a Connection is used once, and so is this. */
function over(o: ClientOptions, broker: BrokerAddress): { socket?: Socket } {
  return o.device ? { socket: o.device.connect(broker.host, broker.port) } : {};
}

class PlatformaticClient implements KafkaAdmin {
  private readonly options: ClientOptions;
  private readonly links = new Map<string, Link>();
  private known: BrokerAddress[] = [];
  private turn = 0;
  private closed = false;

  constructor(options: ClientOptions) {
    this.options = options;
  }

  async metadata(topics: string[]): Promise<ClusterMetadata> {
    return this.anywhere(METADATA_KEY, async (link, version) => {
      const api = METADATA[version as keyof typeof METADATA].api;
      const answer = await call(api, link.connection, topics, false, true);
      this.known = answer.brokers.map((b) => ({ id: b.nodeId, host: b.host, port: b.port }));
      return {
        brokers: this.known,
        topics: answer.topics.map((t) => ({
          name: t.name ?? '',
          error: t.errorCode,
          // Kafka says "not asked" with the smallest 32-bit number.
          operations: t.topicAuthorizedOperations === -2147483648 ? undefined : t.topicAuthorizedOperations,
          partitions: t.partitions.map((p) => ({
            id: p.partitionIndex,
            leader: p.leaderId,
            error: p.errorCode,
            replicas: p.replicaNodes,
            isr: p.isrNodes,
          })),
        })),
      };
    });
  }

  async initProducerId(): Promise<{ id: bigint; epoch: number }> {
    return this.anywhere(INIT_KEY, async (link, version) => {
      const answer =
        version === 2
          ? await call(INIT[2].api, link.connection, null, 60_000)
          : await call(INIT[version as 3 | 4 | 5].api, link.connection, null, 60_000, -1n, -1);
      if (answer.errorCode !== 0)
        throw new ClientError('network', `no producer id: error ${answer.errorCode}`, answer.errorCode);
      return { id: answer.producerId, epoch: answer.producerEpoch };
    });
  }

  async produce(broker: BrokerAddress, batches: ProduceBatch[]): Promise<ProduceAnswer[]> {
    return this.on(broker, PRODUCE_KEY, async (link, version) => {
      const { parseResponse } = PRODUCE[version as keyof typeof PRODUCE];
      const payload = () => Writer.create().append(produceBody(batches, this.options.requestTimeoutMs));
      const answer = await new Promise<ReturnType<typeof parseResponse>>((resolve, reject) => {
        link.connection.send(PRODUCE_KEY, version, payload, parseResponse, true, true, (error, value) => {
          if (!error) resolve(value as ReturnType<typeof parseResponse>);
          else if (error instanceof ResponseError)
            resolve((error as unknown as { response: ReturnType<typeof parseResponse> }).response);
          else reject(error);
        });
      });
      return answer.responses.flatMap((t) =>
        t.partitionResponses.map((p) => ({
          topic: t.name,
          partition: p.index,
          error: p.errorCode,
          message: p.recordErrors[0]?.batchIndexErrorMessage ?? p.errorMessage ?? undefined,
          offset: p.baseOffset,
        })),
      );
    });
  }

  async createTopics(topics: Parameters<KafkaAdmin['createTopics']>[0]): Promise<TopicAnswer[]> {
    return this.anywhere(CREATE_TOPICS_KEY, async (link, version) => {
      const { api } = CREATE_TOPICS[version as keyof typeof CREATE_TOPICS];
      const wanted = topics.map((t) => ({
        name: t.name,
        numPartitions: t.partitions,
        replicationFactor: t.replication,
        assignments: [],
        configs: Object.entries(t.settings).map(([name, value]) => ({ name, value })),
      }));
      const answer = await call(api, link.connection, wanted, ADMIN_TIMEOUT_MS, false);
      return answer.topics.map((t) => ({ name: t.name, error: t.errorCode, message: t.errorMessage ?? undefined }));
    });
  }

  async createPartitions(topics: { name: string; count: number }[]): Promise<TopicAnswer[]> {
    return this.anywhere(CREATE_PARTITIONS_KEY, async (link, version) => {
      const { api } = CREATE_PARTITIONS[version as keyof typeof CREATE_PARTITIONS];
      const wanted = topics.map((t) => ({ ...t, assignments: null }));
      const answer = await call(api, link.connection, wanted, ADMIN_TIMEOUT_MS, false);
      return answer.results.map((t) => ({ name: t.name, error: t.errorCode, message: t.errorMessage ?? undefined }));
    });
  }

  async alterTopics(topics: Parameters<KafkaAdmin['alterTopics']>[0]): Promise<TopicAnswer[]> {
    return this.anywhere(ALTER_CONFIGS_KEY, async (link, version) => {
      const { api } = ALTER_CONFIGS[version as keyof typeof ALTER_CONFIGS];
      const wanted = topics.map((t) => ({
        resourceType: TOPIC_RESOURCE,
        resourceName: t.name,
        configs: Object.entries(t.settings).map(([name, value]) => ({ name, configOperation: SET, value })),
      })) as Parameters<typeof incrementalAlterConfigsV1.createRequest>[0];
      const answer = await call(api, link.connection, wanted, false);
      return answer.responses.map((r) => ({
        name: r.resourceName,
        error: r.errorCode,
        message: r.errorMessage ?? undefined,
      }));
    });
  }

  async topicSettings(topics: string[], names: string[]): Promise<Map<string, Record<string, string>>> {
    return this.anywhere(DESCRIBE_CONFIGS_KEY, async (link, version) => {
      const { api } = DESCRIBE_CONFIGS[version as keyof typeof DESCRIBE_CONFIGS];
      const wanted = topics.map((resourceName) => ({
        resourceType: TOPIC_RESOURCE,
        resourceName,
        configurationKeys: names,
      })) as Parameters<typeof describeConfigsV4.createRequest>[0];
      const answer = await call(api, link.connection, wanted, false, false);
      const out = new Map<string, Record<string, string>>();
      for (const r of answer.results) {
        if (r.errorCode !== 0) continue;
        out.set(r.resourceName, Object.fromEntries(r.configs.map((c) => [c.name, c.value ?? ''])));
      }
      return out;
    });
  }

  reconnect(): void {
    for (const [key, link] of this.links) {
      link.retired = true;
      this.links.delete(key);
      if (link.inFlight === 0) void link.connection.close();
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    const links = [...this.links.values()];
    this.links.clear();
    await Promise.all(links.map((l) => l.connection.close()));
  }

  /** On the first broker that answers: those of the last metadata first, then the configured ones. */
  private async anywhere<T>(key: number, use: (link: Link, version: number) => Promise<T>): Promise<T> {
    const candidates = [...this.known, ...this.options.brokers];
    const start = this.turn;
    let last: ClientError | undefined;
    for (let i = 0; i < candidates.length; i++) {
      try {
        return await this.on(candidates[(start + i) % candidates.length], key, use);
      } catch (e) {
        last = toClientError(e);
        if (last.kafkaCode !== undefined) throw last;
        this.turn++;
      }
    }
    throw last ?? new ClientError('network', 'no broker is configured');
  }

  private async on<T>(
    broker: BrokerAddress,
    key: number,
    use: (link: Link, version: number) => Promise<T>,
  ): Promise<T> {
    if (this.closed) throw new ClientError('closed', 'the client is closed');
    const link = this.link(broker);
    link.inFlight++;
    try {
      await link.ready;
      const version = link.versions.get(key);
      if (version === undefined)
        throw new ClientError(
          'network',
          `${broker.host}:${broker.port} does not offer what a broker since Kafka 2.4 does: it is older, or it is a KRaft controller (give the brokers' listener)`,
        );
      return await use(link, version);
    } catch (e) {
      const error = toClientError(e);
      if (error.failure === 'timeout' || error.failure === 'network') this.drop(link);
      throw error;
    } finally {
      link.inFlight--;
      if (link.retired && link.inFlight === 0) void link.connection.close();
    }
  }

  private link(broker: BrokerAddress): Link {
    const key = `${broker.host} ${broker.port}`;
    const have = this.links.get(key);
    if (have) return have;
    const { options } = this;
    const sasl = options.sasl;
    const connection = new Connection(options.clientId, {
      connectTimeout: options.connectTimeoutMs,
      // The broker answers a produce request within its own timeout; ours must be longer.
      requestTimeout: options.requestTimeoutMs + 2000,
      maxInflights: 8,
      handleBackPressure: true,
      tls: options.tls && { ...options.tls(), ...over(options, broker) },
      tlsServerName: options.tls && !parseIp(broker.host) ? true : undefined,
      sasl: sasl && {
        mechanism: sasl.mechanism.toUpperCase() as SASLMechanismValue,
        username: sasl.username,
        password: sasl.password,
        token: sasl.token,
      },
    });
    const link: Link = {
      connection,
      ready: Promise.resolve(),
      versions: new Map(),
      inFlight: 0,
      retired: false,
    };
    // An 'error' without a listener would end the process; requests in flight are told by their own callbacks.
    connection.on('error', () => this.drop(link));
    connection.on('close', () => this.drop(link));
    link.ready = this.prepare(link, broker);
    link.ready.catch(() => this.drop(link));
    this.links.set(key, link);
    return link;
  }

  private async prepare(link: Link, broker: BrokerAddress): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const connect = () => void link.connection.connect(broker.host, broker.port, (e) => (e ? reject(e) : resolve()));
      const { device, tls } = this.options;
      if (device && !tls) device.around(connect);
      else connect();
    });
    const { apiKeys, errorCode } = await call(apiVersionsV3.api, link.connection, 'tidegate', '1');
    if (errorCode === ILLEGAL_SASL_STATE) throw tokenRefused();
    for (const [key, modules] of [
      [PRODUCE_KEY, PRODUCE],
      [METADATA_KEY, METADATA],
      [INIT_KEY, INIT],
      [CREATE_TOPICS_KEY, CREATE_TOPICS],
      [CREATE_PARTITIONS_KEY, CREATE_PARTITIONS],
      [DESCRIBE_CONFIGS_KEY, DESCRIBE_CONFIGS],
      [ALTER_CONFIGS_KEY, ALTER_CONFIGS],
    ] as const) {
      const offered = apiKeys.find((a) => a.apiKey === key);
      if (!offered) continue;
      const spoken = Object.keys(modules)
        .map(Number)
        .filter((v) => v >= offered.minVersion && v <= offered.maxVersion);
      if (spoken.length > 0) link.versions.set(key, Math.max(...spoken));
    }
  }

  private drop(link: Link): void {
    for (const [key, l] of this.links) if (l === link) this.links.delete(key);
    link.retired = true;
    link.connection.socket?.destroy();
  }
}

/** The default client. */
export function platformaticClient(options: ClientOptions): KafkaAdmin {
  return new PlatformaticClient(options);
}
