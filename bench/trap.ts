/**
 * CPU per v2c trap from socket to Kafka acks=all, through the fsynced spool: tidegate beside Telegraf's snmp_trap → kafka and beside the
 * floor (a bare datagram receiver and the bare Kafka client), on one broker in one run. Then the rate at which the peer loses half, what
 * the others lose there, and the latency from wire to readable in Kafka at half load.
 *
 *   node bench/trap.ts [--rate 8000] [--seconds 6] [--translator netsnmp|gosmi] [--only tidegate,telegraf,floor] [--linger 20ms] [--warm 6] [--threads] [--profile DIR]
 *
 * `--threads` prints the CPU of each thread a trap; `--profile` does so too and writes CPU profiles of tidegate's processes and threads
 * into a folder. `--warm`: seconds at the rate before anything is measured.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { KafkaLab } from '../test/lab/kafka.ts';
import { NODE } from '../test/lab/peers.ts';
import { freePort, Tidegate } from '../test/lab/tidegate.ts';
import { consume } from './lib/consume.ts';
import { cpuSeconds, memoryBytes, threadSeconds } from './lib/process.ts';
import { type Translator, telegraf, telegrafConfig } from './lib/telegraf.ts';

const { values: args } = parseArgs({
  options: {
    rate: { type: 'string', default: '8000' },
    seconds: { type: 'string', default: '6' },
    translator: { type: 'string', default: 'netsnmp' },
    linger: { type: 'string' },
    profile: { type: 'string' },
    threads: { type: 'boolean', default: false },
    warm: { type: 'string', default: '6' },
    only: { type: 'string', default: 'telegraf,tidegate,floor' },
  },
});
const RATE = Number(args.rate);
const COUNT = RATE * Number(args.seconds);
const ONLY = args.only.split(',');
/** Rates tried, in this order, until the peer loses half. */
const STEPS = [15_000, 20_000, 30_000, 40_000, 55_000, 75_000, 100_000];
const STEP_SECONDS = 2;
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

interface Sent {
  sent: number;
  seconds: number;
}

async function send(port: number, rate: number, count: number): Promise<Sent> {
  const child = spawn(NODE, [here('lib/send-traps.ts'), String(port), String(rate), String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (d) => {
    out += d;
  });
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(out) as Sent;
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

/** Sends, waits until all that will arrive has, and tells how many that were. */
async function through(s: Subject, rate: number, count: number): Promise<Sent & { arrived: number }> {
  const base = await messages(s.topic);
  const sent = await send(s.port, rate, count);
  return { ...sent, arrived: (await settle(s.topic, base + sent.sent)) - base };
}

function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

function stopper(child: ChildProcess): () => Promise<void> {
  return async () => {
    child.kill();
    await gone(child);
  };
}

function profiled(folder: string): NodeJS.ProcessEnv {
  mkdirSync(folder, { recursive: true });
  // Workers that were started as root write it as somebody else.
  chmodSync(folder, 0o1777);
  return { ...process.env, NODE_OPTIONS: `--import=${here('lib/profile.mjs')}`, PROFILE_DIR: folder };
}

async function tidegate(): Promise<Subject> {
  const t = await Tidegate.start({
    env: args.profile ? profiled(resolve(args.profile)) : undefined,
    config: {
      collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } },
      admin: { listen: '127.0.0.1:0' },
      workers: 1,
      export: { kafka: { brokers: [bootstrap], ...(args.linger ? { linger: args.linger } : {}) } },
    },
  });
  const port = Number((t.ready!.listening as { address: string }[])[0].address.split(':')[1]);
  return { name: 'tidegate', pid: t.pid, port, topic: 'tidegate.snmp.trap.v1', stop: () => t.close() };
}

async function floor(): Promise<Subject> {
  const child = spawn(NODE, [here('lib/floor.ts'), bootstrap, 'floor'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port: number = await new Promise((resolve) =>
    child.stdout.once('data', (d) => resolve(JSON.parse(String(d)).port)),
  );
  return { name: 'floor', pid: child.pid!, port, topic: 'floor', stop: stopper(child) };
}

async function peer(bin: string): Promise<Subject> {
  const port = await freePort();
  const { file, mibs } = telegrafConfig(dir, port, bootstrap, 'telegraf', args.translator as Translator);
  const env = { ...process.env, MIBDIRS: mibs };
  const child = spawn(bin, ['--config', file, '--quiet'], { stdio: ['ignore', 'ignore', 'inherit'], env });
  await new Promise((r) => setTimeout(r, 3000));
  return { name: 'telegraf', pid: child.pid!, port, topic: 'telegraf', stop: stopper(child) };
}

interface Result {
  name: string;
  us: number;
  lost: number;
  /** Share lost at each rate really sent. */
  steps: { asked: number; rate: number; lost: number }[];
  mib: number;
}

async function measure(s: Subject, steps: readonly number[], until: number): Promise<Result> {
  // Warm: connections, JIT, topic metadata, OIDs.
  await through(s, RATE / 4, RATE);
  await through(s, RATE, RATE * Number(args.warm));
  const before = cpuSeconds(s.pid);
  const threads = threadSeconds(s.pid);
  const { sent, arrived } = await through(s, RATE, COUNT);
  if (args.profile || args.threads)
    for (const [name, seconds] of threadSeconds(s.pid)) {
      const us = ((seconds - (threads.get(name) ?? 0)) * 1e6) / arrived;
      if (us >= 0.2) console.log(`${s.name}, ${name}: ${us.toFixed(1)} µs/trap`);
    }
  const us = ((cpuSeconds(s.pid) - before) * 1e6) / Math.max(1, arrived);
  const result: Result = { name: s.name, us, lost: sent - arrived, steps: [], mib: 0 };
  for (const asked of steps) {
    const t = await through(s, asked, asked * STEP_SECONDS);
    const lost = (t.sent - t.arrived) / t.sent;
    result.steps.push({ asked, rate: Math.round(t.sent / t.seconds), lost });
    if (lost >= until) break;
  }
  result.mib = memoryBytes(s.pid) / 2 ** 20;
  return result;
}

/** From `time` of the event (the kernel's receive time) to readable by a consumer, ms. */
async function latency(s: Subject, rate: number): Promise<number[]> {
  const reader = await consume(bootstrap, s.topic);
  await through(s, rate, rate * 5);
  await new Promise((r) => setTimeout(r, 500));
  return (await reader.stop()).sort((a, b) => a - b);
}

function quantile(sorted: number[], q: number): string {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))].toFixed(1);
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

try {
  for (const topic of ['tidegate.snmp.trap.v1', 'tidegate.system.v1', 'telegraf', 'floor'])
    await lab.createTopic(topic, 3);
  const results: Result[] = [];
  const notes: string[] = [];
  let high = [30_000];
  const run = async (name: string, make: () => Promise<Subject>, steps: readonly number[], until: number) => {
    if (!ONLY.includes(name)) return;
    const s = await make();
    try {
      results.push(await measure(s, steps, until));
      if (name !== 'tidegate') return;
      const rate = Math.floor(RATE / 2);
      const ms = await latency(s, rate);
      notes.push(
        `tidegate, wire to readable in Kafka at ${rate}/s: p50 ${quantile(ms, 0.5)} ms, p99 ${quantile(ms, 0.99)} ms, p99.9 ${quantile(ms, 0.999)} ms (${ms.length} events)`,
      );
    } finally {
      await s.stop();
    }
  };
  const bin = ONLY.includes('telegraf') ? telegraf() : undefined;
  if (bin) {
    await run('telegraf', () => peer(bin), STEPS, 0.5);
    const { steps } = results[0];
    for (const s of steps) notes.push(`telegraf at ${s.rate}/s loses ${percent(s.lost)}`);
    high = [steps.at(-1)!.asked];
  }
  await run('tidegate', tidegate, high, 2);
  await run('floor', floor, high, 2);
  console.table(
    results.map((r) => ({
      name: r.name,
      [`µs CPU/trap at ${RATE}/s`]: r.us.toFixed(1),
      lost: r.lost,
      'high rate/s': r.steps.at(-1)!.rate,
      'lost there': percent(r.steps.at(-1)!.lost),
      'PSS MiB': r.mib.toFixed(0),
    })),
  );
  for (const n of notes) console.log(n);
  const us = (name: string): number => results.find((r) => r.name === name)?.us ?? Number.NaN;
  console.log(`telegraf / tidegate: ${(us('telegraf') / us('tidegate')).toFixed(2)}`);
  console.log(`tidegate / floor: ${(us('tidegate') / us('floor')).toFixed(2)}`);
} finally {
  await lab.close();
  rmSync(dir, { recursive: true, force: true });
}
