/** The Kafka exporter against a cluster in memory: order, no loss, and who waits for whom. */

import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/core/log.ts';
import { decodeRecord } from '../../src/event/record.ts';
import { kafkaConfig } from '../../src/export/kafka/config.ts';
import { KafkaExporter } from '../../src/export/kafka/exporter.ts';
import type { LaneLimits } from '../../src/export/kafka/lane.ts';
import { partitionFor } from '../../src/export/kafka/partitioner.ts';
import type { Quarantined } from '../../src/export/kafka/quarantine.ts';
import { savedLowWater } from '../../src/export/kafka/state.ts';
import type { ShardExport } from '../../src/export/types.ts';
import { dataOf, SAMPLES } from '../event/projections/samples.ts';
import { FakeKafka, type Fault, fastClock, type StoredRecord } from './fake-kafka.ts';
import { type MemoryShard, memoryShard } from './memory-log.ts';

const TRAP = 'snmp.trap.v1';
/** A queue that is moved aside gives up its batch, which is then sent twice: not where a test counts, however slow the machine is. */
const PATIENT = { graceMs: 1_000_000 };

const open: KafkaExporter[] = [];

afterEach(async () => {
  for (const x of open.splice(0)) await x.close();
});

function exporter(
  kafka: FakeKafka,
  o: { limits?: Partial<LaneLimits>; config?: object; failQuarantine?: () => boolean } = {},
) {
  const quarantined: Quarantined[] = [];
  const raw: Buffer[] = [];
  const x = new KafkaExporter({
    name: 'kafka',
    config: kafkaConfig.parse({ brokers: ['127.0.0.1:1'], compression: 'none', ...o.config }),
    node: 'edge-1',
    worker: 0,
    clock: fastClock(40),
    log: silentLog,
    client: kafka.client,
    limits: o.limits,
    quarantine: {
      file: 'kafka-0.jsonl',
      put: (entries) => {
        if (o.failQuarantine?.()) throw new Error('ENOSPC');
        quarantined.push(...entries);
      },
      putRaw: (payload) => raw.push(payload),
      close() {},
    },
  });
  open.push(x);
  return { x, quarantined, raw };
}

async function until(condition: () => boolean, what: string, ms = 10_000): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function fill(shard: MemoryShard, n: number, keys: number, from = 0, size = 0): void {
  for (let i = from; i < from + n; i++)
    shard.logs.alarm.append(TRAP, `k${i % keys}`, `id${i}`, JSON.stringify({ i, pad: 'x'.repeat(size) }), i % 3 === 0);
}

function tell(shard: MemoryShard, s: ShardExport): void {
  s.durable('alarm', shard.logs.alarm.end, shard.logs.alarm.records.length);
}

/** The first delivery of each event of a key is in the order in which they were spooled. */
function firstDeliveriesInOrder(records: StoredRecord[]): void {
  const seen = new Map<string, number>();
  for (const r of records) {
    const n = Number(r.id.slice(2));
    const last = seen.get(r.key) ?? -1;
    if (n > last) {
      // Nothing of this key between the two may come later for the first time.
      seen.set(r.key, n);
    }
  }
  const first = new Map<string, number[]>();
  const known = new Set<string>();
  for (const r of records) {
    if (known.has(r.id)) continue;
    known.add(r.id);
    const list = first.get(r.key) ?? [];
    list.push(Number(r.id.slice(2)));
    first.set(r.key, list);
  }
  for (const list of first.values()) expect(list).toEqual([...list].sort((a, b) => a - b));
}

function ids(records: StoredRecord[]): Set<string> {
  return new Set(records.map((r) => r.id));
}

describe('kafka exporter', () => {
  it('delivers everything in order and reports who asked for it', async () => {
    const kafka = new FakeKafka();
    kafka.topic('tidegate.snmp.trap.v1', 4);
    const shard = memoryShard();
    fill(shard, 2500, 37);
    const { x } = exporter(kafka, { limits: PATIENT });
    const s = x.open(shard);
    await until(() => s.drained(), 'drained');
    const all = kafka.all('tidegate.snmp.trap.v1');
    expect(all).toHaveLength(2500);
    expect(kafka.overlaps).toBe(0);
    firstDeliveriesInOrder(all);
    expect(shard.exported.alarm.sort((a, b) => a - b)).toEqual(Array.from({ length: 834 }, (_, i) => 3 * i + 1));
    expect(x.progress()).toMatchObject({ acked: 2500, retried: 0, up: true, problems: [], lag: 0 });
    expect(s.lowWater('alarm')).toEqual(shard.logs.alarm.end);
    fill(shard, 3, 37, 2500);
    tell(shard, s);
    await until(() => kafka.all('tidegate.snmp.trap.v1').length === 2503, 'the later ones');
  });

  it('loses nothing and keeps the order of each key whatever fails', async () => {
    const faults: Fault[] = ['none', 'lose-request', 'lose-answer', 'not-leader', 'forget-producer'];
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          events: fc.integer({ min: 1, max: 400 }),
          keys: fc.integer({ min: 1, max: 12 }),
          partitions: fc.integer({ min: 1, max: 4 }),
          plan: fc.array(fc.nat({ max: faults.length - 1 }), { minLength: 1, maxLength: 40 }),
          batchEvents: fc.integer({ min: 1, max: 50 }),
          readBytes: fc.integer({ min: 200, max: 5000 }),
          pendingBytes: fc.integer({ min: 2000, max: 60_000 }),
          leaderless: fc.option(fc.nat({ max: 3 })),
          grow: fc.boolean(),
          missingFirst: fc.boolean(),
          outage: fc.boolean(),
        }),
        async (p) => {
          const kafka = new FakeKafka();
          const topic = 'tidegate.snmp.trap.v1';
          if (!p.missingFirst) kafka.topic(topic, p.partitions);
          let step = 0;
          const faultsUntil = p.plan.length * 4;
          kafka.fault = () => (step++ < faultsUntil ? faults[p.plan[step % p.plan.length]] : 'none');
          const shard = memoryShard();
          fill(shard, p.events, p.keys);
          const limits = { readBytes: p.readBytes, pendingBytes: p.pendingBytes, graceMs: 200 };
          const { x } = exporter(kafka, { limits, config: { batch_events: p.batchEvents } });
          const s = x.open(shard);
          const pause = () => new Promise((resolve) => setTimeout(resolve, 8));
          if (p.missingFirst) {
            await pause();
            kafka.topic(topic, p.partitions);
          }
          const partition = p.leaderless === null ? undefined : kafka.topics.get(topic)!.partitions[p.leaderless];
          if (partition) partition.leader = -1;
          await pause();
          if (p.outage) {
            kafka.up = false;
            await pause();
            kafka.up = true;
          }
          if (p.grow) kafka.topic(topic, p.partitions + 3);
          fill(shard, 50, p.keys, p.events);
          tell(shard, s);
          await pause();
          if (partition) partition.leader = 1;
          await until(() => s.drained(), `drained ${JSON.stringify(p)} ${JSON.stringify(s.state())}`);
          const all = kafka.all(topic);
          expect(ids(all).size).toBe(p.events + 50);
          if (!p.grow) firstDeliveriesInOrder(all);
          expect(s.lowWater('alarm')).toEqual(shard.logs.alarm.end);
          expect(new Set(shard.exported.alarm).size).toBe(Math.ceil((p.events + 50) / 3));
          s.close();
          await x.close();
          expect(shard.logs.alarm.openReaders).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('publishes notifications in another format, all else as it is, and sets the event itself aside', async () => {
    const kafka = new FakeKafka();
    kafka.topic('tidegate.snmp.trap.v1', 2);
    kafka.topic('tidegate.system.v1', 1);
    kafka.maxValue = 3000;
    const shard = memoryShard();
    const trap = (size: number) => {
      const data = dataOf(SAMPLES['link-down']) as { varbinds: object[] };
      const more = { oid: '1.3.6.1.4.1.9999.1', type: 'octet-string', value: 'x'.repeat(size) };
      return JSON.stringify({ ...data, varbinds: [...data.varbinds, more] });
    };
    shard.logs.alarm.append(TRAP, 'k', 'id1', trap(1), true);
    shard.logs.alarm.append(TRAP, 'k', 'id2', trap(5000), true);
    shard.logs.system.append('system.v1', 'k', 'id3', '{"kind":"gap"}');
    const { x, quarantined } = exporter(kafka, { config: { formats: { [TRAP]: 'onap' } } });
    const s = x.open(shard);
    tell(shard, s);
    s.durable('system', shard.logs.system.end, 1);
    await until(() => s.drained(), 'all to be dealt with');
    const [only, ...more] = kafka.all('tidegate.snmp.trap.v1');
    expect(more).toEqual([]);
    expect(JSON.parse(only.value)['notify OID']).toBe('.1.3.6.1.6.3.1.1.5.3');
    expect([only.key, only.id]).toEqual(['k', 'id1']);
    expect(kafka.all('tidegate.system.v1').map((r) => r.value)).toEqual(['{"kind":"gap"}']);
    expect(quarantined.map((q) => q.record.value.toString())).toEqual([trap(5000)]);
  });

  it('an answer that was lost makes no duplicate while the producer id lives', async () => {
    const kafka = new FakeKafka();
    kafka.topic('tidegate.snmp.trap.v1', 2);
    let n = 0;
    kafka.fault = () => (n++ % 3 === 0 ? 'lose-answer' : 'none');
    const shard = memoryShard();
    fill(shard, 300, 5);
    const { x } = exporter(kafka, { limits: PATIENT, config: { batch_events: 20 } });
    const s = x.open(shard);
    await until(() => s.drained(), 'drained');
    expect(kafka.all('tidegate.snmp.trap.v1')).toHaveLength(300);
    expect(kafka.duplicates).toBeGreaterThan(0);
  });

  it('delivers without a producer id where the cluster has none to give, and takes one when it has', async () => {
    const kafka = new FakeKafka();
    const topic = 'tidegate.snmp.trap.v1';
    kafka.topic(topic, 2);
    kafka.noProducerIds = true;
    const shard = memoryShard();
    fill(shard, 100, 5);
    const { x } = exporter(kafka);
    const s = x.open(shard);
    await until(() => s.drained(), 'drained without');
    const numbered = () => kafka.topics.get(topic)!.partitions.reduce((n, p) => n + p.producers.size, 0);
    expect(numbered()).toBe(0);
    kafka.noProducerIds = false;
    let n = 100;
    await until(() => {
      fill(shard, 1, 5, n++);
      tell(shard, s);
      return numbered() > 0;
    }, 'numbers');
    // The broker forgets them just when it has no new ones.
    kafka.noProducerIds = true;
    for (const p of kafka.topics.get(topic)!.partitions) p.producers.clear();
    fill(shard, 100, 5, n);
    tell(shard, s);
    await until(() => s.drained(), 'drained');
    expect(ids(kafka.all(topic)).size).toBe(n + 100);
    firstDeliveriesInOrder(kafka.all(topic));
  });

  it('a partition without a leader delays only itself, holds no memory, and catches up in order', async () => {
    const kafka = new FakeKafka();
    const topic = 'tidegate.snmp.trap.v1';
    kafka.topic(topic, 3);
    const partitions = kafka.topics.get(topic)!.partitions;
    partitions[1].leader = -1;
    const shard = memoryShard();
    fill(shard, 3000, 30, 0, 200);
    const { x } = exporter(kafka, {
      limits: { pendingBytes: 200_000, readBytes: 50_000 },
      config: { batch_events: 100 },
    });
    const s = x.open(shard);
    const others = () => ids([...partitions[0].log, ...partitions[2].log]).size;
    const share = (n: number) =>
      Array.from({ length: n }, (_, i) => i).filter((i) => partitionFor(Buffer.from(`k${i % 30}`), 3) !== 1).length;
    await until(() => others() === share(3000) && s.lag() + others() === 3000, 'the others delivered');
    expect(partitions[1].log).toHaveLength(0);
    const stuck = s.lag();
    expect(stuck).toBeGreaterThan(300);
    expect(x.progress().problems).toMatchObject([{ topic: TRAP, problem: expect.stringContaining('no leader') }]);
    expect((s.state() as { classes: { alarm: { stragglers: unknown[] } } }).classes.alarm.stragglers).toMatchObject([
      { type: TRAP, count: 3, partition: 1 },
    ]);
    // The spool keeps what is needed, and a restart knows where.
    expect(savedLowWater(s.state()).alarm).toEqual(s.lowWater('alarm'));
    expect(s.lowWater('alarm').offset).toBeLessThan(shard.logs.alarm.end.offset / 2);
    // New events go on being delivered to the others.
    fill(shard, 30, 30, 3000, 200);
    tell(shard, s);
    await until(() => others() === share(3030), 'later events of the others');
    await until(() => s.lag() + others() === 3030, 'the lag is what is left');
    partitions[1].leader = 1;
    await until(() => s.drained(), 'drained');
    expect(ids(partitions[1].log).size).toBe(3030 - others());
    firstDeliveriesInOrder(kafka.all(topic));
    expect(ids(kafka.all(topic)).size).toBe(3030);
    // The lag is measured at most once a second.
    await until(() => x.progress().lag === 0, 'the lag is told');
    expect(x.progress()).toMatchObject({ problems: [], lag: 0 });
  });

  it('a missing topic and a denied one delay only themselves', async () => {
    const kafka = new FakeKafka();
    kafka.topic('tidegate.bmp.update.v1', 2);
    kafka.topic('tidegate.bgp.update.v1', 2);
    kafka.denied.add('tidegate.bgp.update.v1');
    const shard = memoryShard();
    const types = ['bmp.update.v1', 'bmp.peer.v1', 'bgp.update.v1'] as const;
    for (let i = 0; i < 900; i++) shard.logs.routing.append(types[i % 3], `k${i % 7}`, `id${i}`, JSON.stringify({ i }));
    const { x } = exporter(kafka, { limits: { pendingBytes: 20_000, readBytes: 5000 }, config: { batch_events: 50 } });
    const s = x.open(shard);
    await until(() => kafka.all('tidegate.bmp.update.v1').length === 300, 'the topic that can be written');
    await until(() => x.progress().problems.length === 2, 'both problems are said');
    expect(
      x
        .progress()
        .problems.map((p) => p.problem)
        .sort(),
    ).toEqual(['topic tidegate.bmp.peer.v1 does not exist', 'we may not write to topic tidegate.bgp.update.v1']);
    expect(x.progress().up).toBe(true);
    kafka.topic('tidegate.bmp.peer.v1', 3);
    kafka.denied.clear();
    await until(() => s.drained(), 'drained');
    expect(ids(kafka.all('tidegate.bmp.peer.v1')).size).toBe(300);
    expect(ids(kafka.all('tidegate.bgp.update.v1')).size).toBe(300);
    firstDeliveriesInOrder(kafka.all('tidegate.bmp.peer.v1'));
    firstDeliveriesInOrder(kafka.all('tidegate.bgp.update.v1'));
    expect(x.progress().problems).toEqual([]);
  });

  it('goes on after a restart where it stood, stragglers included', async () => {
    const kafka = new FakeKafka();
    const topic = 'tidegate.snmp.trap.v1';
    kafka.topic(topic, 2);
    kafka.topics.get(topic)!.partitions[0].leader = -1;
    const shard = memoryShard();
    fill(shard, 600, 8, 0, 100);
    const first = exporter(kafka, { limits: { pendingBytes: 20_000, readBytes: 5000 } });
    const s1 = first.x.open(shard);
    const p1 = kafka.topics.get(topic)!.partitions[1];
    const share = shard.logs.alarm.records.filter((r) => partitionFor(decodeRecord(r.payload)!.key, 2) === 1).length;
    await until(() => ids(p1.log).size === share && first.x.progress().acked >= share, 'one partition is done');
    const state = JSON.parse(JSON.stringify(s1.state()));
    await first.x.close();
    kafka.topics.get(topic)!.partitions[0].leader = 1;
    const { x } = exporter(kafka);
    const again: MemoryShard = { ...shard, state };
    const s2 = x.open(again);
    await until(() => s2.drained(), 'drained');
    expect(ids(kafka.all(topic)).size).toBe(600);
    firstDeliveriesInOrder(kafka.all(topic));
  });

  it('finds the records that are too large, sets them aside once, and says so in the dlq topic', async () => {
    const kafka = new FakeKafka();
    const topic = 'tidegate.snmp.trap.v1';
    kafka.topic(topic, 2);
    kafka.topic('tidegate.dlq.v1', 1);
    kafka.maxValue = 1000;
    const shard = memoryShard();
    const bad = new Set([0, 77, 78, 200, 499]);
    for (let i = 0; i < 500; i++)
      shard.logs.alarm.append(
        TRAP,
        `k${i % 9}`,
        `id${i}`,
        JSON.stringify({ i, pad: 'x'.repeat(bad.has(i) ? 2000 : 10) }),
      );
    let failures = 2;
    const { x, quarantined } = exporter(kafka, { limits: PATIENT, failQuarantine: () => failures-- > 0 });
    const s = x.open(shard);
    await until(() => s.drained(), 'drained');
    expect(quarantined.map((q) => q.record.id).sort()).toEqual([...bad].map((i) => `id${i}`).sort());
    expect(quarantined[0]).toMatchObject({ topic, error: 'MESSAGE_TOO_LARGE' });
    expect(kafka.all(topic)).toHaveLength(495);
    firstDeliveriesInOrder(kafka.all(topic));
    await until(() => kafka.all('tidegate.dlq.v1').length === 5, 'notices');
    const notice = JSON.parse(kafka.all('tidegate.dlq.v1')[0].value);
    expect(notice).toMatchObject({
      topic,
      error: 'MESSAGE_TOO_LARGE',
      class: 'alarm',
      file: 'quarantine/kafka-0.jsonl',
    });
    expect(x.progress()).toMatchObject({ acked: 495, quarantined: 5, quarantinedBy: { snmp_trap: 5 }, problems: [] });
  });

  it('a topic name that is not valid costs its events and nobody else’s', async () => {
    const kafka = new FakeKafka();
    kafka.topic('tidegate.bmp.update.v1', 2);
    kafka.topic('tidegate.bmp.peer.v1', 1, 17);
    const shard = memoryShard();
    for (let i = 0; i < 100; i++)
      shard.logs.routing.append(i % 2 ? 'bmp.update.v1' : 'bmp.peer.v1', `k${i % 3}`, `id${i}`, '{}');
    const { x, quarantined } = exporter(kafka, { limits: PATIENT });
    const s = x.open(shard);
    await until(() => s.drained(), 'drained');
    expect(kafka.all('tidegate.bmp.update.v1')).toHaveLength(50);
    expect(quarantined).toHaveLength(50);
  });

  it('sets aside what is no event it knows, and goes on', async () => {
    const kafka = new FakeKafka();
    kafka.topic('tidegate.snmp.trap.v1', 1);
    const shard = memoryShard();
    fill(shard, 3, 1);
    shard.logs.alarm.records[1].payload = Buffer.from([250, 0, 0, 0, 0, 0, 0, 0, 1]);
    const { x, raw } = exporter(kafka);
    const s = x.open(shard);
    await until(() => s.drained(), 'drained');
    expect(kafka.all('tidegate.snmp.trap.v1').map((r) => r.id)).toEqual(['id0', 'id2']);
    expect(raw).toEqual([Buffer.from([250, 0, 0, 0, 0, 0, 0, 0, 1])]);
    expect(x.progress()).toMatchObject({ acked: 2, quarantined: 1 });
  });

  it('says that the cluster is away, and holds no more than it may meanwhile', async () => {
    const kafka = new FakeKafka();
    kafka.topic('tidegate.snmp.trap.v1', 2);
    const shard = memoryShard();
    const { x } = exporter(kafka, { limits: { pendingBytes: 50_000, readBytes: 10_000 } });
    const s = x.open(shard);
    await until(() => x.progress().up && s.drained(), 'connected');
    kafka.up = false;
    fill(shard, 5000, 10, 0, 200);
    tell(shard, s);
    await until(() => !x.progress().up, 'down');
    expect(x.progress().problems).toMatchObject([{ topic: '', fix: expect.stringContaining('export.kafka.brokers') }]);
    expect(s.lag()).toBe(5000);
    expect(shard.logs.alarm.reads).toBeLessThan(20);
    kafka.up = true;
    await until(() => s.drained(), 'drained');
    expect(ids(kafka.all('tidegate.snmp.trap.v1')).size).toBe(5000);
    expect(x.progress()).toMatchObject({ up: true, problems: [] });
  });
});
