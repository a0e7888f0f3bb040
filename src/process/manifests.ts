/** Manifests of a worker: each minute and at stop for every class; at start for what an earlier boot left without one. */
import { basename, join } from 'node:path';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import { realFs } from '../spool/fs.ts';
import { type Manifest, ManifestBuilder, manifestedSeqs, manifestKey, recoverTail } from '../spool/manifest.ts';
import { SpoolReader } from '../spool/reader.ts';
import type { SegmentInfo } from '../spool/recovery.ts';

const EVERY_MS = 60_000;

export interface ManifestsOptions {
  clock: Clock;
  boot: number;
  worker: number;
  /** The shard's directory, and those of older generations this worker drains. */
  shard: string;
  older: string[];
  /** Of `shard`, as recovery found them. */
  segments: Record<EventClass, readonly SegmentInfo[]>;
  /** Resolves when everything appended so far is durable. */
  flush: () => Promise<void>;
  /** Says one as a system.v1 event. */
  emit: (data: Record<string, unknown>) => void;
}

export class Manifests {
  private readonly o: ManifestsOptions;
  private readonly builders: Record<EventClass, ManifestBuilder>;
  private timer: TimerHandle | undefined;
  private finished = false;

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
    this.timer = this.o.clock.setTimeout(() => {
      void this.say().then(() => {
        if (!this.finished) this.start();
      });
    }, EVERY_MS);
  }

  /** The last ones of this boot. */
  async finish(): Promise<void> {
    this.finished = true;
    if (this.timer) this.o.clock.clearTimeout(this.timer);
    await this.say();
  }

  /** Manifests for what earlier boots of this shard spooled after their last one: a crash leaves no gap in the audit. */
  async recover(log: Logger): Promise<void> {
    for (const shard of [this.o.shard, ...this.o.older]) {
      const reader = (cls: EventClass): SpoolReader =>
        new SpoolReader({ dir: join(shard, cls), fs: realFs, end: 'all' });
      const system = reader('system');
      const covered = manifestedSeqs(system);
      system.close();
      for (const cls of EVENT_CLASSES) {
        const r = reader(cls);
        const until = (boot: number): number => covered.get(manifestKey(boot, cls)) ?? 0;
        // Whole segments that are covered are not read again: a full spool would keep the worker from its sockets for minutes.
        const known = shard === this.o.shard ? this.o.segments[cls] : [];
        const open = known.find((s) => s.lastSeq > until(s.boot));
        if (known.length > 0 && !open) continue;
        const from = open ? { segment: open.number, offset: 0 } : 'oldest';
        for (const m of await recoverTail(r, cls, this.o.boot, until, from)) {
          log.info(
            { shard, class: m.class, boot: m.boot, first: m.first, last: m.last },
            'manifest of an earlier boot',
          );
          this.emit(m, 'recovered', Number(basename(shard)));
        }
        r.close();
      }
    }
  }

  /**
   * `system` last, so that it covers the manifests of the others; the one of `system` itself is covered by the next. A manifest is said
   * only when what it covers is durable: else a power cut could leave a manifest of records that nobody was ever promised.
   */
  private async say(): Promise<void> {
    for (const classes of [['alarm', 'routing', 'metrics'], ['system']] as EventClass[][]) {
      const taken = classes.map((cls) => this.builders[cls].take()).filter((m) => m !== undefined);
      if (taken.length === 0) continue;
      await this.o.flush();
      for (const m of taken) this.emit(m, 'written');
    }
  }

  private emit(m: Manifest, reason: string, worker = this.o.worker): void {
    this.o.emit({ kind: 'manifest', reason, worker, ...m });
  }
}
