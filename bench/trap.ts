/**
 * CPU per trap from socket to Kafka acks=all, through the fsynced spool, with MIB names: tidegate beside Telegraf's snmp_trap → kafka, beside
 * snmptrapd (which has no Kafka: to a log file) and beside the floor (a bare datagram receiver and the bare Kafka client), on one broker in
 * one run; v2c, and v3 authPriv with SHA-256 and AES-256. Then the rate at which Telegraf loses half, what the others lose there, and the
 * latency from wire to readable in Kafka at half load. At last where tidegate's microseconds go.
 *
 *   node bench/trap.ts [--rate 8000,15000] [--seconds 6] [--versions v2c,v3] [--only tidegate,telegraf,snmptrapd,floor] [--translator netsnmp|gosmi]
 *                      [--linger 20ms] [--warm 12] [--threads] [--profile DIR] [--touch 4] [--rounds 1]
 *
 * `--threads` prints the CPU of each thread a trap; `--profile` keeps the CPU profiles of tidegate's processes and threads in a folder.
 * `--rate`: one or several; the ratio is printed for each, because a trap costs every program less where more of them come at once. The first is
 * that of the latency (at half of it) and of the stages. `--warm`: seconds at the rate before anything is measured. `--touch`: GiB of memory that are used once before the first program starts: on a
 * virtual machine the first use of a page costs several times what every later one does, and whoever comes first would pay it for all.
 */

import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { KafkaLab } from '../test/lab/kafka.ts';
import { labAvailable, NODE } from '../test/lab/peers.ts';
import { consume } from './lib/consume.ts';
import { cpuSeconds, memoryBytes, threadSeconds } from './lib/process.ts';
import { STAGES, stageTable, type ThreadCost } from './lib/stages.ts';
import { type Translator, telegraf as telegrafBinary } from './lib/telegraf.ts';
import { floor, type Setting, type Subject, snmptrapd, telegraf, tidegate, type Version } from './lib/trap-subjects.ts';

const { values: args } = parseArgs({
  options: {
    rate: { type: 'string', default: '8000,15000' },
    seconds: { type: 'string', default: '6' },
    versions: { type: 'string', default: 'v2c,v3' },
    translator: { type: 'string', default: 'gosmi' },
    linger: { type: 'string' },
    profile: { type: 'string' },
    threads: { type: 'boolean', default: false },
    warm: { type: 'string', default: '12' },
    touch: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '1' },
    only: { type: 'string', default: 'telegraf,snmptrapd,tidegate,floor' },
  },
});
const RATES = args.rate.split(',').map(Number);
const [RATE] = RATES;
const SECONDS = Number(args.seconds);
const ONLY = args.only.split(',');
const SOURCES = 16;
/** Rates tried, in this order, until Telegraf loses half. */
const STEPS = [15_000, 20_000, 30_000, 40_000, 55_000, 75_000, 100_000];
const STEP_SECONDS = 2;
const dir = mkdtempSync(join(tmpdir(), 'tidegate-bench-'));
// Workers that were started as root write their profiles as somebody else.
chmodSync(dir, 0o755);

interface Sent {
  sent: number;
  seconds: number;
}

async function send(port: number, rate: number, count: number, version: Version): Promise<Sent> {
  const script = new URL('lib/send-traps.ts', import.meta.url).pathname;
  const argv = [script, ...[port, rate, count, SOURCES].map(String), version];
  const child = spawn(NODE, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (d) => {
    out += d;
  });
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(out) as Sent;
}

/** Waits until `wanted` have arrived, or nothing moves for some seconds. */
async function settle(s: Subject, wanted: number): Promise<number> {
  let last = -1;
  for (let still = 0; still < 12; still++) {
    const n = await s.arrived();
    if (n >= wanted) return n;
    if (n !== last) still = 0;
    last = n;
    await new Promise((r) => setTimeout(r, 250));
  }
  return last;
}

/** Sends, waits until all that will arrive has, and tells how many that were. */
async function through(s: Subject, version: Version, rate: number, count: number): Promise<Sent & { arrived: number }> {
  const base = await s.arrived();
  const sent = await send(s.port, rate, count, version);
  return { ...sent, arrived: (await settle(s, base + sent.sent)) - base };
}

interface Result {
  name: string;
  /** At each of RATES: µs of CPU a trap that arrived, and traps that did not. */
  at: { us: number; lost: number; sent: number }[];
  /** Share lost at each rate really sent. */
  steps: { asked: number; rate: number; lost: number }[];
  mib: number;
}

async function measure(s: Subject, version: Version, steps: readonly number[], until: number): Promise<Result> {
  // Warm: connections, JIT, topic metadata, OIDs.
  await through(s, version, RATE / 4, RATE);
  await through(s, version, RATE, RATE * Number(args.warm));
  const result: Result = { name: s.name, at: [], steps: [], mib: 0 };
  for (const rate of RATES) {
    if (rate !== RATE) await through(s, version, rate, rate * 3);
    const before = cpuSeconds(s.pid);
    const was = threadSeconds(s.pid);
    const { sent, arrived } = await through(s, version, rate, rate * SECONDS);
    const each = (seconds: number): number => (seconds * 1e6) / Math.max(1, arrived);
    result.at.push({ us: each(cpuSeconds(s.pid) - before), lost: sent - arrived, sent });
    if (!args.threads) continue;
    for (const [name, seconds] of threadSeconds(s.pid)) {
      const us = each(seconds - (was.get(name) ?? 0));
      if (us >= 0.2) console.log(`${s.name} at ${rate}/s, ${name}: ${us.toFixed(1)} µs/trap`);
    }
  }
  for (const asked of steps) {
    const t = await through(s, version, asked, asked * STEP_SECONDS);
    const lost = (t.sent - t.arrived) / t.sent;
    result.steps.push({ asked, rate: Math.round(t.sent / t.seconds), lost });
    if (lost >= until) break;
  }
  result.mib = memoryBytes(s.pid) / 2 ** 20;
  return result;
}

/** From `time` of the event (the kernel's receive time) to readable by a consumer, ms. */
async function latency(s: Subject, version: Version, bootstrap: string, rate: number): Promise<number[]> {
  const reader = await consume(bootstrap, s.topic!);
  await through(s, version, rate, rate * 5);
  await new Promise((r) => setTimeout(r, 500));
  return (await reader.stop()).sort((a, b) => a - b);
}

function quantile(sorted: number[], q: number): string {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))].toFixed(1);
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Uses memory once and gives it back. */
function touch(gib: number): void {
  for (let i = 0; i < gib * 16; i++) pages.push(Buffer.alloc(64 * 2 ** 20, 1));
  pages.length = 0;
}
const pages: Buffer[] = [];

/** Where the microseconds go: one more run of tidegate alone, with the profiler in each of its threads. */
async function stages(setting: Setting): Promise<void> {
  const folder = args.profile
    ? resolve(args.profile, setting.version)
    : join(setting.dir, `profile-${setting.version}`);
  const s = await tidegate(setting, args.linger, folder);
  try {
    await through(s, setting.version, RATE / 4, RATE);
    const was = threadSeconds(s.pid);
    const { arrived } = await through(s, setting.version, RATE, RATE * 16);
    const costs = [...threadSeconds(s.pid)].map(
      ([name, seconds]): ThreadCost => [name, ((seconds - (was.get(name) ?? 0)) * 1e6) / Math.max(1, arrived)],
    );
    const table = stageTable(folder, costs);
    console.log(`tidegate, ${setting.version}, µs CPU a trap by stage (with the profiler on):`);
    console.table(Object.fromEntries(STAGES.map((stage) => [stage, table[stage].toFixed(1)])));
  } finally {
    await s.stop();
  }
}

async function compare(setting: Setting): Promise<void> {
  const { version, lab } = setting;
  const results: Result[] = [];
  const notes: string[] = [];
  let high = [30_000];
  const run = async (name: string, make: () => Promise<Subject>, steps: readonly number[], until: number) => {
    if (!ONLY.includes(name)) return;
    const s = await make();
    try {
      results.push(await measure(s, version, steps, until));
      if (name !== 'tidegate') return;
      const rate = Math.floor(RATE / 2);
      const ms = await latency(s, version, lab.bootstrap()[0], rate);
      notes.push(
        `tidegate, wire to readable in Kafka at ${rate}/s: p50 ${quantile(ms, 0.5)} ms, p99 ${quantile(ms, 0.99)} ms, p99.9 ${quantile(ms, 0.999)} ms (${ms.length} events)`,
      );
    } finally {
      await s.stop();
    }
  };
  const bin = ONLY.includes('telegraf') ? telegrafBinary() : undefined;
  if (bin) {
    await run('telegraf', () => telegraf(setting, bin, args.translator as Translator), STEPS, 0.5);
    const { steps } = results[0];
    for (const s of steps) notes.push(`telegraf at ${s.rate}/s loses ${percent(s.lost)}`);
    high = [steps.at(-1)!.asked];
  }
  if (labAvailable('snmptrapd')) await run('snmptrapd', () => snmptrapd(setting), [], 2);
  await run('tidegate', () => tidegate(setting, args.linger), high, 2);
  if (version === 'v2c') await run('floor', () => floor(setting), high, 2);
  console.table(
    results.map((r) => ({
      name: r.name === 'snmptrapd' ? 'snmptrapd, to a file' : r.name,
      ...Object.fromEntries(
        RATES.flatMap((rate, i) => [
          [`µs CPU/trap at ${rate}/s`, r.at[i].us.toFixed(1)],
          [`lost at ${rate}/s`, percent(r.at[i].lost / r.at[i].sent)],
        ]),
      ),
      'high rate/s': r.steps.at(-1)?.rate ?? '',
      'lost there': r.steps.length > 0 ? percent(r.steps.at(-1)!.lost) : '',
      'PSS MiB': r.mib.toFixed(0),
    })),
  );
  for (const n of notes) console.log(n);
  const us = (name: string, i: number): number => results.find((r) => r.name === name)?.at[i].us ?? Number.NaN;
  const ratio = (a: string, b: string): void => {
    RATES.forEach((rate, i) => {
      const r = us(a, i) / us(b, i);
      if (!Number.isNaN(r)) console.log(`${version}, ${rate}/s: ${a} / ${b}: ${r.toFixed(2)}`);
    });
  };
  ratio('telegraf', 'tidegate');
  ratio('snmptrapd', 'tidegate');
  ratio('tidegate', 'floor');
  if (ONLY.includes('tidegate')) await stages(setting);
}

touch(Number(args.touch));
const lab = await KafkaLab.start({});
try {
  for (const topic of ['tidegate.snmp.trap.v1', 'tidegate.system.v1', 'telegraf-v2c', 'telegraf-v3', 'floor'])
    await lab.createTopic(topic, 3);
  for (let round = 0; round < Number(args.rounds); round++)
    for (const version of args.versions.split(',') as Version[]) {
      console.log(`\n# ${version}${version === 'v3' ? ', authPriv, SHA-256, AES-256' : ''}`);
      await compare({ lab, dir, version, sources: SOURCES });
    }
} finally {
  await lab.close();
  rmSync(dir, { recursive: true, force: true });
}
