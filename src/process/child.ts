/** A child process that is kept alive: forked, watched for silence, restarted with back-off, stopped in order. */
import { type ChildProcess, fork } from 'node:child_process';
import { Backoff } from '../core/backoff.ts';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { noteChild } from './orphans.ts';
import { SilenceWatch } from './silence.ts';

export interface ChildOptions {
  name: string;
  /** File name beside this one, without extension: source and compiled tree have the same names. */
  entry: string;
  /** Options of its Node.js. */
  execArgv?: readonly string[];
  /** Descriptors to inherit, asked for at each fork; the child sees them as 4, 5, … */
  fds: () => number[];
  clock: Clock;
  log: Logger;
  /** Milliseconds of silence after which the child is killed and started again; until it is first heard, START_MS at least. */
  silenceMs: number;
  onMessage: (message: unknown) => void;
  /** Where the pids of an instance's children are written down (orphans.ts). */
  noteFile: string;
  /** After each fork: say what to do. */
  onFork: (send: (message: unknown) => void) => void;
  onExit: (how: string) => void;
}

/** Loading a program on a busy machine takes longer than any silence that is allowed later. */
const START_MS = 15_000;

/** The first inherited descriptor in a child: 0-2 are standard, 3 is the IPC channel. */
export const FIRST_FD = 4;

export class Child {
  private readonly o: ChildOptions;
  private readonly backoff = new Backoff(100, 5000);
  private child: ChildProcess | undefined;
  private watch: SilenceWatch | undefined;
  private retry: TimerHandle | undefined;
  private lastHeard = 0;
  private heard = false;
  private stopping = false;
  private upSince = 0;
  restarts = 0;

  constructor(o: ChildOptions) {
    this.o = o;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  get running(): boolean {
    return this.child !== undefined;
  }

  /** Milliseconds since the child was last heard. */
  get silentFor(): number {
    return this.o.clock.nowMs() - this.lastHeard;
  }

  start(): void {
    const { clock, log, name } = this.o;
    const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
    const child = fork(new URL(`./${this.o.entry}.${extension}`, import.meta.url), {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', ...this.o.fds()],
      serialization: 'json',
      execArgv: [...process.execArgv, ...(this.o.execArgv ?? [])],
    });
    if (child.pid !== undefined) noteChild(this.o.noteFile, child.pid);
    this.child = child;
    this.lastHeard = clock.nowMs();
    this.upSince = clock.nowMs();
    this.heard = false;
    child.on('message', (message) => {
      this.lastHeard = clock.nowMs();
      this.heard = true;
      if (this.child === child) this.o.onMessage(message);
    });
    child.on('error', (e) => log.error({ process: name, error: e.message }, 'process could not be started or reached'));
    child.on('exit', (code, signal) => {
      if (this.child !== child) return;
      this.child = undefined;
      this.watch?.stop();
      const how = signal === null ? `exit ${code}` : signal;
      this.o.onExit(how);
      if (this.stopping) return;
      if (clock.nowMs() - this.upSince > 10_000) this.backoff.reset();
      const wait = this.backoff.next();
      this.restarts++;
      log.error({ process: name, how, restart_in_ms: Math.round(wait) }, 'process ended; it is started again');
      this.retry = clock.setTimeout(() => this.start(), wait);
    });
    this.o.onFork((m) => this.send(m));
    this.watchSilence();
  }

  send(message: unknown): void {
    if (this.child?.connected) this.child.send(message as object, () => {});
  }

  /** No restart from here on. */
  noRestart(): void {
    this.stopping = true;
    if (this.retry) this.o.clock.clearTimeout(this.retry);
  }

  /** Resolves when the child is gone; kills it after `ms`. */
  async ended(ms: number): Promise<boolean> {
    this.noRestart();
    const child = this.child;
    if (!child) return true;
    return (await new Promise((resolve) => {
      const timer = this.o.clock.setTimeout(() => {
        child.kill('SIGKILL');
        resolve(false);
      }, ms);
      child.once('exit', () => {
        this.o.clock.clearTimeout(timer);
        resolve(true);
      });
    }).finally(() => this.watch?.stop())) as boolean;
  }

  private watchSilence(): void {
    const { clock, silenceMs, log, name } = this.o;
    this.watch?.stop();
    const child = this.child;
    this.watch = new SilenceWatch({
      clock,
      limit: () => (this.heard ? silenceMs : Math.max(silenceMs, START_MS)),
      silent: () => this.silentFor,
      idle: () => this.stopping,
      most: silenceMs,
      onSilent: () => {
        if (this.child !== child || !child) return;
        log.error(
          { process: name, pid: child.pid, silent_ms: Math.round(this.silentFor) },
          'process is silent; it is killed',
        );
        child.kill('SIGKILL');
      },
    });
  }
}
