/**
 * kafkajs behind our client contract, and as the reader of `audit` and of the tests. Its producer fails a whole topic when one partition has no leader, so its
 * connections and request codecs are used directly; the package is pinned to an exact version.
 */
import { createRequire } from 'node:module';
import { connect as netConnect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { Kafka, KafkaConfig } from 'kafkajs';
import { parseIp } from '../../core/ip.ts';
import {
  type BrokerAddress,
  type ClientOptions,
  type ClusterMetadata,
  type FetchAnswer,
  type KafkaClient,
  type KafkaFetcher,
  type PartitionBounds,
  type ProduceAnswer,
  type ProduceBatch,
  parseBroker,
} from './client.ts';
import { ClientError, ILLEGAL_SASL_STATE, tokenRefused } from './errors.ts';
import { toClientError } from './failure.ts';

interface Encoder {
  writeString(s: string | null): Encoder;
  writeInt16(n: number): Encoder;
  writeInt32(n: number): Encoder;
  writeBuffer(b: Buffer): Encoder;
  writeArray(a: Encoder[]): Encoder;
}
interface ProtocolRequest {
  request: Record<string, unknown>;
  response: { decode(b: Buffer): Promise<unknown>; parse(d: unknown): Promise<unknown> };
}
interface RawConnection {
  socket?: Socket;
  rejectRequests(e: Error): void;
}
interface RawPool {
  pool: RawConnection[];
  send(r: ProtocolRequest): Promise<unknown>;
  destroy(): Promise<void>;
}
interface RawBroker {
  connect(): Promise<void>;
  lookupRequest(key: number, definition: unknown): (args: unknown) => ProtocolRequest;
}
interface RequestQueue {
  pending: unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: unknown;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

const require = createRequire(import.meta.url);
// CommonJS with getters for exports: an import by name does not see them.
const {
  CompressionCodecs,
  CompressionTypes,
  Kafka: KafkaClass,
  logLevel,
} = require('kafkajs') as typeof import('kafkajs');
const RawBrokerClass = require('kafkajs/src/broker') as new (o: object) => RawBroker;
const RawPoolClass = require('kafkajs/src/network/connectionPool') as new (o: object) => RawPool;
const EncoderClass = require('kafkajs/src/protocol/encoder') as new () => Encoder;
const { requests } = require('kafkajs/src/protocol/requests') as { requests: Record<string, unknown> };
const QueueClass = require('kafkajs/src/network/requestQueue') as { prototype: RequestQueue };

// kafkajs 2.2.4 re-arms this timer for ever, with a negative delay (a warning on recent Node, and a wake-up each millisecond). Nothing
// needs it while nothing is pending: an answer that arrives looks at the queue by itself. Its issue 1751.
QueueClass.prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
  if (this.throttleCheckTimeoutId || this.pending.length === 0) return;
  const wait = Math.max(10, this.throttledUntil - Date.now());
  this.throttleCheckTimeoutId = setTimeout(() => {
    this.throttleCheckTimeoutId = null;
    this.checkPendingRequests();
  }, wait);
};

CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder: { buffer: Buffer }) => zstdCompressSync(encoder.buffer),
  decompress: async (buffer: Buffer) => zstdDecompressSync(buffer),
});

const PRODUCE_KEY = 0;
const FETCH_KEY = 1;
const LIST_OFFSETS_KEY = 2;
/** Timestamps of ListOffsets that mean an end of the log. */
const EARLIEST = '-2';
const LATEST = '-1';
const FETCH_BYTES = 4 * 1024 * 1024;
const METADATA_KEY = 3;
const INIT_KEY = 22;
const quiet = { debug() {}, info() {}, warn() {}, error() {}, namespace: () => quiet };

interface SocketArguments {
  host: string;
  port: number;
  ssl?: unknown;
  onConnect: () => void;
}

/** Opens a socket; certificates are asked for at each one. */
function socketFactory(
  o: Pick<ClientOptions, 'tls' | 'device'> | undefined,
  resolve?: (host: string) => BrokerAddress | undefined,
) {
  const { tls, device } = o ?? {};
  return ({ host: name, port: given, onConnect }: SocketArguments): Socket => {
    const known = resolve?.(name);
    const host = known?.host ?? name;
    const port = known?.port ?? given;
    const below = device?.connect(host, port);
    const socket = tls
      ? tlsConnect({ host, port, socket: below, ...(parseIp(host) ? {} : { servername: host }), ...tls() }, onConnect)
      : (below?.once('connect', onConnect) ?? netConnect({ host, port }, onConnect));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    return socket;
  };
}

function saslOf(options: ClientOptions): object | undefined {
  const s = options.sasl;
  if (!s) return undefined;
  return s.mechanism === 'oauthbearer'
    ? { mechanism: s.mechanism, oauthBearerProvider: async () => ({ value: s.token() }) }
    : { mechanism: s.mechanism, username: s.username, password: s.password };
}

interface Link {
  pool: RawPool;
  broker: RawBroker;
  ready: Promise<void>;
  inFlight: number;
  retired: boolean;
}

interface DecodedMetadata {
  brokers: { nodeId: number; host: string; port: number }[];
  topicMetadata: {
    topicErrorCode: number;
    topic: string;
    partitionMetadata: {
      partitionErrorCode: number;
      partitionId: number;
      leader: number;
      replicas: number[];
      isr: number[];
    }[];
  }[];
}

interface FetchedMessage {
  offset: string;
  value: Buffer | null;
  headers: Record<string, Buffer>;
  isControlRecord?: boolean;
}

class KafkajsClient implements KafkaFetcher {
  private readonly options: ClientOptions;
  private readonly links = new Map<string, Link>();
  private known: BrokerAddress[] = [];
  private turn = 0;
  private closed = false;

  constructor(options: ClientOptions) {
    this.options = options;
  }

  async metadata(topics: string[]): Promise<ClusterMetadata> {
    return this.anywhere(async (link) => {
      const build = link.broker.lookupRequest(METADATA_KEY, requests.Metadata);
      const decoded = (await this.send(
        link,
        build({ topics, allowAutoTopicCreation: false }),
      )) as unknown as DecodedMetadata;
      if (decoded.topicMetadata.some((t) => t.topicErrorCode === ILLEGAL_SASL_STATE)) throw tokenRefused();
      this.known = decoded.brokers.map((b) => ({ id: b.nodeId, host: b.host, port: b.port }));
      return {
        brokers: this.known,
        topics: decoded.topicMetadata.map((t) => ({
          name: t.topic,
          error: t.topicErrorCode,
          partitions: t.partitionMetadata.map((p) => ({
            id: p.partitionId,
            leader: p.leader,
            error: p.partitionErrorCode,
            replicas: p.replicas,
            isr: p.isr,
          })),
        })),
      };
    });
  }

  async initProducerId(): Promise<{ id: bigint; epoch: number }> {
    return this.anywhere(async (link) => {
      const build = link.broker.lookupRequest(INIT_KEY, requests.InitProducerId);
      const d = (await this.send(link, build({ transactionalId: null, transactionTimeout: 60_000 }))) as {
        errorCode: number;
        producerId: string;
        producerEpoch: number;
      };
      if (d.errorCode !== 0) throw new ClientError('network', `no producer id: error ${d.errorCode}`, d.errorCode);
      return { id: BigInt(d.producerId), epoch: Number(d.producerEpoch) };
    });
  }

  async produce(broker: BrokerAddress, batches: ProduceBatch[]): Promise<ProduceAnswer[]> {
    return this.on(broker, async (link) => {
      const build = link.broker.lookupRequest(PRODUCE_KEY, requests.Produce);
      // Version, response codec and header of the library; the body carries our record batches.
      const r = build({ acks: -1, timeout: this.options.requestTimeoutMs, topicData: [] });
      const byTopic = new Map<string, Encoder[]>();
      for (const b of batches) {
        const entry = new EncoderClass().writeInt32(b.partition).writeInt32(b.records.length).writeBuffer(b.records);
        const list = byTopic.get(b.topic);
        if (list) list.push(entry);
        else byTopic.set(b.topic, [entry]);
      }
      r.request.encode = async () =>
        new EncoderClass()
          .writeString(null)
          .writeInt16(-1)
          .writeInt32(this.options.requestTimeoutMs)
          .writeArray([...byTopic].map(([topic, list]) => new EncoderClass().writeString(topic).writeArray(list)));
      const d = (await this.send(link, r)) as {
        topics: { topicName: string; partitions: { partition: number; errorCode: number; baseOffset: string }[] }[];
      };
      return d.topics.flatMap((t) =>
        t.partitions.map((p) => ({
          topic: t.topicName,
          partition: p.partition,
          error: p.errorCode,
          offset: BigInt(p.baseOffset),
        })),
      );
    });
  }

  async bounds(broker: BrokerAddress, topic: string, partition: number): Promise<PartitionBounds> {
    return this.on(broker, async (link) => {
      const build = link.broker.lookupRequest(LIST_OFFSETS_KEY, requests.ListOffsets);
      const at = async (timestamp: string) => {
        const d = (await this.send(
          link,
          build({ replicaId: -1, isolationLevel: 0, topics: [{ topic, partitions: [{ partition, timestamp }] }] }),
        )) as { responses: { partitions: { errorCode: number; offset?: string; offsets?: string[] }[] }[] };
        const p = d.responses[0].partitions[0];
        return { error: p.errorCode, offset: Number(p.offset ?? p.offsets?.[0] ?? 0) };
      };
      const low = await at(EARLIEST);
      const high = await at(LATEST);
      return { error: low.error || high.error, low: low.offset, high: high.offset };
    });
  }

  async fetch(broker: BrokerAddress, topic: string, partition: number, offset: number): Promise<FetchAnswer> {
    return this.on(broker, async (link) => {
      const build = link.broker.lookupRequest(FETCH_KEY, requests.Fetch);
      const d = (await this.send(
        link,
        build({
          replicaId: -1,
          isolationLevel: 0,
          maxWaitTime: 500,
          minBytes: 1,
          maxBytes: FETCH_BYTES,
          rackId: '',
          topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes: FETCH_BYTES }] }],
        }),
      )) as { responses: { partitions: { errorCode: number; messages: FetchedMessage[] }[] }[] };
      const p = d.responses[0]?.partitions[0];
      if (!p) return { error: 0, records: [] };
      const records = p.messages
        .filter((m) => Number(m.offset) >= offset)
        .map((m) => ({
          offset: Number(m.offset),
          value: m.isControlRecord ? null : m.value,
          type: m.headers?.ce_type === undefined ? '' : String(m.headers.ce_type),
        }));
      return { error: p.errorCode, records };
    });
  }

  reconnect(): void {
    for (const [key, link] of this.links) {
      link.retired = true;
      this.links.delete(key);
      if (link.inFlight === 0) this.end(link);
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const link of this.links.values()) this.end(link);
    this.links.clear();
  }

  /** The decoded answer as it is: the library's own check would throw for the whole because of one partition. */
  private send(link: Link, r: ProtocolRequest): Promise<unknown> {
    return link.pool.send({ request: r.request, response: { decode: r.response.decode, parse: async (d) => d } });
  }

  private async anywhere<T>(use: (link: Link) => Promise<T>): Promise<T> {
    const candidates = [...this.known, ...this.options.brokers];
    const start = this.turn;
    let last: ClientError | undefined;
    for (let i = 0; i < candidates.length; i++) {
      try {
        return await this.on(candidates[(start + i) % candidates.length], use);
      } catch (e) {
        last = toClientError(e);
        if (last.kafkaCode !== undefined) throw last;
        this.turn++;
      }
    }
    throw last ?? new ClientError('network', 'no broker is configured');
  }

  private async on<T>(broker: BrokerAddress, use: (link: Link) => Promise<T>): Promise<T> {
    if (this.closed) throw new ClientError('closed', 'the client is closed');
    const link = this.link(broker);
    link.inFlight++;
    try {
      await link.ready;
      return await use(link);
    } catch (e) {
      const error = toClientError(e);
      // A connection whose request was not answered is not used again: a late answer must not meet a later request.
      if (error.kafkaCode === undefined) this.drop(link);
      throw error;
    } finally {
      link.inFlight--;
      if (link.retired && link.inFlight === 0) this.end(link);
    }
  }

  private link(address: BrokerAddress): Link {
    const key = `${address.host} ${address.port}`;
    const have = this.links.get(key);
    if (have) return have;
    const { options } = this;
    const pool = new RawPoolClass({
      host: address.host,
      port: address.port,
      logger: quiet,
      clientId: options.clientId,
      ssl: options.tls !== undefined,
      sasl: saslOf(options),
      socketFactory: socketFactory(options),
      connectionTimeout: options.connectTimeoutMs,
      requestTimeout: options.requestTimeoutMs + 2000,
      enforceRequestTimeout: true,
      maxInFlightRequests: 8,
    });
    const broker = new RawBrokerClass({ connectionPool: pool, logger: quiet, allowAutoTopicCreation: false });
    const link: Link = { pool, broker, ready: broker.connect(), inFlight: 0, retired: false };
    link.ready.catch(() => this.drop(link));
    this.links.set(key, link);
    return link;
  }

  private drop(link: Link): void {
    for (const [key, l] of this.links) if (l === link) this.links.delete(key);
    link.retired = true;
    this.end(link);
  }

  private end(link: Link): void {
    for (const c of link.pool.pool) {
      c.rejectRequests(new Error('connection closed'));
      c.socket?.destroy();
    }
    void link.pool.destroy();
  }
}

/** The selectable client. */
export function kafkajsClient(options: ClientOptions): KafkaClient {
  return new KafkajsClient(options);
}

/** The same for reading partition by partition, without a consumer group and the ACLs one needs. */
export function kafkaFetcher(options: ClientOptions): KafkaFetcher {
  return new KafkajsClient(options);
}

/** A whole kafkajs for reading (audit, tests): zstd registered, IPv6 brokers understood. */
export function kafkaReader(
  brokers: string[],
  config: Partial<KafkaConfig> & { clientOptions?: ClientOptions },
): Kafka {
  // kafkajs splits at the first colon: brokers get names without one, and the socket is opened to what they stand for.
  const table = new Map<string, BrokerAddress>();
  brokers.forEach((b, i) => {
    const parsed = parseBroker(b);
    if (parsed) table.set(`bootstrap-${i}`, { id: -1, ...parsed });
  });
  const { clientOptions, ...rest } = config;
  return new KafkaClass({
    logLevel: logLevel.NOTHING,
    ...rest,
    brokers: [...table.keys()].map((name) => `${name}:1`),
    ssl: clientOptions?.tls !== undefined,
    sasl: (clientOptions ? saslOf(clientOptions) : rest.sasl) as KafkaConfig['sasl'],
    socketFactory: socketFactory(clientOptions, (host) => table.get(host)) as KafkaConfig['socketFactory'],
  });
}
