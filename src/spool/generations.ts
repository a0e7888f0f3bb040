/**
 * Generations of the spool: `spool/<generation>/<worker>/<class>/`. A generation belongs to one number of workers (which worker a
 * device is on depends on it), so a change of that number begins a new one; the older ones are drained, then removed.
 */
import { Buffer } from 'node:buffer';
import { join } from 'node:path';
import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import { SpoolFormatError } from './errors.ts';
import { mkdirDurable, realFs, type SpoolFs, writeFileDurable } from './fs.ts';
import { listSegments, probeSegment, readWhole, segmentPath, withFile } from './segment-file.ts';

export const SPOOL_VERSION = 1;
const META = 'meta.json';

/** `meta.json` of a generation. */
export interface GenerationMeta {
  version: number;
  workers: number;
}

export interface FoundGeneration {
  number: number;
  /** Undefined where the process died before `meta.json` was there. */
  workers: number | undefined;
}

/** Which generation is written with `workers` workers: the newest where it is of as many, else a new one. Pure. */
export function nextGeneration(found: readonly FoundGeneration[], workers: number): { number: number; isNew: boolean } {
  const newest = found.reduce<FoundGeneration | undefined>((a, b) => (a && a.number > b.number ? a : b), undefined);
  if (!newest) return { number: 1, isNew: true };
  return newest.workers === workers
    ? { number: newest.number, isNew: false }
    : { number: newest.number + 1, isNew: true };
}

/** Ascending. Throws SpoolFormatError where a newer version wrote one. */
export function listGenerations(fs: SpoolFs, spoolDir: string): FoundGeneration[] {
  const out: FoundGeneration[] = [];
  for (const name of numeric(fs, spoolDir)) {
    const path = join(spoolDir, String(name), META);
    let workers: number | undefined;
    if (fs.statSync(path)) {
      const meta = parseMeta(readWhole(fs, path));
      if (meta && meta.version > SPOOL_VERSION) throw new SpoolFormatError(path, meta.version, SPOOL_VERSION);
      workers = meta?.workers;
    }
    out.push({ number: name, workers });
  }
  return out;
}

export interface ChosenGeneration {
  number: number;
  dir: string;
  isNew: boolean;
  /** Shard directories of older generations, oldest first: to be drained. */
  older: string[];
}

/** Chooses the generation for `workers` workers and makes it durable. `spoolDir` is `<data_dir>/spool`. */
export async function chooseGeneration(
  spoolDir: string,
  workers: number,
  fs: SpoolFs = realFs,
): Promise<ChosenGeneration> {
  const found = listGenerations(fs, spoolDir);
  const { number, isNew } = nextGeneration(found, workers);
  const dir = join(spoolDir, String(number));
  if (isNew) {
    await mkdirDurable(fs, dir);
    const meta: GenerationMeta = { version: SPOOL_VERSION, workers };
    await writeFileDurable(fs, join(dir, META), Buffer.from(`${JSON.stringify(meta)}\n`));
  }
  return { number, dir, isNew, older: olderShards(fs, spoolDir, number) };
}

/** The shard directories that are left of generations before `current`, oldest first. */
export function olderShards(fs: SpoolFs, spoolDir: string, current: number): string[] {
  return numeric(fs, spoolDir)
    .filter((g) => g < current)
    .flatMap((g) => numeric(fs, join(spoolDir, String(g))).map((w) => shardDir(spoolDir, g, w)));
}

/** True when every older generation is drained and removed: only then is anything of `current` exported. */
export function olderGenerationsGone(fs: SpoolFs, spoolDir: string, current: number): boolean {
  return olderShards(fs, spoolDir, current).length === 0;
}

/** `<data_dir>/spool/<generation>/<worker>` */
export function shardDir(spoolDir: string, generation: number, worker: number): string {
  return join(spoolDir, String(generation), String(worker));
}

/**
 * Removes a drained shard, and its generation's directory with the last one. Segments go first and checkpoints last: interrupted, it
 * leaves a shard that is still known as drained. Call it again after a crash.
 */
export async function removeShard(fs: SpoolFs, dir: string): Promise<void> {
  const generation = join(dir, '..');
  const isClass = (name: string) => EVENT_CLASSES.some((cls) => cls === name);
  for (const cls of fs.readdirSync(dir).filter(isClass)) {
    const log = join(dir, cls);
    for (const name of fs.readdirSync(log)) await fs.unlink(join(log, name));
    await fs.rmdir(log);
  }
  await fs.fsyncDir(dir);
  for (const name of fs.readdirSync(dir)) await fs.unlink(join(dir, name));
  await fs.rmdir(dir);
  await fs.fsyncDir(generation);
  if (numeric(fs, generation).length > 0) return;
  for (const name of fs.readdirSync(generation)) await fs.unlink(join(generation, name));
  await fs.rmdir(generation);
  await fs.fsyncDir(join(generation, '..'));
}

/** Unlinks the segment of a shard that was written longest ago, alarms last. */
export async function dropOldestSegment(fs: SpoolFs, dir: string): Promise<void> {
  let best: { path: string; log: string; created: number } | undefined;
  for (const cls of EVENT_CLASSES) {
    const log = join(dir, cls);
    if (!fs.statSync(log)) continue;
    const number = listSegments(fs, log)[0];
    if (number === undefined) continue;
    const path = segmentPath(log, number);
    const { opened } = withFile(fs, path, (fd) => probeSegment(fs, fd, path));
    const created = cls === 'alarm' ? Number.MAX_VALUE : opened.state === 'ok' ? opened.header.created : 0;
    if (!best || created < best.created) best = { path, log, created };
  }
  if (!best) return;
  await fs.unlink(best.path);
  await fs.fsyncDir(best.log);
}

export interface FoundLog {
  generation: number;
  worker: number;
  class: EventClass;
  dir: string;
  segments: number;
  bytes: number;
}

/** Every class log of the spool, oldest generation first. */
export function listLogs(spoolDir: string, fs: SpoolFs = realFs): FoundLog[] {
  const out: FoundLog[] = [];
  for (const { number: generation } of listGenerations(fs, spoolDir)) {
    for (const worker of numeric(fs, join(spoolDir, String(generation)))) {
      for (const cls of EVENT_CLASSES) {
        const dir = join(shardDir(spoolDir, generation, worker), cls);
        if (!fs.statSync(dir)) continue;
        const numbers = listSegments(fs, dir);
        const bytes = numbers.reduce((sum, n) => sum + (fs.statSync(segmentPath(dir, n))?.size ?? 0), 0);
        out.push({ generation, worker, class: cls, dir, segments: numbers.length, bytes });
      }
    }
  }
  return out;
}

function numeric(fs: SpoolFs, dir: string): number[] {
  return fs
    .readdirSync(dir)
    .filter((n) => /^(0|[1-9]\d{0,14})$/.test(n))
    .map(Number)
    .sort((a, b) => a - b);
}

function parseMeta(b: Buffer): GenerationMeta | undefined {
  try {
    const m = JSON.parse(b.toString('utf8')) as Partial<GenerationMeta> | null;
    return typeof m?.version === 'number' && typeof m.workers === 'number' ? (m as GenerationMeta) : undefined;
  } catch {
    return undefined;
  }
}
