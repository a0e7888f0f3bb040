/**
 * All exporters of one worker: older shards first, then the worker's own. Checkpoints are written here, low-water marks and receipts
 * go back to the worker. The thread around it is thread.ts; tests run it without one.
 */
import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import type { OpenSender } from '../net/types.ts';
import { Salts } from '../protocol/usm/salts.ts';
import { Checkpoint, checkpointPath } from '../spool/checkpoint.ts';
import type { SpoolFs } from '../spool/fs.ts';
import { dropOldestSegment, listLogs, olderGenerationsGone, removeShard } from '../spool/generations.ts';
import { SpoolReader } from '../spool/reader.ts';
import { comparePositions } from '../spool/segment-file.ts';
import type { Position } from '../spool/types.ts';
import { onDevice } from './config.ts';
import { FileExporter } from './file/exporter.ts';
import { KafkaExporter } from './kafka/exporter.ts';
import { QuarantineFile } from './kafka/quarantine.ts';
import type { ExportInit, FromExport, ToExport } from './messages.ts';
import { RelayExporter } from './relay/exporter.ts';
import { LoopPeers } from './relay/peers.ts';
import { StdoutExporter } from './stdout/exporter.ts';
import type { Exporter, ShardExport, ShardLogs } from './types.ts';

const PROGRESS_MS = 200;
/** The same while nothing happens: each look wakes this thread and, for the progress, the worker. */
const REST_MS = 1000;
/** So many looks without anything new are nothing happening: enough for the last checkpoint. */
const RESTS_AFTER = 5;
const CHECKPOINT_MS = 500;
const OLDER_POLL_MS = 200;
const SHOWN_MS = 1000;
const RING_POLL_MS = 5000;
/** A library that fails all the time gets a new client this often at most. */
const REBUILD_MS = 1000;

interface OpenShard {
  exporter: Exporter;
  shard: ShardExport;
  checkpoint: Checkpoint | undefined;
  /** The state last written, as text. */
  saved: string;
}

export interface RunnerOptions {
  init: ExportInit;
  clock: Clock;
  log: Logger;
  fs: SpoolFs;
  send: (m: FromExport) => void;
  /** Sockets of relays. */
  openSender: OpenSender;
  /** Tests put other exporters here. */
  exporters?: Exporter[];
}

export class ExportRunner {
  private readonly o: RunnerOptions;
  private readonly exporters: Exporter[];
  private readonly stdouts: StdoutExporter[] = [];
  private readonly peers: LoopPeers;
  private readonly salts: Salts;
  private readonly ends: Record<EventClass, Position>;
  private readonly seqs: Partial<Record<EventClass, number>> = {};
  /** The worker's own shard, by exporter. */
  private current: OpenShard[] = [];
  private older: OpenShard[] = [];
  private olderLeft: string[];
  private readonly marks = new Map<EventClass, Position>();
  private readonly receipts = new Map<string, Map<number, number>>();
  private readonly damaged = new Set<string>();
  private timer: TimerHandle | undefined;
  private lastCheckpoint = 0;
  /** What progress was last, as text, and for how many looks. */
  private said = '';
  private rests = 0;
  private rebuilding = false;
  private readonly scanned = new Set<string>();
  private currentOpen = false;
  private stopping = false;
  private ended = false;
  private wake: (() => void) | undefined;

  constructor(o: RunnerOptions) {
    this.o = o;
    this.ends = { ...o.init.ends };
    this.olderLeft = [...o.init.olderShards];
    this.salts = new Salts(o.init.saltNode, o.init.worker, true, randomBytes(5));
    this.peers = new LoopPeers(o.init.config, o.init.peers, o.clock);
    this.exporters = o.exporters ?? this.build();
    for (const e of this.exporters)
      e.onChange = () => {
        this.wake?.();
        this.stir();
      };
  }

  start(): void {
    // What is not durable shows the present at once and has no part in the past.
    for (const e of this.exporters) if (!e.durable) this.current.push(this.open(e, this.o.init.shard, false));
    this.tick();
    this.run().catch((e) => {
      if (!this.ended) this.o.send({ kind: 'fatal', message: e instanceof Error ? (e.stack ?? e.message) : String(e) });
    });
  }

  handle(m: ToExport): void {
    switch (m.kind) {
      case 'durable':
        this.ends[m.cls] = m.end;
        this.seqs[m.cls] = m.seq;
        for (const s of this.current) s.shard.durable(m.cls, m.end, m.seq);
        this.stir();
        return;
      case 'peers':
        this.peers.replace(m.peers);
        this.salts.node = m.saltNode;
        return;
      case 'credentials':
        for (const e of this.exporters) if (m.of[e.name]) e.setCredentials?.(m.of[e.name]);
        return;
      case 'scanned':
        this.scanned.add(m.shard);
        this.wake?.();
        return;
      case 'lines-written':
        for (const s of this.stdouts) s.written();
        return;
      case 'stop':
        void this.stop(m.deadlineMs);
        return;
      default:
    }
  }

  /** A client library let an error fall: nobody knows what state it is in, so it begins anew. The lanes keep what was in flight and send it again. */
  contained(message: string): void {
    this.o.send({ kind: 'contained', message });
    if (this.rebuilding || this.ended) return;
    this.rebuilding = true;
    for (const e of this.exporters) e.rebuild?.();
    this.o.clock.setTimeout(() => {
      this.rebuilding = false;
    }, REBUILD_MS);
  }

  private build(): Exporter[] {
    const { init, clock, log } = this.o;
    const out: Exporter[] = [];
    for (const [name, said] of Object.entries(init.config.exporters)) {
      const config = onDevice(said, init.networks);
      if (config.type === 'stdout') {
        if (!config.enabled) continue;
        const e = new StdoutExporter({
          name,
          node: init.node,
          readable: init.tty,
          format: config.format,
          write: (text) => this.o.send({ kind: 'lines', text }),
        });
        this.stdouts.push(e);
        out.push(e);
        continue;
      }
      const { node, site, worker } = init;
      if (config.type === 'file') {
        out.push(new FileExporter({ name, config, node, worker, clock, log }));
        continue;
      }
      if (config.type === 'relay') {
        const own = { site, node, worker, salts: this.salts, peers: this.peers };
        out.push(new RelayExporter({ name, config, ...own, clock, log, open: this.o.openSender }));
        continue;
      }
      const quarantine = new QuarantineFile(init.quarantineDir, name, init.worker, init.node);
      out.push(new KafkaExporter({ name, config, node: init.node, worker: init.worker, clock, log, quarantine }));
    }
    return out;
  }

  /** Older shards one after the other, then, when those of all workers are gone, our own. */
  private async run(): Promise<void> {
    const { fs, init, log } = this.o;
    const durable = this.exporters.filter((e) => e.durable);
    while (this.olderLeft.length > 0 && !this.ended) {
      const dir = this.olderLeft[0];
      await this.until(() => this.scanned.has(dir));
      if (this.ended) return;
      if (durable.length > 0) {
        // A device may have been on another worker's shard in the generation before this one: that one goes first, whoever drains it.
        await this.olderGone(dir);
        if (this.ended) return;
        log.info({ shard: dir }, 'delivering what an earlier number of workers left');
        this.older = durable.map((e) => this.open(e, dir, true));
        await this.until(() => this.older.every((s) => s.shard.drained()));
        if (this.ended) return;
        await this.save(this.older);
        for (const s of this.older) s.shard.close();
        this.older = [];
      } else {
        await this.ringOut(dir);
        if (this.ended) return;
      }
      await removeShard(fs, dir);
      this.olderLeft.shift();
      log.info(
        { shard: dir },
        durable.length > 0 ? 'an older shard is drained and removed' : 'an older shard left the ring',
      );
    }
    if (durable.length > 0) await this.olderGone(init.shard);
    if (this.ended) return;
    const opened = durable.map((e) => this.open(e, init.shard, false));
    this.current.push(...opened);
    this.currentOpen = true;
    // A receiver that is new begins here: said at once, so that a crash does not move it.
    void this.save(opened);
    this.wake?.();
  }

  /**
   * Without a durable exporter the spool is a ring of `maxBytes`, and what an earlier number of workers left is its oldest part: its segments
   * go, oldest first, only where the ring needs their room. Resolves when none is left. A durable exporter configured before that delivers them.
   */
  private async ringOut(dir: string): Promise<void> {
    const { fs, init } = this.o;
    const spoolDir = dirname(dirname(dir));
    while (!this.ended) {
      let total = 0;
      try {
        const logs = listLogs(spoolDir, fs);
        if (!logs.some((l) => dirname(l.dir) === dir && l.segments > 0)) return;
        for (const l of logs) total += l.bytes;
      } catch {
        // Another worker removes one at this moment: the next reading is right.
      }
      if (total > init.maxBytes) {
        await dropOldestSegment(fs, dir);
      } else await this.pause(RING_POLL_MS);
    }
  }

  /** Resolves when every shard of a generation before that of `shard` is drained and removed, by whichever worker. */
  private async olderGone(shard: string): Promise<void> {
    const generation = dirname(shard);
    while (!this.ended && !olderGenerationsGone(this.o.fs, dirname(generation), Number(basename(generation))))
      await this.pause(OLDER_POLL_MS);
  }

  private open(exporter: Exporter, dir: string, old: boolean): OpenShard {
    const { fs, init, log } = this.o;
    const checkpoint = exporter.durable ? new Checkpoint(fs, checkpointPath(dir, exporter.name)) : undefined;
    const logs: ShardLogs = {
      boot: old ? undefined : init.boot,
      open: (cls) =>
        new SpoolReader({
          dir: join(dir, cls),
          fs,
          end: old ? 'all' : this.ends[cls],
          onDamage: ({ position, length, records }) => {
            // Several readers pass the same place.
            const key = `${dir} ${cls} ${position.segment} ${position.offset}`;
            if (!exporter.durable || this.damaged.has(key)) return;
            this.damaged.add(key);
            log.error(
              { shard: dir, class: cls, ...position, length, records },
              'the spool is damaged here: stepped over',
            );
            this.o.send({ kind: 'damage', cls, records });
          },
        }),
      end: (cls) => (old ? 'all' : this.ends[cls]),
      begin: (cls) => (old ? 'all' : this.o.init.ends[cls]),
      state: checkpoint?.state,
      onExported: (cls, seqs) => this.exported(cls, seqs),
    };
    const shard = exporter.open(logs);
    if (!old) for (const cls of EVENT_CLASSES) shard.durable(cls, this.ends[cls], this.seqs[cls]);
    return { exporter, shard, checkpoint, saved: JSON.stringify(checkpoint?.state ?? null) };
  }

  /** A receipt is due when the last durable exporter that confirms has delivered. */
  private exported(cls: EventClass, seqs: number[]): void {
    const needed = this.exporters.filter((e) => e.durable && e.confirms !== false).length;
    if (needed <= 1) {
      this.o.send({ kind: 'exported', cls, seqs });
      return;
    }
    let counts = this.receipts.get(cls);
    if (!counts) {
      counts = new Map();
      this.receipts.set(cls, counts);
    }
    const complete: number[] = [];
    for (const seq of seqs) {
      const n = (counts.get(seq) ?? 0) + 1;
      if (n >= needed) {
        counts.delete(seq);
        complete.push(seq);
      } else counts.set(seq, n);
    }
    if (complete.length > 0) this.o.send({ kind: 'exported', cls, seqs: complete });
  }

  private tick(): void {
    const { clock, send } = this.o;
    if (this.ended) return;
    this.reportMarks();
    const exporters = this.exporters.map((e) => e.progress());
    send({ kind: 'progress', exporters, olderShards: this.draining() });
    const text = JSON.stringify(exporters);
    this.rests = text === this.said && this.olderLeft.length === 0 ? this.rests + 1 : 0;
    this.said = text;
    if (clock.nowMs() - this.lastCheckpoint >= CHECKPOINT_MS) {
      this.lastCheckpoint = clock.nowMs();
      void this.save([...this.older, ...this.current]);
    }
    this.wake?.();
    this.timer = clock.setTimeout(() => this.tick(), this.rests < RESTS_AFTER ? PROGRESS_MS : REST_MS);
  }

  /** Something happens: looks often again. */
  private stir(): void {
    const resting = this.rests >= RESTS_AFTER;
    this.rests = 0;
    if (!resting || this.ended || this.timer === undefined) return;
    this.o.clock.clearTimeout(this.timer);
    this.timer = this.o.clock.setTimeout(() => this.tick(), PROGRESS_MS);
  }

  /** Without a durable exporter nothing is drained: older shards stay as the ring's oldest part. */
  private draining(): string[] {
    return this.exporters.some((e) => e.durable) ? this.olderLeft : [];
  }

  private reportMarks(): void {
    const durable = this.current.filter((s) => s.exporter.durable);
    if (durable.length === 0) return;
    for (const cls of EVENT_CLASSES) {
      let low: Position | undefined;
      for (const s of durable) {
        const at = s.shard.lowWater(cls);
        if (!low || comparePositions(at, low) < 0) low = at;
      }
      const before = this.marks.get(cls);
      if (!low || (before && comparePositions(before, low) >= 0)) continue;
      this.marks.set(cls, low);
      this.o.send({ kind: 'low-water', cls, position: low });
    }
  }

  private async save(shards: OpenShard[]): Promise<void> {
    for (const s of shards) {
      if (!s.checkpoint) continue;
      const state = s.shard.state();
      const text = JSON.stringify(state ?? null);
      if (text === s.saved) continue;
      try {
        await s.checkpoint.write(state);
        s.saved = text;
      } catch (e) {
        // What was delivered since the last one is delivered again after a restart.
        this.o.log.warn(
          { exporter: s.exporter.name, error: e instanceof Error ? e.message : String(e) },
          'the checkpoint of an exporter could not be written; it is tried again',
        );
      }
    }
  }

  private async stop(deadlineMs: number): Promise<void> {
    if (this.stopping) return;
    this.stopping = true;
    const { clock, send } = this.o;
    const end = clock.nowMs() + deadlineMs;
    const done = () =>
      !this.exporters.some((e) => e.durable) ||
      (this.currentOpen &&
        this.olderLeft.length === 0 &&
        this.current.every((s) => !s.exporter.durable || s.shard.drained()));
    while (!done() && clock.nowMs() < end) await this.pause(20);
    const clean = done();
    // Who prints waits for nobody, but the last lines of an ordered end are worth a moment.
    const shown = () => this.current.every((s) => s.exporter.durable || s.shard.drained());
    const patience = clock.nowMs() + Math.min(deadlineMs, SHOWN_MS);
    while (!shown() && clock.nowMs() < patience) await this.pause(10);
    this.reportMarks();
    send({ kind: 'progress', exporters: this.exporters.map((e) => e.progress()), olderShards: this.draining() });
    this.ended = true;
    this.wake?.();
    if (this.timer) clock.clearTimeout(this.timer);
    await this.save([...this.older, ...this.current]);
    for (const s of [...this.older, ...this.current]) s.shard.close();
    await Promise.all(this.exporters.map((e) => e.close().catch(() => {})));
    send({ kind: 'stopped', clean });
  }

  private async until(condition: () => boolean): Promise<void> {
    while (!condition() && !this.ended)
      await new Promise<void>((resolve) => {
        this.wake = () => {
          this.wake = undefined;
          resolve();
        };
      });
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.o.clock.setTimeout(resolve, ms);
    });
  }
}
