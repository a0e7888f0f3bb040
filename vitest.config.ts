import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

/** Set by test/run.mjs: which of the lab's files. Absent: all of them, one after the other. */
const { TIDEGATE_LAB_PART: part } = process.env;
const lanes = JSON.parse(readFileSync(new URL('test/lab/lanes.json', import.meta.url), 'utf8')) as { beside: string[] };
const beside = lanes.beside.map((name) => `test/lab/${name}.test.ts`);

// `unit` needs nothing but Node; `lab` needs root, network namespaces and foreign peers (test/lab/install.mjs).
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/lab/**', 'node_modules/**'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          pool: 'forks',
        },
      },
      {
        test: {
          name: 'lab',
          include:
            part === 'beside'
              ? beside
              : ['test/lab/**/*.test.ts', ...(process.env.TIDEGATE_NIGHTLY ? ['test/lab/**/*.nightly.ts'] : [])],
          exclude: part === 'alone' ? beside : [],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          pool: 'forks',
          fileParallelism: part === 'beside',
          maxWorkers: part === 'beside' ? 3 : 1,
        },
      },
    ],
  },
});
