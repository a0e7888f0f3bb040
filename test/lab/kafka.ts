/**
 * A real Kafka broker (KRaft, one process is broker and controller) on loopback or in a network namespace, for the lab tests.
 * `KafkaLab.start()` gives one cluster; `broker(1)`, `broker(2)` can be stopped, killed, frozen and started again on the same port and data.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Admin, KafkaConfig } from 'kafkajs';
import { kafkaReader } from '../../src/export/kafka/kafkajs.ts';
import { validateRecord } from '../schema.ts';
import { ensureKafka } from './install-kafka.mjs';
import { type LabCertificates, labCertificates } from './kafka-certificates.ts';

export type LabListener = 'plain' | 'sasl' | 'ssl' | 'mtls';

export interface KafkaLabOptions {
  brokers?: 1 | 2;
  /** Besides PLAINTEXT: SASL_PLAINTEXT (all mechanisms), SSL, SSL with a required client certificate. */
  listeners?: LabListener[];
  /** Where the listeners bind and what they advertise. */
  address?: string;
  /** Put in front of `java`, such as ['ip', 'netns', 'exec', 'NAME']. Ports are then not probed but counted from `basePort`. */
  prefix?: string[];
  basePort?: number;
  /** More lines of server.properties. */
  properties?: Record<string, string>;
  heap?: string;
  /** StandardAuthorizer with User:admin and the anonymous plain listener as super users. */
  acl?: boolean;
}

export const LAB_USER = { username: 'tidegate', password: 'lab-password' };
const ADMIN = { username: 'admin', password: 'admin-password' };

const JAAS_PLAIN = `org.apache.kafka.common.security.plain.PlainLoginModule required username="${ADMIN.username}" password="${ADMIN.password}" user_${ADMIN.username}="${ADMIN.password}" user_${LAB_USER.username}="${LAB_USER.password}";`;

export class LabBroker {
  readonly id: number;
  readonly ports: Record<LabListener | 'controller', number>;
  readonly dir: string;
  private readonly command: string[];
  private child: ChildProcess | undefined;
  private log = '';

  constructor(id: number, ports: Record<LabListener | 'controller', number>, dir: string, command: string[]) {
    this.id = id;
    this.ports = ports;
    this.dir = dir;
    this.command = command;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Resolves when the broker takes requests. */
  async start(): Promise<void> {
    this.log = '';
    const child = spawn(this.command[0], this.command.slice(1), { cwd: this.dir, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    const file = createWriteStream(join(this.dir, 'broker.log'), { flags: 'a' });
    await new Promise<void>((resolve, reject) => {
      const onData = (d: Buffer) => {
        file.write(d);
        if (this.log.length < 200_000) this.log += d.toString('utf8');
        if (this.log.includes(`[KafkaRaftServer nodeId=${this.id}] Kafka Server started`)) resolve();
      };
      child.stdout!.on('data', onData);
      child.stderr!.on('data', onData);
      child.once('exit', (code, signal) => {
        this.child = undefined;
        file.end();
        reject(new Error(`Kafka ended (${code ?? signal}): ${this.log.slice(-3000)}`));
      });
      child.once('error', reject);
    });
  }

  /** SIGTERM, and SIGKILL where it does not end within the time. */
  async stop(timeoutMs = 20_000): Promise<void> {
    await this.end('SIGTERM', timeoutMs);
  }

  async kill(): Promise<void> {
    await this.end('SIGKILL', 5000);
  }

  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  private async end(signal: 'SIGTERM' | 'SIGKILL', timeoutMs: number): Promise<void> {
    const child = this.child;
    if (!child) return;
    const gone = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
    });
    child.kill('SIGCONT');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    await gone;
    clearTimeout(timer);
    this.child = undefined;
  }
}

export class KafkaLab {
  readonly dir: string;
  readonly brokers: LabBroker[];
  readonly address: string;
  readonly certificates: LabCertificates | undefined;

  private constructor(dir: string, brokers: LabBroker[], address: string, certificates: LabCertificates | undefined) {
    this.dir = dir;
    this.brokers = brokers;
    this.address = address;
    this.certificates = certificates;
  }

  static async start(options: KafkaLabOptions = {}): Promise<KafkaLab> {
    const libs = ensureKafka();
    const dir = mkdtempSync(join(tmpdir(), 'kafka-lab-'));
    const address = options.address ?? '127.0.0.1';
    const listeners = ['plain', ...(options.listeners ?? []).filter((l) => l !== 'plain')] as LabListener[];
    const tls = listeners.some((l) => l === 'ssl' || l === 'mtls');
    const certificates = tls ? labCertificates(join(dir, 'certificates'), address) : undefined;
    const count = options.brokers ?? 1;
    const names = ['controller', ...listeners] as const;
    const free = options.prefix
      ? Array.from({ length: count * names.length }, (_, i) => (options.basePort ?? 19092) + i)
      : await freePorts(count * names.length, address);
    const portsOf = (i: number) =>
      Object.fromEntries(names.map((n, j) => [n, free[i * names.length + j]])) as LabBroker['ports'];
    const host = address.includes(':') ? `[${address}]` : address;
    // A leading dash would be read as an option.
    const clusterId = randomBytes(16).toString('base64url').replace(/^-/, 'A');
    // The first broker is the only controller, so that the second can go without taking the quorum with it.
    const brokers: LabBroker[] = [];
    for (let i = 0; i < count; i++) {
      const id = i + 1;
      const ports = portsOf(i);
      const brokerDir = join(dir, `broker-${id}`);
      mkdirSync(brokerDir);
      const controller = i === 0;
      const lines: Record<string, string> = {
        'process.roles': controller ? 'broker,controller' : 'broker',
        'node.id': String(id),
        'controller.quorum.voters': `1@${host}:${portsOf(0).controller}`,
        'controller.listener.names': 'CONTROLLER',
        'inter.broker.listener.name': 'PLAIN',
        listeners: [
          ...(controller ? [`CONTROLLER://${host}:${ports.controller}`] : []),
          ...listeners.map((l) => `${l.toUpperCase()}://${host}:${ports[l]}`),
        ].join(','),
        'advertised.listeners': listeners.map((l) => `${l.toUpperCase()}://${host}:${ports[l]}`).join(','),
        'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,SSL:SSL,MTLS:SSL',
        'log.dirs': join(brokerDir, 'data'),
        'offsets.topic.replication.factor': '1',
        'offsets.topic.num.partitions': '4',
        'transaction.state.log.replication.factor': '1',
        'transaction.state.log.min.isr': '1',
        'share.coordinator.state.topic.replication.factor': '1',
        'share.coordinator.state.topic.min.isr': '1',
        'group.initial.rebalance.delay.ms': '0',
        'auto.create.topics.enable': 'false',
        'num.network.threads': '2',
        'num.io.threads': '4',
        'broker.heartbeat.interval.ms': '500',
        'broker.session.timeout.ms': '3000',
        'controlled.shutdown.enable': 'true',
        // Tests send events of years ago: nothing is to be deleted for its age.
        'log.retention.ms': '-1',
        'log.cleaner.enable': 'false',
        'log.cleaner.dedupe.buffer.size': '4194304',
      };
      if (listeners.includes('sasl')) {
        lines['sasl.enabled.mechanisms'] = 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER';
        lines['listener.name.sasl.plain.sasl.jaas.config'] = JAAS_PLAIN;
        for (const m of ['scram-sha-256', 'scram-sha-512'])
          lines[`listener.name.sasl.${m}.sasl.jaas.config`] =
            'org.apache.kafka.common.security.scram.ScramLoginModule required;';
        lines['listener.name.sasl.oauthbearer.sasl.jaas.config'] =
          'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="admin";';
        lines['listener.name.sasl.oauthbearer.sasl.server.callback.handler.class'] =
          'org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler';
      }
      if (certificates) {
        for (const l of ['ssl', 'mtls']) {
          const p = `listener.name.${l}.`;
          lines[`${p}ssl.keystore.type`] = 'PKCS12';
          lines[`${p}ssl.keystore.location`] = certificates.serverStore;
          lines[`${p}ssl.keystore.password`] = certificates.password;
          lines[`${p}ssl.key.password`] = certificates.password;
          lines[`${p}ssl.truststore.type`] = 'PEM';
          lines[`${p}ssl.truststore.location`] = certificates.clientCas;
        }
        lines['listener.name.mtls.ssl.client.auth'] = 'required';
      }
      if (options.acl) {
        lines['authorizer.class.name'] = 'org.apache.kafka.metadata.authorizer.StandardAuthorizer';
        lines['super.users'] = `User:${ADMIN.username};User:ANONYMOUS`;
      }
      Object.assign(lines, options.properties);
      const config = join(brokerDir, 'server.properties');
      writeFileSync(
        config,
        Object.entries(lines)
          .map(([k, v]) => `${k}=${v}\n`)
          .join(''),
      );
      const scram = listeners.includes('sasl')
        ? ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((m) => [
            '--add-scram',
            `${m}=[name=${LAB_USER.username},password=${LAB_USER.password}]`,
          ])
        : [];
      const java = ['java', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto'];
      const format = spawnSync(
        java[0],
        [
          ...java.slice(1),
          '-cp',
          `${libs}/*`,
          'kafka.tools.StorageTool',
          'format',
          '-t',
          clusterId,
          '-c',
          config,
          ...scram,
        ],
        { cwd: brokerDir, encoding: 'utf8' },
      );
      if (format.status !== 0) throw new Error(`StorageTool: ${format.stdout}${format.stderr}`);
      brokers.push(
        new LabBroker(id, ports, brokerDir, [
          // A test that is killed leaves no broker behind.
          ...['setpriv', '--pdeathsig', 'KILL'],
          ...(options.prefix ?? []),
          'java',
          '-XX:+UseSerialGC',
          `-Xmx${options.heap ?? '512m'}`,
          '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
          '-Dorg.slf4j.simpleLogger.log.kafka.server=info',
          '-cp',
          `${libs}/*`,
          'kafka.Kafka',
          config,
        ]),
      );
    }
    const lab = new KafkaLab(dir, brokers, address, certificates);
    try {
      await Promise.all(brokers.map((b) => b.start()));
    } catch (e) {
      await lab.close();
      throw e;
    }
    return lab;
  }

  broker(id: number): LabBroker {
    return this.brokers[id - 1];
  }

  /** `ADDR:PORT` of every broker's listener. */
  bootstrap(listener: LabListener = 'plain'): string[] {
    const host = this.address.includes(':') ? `[${this.address}]` : this.address;
    return this.brokers.map((b) => `${host}:${b.ports[listener]}`);
  }

  /** A kafkajs client on the plain listener: the independent one. */
  kafkajs(config: Partial<KafkaConfig> = {}) {
    return kafkaReader(this.bootstrap(), { clientId: 'lab', ...config });
  }

  async admin<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = this.kafkajs().admin();
    await admin.connect();
    try {
      return await use(admin);
    } finally {
      await admin.disconnect();
    }
  }

  /** `assignment[p]` is the list of replicas of partition p. Resolves when every broker that runs knows the topic. */
  async createTopic(
    topic: string,
    partitions = 1,
    config: Record<string, string> = {},
    assignment?: number[][],
  ): Promise<void> {
    await this.admin((admin) =>
      admin.createTopics({
        waitForLeaders: false,
        topics: [
          {
            topic,
            ...(assignment
              ? { replicaAssignment: assignment.map((replicas, partition) => ({ partition, replicas })) }
              : { numPartitions: partitions, replicationFactor: 1 }),
            configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
          },
        ],
      }),
    );
    const running = this.bootstrap().filter((_, i) => this.brokers[i].pid !== undefined);
    await Promise.all(running.map((b) => this.known(b, topic)));
  }

  private async known(broker: string, topic: string): Promise<void> {
    const admin = kafkaReader([broker], { clientId: 'lab', retry: { retries: 0 } }).admin();
    for (let tries = 0; ; tries++) {
      try {
        await admin.connect();
        await admin.fetchTopicMetadata({ topics: [topic] });
        break;
      } catch (e) {
        if (tries > 200) throw e;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    await admin.disconnect();
  }

  /** Everything in a topic from the beginning to its end now, in order within each partition; each is held against its schema. */
  async read(topic: string): Promise<LabRecord[]> {
    const records = await this.records(topic);
    for (const r of records) validateRecord(r.headers, r.value.toString('utf8'));
    return records;
  }

  /** The same of records that are no events of ours. */
  async records(topic: string): Promise<LabRecord[]> {
    return readTopic(this.bootstrap(), topic);
  }

  /** Stops what runs and removes its directory. */
  async close(): Promise<void> {
    for (const b of this.brokers) b.thaw();
    await Promise.all(this.brokers.map((b) => b.kill()));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export interface LabRecord {
  partition: number;
  offset: number;
  key: string | undefined;
  value: Buffer;
  headers: Record<string, string>;
  timestamp: number;
}

let group = 0;

/** Reads a topic with a kafkajs consumer of its own group. */
export async function readTopic(brokers: string[], topic: string): Promise<LabRecord[]> {
  const kafka = kafkaReader(brokers, { clientId: 'lab-reader' });
  const admin = kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const left = new Map<number, number>();
  for (const o of offsets) if (Number(o.high) > Number(o.low)) left.set(o.partition, Number(o.high));
  const records: LabRecord[] = [];
  if (left.size === 0) return records;
  const consumer = kafka.consumer({
    groupId: `lab-${process.pid}-${randomBytes(4).toString('hex')}-${group++}`,
    maxWaitTimeInMs: 100,
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    // It starts again by itself while the group's coordinator is being loaded.
    consumer.on(consumer.events.CRASH, (e) => {
      if (!e.payload.restart) reject(e.payload.error);
    });
    consumer
      .run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => {
          const headers: Record<string, string> = {};
          for (const [k, v] of Object.entries(message.headers ?? {})) headers[k] = String(v);
          const offset = Number(message.offset);
          records.push({
            partition,
            offset,
            key: message.key?.toString('utf8'),
            value: message.value ?? Buffer.alloc(0),
            headers,
            timestamp: Number(message.timestamp),
          });
          const high = left.get(partition);
          if (high !== undefined && offset >= high - 1) left.delete(partition);
          if (left.size === 0) resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

/** Ports that were free a moment ago. */
export async function freePorts(n: number, address = '127.0.0.1'): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: n },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const s = createServer().once('error', reject);
          s.listen(0, address, () => resolve(s));
        }),
    ),
  );
  const ports = servers.map((s) => (s.address() as { port: number }).port);
  await Promise.all(servers.map((s) => new Promise((resolve) => s.close(resolve))));
  return ports;
}

/** True where a real broker can be started here. */
export function javaPresent(): boolean {
  try {
    execFileSync('java', ['-version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export function readPem(file: string): string {
  return readFileSync(file, 'utf8');
}
