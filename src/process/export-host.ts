/** The ingest thread's end of the export thread: starts it, tells it what is durable, takes receipts, marks and progress. */
import { Worker as Thread } from 'node:worker_threads';
import type { Logger } from '../core/log.ts';
import type { EventClass } from '../event/types.ts';
import { savedLowWater } from '../export/kafka/exporter.ts';
import type { FromExport, ToExport } from '../export/messages.ts';
import type { ExporterProgress } from '../export/types.ts';
import { Checkpoint, checkpointPath } from '../spool/checkpoint.ts';
import { realFs } from '../spool/fs.ts';
import type { Position } from '../spool/types.ts';
import type { Registry } from '../telemetry/registry.ts';
import type { WorkerInit } from './messages.ts';

export interface ExportHostStart {
  init: WorkerInit;
  boot: number;
  ends: Record<EventClass, Position>;
  metrics: Registry;
  onExported: (cls: EventClass, seqs: number[]) => void;
  onLowWater: (cls: EventClass, position: Position) => void;
  onLines: (text: string) => void;
}

export class ExportHost {
  /** As last reported. */
  progress: ExporterProgress[] = [];
  /** Shards of older generations that are not drained yet. */
  olderShards: string[] = [];
  private readonly thread: Thread;
  private readonly log: Logger;
  private o: ExportHostStart | undefined;
  private stopped: () => void = () => {};
  private ended = false;

  /** Resolves when the thread has loaded everything it needs, so that the process can give up root. */
  static load(log: Logger): Promise<ExportHost> {
    return new Promise((resolve, reject) => {
      const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
      const thread = new Thread(new URL(`../export/thread.${extension}`, import.meta.url));
      const host = new ExportHost(thread, log);
      thread.once('message', () => resolve(host));
      thread.once('error', reject);
    });
  }

  private constructor(thread: Thread, log: Logger) {
    this.thread = thread;
    this.log = log;
    thread.on('message', (m: FromExport) => this.take(m));
    thread.on('error', (e: Error) => {
      // The spool keeps everything; a worker whose exporters are gone is started again as a whole.
      log.error({ error: e.stack ?? e.message }, 'the export thread failed; the worker ends and is started again');
      process.exit(1);
    });
    thread.on('exit', () => {
      this.ended = true;
      this.stopped();
    });
  }

  /** What the checkpoints say is delivered, so that it does not count as fill. */
  knownMarks(shard: string, config: WorkerInit['config']['export']): Partial<Record<EventClass, Position>> {
    const marks: Partial<Record<EventClass, Position>>[] = [];
    for (const [name, e] of Object.entries(config.exporters))
      if (e.type === 'kafka') marks.push(savedLowWater(new Checkpoint(realFs, checkpointPath(shard, name)).state));
    return marks.length === 1 ? marks[0] : {};
  }

  start(o: ExportHostStart): void {
    this.o = o;
    const { init } = o;
    const parts = init.shard.split('/');
    this.olderShards = init.olderShards;
    this.tell({
      kind: 'init',
      config: init.config.export,
      site: init.config.site,
      node: init.config.node,
      worker: init.index,
      boot: o.boot,
      spool: parts.slice(0, -2).join('/'),
      shard: init.shard,
      generation: Number(parts.at(-2)),
      older: init.olderShards,
      ends: o.ends,
      tty: init.outTty,
    });
  }

  durable(cls: EventClass, end: Position, seq: number): void {
    this.tell({ kind: 'durable', cls, end, seq });
  }

  linesWritten(): void {
    this.tell({ kind: 'lines-written' });
  }

  /** Delivers what it can within the deadline. */
  async stop(deadlineMs: number): Promise<void> {
    if (this.ended) return;
    await new Promise<void>((resolve) => {
      this.stopped = resolve;
      this.tell({ kind: 'stop', deadlineMs });
    });
  }

  private tell(m: ToExport): void {
    if (!this.ended) this.thread.postMessage(m);
  }

  private take(m: FromExport): void {
    switch (m.kind) {
      case 'exported':
        this.o?.onExported(m.cls, m.seqs);
        return;
      case 'low-water':
        this.o?.onLowWater(m.cls, m.position);
        return;
      case 'lines':
        this.o?.onLines(m.text);
        return;
      case 'progress':
        this.progress = m.progress;
        this.olderShards = m.older;
        this.count();
        return;
      case 'log':
        this.log[m.level](m.fields, m.msg);
        return;
      default:
        return;
    }
  }

  private count(): void {
    const metrics = this.o?.metrics;
    if (!metrics) return;
    for (const p of this.progress) {
      const label = { exporter: p.exporter };
      metrics.handle('tidegate_export_acked_total', label).value = p.acked;
      metrics.handle('tidegate_export_retried_total', label).value = p.retried;
      metrics.handle('tidegate_export_quarantined_total', label).value = p.quarantined;
      metrics.handle('tidegate_export_skipped_total', label).value = p.skipped;
      metrics.handle('tidegate_export_lag_events', label).value = p.lag;
      metrics.handle('tidegate_export_up', label).value = p.up ? 1 : 0;
      for (const [collector, n] of Object.entries(p.quarantinedBy))
        metrics.handle('tidegate_lost_events_total', { collector, reason: 'quarantine' }).value = n;
    }
  }
}
