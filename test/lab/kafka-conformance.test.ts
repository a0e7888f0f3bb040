/**
 * The Kafka exporter on a real broker, the same suite for each client. kafkajs's consumer is the reader; kcat reads where it is installed.
 */
import { Buffer } from 'node:buffer';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { decodeRecord } from '../../src/event/record.ts';
import type { EventType } from '../../src/event/types.ts';
import { checkKafka } from '../../src/export/kafka/check.ts';
import { type KafkaConfig, kafkaConfig } from '../../src/export/kafka/config.ts';
import { KafkaExporter } from '../../src/export/kafka/exporter.ts';
import { partitionFor } from '../../src/export/kafka/partitioner.ts';
import { QuarantineFile } from '../../src/export/kafka/quarantine.ts';
import { auditKafka } from '../../src/export/kafka/reader.ts';
import { applyTopics, planTopics } from '../../src/export/kafka/topics.ts';
import type { ShardExport } from '../../src/export/types.ts';
import { ManifestBuilder } from '../../src/spool/manifest.ts';
import { BOOT, type MemoryShard, memoryShard } from '../export/memory-log.ts';
import { kafkaMissing } from './install-kafka.mjs';
import { KafkaLab, LAB_USER, type LabRecord } from './kafka.ts';
import { complete, fill, firstDeliveries, until } from './kafka-records.ts';

const TRAP: EventType = 'snmp.trap.v1';
const CLIENTS = ['platformatic', 'kafkajs'] as const;
const present = kafkaMissing() === undefined;

let lab: KafkaLab;
let dir: string;
const open: KafkaExporter[] = [];
let names = 0;

beforeAll(async () => {
  if (!present) return;
  dir = mkdtempSync(join(tmpdir(), 'kafka-conformance-'));
  lab = await KafkaLab.start({ brokers: 2, listeners: ['sasl', 'ssl', 'mtls'] });
});

afterEach(async () => {
  for (const x of open.splice(0)) await x.close();
});

afterAll(async () => {
  await lab?.close();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

/** A prefix nobody else uses. */
function prefix(): string {
  return `t${++names}`;
}

function configOf(client: (typeof CLIENTS)[number], topic_prefix: string, more: object = {}): KafkaConfig {
  return kafkaConfig.parse({ brokers: lab.bootstrap(), client, topic_prefix, request_timeout: '3s', ...more });
}

function exporter(config: KafkaConfig): KafkaExporter {
  const x = new KafkaExporter({
    name: 'kafka',
    config,
    node: 'edge-1',
    worker: open.length,
    clock: systemClock,
    log: silentLog,
    quarantine: new QuarantineFile(join(dir, config.topic_prefix), 'kafka', 0, 'edge-1'),
    watchFilesMs: 100,
  });
  open.push(x);
  return x;
}

function drained(s: ShardExport, x: KafkaExporter): Promise<void> {
  return until(
    () => s.drained(),
    () => `drained: ${JSON.stringify([s.state(), x.progress()])}`,
  );
}

describe.skipIf(!present).each(CLIENTS)('kafka exporter with %s', (client) => {
  it('delivers the bytes, headers and order that were spooled, without a repetition', async () => {
    const p = prefix();
    await lab.createTopic(`${p}.${TRAP}`, 4);
    const shard = memoryShard();
    fill(shard, 4000);
    const x = exporter(configOf(client, p));
    const s = x.open(shard);
    await drained(s, x);
    const records = await lab.records(`${p}.${TRAP}`);
    expect(records).toHaveLength(4000);
    complete(shard, records, 4);
    expect(shard.exported.alarm.sort((a, b) => a - b)).toEqual(Array.from({ length: 4000 }, (_, i) => i + 1));
    expect(x.progress()).toMatchObject({ acked: 4000, quarantined: 0, up: true, problems: [] });
  });

  it('loses nothing while the brokers stop, freeze and come back', async () => {
    const p = prefix();
    await lab.createTopic(`${p}.${TRAP}`, 4, {}, [[1], [2], [1], [2]]);
    const shard = memoryShard();
    const x = exporter(configOf(client, p));
    const s = x.open(shard);
    let n = 0;
    const load = setInterval(() => {
      fill(shard, 40, 50, n);
      n += 40;
      s.durable('alarm', shard.logs.alarm.end, n);
    }, 10);
    const acked = (more: number) => {
      const goal = x.progress().acked + more;
      return until(
        () => x.progress().acked >= goal,
        () => `${more} more: ${JSON.stringify(x.progress())}`,
      );
    };
    try {
      await acked(500);
      await lab.broker(1).kill();
      // The other broker's partitions go on: they do not wait for the one that is away.
      const away = n;
      await until(
        () => n > away + 2000,
        () => 'load',
      );
      await acked(500);
      await lab.broker(1).start();
      await acked(2000);
      lab.broker(2).freeze();
      await acked(500);
      lab.broker(2).thaw();
      await acked(1000);
    } finally {
      clearInterval(load);
      lab.broker(2).thaw();
      if (!lab.broker(1).pid) await lab.broker(1).start();
    }
    await drained(s, x);
    complete(shard, await lab.records(`${p}.${TRAP}`), 4);
    expect(new Set(shard.exported.alarm).size).toBe(n);
    expect(x.progress()).toMatchObject({ up: true, problems: [], lag: expect.any(Number) });
  });

  it('a partition without a leader, and a missing topic, delay only themselves', async () => {
    const p = prefix();
    await lab.createTopic(`${p}.${TRAP}`, 3, {}, [[1], [2], [1]]);
    const shard = memoryShard();
    fill(shard, 3000);
    for (let i = 0; i < 300; i++)
      shard.logs.routing.append(i % 2 ? 'bmp.update.v1' : 'bgp.update.v1', `k${i % 5}`, `r-${i}`, '{}');
    await lab.createTopic(`${p}.bmp.update.v1`, 1, {}, [[1]]);
    await lab.broker(2).stop();
    const share = shard.logs.alarm.records.filter((r) => partitionFor(decodeRecord(r.payload)!.key, 3) !== 1).length;
    const x = exporter(configOf(client, p));
    const s = x.open(shard);
    try {
      await until(
        () => x.progress().acked === share + 150 && x.progress().problems.length === 2,
        () => `the others: ${share + 150} ${JSON.stringify([x.progress(), s.state()])}`,
      );
      expect(s.drained()).toBe(false);
      expect(
        x
          .progress()
          .problems.map((q) => q.problem)
          .sort(),
      ).toEqual([`partition 1 of topic ${p}.${TRAP} has no leader`, `topic ${p}.bgp.update.v1 does not exist`]);
    } finally {
      await lab.broker(2).start();
    }
    await lab.createTopic(`${p}.bgp.update.v1`, 2);
    await drained(s, x);
    complete(shard, await lab.records(`${p}.${TRAP}`), 3);
    expect(firstDeliveries(await lab.records(`${p}.bgp.update.v1`))).toHaveLength(150);
    expect(x.progress().problems).toEqual([]);
  });

  it('sets a record aside that is too large, and says so', async () => {
    const p = prefix();
    await lab.createTopic(`${p}.${TRAP}`, 2, { 'max.message.bytes': '20000' });
    await lab.createTopic(`${p}.dlq.v1`, 1);
    const shard = memoryShard();
    fill(shard, 300);
    const noise = Buffer.from(Array.from({ length: 40_000 }, (_, i) => (i * i * 7919 + ((i * 31) >> 3)) % 251));
    const rx = { site: 's', node: 'edge-1', worker: 0, boot: BOOT, class: 'alarm', seq: 301, at: 'now' };
    shard.logs.alarm.append(TRAP, 'net|10.0.0.7', 'big', JSON.stringify({ rx, noise: noise.toString('base64') }));
    for (let i = 400; i < 700; i++) shard.logs.alarm.append(TRAP, `net|10.0.0.${i % 50}`, `id-${i}`, '{}');
    const x = exporter(configOf(client, p, { compression: 'none' }));
    const s = x.open(shard);
    await drained(s, x);
    const records = await lab.records(`${p}.${TRAP}`);
    expect(firstDeliveries(records)).toHaveLength(600);
    const lines = readFileSync(join(dir, p, 'kafka-0.jsonl'), 'utf8')
      .trim()
      .split('\n');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0])).toMatchObject({ topic: `${p}.${TRAP}`, event: { id: 'big' } });
    let notices: LabRecord[] = [];
    for (let i = 0; i < 100 && notices.length === 0; i++) {
      notices = await lab.records(`${p}.dlq.v1`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(notices).toHaveLength(1);
    expect(JSON.parse(notices[0].value.toString())).toMatchObject({
      topic: `${p}.${TRAP}`,
      key: 'net|10.0.0.7',
      rx: { seq: 301 },
    });
    expect(x.progress()).toMatchObject({ acked: 600, quarantined: 1, quarantinedBy: { snmp_trap: 1 } });
  });

  // The broker says 17 of a name that is none when it is asked for the topic, and of its own topics when a record comes.
  it.each(['not/a name', '__consumer_offsets'])(
    'sets aside what is for the topic %s, and the rest goes on',
    async (topic) => {
      const p = prefix();
      await lab.createTopic(`${p}.bgp.update.v1`, 2);
      await lab.createTopic(`${p}.dlq.v1`, 1);
      // A reader with a group makes the broker make its own.
      await lab.records(`${p}.bgp.update.v1`);
      const shard = memoryShard();
      const rx = (seq: number) => ({
        site: 's',
        node: 'edge-1',
        worker: 0,
        boot: BOOT,
        class: 'alarm',
        seq,
        at: 'now',
      });
      for (let i = 1; i <= 40; i++)
        shard.logs.alarm.append(TRAP, `net|10.0.0.${i % 7}`, `id-${i}`, JSON.stringify({ rx: rx(i), i }));
      for (let i = 0; i < 150; i++) shard.logs.routing.append('bgp.update.v1', `r${i % 5}`, `b${i}`, '{}');
      const x = exporter({ ...configOf(client, p), topics: { [TRAP]: topic } });
      const s = x.open(shard);
      await drained(s, x);
      expect(firstDeliveries(await lab.records(`${p}.bgp.update.v1`))).toHaveLength(150);
      const lines = readFileSync(join(dir, p, 'kafka-0.jsonl'), 'utf8')
        .trim()
        .split('\n');
      const aside = lines.map((l) => JSON.parse(l) as { topic: string; error: string; event: { id: string } });
      expect(new Set(aside.map((q) => `${q.topic} ${q.error}`))).toEqual(new Set([`${topic} INVALID_TOPIC_EXCEPTION`]));
      expect(aside.map((q) => q.event.id).sort()).toEqual(Array.from({ length: 40 }, (_, i) => `id-${i + 1}`).sort());
      await until(
        () => x.progress().quarantined === 40,
        () => 'all set aside',
      );
      let notices: LabRecord[] = [];
      for (let i = 0; i < 100 && notices.length < 40; i++) {
        notices = await lab.records(`${p}.dlq.v1`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const told = notices.map(
        (n) => JSON.parse(n.value.toString()) as { topic: string; error: string; rx: { seq: number } },
      );
      expect(told.map((n) => n.rx.seq).sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
      expect(new Set(told.map((n) => `${n.topic} ${n.error}`))).toEqual(new Set([`${topic} INVALID_TOPIC_EXCEPTION`]));
      expect(x.progress()).toMatchObject({ acked: 150, quarantined: 40, quarantinedBy: { snmp_trap: 40 } });
    },
  );

  it.each(['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'] as const)(
    'authenticates with %s',
    async (mechanism) => {
      const p = prefix();
      await lab.createTopic(`${p}.${TRAP}`, 1);
      const shard = memoryShard();
      fill(shard, 20);
      const part = (o: object) => Buffer.from(JSON.stringify(o)).toString('base64url');
      const seconds = Math.floor(Date.now() / 1000);
      const token = `${part({ alg: 'none' })}.${part({ sub: LAB_USER.username, iat: seconds, exp: seconds + 600 })}.`;
      const sasl = mechanism === 'oauthbearer' ? { mechanism, token } : { mechanism, ...LAB_USER };
      const x = exporter(configOf(client, p, { brokers: lab.bootstrap('sasl'), sasl }));
      const s = x.open(shard);
      await drained(s, x);
      expect(await lab.records(`${p}.${TRAP}`)).toHaveLength(20);
    },
  );

  it('says that the credentials are refused', async () => {
    const sasl = { mechanism: 'scram-sha-256', username: LAB_USER.username, password: 'wrong' };
    const x = exporter(configOf(client, prefix(), { brokers: lab.bootstrap('sasl'), sasl }));
    await until(
      () => !x.progress().up,
      () => 'down',
    );
    expect(x.progress().problems[0].problem).toMatch(/refuses our credentials/);
  });

  it('speaks TLS, and takes a new client certificate without a restart', async () => {
    const p = prefix();
    await lab.createTopic(`${p}.${TRAP}`, 1);
    const certificates = lab.certificates!;
    const shard = memoryShard();
    fill(shard, 20);
    const plain = exporter(configOf(client, p, { brokers: lab.bootstrap('ssl'), tls: { ca: certificates.ca } }));
    const s1 = plain.open(shard);
    await drained(s1, plain);
    s1.close();
    // A certificate of a CA the broker does not know, and then one that it does, in the same files.
    const bad = certificates.client(`${p}-bad`, false);
    const good = certificates.client(`${p}-good`);
    const cert = join(dir, `${p}.pem`);
    const key = join(dir, `${p}.key`);
    copyFileSync(bad.cert, cert);
    copyFileSync(bad.key, key);
    const tls = { ca: certificates.ca, cert, key };
    const x = exporter(configOf(client, p, { brokers: lab.bootstrap('mtls'), tls }));
    const s2 = x.open(shard);
    await until(
      () => !x.progress().up,
      () => 'refused',
    );
    expect(x.progress().acked).toBe(0);
    copyFileSync(good.key, key);
    copyFileSync(good.cert, cert);
    await drained(s2, x);
    expect(x.progress()).toMatchObject({ acked: 20, up: true });
    const wrongCa = exporter(configOf(client, p, { brokers: lab.bootstrap('ssl'), tls: { ca: bad.cert } }));
    await until(
      () => !wrongCa.progress().up,
      () => 'another CA',
    );
    expect(wrongCa.progress().problems[0].problem).toMatch(/no TLS connection/);
  });
});

describe.skipIf(!present)('kafka tools', () => {
  it('topics plan and apply create what is missing, add partitions, and are then content', async () => {
    const p = prefix();
    await lab.createTopic(`${p}.${TRAP}`, 1);
    const config = configOf('platformatic', p, { partitions: 2, replication: 1 });
    const before = await planTopics(config);
    expect(before.filter((t) => t.action === 'create')).toHaveLength(before.length - 1);
    expect(before.find((t) => t.topic === `${p}.${TRAP}`)).toMatchObject({
      action: 'add-partitions',
      partitions: { have: 1, want: 2 },
    });
    const bad = await checkKafka('kafka', config);
    expect(bad.find((f) => f.severity === 'problem')).toMatchObject({
      what: expect.stringContaining(`${p}.bgp.update.v1`),
      fix: expect.stringContaining('topics apply'),
    });
    const applied = await applyTopics(config);
    expect(applied.filter((t) => t.problem !== undefined)).toEqual([]);
    let after = await planTopics(config);
    for (let i = 0; i < 100 && after.some((t) => t.action !== 'none'); i++) after = await planTopics(config);
    expect(after.every((t) => t.action === 'none' && t.partitions.have === 2)).toBe(true);
    expect((await checkKafka('kafka', config)).filter((f) => f.severity === 'problem')).toEqual([]);
  });

  it.each(CLIENTS)('topics end compaction, and leave the rest of a topic as it is (client: %s)', async (client) => {
    const p = prefix();
    const compacted = [`${p}.${TRAP}`, `${p}.bgp.update.v1`];
    await lab.createTopic(compacted[0], 2, { 'cleanup.policy': 'compact', 'retention.ms': '86400000' });
    await lab.createTopic(compacted[1], 1, { 'cleanup.policy': 'compact,delete' });
    await lab.createTopic(`${p}.bmp.peer.v1`, 2, { 'cleanup.policy': 'delete' });
    const config = configOf(client, p, { partitions: 2, replication: 2 });
    const plan = new Map((await planTopics(config)).map((t) => [t.topic, t]));
    const want = 'delete';
    expect(plan.get(compacted[0])).toMatchObject({
      action: 'set-config',
      settings: [{ name: 'cleanup.policy', have: 'compact', want }],
    });
    // What cannot be done by itself says how.
    const [note] = plan.get(compacted[0])!.notes;
    expect(note).toMatch(/replication is 1, wanted 2: kafka-reassign-partitions\.sh .*--reassignment-json-file/);
    const file = JSON.parse(note.slice(note.indexOf('{'))) as { partitions: { replicas: number[] }[] };
    expect(file.partitions.map((x) => new Set(x.replicas).size)).toEqual([2, 2]);
    expect(plan.get(compacted[1])).toMatchObject({ action: 'add-partitions', settings: [{ have: 'compact,delete' }] });
    expect(plan.get(`${p}.bmp.peer.v1`)).toMatchObject({ action: 'none', settings: [] });
    expect(plan.get(`${p}.system.v1`)).toMatchObject({ action: 'create', settings: [{ want }] });

    expect(await checkKafka('kafka', config)).toContainEqual({
      severity: 'note',
      what: expect.stringMatching(`${compacted[0]}: cleanup.policy is compact: only the last event`),
      fix: expect.stringContaining('topics apply'),
    });

    const applied = await applyTopics(config);
    expect(applied.filter((t) => t.problem !== undefined)).toEqual([]);
    const topics = [...compacted, `${p}.system.v1`, `${p}.bmp.peer.v1`];
    const told = () =>
      lab.admin(async (admin) => {
        const resources = topics.map((name) => ({ type: 2, name }));
        const { resources: found } = await admin.describeConfigs({ includeSynonyms: true, resources });
        return found.map((r) => {
          const of = (name: string) => r.configEntries.find((e) => e.configName === name)!;
          // 1: a setting of the topic itself, not the broker's.
          const own = (of('cleanup.policy') as unknown as { configSource: number }).configSource === 1;
          return [of('cleanup.policy').configValue, own, of('retention.ms').configValue];
        });
      });
    let now = await told();
    for (let i = 0; i < 100 && now.some((t) => t[0] !== want); i++) now = await told();
    expect(now).toEqual([
      [want, true, '86400000'],
      [want, true, '-1'],
      [want, true, '-1'],
      [want, true, '-1'],
    ]);
    let after = await planTopics(config);
    for (let i = 0; i < 100 && after.some((t) => t.action !== 'none'); i++) after = await planTopics(config);
    expect(after.filter((t) => t.action !== 'none' || t.settings.length > 0)).toEqual([]);
  });

  it('check names a cluster that is not there', async () => {
    const found = await checkKafka('kafka', kafkaConfig.parse({ brokers: ['127.0.0.1:9'] }));
    expect(found).toMatchObject([{ severity: 'problem', fix: expect.stringContaining('export.kafka.brokers') }]);
  });

  it('audit is clean over what was exported, and finds what was taken away', async () => {
    const p = prefix();
    const config = configOf('platformatic', p, { partitions: 2, replication: 1 });
    await applyTopics(config);
    const build = (gone: number[]): MemoryShard => {
      const shard = memoryShard();
      const manifest = new ManifestBuilder(BOOT, 'alarm');
      for (let seq = 1; seq <= 500; seq++) {
        const rx = { site: 's', node: `edge-${gone.length}`, worker: 0, boot: BOOT, class: 'alarm', seq, at: 't' };
        const json = JSON.stringify({ rx });
        manifest.add(seq, crc32(json));
        if (!gone.includes(seq)) shard.logs.alarm.append(TRAP, `k${seq % 7}`, `${gone.length}-${seq}`, json);
      }
      const rx = { site: 's', node: `edge-${gone.length}`, worker: 0, boot: BOOT, class: 'system', seq: 1, at: 't' };
      const data = { rx, kind: 'manifest', worker: 0, ...manifest.take()! };
      shard.logs.system.append('system.v1', 'n', `m${gone.length}`, JSON.stringify(data));
      return shard;
    };
    const x = exporter(config);
    const whole = x.open(build([]));
    await drained(whole, x);
    expect(await auditKafka(config)).toMatchObject({ clean: true, manifests: 1, events: 501, uncovered: 1 });
    const holed = x.open(build([17, 18, 400]));
    await drained(holed, x);
    const report = await auditKafka(config);
    expect(report.findings).toMatchObject([
      {
        kind: 'missing',
        node: 'edge-3',
        count: 3,
        ranges: [
          [17, 18],
          [400, 400],
        ],
      },
    ]);
  });

  it('kcat reads what we write', async (t) => {
    if (spawnSync('kcat', ['-V']).status !== 0) return t.skip();
    const p = prefix();
    await lab.createTopic(`${p}.${TRAP}`, 1);
    const shard = memoryShard();
    fill(shard, 50);
    const x = exporter(configOf('platformatic', p));
    const s = x.open(shard);
    await drained(s, x);
    const out = execFileSync(
      'kcat',
      ['-b', lab.bootstrap()[0], '-C', '-t', `${p}.${TRAP}`, '-e', '-q', '-f', '%k %h\n'],
      {
        encoding: 'utf8',
      },
    );
    const lines = out.trim().split('\n');
    expect(lines).toHaveLength(50);
    expect(lines[0]).toContain('net|10.0.0.0 ce_specversion=1.0,ce_id=id-0,');
  });
});
