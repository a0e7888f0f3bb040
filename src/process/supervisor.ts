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
import { openApi, openProbes } from '../admin/http.ts';
import { MetricsPage } from '../admin/metrics.ts';
import type { Admin } from '../admin/types.ts';
import { redact } from '../config/redact.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { formatEndpoint } from '../core/ip.ts';
import type { Logger } from '../core/log.ts';
import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import type { InventoryEntry } from '../inventory/inventory.ts';
import { DeviceTable } from '../inventory/inventory.ts';
import { listLogs } from '../spool/generations.ts';
import type { SpoolUsage } from '../spool/types.ts';
import { Registry } from '../telemetry/registry.ts';
import { Asker } from './ask.ts';
import { Child, FIRST_FD } from './child.ts';
import { CounterStore } from './counters.ts';
import { explain } from './explain.ts';
import { planListens } from './listens.ts';
import { takeLock } from './lock.ts';
import type {
  FromSpeaker,
  FromWorker,
  Listen,
  Question,
  RefusalAnswer,
  SpeakerDecision,
  SystemEvent,
  TapFilter,
  TappedEvent,
  ToSpeaker,
  ToWorker,
  WorkerStatus,
} from './messages.ts';
import { chownTree, type Identity, lookUpUser } from './privileges.ts';
import { RateMeter } from './rate.ts';
import { planShards } from './shards.ts';
import { type Opened, openAll } from './sockets.ts';
import { matchesTap } from './tap.ts';

export type Role = 'all' | 'ingest' | 'speaker';

export interface SupervisorOptions {
  config: Config;
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
  cores: number;
}

/** Start-up that cannot go on: the message says what to do. `exit` is the process's exit code. */
export class StartError extends Error {
  readonly exit: number;
  constructor(message: string, exit: number) {
    super(message);
    this.exit = exit;
  }
}

/** A frozen worker is not restarted at once: a stopped process may be under a debugger, and the lease has withdrawn the VIP already. */
const WORKER_SILENCE_MS = 15_000;
const SPEAKER_SILENCE_MS = 1_000;
const SPEAKER_SOCKET = 'speaker.sock';

interface WorkerSlot {
  child: Child;
  boot: number | undefined;
  bound: boolean;
  /** Told to read. */
  started: boolean;
  usage: SpoolUsage | undefined;
  hard: string[];
  soft: string[];
  renewedAt: number;
  /** Kernel drops by listener that are counted. */
  drops: number[];
}

export class Supervisor implements Admin {
  private readonly o: SupervisorOptions;
  private readonly registry = new Registry();
  private readonly counters = new CounterStore();
  private readonly asker: Asker;
  private readonly page: MetricsPage;
  private readonly table: DeviceTable;
  private readonly slots: WorkerSlot[] = [];
  private readonly taps = new Map<number, { filter: TapFilter; sink: (lines: string[]) => boolean; skipped: number }>();
  private readonly closers: (() => Promise<void> | void)[] = [];
  private config: Config;
  private opened: Opened | undefined;
  private listens: Listen[] = [];
  private speaker: Child | undefined;
  private decision: SpeakerDecision = { code: 503, grade: 'dead', reasons: ['the speaker has not started'] };
  private identity: Identity | undefined;
  private nativeProblem: string | undefined;
  private inventory: InventoryEntry[];
  private stopping = false;
  private draining = false;
  private nextTap = 1;
  private generation = 0;
  /** Bytes of older generations that are not drained: they fill the node, whoever drains them. */
  private olderBytes: Record<EventClass, number> = noBytes();
  private readyLogged = false;
  private release: () => void = () => {};
  /** Resolves when the instance has stopped, with its exit code. */
  readonly done: Promise<number>;
  private finish: (code: number) => void = () => {};

  constructor(o: SupervisorOptions) {
    this.o = o;
    this.config = o.config;
    this.inventory = o.inventory;
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
      this.identity = this.whoWorkersBecome();
      if (role !== 'speaker') await this.startWorkers(dataDir);
      if (role !== 'ingest') this.startSpeaker(dataDir);
      await this.openAdmin();
    } catch (e) {
      this.abandon();
      throw e;
    }
    if (role === 'speaker') log.info({ role }, 'ready');
    this.every(200, () => this.tick());
    this.every(5000, () => this.measureOlder());
    const rate = new RateMeter();
    this.every(10_000, () => rate.reading(this.o.clock.nowMs(), this.o.clock.wallMs(), this.counters.merged()));
  }

  /** A start that failed leaves nothing behind. */
  private abandon(): void {
    this.stopping = true;
    for (const s of this.slots) void s.child.ended(0);
    void this.speaker?.ended(0);
    for (const close of this.closers) void close();
    this.opened?.close();
    this.release();
  }

  // ── children ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  private whoWorkersBecome(): Identity | undefined {
    const { config, log } = this.o;
    if (process.getuid?.() !== 0) return undefined;
    const found = lookUpUser(config.user);
    if (found) return found;
    // The name of the default user is not on every machine; nobody is.
    const nobody = lookUpUser('nobody') ?? { uid: 65534, gid: 65534 };
    log.warn(
      { user: config.user, uid: nobody.uid },
      `there is no user ${config.user}; workers run as uid ${nobody.uid}: create it, or set user:`,
    );
    return nobody;
  }

  private async startWorkers(dataDir: string): Promise<void> {
    const { config, clock, log } = this.o;
    const planned = planListens(config);
    const wanted = config.workers === 'auto' ? Math.max(1, this.o.cores - 1) : config.workers;
    const opened = await openAll(planned, wanted);
    if ('problem' in opened) throw new StartError(opened.problem, 1);
    this.opened = opened;
    this.listens = opened.listens;
    this.nativeProblem = opened.nativeProblem;
    if (opened.nativeProblem !== undefined)
      log.warn({ reason: opened.nativeProblem }, 'the native add-on is not loaded: one worker, no kernel drop counter');
    for (const note of opened.notes) log.warn({}, note);
    mkdirSync('quarantine', { recursive: true });
    if (this.identity) chownTree('quarantine', this.identity);
    const shards = await planShards('spool', opened.workers, this.identity, (path, who) => chownTree(path, who));
    this.generation = shards.generation;
    this.measureOlder();
    for (let index = 0; index < opened.workers; index++) {
      const name = `worker ${index}`;
      const fds = opened.sockets.map((s) => s.fds[index]).filter((fd) => fd !== undefined);
      const child = new Child({
        name,
        entry: 'worker-main',
        fds,
        clock,
        log,
        silenceMs: WORKER_SILENCE_MS,
        onMessage: (m) => this.fromWorker(index, m as FromWorker),
        onFork: (send) => {
          let next = FIRST_FD;
          const listens = this.listens.map((l, i) =>
            opened.sockets[i].fds[index] === undefined
              ? l
              : { ...l, spec: { ...l.spec, fd: next++ }, countedDrops: this.slots[index].drops[i] },
          );
          send({
            kind: 'init',
            index,
            of: opened.workers,
            config: this.config,
            listens,
            shard: shards.current[index],
            olderShards: shards.older[index],
            inventory: this.inventory,
            dataDir,
            uid: this.identity?.uid,
            gid: this.identity?.gid,
            speakerSocket: SPEAKER_SOCKET,
            logTty: this.o.logTty,
            outTty: this.o.outTty,
            nativeProblem: this.nativeProblem,
          } satisfies ToWorker);
        },
        onExit: (how) => this.workerEnded(index, how),
      });
      this.slots.push({
        child,
        boot: undefined,
        bound: false,
        started: false,
        usage: undefined,
        hard: ['starting'],
        soft: [],
        renewedAt: 0,
        drops: [],
      });
    }
    for (const slot of this.slots) slot.child.start();
  }

  private workerEnded(index: number, how: string): void {
    const slot = this.slots[index];
    this.counters.retire(`worker ${index}`);
    this.registry.handle('tidegate_worker_restarts_total', { worker: index }).value++;
    Object.assign(slot, { bound: false, started: false, hard: [`worker ${index} ended: ${how}`], soft: [] });
  }

  private startSpeaker(dataDir: string): void {
    const { clock, log } = this.o;
    this.speaker = new Child({
      name: 'speaker',
      entry: 'speaker-main',
      fds: [],
      clock,
      log,
      silenceMs: Math.max(SPEAKER_SILENCE_MS, this.config.lb.lease.timeout),
      onMessage: (m) => this.fromSpeaker(m as FromSpeaker),
      onFork: (send) =>
        send({
          kind: 'init',
          config: this.config,
          dataDir,
          workers: this.slots.length,
          socket: SPEAKER_SOCKET,
          logTty: this.o.logTty,
          gid: this.identity?.gid,
        } satisfies ToSpeaker),
      onExit: (how) => {
        this.counters.retire('speaker');
        this.decision = { code: 503, grade: 'dead', reasons: [`the speaker ended: ${how}`] };
      },
    });
    this.speaker.start();
  }

  private toWorker(index: number, message: ToWorker): void {
    this.slots[index].child.send(message);
  }

  private toAll(message: ToWorker): void {
    for (let i = 0; i < this.slots.length; i++) this.toWorker(i, message);
  }

  private fromWorker(index: number, m: FromWorker): void {
    const slot = this.slots[index];
    switch (m.kind) {
      case 'bound':
        slot.bound = true;
        slot.boot = m.boot;
        if (this.readyLogged) this.letRead(index);
        else if (this.slots.every((s) => s.bound)) {
          for (let i = 0; i < this.slots.length; i++) this.letRead(i);
          this.logReady();
        }
        return;
      case 'renewal':
        slot.renewedAt = this.o.clock.nowMs();
        slot.hard = m.hard;
        slot.soft = m.soft;
        slot.usage = m.usage;
        slot.drops = m.drops;
        this.counters.update(`worker ${index}`, m.samples);
        return;
      case 'answer':
        this.asker.answer(m.id, `worker ${index}`, m.value);
        return;
      case 'lines':
        if (this.o.print(m.text, () => this.toWorker(index, { kind: 'lines-written' })))
          this.toWorker(index, { kind: 'lines-written' });
        return;
      case 'tapped':
        this.tapped(m.events);
        return;
      case 'fatal':
        this.o.log.error({ worker: index, error: m.message }, 'a worker cannot run');
        return;
      case 'stopped':
        return;
    }
  }

  private letRead(index: number): void {
    this.slots[index].started = true;
    this.toWorker(index, { kind: 'start' });
    if (this.draining) this.toWorker(index, { kind: 'draining', on: true });
    if (this.taps.size > 0) this.toWorker(index, { kind: 'tap', filter: this.unionFilter() });
  }

  private logReady(): void {
    this.readyLogged = true;
    const listening = this.listens.map((l) => ({
      collector: l.collector,
      address: formatEndpoint(l.spec.address, l.spec.port),
      network: l.spec.network,
      protocol: l.kind,
    }));
    this.o.log.info(
      { listening, workers: this.slots.length, data_dir: process.cwd(), admin: this.adminAddress, pid: process.pid },
      'ready',
    );
    this.onReady(listening.map((l) => ({ ...l })));
  }

  /** Called once when all is bound; the CLI prints the first steps. */
  onReady: (listening: { collector: string; address: string; protocol: string }[]) => void = () => {};

  private fromSpeaker(m: FromSpeaker): void {
    switch (m.kind) {
      case 'beat':
        this.decision = m.decision;
        this.counters.update('speaker', m.samples);
        return;
      case 'answer':
        this.asker.answer(m.id, 'speaker', m.value);
        return;
      case 'event':
        this.say(m.event);
        return;
      case 'fatal':
        this.o.log.error({ error: m.message }, 'the speaker cannot run');
        return;
      default:
        return;
    }
  }

  /** An event of a process that has no spool goes through a live worker. */
  private say(event: SystemEvent): void {
    const now = this.o.clock.nowMs();
    const index = this.slots.findIndex((s) => s.started && now - s.renewedAt < 1000);
    if (index >= 0) this.toWorker(index, { kind: 'emit', event });
  }

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  private every(ms: number, fn: () => void): void {
    const again = (): void => {
      if (this.stopping) return;
      fn();
      this.o.clock.setTimeout(again, ms);
    };
    this.o.clock.setTimeout(again, ms);
  }

  private tick(): void {
    const now = this.o.clock.nowMs();
    for (let i = 0; i < this.slots.length; i++) {
      const s = this.slots[i];
      this.registry.handle('tidegate_worker_up', { worker: i }).value =
        s.started && now - s.renewedAt < this.config.lb.lease.timeout ? 1 : 0;
      this.toWorker(i, { kind: 'node-usage', others: this.othersUsage(i) });
    }
  }

  private measureOlder(): void {
    this.olderBytes = noBytes();
    for (const l of listLogs('spool')) if (l.generation < this.generation) this.olderBytes[l.class] += l.bytes;
  }

  private othersUsage(index: number): Record<EventClass, { bytes: number; unexported: number }> {
    const out = Object.fromEntries(
      EVENT_CLASSES.map((c) => [c, { bytes: this.olderBytes[c], unexported: this.olderBytes[c] }]),
    ) as Record<EventClass, { bytes: number; unexported: number }>;
    this.slots.forEach((s, i) => {
      if (i === index || !s.usage) return;
      for (const cls of EVENT_CLASSES) {
        out[cls].bytes += s.usage[cls].bytes;
        out[cls].unexported += s.usage[cls].unexported;
      }
    });
    return out;
  }

  // ── admin ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  private adminAddress: string | undefined;

  private async openAdmin(): Promise<void> {
    const { admin } = this.config;
    const listen = this.o.role === 'speaker' ? admin.speaker_listen : admin.listen;
    if (listen !== undefined) {
      try {
        const probes = await openProbes(this, listen.address, listen.port);
        this.adminAddress = formatEndpoint(listen.address, probes.port);
        this.closers.push(probes.close);
      } catch (e) {
        throw new StartError(`admin.listen ${formatEndpoint(listen.address, listen.port)}: ${(e as Error).message}`, 1);
      }
    }
    const socket = this.o.role === 'speaker' ? `speaker-${admin.socket}` : admin.socket;
    const api = await openApi(this, socket);
    this.closers.push(api.close);
  }

  private samples(): ReturnType<CounterStore['merged']> {
    return [...this.registry.snapshot(), ...this.counters.merged()];
  }

  livez(): string[] {
    const frozen = this.slots.flatMap((s, i) =>
      s.started && s.child.silentFor > 5000
        ? [`worker ${i} has been silent for ${Math.round(s.child.silentFor / 1000)} s`]
        : [],
    );
    return this.speaker && this.speaker.silentFor > 5000 ? [...frozen, 'the speaker is silent'] : frozen;
  }

  readyz(): string[] {
    const reasons: string[] = [];
    const now = this.o.clock.nowMs();
    this.slots.forEach((s, i) => {
      if (!s.started) reasons.push(s.hard[0] ?? `worker ${i} is starting`);
      else if (now - s.renewedAt > this.config.lb.lease.timeout) reasons.push(`worker ${i} does not renew its lease`);
      else reasons.push(...s.hard.map((r) => `worker ${i}: ${r}`));
    });
    if (this.o.role === 'speaker' && !this.speaker?.running) reasons.push('the speaker does not run');
    return reasons;
  }

  vipz(): { code: number; grade: string } {
    return this.decision;
  }

  metrics(): Promise<string> {
    return this.page.render();
  }

  private async askWorkers(question: Question): Promise<{ answers: unknown[]; silent: string[] }> {
    const targets = new Map(
      this.slots.map((_, i) => [`worker ${i}`, (id: number) => this.toWorker(i, { kind: 'ask', id, question })]),
    );
    return this.asker.ask(targets);
  }

  private async workerStatus(): Promise<{ workers: WorkerStatus[]; silent: string[] }> {
    const g = await this.askWorkers({ what: 'status' });
    return { workers: (g.answers as WorkerStatus[]).sort((a, b) => a.index - b.index), silent: g.silent };
  }

  async status(): Promise<Record<string, unknown>> {
    const [{ workers, silent }, lb] = await Promise.all([this.workerStatus(), this.lb()]);
    return {
      version: this.o.version,
      site: this.config.site,
      node: this.config.node,
      role: this.o.role,
      pid: process.pid,
      data_dir: process.cwd(),
      workers_wanted: this.config.workers,
      native: this.nativeProblem === undefined ? { loaded: true } : { loaded: false, reason: this.nativeProblem },
      listening: this.listens.map((l) => ({
        collector: l.collector,
        address: formatEndpoint(l.spec.address, l.spec.port),
        network: l.spec.network,
      })),
      ready: this.readyz(),
      workers: workers.map((w) => ({ ...w, restarts: this.slots[w.index].child.restarts })),
      silent,
      devices: this.table.size,
      lb,
      counters: Object.fromEntries(
        this.samples()
          .filter((s) =>
            /^tidegate_(received|events|refused|lost_events|repeated|export_acked|export_quarantined)_?/.test(s[0]),
          )
          .map((s) => [s[1] === '' ? s[0] : `${s[0]}{${s[1]}}`, s[2]]),
      ),
    };
  }

  async lb(): Promise<unknown> {
    const base = { decision: this.decision, draining: this.draining };
    if (!this.speaker) return base;
    const speaker = this.speaker;
    const g = await this.asker.ask<Record<string, unknown>>(
      new Map([['speaker', (id: number) => speaker.send({ kind: 'ask', id } satisfies ToSpeaker)]]),
    );
    return g.answers.length ? { ...base, ...g.answers[0] } : { ...base, silent: g.silent };
  }

  async spool(): Promise<unknown> {
    const { workers, silent } = await this.workerStatus();
    return {
      max_bytes: this.config.spool.max_bytes,
      shards: workers.map((w) => ({ worker: w.index, boot: w.boot, classes: w.spool, draining: w.draining })),
      silent,
    };
  }

  async exporters(): Promise<unknown> {
    const { workers, silent } = await this.workerStatus();
    return { workers: workers.map((w) => ({ worker: w.index, exporters: w.exporters })), silent };
  }

  configuration(): unknown {
    return redact(this.config);
  }

  async explain(device: string): Promise<unknown> {
    const [refusals, { workers, silent }, lb] = await Promise.all([
      this.askWorkers({ what: 'refusals' }),
      this.workerStatus(),
      this.lb(),
    ]);
    return explain({
      device,
      config: this.config,
      inventory: this.table,
      refusals: (refusals.answers as RefusalAnswer[]).flatMap((a) => a.refusals),
      workers,
      silent,
      lb: lb as Record<string, unknown>,
      listens: this.listens,
      samples: this.samples(),
      nowMs: this.o.clock.wallMs(),
    });
  }

  tap(filter: TapFilter, sink: (lines: string[]) => boolean): () => void {
    const id = this.nextTap++;
    this.taps.set(id, { filter, sink, skipped: 0 });
    this.toAll({ kind: 'tap', filter: this.unionFilter() });
    return () => {
      this.taps.delete(id);
      this.toAll({ kind: 'tap', filter: this.taps.size ? this.unionFilter() : undefined });
    };
  }

  private unionFilter(): TapFilter {
    const filters = [...this.taps.values()].map((t) => t.filter);
    const same = (k: keyof TapFilter): string | undefined =>
      filters.every((f) => f[k] === filters[0]?.[k]) ? filters[0]?.[k] : undefined;
    return { type: same('type'), device: same('device') };
  }

  private tapped(events: TappedEvent[]): void {
    for (const tap of this.taps.values()) {
      const lines = events.filter((e) => matchesTap(tap.filter, e.type, e.deviceId, e.deviceName)).map((e) => e.line);
      if (lines.length && !tap.sink(lines)) tap.skipped += lines.length;
    }
  }

  // ── changes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async drain(who: string): Promise<unknown> {
    this.draining = true;
    this.speaker?.send({ kind: 'drain', reason: 'drain requested' } satisfies ToSpeaker);
    this.toAll({ kind: 'draining', on: true });
    this.say({ type: 'audit.v1', data: { action: 'lb.drain', who, result: 'accepted' } });
    return { draining: true };
  }

  async undrain(who: string): Promise<unknown> {
    this.draining = false;
    this.speaker?.send({ kind: 'undrain' } satisfies ToSpeaker);
    this.toAll({ kind: 'draining', on: false });
    this.say({ type: 'audit.v1', data: { action: 'lb.undrain', who, result: 'accepted' } });
    return { draining: false };
  }

  /** A new inventory; the workers take it over without a pause. */
  replaceInventory(entries: InventoryEntry[]): void {
    this.inventory = entries;
    this.table.replace(entries);
    this.toAll({ kind: 'inventory', entries });
  }

  /** A new configuration of which only the parts that need no restart differ (config/plan.ts). */
  reconfigure(config: Config): void {
    this.config = config;
    this.toAll({ kind: 'reconfigure', config });
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
      this.speaker.noRestart();
      this.speaker.send({ kind: 'stop', reason } satisfies ToSpeaker);
      await this.speaker.ended(lb.drain.timeout + lb.drain.linger + 5000);
    }
    const started = clock.nowMs();
    for (const s of this.slots) s.child.noRestart();
    this.toAll({ kind: 'stop', deadlineMs: exporters.flush_timeout });
    const clean = await Promise.all(this.slots.map((s) => s.child.ended(exporters.flush_timeout + 10_000)));
    for (const close of this.closers) await close();
    this.opened?.close();
    this.release();
    log.info({ took_ms: Math.round(clock.nowMs() - started), clean: clean.every(Boolean) }, 'stopped');
    this.finish(clean.every(Boolean) ? 0 : 1);
  }
}

function noBytes(): Record<EventClass, number> {
  return { alarm: 0, routing: 0, metrics: 0, system: 0 };
}
