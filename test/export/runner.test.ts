/** The export thread's runner over a real spool: older shards first, checkpoints, low-water marks, stop. */
import { Buffer } from 'node:buffer';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Clock, ManualClock, systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { encodeRecord, FLAG_WANTS_EXPORTED, recordBound } from '../../src/event/record.ts';
import { EVENT_CLASSES, type EventClass } from '../../src/event/types.ts';
import { exportConfig } from '../../src/export/config.ts';
import { kafkaConfig } from '../../src/export/kafka/config.ts';
import { KafkaExporter } from '../../src/export/kafka/exporter.ts';
import { knownLowWater } from '../../src/export/marks.ts';
import type { ExportInit, FromExport } from '../../src/export/messages.ts';
import { ExportRunner } from '../../src/export/runner.ts';
import type { Exporter } from '../../src/export/types.ts';
import { realFs } from '../../src/spool/fs.ts';
import { Spool } from '../../src/spool/spool.ts';
import type { Position } from '../../src/spool/types.ts';
import { FakeKafka, fastClock } from './fake-kafka.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'export-runner-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

let boots = 1_700_000_000_000_000;

async function openSpool(generation: number, worker = 0): Promise<Spool> {
  return Spool.open({
    dir: join(dir, 'spool', String(generation), String(worker)),
    quarantineDir: join(dir, 'quarantine'),
    worker,
    site: 's',
    node: 'edge-1',
    clock: systemClock,
    boot: ++boots,
    limits: { maxBytes: 64 << 20, retain: 16 << 20, shards: 1, durable: true },
  });
}

function put(spool: Spool, id: string, key = 'k', wants = false): void {
  const out = Buffer.alloc(recordBound(key, id, '{}'));
  const n = encodeRecord(out, 0, 'snmp.trap.v1', wants ? FLAG_WANTS_EXPORTED : 0, key, key, id, '{}');
  spool.append('alarm', 1_700_000_000, 0, out.subarray(0, n));
}

function kafkaExporter(kafka: FakeKafka): Exporter {
  return new KafkaExporter({
    name: 'kafka',
    config: kafkaConfig.parse({ brokers: ['127.0.0.1:1'], compression: 'none' }),
    node: 'edge-1',
    worker: 0,
    clock: fastClock(20),
    log: silentLog,
    client: kafka.client,
    quarantine: { file: 'q', put() {}, putRaw() {}, close() {} },
  });
}

function run(
  kafka: FakeKafka,
  spool: Spool,
  generation: number,
  olderShards: string[] = [],
  exporters = [kafkaExporter(kafka)],
  {
    scanned = true,
    maxBytes = 64 << 20,
    clock = fastClock(20),
  }: { scanned?: boolean; maxBytes?: number; clock?: Clock } = {},
) {
  const sent: FromExport[] = [];
  const init: ExportInit = {
    kind: 'init',
    config: exportConfig.parse({ kafka: { brokers: ['127.0.0.1:1'] } }),
    peers: [],
    saltNode: 0,
    node: 'edge-1',
    site: 's',
    worker: 0,
    boot: spool.boot,
    shard: join(dir, 'spool', String(generation), '0'),
    olderShards,
    networks: {},
    quarantineDir: join(dir, 'quarantine'),
    ends: Object.fromEntries(EVENT_CLASSES.map((c) => [c, spool.durableEnd(c)])) as Record<EventClass, Position>,
    maxBytes,
    tty: false,
  };
  const runner = new ExportRunner({
    init,
    clock,
    log: silentLog,
    fs: realFs,
    send: (m) => sent.push(m),
    openSender: () => {
      throw new Error('no relay here');
    },
    exporters,
  });
  spool.onSynced = (cls, seq, end) => runner.handle({ kind: 'durable', cls, end, seq });
  runner.start();
  if (scanned) for (const shard of olderShards) runner.handle({ kind: 'scanned', shard });
  const stopped = async (deadlineMs = 100_000) => {
    runner.handle({ kind: 'stop', deadlineMs });
    await until(() => sent.some((m) => m.kind === 'stopped'), 'stopped');
    expect(sent.filter((m) => m.kind === 'fatal')).toEqual([]);
    return sent.find((m) => m.kind === 'stopped') as { clean: boolean };
  };
  return { runner, sent, stopped, init };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const TOPIC = 'tidegate.snmp.trap.v1';
const ids = (kafka: FakeKafka) => kafka.all(TOPIC).map((r) => r.id);

describe('export runner', () => {
  it('delivers what is durable, tells receipts and marks, and goes on after a restart without a repetition', async () => {
    const kafka = new FakeKafka();
    kafka.topic(TOPIC, 1);
    const spool = await openSpool(1);
    const first = run(kafka, spool, 1);
    for (let i = 0; i < 30; i++) put(spool, `a${i}`, 'k', i % 10 === 0);
    await spool.flush();
    await until(() => ids(kafka).length === 30, 'delivered');
    await until(() => first.sent.flatMap((m) => (m.kind === 'exported' ? m.seqs : [])).length === 3, 'receipts');
    expect(first.sent.flatMap((m) => (m.kind === 'exported' ? m.seqs : []))).toEqual([1, 11, 21]);
    expect(await first.stopped()).toMatchObject({ clean: true });
    const marks = first.sent.filter((m) => m.kind === 'low-water' && m.cls === 'alarm');
    expect(marks.at(-1)).toMatchObject({ position: spool.durableEnd('alarm') });
    await spool.close();

    const again = await openSpool(1);
    expect(knownLowWater(realFs, join(dir, 'spool', '1', '0'), first.init.config)?.alarm).toEqual(
      (marks.at(-1) as { position: Position }).position,
    );
    const second = run(kafka, again, 1);
    for (let i = 30; i < 40; i++) put(again, `a${i}`, 'k', true);
    await again.flush();
    await until(() => ids(kafka).length >= 40, 'delivered');
    expect(await second.stopped()).toMatchObject({ clean: true });
    expect(ids(kafka)).toEqual(Array.from({ length: 40 }, (_, i) => `a${i}`));
    // Receipts are for records of this boot alone: their seqs begin again.
    expect(second.sent.flatMap((m) => (m.kind === 'exported' ? m.seqs : []))).toEqual(
      Array.from({ length: 10 }, (_, i) => i + 1),
    );
    await again.close();
  });

  it('exports nothing of the current generation before every older shard is drained and removed', async () => {
    const kafka = new FakeKafka();
    const shards = ['0', '1'].map((w) => join(dir, 'spool', '1', w));
    for (const w of [0, 1]) {
      const old = await openSpool(1, w);
      for (let i = 0; i < 20; i++) put(old, `old${w}-${i}`, `k${w}`);
      await old.flush();
      await old.close();
    }
    mkdirSync(join(dir, 'spool', '1'), { recursive: true });
    writeFileSync(join(dir, 'spool', '1', 'meta.json'), '{"version":1,"workers":2}\n');
    const spool = await openSpool(2);
    // This worker drains the first; the second belongs to another worker, who comes later.
    const { sent, stopped } = run(kafka, spool, 2, [shards[0]]);
    for (let i = 0; i < 20; i++) put(spool, `new-${i}`, 'k0');
    await spool.flush();
    await until(() => sent.some((m) => m.kind === 'progress'), 'progress');
    expect(ids(kafka)).toEqual([]);
    kafka.topic(TOPIC, 2);
    await until(() => ids(kafka).length >= 20 && !existsSync(shards[0]), 'the first shard');
    expect(new Set(ids(kafka))).toEqual(new Set(Array.from({ length: 20 }, (_, i) => `old0-${i}`)));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(ids(kafka)).toHaveLength(20);
    const other = await openSpool(3, 1);
    const rest = run(kafka, other, 3, [shards[1]]);
    await until(() => !existsSync(join(dir, 'spool', '1')), 'the generation is removed');
    await until(() => ids(kafka).length >= 60, 'the current one');
    expect(ids(kafka).slice(40)).toEqual(Array.from({ length: 20 }, (_, i) => `new-${i}`));
    expect(await stopped()).toMatchObject({ clean: true });
    await rest.stopped(0);
    await spool.close();
    await other.close();
  });

  it('a shard of an older generation waits for every shard of the generations before it', async () => {
    const kafka = new FakeKafka();
    const shard = (g: number, w: number) => join(dir, 'spool', String(g), String(w));
    for (const [g, w] of [
      [1, 0],
      [1, 1],
      [2, 0],
    ]) {
      const old = await openSpool(g, w);
      for (let i = 0; i < 20; i++) put(old, `g${g}w${w}-${i}`, 'k');
      await old.flush();
      await old.close();
    }
    const spool = await openSpool(3);
    kafka.topic(TOPIC, 2);
    // This worker drains the shard of generation 2 and nothing of generation 1.
    const later = run(kafka, spool, 3, [shard(2, 0)]);
    put(spool, 'now', 'k');
    await spool.flush();
    const looked = () => later.sent.filter((m) => m.kind === 'progress').length;
    await until(() => looked() >= 5, 'it has looked');
    expect(ids(kafka)).toEqual([]);
    const firstSpool = await openSpool(4, 0);
    const first = run(kafka, firstSpool, 4, [shard(1, 0)]);
    await until(() => !existsSync(shard(1, 0)), 'the first shard of generation 1');
    const before = looked();
    await until(() => looked() >= before + 5, 'it has looked again');
    // One shard of generation 1 is left: the one of generation 2 still waits.
    expect(ids(kafka)).toEqual(Array.from({ length: 20 }, (_, i) => `g1w0-${i}`));
    const secondSpool = await openSpool(4, 1);
    const second = run(kafka, secondSpool, 4, [shard(1, 1)]);
    await until(() => ids(kafka).length >= 61, 'everything');
    expect(ids(kafka).slice(20)).toEqual([
      ...Array.from({ length: 20 }, (_, i) => `g1w1-${i}`),
      ...Array.from({ length: 20 }, (_, i) => `g2w0-${i}`),
      'now',
    ]);
    expect(await later.stopped()).toMatchObject({ clean: true });
    await first.stopped(0);
    await second.stopped(0);
    for (const s of [spool, firstSpool, secondSpool]) await s.close();
  });

  it('without a durable exporter an older shard stays until the ring needs its room, and is delivered once there is one again', async () => {
    const shard = join(dir, 'spool', '1', '0');
    const old = await openSpool(1);
    for (let i = 0; i < 20; i++) put(old, `old-${i}`);
    await old.flush();
    await old.close();
    writeFileSync(join(dir, 'spool', '1', 'meta.json'), '{"version":1,"workers":1}\n');
    const spool = await openSpool(2);
    const kafka = new FakeKafka();
    kafka.topic(TOPIC, 1);
    const none = run(kafka, spool, 2, [shard], []);
    await until(() => none.sent.filter((m) => m.kind === 'progress').length >= 5, 'it has looked');
    expect(existsSync(shard)).toBe(true);
    expect(none.sent.filter((m) => m.kind === 'progress').at(-1)).toMatchObject({ olderShards: [] });
    expect(await none.stopped()).toMatchObject({ clean: true });
    // Not before it is recovered and read for its manifests.
    const again = run(kafka, spool, 2, [shard], undefined, { scanned: false });
    await until(() => again.sent.filter((m) => m.kind === 'progress').length >= 5, 'it has looked');
    expect(ids(kafka)).toEqual([]);
    again.runner.handle({ kind: 'scanned', shard });
    await until(() => !existsSync(shard), 'drained and removed');
    expect(ids(kafka)).toEqual(Array.from({ length: 20 }, (_, i) => `old-${i}`));
    expect(await again.stopped()).toMatchObject({ clean: true });

    const last = await openSpool(1);
    put(last, 'x');
    await last.flush();
    await last.close();
    // A ring that is too small for it: the oldest goes.
    const small = run(kafka, spool, 2, [shard], [], { maxBytes: 100 });
    await until(() => !existsSync(shard), 'left the ring');
    expect(ids(kafka)).toHaveLength(20);
    await small.stopped();
    await spool.close();
  });

  it('an error the client library lets fall is told, and with a new client everything arrives', async () => {
    const kafka = new FakeKafka();
    kafka.topic(TOPIC, 1);
    // A library in an unknown state: the first client answers metadata and then nothing.
    let made = 0;
    const exporter = new KafkaExporter({
      name: 'kafka',
      config: kafkaConfig.parse({ brokers: ['127.0.0.1:1'], compression: 'none' }),
      node: 'edge-1',
      worker: 0,
      clock: fastClock(20),
      log: silentLog,
      client: () => {
        const real = kafka.client();
        return made++ === 0 ? { ...real, produce: () => new Promise(() => {}) } : real;
      },
      quarantine: { file: 'q', put() {}, putRaw() {}, close() {} },
    });
    const spool = await openSpool(1);
    const { runner, sent, stopped } = run(kafka, spool, 1, [], [exporter]);
    for (let i = 0; i < 10; i++) put(spool, `a${i}`);
    await spool.flush();
    await until(() => sent.filter((m) => m.kind === 'progress').length >= 3, 'it has tried');
    expect(ids(kafka)).toEqual([]);
    runner.contained('TypeError: of the library');
    runner.contained('TypeError: again at once');
    await until(() => ids(kafka).length >= 10, 'delivered');
    expect(ids(kafka)).toEqual(Array.from({ length: 10 }, (_, i) => `a${i}`));
    expect(made).toBe(2);
    expect(sent.filter((m) => m.kind === 'contained')).toHaveLength(2);
    expect(await stopped()).toMatchObject({ clean: true });
    await spool.close();
  });

  it('stops at the deadline with Kafka away, and the spool has what is left', async () => {
    const kafka = new FakeKafka();
    kafka.up = false;
    const spool = await openSpool(1);
    const first = run(kafka, spool, 1);
    for (let i = 0; i < 10; i++) put(spool, `a${i}`);
    await spool.flush();
    expect(await first.stopped(500)).toMatchObject({ clean: false });
    kafka.up = true;
    kafka.topic(TOPIC, 1);
    const second = run(kafka, spool, 1);
    await until(() => ids(kafka).length === 10, 'delivered');
    expect(await second.stopped()).toMatchObject({ clean: true });
    await spool.close();
  });

  it('looks once a second while nothing happens, and often again with the next event', async () => {
    const clock = new ManualClock();
    const spool = await openSpool(1);
    const { runner, sent } = run(new FakeKafka(), spool, 1, [], [], { clock });
    const looks = (ms: number): number => {
      const before = sent.length;
      clock.advance(ms);
      return sent.slice(before).filter((m) => m.kind === 'progress').length;
    };
    expect(looks(2000)).toBeGreaterThanOrEqual(5);
    expect(looks(10_000)).toBe(10);
    runner.handle({ kind: 'durable', cls: 'alarm', end: spool.durableEnd('alarm'), seq: 0 });
    expect(looks(200)).toBe(1);
    expect(looks(800)).toBe(4);
    expect(looks(10_000)).toBeLessThanOrEqual(11);
    await spool.close();
  });
});
