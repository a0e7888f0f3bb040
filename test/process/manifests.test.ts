/** Manifests over a real spool: what earlier boots left is said once, and what a full spool refused is made up. */
import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { encodeRecord, recordBound } from '../../src/event/record.ts';
import { EVENT_CLASSES, type EventClass } from '../../src/event/types.ts';
import { Manifests } from '../../src/process/manifests.ts';
import type { SegmentInfo } from '../../src/spool/recovery.ts';
import { Spool } from '../../src/spool/spool.ts';
import type { Position } from '../../src/spool/types.ts';
import { fastClock } from '../export/fake-kafka.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manifests-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

let boots = 1_700_000_000_000_000;
const shardOf = (generation: number, worker: number) => join(dir, 'spool', String(generation), String(worker));

function open(generation: number, worker: number): Promise<Spool> {
  return Spool.open({
    dir: shardOf(generation, worker),
    quarantineDir: join(dir, 'quarantine'),
    worker,
    site: 's',
    node: 'n',
    clock: systemClock,
    boot: ++boots,
    limits: { maxBytes: 64 << 20, retain: 16 << 20, shards: 1, durable: true },
  });
}

async function put(spool: Spool, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const out = Buffer.alloc(recordBound('k', `e${i}`, '{}'));
    const n = encodeRecord(out, 0, 'snmp.trap.v1', 0, 'k', 'k', `e${i}`, '{}');
    spool.append('alarm', 1, 1, out.subarray(0, n));
  }
  await spool.flush();
}

interface World {
  manifests: Manifests;
  said: Record<string, unknown>[];
  scanned: string[];
  full: boolean;
}

function manifests(spool: Spool, generation: number, worker: number, older: string[] = []): World {
  const w = { said: [], scanned: [], full: false } as unknown as World;
  w.manifests = new Manifests({
    clock: fastClock(100),
    boot: spool.boot,
    worker,
    shard: shardOf(generation, worker),
    older,
    everyOlder: () => older,
    segments: Object.fromEntries(EVENT_CLASSES.map((c) => [c, [...spool.recovery[c].segments]])) as Record<
      EventClass,
      SegmentInfo[]
    >,
    ends: Object.fromEntries(EVENT_CLASSES.map((c) => [c, spool.durableEnd(c)])) as Record<EventClass, Position>,
    flush: () => spool.flush(),
    room: () => !w.full,
    onScanned: (shard) => w.scanned.push(shard),
    // Not written to the system log: what is remembered is not remembered there.
    emit: (data) => {
      if (!w.full) w.said.push(data);
      return !w.full;
    },
  });
  return w;
}

const short = (said: Record<string, unknown>[]) => said.map((m) => `${m.reason} w${m.worker} ${m.first}-${m.last}`);

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
}

describe('manifests of earlier boots', () => {
  it('are said once, for the own shard and an older one, over any number of restarts', async () => {
    for (const [g, w, n] of [
      [1, 1, 7],
      [2, 0, 5],
    ]) {
      const s = await open(g, w);
      await put(s, n);
      await s.close();
    }
    const older = [shardOf(1, 1)];
    const all: string[][] = [];
    for (let restart = 0; restart < 3; restart++) {
      const s = await open(2, 0);
      const world = manifests(s, 2, 0, older);
      // This boot writes while the others are read: that is no earlier boot's.
      await put(s, 2);
      await world.manifests.recover(silentLog);
      expect(world.scanned).toEqual(older);
      all.push(short(world.said));
      await s.close();
    }
    expect(all).toEqual([['recovered w0 1-5', 'recovered w1 1-7'], ['recovered w0 1-2'], ['recovered w0 1-2']]);
  });

  it('wait for room in a full spool, while exporters may drain', async () => {
    const before = await open(1, 0);
    await put(before, 4);
    await before.close();
    const own = await open(2, 0);
    const world = manifests(own, 2, 0, [shardOf(1, 0)]);
    world.full = true;
    const done = world.manifests.recover(silentLog);
    await until(() => world.scanned.length === 1);
    expect(world.said).toEqual([]);
    world.full = false;
    await done;
    expect(short(world.said)).toEqual(['recovered w0 1-4']);
    await own.close();
  });
});

describe('manifests of this boot', () => {
  it('what was refused for want of room is in one manifest as soon as there is room', async () => {
    const s = await open(1, 0);
    const world = manifests(s, 1, 0);
    world.full = true;
    world.manifests.add('alarm', 1, 11);
    world.manifests.start();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(world.said).toEqual([]);
    world.manifests.add('alarm', 2, 22);
    world.full = false;
    await until(() => world.said.length === 1);
    expect(short(world.said)).toEqual(['written w0 1-2']);
    await world.manifests.finish();
    expect(world.said).toHaveLength(1);
    await s.close();
  });
});
