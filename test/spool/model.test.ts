import { describe, expect, test } from 'vitest';
import { retrying, without } from './faulty-fs.ts';
import { type ModelFaults, type ModelResult, runModel } from './model.ts';

async function runSeeds(from: number, count: number, faults?: ModelFaults): Promise<ModelResult> {
  const sum: ModelResult = { violations: [], cuts: 0, appended: 0, synced: 0, errors: 0 };
  for (let seed = from; seed < from + count; seed++) {
    const r = await runModel(seed, faults);
    sum.violations.push(...r.violations);
    sum.cuts += r.cuts;
    sum.appended += r.appended;
    sum.synced += r.synced;
    sum.errors += r.errors;
  }
  return sum;
}

describe('what was reported durable', () => {
  test('survives a thousand power cuts, in order and unchanged', async () => {
    const r = await runSeeds(1, 600);
    expect(r.violations).toEqual([]);
    expect(r.cuts).toBeGreaterThanOrEqual(1000);
    // The runs did something: most of what was appended was reported.
    expect(r.synced).toBeGreaterThan(10_000);
  });

  test('survives power cuts on a disk that fails and fills up at random', async () => {
    const r = await runSeeds(10_000, 300, { errors: 0.05 });
    expect(r.violations).toEqual([]);
    expect(r.errors).toBeGreaterThan(500);
    expect(r.synced).toBeGreaterThan(3000);
  });

  test('survives kills of the process', async () => {
    const r = await runSeeds(20_000, 150, { kill: true });
    expect(r.violations).toEqual([]);
    expect(r.synced).toBeGreaterThan(1000);
  });
});

describe('the checker finds losses', () => {
  test('with fdatasync taken out', async () => {
    const r = await runSeeds(1, 40, { wrap: (fs) => without(fs, 'fdatasync') });
    expect(r.violations.some((v) => v.includes('is gone'))).toBe(true);
  });

  test('with the fsync of directories taken out', async () => {
    const r = await runSeeds(1, 40, { wrap: (fs) => without(fs, 'fsyncDir') });
    expect(r.violations.some((v) => v.includes('is gone'))).toBe(true);
  });

  test('with a failed fdatasync tried again on the same file', async () => {
    const r = await runSeeds(10_000, 100, { errors: 0.05, wrap: retrying });
    expect(r.violations.some((v) => v.includes('is gone'))).toBe(true);
  });
});
