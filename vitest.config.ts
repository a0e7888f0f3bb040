import { defineConfig } from 'vitest/config';

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
          include: ['test/lab/**/*.test.ts', ...(process.env.TIDEGATE_NIGHTLY ? ['test/lab/**/*.nightly.ts'] : [])],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
    ],
  },
});
