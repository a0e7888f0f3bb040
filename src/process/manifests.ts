/** Manifests of a worker: each minute and at stop for every class; at start for what an earlier boot left without one. */
import { basename, join } from 'node:path';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import { Checkpoint, checkpointPath } from '../spool/checkpoint.ts';
import { realFs, type SpoolFs } from '../spool/fs.ts';
import { type Manifest, ManifestBuilder, manifestedSeqs, manifestKey, recoverTail } from '../spool/manifest.ts';
import { SpoolReader } from '../spool/reader.ts';
import type { SegmentInfo } from '../spool/recovery.ts';
import type { Position } from '../spool/types.ts';

const EVERY_MS = 60_000;
/** While the spool has no room for a manifest. */
const RETRY_MS = 1000;
/** What is covered, as a checkpoint in the shard; no exporter can have this name. */
const MEMORY = '_manifests';
/** Boots times classes that are kept in it, the newest. */
const MEMORY_MOST = 4096;

export interface ManifestsOptions {
  clock: Clock;
  boot: number;
  worker: number;
  /** The shard's directory, and those of older generations this worker drains. */
  shard: string;
  older: string[];
  /** Of `shard`, as recovery found them. */
  segments: Record<EventClass, readonly SegmentInfo[]>;
  /** Where earlier boots end in `shard`. */
  ends: Record<EventClass, Position>;
  /** Every shard of an older generation, whoever drains it. */
  everyOlder: () => string[];
  /** Is there room for an event of tidegate itself? */
  room: () => boolean;
  /** One of `older` is read. */
  onScanned: (shard: string) => void;
  fs?: SpoolFs;
  /** Resolves when everything appended so far is durable. */
  flush: () => Promise<void>;
  /** Says one as a system.v1 event; false where the spool does not take it. */
  emit: (data: Record<string, unknown>) => boolean;
}

export class Manifests {
  private readonly o: ManifestsOptions;
  private readonly builders: Record<EventClass, ManifestBuilder>;
  private timer: TimerHandle | undefined;
  private finished = false;
  /** Taken, and not said yet. */
  private owed: Manifest[] = [];

  constructor(o: ManifestsOptions) {
    this.o = o;
    this.builders = Object.fromEntries(EVENT_CLASSES.map((cls) => [cls, new ManifestBuilder(o.boot, cls)])) as Record<
      EventClass,
      ManifestBuilder
    >;
  }

  add(cls: EventClass, seq: number, valueCrc: number): void {
    this.builders[cls].add(seq, valueCrc);
  }

  start(): void {
    const full = !this.o.room();
    this.timer = this.o.clock.setTimeout(
      () => {
        void this.say().then(() => {
          if (!this.finished) this.start();
        });
      },
      full ? RETRY_MS : EVERY_MS,
    );
  }

  /** The last ones of this boot. */
  async finish(): Promise<void> {
    this.finished = true;
    if (this.timer) this.o.clock.clearTimeout(this.timer);
    await this.say();
  }

  /**
   * Manifests for what earlier boots of these shards spooled after their last one: a crash leaves no gap in the audit. It takes as long as
   * a full spool takes to be read, so it is done while the sockets are read. Each is said once: what is covered is kept in the shard.
   */
  async recover(log: Logger): Promise<void> {
    const { shard: own, older, fs = realFs } = this.o;
    const memory = new Checkpoint(fs, checkpointPath(own, MEMORY));
    const covered = new Map<string, number>();
    remember(covered, memory.state);
    for (const dir of this.o.everyOlder()) {
      try {
        remember(covered, new Checkpoint(fs, checkpointPath(dir, MEMORY)).state);
      } catch (e) {
        // Another worker removes it at this moment.
        log.debug({ shard: dir, error: (e as Error).message }, 'the memory of a shard could not be read');
      }
    }
    let owed: Said[] = [];
    for (const shard of [own, ...older]) {
      if (this.finished) return;
      const found: Said[] = [];
      try {
        await this.readSystem(shard, covered);
        await this.scan(shard, covered, found, log);
      } catch (e) {
        log.error({ shard, error: (e as Error).message }, 'a shard could not be read for its manifests');
      }
      for (const s of found) covered.set(manifestKey(s.worker, s.m.boot, s.m.class), s.m.last);
      owed.push(...found.filter((s) => !this.emit(s.m, 'recovered', s.worker)));
      // The exporters may drain and remove it from here on: it may be their room that is missing.
      if (shard !== own) this.o.onScanned(shard);
    }
    while (owed.length > 0 && !this.finished) {
      await this.pause(RETRY_MS);
      owed = owed.filter((s) => !this.emit(s.m, 'recovered', s.worker));
    }
    if (this.finished) return;
    await this.o.flush();
    await memory
      .write({ v: 1, covered: [...covered].sort((a, b) => bootOf(a[0]) - bootOf(b[0])).slice(-MEMORY_MOST) })
      .catch((e: Error) =>
        log.warn({ error: e.message }, 'what manifests were recovered could not be kept: they are said again'),
      );
  }

  private reader(shard: string, cls: EventClass): SpoolReader {
    // Behind its end stands what this boot appends, which may be half a record at this moment.
    const end = shard === this.o.shard ? this.o.ends[cls] : 'all';
    return new SpoolReader({ dir: join(shard, cls), fs: this.o.fs ?? realFs, end });
  }

  private async readSystem(shard: string, covered: Map<string, number>): Promise<void> {
    const system = this.reader(shard, 'system');
    await manifestedSeqs(system, Number(basename(shard)), covered);
    system.close();
  }

  private async scan(shard: string, covered: Map<string, number>, found: Said[], log: Logger): Promise<void> {
    const worker = Number(basename(shard));
    for (const cls of EVENT_CLASSES) {
      const until = (boot: number): number => covered.get(manifestKey(worker, boot, cls)) ?? 0;
      // Whole segments that are covered are not read again.
      const known = shard === this.o.shard ? this.o.segments[cls] : [];
      const open = known.find((s) => s.lastSeq > until(s.boot));
      if (known.length > 0 && !open) continue;
      const from = open ? { segment: open.number, offset: 0 } : 'oldest';
      const r = this.reader(shard, cls);
      for (const m of await recoverTail(r, cls, this.o.boot, until, from, () => this.finished)) {
        log.info({ shard, class: m.class, boot: m.boot, first: m.first, last: m.last }, 'manifest of an earlier boot');
        found.push({ m, worker });
      }
      r.close();
    }
  }

  /**
   * `system` last, so that it covers the manifests of the others; the one of `system` itself is covered by the next. A manifest is said
   * only when what it covers is durable: else a power cut could leave a manifest of records that nobody was ever promised.
   */
  private async say(): Promise<void> {
    for (const classes of [['alarm', 'routing', 'metrics'], ['system']] as EventClass[][]) {
      // Without room for them they go on growing, and one manifest covers it all when there is room again.
      if (!this.o.room()) return;
      const taken = classes.map((cls) => this.builders[cls].take()).filter((m) => m !== undefined);
      this.owed.push(...taken);
      if (this.owed.length === 0) continue;
      await this.o.flush();
      // One that is refused at this last moment is said with the next ones.
      this.owed = this.owed.filter((m) => !this.emit(m, 'written'));
    }
  }

  private emit(m: Manifest, reason: string, worker = this.o.worker): boolean {
    return this.o.emit({ kind: 'manifest', reason, worker, ...m });
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.o.clock.setTimeout(resolve, ms);
    });
  }
}

interface Said {
  m: Manifest;
  worker: number;
}

/** The state of a memory, merged into `covered`. */
function remember(covered: Map<string, number>, state: unknown): void {
  const list = (state as { covered?: unknown } | null | undefined)?.covered;
  if (!Array.isArray(list)) return;
  for (const [key, last] of list as [unknown, unknown][])
    if (typeof key === 'string' && typeof last === 'number') covered.set(key, Math.max(covered.get(key) ?? 0, last));
}

function bootOf(key: string): number {
  return Number(key.split(' ')[1]);
}
