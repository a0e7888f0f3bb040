/**
 * CPU per v2c trap from socket to Kafka acks=all, through the fsynced spool: tidegate beside Telegraf's snmp_trap → kafka and beside the
 * floor (a bare datagram receiver and the bare Kafka client), on one broker in one run. Then the rate at which the peer loses half, and
 * the latency from wire to readable in Kafka at half load.
 *
 *   node bench/trap.ts [--count 60000] [--rate 6000]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { KafkaLab } from '../test/lab/kafka.ts';
import { NODE } from '../test/lab/peers.ts';
import { freePort, Tidegate } from '../test/lab/tidegate.ts';
import { cpuSeconds, residentBytes } from './lib/process.ts';
import { telegraf, telegrafConfig } from './lib/telegraf.ts';

const { values: args } = parseArgs({
  options: {
    count: { type: 'string', default: '60000' },
    rate: { type: 'string', default: '6000' },
    high: { type: 'string', default: '30000' },
  },
});
const COUNT = Number(args.count);
const RATE = Number(args.rate);
const HIGH = Number(args.high);
const here = (file: string): string => new URL(file, import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), 'tidegate-bench-'));
const lab = await KafkaLab.start({});
const bootstrap = lab.bootstrap()[0];

interface Subject {
  name: string;
  pid: number;
  port: number;
  topic: string;
  stop: () => Promise<void>;
}

async function send(port: number, rate: number, count: number): Promise<{ sent: number; seconds: number }> {
  const child = spawn(NODE, [here('lib/send-traps.ts'), String(port), String(rate), String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (d) => {
    out += d;
  });
  await new Promise((resolve) => child.once('exit', resolve));
  return JSON.parse(out);
}

/** Messages in a topic now. */
async function messages(topic: string): Promise<number> {
  const offsets = await lab.admin((a) => a.fetchTopicOffsets(topic));
  return offsets.reduce((n, p) => n + Number(p.high) - Number(p.low), 0);
}

/** Waits until a topic has `wanted` messages, or stands still for some seconds. */
async function settle(topic: string, wanted: number): Promise<number> {
  let last = -1;
  for (let still = 0; still < 12; still++) {
    const n = await messages(topic);
    if (n >= wanted) return n;
    if (n !== last) still = 0;
    last = n;
    await new Promise((r) => setTimeout(r, 250));
  }
  return last;
}

function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

async function tidegate(): Promise<Subject> {
  const topic = 'tidegate.snmp.trap.v1';
  const t = await Tidegate.start({
    config: {
      collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } },
      admin: { listen: '127.0.0.1:0' },
      workers: 1,
      export: { kafka: { brokers: [bootstrap] } },
    },
  });
  const port = Number((t.ready!.listening as { address: string }[])[0].address.split(':')[1]);
  return { name: 'tidegate', pid: t.proc.pid!, port, topic, stop: () => t.close() };
}

async function floor(): Promise<Subject> {
  const child = spawn(NODE, [here('lib/floor.ts'), bootstrap, 'floor'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port: number = await new Promise((resolve) =>
    child.stdout.once('data', (d) => resolve(JSON.parse(String(d)).port)),
  );
  return {
    name: 'floor',
    pid: child.pid!,
    port,
    topic: 'floor',
    stop: async () => {
      child.kill();
      await gone(child);
    },
  };
}

async function peer(bin: string): Promise<Subject> {
  const port = await freePort();
  const child = spawn(bin, ['--config', telegrafConfig(dir, port, bootstrap, 'telegraf')], {
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  await new Promise((r) => setTimeout(r, 3000));
  return {
    name: 'telegraf',
    pid: child.pid!,
    port,
    topic: 'telegraf',
    stop: async () => {
      child.kill();
      await gone(child);
    },
  };
}

interface Result {
  name: string;
  us: number;
  lost: number;
  high?: { rate: number; lost: number };
  mib: number;
}

async function measure(s: Subject): Promise<Result> {
  // Warm: connections, JIT, topic metadata.
  await send(s.port, RATE, Math.min(COUNT, 20_000));
  const warm = await settle(s.topic, Math.min(COUNT, 20_000));
  const before = cpuSeconds(s.pid);
  const { sent } = await send(s.port, RATE, COUNT);
  const arrived = (await settle(s.topic, warm + sent)) - warm;
  const us = ((cpuSeconds(s.pid) - before) * 1e6) / Math.max(1, arrived);
  const base = await messages(s.topic);
  const high = await send(s.port, HIGH, HIGH * 2);
  const highArrived = (await settle(s.topic, base + high.sent)) - base;
  return {
    name: s.name,
    us,
    lost: sent - arrived,
    high: { rate: Math.round(high.sent / high.seconds), lost: (high.sent - highArrived) / high.sent },
    mib: residentBytes(s.pid) / 2 ** 20,
  };
}

/** From `time` of the event (the kernel's receive time) to readable by a consumer, ms. */
async function latency(s: Subject): Promise<number[]> {
  const { consume } = await import('./lib/consume.ts');
  const reader = await consume(bootstrap, s.topic);
  await send(s.port, Math.floor(RATE / 2), RATE * 3);
  await settle(s.topic, Number.MAX_SAFE_INTEGER);
  return await reader.stop();
}

function quantile(sorted: number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
}

try {
  for (const topic of ['tidegate.snmp.trap.v1', 'tidegate.system.v1', 'telegraf', 'floor'])
    await lab.createTopic(topic, 3);
  const results: Result[] = [];
  const bin = telegraf();
  for (const make of [tidegate, ...(bin ? [() => peer(bin)] : []), floor]) {
    const s = await make();
    try {
      results.push(await measure(s));
      if (s.name === 'tidegate') {
        const ms = (await latency(s)).sort((a, b) => a - b);
        console.log(
          `wire to readable in Kafka at ${Math.floor(RATE / 2)}/s: p50 ${quantile(ms, 0.5).toFixed(1)} ms, p99 ${quantile(ms, 0.99).toFixed(1)} ms, p99.9 ${quantile(ms, 0.999).toFixed(1)} ms (${ms.length} events)`,
        );
      }
    } finally {
      await s.stop();
    }
  }
  console.table(
    results.map((r) => ({
      name: r.name,
      'µs CPU/trap': r.us.toFixed(1),
      lost: r.lost,
      'rate tried/s': r.high!.rate,
      'lost there': `${(100 * r.high!.lost).toFixed(1)} %`,
      'RSS MiB': r.mib.toFixed(0),
    })),
  );
  const us = (name: string): number | undefined => results.find((r) => r.name === name)?.us;
  const own = us('tidegate')!;
  if (us('telegraf') !== undefined) console.log(`telegraf / tidegate: ${(us('telegraf')! / own).toFixed(2)}`);
  console.log(`tidegate / floor: ${(own / us('floor')!).toFixed(2)}`);
} finally {
  await lab.close();
  rmSync(dir, { recursive: true, force: true });
}
