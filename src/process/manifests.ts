/** Manifests of a worker: each minute and at stop for every class; at start for what an earlier boot left without one. */
import { join } from 'node:path';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import { realFs } from '../spool/fs.ts';
import { type Manifest, ManifestBuilder, manifestedSeqs, manifestKey, recoverTail } from '../spool/manifest.ts';
import { SpoolReader } from '../spool/reader.ts';

const EVERY_MS = 60_000;

export interface ManifestsOptions {
  clock: Clock;
  boot: number;
  worker: number;
  /** The shard's directory. */
  shard: string;
  /** Says one as a system.v1 event. */
  emit: (data: Record<string, unknown>) => void;
}

export class Manifests {
  private readonly o: ManifestsOptions;
  private readonly builders: Record<EventClass, ManifestBuilder>;
  private timer: TimerHandle | undefined;

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
      this.say();
      this.start();
    }, EVERY_MS);
  }

  /** The last ones of this boot. */
  finish(): void {
    if (this.timer) this.o.clock.clearTimeout(this.timer);
    this.say();
  }

  /** Manifests for what earlier boots of this shard spooled after their last one: a crash leaves no gap in the audit. */
  recover(log: Logger): void {
    const reader = (cls: EventClass): SpoolReader =>
      new SpoolReader({ dir: join(this.o.shard, cls), fs: realFs, end: 'all' });
    const system = reader('system');
    const covered = manifestedSeqs(system);
    system.close();
    const found: Manifest[] = [];
    for (const cls of EVENT_CLASSES) {
      const r = reader(cls);
      found.push(...recoverTail(r, cls, this.o.boot, (boot) => covered.get(manifestKey(boot, cls)) ?? 0));
      r.close();
    }
    for (const m of found) {
      log.info({ class: m.class, boot: m.boot, first: m.first, last: m.last }, 'manifest of an earlier boot');
      this.emit(m, 'recovered');
    }
  }

  /** `system` last, so that it covers the manifests of the others; the one of `system` itself is covered by the next. */
  private say(): void {
    const order: EventClass[] = ['alarm', 'routing', 'metrics', 'system'];
    for (const cls of order) {
      const m = this.builders[cls].take();
      if (m) this.emit(m, 'written');
    }
  }

  private emit(m: Manifest, reason: string): void {
    this.o.emit({ kind: 'manifest', reason, worker: this.o.worker, ...m });
  }
}
