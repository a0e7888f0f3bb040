/**
 * An ingest worker: its sockets, its collectors, its shard of the spool, its exporters (in a thread of their own).
 *
 *   sockets ─► collectors ─► pipeline ─► spool ══ fdatasync ══► export thread ─► Kafka
 *      ▲                        │            │                        │
 *      └── Response ◄─ receipts ◄── spooled ─┴──────── exported ◄─────┘
 *
 * The lease is renewed from the loop that reads the sockets: if it stands still, so does the lease, and the VIP goes elsewhere.
 */

import { basename, dirname, join } from 'node:path';
import type { Collector } from '../collectors/collector.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { shortHash } from '../core/hash.ts';
import type { Logger } from '../core/log.ts';
import type { Device, EventClass } from '../event/types.ts';
import { EVENT_CLASSES } from '../event/types.ts';
import { confirms, isDurable, wantsRaw } from '../export/config.ts';
import { DeviceTable } from '../inventory/inventory.ts';
import { EventPipeline } from '../pipeline/pipeline.ts';
import { realFs } from '../spool/fs.ts';
import { olderShards } from '../spool/generations.ts';
import { Quota } from '../spool/quota.ts';
import { recoverLog, type SegmentInfo } from '../spool/recovery.ts';
import { Spool } from '../spool/spool.ts';
import type { Position } from '../spool/types.ts';
import { type CodeText, REFUSAL_CODES } from '../telemetry/codes.ts';
import { Refusals } from '../telemetry/refusals.ts';
import { Registry } from '../telemetry/registry.ts';
import { clockStore } from './clock-store.ts';
import { type BuiltCollectors, buildCollectors } from './collectors.ts';
import { ExportHost, QUARANTINE_DIR } from './export-host.ts';
import { HealthMeter } from './health.ts';
import { LeaseChannel } from './lease-channel.ts';
import { LiveListeners } from './live-listeners.ts';
import { Manifests } from './manifests.ts';
import { makeMeaning } from './meaning.ts';
import type { FromWorker, Question, Renewal, SystemEvent, ToWorker, WorkerInit, WorkerStatus } from './messages.ts';
import { dropTo } from './privileges.ts';
import { Reports } from './reports.ts';
import { saltNodeOf } from './salt-node.ts';
import { SecurityStream } from './security.ts';
import { TapPump } from './tap-pump.ts';
import { applyUsers } from './user-changes.ts';
import { VipTable } from './vip-seen.ts';

/** How long a worker without a supervisor tries to make durable what it received. */
const ABANDON_MS = 5000;
/** Messages that a worker which is not open yet keeps. */
const KEPT: ReadonlySet<ToWorker['kind']> = new Set([
  'inventory',
  'meaning',
  'reconfigure',
  'listen',
  'unlisten',
  'adjust',
]);

export class Worker {
  readonly registry = new Registry();
  private readonly init: WorkerInit;
  private readonly clock: Clock;
  private readonly log: Logger;
  private readonly send: (m: FromWorker, written?: () => void) => void;
  private readonly inventory: DeviceTable;
  private readonly refusals: Refusals;
  private readonly self: Device;
  private config: Config;
  private spool!: Spool;
  private pipeline!: EventPipeline;
  private quota!: Quota;
  private exports!: ExportHost;
  private manifests!: Manifests;
  private collectors!: BuiltCollectors;
  private listeners!: LiveListeners;
  private health!: HealthMeter;
  private lease!: LeaseChannel;
  private security!: SecurityStream;
  private readonly tapPump: TapPump;
  private readonly vips: Record<string, number> = {};
  /** Resolves when `stop` has done its work. */
  readonly stopped: Promise<void>;
  private finish: () => void = () => {};
  private opened = false;
  private readonly early: ToWorker[] = [];
  private counter = 0;
  private draining = false;
  private leaving = false;
  private reading = false;
  private reported = true;
  private readonly reports = new Reports();
  private stopping = false;

  constructor(init: WorkerInit, clock: Clock, log: Logger, send: (m: FromWorker, written?: () => void) => void) {
    this.init = init;
    this.clock = clock;
    this.log = log;
    this.send = send;
    this.config = init.config;
    this.inventory = new DeviceTable(init.inventory);
    this.refusals = new Refusals(this.registry, clock);
    this.refusals.onFirst = (r) =>
      log[(REFUSAL_CODES[r.code] as CodeText).ordinary ? 'debug' : 'warn'](
        {
          collector: r.collector,
          source: r.source,
          network: r.network,
          code: r.code,
          detail: r.detail,
          fix: REFUSAL_CODES[r.code].fix,
        },
        `refused: ${REFUSAL_CODES[r.code].reason}`,
      );
    this.self = { id: `node|${init.config.node}`, name: init.config.node };
    this.stopped = new Promise((resolve) => {
      this.finish = resolve;
    });
    this.tapPump = new TapPump(clock, (events, written) => send({ kind: 'tapped', events }, written));
  }

  /** Recovers the shard and binds everything; nothing is read yet. Rejects where the worker cannot run. */
  async open(): Promise<void> {
    const { init, clock, log, registry } = this;
    const { config } = init;
    // Everything that has to be loaded from places the user may not read is loaded before root is given up.
    this.exports = await ExportHost.load(log);
    if (init.uid !== undefined && init.gid !== undefined) dropTo({ uid: init.uid, gid: init.gid });
    const exporters = Object.values(config.export.exporters);
    const durable = exporters.some(isDurable);
    this.spool = await Spool.open({
      dir: init.shard,
      quarantineDir: QUARANTINE_DIR,
      worker: init.index,
      site: config.site,
      node: config.node,
      clock,
      log,
      metrics: registry,
      boot: clock.wallMicros(),
      limits: { maxBytes: config.spool.max_bytes, retain: config.spool.retain, shards: init.of, durable },
      exported: this.exports.knownMarks(init.shard, config.export),
    });
    for (const shard of init.olderShards) await this.recoverOlder(shard);
    this.quota = new Quota({
      maxBytes: config.spool.max_bytes,
      highWater: config.spool.high_water,
      lowWater: config.spool.low_water,
      maxUnsynced: config.spool.max_unsynced_bytes,
    });
    const ends = Object.fromEntries(EVENT_CLASSES.map((c) => [c, this.spool.durableEnd(c)])) as Record<
      EventClass,
      Position
    >;
    this.manifests = new Manifests({
      clock,
      boot: this.spool.boot,
      worker: init.index,
      shard: init.shard,
      older: init.olderShards,
      segments: Object.fromEntries(EVENT_CLASSES.map((c) => [c, [...this.spool.recovery[c].segments]])) as Record<
        EventClass,
        SegmentInfo[]
      >,
      flush: () => this.spool.flush(),
      ends,
      everyOlder: () => {
        const generation = dirname(init.shard);
        return olderShards(realFs, dirname(generation), Number(basename(generation)));
      },
      room: () => this.quota.accepts('system'),
      onScanned: (shard) => this.exports.scanned(shard),
      emit: (data) => this.say({ type: 'system.v1', data }),
    });
    this.pipeline = new EventPipeline({
      spool: this.spool,
      metrics: registry,
      site: config.site,
      node: config.node,
      worker: init.index,
      hasDurableExporter: exporters.some(confirms),
      keepRaw: wantsRaw(config.export),
      maxUnsyncedBytes: config.spool.max_unsynced_bytes,
      accepts: (kind) => this.quota.accepts(kind),
      onRecord: (cls, seq, crc) => this.manifests.add(cls, seq, crc),
      onDurable: (cls, end) => {
        this.exports.durable(cls, end, this.spool.durableSeq(cls));
        this.measureQuota();
      },
      nowMs: () => clock.nowMs(),
    });
    this.security = new SecurityStream({
      clock,
      tally: this.refusals.tally,
      inventory: this.inventory,
      worker: init.index,
      emit: (draft) => this.pipeline.emit(draft),
    });
    this.exports.start({
      init,
      boot: this.spool.boot,
      ends,
      onExported: (cls, seqs) => this.pipeline.exported(cls, seqs),
      onLowWater: (cls, position) => {
        this.spool.exportedUpTo(cls, position);
        this.measureQuota();
      },
      onLines: (text) => this.send({ kind: 'lines', text }),
      onFailed: () => void this.abandon().finally(() => process.exit(1)),
      metrics: registry,
    });
    this.collectors = await buildCollectors({
      config,
      listens: init.listens,
      context: {
        clock,
        log,
        metrics: registry,
        refusals: this.refusals,
        pipeline: this.pipeline,
        inventory: this.inventory,
        worker: init.index,
        workers: init.of,
        site: config.site,
        node: config.node,
        saltNode: saltNodeOf(config),
        engineClock: clockStore(join('spool', `engine-clock-${init.index}.json`), log),
      },
      meaning: makeMeaning(init.meaning, log),
      vips: new VipTable(config.lb.vips),
      onPacket: (address) => {
        this.vips[address] = clock.wallMs();
      },
    });
    this.listeners = new LiveListeners({
      worker: init.index,
      channel: init.handover,
      collectors: this.collectors,
      clock,
      log,
      onChange: (said) => this.lease.send(said),
    });
    this.health = new HealthMeter({
      clock,
      config,
      spool: this.spool,
      quota: this.quota,
      exporters: () => this.exports.progress,
    });
    this.lease = new LeaseChannel(init.speakerSocket, clock, {
      // First of all what is open: without it nothing of ours is announced.
      up: () => this.lease.send(this.listeners.said()),
      said: (m) => {
        if (m.kind === 'event') {
          this.say(m.event);
          this.lease.send({ kind: 'said', id: m.id });
        } else if (m.kind === 'close-sessions') this.collectors.closeSessions(m.spreadMs);
        else if (m.kind === 'decision') this.collectors.clockSkew(m.clockSkew);
      },
    });
    this.opened = true;
    for (const m of this.early.splice(0)) this.handle(m);
  }

  /** A shard that nobody writes any more may end in an unfinished write, or be damaged. */
  private async recoverOlder(shard: string): Promise<void> {
    const { site, node } = this.config;
    const created = this.clock.wallMs() * 1000;
    for (const cls of EVENT_CLASSES) {
      const label = `${shard.split('/').slice(-2).join('-')}-${cls}`;
      const empty = { cls, worker: Number(basename(shard)), boot: 0, firstSeq: 1, created, site, node };
      const r = await recoverLog(realFs, join(shard, cls), QUARANTINE_DIR, label, empty);
      if (r.damaged > 0)
        this.log.error({ shard, class: cls, places: r.damaged, lost: r.lostRecords }, 'damaged records set aside');
    }
  }

  get boot(): number {
    return this.spool.boot;
  }

  /** Begins to read. */
  start(): void {
    if (this.reading || this.stopping) return;
    this.reading = true;
    for (const c of this.collectors.list) c.start();
    this.security.start();
    this.manifests.start();
    this.manifests
      .recover(this.log)
      .catch((e: Error) => this.log.error({ error: e.message }, 'manifests of earlier boots could not be recovered'));
  }

  /** Renews the lease and reports; runs until the worker stops. */
  beat(): void {
    if (this.stopping) return;
    this.measureQuota();
    this.pipeline.measurePause();
    const problems = this.collectors.problems();
    if (!this.reading) problems.push('sockets are not read yet');
    if (this.leaving) problems.push('stopping');
    const { hard, soft } = this.health.measure(this.collectors.list, problems, this.draining);
    const renewal: Renewal = {
      kind: 'renewal',
      worker: this.init.index,
      of: this.init.of,
      boot: this.spool.boot,
      counter: ++this.counter,
      hard,
      soft,
      vips: this.vips,
      ...this.collectors.totals(),
    };
    this.lease.send(renewal);
    // A supervisor that stands still must not fill this process with reports of what it could not read.
    const { interval, timeout } = this.config.lb.lease;
    if (this.reported) {
      const drops = this.collectors.drops();
      // Gauges of the spool are as old as the last look at its usage.
      const usage = this.spool.usage();
      const samples = this.registry.changes(this.reports.histograms(this.clock.nowMs()));
      if (this.reports.due(`${hard.join('\n')}\0${soft.join('\n')}`, samples.length > 0, interval, timeout)) {
        this.reported = false;
        this.send({ ...renewal, samples, usage, drops }, () => {
          this.reported = true;
        });
      }
    }
    this.clock.setTimeout(() => this.beat(), interval);
  }

  /** A message of the supervisor. Of those that come before the worker is open, changes are kept and the others have nobody to act on them. */
  handle(m: ToWorker): void {
    if (!this.opened) {
      if (m.kind === 'stop') this.finish();
      else if (m.kind === 'lines-written') this.exports?.linesWritten();
      else if (KEPT.has(m.kind)) this.early.push(m);
      return;
    }
    switch (m.kind) {
      case 'start':
        this.start();
        return;
      case 'node-usage':
        this.others = m.others;
        this.measureQuota();
        return;
      case 'ask':
        this.send({ kind: 'answer', id: m.id, value: this.answer(m.question) });
        return;
      case 'inventory':
        this.inventory.replace(m.entries);
        return;
      case 'meaning':
        this.collectors.setMeaning(makeMeaning(m.source, this.log));
        return;
      case 'reconfigure':
        this.config = applyUsers(this.config, m.config, m.users);
        this.collectors.reconfigure(this.config);
        this.exports.reconfigure(this.config);
        return;
      case 'listen':
      case 'unlisten':
      case 'adjust':
        this.listeners.change(m);
        return;
      case 'emit':
        this.say(m.event);
        this.send({ kind: 'emitted', id: m.id });
        return;
      case 'tap':
        this.tapPump.follow(m.filter, this.pipeline, this.config.node);
        return;
      case 'lines-written':
        this.exports.linesWritten();
        return;
      case 'draining':
        this.draining = m.on;
        return;
      case 'leaving':
        this.leaving = true;
        return;
      case 'stop':
        void this.stop(m.deadlineMs);
        return;
      default:
        return;
    }
  }

  /** Sessions close, receipts finish, the spool is synced, and as much as the deadline allows goes to Kafka. */
  async stop(deadlineMs: number): Promise<void> {
    if (this.stopping) return;
    this.stopping = true;
    for (const c of this.collectors.list) c.quiesce();
    await Promise.all(this.collectors.list.map((c) => c.stop()));
    this.collectors.close();
    this.security.stop();
    this.send({ kind: 'closed' });
    await this.manifests.finish();
    await this.spool.flush();
    await this.exports.stop(deadlineMs);
    this.lease.close();
    await this.spool
      .close()
      .catch((e: Error) => this.log.error({ error: e.message }, 'the spool could not be closed properly'));
    this.send({ ...this.lastWords() });
    this.send({ kind: 'stopped' });
    this.finish();
  }

  /** The supervisor is gone: nothing more is announced or read; what was received is made durable. */
  async abandon(): Promise<void> {
    if (this.stopping) return;
    this.stopping = true;
    this.lease?.close();
    this.collectors?.close();
    // A disk that refuses must not keep a process whose successor may own the shard already.
    await Promise.race([this.spool?.flush(), new Promise<void>((done) => this.clock.setTimeout(done, ABANDON_MS))]);
  }

  private lastWords(): FromWorker {
    return {
      kind: 'renewal',
      worker: this.init.index,
      of: this.init.of,
      boot: this.spool.boot,
      counter: ++this.counter,
      hard: ['stopped'],
      soft: [],
      vips: this.vips,
      ...this.collectors.totals(),
      samples: this.registry.changes(),
      usage: this.spool.usage(),
      drops: {},
    };
  }

  private others: Record<EventClass, { bytes: number; unexported: number }> | undefined;

  private measureQuota(): void {
    const own = this.spool.usage();
    const unexported = {} as Record<EventClass, number>;
    for (const cls of EVENT_CLASSES) unexported[cls] = own[cls].unexported + (this.others?.[cls].unexported ?? 0);
    this.quota.update(unexported, this.spool.unsyncedBytes);
  }

  /** An event of tidegate itself; false where the spool does not take it. */
  private say(e: SystemEvent): boolean {
    const micros = this.clock.wallMicros();
    const sec = Math.floor(micros / 1_000_000);
    return this.pipeline.emit({
      type: e.type,
      sec,
      nsec: (micros - sec * 1_000_000) * 1000,
      network: 'default',
      device: this.self,
      contentId: shortHash(JSON.stringify([e.type, e.data])),
      shed: 'system',
      data: e.data,
    });
  }

  private answer(q: Question): unknown {
    if (q.what === 'refusals') return { refusals: this.refusals.list(q.source) };
    const { hard, soft } = this.health.last;
    const status: WorkerStatus = {
      index: this.init.index,
      boot: this.spool.boot,
      pid: process.pid,
      collectors: Object.fromEntries(this.collectors.named.map(([name, c]: [string, Collector]) => [name, c.status()])),
      exporters: this.exports.progress,
      spool: this.spool.usage(),
      hard,
      soft,
      waiting: this.pipeline.waiting(),
      unsynced_bytes: this.spool.unsyncedBytes,
      draining: this.exports.olderShards,
      lease: this.lease.problem,
    };
    return status;
  }
}
