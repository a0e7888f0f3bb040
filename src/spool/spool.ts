/** The writer of one worker: four class logs, recovered when opened, with the retention of what is exported. */
import type { Buffer } from 'node:buffer';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { type Logger, silentLog } from '../core/log.ts';
import type { TextWriter } from '../core/text-writer.ts';
import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import { mkdirDurable, realFs, type SpoolFs } from './fs.ts';
import { ClassLog } from './log.ts';
import { inspectLog, type LogRecovery, recoverLog } from './recovery.ts';
import type { Position, SpoolUsage, SpoolWriter } from './types.ts';

const MIB = 1024 * 1024;

export interface SpoolLimits {
  /** spool.max_bytes: of the whole node. */
  maxBytes: number;
  /** spool.retain: exported bytes the node keeps. */
  retain: number;
  /** How many workers share them. */
  shards: number;
  /** False where no durable exporter is configured: then all is a ring of maxBytes. */
  durable: boolean;
}

/** The part of a metrics registry that the spool needs. */
export interface SpoolMetrics {
  handle(
    name:
      | 'tidegate_spool_bytes'
      | 'tidegate_spool_unexported_bytes'
      | 'tidegate_spool_corrupt_records_total'
      | 'tidegate_spool_torn_bytes_total'
      | 'tidegate_spool_sync_errors_total'
      | 'tidegate_lost_events_total',
    labels?: Record<string, string | number>,
  ): { value: number };
  histogram(name: 'tidegate_spool_sync_seconds'): { observe(seconds: number): void };
}

export interface SpoolOptions {
  /** The shard: `<data_dir>/spool/<generation>/<worker>` (generations.ts, `shardDir`). */
  dir: string;
  /** Where damaged bytes are set aside: `<data_dir>/quarantine`. */
  quarantineDir: string;
  worker: number;
  site: string;
  node: string;
  clock: Clock;
  limits: SpoolLimits;
  /** UTC microseconds of this process' start. Raised where an earlier boot in the shard is not earlier (a clock set back). */
  boot: number;
  fs?: SpoolFs;
  log?: Logger;
  metrics?: SpoolMetrics;
  /** Low-water marks known from the checkpoints, so that what is exported does not count as fill until the exporter speaks up. */
  exported?: Partial<Record<EventClass, Position>>;
  /** Default: a 64th of the shard's part of maxBytes, 1 to 64 MiB. */
  segmentBytes?: number;
  /** Default 50, which a record after a quiet moment does not wait: see ClassLogOptions. */
  commitIntervalMs?: number;
  /** Default 5, at most commitIntervalMs. */
  urgentIntervalMs?: number;
  random?: () => number;
}

/** The share of a ring that other classes never take from alarms. */
const ALARM_SHARE = 0.2;

export class Spool implements SpoolWriter {
  readonly boot: number;
  /** What recovery did, by class. */
  readonly recovery: Record<EventClass, LogRecovery>;
  onSummed: (cls: EventClass, first: number, sums: Uint32Array, count: number) => void = () => {};
  onSynced: (cls: EventClass, seq: number, end: Position) => void = () => {};
  private readonly logs: Record<EventClass, ClassLog>;
  private readonly all: ClassLog[];
  private readonly o: SpoolOptions;
  private readonly maxBytes: number;
  private readonly retain: number;
  private readonly bytesGauges: { value: number }[];
  private readonly unexportedGauges: { value: number }[];
  private unlinking: Promise<void> = Promise.resolve();

  /**
   * Recovers the shard and opens it for appending. Rejects with SpoolFormatError, having touched nothing, where a newer version wrote
   * any of it; with the operating system's error where the disk cannot be read or written.
   */
  static async open(o: SpoolOptions): Promise<Spool> {
    const fs = o.fs ?? realFs;
    for (const cls of EVENT_CLASSES) inspectLog(fs, join(o.dir, cls));
    const recovery = {} as Record<EventClass, LogRecovery>;
    for (const cls of EVENT_CLASSES) {
      const dir = join(o.dir, cls);
      await mkdirDurable(fs, dir);
      const created = o.clock.wallMs() * 1000;
      const { worker, boot, site, node } = o;
      const label = `${o.dir.split('/').slice(-2).join('-')}-${cls}`;
      recovery[cls] = await recoverLog(fs, dir, o.quarantineDir, label, {
        cls,
        worker,
        boot,
        firstSeq: 1,
        created,
        site,
        node,
      });
    }
    return new Spool(o, fs, recovery);
  }

  private constructor(o: SpoolOptions, fs: SpoolFs, recovery: Record<EventClass, LogRecovery>) {
    this.o = o;
    this.recovery = recovery;
    const boots = EVENT_CLASSES.flatMap((cls) => recovery[cls].segments.map((s) => s.boot));
    this.boot = boots.reduce((boot, earlier) => Math.max(boot, earlier + 1), o.boot);
    const shards = Math.max(1, o.limits.shards);
    this.maxBytes = o.limits.maxBytes / shards;
    this.retain = o.limits.durable ? Math.min(o.limits.retain, o.limits.maxBytes) / shards : this.maxBytes;
    const segmentBytes = o.segmentBytes ?? Math.min(64 * MIB, Math.max(MIB, Math.floor(this.maxBytes / 64)));
    const syncSeconds = o.metrics?.histogram('tidegate_spool_sync_seconds');
    const syncErrors = o.metrics?.handle('tidegate_spool_sync_errors_total') ?? { value: 0 };
    const log = o.log ?? silentLog;
    const commitIntervalMs = o.commitIntervalMs ?? 50;
    this.logs = {} as Record<EventClass, ClassLog>;
    for (const cls of EVENT_CLASSES) {
      this.logs[cls] = new ClassLog({
        dir: join(o.dir, cls),
        fs,
        clock: o.clock,
        cls,
        boot: this.boot,
        worker: o.worker,
        site: o.site,
        node: o.node,
        segmentBytes,
        commitIntervalMs,
        urgentIntervalMs: Math.min(commitIntervalMs, o.urgentIntervalMs ?? 5),
        segments: recovery[cls].segments,
        nextNumber: recovery[cls].nextNumber,
        random: o.random,
        onSummed: (first, sums, count) => this.onSummed(cls, first, sums, count),
        onSynced: (seq, end) => this.onSynced(cls, seq, end),
        onSyncTime: (seconds) => syncSeconds?.observe(seconds),
        onError: (error, full) => {
          syncErrors.value++;
          log.error({ class: cls, error: String(error) }, 'the spool could not write; the records go to a new segment');
          return full && this.dropExported(0, 0) > 0;
        },
        onRoll: () => this.enforceRetention(),
      });
    }
    this.all = EVENT_CLASSES.map((cls) => this.logs[cls]);
    this.bytesGauges = EVENT_CLASSES.map(
      (cls) => o.metrics?.handle('tidegate_spool_bytes', { class: cls }) ?? { value: 0 },
    );
    this.unexportedGauges = EVENT_CLASSES.map(
      (cls) => o.metrics?.handle('tidegate_spool_unexported_bytes', { class: cls }) ?? { value: 0 },
    );
    this.countRecovery(log);
    for (const cls of EVENT_CLASSES) {
      const known = o.limits.durable ? o.exported?.[cls] : { segment: Number.MAX_SAFE_INTEGER, offset: 0 };
      if (known) this.logs[cls].exportedUpTo(known);
    }
    this.enforceRetention();
  }

  private countRecovery(log: Logger): void {
    for (const cls of EVENT_CLASSES) {
      const { tornBytes, damaged, lostRecords } = this.recovery[cls];
      const { metrics } = this.o;
      if (metrics && tornBytes > 0) metrics.handle('tidegate_spool_torn_bytes_total').value += tornBytes;
      if (metrics && damaged > 0) metrics.handle('tidegate_spool_corrupt_records_total').value += damaged;
      if (metrics && lostRecords > 0)
        metrics.handle('tidegate_lost_events_total', { collector: 'unknown', reason: 'corrupt' }).value += lostRecords;
      if (tornBytes > 0)
        log.info({ class: cls, bytes: tornBytes }, 'cut off an unfinished write of the previous process');
      if (damaged > 0)
        log.error(
          { class: cls, places: damaged, lost: lostRecords, quarantine: this.o.quarantineDir },
          'damaged records set aside',
        );
    }
  }

  nextSeq(cls: EventClass): number {
    return this.logs[cls].nextSeq;
  }

  append(cls: EventClass, sec: number, nsec: number, payload: Buffer): number {
    return this.logs[cls].append(sec, nsec, payload);
  }

  beginRecord(cls: EventClass): TextWriter {
    return this.logs[cls].beginRecord();
  }

  endRecord(cls: EventClass, sec: number, nsec: number): number {
    return this.logs[cls].endRecord(sec, nsec);
  }

  hurry(cls: EventClass): void {
    this.logs[cls].hurry();
  }

  writeOut(): boolean {
    let all = true;
    for (const log of this.all) if (!log.writeOut()) all = false;
    return all;
  }

  durableEnd(cls: EventClass): Position {
    return this.logs[cls].durableEnd;
  }

  durableSeq(cls: EventClass): number {
    return this.logs[cls].durableSeq;
  }

  exportedUpTo(cls: EventClass, position: Position): void {
    this.logs[cls].exportedUpTo(position);
    this.enforceRetention();
    if (this.failure !== undefined) this.retryNow();
  }

  /** The disk may have room again: try now instead of waiting for the back-off. */
  retryNow(): void {
    for (const log of this.all) log.retryNow();
  }

  get unsyncedBytes(): number {
    let sum = 0;
    for (const log of this.all) sum += log.unsyncedBytes;
    return sum;
  }

  get waitingSince(): number | undefined {
    let oldest: number | undefined;
    for (const log of this.all) {
      const since = log.waitingSince;
      if (since !== undefined && (oldest === undefined || since < oldest)) oldest = since;
    }
    return oldest;
  }

  get failure(): string | undefined {
    for (const log of this.all) if (log.failure !== undefined) return log.failure;
    return undefined;
  }

  /** Also brings the gauges up to date: ask before each metrics snapshot. */
  usage(): SpoolUsage {
    const out = {} as SpoolUsage;
    EVENT_CLASSES.forEach((cls, i) => {
      const u = this.logs[cls].usage();
      out[cls] = u;
      this.bytesGauges[i].value = u.bytes;
      this.unexportedGauges[i].value = u.unexported;
    });
    return out;
  }

  async flush(): Promise<void> {
    await Promise.all(this.all.map((log) => log.flush()));
  }

  /** Rejects where records could not be made durable. */
  async close(): Promise<void> {
    const ok = await Promise.all(this.all.map((log) => log.close()));
    await this.unlinking;
    if (ok.includes(false)) throw new Error(`records were not made durable: ${this.failure}`);
  }

  private enforceRetention(): void {
    this.dropExported(this.retain, this.maxBytes);
  }

  /** Deletes exported segments, oldest first, until at most `retain` exported and `total` bytes in all are left. Returns how many. */
  private dropExported(retain: number, total: number): number {
    const usage = this.usage();
    let bytes = 0;
    let unexported = 0;
    for (const cls of EVENT_CLASSES) {
      bytes += usage[cls].bytes;
      unexported += usage[cls].unexported;
    }
    let dropped = 0;
    while (bytes > total || bytes - unexported > retain) {
      const victim = this.victim();
      if (!victim) break;
      const before = victim.bytes;
      const unlinked = victim.dropOldest();
      bytes -= before - victim.bytes;
      dropped++;
      // A file that cannot be unlinked is found and dropped again after the next start.
      this.unlinking = Promise.all([this.unlinking, unlinked.catch(() => {})]).then(() => {});
    }
    return dropped;
  }

  /** The log whose oldest segment goes next: the oldest of all, alarms only where they hold more than their share. */
  private victim(): ClassLog | undefined {
    let best: ClassLog | undefined;
    let bestAge = Number.POSITIVE_INFINITY;
    for (const log of this.all) {
      const created = log.oldestDroppable();
      if (created === undefined) continue;
      const spared = log.cls === 'alarm' && log.bytes <= ALARM_SHARE * this.retain;
      const age = spared ? Number.MAX_VALUE : created;
      if (age < bestAge) {
        best = log;
        bestAge = age;
      }
    }
    return best;
  }
}
