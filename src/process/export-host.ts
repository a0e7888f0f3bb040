/** The ingest thread's end of the export thread: starts it, tells it what is durable, takes receipts, marks and progress. */
import { Worker as Thread } from 'node:worker_threads';
import type { Config } from '../config/schema.ts';
import { parseEndpoint } from '../core/ip.ts';
import type { Logger } from '../core/log.ts';
import type { EventClass } from '../event/types.ts';
import { knownLowWater } from '../export/marks.ts';
import type { ExportThreadData, FromExport, ToExport } from '../export/messages.ts';
import type { Credentials, ExporterProgress } from '../export/types.ts';
import { nativeProblem } from '../net/native.ts';
import { realFs } from '../spool/fs.ts';
import type { Position } from '../spool/types.ts';
import type { Registry } from '../telemetry/registry.ts';
import type { WorkerInit } from './messages.ts';
import { saltNodeOf } from './salt-node.ts';

/** Where damaged records and those Kafka can never accept are set aside, relative to data_dir. */
export const QUARANTINE_DIR = 'quarantine';

export interface ExportHostStart {
  init: WorkerInit;
  boot: number;
  ends: Record<EventClass, Position>;
  metrics: Registry;
  onExported: (cls: EventClass, seqs: number[]) => void;
  onLowWater: (cls: EventClass, position: Position) => void;
  onLines: (text: string) => void;
  /** The thread is gone: the worker makes durable what it has, and ends. */
  onFailed: () => void;
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
  private stopping = false;

  /** Resolves when the thread has loaded everything it needs, so that the process can give up root. */
  static load(log: Logger): Promise<ExportHost> {
    return new Promise((resolve, reject) => {
      const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
      const thread = new Thread(new URL(`../export/thread.${extension}`, import.meta.url), {
        workerData: { nativeProblem: nativeProblem() } satisfies ExportThreadData,
      });
      const host = new ExportHost(thread, log);
      thread.once('message', () => resolve(host));
      thread.once('error', reject);
    });
  }

  private constructor(thread: Thread, log: Logger) {
    this.thread = thread;
    this.log = log;
    thread.on('message', (m: FromExport) => this.take(m));
    thread.on('error', (e: Error) => this.failed(e.stack ?? e.message));
    thread.on('exit', (code) => {
      if (!this.ended && !this.stopping) this.failed(`the thread ended with ${code}`);
      this.ended = true;
      this.stopped();
    });
  }

  /** What the checkpoints say is delivered, so that it does not count as fill. */
  knownMarks(shard: string, config: WorkerInit['config']['export']): Partial<Record<EventClass, Position>> | undefined {
    return knownLowWater(realFs, shard, config);
  }

  start(o: ExportHostStart): void {
    this.o = o;
    const { init } = o;
    this.olderShards = init.olderShards;
    this.tell({
      kind: 'init',
      config: init.config.export,
      networks: init.config.networks,
      peers: peersOf(init.config),
      saltNode: saltNodeOf(init.config),
      node: init.config.node,
      site: init.config.site,
      worker: init.index,
      boot: o.boot,
      shard: init.shard,
      olderShards: init.olderShards,
      quarantineDir: QUARANTINE_DIR,
      ends: o.ends,
      maxBytes: init.config.spool.max_bytes,
      tty: init.outTty,
    });
  }

  durable(cls: EventClass, end: Position, seq: number): void {
    this.tell({ kind: 'durable', cls, end, seq });
  }

  /** Members of the cluster, VIPs and credentials may be others now. */
  reconfigure(config: Config): void {
    this.tell({ kind: 'peers', peers: peersOf(config), saltNode: saltNodeOf(config) });
    this.tell({ kind: 'credentials', of: credentialsOf(config) });
  }

  /** A shard of an older generation has its manifests: it may be drained and removed. */
  scanned(shard: string): void {
    this.tell({ kind: 'scanned', shard });
  }

  linesWritten(): void {
    this.tell({ kind: 'lines-written' });
  }

  /** Delivers what it can within the deadline. */
  async stop(deadlineMs: number): Promise<void> {
    if (this.ended) return;
    this.stopping = true;
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
        this.progress = m.exporters;
        this.olderShards = m.olderShards;
        this.count();
        return;
      case 'log':
        this.log[m.level](m.fields, m.msg);
        return;
      case 'damage':
        this.damaged(m.records);
        return;
      case 'stopped':
        if (!m.clean) this.log.info({}, 'the exporters did not take everything in time; the rest stays in the spool');
        // Its port would keep the thread, and with it this process, alive.
        this.ended = true;
        void this.thread.terminate().then(() => this.stopped());
        return;
      case 'contained':
        this.log.error(
          { error: m.message },
          'a client library let an error fall; its client is built again, nothing is lost',
        );
        if (this.o) this.o.metrics.handle('tidegate_export_contained_total').value++;
        return;
      case 'fatal':
        this.failed(m.message);
        return;
      default:
        return;
    }
  }

  private damaged(records: number): void {
    if (!this.o) return;
    const { metrics } = this.o;
    metrics.handle('tidegate_spool_corrupt_records_total').value++;
    metrics.handle('tidegate_lost_events_total', { collector: 'unknown', reason: 'corrupt' }).value += records;
  }

  /** The spool keeps everything; a worker whose exporters are gone is started again as a whole. */
  private failed(why: string): void {
    this.log.error({ error: why }, 'the export thread failed; the worker ends and is started again');
    this.ended = true;
    this.stopped();
    if (this.o) this.o.onFailed();
    else process.exit(1);
  }

  private count(): void {
    const metrics = this.o?.metrics;
    if (!metrics) return;
    for (const p of this.progress) {
      const label = { exporter: p.exporter };
      metrics.handle('tidegate_export_acked_total', label).value = p.acked;
      metrics.handle('tidegate_export_retried_total', label).value = p.retried;
      metrics.handle('tidegate_export_quarantined_total', label).value = p.quarantined;
      metrics.handle('tidegate_export_quarantine_dropped_total', label).value = p.quarantineDropped ?? 0;
      metrics.handle('tidegate_export_skipped_total', label).value = p.skipped;
      for (const [target, results] of Object.entries(p.relayed ?? {}))
        for (const [result, n] of Object.entries(results))
          metrics.handle('tidegate_relay_total', { exporter: p.exporter, target, result }).value = n;
      for (const [target, away] of Object.entries(p.away ?? {}))
        metrics.handle('tidegate_relay_target_up', { exporter: p.exporter, target }).value = away ? 0 : 1;
      metrics.handle('tidegate_export_lag_events', label).value = p.lag;
      metrics.handle('tidegate_export_up', label).value = p.up ? 1 : 0;
      for (const [collector, n] of Object.entries(p.quarantinedBy))
        metrics.handle('tidegate_lost_events_total', { collector, reason: 'quarantine' }).value = n;
    }
  }
}

function credentialsOf({ export: { exporters } }: Config): Record<string, Credentials> {
  const out: Record<string, Credentials> = {};
  for (const [name, e] of Object.entries(exporters))
    if (e.type === 'kafka' && e.sasl)
      out[name] = { username: e.sasl.username, password: e.sasl.password, token: e.sasl.token };
  return out;
}

/** Where other nodes of this cluster send from, and its VIPs. */
function peersOf(c: Config): string[] {
  const members = (c.cluster?.members ?? []).flatMap((m) => parseEndpoint(m.address)?.address ?? []);
  const vips = c.lb.vips.flatMap((v) => v.addresses.map((a) => a.slice(0, a.indexOf('/'))));
  return [...members, ...vips];
}
