import { Buffer } from 'node:buffer';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ReaderDamage, SpoolReader } from '../../src/spool/reader.ts';
import { segmentName } from '../../src/spool/segment.ts';
import { Spool } from '../../src/spool/spool.ts';
import type { Position } from '../../src/spool/types.ts';
import { FaultyFs, seeded } from './faulty-fs.ts';
import { DIR, options, readAll } from './model.ts';

const BOOT = 1_700_000_000_000_000;
const LOG = join(DIR, 'alarm');

async function spoolOf(boots: number[], size = 300): Promise<FaultyFs> {
  const fs = new FaultyFs({ random: seeded(2) });
  for (const [i, count] of boots.entries()) {
    const spool = await Spool.open(options(fs, BOOT + i));
    for (let k = 0; k < count; k++) {
      spool.append('alarm', 100 + k, k, Buffer.alloc(size, k));
      if (k % 10 === 9) await spool.flush();
    }
    await spool.close();
  }
  return fs;
}

function open(fs: FaultyFs, end: Position | 'all' = 'all', onDamage?: (d: ReaderDamage) => void): SpoolReader {
  return new SpoolReader({ dir: LOG, fs, end, onDamage });
}

describe('reading', () => {
  test('crosses segments and boots, in order, with whatever read size', async () => {
    const fs = await spoolOf([100, 3, 40]);
    const expected = [100, 3, 40].flatMap((n, b) => Array.from({ length: n }, (_, i) => [b, i + 1, 100 + i, i]));
    for (const size of [1, 100, 324, 1000, 5000, undefined]) {
      const got = readAll(open(fs), size);
      expect(got.map((r) => [r.boot - BOOT, r.seq, r.sec, r.nsec])).toEqual(expected);
      expect(got.every((r) => r.payload.equals(Buffer.alloc(300, r.nsec)))).toBe(true);
    }
  });

  test('resumes at any position', async () => {
    const fs = await spoolOf([60, 20]);
    const all = readAll(open(fs));
    for (const [i, r] of all.entries()) {
      const reader = open(fs);
      reader.seek(r.position);
      expect(reader.read(1)[0]).toMatchObject({ seq: r.seq, boot: r.boot });
      reader.seek(r.next);
      expect(readAll(reader)).toHaveLength(all.length - i - 1);
      expect([reader.damaged, reader.lostRecords, reader.skipped]).toEqual([0, 0, 0]);
      reader.close();
    }
  });

  test('never reads beyond the durable end, and follows it', async () => {
    const fs = new FaultyFs({ random: seeded(3) });
    const spool = await Spool.open(options(fs, BOOT));
    const reader = open(fs, spool.durableEnd('alarm'));
    const seen: number[] = [];
    let reported = 0;
    spool.onSynced = (_, seq, end) => {
      reported = seq;
      reader.setDurableEnd(end, seq);
    };
    for (let i = 0; i < 300; i++) {
      spool.append('alarm', 1, 1, Buffer.alloc(200, i));
      if (i % 7 === 0) await spool.flush();
      for (const r of reader.read(i % 2 ? 300 : 5000)) {
        seen.push(r.seq);
        expect(r.seq).toBeLessThanOrEqual(reported);
      }
    }
    await spool.flush();
    seen.push(...readAll(reader).map((r) => r.seq));
    expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    expect(reader.read()).toEqual([]);
    expect(reader.lag()).toEqual({ records: 0, bytes: 0 });
    expect(new Set(fs.readdirSync(LOG)).size).toBeGreaterThan(5);
    await spool.close();
  });

  test('a record larger than the buffer comes alone, the next ones as before', async () => {
    const fs = new FaultyFs({ random: seeded(3) });
    const spool = await Spool.open(options(fs, BOOT));
    for (const size of [10, 5_000_000, 10, 10]) spool.append('alarm', 1, 1, Buffer.alloc(size, 5));
    await spool.flush();
    const reader = open(fs, spool.durableEnd('alarm'));
    expect(readAll(reader).map((r) => r.payload.length)).toEqual([10, 5_000_000, 10, 10]);
    const own = Buffer.alloc(100_000);
    reader.seek('oldest');
    const [r] = reader.read(1000, own);
    expect(r.payload.buffer).toBe(own.buffer);
  });

  test('what retention took meanwhile is skipped and counted', async () => {
    const fs = await spoolOf([100]);
    const reader = open(fs);
    const seen = reader.read(2000).map((r) => r.seq);
    const numbers = fs.readdirSync(LOG).sort();
    for (const name of numbers.slice(0, 2)) await fs.unlink(join(LOG, name));
    // The open file is read to its end; the one after it is gone.
    seen.push(...readAll(reader).map((r) => r.seq));
    expect(reader.skipped).toBeGreaterThan(0);
    expect(seen.length + reader.skipped).toBe(100);
  });
});

describe('lag', () => {
  test('is exact in records from each position read', async () => {
    const fs = await spoolOf([60, 25]);
    const reader = open(fs);
    expect(reader.lag().records).toBe(85);
    const all = readAll(open(fs));
    reader.seek('oldest');
    let read = 0;
    for (let some = reader.read(700); some.length > 0; some = reader.read(700)) {
      read += some.length;
      expect(reader.lag().records).toBe(85 - read);
      const last = some.at(-1)!;
      expect(reader.lag(last.next, last.seq).records).toBe(85 - read);
    }
    expect(reader.lag(all[84].next).bytes).toBe(0);
  });
});

describe('damage', () => {
  test('one damaged record is stepped over, reported with its place and number, once', async () => {
    const fs = await spoolOf([60]);
    const all = readAll(open(fs));
    for (const hit of [0, 1, 24, 59]) {
      const { position } = all[hit];
      fs.corrupt(join(LOG, segmentName(position.segment)), position.offset + 40);
      const found: ReaderDamage[] = [];
      const reader = open(fs, 'all', (d) => found.push(d));
      expect(readAll(reader, 900).map((r) => r.seq)).toEqual(all.map((r) => r.seq).filter((s) => s !== hit + 1));
      expect(found).toEqual([{ position, length: 324, records: 1 }]);
      expect([reader.damaged, reader.lostRecords]).toEqual([1, 1]);
      fs.corrupt(join(LOG, segmentName(position.segment)), position.offset + 40);
    }
  });

  test('an absurd length does not end the segment', async () => {
    const fs = await spoolOf([60]);
    const { position } = readAll(open(fs))[12];
    fs.corrupt(join(LOG, segmentName(position.segment)), position.offset, 0x01);
    const reader = open(fs);
    expect(readAll(reader)).toHaveLength(59);
    expect(reader.lostRecords).toBe(1);
  });

  test('a segment whose header and footer are gone is stepped over', async () => {
    const fs = await spoolOf([100]);
    const path = join(LOG, segmentName(2));
    const lost = readAll(open(fs)).filter((r) => r.position.segment === 2).length;
    fs.corrupt(path, 2);
    fs.corrupt(path, fs.content(path).length - 1);
    const reader = open(fs);
    expect(readAll(reader)).toHaveLength(100 - lost);
    expect([reader.damaged, reader.lostRecords, reader.skipped]).toEqual([1, lost, 0]);
  });
});
