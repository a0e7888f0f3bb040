/**
 * The supervisor: opens every listening socket, keeps workers and speaker alive, merges counters, asks and answers.
 *
 *            ┌────────────── supervisor ──────────────┐        admin.listen, admin.sock
 *            │ sockets, children, counters, admin     │
 *            └──┬─────────────┬─────────────┬─────────┘
 *       IPC, fds│             │             │ IPC
 *          worker 0      worker 1 …      speaker ── BGP ─► router
 *               └──── lease (speaker.sock) ───▲
 *
 * It reads no telemetry and no packet. A worker's death costs nothing: the sockets stay open here, and the next worker of the
 * same index inherits them with everything the kernel queued meanwhile.
 */
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { MetricsPage } from '../admin/metrics.ts';
import type { Admin } from '../admin/types.ts';
import type { AlarmRule } from '../collectors/snmp-trap/alarm-rules.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { every } from '../core/every.ts';
import type { Logger } from '../core/log.ts';
import type { InventoryEntry } from '../inventory/inventory.ts';
import { DeviceTable } from '../inventory/inventory.ts';
import { loadNative, nativeProblem } from '../net/native.ts';
import { SpoolFormatError } from '../spool/errors.ts';
import { summaries } from '../telemetry/quantiles.ts';
import { Registry } from '../telemetry/registry.ts';
import { Asker } from './ask.ts';
import { CounterStore } from './counters.ts';
import { forChildren, openDoors } from './doors.ts';
import { explain } from './explain.ts';
import { lanInterfaces, readKernelFacts } from './explain-vip.ts';
import { CHILDREN_FILE, Fleet } from './fleet.ts';
import { funnel, shownCounters } from './funnel.ts';
import { KernelLosses, readProc } from './kernel-losses.ts';
import { ListenPlan, listenView } from './listens.ts';
import { takeLock } from './lock.ts';
import { MeaningHost } from './meaning.ts';
import type { Listen, RefusalAnswer, SpeakerDecision, TapFilter } from './messages.ts';
import { awaitOrphans } from './orphans.ts';
import { type Identity, limitRoot, workerIdentity } from './privileges.ts';
import { RateMeter } from './rate.ts';
import { type LossHistory, RecentLosses } from './recent-losses.ts';
import { SPEAKER_FILE, SPEAKER_SOCKET, SpeakerHost } from './speaker-host.ts';
import { SpeakerLink, type SpeakerSide } from './speaker-link.ts';
import { StartError, unwritable } from './start-error.ts';
import { Taps } from './tap.ts';
import { WorkerConfig } from './worker-config.ts';

export type Role = 'all' | 'ingest' | 'speaker';

export interface SupervisorOptions {
  config: Config;
  /** The configuration as the API shows it (config/document.ts). */
  document: Record<string, unknown>;
  role: Role;
  version: string;
  clock: Clock;
  log: Logger;
  logTty: boolean;
  /** Standard output is a terminal. */
  outTty: boolean;
  /** Lines of events for standard output; returns false while it is full, then calls `onDrain`. */
  print: (text: string, onDrain: () => void) => boolean;
  inventory: InventoryEntry[];
  alarms: AlarmRule[];
  cores: number;
  /** Of the control group, in bytes; 0: none is known. */
  memoryLimit: number;
}

const NO_SPEAKER: SpeakerDecision = { code: 503, grade: 'dead', reasons: ['no speaker is known'] };

export class Supervisor implements Admin {
  private readonly o: SupervisorOptions;
  private readonly registry = new Registry();
  private readonly counters = new CounterStore();
  private readonly asker: Asker;
  private readonly page: MetricsPage;
  private readonly table: DeviceTable;
  private readonly taps = new Taps((filter) => this.fleet?.tellAll({ kind: 'tap', filter }));
  private readonly closers: (() => Promise<void> | void)[] = [];
  private config: Config;
  private document: Record<string, unknown>;
  private fleet: Fleet | undefined;
  private kernel: KernelLosses | undefined;
  private readonly losses = new RecentLosses();
  /** The speaker's process, or the way to the one in another container. */
  private speaker: SpeakerSide | undefined;
  private host: SpeakerHost | undefined;
  private identity: Identity | undefined;
  private inventory: InventoryEntry[];
  private readonly meaning: MeaningHost;
  private readonly forWorkers: WorkerConfig;
  private readonly listenPlan: ListenPlan;
  private stopping = false;
  private draining = false;
  private release: () => void = () => {};
  /** Resolves when the instance has stopped, with its exit code. */
  readonly done: Promise<number>;
  private finish: (code: number) => void = () => {};

  constructor(o: SupervisorOptions) {
    this.o = o;
    this.config = o.config;
    this.document = o.document;
    this.inventory = o.inventory;
    this.listenPlan = new ListenPlan(o.config);
    this.meaning = new MeaningHost({ ...o, tell: (source) => this.fleet?.tellAll({ kind: 'meaning', source }) });
    this.forWorkers = new WorkerConfig({ ...o, registry: this.registry, tell: (m) => this.fleet?.tellAll(m) });
    this.table = new DeviceTable(o.inventory);
    this.asker = new Asker(o.clock);
    this.page = new MetricsPage(() => this.samples());
    this.registry.handle('tidegate_build_info', { version: o.version }).value = 1;
    this.done = new Promise((resolveDone) => {
      this.finish = resolveDone;
    });
  }

  /** Brings everything up, or throws StartError with nothing left behind. */
  async start(): Promise<void> {
    const { config, role, log } = this.o;
    const dataDir = resolve(config.data_dir);
    try {
      mkdirSync(dataDir, { recursive: true });
      // Sockets are named relative to data_dir: a Unix socket's path may have 107 bytes, a data_dir's may have more.
      process.chdir(dataDir);
    } catch (e) {
      throw new StartError(`data_dir ${dataDir} cannot be used: ${(e as Error).message}`, 78);
    }
    const lock = takeLock(role === 'speaker' ? 'lock-speaker' : 'lock');
    if ('held' in lock) {
      throw new StartError(
        `data_dir ${dataDir} is in use by the instance with process id ${lock.held.pid}; stop it, or give this one another data_dir`,
        78,
      );
    }
    this.release = lock.release;
    try {
      await this.awaitOrphans();
      const kept = limitRoot('supervisor', loadNative());
      if (kept !== undefined) log.warn({}, kept);
      this.identity = workerIdentity(config.user, log);
      if (role !== 'speaker') {
        await Promise.all([this.meaning.first(config.mibs.paths), this.forWorkers.first()]);
        await this.startWorkers(dataDir);
      }
      if (role === 'ingest') this.linkSpeaker();
      else this.startSpeaker(dataDir);
      await this.openAdmin();
    } catch (e) {
      this.abandon();
      throw e instanceof SpoolFormatError ? new StartError(e.message, 1) : (unwritable(e, dataDir) ?? e);
    }
    if (this.fleet) this.everyForFleet(this.fleet);
  }

  private async awaitOrphans(): Promise<void> {
    const { clock, log, role } = this.o;
    const files = [...(role === 'speaker' ? [] : [CHILDREN_FILE]), ...(role === 'ingest' ? [] : [SPEAKER_FILE])];
    for (const file of files) {
      const killed = await awaitOrphans(file, clock);
      if (killed.length > 0) log.warn({ pids: killed }, 'processes of an earlier instance did not end and were killed');
    }
  }

  private everyForFleet(fleet: Fleet): void {
    const { clock } = this.o;
    const rate = new RateMeter();
    this.kernel = new KernelLosses(readProc, this.registry, clock.wallMs());
    // One timer for all: each would wake this process for itself.
    let seconds = 0;
    const second = (): void => {
      seconds++;
      fleet.retryListens();
      if (seconds % 5 === 0) fleet.measureOlder();
      if (seconds % 10 !== 0) return;
      this.kernel?.say(clock.wallMs(), (data) => fleet.say({ type: 'system.v1', data }));
      this.recentLosses();
      rate.reading(clock.nowMs(), clock.wallMs(), this.counters.merged());
    };
    every(clock, 1000, () => this.stopping, second);
  }

  /** A start that failed leaves nothing behind. */
  private abandon(): void {
    this.stopping = true;
    this.forWorkers.stop();
    this.fleet?.abandon();
    this.speaker?.abandon();
    for (const close of this.closers) void close();
    this.release();
  }

  // ── children ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  private async startWorkers(dataDir: string): Promise<void> {
    const fleet = new Fleet({
      config: () => this.forWorkers.told,
      inventory: () => this.inventory,
      meaning: () => this.meaning.source(),
      clock: this.o.clock,
      log: this.o.log,
      registry: this.registry,
      counters: this.counters,
      asker: this.asker,
      cores: this.o.cores,
      memoryLimit: this.o.memoryLimit,
      dataDir,
      identity: this.identity,
      speakerSocket: SPEAKER_SOCKET,
      logTty: this.o.logTty,
      outTty: this.o.outTty,
      onReady: () => this.logReady(),
      onReading: (tell) => {
        if (this.draining) tell({ kind: 'draining', on: true });
        const filter = this.taps.union();
        if (filter) tell({ kind: 'tap', filter });
      },
      onLines: (text, written) => {
        if (this.o.print(text, written)) written();
      },
      onTapped: (events) => this.taps.deliver(events),
    });
    this.fleet = fleet;
    const problem = await fleet.start();
    if (problem !== undefined) throw new StartError(problem, 1);
  }

  private startSpeaker(dataDir: string): void {
    this.host = new SpeakerHost({
      ...this.o,
      // It takes no telemetry: what collectors know of senders is nothing to it.
      config: () => forChildren({ ...this.config, collectors: {} }),
      listens: () => this.listenPlan.expected,
      alone: this.o.role === 'speaker',
      dataDir,
      workers: () => this.fleet?.size ?? 0,
      gid: this.identity?.gid,
      nativeProblem,
      counters: this.counters,
      asker: this.asker,
      onDraining: (on) => this.setDraining(on),
      onUp: () => {
        if (this.o.role === 'speaker') this.o.log.info({ role: 'speaker', admin: this.adminAddress }, 'ready');
      },
    });
    this.speaker = this.host;
  }

  private linkSpeaker(): void {
    const { clock, log } = this.o;
    this.speaker = new SpeakerLink({
      ...{ socket: SPEAKER_SOCKET, clock, log, asker: this.asker },
      draining: () => this.draining,
      onDraining: (on) => this.setDraining(on),
    });
  }

  private logReady(): void {
    const fleet = this.fleet!;
    const listening = fleet.listens.map((l) => ({ ...listenView(l), protocol: l.kind }));
    this.o.log.info(
      { listening, workers: fleet.size, data_dir: process.cwd(), admin: this.adminAddress, pid: process.pid },
      'ready',
    );
    this.onReady(listening.map((l) => ({ ...l })));
  }

  /** Called once when all is bound; the CLI prints the first steps. */
  onReady: (listening: { collector: string; address: string; protocol: string }[]) => void = () => {};

  // ── admin ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  private adminAddress: string | undefined;

  private async openAdmin(): Promise<void> {
    const doors = { admin: this, role: this.o.role, clock: this.o.clock, log: this.o.log, registry: this.registry };
    this.adminAddress = await openDoors({ ...doors, config: this.config.admin, closers: this.closers });
  }

  private listens(): readonly Listen[] {
    return this.fleet?.listens ?? [];
  }

  private samples(): ReturnType<CounterStore['merged']> {
    this.kernel?.poll();
    this.fleet?.measure(this.config.lb.lease.timeout);
    return [...this.registry.snapshot(), ...this.counters.merged()];
  }

  private recentLosses(): LossHistory[] {
    const wall = this.o.clock.wallMs();
    this.losses.reading(wall, this.samples());
    return this.losses.list(wall);
  }

  livez(): string[] {
    const frozen = this.fleet?.frozen() ?? [];
    return this.host && this.host.silentFor > 5000 ? [...frozen, 'the speaker is silent'] : frozen;
  }

  readyz(): string[] {
    const reasons = this.fleet?.obstacles(this.config.lb.lease.timeout) ?? [];
    if (this.o.role === 'speaker' && this.host?.obstacle !== undefined) reasons.push(this.host.obstacle);
    return reasons;
  }

  vipz(): SpeakerDecision {
    return this.speaker?.decision ?? NO_SPEAKER;
  }

  metrics(): Promise<string> {
    return this.page.render();
  }

  private async workerStatus(): Promise<Awaited<ReturnType<Fleet['status']>>> {
    return this.fleet ? await this.fleet.status() : { workers: [], silent: [] };
  }

  async status(): Promise<Record<string, unknown>> {
    const [{ workers, silent }, lb] = await Promise.all([this.workerStatus(), this.lb()]);
    const native = this.fleet?.nativeProblem;
    const samples = this.samples();
    return {
      version: this.o.version,
      site: this.config.site,
      node: this.config.node,
      role: this.o.role,
      pid: process.pid,
      data_dir: process.cwd(),
      workers_wanted: this.config.workers,
      native: native === undefined ? { loaded: true } : { loaded: false, reason: native },
      listening: this.listens().map(listenView),
      not_listening: Object.fromEntries(this.fleet?.unopened ?? []),
      ready: this.readyz(),
      workers,
      silent,
      devices: this.table.size,
      mibs: this.meaning.mibs.status(),
      user_keys: this.forWorkers.keyStatus(),
      lb,
      funnel: funnel(samples),
      inform_ack: summaries(samples, 'tidegate_inform_ack_seconds'),
      counters: shownCounters(samples),
    };
  }

  async lb(): Promise<unknown> {
    const base = { decision: this.vipz(), draining: this.draining };
    return this.speaker ? { ...base, ...(await this.speaker.status()) } : base;
  }

  async spool(): Promise<unknown> {
    const { workers, silent } = await this.workerStatus();
    const shards = workers.map((w) => ({ worker: w.index, boot: w.boot, classes: w.spool, draining: w.draining }));
    return { max_bytes: this.config.spool.max_bytes, shards, silent };
  }

  async exporters(): Promise<unknown> {
    const { workers, silent } = await this.workerStatus();
    return { workers: workers.map((w) => ({ worker: w.index, exporters: w.exporters })), silent };
  }

  configuration(): unknown {
    return this.document;
  }

  async explain(device: string): Promise<unknown> {
    const [refusals, { workers, silent }, lb] = await Promise.all([
      this.fleet?.ask({ what: 'refusals' }) ?? { answers: [] },
      this.workerStatus(),
      this.lb(),
    ]);
    return explain({
      device,
      role: this.o.role,
      config: this.config,
      inventory: this.table,
      refusals: (refusals.answers as RefusalAnswer[]).flatMap((a) => a.refusals),
      workers,
      silent,
      notRunning: this.fleet?.notRunning() ?? [],
      starting: this.fleet?.starting() ?? [],
      userKeys: this.forWorkers.keyStatus(),
      dataDir: process.cwd(),
      lb: lb as Record<string, unknown>,
      kernel: readKernelFacts(readProc, lanInterfaces()),
      listens: this.listens(),
      unopened: [...(this.fleet?.unopened.values() ?? [])],
      losses: this.recentLosses(),
      nowMs: this.o.clock.wallMs(),
    });
  }

  tap(filter: TapFilter, sink: (lines: string[]) => boolean): () => void {
    // Somebody may ask by an address of a device that the inventory knows by name.
    const known = filter.device === undefined ? [] : this.table.find(filter.device);
    return this.taps.add(known.length === 1 ? { ...filter, device: known[0].id } : filter, sink);
  }

  // ── changes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async drain(who: string): Promise<unknown> {
    this.setDraining(true);
    this.speaker?.drain('drain requested');
    this.fleet?.say({ type: 'audit.v1', data: { action: 'lb.drain', who, result: 'accepted' } });
    return { draining: true };
  }

  async undrain(who: string): Promise<unknown> {
    this.setDraining(false);
    this.speaker?.undrain();
    this.fleet?.say({ type: 'audit.v1', data: { action: 'lb.undrain', who, result: 'accepted' } });
    return { draining: false };
  }

  private setDraining(on: boolean): void {
    this.draining = on;
    this.fleet?.tellAll({ kind: 'draining', on });
  }

  /** A new inventory; the workers take it over without a pause. */
  replaceInventory(entries: InventoryEntry[]): void {
    this.inventory = entries;
    this.table.replace(entries);
    this.fleet?.tellAll({ kind: 'inventory', entries });
  }

  /** New alarm rules, in the order in which they are tried. */
  replaceAlarms(rules: AlarmRule[]): void {
    this.meaning.replaceAlarms(rules);
  }

  /** Looks whether MIB files have changed, and compiles them if so; what runs goes on meanwhile. */
  reloadMibs(): void {
    if (this.o.role !== 'speaker') void this.meaning.mibs.load(this.config.mibs.paths);
  }

  /** A new configuration of which only the parts that need no restart differ (config/plan.ts). `wanted`: with those that do. */
  reconfigure(config: Config, wanted: Config, document: Record<string, unknown>): void {
    this.config = config;
    this.document = document;
    if (this.fleet) this.forWorkers.change(config);
    void this.fleet?.relisten();
    this.listenPlan.change(config, wanted);
    this.speaker?.reconfigure();
    this.reloadMibs();
  }

  /** A speaker in another container that cannot be asked: the lease tells it first to announce worse, then to withdraw, while the workers still read. */
  private async letSpeakerWithdraw(): Promise<void> {
    for (const message of [{ kind: 'draining', on: true }, { kind: 'leaving' }] as const) {
      this.fleet?.tellAll(message);
      await new Promise<void>((done) => this.o.clock.setTimeout(done, this.config.lb.drain.linger));
    }
  }

  /**
   * The ordered end: the speaker withdraws while the workers still read and acknowledge; then sockets close, receipts finish,
   * the spool is synced and flushed to Kafka as far as `flush_timeout` allows.
   */
  async stop(reason: string): Promise<void> {
    if (this.stopping) return;
    this.stopping = true;
    const { log, clock } = this.o;
    const { lb, export: exporters } = this.config;
    log.info({ reason }, 'stopping');
    if (this.speaker?.running) {
      await this.speaker.stop(reason, lb.drain.timeout + 2 * lb.drain.linger + 5000);
    } else if (this.o.role === 'ingest' && this.config.lb.vips.length > 0) await this.letSpeakerWithdraw();
    const started = clock.nowMs();
    const clean = (await this.fleet?.stop(exporters.flush_timeout)) ?? true;
    for (const close of this.closers) await close();
    this.speaker?.abandon();
    this.forWorkers.stop();
    this.release();
    log.info({ took_ms: Math.round(clock.nowMs() - started), clean }, 'stopped');
    this.finish(clean ? 0 : 1);
  }
}
