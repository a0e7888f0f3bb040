/** Runs the spool through boots that end in power cuts, and compares what is read with what was appended and reported. */
import { Buffer } from 'node:buffer';
import { join } from 'node:path';
import { ManualClock } from '../../src/core/clock.ts';
import type { EventClass } from '../../src/event/types.ts';
import type { SpoolFs } from '../../src/spool/fs.ts';
import { SpoolReader } from '../../src/spool/reader.ts';
import { Spool, type SpoolOptions } from '../../src/spool/spool.ts';
import type { SpooledRecord } from '../../src/spool/types.ts';
import { FaultyFs, seeded } from './faulty-fs.ts';

export const DIR = '/data/spool/1/0';
export const QUARANTINE = '/data/quarantine';

export function options(fs: SpoolFs, boot: number, more: Partial<SpoolOptions> = {}): SpoolOptions {
  return {
    dir: DIR,
    quarantineDir: QUARANTINE,
    worker: 0,
    site: 'dc1',
    node: 'edge-1',
    clock: new ManualClock(),
    boot,
    limits: { maxBytes: 1 << 30, retain: 1 << 30, shards: 1, durable: true },
    fs,
    segmentBytes: 8192,
    commitIntervalMs: 0,
    random: () => 0.5,
    ...more,
  };
}

/** Lets the pending operations of a FaultyFs go on; it never waits for a timer. */
export async function ticks(n: number): Promise<void> {
  for (let i = 0; i < n; i++) await undefined;
}

/** All records of a reader; payloads copied. */
export function readAll(reader: SpoolReader, maxBytes?: number): SpooledRecord[] {
  const out: SpooledRecord[] = [];
  for (let some = reader.read(maxBytes); some.length > 0; some = reader.read(maxBytes))
    for (const r of some) {
      const { position, next } = r;
      out.push({ ...r, position, next, payload: Buffer.from(r.payload) });
    }
  return out;
}

export interface ModelFaults {
  /** Probability of an EIO or ENOSPC at each change. */
  errors?: number;
  /** What the spool writes to: the file system with a duty taken out. */
  wrap?: (fs: FaultyFs) => SpoolFs;
  /** The process is killed instead: the page cache survives. */
  kill?: boolean;
}

const CLASSES: EventClass[] = ['alarm', 'routing'];

interface Life {
  boot: number;
  appended: Map<EventClass, Buffer[]>;
  synced: Map<EventClass, number>;
  /** Given to the kernel: survives the death of the process. */
  written: Map<EventClass, number>;
}

export interface ModelResult {
  violations: string[];
  cuts: number;
  appended: number;
  synced: number;
  errors: number;
}

/** One seed: up to three lives, each ended by a cut at a random change, recovery included; then everything is read. */
export async function runModel(seed: number, faults: ModelFaults = {}): Promise<ModelResult> {
  const random = seeded(seed);
  const below = (n: number) => Math.floor(random() * n);
  const result: ModelResult = { violations: [], cuts: 0, appended: 0, synced: 0, errors: 0 };
  const lives: Life[] = [];
  let fs = new FaultyFs({ random });
  let boot = 1_700_000_000_000_000;
  const count = 1 + below(3);
  for (let n = 0; n < count; n++) {
    boot += 1_000_000;
    const clock = new ManualClock();
    fs.cutAt = fs.count + 1 + below(n === 0 ? 90 : 140);
    if (faults.errors)
      fs.fault = () => {
        if (random() >= faults.errors!) return undefined;
        result.errors++;
        return random() < 0.5 ? 'EIO' : 'ENOSPC';
      };
    const seen = faults.wrap ? faults.wrap(fs) : fs;
    const opening = Spool.open(options(seen, boot, { clock })).catch(() => undefined);
    const spool = await Promise.race([opening, fs.died.then(() => undefined)]);
    if (spool) await live(spool, fs, clock);
    result.cuts++;
    fs.dead = true;
    fs = faults.kill ? fs.kill() : fs.powerCut();
  }
  await verify();
  return result;

  async function live(spool: Spool, fs: FaultyFs, clock: ManualClock): Promise<void> {
    const life: Life = { boot: spool.boot, appended: new Map(), synced: new Map(), written: new Map() };
    boot = spool.boot;
    for (const cls of CLASSES) life.appended.set(cls, []);
    lives.push(life);
    spool.onSynced = (cls, seq) => {
      // What the dead process would still have been told does not count.
      if (!fs.dead) life.synced.set(cls, seq);
    };
    for (let burst = 0; burst < 40 && !fs.dead; burst++) {
      for (let i = below(6); i >= 0; i--) {
        const cls = CLASSES[below(CLASSES.length)];
        const payload = Buffer.alloc(below(8) === 0 ? below(9000) : below(600), below(256));
        const seq = spool.append(cls, 1_700_000_000 + burst, below(1_000_000_000), payload);
        const list = life.appended.get(cls)!;
        list.push(payload);
        if (seq !== list.length) result.violations.push(`seed ${seed}: append gave seq ${seq}, not ${list.length}`);
        result.appended++;
      }
      if (below(3) === 0 && spool.writeOut() && !fs.dead)
        for (const cls of CLASSES) life.written.set(cls, life.appended.get(cls)!.length);
      await ticks(below(60));
      if (faults.errors) clock.advance(6000);
    }
    for (let i = 0; i < 20 && !fs.dead && spool.unsyncedBytes > 0; i++) {
      await ticks(100);
      clock.advance(6000);
    }
    for (const seq of life.synced.values()) result.synced += seq;
  }

  async function verify(): Promise<void> {
    const spool = await Spool.open(options(fs, boot + 1_000_000));
    const wrong = (text: string) => result.violations.push(`seed ${seed}: ${text}`);
    for (const cls of CLASSES) {
      const records = readAll(new SpoolReader({ dir: join(DIR, cls), fs, end: 'all' }));
      const found = new Map<number, Set<number>>();
      let lastBoot = 0;
      let lastSeq = 0;
      for (const r of records) {
        const life = lives.find((l) => l.boot === r.boot);
        const payload = life?.appended.get(cls)?.[r.seq - 1];
        if (!payload?.equals(r.payload)) wrong(`${cls} ${r.boot}/${r.seq} is not what was appended`);
        if (r.boot < lastBoot || (r.boot === lastBoot && r.seq <= lastSeq))
          wrong(`${cls} ${r.boot}/${r.seq} out of order`);
        lastBoot = r.boot;
        lastSeq = r.seq;
        let seqs = found.get(r.boot);
        if (!seqs) found.set(r.boot, (seqs = new Set()));
        seqs.add(r.seq);
      }
      for (const life of lives) {
        const synced = Math.max(life.synced.get(cls) ?? 0, faults.kill ? (life.written.get(cls) ?? 0) : 0);
        for (let seq = 1; seq <= synced; seq++)
          if (!found.get(life.boot)?.has(seq)) {
            wrong(`${cls} ${life.boot}/${seq} was reported durable or written and is gone (reported up to ${synced})`);
            break;
          }
      }
    }
    await spool.close();
  }
}
