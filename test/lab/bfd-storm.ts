/**
 * BFD of the whole product beside FRR's bfdd while a trap storm saturates the ingest workers of the same node: a session of 300 ms × 3,
 * which must not fall, and one of 50 ms × 3, whose figures are printed.
 */
import { join } from 'node:path';
import { cpuSeconds } from '../../bench/lib/process.ts';
import { follow } from '../../src/admin/client.ts';
import { Frr } from './frr.ts';
import type { Lab } from './netns.ts';
import { NODE, REPO } from './peers.ts';
import { commandLine } from './proc.ts';
import { metricsIn, sumOf } from './snmp-load.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const PORT = 1162;
/** More than a worker takes on any machine that we know. */
const RATE = 150_000;
/** Traps of a run of ten minutes at most. */
const MOST = 100_000_000;
/** A router has a machine of its own, so bfdd does not wait for a turn of this one, as our speaker does not. */
const ROUTER = ['chrt', '-r', '1'];
const SESSIONS = [
  { peer: '10.1.0.1', ours: '10.1.0.2', interval: 300 },
  { peer: '10.2.0.1', ours: '10.2.0.2', interval: 50 },
] as const;

export interface StormResult {
  seconds: number;
  /** Milliseconds of the session's interval → how often it fell, as each end says. */
  downs: Map<number, { ours: number; frr: number }>;
  received: number;
  /** What the kernel dropped because the workers did not come to read it. */
  dropped: number;
  /** Cores that each worker used. */
  workerCores: number[];
  priority: string;
  /** The speaker's command line. */
  speaker: string;
  /** How late the speaker's timers fired, milliseconds: p99.9 during the storm (the bound of its bucket), and the worst since the start. */
  late: { p999: number; max: number };
  /** The same as a table: seconds → timers that came so late at most, during the storm. */
  lateness: [bound: string, count: number][];
}

interface Status {
  priority: string;
  timer_late: { p999: number; max: number };
  peers: { peer: string; state: string; bfd?: { state: string; detection_time: number } }[];
}

/** Everything of it ends with `lab`. */
export async function bfdUnderStorm(lab: Lab, seconds: number): Promise<StormResult> {
  const node = lab.namespace('node');
  const router = lab.namespace('router');
  for (const [i, s] of SESSIONS.entries())
    lab.link(
      { ns: node, dev: `eth${i}`, addresses: [`${s.ours}/24`] },
      { ns: router, dev: `eth${i}`, addresses: [`${s.peer}/24`] },
    );
  const frr = await Frr.start(router, { bfd: true, config: routerConfig(), wrap: ROUTER });
  const t = await Tidegate.start({ ns: node, config: nodeConfig() });
  lab.defer(() => t.kill9());
  const lb = () => t.api<Status>('GET', '/lb');
  await waitFor(async () => {
    const { peers } = await lb();
    const up = (s: (typeof SESSIONS)[number]) => {
      const p = peers.find((x) => x.peer === s.peer);
      return p?.state === 'Established' && p.bfd?.state === 'Up' && p.bfd.detection_time === 3 * s.interval;
    };
    if (SESSIONS.every(up)) return true;
    throw new Error(JSON.stringify(peers));
  }, 'both sessions Up with the agreed detection times');

  const falls: { peer: string }[] = [];
  const tap = follow(join(t.dataDir, 'admin.sock'), '/api/v1/tap?type=system.v1', (line) => {
    const { data } = JSON.parse(line) as { data: Record<string, string> };
    if (data.kind === 'session' && data.protocol === 'bfd' && data.from === 'Up') falls.push({ peer: data.peer });
  });
  const before = await frrDowns(frr);
  const punctual = lateTimers(await metricsIn(node, t.ready));
  const speaker = commandLine(t.children(/speaker-main/)[0]);
  const workers = t.children(/worker-main/);
  const used = workers.map(cpuSeconds);
  const began = performance.now();
  const sender = node.spawn([
    ...[NODE, join(REPO, 'bench/lib/send-traps.ts')],
    ...[PORT, RATE, Math.min(MOST, RATE * seconds)].map(String),
  ]);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const took = (performance.now() - began) / 1000;
  const workerCores = workers.map((pid, i) => (cpuSeconds(pid) - used[i]) / took);
  await sender.kill9();
  const status = await lb();
  const page = await metricsIn(node, t.ready);
  tap.stop();
  const after = await frrDowns(frr);
  const lateness = lateTimers(page).map(([bound, n], i): [string, number] => [bound, n - punctual[i][1]]);
  const all = lateness.at(-1)![1];
  const bound = Number(lateness.find(([, n]) => n >= all * 0.999)![0]) * 1000;
  return {
    ...{ seconds: took, priority: status.priority, speaker, workerCores, lateness },
    late: { p999: Math.min(bound, status.timer_late.max), max: status.timer_late.max },
    downs: new Map(
      SESSIONS.map((s) => [
        s.interval,
        { ours: falls.filter((f) => f.peer === s.peer).length, frr: after.get(s.ours)! - before.get(s.ours)! },
      ]),
    ),
    received: sumOf(page, 'tidegate_received_total', /snmp_trap/),
    dropped: sumOf(page, 'tidegate_lost_events_total', /reason="kernel"/),
  };
}

export function stormText(r: StormResult): string {
  const downs = [...r.downs].map(([ms, d]) => `${ms} ms × 3: ${d.ours} (ours), ${d.frr} (bfdd)`).join('; ');
  const cores = r.workerCores.map((c) => c.toFixed(2)).join(', ');
  return [
    `BFD under a trap storm of ${r.seconds.toFixed(0)} s: false downs at ${downs}`,
    `traps read ${Math.round(r.received / r.seconds)}/s, dropped by the kernel ${Math.round(r.dropped / r.seconds)}/s; cores of each worker ${cores}`,
    `timers of the speaker (${r.priority}) late: p99.9 ${r.late.p999} ms, at most ${r.late.max} ms since its start`,
  ].join('\n');
}

/** The buckets of the histogram. */
function lateTimers(page: string): [bound: string, count: number][] {
  const found = page.matchAll(/^tidegate_lb_timer_late_seconds_bucket\{le="([^"]+)"\} (\d+)/gm);
  return [...found].map(([, bound, n]) => [bound === '+Inf' ? 'Infinity' : bound, Number(n)]);
}

async function frrDowns(frr: Frr): Promise<Map<string, number>> {
  const shown = await frr.json<{ peer: string; 'session-down': number }[]>('show bfd peers counters json');
  return new Map(shown.map((p) => [p.peer, p['session-down']]));
}

function routerConfig(): string {
  return [
    'router bgp 64500',
    ' bgp router-id 10.1.0.1',
    ' no bgp ebgp-requires-policy',
    ...SESSIONS.flatMap((s) => [
      ` neighbor ${s.ours} remote-as 64512`,
      ` neighbor ${s.ours} bfd 3 ${s.interval} ${s.interval}`,
    ]),
  ].join('\n');
}

function nodeConfig(): Record<string, unknown> {
  return {
    node: 'edge-1',
    collectors: { snmp_trap: { listen: [`127.0.0.1:${PORT}`], communities: [{ name: 'public' }] } },
    lb: {
      rise: '200ms',
      vips: [{ name: 'ingress', addresses: ['203.0.113.10/32'] }],
      bgp: {
        asn: 64512,
        router_id: '10.1.0.2',
        peers: SESSIONS.map((s) => ({
          ...{ address: s.peer, asn: 64500, connect_retry: '1s' },
          bfd: { interval: `${s.interval}ms`, multiplier: 3 },
        })),
      },
    },
    // Nothing is durable beyond the spool here, which is a ring then: the storm may last.
    spool: { max_bytes: '2GiB', retain: '256MiB' },
    export: { stdout: { enabled: false } },
    admin: { listen: '127.0.0.1:0' },
  };
}
