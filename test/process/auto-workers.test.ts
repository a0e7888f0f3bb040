import { describe, expect, it } from 'vitest';
import { autoWorkers } from '../../src/process/auto-workers.ts';

const GIB = 2 ** 30;

describe('workers: auto', () => {
  it.each([
    [1, 0, 1],
    [2, 0, 1],
    [64, 0, 63],
    // What Node says where there is no limit.
    [64, 2 ** 64, 63],
    [8, 2 * GIB, 7],
    [64, 2 * GIB, 11],
    [64, GIB / 4, 1],
    [64, GIB / 16, 1],
  ])('%i cores, a limit of %i bytes: %i', (cores, limit, workers) => {
    expect(autoWorkers(cores, limit).workers).toBe(workers);
  });

  it('says why there are fewer than the cores allow, and only then', () => {
    expect(autoWorkers(64, 2 * GIB).note).toMatch(/is 11, not 63: the memory limit of 2048 MiB/);
    expect(autoWorkers(8, 2 * GIB).note).toBeUndefined();
  });
});
