import { Buffer } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256 } from '../../src/core/hash.ts';
import { encodeRecord, recordBound } from '../../src/event/record.ts';
import type { EventType } from '../../src/event/types.ts';
import { Checkpoint, checkpointPath } from '../../src/spool/checkpoint.ts';
import { mkdirDurable, realFs, type SpoolFs, writeFileDurable } from '../../src/spool/fs.ts';
import {
  chooseGeneration,
  listGenerations,
  listLogs,
  nextGeneration,
  olderGenerationsGone,
  removeShard,
  shardDir,
} from '../../src/spool/generations.ts';
import { ManifestBuilder, manifestedSeqs, manifestKey, recoverTail } from '../../src/spool/manifest.ts';
import { SpoolReader } from '../../src/spool/reader.ts';
import { segmentName } from '../../src/spool/segment.ts';
import { Spool } from '../../src/spool/spool.ts';
import { exportSpool, listSpool, verifySpool } from '../../src/spool/tools.ts';
import { FaultyFs, seeded } from './faulty-fs.ts';
import { options } from './model.ts';

const BOOT = 1_700_000_000_000_000;
const SPOOL = '/data/spool';

function payload(type: EventType, device: string, data: object): Buffer {
  const id = 'id-1';
  const json = JSON.stringify(data);
  const out = Buffer.alloc(recordBound(device, id, json));
  return out.subarray(0, encodeRecord(out, 0, type, 0, device, device, id, json));
}

async function shard(fs: SpoolFs, generation: number, worker: number, boot = BOOT): Promise<Spool> {
  return Spool.open(options(fs, boot, { dir: shardDir(SPOOL, generation, worker), worker }));
}

describe('generations', () => {
  test('a change of the number of workers begins a new one', () => {
    const g = (number: number, workers?: number) => ({ number, workers });
    expect(nextGeneration([], 2)).toEqual({ number: 1, isNew: true });
    expect(nextGeneration([g(1, 2)], 2)).toEqual({ number: 1, isNew: false });
    expect(nextGeneration([g(2, 3), g(1, 2)], 2)).toEqual({ number: 3, isNew: true });
    expect(nextGeneration([g(1, 2), g(2, undefined)], 2)).toEqual({ number: 3, isNew: true });
  });

  test('older shards are drained, removed one by one, and then the new generation is free', async () => {
    const fs = new FaultyFs({ random: seeded(4) });
    expect(await chooseGeneration(SPOOL, 2, fs)).toEqual({
      number: 1,
      dir: '/data/spool/1',
      isNew: true,
      older: [],
    });
    for (const w of [0, 1]) {
      const s = await shard(fs, 1, w);
      s.append('alarm', 1, 1, Buffer.from('x'));
      await s.close();
    }
    await new Checkpoint(fs, checkpointPath(shardDir(SPOOL, 1, 0), 'kafka')).write({});
    expect((await chooseGeneration(SPOOL, 2, fs)).isNew).toBe(false);
    const g = await chooseGeneration(SPOOL, 3, fs);
    expect(g).toMatchObject({ number: 2, isNew: true, older: ['/data/spool/1/0', '/data/spool/1/1'] });
    expect(listLogs(SPOOL, fs).filter((l) => l.segments > 0)).toMatchObject([
      { generation: 1, worker: 0, class: 'alarm', segments: 1 },
      { generation: 1, worker: 1, class: 'alarm', segments: 1 },
    ]);
    await removeShard(fs, g.older[0]);
    expect(olderGenerationsGone(fs, SPOOL, 2)).toBe(false);
    await removeShard(fs, g.older[1]);
    expect(olderGenerationsGone(fs, SPOOL, 2)).toBe(true);
    expect(listGenerations(fs.powerCut(), SPOOL)).toEqual([{ number: 2, workers: 3 }]);
    expect((await chooseGeneration(SPOOL, 3, fs)).number).toBe(2);
  });

  test('a choice that was reported survives a power cut at any later moment', async () => {
    for (let seed = 0; seed < 50; seed++) {
      const fs = new FaultyFs({ random: seeded(seed) });
      await chooseGeneration(SPOOL, 2, fs);
      const after = fs.powerCut();
      expect(await chooseGeneration(SPOOL, 2, after)).toMatchObject({ number: 1, isNew: false });
    }
  });

  test('a newer spool is refused', async () => {
    const fs = new FaultyFs({ random: seeded(4) });
    await mkdirDurable(fs, '/data/spool/7');
    await writeFileDurable(fs, '/data/spool/7/meta.json', Buffer.from('{"version":2,"workers":1,"more":true}'));
    await expect(chooseGeneration(SPOOL, 1, fs)).rejects.toThrow(/newer tidegate/);
  });
});

describe('manifests', () => {
  test('hash seq and value CRC of each record in order', () => {
    const m = new ManifestBuilder(BOOT, 'alarm');
    expect(m.take()).toBeUndefined();
    const entries = Buffer.alloc(12 * 10_000);
    for (let i = 0; i < 10_000; i++) {
      m.add(i + 5, i * 7);
      entries.writeBigUInt64BE(BigInt(i + 5), 12 * i);
      entries.writeUInt32BE(i * 7, 12 * i + 8);
    }
    const expected = { boot: BOOT, class: 'alarm', first: 5, last: 10_004, count: 10_000 };
    expect(m.take()).toEqual({ ...expected, hash: `sha256:${sha256(entries)}` });
    m.add(10_005, 1);
    expect(m.take()).toMatchObject({ first: 10_005, last: 10_005, count: 1 });
  });

  test('of what the previous boots left uncovered equal those that would have been made', async () => {
    const fs = new FaultyFs({ random: seeded(5) });
    const expected = [];
    for (const [i, count] of [30, 8].entries()) {
      const s = await shard(fs, 1, 0, BOOT + i);
      const m = new ManifestBuilder(s.boot, 'alarm');
      for (let k = 1; k <= count; k++) {
        const p = payload('snmp.trap.v1', 'r1', { n: k });
        const seq = s.append('alarm', 1, 1, p);
        if (i === 1 || seq > 20) m.add(seq, crc32(Buffer.from(JSON.stringify({ n: k }))));
        if (i === 0 && seq === 20)
          s.append(
            'system',
            1,
            1,
            payload('system.v1', 'edge-1', { kind: 'manifest', boot: s.boot, class: 'alarm', first: 1, last: 20 }),
          );
      }
      await s.flush();
      expected.push(m.take());
    }
    const current = await shard(fs, 1, 0, BOOT + 9);
    current.append('alarm', 1, 1, payload('snmp.trap.v1', 'r1', {}));
    await current.flush();
    const log = (cls: string) => new SpoolReader({ dir: join(SPOOL, '1/0', cls), fs, end: 'all' });
    const covered = await manifestedSeqs(log('system'), 0);
    expect([...covered]).toEqual([[manifestKey(0, BOOT, 'alarm'), 20]]);
    const tails = await recoverTail(
      log('alarm'),
      'alarm',
      current.boot,
      (boot) => covered.get(manifestKey(0, boot, 'alarm')) ?? 0,
    );
    expect(tails).toEqual(expected);
    expect(tails.map((t) => [t.first, t.last, t.count])).toEqual([
      [21, 30, 10],
      [1, 8, 8],
    ]);
  });
});

describe('tools, on a real file system', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'tidegate-spool-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  async function written(): Promise<string> {
    const spoolDir = join(dir, 'spool');
    const g = await chooseGeneration(spoolDir, 1);
    const s = await Spool.open({
      ...options(realFs, BOOT),
      dir: shardDir(spoolDir, g.number, 0),
      quarantineDir: join(dir, 'quarantine'),
    });
    for (let i = 0; i < 100; i++) {
      s.append('alarm', 1000 + i, 0, payload('snmp.trap.v1', `r${i % 2}`, { n: i, pad: 'x'.repeat(200) }));
      if (i % 5 === 0) {
        s.append('system', 1000 + i, 0, payload('system.v1', 'edge-1', { kind: 'gap' }));
        await s.flush();
      }
    }
    await s.close();
    return spoolDir;
  }

  test('ls, verify and export agree on a sound spool', async () => {
    const spoolDir = await written();
    const listing = listSpool(spoolDir);
    expect(listing.every((s) => s.sealed && s.boot === BOOT)).toBe(true);
    expect(listing.reduce((n, s) => n + s.records!, 0)).toBe(120);
    expect(verifySpool(spoolDir)).toEqual({
      segments: listing.length,
      records: 120,
      torn: 0,
      damaged: 0,
      problems: [],
    });
    const events = [...exportSpool(spoolDir)].map((line) => JSON.parse(line));
    expect(events).toHaveLength(120);
    expect(events[0]).toMatchObject({
      specversion: '1.0',
      type: 'snmp.trap.v1',
      subject: 'r0',
      tidegatenode: 'edge-1',
      time: '1970-01-01T00:16:40.000Z',
      data: { n: 0 },
    });
    const n = (filter: Parameters<typeof exportSpool>[1]) => [...exportSpool(spoolDir, filter)].length;
    expect(n({ class: 'system' })).toBe(20);
    expect(n({ type: 'system.v1' })).toBe(20);
    expect(n({ device: 'r1' })).toBe(50);
    expect(n({ type: 'snmp.trap.v1', since: 1010, until: 1020 })).toBe(10);
    expect(n({ limit: 7 })).toBe(7);
  });

  test('export prints what can be read, says on stderr what cannot, and exits 1', async () => {
    const spoolDir = await written();
    const cli = (...words: string[]) => {
      const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
      const argv = [main, 'spool', 'export', '--data-dir', dir, ...words];
      return spawnSync(process.execPath, argv, { encoding: 'utf8', cwd: dir });
    };
    const sound = cli();
    expect([sound.status, sound.stderr, sound.stdout.trim().split('\n').length]).toEqual([0, '', 120]);
    const path = join(spoolDir, '1/0/alarm', segmentName(1));
    const fd = await realFs.openWrite(path);
    await realFs.write(fd, Buffer.from([1, 2, 3]), 0, 3, 300);
    await realFs.close(fd);
    const done = cli();
    expect([done.status, done.stdout.trim().split('\n').length]).toEqual([1, 119]);
    expect(done.stderr).toMatch(/^damaged: \S+\/1\/0\/alarm\/\S+ at \d+, \d+ bytes: 1 record left out\n$/);
    expect(done.stderr).toContain(path);
    // What is not asked for is not looked at.
    expect(cli('--class', 'system')).toMatchObject({ status: 0, stderr: '' });
  });

  test('verify finds a changed byte and an unfinished write', async () => {
    const spoolDir = await written();
    const path = join(spoolDir, '1/0/alarm', segmentName(1));
    const fd = await realFs.openWrite(path);
    await realFs.write(fd, Buffer.from([1, 2, 3]), 0, 3, 300);
    const last = listSpool(spoolDir)
      .filter((s) => s.class === 'alarm')
      .at(-1)!;
    const tail = await realFs.openWrite(last.path);
    await realFs.truncate(tail, last.bytes - 60);
    await realFs.close(fd);
    await realFs.close(tail);
    const found = verifySpool(spoolDir);
    expect(found).toMatchObject({ records: 118, torn: 1, damaged: 1 });
    expect(found.problems.map((p) => [p.path, p.kind, p.records])).toEqual([
      [last.path, 'torn', 0],
      [path, 'damaged', 1],
    ]);
  });

  test('the spool works on it: written, read, recovered', async () => {
    const spoolDir = await written();
    const s = await Spool.open({
      ...options(realFs, BOOT + 1),
      dir: shardDir(spoolDir, 1, 0),
      quarantineDir: join(dir, 'quarantine'),
    });
    s.append('alarm', 1, 1, payload('snmp.trap.v1', 'r1', {}));
    await s.flush();
    const reader = new SpoolReader({ dir: join(spoolDir, '1/0/alarm'), fs: realFs, end: s.durableEnd('alarm') });
    let count = 0;
    for (let some = reader.read(); some.length > 0; some = reader.read()) count += some.length;
    expect(count).toBe(101);
    reader.close();
    await s.close();
    await removeShard(realFs, shardDir(spoolDir, 1, 0));
    expect(listGenerations(realFs, spoolDir)).toEqual([]);
  });
});
