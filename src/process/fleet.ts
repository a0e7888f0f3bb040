/**
 * The workers of an instance as the supervisor has them: their sockets, which stay open here whoever reads them, their shards, what each
 * last said, and how they are told and asked.
 */
import { mkdirSync } from 'node:fs';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { formatEndpoint } from '../core/ip.ts';
import type { Logger } from '../core/log.ts';
import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import { isDurable } from '../export/config.ts';
import { FILES_DIR } from '../export/file/config.ts';
import type { InventoryEntry } from '../inventory/inventory.ts';
import { listLogs } from '../spool/generations.ts';
import type { SpoolUsage } from '../spool/types.ts';
import type { Registry } from '../telemetry/registry.ts';
import type { Asker, Gathered } from './ask.ts';
import { autoWorkers } from './auto-workers.ts';
import { Child, FIRST_FD } from './child.ts';
import type { CounterStore } from './counters.ts';
import { type Carrier, Courier } from './courier.ts';
import { hardRemedy } from './fixes.ts';
import { Handover } from './handover.ts';
import { planListens } from './listens.ts';
import type { MeaningSource } from './meaning.ts';
import type { FromWorker, Listen, Question, SystemEvent, TappedEvent, ToWorker, WorkerStatus } from './messages.ts';
import { chownTree, type Identity } from './privileges.ts';
import { planShards } from './shards.ts';
import { closeOne, type Opened, openAll, openOneMore } from './sockets.ts';

/** A frozen worker is not restarted at once: a stopped process may be under a debugger, and the lease has withdrawn the VIP already. */
const WORKER_SILENCE_MS = 15_000;
/**
 * An event lives until Kafka has it, some 50 ms: a young generation that small bursts do not fill keeps it out of the old one, whose
 * collections cost more than everything else here. One helper thread a worker: more only wake each other up.
 */
const WORKER_ARGS = ['--v8-pool-size=1', '--min-semi-space-size=8', '--max-semi-space-size=16'];
/** How often workers are told what the others hold, in milliseconds, at most. */
const USAGE_MS = 190;
/** The pids of the workers, relative to data_dir. */
export const CHILDREN_FILE = 'children';

export interface FleetOptions {
  config: () => Config;
  inventory: () => InventoryEntry[];
  meaning: () => MeaningSource;
  clock: Clock;
  log: Logger;
  registry: Registry;
  counters: CounterStore;
  asker: Asker;
  cores: number;
  /** Bytes, as autoWorkers takes it. */
  memoryLimit: number;
  dataDir: string;
  identity: Identity | undefined;
  speakerSocket: string;
  logTty: boolean;
  outTty: boolean;
  /** All workers are bound: from here on they read. */
  onReady: () => void;
  /** A worker begins to read: what it has to know besides its init. */
  onReading: (tell: (m: ToWorker) => void) => void;
  onLines: (text: string, written: () => void) => void;
  onTapped: (events: TappedEvent[]) => void;
}

interface Slot {
  child: Child;
  bound: boolean;
  /** Told to read. */
  started: boolean;
  usage: SpoolUsage | undefined;
  hard: string[];
  /** Why it could not open, each time it was started since it last ran. */
  failed: { message: string; times: number } | undefined;
  renewedAt: number;
  /** What it was last told of the others' usage, as text. */
  usageTold: string | undefined;
  /** Kernel drops that are counted, by key of the listener. */
  drops: Record<string, number>;
}

export class Fleet {
  listens: readonly Listen[] = [];
  /** Listeners that a changed configuration asks for and that cannot be opened: why, by key. */
  readonly unopened = new Map<string, string>();
  /** Why the add-on is not there; undefined: it is. */
  nativeProblem: string | undefined;
  private readonly o: FleetOptions;
  private readonly slots: Slot[] = [];
  private readonly courier = new Courier<number>(() => this.live());
  private opened: Opened | undefined;
  private handover = new Handover(0);
  private relistening: Promise<void> = Promise.resolve();
  private generation = 0;
  /** Bytes of older generations that are not drained: they fill the node, whoever drains them. */
  private olderBytes: Record<EventClass, number> = noBytes();
  private usageToldAt = Number.NEGATIVE_INFINITY;
  private olderGone = false;
  private ready = false;
  private readonly closed = new Set<number>();

  constructor(o: FleetOptions) {
    this.o = o;
  }

  get size(): number {
    return this.slots.length;
  }

  /** Opens the sockets and starts the workers; resolves with what makes that impossible. */
  async start(): Promise<string | undefined> {
    const { clock, log, identity } = this.o;
    const config = this.o.config();
    const { workers: wanted, note } =
      config.workers === 'auto' ? autoWorkers(this.o.cores, this.o.memoryLimit) : { workers: config.workers };
    if (note !== undefined) log.info({}, note);
    const opened = await openAll(planListens(config), wanted);
    if ('problem' in opened) return opened.problem;
    this.opened = opened;
    this.handover = new Handover(opened.workers);
    this.listens = opened.listens;
    this.nativeProblem = opened.nativeProblem;
    if (opened.nativeProblem !== undefined)
      log.warn({ reason: opened.nativeProblem }, 'the native add-on is not loaded: one worker');
    for (const note of opened.notes) log.warn({}, note);
    mkdirSync('quarantine', { recursive: true });
    const files = Object.values(this.o.config().export.exporters).some((e) => e.type === 'file');
    if (files) mkdirSync(FILES_DIR, { recursive: true, mode: 0o750 });
    if (identity) {
      chownTree('quarantine', identity);
      if (files) chownTree(FILES_DIR, identity);
    }
    const shards = await planShards('spool', opened.workers, identity, chownTree);
    this.generation = shards.generation;
    this.measureOlder();
    for (let index = 0; index < opened.workers; index++) {
      const child = new Child({
        name: `worker ${index}`,
        entry: 'worker-main',
        execArgv: WORKER_ARGS,
        fds: () => [
          ...this.handover.open(index),
          ...opened.sockets.flatMap((s) => [s.fds[index], s.keeps[index]]).filter((fd) => fd !== undefined),
        ],
        clock,
        log,
        noteFile: CHILDREN_FILE,
        silenceMs: WORKER_SILENCE_MS,
        onMessage: (m) => this.heard(index, m as FromWorker),
        onFork: (send) => {
          this.handover.forked(index);
          send(this.init(index, opened, shards.current[index], shards.older[index]));
        },
        onExit: (how) => this.ended(index, how),
      });
      this.slots.push({
        child,
        bound: false,
        started: false,
        usage: undefined,
        hard: ['starting'],
        failed: undefined,
        renewedAt: 0,
        usageTold: undefined,
        drops: {},
      });
    }
    for (const slot of this.slots) slot.child.start();
    return undefined;
  }

  private init(index: number, opened: Opened, shard: string, olderShards: string[]): ToWorker {
    const { identity } = this.o;
    const handover = this.nativeProblem === undefined ? FIRST_FD : undefined;
    let next = handover === undefined ? FIRST_FD : FIRST_FD + 1;
    const listens = opened.listens.map((l, i) => {
      const { fds, keeps } = opened.sockets[i];
      if (fds[index] === undefined) return l;
      // In the order in which they are inherited.
      const fd = next++;
      const keepFd = keeps[index] === undefined ? undefined : next++;
      return { ...l, spec: { ...l.spec, fd, keepFd }, countedDrops: this.slots[index].drops[l.key] };
    });
    return {
      kind: 'init',
      index,
      of: opened.workers,
      config: this.o.config(),
      listens,
      handover,
      shard,
      olderShards,
      inventory: this.o.inventory(),
      meaning: this.o.meaning(),
      dataDir: this.o.dataDir,
      uid: identity?.uid,
      gid: identity?.gid,
      speakerSocket: this.o.speakerSocket,
      logTty: this.o.logTty,
      outTty: this.o.outTty,
      nativeProblem: this.nativeProblem,
    };
  }

  /**
   * The configuration may ask for other listeners. New ones are opened and handed to the workers that run; those that are not wanted any
   * more are closed. What cannot be opened is tried again each second.
   */
  relisten(): Promise<void> {
    this.relistening = this.relistening.then(() => this.change());
    return this.relistening;
  }

  private async change(): Promise<void> {
    const { opened } = this;
    if (!opened || this.closed.size > 0) return;
    const planned = new Map(planListens(this.o.config()).map((l) => [l.key, l]));
    for (const key of this.unopened.keys()) if (!planned.has(key)) this.unopened.delete(key);
    for (const { key } of [...opened.listens]) if (!planned.has(key)) this.unlisten(opened, key);
    for (const [key, l] of planned) {
      const known = opened.listens.find((x) => x.key === key);
      if (!known) await this.listen(opened, l);
      else if (JSON.stringify([known.ack, known.acl]) !== JSON.stringify([l.ack, l.acl])) {
        Object.assign(known, { ack: l.ack, acl: l.acl });
        this.tellAll({ kind: 'adjust', listen: known });
      }
    }
  }

  private async listen(opened: Opened, planned: Listen): Promise<void> {
    const { log } = this.o;
    const more = await openOneMore(opened, planned);
    if ('problem' in more) {
      if (this.unopened.get(planned.key) !== more.problem)
        log.error({ listener: planned.key, problem: more.problem }, 'a listener cannot be opened; it is tried again');
      this.unopened.set(planned.key, more.problem);
      return;
    }
    this.unopened.delete(planned.key);
    log.info({ listener: planned.key }, 'listener opened');
    const { fds, keeps } = more.group;
    for (let i = 0; i < this.slots.length; i++)
      this.handover.give(
        i,
        (m) => this.tell(i, m),
        opened.listens[opened.listens.length - 1],
        [fds[i], keeps[i]].filter((fd) => fd !== undefined),
      );
  }

  private unlisten(opened: Opened, key: string): void {
    this.o.log.info({ listener: key }, 'listener closed');
    for (let i = 0; i < this.slots.length; i++) this.handover.takeBack(i, key);
    this.tellAll({ kind: 'unlisten', key });
    closeOne(opened, key);
  }

  /** Each second. */
  retryListens(): void {
    if (this.unopened.size > 0) void this.relisten();
    for (let i = 0; i < this.slots.length; i++) {
      const problem = this.handover.flush(i, (m) => this.tell(i, m));
      if (problem !== undefined) this.o.log.error({ worker: i, problem }, 'sockets cannot be handed to a worker');
    }
  }

  tell(index: number, message: ToWorker): void {
    this.slots[index].child.send(message);
  }

  tellAll(message: ToWorker): void {
    for (const slot of this.slots) slot.child.send(message);
  }

  ask(question: Question): Promise<Gathered<unknown>> {
    return this.o.asker.ask(
      new Map(this.slots.map((_, i) => [`worker ${i}`, (id: number) => this.tell(i, { kind: 'ask', id, question })])),
    );
  }

  /** Of those that answer, in order; the silent ones are named. */
  async status(): Promise<{ workers: (WorkerStatus & { restarts: number })[]; silent: string[] }> {
    const g = await this.ask({ what: 'status' });
    const workers = (g.answers as WorkerStatus[]).sort((a, b) => a.index - b.index);
    return { workers: workers.map((w) => ({ ...w, restarts: this.slots[w.index].child.restarts })), silent: g.silent };
  }

  /** An event of a process that has no spool goes through a live worker; without one it waits. */
  say(event: SystemEvent): void {
    this.courier.say(event);
  }

  private live(): Carrier<number> | undefined {
    const key = this.slots.findIndex((s) => s.started && this.o.clock.nowMs() - s.renewedAt < 1000);
    if (key < 0) return undefined;
    const send = (id: number, event: SystemEvent): boolean => {
      this.tell(key, { kind: 'emit', id, event });
      return true;
    };
    return { key, send };
  }

  /** Workers that have been silent for over 5 s. */
  frozen(): string[] {
    return this.slots.flatMap((s, i) =>
      s.started && s.child.silentFor > 5000
        ? [`worker ${i} has been silent for ${Math.round(s.child.silentFor / 1000)} s`]
        : [],
    );
  }

  /** Why the node does not take everything that is sent to it; empty: it does. */
  obstacles(leaseTimeoutMs: number): string[] {
    const now = this.o.clock.nowMs();
    return this.slots.flatMap((s, i) => {
      if (!s.started) return [this.whyNot(i) ?? s.hard[0] ?? `worker ${i} is starting`];
      if (now - s.renewedAt > leaseTimeoutMs) return [`worker ${i} does not renew its lease`];
      return s.hard.map((r) => `worker ${i}: ${r}`);
    });
  }

  /** Workers that end before they can read, again and again, and why. */
  notRunning(): string[] {
    return this.slots.map((_, i) => this.whyNot(i)).filter((why) => why !== undefined);
  }

  /** Workers that read their shards and bind: they do not answer yet, and nothing is wrong with them. */
  starting(): string[] {
    return this.slots.flatMap((s, i) =>
      !s.started && s.failed === undefined && s.child.running ? [`worker ${i}`] : [],
    );
  }

  private listening(): string {
    return this.listens.map((l) => formatEndpoint(l.spec.address, l.spec.port)).join(', ');
  }

  private whyNot(index: number): string | undefined {
    const { failed } = this.slots[index];
    if (!failed) return undefined;
    return `worker ${index} cannot run: ${failed.message} (tried ${failed.times} time${failed.times === 1 ? '' : 's'})`;
  }

  /** Who is up; called before the metrics are read. */
  measure(leaseTimeoutMs: number): void {
    const now = this.o.clock.nowMs();
    this.slots.forEach((s, i) => {
      this.o.registry.handle('tidegate_worker_up', { worker: i }).value =
        s.started && now - s.renewedAt < leaseTimeoutMs ? 1 : 0;
    });
  }

  /** What the others hold. Reports come often enough to carry this: while no worker reports, there is nothing new to tell. */
  private tellUsage(): void {
    const now = this.o.clock.nowMs();
    if (now - this.usageToldAt < USAGE_MS) return;
    this.usageToldAt = now;
    this.slots.forEach((s, i) => {
      const others = this.othersUsage(i);
      const usage = JSON.stringify(others);
      // What it knows it need not be woken for.
      if (!s.started || s.usageTold === usage) return;
      s.usageTold = usage;
      this.tell(i, { kind: 'node-usage', others });
    });
  }

  /** Each 5 s while there are older generations: none comes while this instance runs. */
  measureOlder(): void {
    if (this.olderGone) return;
    const bytes = noBytes();
    let gone = true;
    try {
      for (const l of listLogs('spool')) {
        if (l.generation >= this.generation) continue;
        bytes[l.class] += l.bytes;
        gone = false;
      }
    } catch {
      // A worker removes a drained shard at this moment: the next reading is right.
      return;
    }
    this.olderGone = gone;
    this.olderBytes = bytes;
  }

  /** In order, with so long for what is left; true where all ended by themselves. */
  async stop(flushMs: number): Promise<boolean> {
    for (const s of this.slots) s.child.noRestart();
    this.tellAll({ kind: 'stop', deadlineMs: flushMs });
    const clean = await Promise.all(this.slots.map((s) => s.child.ended(flushMs + 10_000)));
    this.opened?.close();
    return clean.every(Boolean);
  }

  /** At once. */
  abandon(): void {
    for (const s of this.slots) void s.child.ended(0);
    this.opened?.close();
  }

  private heard(index: number, m: FromWorker): void {
    const slot = this.slots[index];
    switch (m.kind) {
      case 'bound':
        slot.bound = true;
        slot.failed = undefined;
        if (this.ready) this.letRead(index);
        else if (this.slots.every((s) => s.bound)) {
          this.ready = true;
          for (let i = 0; i < this.slots.length; i++) this.letRead(i);
          this.o.onReady();
        }
        return;
      case 'renewal':
        slot.renewedAt = this.o.clock.nowMs();
        slot.hard = m.hard;
        slot.usage = m.usage;
        slot.drops = m.drops;
        this.o.counters.update(`worker ${index}`, m.samples);
        this.tellUsage();
        this.courier.flush();
        return;
      case 'answer':
        this.o.asker.answer(m.id, `worker ${index}`, m.value);
        return;
      case 'emitted':
        this.courier.confirmed(index, m.id);
        return;
      case 'lines':
        this.o.onLines(m.text, () => this.tell(index, { kind: 'lines-written' }));
        return;
      case 'tapped':
        this.o.onTapped(m.events);
        return;
      case 'fatal':
        slot.failed = { message: m.message, times: (slot.failed?.times ?? 0) + 1 };
        this.o.log.error(
          {
            worker: index,
            error: m.message,
            times: slot.failed.times,
            fix: hardRemedy(m.message, { dataDir: this.o.dataDir, listening: this.listening() }).fix,
          },
          'a worker cannot run: nothing is received on its sockets; it is tried again',
        );
        return;
      case 'closed':
        // While Kafka is flushed, a router must not reach a socket that nobody reads.
        this.closed.add(index);
        if (this.closed.size === this.slots.length) this.opened?.close();
        return;
      case 'opening':
      case 'stopped':
        return;
    }
  }

  private letRead(index: number): void {
    this.slots[index].started = true;
    this.tell(index, { kind: 'start' });
    this.o.onReading((m) => this.tell(index, m));
  }

  private ended(index: number, how: string): void {
    this.o.counters.retire(`worker ${index}`);
    this.handover.close(index);
    this.o.registry.handle('tidegate_worker_restarts_total', { worker: index }).value++;
    Object.assign(this.slots[index], {
      bound: false,
      started: false,
      usageTold: undefined,
      hard: [`worker ${index} ended: ${how}`],
    });
    this.courier.gone(index);
  }

  private othersUsage(index: number): Record<EventClass, { bytes: number; unexported: number }> {
    // Without a durable exporter they are the oldest part of a ring, and no fill.
    const durable = Object.values(this.o.config().export.exporters).some(isDurable);
    const out = Object.fromEntries(
      EVENT_CLASSES.map((c) => [c, { bytes: this.olderBytes[c], unexported: durable ? this.olderBytes[c] : 0 }]),
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
}

function noBytes(): Record<EventClass, number> {
  return { alarm: 0, routing: 0, metrics: 0, system: 0 };
}
