/**
 * Memory over time: `npm run nightly` runs it for ten minutes at 20,000 traps/s with Kafka away. The first fifth is warm-up; after it the
 * resident memory of the instance may move by at most a tenth and 64 MiB.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryBytes } from '../../bench/lib/process.ts';
import { NODE, REPO } from './peers.ts';
import { freePort, Tidegate } from './tidegate.ts';

const SECONDS = Number(process.env.TIDEGATE_MEMORY_SECONDS ?? 600);
const RATE = 20_000;

describe('memory with Kafka away', () => {
  let t: Tidegate | undefined;
  afterAll(() => t?.close());

  it(
    `stays flat over ${SECONDS} s at ${RATE} traps/s`,
    async () => {
      t = await Tidegate.start({
        config: {
          collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } },
          admin: { listen: '127.0.0.1:0' },
          workers: 1,
          spool: { max_bytes: '64GiB', retain: '1GiB' },
          export: { flush_timeout: '1s', kafka: { brokers: [`127.0.0.1:${await freePort()}`] } },
        },
      });
      const port = (t.ready!.listening as { address: string }[])[0].address.split(':')[1];
      const sender = spawn(NODE, [join(REPO, 'bench/lib/send-traps.ts'), port, String(RATE), String(RATE * SECONDS)], {
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => sender.once('exit', resolve));
      const samples: number[] = [];
      const timer = setInterval(() => samples.push(memoryBytes(t!.proc.pid!)), (SECONDS * 1000) / 100);
      await ended;
      clearInterval(timer);
      const warm = samples.slice(Math.floor(samples.length / 5));
      const half = Math.floor(warm.length / 2);
      const mean = (list: number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
      const before = mean(warm.slice(0, half));
      const after = mean(warm.slice(half));
      console.log(`memory: ${(before / 2 ** 20).toFixed(0)} MiB, then ${(after / 2 ** 20).toFixed(0)} MiB`);
      expect(after).toBeLessThan(before * 1.1 + 64 * 2 ** 20);
    },
    (SECONDS + 300) * 1000,
  );
});
