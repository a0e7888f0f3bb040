/**
 * The export thread of a worker: older generations first, then the current shard, so that a device's order survives a change of the
 * number of workers. Everything durable is read from the files: a backlog and the live stream are the same thing.
 */
import { basename } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { systemClock as clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import { Checkpoint, checkpointPath } from '../spool/checkpoint.ts';
import { realFs } from '../spool/fs.ts';
import { olderGenerationsGone, removeShard } from '../spool/generations.ts';
import { SpoolReader } from '../spool/reader.ts';
import { recoverLog } from '../spool/recovery.ts';
import type { Position } from '../spool/types.ts';
import { KafkaExporter } from './kafka/exporter.ts';
import { QuarantineFile } from './kafka/quarantine.ts';
import type { ExportInit, FromExport, ToExport } from './messages.ts';
import { StdoutExporter } from './stdout/exporter.ts';
import type { Exporter, ShardExport } from './types.ts';

const REPORT_MS = 200;
const QUARANTINE = 'quarantine';

/** One exporter on one shard, with its saved cursors. */
interface Running {
  exporter: Exporter;
  shard: ShardExport;
  checkpoint: Checkpoint | undefined;
  saved: string;
}

function say(m: FromExport): void {
  parentPort!.postMessage(m);
}

const log: Logger = {
  debug: (fields, msg) => say({ kind: 'log', level: 'debug', fields, msg }),
  info: (fields, msg) => say({ kind: 'log', level: 'info', fields, msg }),
  warn: (fields, msg) => say({ kind: 'log', level: 'warn', fields, msg }),
  error: (fields, msg) => say({ kind: 'log', level: 'error', fields, msg }),
  child: () => log,
};

class ExportThread {
  private readonly init: ExportInit;
  private readonly exporters: Exporter[] = [];
  private readonly current: Running[] = [];
  private readonly ends: Record<EventClass, { end: Position; seq: number | undefined }>;
  private older: string[];
  private draining: Running[] = [];
  private stopping = false;

  constructor(init: ExportInit) {
    this.init = init;
    this.older = [...init.older];
    this.ends = Object.fromEntries(EVENT_CLASSES.map((c) => [c, { end: init.ends[c], seq: undefined }])) as never;
    for (const [name, config] of Object.entries(init.config.exporters)) {
      if (config.type === 'stdout') {
        if (config.enabled) this.exporters.push(new StdoutExporter({ name, node: init.node, tty: init.tty, write: (text) => say({ kind: 'lines', text }) }));
      } else {
        const quarantine = new QuarantineFile(QUARANTINE, name, init.worker, init.node);
        this.exporters.push(new KafkaExporter({ name, config, node: init.node, worker: init.worker, clock, log, quarantine }));
      }
    }
    for (const e of this.exporters) {
      if (!e.durable) this.current.push(this.open(e, init.shard, true));
    }
    void this.run();
    this.report();
  }

  /** A class of the current shard is durable further than before. */
  durable(cls: EventClass, end: Position, seq: number): void {
    this.ends[cls] = { end, seq };
    for (const r of this.current) r.shard.durable(cls, end, seq);
  }

  linesWritten(): void {
    for (const e of this.exporters) if (e instanceof StdoutExporter) e.written();
  }

  /** Waits until all is delivered, at most so long; saves the cursors. */
  async stop(deadlineMs: number): Promise<void> {
    const end = clock.nowMs() + deadlineMs;
    while (clock.nowMs() < end && ![...this.current, ...this.draining].every((r) => r.shard.drained())) await sleep(20);
    this.stopping = true;
    await this.save([...this.current, ...this.draining]);
    for (const r of [...this.current, ...this.draining]) r.shard.close();
    await Promise.all(this.exporters.map((e) => e.close()));
    this.reportNow();
    say({ kind: 'stopped' });
  }

  private async run(): Promise<void> {
    const durable = this.exporters.filter((e) => e.durable);
    // Without a durable exporter an older generation waits for one: its events are for Kafka.
    if (durable.length === 0) return;
    while (this.older.length > 0 && !this.stopping) await this.drainOlder(durable, this.older[0]);
    while (!this.stopping && !olderGenerationsGone(realFs, this.init.spool, this.init.generation)) await sleep(REPORT_MS);
    if (this.stopping) return;
    for (const e of durable) {
      const r = this.open(e, this.init.shard, true);
      this.current.push(r);
      for (const cls of EVENT_CLASSES) r.shard.durable(cls, this.ends[cls].end, this.ends[cls].seq);
    }
  }

  private async drainOlder(durable: Exporter[], shard: string): Promise<void> {
    try {
      for (const cls of EVENT_CLASSES) await this.recover(shard, cls);
      this.draining = durable.map((e) => this.open(e, shard, false));
      log.info({ shard }, 'draining the shard of an older generation');
      while (!this.stopping && !this.draining.every((r) => r.shard.drained())) await sleep(50);
      if (this.stopping) return;
      await this.save(this.draining);
      for (const r of this.draining) r.shard.close();
      this.draining = [];
      await removeShard(realFs, shard);
      this.older.shift();
      log.info({ shard }, 'the shard of an older generation is drained and removed');
    } catch (e) {
      log.error({ shard, error: String(e) }, 'an older shard could not be drained; it is tried again');
      for (const r of this.draining) r.shard.close();
      this.draining = [];
      await sleep(5000);
    }
  }

  /** A shard nobody writes any more may end in an unfinished write. */
  private async recover(shard: string, cls: EventClass): Promise<void> {
    const { site, node } = this.init;
    const worker = Number(basename(shard));
    const created = clock.wallMs() * 1000;
    const label = `${shard.split('/').slice(-2).join('-')}-${cls}`;
    const r = await recoverLog(realFs, `${shard}/${cls}`, QUARANTINE, label, { cls, worker, boot: 0, firstSeq: 1, created, site, node });
    if (r.damaged > 0) log.error({ shard, class: cls, places: r.damaged, lost: r.lostRecords }, 'damaged records set aside');
  }

  private open(exporter: Exporter, shard: string, live: boolean): Running {
    const checkpoint = exporter.durable ? new Checkpoint(realFs, checkpointPath(shard, exporter.name)) : undefined;
    const opened = exporter.open({
      boot: live ? this.init.boot : undefined,
      open: (cls) => new SpoolReader({ dir: `${shard}/${cls}`, fs: realFs, end: live ? this.ends[cls].end : 'all' }),
      end: (cls) => (live ? this.ends[cls].end : 'all'),
      state: checkpoint?.state,
      onExported: (cls, seqs) => say({ kind: 'exported', cls, seqs }),
    });
    return { exporter, shard: opened, checkpoint, saved: '' };
  }

  private async save(list: readonly Running[]): Promise<void> {
    for (const r of list) {
      if (!r.checkpoint) continue;
      const state = r.shard.state();
      const text = JSON.stringify(state);
      if (text === r.saved) continue;
      // What the checkpoint does not say yet may be needed again: the low-water mark follows it.
      const marks = EVENT_CLASSES.map((cls) => [cls, r.shard.lowWater(cls)] as const);
      try {
        await r.checkpoint.write(state);
        r.saved = text;
        if (this.current.includes(r)) for (const [cls, position] of marks) say({ kind: 'low-water', cls, position });
      } catch (e) {
        log.error({ exporter: r.exporter.name, error: String(e) }, 'the cursors could not be saved; after a restart events would be repeated');
      }
    }
  }

  private report(): void {
    if (this.stopping) return;
    void this.save([...this.current, ...this.draining]).finally(() => clock.setTimeout(() => this.report(), REPORT_MS));
    this.reportNow();
  }

  private reportNow(): void {
    say({ kind: 'progress', progress: this.exporters.map((e) => e.progress()), older: this.older });
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimeout(resolve, ms);
  });
}

let thread: ExportThread | undefined;

parentPort!.on('message', (m: ToExport) => {
  switch (m.kind) {
    case 'init':
      thread = new ExportThread(m);
      return;
    case 'durable':
      thread?.durable(m.cls, m.end, m.seq);
      return;
    case 'lines-written':
      thread?.linesWritten();
      return;
    case 'stop':
      void (thread?.stop(m.deadlineMs) ?? Promise.resolve()).finally(() => parentPort!.close());
      return;
  }
});
say({ kind: 'loaded' });
