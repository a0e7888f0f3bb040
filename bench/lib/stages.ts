/**
 * Where the microseconds go: CPU profiles of tidegate's threads (profile.mjs), by the stage of an event's way. Shares are sampled; the sum of a
 * thread is what the kernel says it used, so that the profiler's own cost is spread and the idle time left out.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string }; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
}

export const STAGES = ['receive', 'decode', 'name', 'encode', 'spool', 'kafka', 'collections', 'rest'] as const;
export type Stage = (typeof STAGES)[number];

/** By the folder of a function; the first that fits. */
const FOLDERS: [RegExp, Stage][] = [
  [/\/src\/net\//, 'receive'],
  [/\/src\/(codec|protocol)\//, 'decode'],
  [/\/src\/(mib|collectors|inventory)\//, 'name'],
  [/\/src\/(event|pipeline|core|telemetry)\//, 'encode'],
  [/\/src\/spool\//, 'spool'],
  [/\/src\/export\/|platformatic|kafkajs/, 'kafka'],
];

/** A function of Node's or V8's own belongs to the stage that called it. */
function stagesOf(p: Profile, thread: boolean): Map<number, Stage | undefined> {
  const parent = new Map<number, number>();
  const byId = new Map(p.nodes.map((n) => [n.id, n]));
  for (const n of p.nodes) for (const c of n.children ?? []) parent.set(c, n.id);
  const out = new Map<number, Stage | undefined>();
  for (const n of p.nodes) {
    const { functionName } = n.callFrame;
    if (functionName === '(idle)') continue;
    let stage: Stage | undefined;
    if (functionName === '(garbage collector)') stage = 'collections';
    // Native code that no JavaScript called: the add-on's recvmmsg in the ingest loop, sockets and files in the other.
    else if (functionName === '(program)') stage = thread ? 'kafka' : 'receive';
    for (let at: number | undefined = n.id; at !== undefined && stage === undefined; at = parent.get(at)) {
      const { url } = byId.get(at)!.callFrame;
      stage = FOLDERS.find(([folder]) => folder.test(url))?.[1];
    }
    out.set(n.id, stage ?? (thread ? 'kafka' : 'rest'));
  }
  // What the export thread does is done for Kafka, reading the spool back too.
  if (thread) for (const [id, stage] of out) if (stage !== 'collections') out.set(id, 'kafka');
  return out;
}

/** Shares of the busy time of one profile, by stage; they sum up to 1. */
function shares(file: string, thread: boolean): Map<Stage, number> {
  const p = JSON.parse(readFileSync(file, 'utf8')) as Profile;
  const stages = stagesOf(p, thread);
  const out = new Map<Stage, number>();
  let busy = 0;
  for (const [i, id] of p.samples.entries()) {
    const stage = stages.get(id);
    if (stage === undefined) continue;
    busy += p.timeDeltas[i];
    out.set(stage, (out.get(stage) ?? 0) + p.timeDeltas[i]);
  }
  for (const [stage, us] of out) out.set(stage, us / busy);
  return out;
}

/** CPU of one thread a trap, µs: `PID/TID NAME`, as threadSeconds names them. */
export type ThreadCost = readonly [name: string, us: number];

/** Microseconds a trap by stage, from the profiles in `dir` and what each thread used. `main`: the worker's process id. */
export function stageTable(dir: string, costs: readonly ThreadCost[]): Record<Stage, number> {
  const out = Object.fromEntries(STAGES.map((s) => [s, 0])) as Record<Stage, number>;
  const files = readdirSync(dir).filter((f) => f.endsWith('.cpuprofile'));
  const ingest = files.find((f) => f.startsWith('worker-main-'));
  const exporter = files.find((f) => f.startsWith('thread-') && ingest !== undefined && f.endsWith(ingest.slice(11)));
  const pid = ingest && /(\d+)\.cpuprofile$/.exec(ingest)?.[1];
  for (const [name, us] of costs) {
    const [, process, thread, comm] = /^(\d+)\/(\d+) (.*)$/.exec(name)!;
    if (process !== pid) out.rest += us;
    else if (thread === pid) for (const [stage, share] of shares(join(dir, ingest!), false)) out[stage] += us * share;
    else if (comm.includes('V8Worker')) out.collections += us;
    else if (comm.startsWith('libuv')) out.spool += us;
    else if (exporter && us > 0.5)
      for (const [stage, share] of shares(join(dir, exporter), true)) out[stage] += us * share;
    else out.rest += us;
  }
  return out;
}
