import { Buffer } from 'node:buffer';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../src/core/clock.ts';
import { SpoolReader } from '../../src/spool/reader.ts';
import { segmentName } from '../../src/spool/segment.ts';
import { Spool } from '../../src/spool/spool.ts';
import type { Position } from '../../src/spool/types.ts';
import { Registry } from '../../src/telemetry/registry.ts';
import { FaultyFs } from './faulty-fs.ts';
import { DIR, options, QUARANTINE, readAll, ticks } from './model.ts';

const BOOT = 1_700_000_000_000_000;

function newFs(): FaultyFs {
  return new FaultyFs({ random: () => 0.5 });
}

function fill(spool: Spool, count: number, size = 100, cls: 'alarm' | 'metrics' = 'alarm'): void {
  for (let i = 0; i < count; i++) spool.append(cls, 1, 2, Buffer.alloc(size, spool.nextSeq(cls)));
}

function reader(fs: FaultyFs, end: Position | 'all' = 'all', cls = 'alarm'): SpoolReader {
  return new SpoolReader({ dir: join(DIR, cls), fs, end });
}

function seqs(fs: FaultyFs): number[] {
  return readAll(reader(fs)).map((r) => r.seq);
}

describe('group commit', () => {
  test('what is queued during a round goes into the next one: one write and one fdatasync each', async () => {
    const fs = newFs();
    const spool = await Spool.open(options(fs, BOOT));
    const reported: number[] = [];
    spool.onSynced = (_, seq) => reported.push(seq);
    let release = () => {};
    let syncs = 0;
    fs.hold = (op) =>
      op === 'fdatasync' && syncs++ === 0 ? new Promise<void>((resolve) => (release = resolve)) : undefined;
    fs.trace.length = 0;
    fill(spool, 3);
    await ticks(50);
    fill(spool, 5);
    await ticks(50);
    expect(reported).toEqual([]);
    expect(spool.unsyncedBytes).toBe(8 * 124);
    release();
    await spool.flush();
    expect(reported).toEqual([3, 8]);
    expect(fs.trace.map((t) => t.split(' ')[0])).toEqual([
      'create',
      'write', // the header
      'fsyncDir',
      'write',
      'fdatasync',
      'writeSync',
      'fdatasync',
    ]);
    expect([spool.unsyncedBytes, spool.waitingSince]).toEqual([0, undefined]);
  });

  test('waitingSince is when the oldest unsynced record came', async () => {
    const fs = newFs();
    const clock = new ManualClock();
    const spool = await Spool.open(options(fs, BOOT, { clock }));
    let release = () => {};
    fs.hold = (op) => (op === 'fdatasync' ? new Promise<void>((resolve) => (release = resolve)) : undefined);
    clock.advance(1000);
    fill(spool, 1);
    await ticks(50);
    clock.advance(500);
    fill(spool, 1);
    await ticks(50);
    expect(spool.waitingSince).toBe(1000);
    release();
    await ticks(50);
    expect(spool.waitingSince).toBe(1500);
    fs.hold = undefined;
    release();
    await spool.flush();
    expect(spool.waitingSince).toBeUndefined();
  });

  test('rounds keep their distance, and a first record does not wait', async () => {
    const fs = newFs();
    const clock = new ManualClock();
    const spool = await Spool.open(options(fs, BOOT, { clock, commitIntervalMs: 2 }));
    const reported: number[] = [];
    spool.onSynced = (_, seq) => reported.push(seq);
    clock.advance(10);
    fill(spool, 1);
    await ticks(50);
    fill(spool, 1);
    await ticks(50);
    expect(reported).toEqual([1]);
    clock.advance(2);
    await ticks(50);
    expect(reported).toEqual([1, 2]);
  });

  test('a record that somebody waits for has its round earlier', async () => {
    const fs = newFs();
    const clock = new ManualClock();
    const spool = await Spool.open(options(fs, BOOT, { clock, commitIntervalMs: 20, urgentIntervalMs: 5 }));
    const reported: number[] = [];
    spool.onSynced = (_, seq) => reported.push(seq);
    clock.advance(30);
    for (let i = 0; i < 2; i++) {
      fill(spool, 1);
      await ticks(50);
    }
    clock.advance(5);
    await ticks(50);
    expect(reported).toEqual([1]);
    fill(spool, 1);
    spool.hurry('alarm');
    await ticks(50);
    expect(reported).toEqual([1, 3]);
    fill(spool, 1);
    clock.advance(5);
    await ticks(50);
    expect(reported).toEqual([1, 3]);
    clock.advance(15);
    await ticks(50);
    expect(reported).toEqual([1, 3, 4]);
  });

  test('what was given to the kernel is written once', async () => {
    const fs = newFs();
    const clock = new ManualClock();
    const spool = await Spool.open(options(fs, BOOT, { clock, commitIntervalMs: 20 }));
    fill(spool, 1);
    expect(spool.writeOut()).toBe(false);
    await spool.flush();
    fs.trace.length = 0;
    fill(spool, 2);
    expect(spool.writeOut()).toBe(true);
    expect(spool.writeOut()).toBe(true);
    clock.advance(20);
    await spool.flush();
    expect(fs.trace.map((t) => t.split(' ')[0])).toEqual(['writeSync', 'fdatasync']);
    expect(readAll(reader(fs, spool.durableEnd('alarm'))).map((r) => r.seq)).toEqual([1, 2, 3]);
  });

  test('a payload beyond the limit is not taken, and costs no seq', async () => {
    const spool = await Spool.open(options(newFs(), BOOT));
    expect(spool.append('alarm', 1, 1, Buffer.alloc(32 * 1024 * 1024 + 1))).toBe(-1);
    expect(spool.nextSeq('alarm')).toBe(1);
    expect(spool.unsyncedBytes).toBe(0);
  });
});

describe('a failing disk', () => {
  test('after a failed fdatasync the file is left, and its unsynced records go to a new segment', async () => {
    const fs = newFs();
    const registry = new Registry();
    const spool = await Spool.open(options(fs, BOOT, { metrics: registry }));
    fill(spool, 3);
    await spool.flush();
    let failed = 0;
    fs.fault = () => (fs.trace.at(-1)?.startsWith('fdatasync') && failed++ === 0 ? 'EIO' : undefined);
    fs.trace.length = 0;
    fill(spool, 4);
    await spool.flush();
    expect(spool.failure).toBeUndefined();
    expect(fs.trace.map((t) => t.split(' ')[0])).toEqual([
      'writeSync',
      'fdatasync',
      'create',
      'write',
      'fsyncDir',
      'write',
      'fdatasync',
    ]);
    expect(registry.handle('tidegate_spool_sync_errors_total').value).toBe(1);
    // The first file still holds records 4 to 7, void; each is read once.
    expect(readAll(reader(fs, spool.durableEnd('alarm'))).map((r) => [r.position.segment, r.seq])).toEqual([
      [1, 1],
      [1, 2],
      [1, 3],
      [2, 4],
      [2, 5],
      [2, 6],
      [2, 7],
    ]);
    await spool.close();
    await (await Spool.open(options(fs, BOOT + 1))).close();
    expect(seqs(fs)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test('a full disk: records wait in memory, failure is told, and all is well once there is room', async () => {
    const fs = newFs();
    const clock = new ManualClock();
    const spool = await Spool.open(options(fs, BOOT, { clock }));
    fs.capacity = 1000;
    fill(spool, 5);
    await ticks(200);
    fill(spool, 20);
    for (let i = 0; i < 5; i++) {
      clock.advance(10_000);
      await ticks(200);
    }
    expect(spool.failure).toMatch(/ENOSPC/);
    expect(spool.durableSeq('alarm')).toBe(5);
    expect(spool.unsyncedBytes).toBe(20 * 124);
    fs.capacity = 1_000_000;
    clock.advance(10_000);
    await spool.flush();
    expect(spool.failure).toBeUndefined();
    expect(readAll(reader(fs, spool.durableEnd('alarm'))).map((r) => r.seq)).toEqual(
      Array.from({ length: 25 }, (_, i) => i + 1),
    );
    expect(fs.readdirSync(join(DIR, 'alarm'))).toHaveLength(2);
  });

  test('a full disk gives exported segments up at once, unexported ones never', async () => {
    const fs = newFs();
    const spool = await Spool.open(options(fs, BOOT));
    for (let i = 0; i < 10; i++) {
      fill(spool, 30, 300);
      await spool.flush();
    }
    const exportedTo = { segment: 6, offset: 0 };
    spool.exportedUpTo('alarm', exportedTo);
    expect(spool.usage().alarm.segments).toBe(10);
    fs.capacity = fs.used() + 100;
    fill(spool, 30, 300);
    await spool.flush();
    expect(spool.failure).toBeUndefined();
    expect(seqs(fs)[0]).toBe(151);
    expect(seqs(fs)).toHaveLength(180);
  });

  test('close rejects where records could not be made durable', async () => {
    const fs = newFs();
    const spool = await Spool.open(options(fs, BOOT));
    fs.fault = () => 'EIO';
    fill(spool, 1);
    await expect(spool.close()).rejects.toThrow(/not made durable/);
  });
});

describe('recovery', () => {
  async function written(): Promise<FaultyFs> {
    const fs = newFs();
    const spool = await Spool.open(options(fs, BOOT));
    fill(spool, 10);
    await spool.flush();
    return fs.kill();
  }
  const first = join(DIR, 'alarm', segmentName(1));

  test('cuts a torn tail and counts it', async () => {
    const fs = await written();
    const fd = await fs.openWrite(first);
    await fs.write(fd, Buffer.alloc(77, 9), 0, 77, fs.content(first).length);
    const registry = new Registry();
    const spool = await Spool.open(options(fs, BOOT + 1, { metrics: registry }));
    expect(registry.handle('tidegate_spool_torn_bytes_total').value).toBe(77);
    expect(registry.handle('tidegate_spool_corrupt_records_total').value).toBe(0);
    fill(spool, 2);
    await spool.flush();
    expect(readAll(reader(fs)).map((r) => [r.boot - BOOT, r.seq])).toEqual([
      ...Array.from({ length: 10 }, (_, i) => [0, i + 1]),
      [1, 1],
      [1, 2],
    ]);
  });

  test('sets a damaged record aside, counts it, and goes on', async () => {
    const fs = await written();
    const third = readAll(reader(fs))[2].position.offset;
    fs.corrupt(first, third + 30);
    const registry = new Registry();
    const spool = await Spool.open(options(fs, BOOT + 1, { metrics: registry }));
    expect(seqs(fs)).toEqual([1, 2, 4, 5, 6, 7, 8, 9, 10]);
    expect(registry.handle('tidegate_spool_corrupt_records_total').value).toBe(1);
    expect(registry.handle('tidegate_lost_events_total', { collector: 'unknown', reason: 'corrupt' }).value).toBe(1);
    const files = fs.readdirSync(QUARANTINE).sort();
    expect(files).toEqual([`1-0-alarm-000000000001-${third}.bin`, `1-0-alarm-000000000001-${third}.bin.json`]);
    expect(fs.content(join(QUARANTINE, files[0])).length).toBe(124);
    expect(JSON.parse(fs.content(join(QUARANTINE, files[1])).toString())).toMatchObject({
      segment: first,
      class: 'alarm',
      offset: third,
      length: 124,
      afterSeq: 2,
      records: 1,
      reason: 'damaged record',
    });
    await spool.close();
    // Sealed now: the next start takes the footer's word and counts nothing twice.
    const again = await Spool.open(options(fs, BOOT + 2));
    expect(again.recovery.alarm).toMatchObject({ damaged: 0, tornBytes: 0 });
  });

  test('a file without a usable header goes to the quarantine, and its number is not used again', async () => {
    const fs = await written();
    fs.corrupt(first, 3);
    const spool = await Spool.open(options(fs, BOOT + 1));
    fill(spool, 1);
    await spool.flush();
    expect(readAll(reader(fs)).map((r) => [r.position.segment, r.seq])).toEqual([[2, 1]]);
    expect(fs.readdirSync(QUARANTINE)).toHaveLength(2);
  });

  test('refuses a newer format and touches nothing', async () => {
    const fs = await written();
    const fd = await fs.openWrite(first);
    await fs.write(fd, Buffer.alloc(9, 1), 0, 9, fs.content(first).length);
    await fs.create(join(DIR, 'system', segmentName(1)));
    const newer = Buffer.from(fs.content(first).subarray(0, 100));
    newer.writeUInt16BE(2, 8);
    const other = await fs.openWrite(join(DIR, 'system', segmentName(1)));
    await fs.write(other, newer, 0, newer.length, 0);
    fs.trace.length = 0;
    await expect(Spool.open(options(fs, BOOT + 1))).rejects.toThrow(/format version 2.*newer tidegate/);
    expect(fs.trace).toEqual([]);
  });

  test('a boot is later than every earlier one, whatever the clock says', async () => {
    const fs = await written();
    const spool = await Spool.open(options(fs, BOOT - 5_000_000));
    expect(spool.boot).toBe(BOOT + 1);
  });
});

describe('retention', () => {
  test('unexported bytes are never deleted; exported ones are a ring of `retain`', async () => {
    const fs = newFs();
    const limits = { maxBytes: 1 << 20, retain: 30_000, shards: 1, durable: true };
    const spool = await Spool.open(options(fs, BOOT, { limits }));
    for (let i = 0; i < 200; i++) {
      fill(spool, 20, 300);
      await spool.flush();
    }
    expect(seqs(fs)).toHaveLength(4000);
    const all = readAll(reader(fs));
    spool.exportedUpTo('alarm', all[2999].next);
    const { bytes, unexported } = spool.usage().alarm;
    expect(bytes - unexported).toBeLessThanOrEqual(30_000);
    expect(bytes - unexported).toBeGreaterThan(30_000 - 3 * 8192);
    await spool.close();
    const left = seqs(fs);
    expect(left.at(-1)).toBe(4000);
    expect(left[0]).toBeGreaterThan(2850);
    expect(left[0]).toBeLessThanOrEqual(3000);
  });

  test('without a durable exporter all is a ring of max_bytes, and alarms keep a fifth of it', async () => {
    const fs = newFs();
    const limits = { maxBytes: 200_000, retain: 1000, shards: 1, durable: false };
    const spool = await Spool.open(options(fs, BOOT, { limits }));
    for (let i = 0; i < 3; i++) {
      fill(spool, 20, 300);
      await spool.flush();
    }
    for (let i = 0; i < 100; i++) {
      fill(spool, 20, 300, 'metrics');
      await spool.flush();
    }
    expect(seqs(fs)).toHaveLength(60);
    const usage = spool.usage();
    expect(usage.alarm.bytes + usage.metrics.bytes).toBeLessThanOrEqual(200_000 + 8192);
    expect(usage.metrics.unexported).toBe(0);
    for (let i = 0; i < 100; i++) {
      fill(spool, 20, 300);
      await spool.flush();
    }
    expect(spool.usage().alarm.bytes).toBeGreaterThan(40_000);
    expect(seqs(fs)[0]).toBeGreaterThan(60);
  });

  test('low-water marks of the checkpoints count from the start', async () => {
    const fs = newFs();
    const before = await Spool.open(options(fs, BOOT));
    fill(before, 50, 300);
    await before.close();
    const end = before.durableEnd('alarm');
    const spool = await Spool.open(options(fs, BOOT + 1, { exported: { alarm: end } }));
    expect(spool.usage().alarm.unexported).toBe(0);
    expect(spool.usage().alarm.bytes).toBeGreaterThan(50 * 324);
    // The newest file stays although it is exported: its number must not come again.
    expect(spool.usage().alarm.segments).toBe(1);
  });
});
