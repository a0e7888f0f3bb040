import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  Checkpoint,
  checkpointFiles,
  checkpointPath,
  decodeCheckpoint,
  encodeCheckpoint,
} from '../../src/spool/checkpoint.ts';
import { FaultyFs, seeded, without } from './faulty-fs.ts';

const vector = JSON.parse(readFileSync(new URL('../vectors/spool/checkpoint-v1.json', import.meta.url), 'utf8')) as {
  generation: number;
  state: unknown;
  checkpoint: string;
};
const PATH = '/data/shard/export-kafka';

test('the golden checkpoint of version 1', () => {
  expect(encodeCheckpoint(vector.generation, vector.state).toString('hex')).toBe(vector.checkpoint);
  const bytes = Buffer.from(vector.checkpoint, 'hex');
  expect(decodeCheckpoint(bytes)).toEqual({ generation: vector.generation, state: vector.state });
  // A shorter state is written over a longer one.
  expect(decodeCheckpoint(Buffer.concat([bytes, Buffer.from('left over')]))).toMatchObject({ state: vector.state });
  for (let i = 0; i < bytes.length; i++) expect(decodeCheckpoint(bytes.subarray(0, i))).toBeUndefined();
  for (let i = 12; i < bytes.length; i++) {
    const bad = Buffer.from(bytes);
    bad[i] ^= 1;
    expect(decodeCheckpoint(bad)).toBeUndefined();
  }
});

test('an exporter’s name gives a file name', () => {
  expect(checkpointPath('/s/1/0', 'kafka')).toBe('/s/1/0/export-kafka');
  expect(checkpointPath('/s/1/0', '../x')).toBe('/s/1/0/export-.2e..2e..2f.x');
});

async function powerCuts(
  count: number,
  wrap: (fs: FaultyFs) => FaultyFs | ReturnType<typeof without>,
): Promise<number> {
  let lost = 0;
  for (let seed = 1; seed <= count; seed++) {
    const random = seeded(seed);
    let fs = new FaultyFs({ random });
    let durable = 0;
    let next = 1;
    for (let life = 0; life < 4; life++) {
      fs.cutAt = fs.count + 1 + Math.floor(random() * 40);
      const checkpoint = new Checkpoint(wrap(fs), PATH);
      const n = (checkpoint.state as { n: number } | undefined)?.n ?? 0;
      if (n < durable || n >= next) lost++;
      while (!fs.dead) {
        const mine = next++;
        const padding = 'x'.repeat(Math.floor(random() * 6000));
        const written = checkpoint.write({ n: mine, padding }).then(() => {
          if (!fs.dead) durable = mine;
        });
        await Promise.race([written, fs.died]);
      }
      fs = fs.powerCut();
    }
  }
  return lost;
}

describe('power cuts', () => {
  test('what was written is there, or something newer', async () => {
    expect(await powerCuts(200, (fs) => fs)).toBe(0);
  });

  test('without fdatasync, or without the fsync of the directory, it is not', async () => {
    expect(await powerCuts(50, (fs) => without(fs, 'fdatasync'))).toBeGreaterThan(0);
    expect(await powerCuts(50, (fs) => without(fs, 'fsyncDir'))).toBeGreaterThan(0);
  });
});

describe('slots', () => {
  test('a torn one leaves the other; both damaged leave nothing; a newer one is refused', async () => {
    const fs = new FaultyFs({ random: seeded(1) });
    const c = new Checkpoint(fs, PATH);
    for (let n = 1; n <= 3; n++) await c.write({ n });
    const [a, b] = checkpointFiles(PATH);
    expect(new Checkpoint(fs, PATH).state).toEqual({ n: 3 });
    fs.corrupt(a, 30);
    expect(new Checkpoint(fs, PATH).state).toEqual({ n: 2 });
    fs.corrupt(b, 30);
    expect(new Checkpoint(fs, PATH).state).toBeUndefined();
    fs.corrupt(b, 9, 3);
    expect(() => new Checkpoint(fs, PATH)).toThrow(/newer tidegate/);
  });

  test('a failed write keeps the state before, and the next one succeeds', async () => {
    const fs = new FaultyFs({ random: seeded(1) });
    const c = new Checkpoint(fs, PATH);
    await c.write({ n: 1 });
    await c.write({ n: 2 });
    fs.fault = () => (fs.trace.at(-1)?.startsWith('fdatasync') ? 'EIO' : undefined);
    await expect(c.write({ n: 3 })).rejects.toThrow('EIO');
    expect(new Checkpoint(fs, PATH).state).toEqual({ n: 2 });
    fs.fault = () => undefined;
    await c.write({ n: 4 });
    expect(new Checkpoint(fs.powerCut(), PATH).state).toEqual({ n: 4 });
  });

  test('of several writes that wait only the last is made, and all resolve', async () => {
    const fs = new FaultyFs({ random: seeded(1) });
    const c = new Checkpoint(fs, PATH);
    await Promise.all([1, 2, 3, 4].map((n) => c.write({ n })));
    expect(new Checkpoint(fs, PATH).state).toEqual({ n: 4 });
    expect(fs.trace.filter((t) => t.startsWith('fdatasync')).length).toBeLessThanOrEqual(2);
  });
});
