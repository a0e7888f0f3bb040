/** The supervisor's side of the speaker: starts it, watches it, keeps its last decision, and carries questions and orders to it. */
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Asker } from './ask.ts';
import { Child } from './child.ts';
import type { CounterStore } from './counters.ts';
import type { ExpectedListens, FromSpeaker, SpeakerDecision, ToSpeaker } from './messages.ts';
import type { SpeakerSide } from './speaker-link.ts';
import { beginRun, endRun } from './speaker-run.ts';

export interface SpeakerHostOptions {
  /** As the speaker gets it. */
  config(): Config;
  listens(): ExpectedListens;
  dataDir: string;
  /** The workers are another instance's: they may have lived on where an earlier speaker died. */
  alone: boolean;
  /** How many workers there are. */
  workers(): number;
  /** The group whose members may connect to the lease channel. */
  gid: number | undefined;
  logTty: boolean;
  nativeProblem(): string | undefined;
  clock: Clock;
  log: Logger;
  counters: CounterStore;
  asker: Asker;
  /** An instance in another container drained, or undrained, this node. */
  onDraining(on: boolean): void;
  /** It is heard for the first time: all that it needs is there. */
  onUp(): void;
}

/** A speaker silent for so long, in milliseconds, is killed: its closed sessions are the withdraw. */
const SILENCE_MS = 1_000;
/**
 * The speaker's thread is real-time where it may be, V8's helper threads are not: where it waits for one of them, for a collection or until
 * a compilation lets it collect, it waits as long as that one waits for a processor. On a busy machine that was up to 200 ms.
 */
const SPEAKER_ARGS = ['--single-threaded'];
/** Relative to data_dir. */
export const SPEAKER_SOCKET = 'speaker.sock';
/** The pid of the speaker, relative to data_dir. */
export const SPEAKER_FILE = 'speaker-children';

export class SpeakerHost implements SpeakerSide {
  decision: SpeakerDecision = { code: 503, grade: 'dead', reasons: ['the speaker has not started'] };
  private readonly o: SpeakerHostOptions;
  private readonly child: Child;
  private drainReason: string | undefined;
  /** Why it could not run, the last time it was started. */
  private failed: string | undefined;
  private up = false;
  private said = false;
  private resumes: boolean;

  constructor(o: SpeakerHostOptions) {
    this.o = o;
    this.resumes = o.alone && beginRun();
    const { clock, log } = o;
    this.child = new Child({
      name: 'speaker',
      entry: 'speaker-main',
      execArgv: SPEAKER_ARGS,
      fds: () => [],
      noteFile: SPEAKER_FILE,
      clock,
      log,
      silenceMs: Math.max(SILENCE_MS, o.config().lb.lease.timeout),
      onMessage: (m) => this.heard(m as FromSpeaker),
      onFork: (send) => {
        send({
          kind: 'init',
          config: o.config(),
          listens: o.listens(),
          resumes: this.resumes,
          dataDir: o.dataDir,
          workers: o.workers(),
          socket: SPEAKER_SOCKET,
          logTty: o.logTty,
          gid: o.gid,
          nativeProblem: o.nativeProblem(),
        } satisfies ToSpeaker);
        // Whoever comes after this one comes after its death: it is not started again after an ordered end.
        this.resumes = true;
        // One that was started again goes on where its predecessor was.
        if (this.drainReason !== undefined) send({ kind: 'drain', reason: this.drainReason } satisfies ToSpeaker);
      },
      onExit: (how) => {
        o.counters.retire('speaker');
        const reasons = [this.failed ?? `the speaker ended: ${how}`];
        this.decision = { code: 503, grade: 'dead', reasons };
        this.up = false;
      },
    });
    this.child.start();
  }

  get running(): boolean {
    return this.child.running;
  }

  /** Why it does not do its work; undefined: it does. */
  get obstacle(): string | undefined {
    return this.up ? undefined : (this.failed ?? 'the speaker is starting');
  }

  /** Milliseconds since it was last heard. */
  get silentFor(): number {
    return this.child.silentFor;
  }

  drain(reason: string): void {
    this.drainReason = reason;
    this.child.send({ kind: 'drain', reason } satisfies ToSpeaker);
  }

  undrain(): void {
    this.drainReason = undefined;
    this.child.send({ kind: 'undrain' } satisfies ToSpeaker);
  }

  /** VIPs, peers and so on may have changed. */
  reconfigure(): void {
    this.child.send({ kind: 'reconfigure', config: this.o.config(), listens: this.o.listens() } satisfies ToSpeaker);
  }

  /** What it says of itself, or that it is silent. */
  async status(): Promise<Record<string, unknown>> {
    const g = await this.o.asker.ask<Record<string, unknown>>(
      new Map([['speaker', (id: number) => this.child.send({ kind: 'ask', id } satisfies ToSpeaker)]]),
    );
    return g.answers.length ? g.answers[0] : { silent: g.silent };
  }

  /** The ordered end; resolves when the process is gone, by itself or, after `ms`, killed. */
  async stop(reason: string, ms: number): Promise<void> {
    this.child.noRestart();
    this.child.send({ kind: 'stop', reason } satisfies ToSpeaker);
    // A killed one came to no ordered end.
    if (await this.child.ended(ms)) endRun();
  }

  /** Ends it at once. */
  abandon(): void {
    void this.child.ended(0);
  }

  private heard(m: FromSpeaker): void {
    switch (m.kind) {
      case 'beat':
        this.decision = m.decision;
        this.o.counters.update('speaker', m.samples);
        this.failed = undefined;
        this.up = true;
        if (!this.said) this.o.onUp();
        this.said = true;
        return;
      case 'draining':
        this.drainReason = m.on ? (this.drainReason ?? 'drain requested') : undefined;
        this.o.onDraining(m.on);
        return;
      case 'answer':
        this.o.asker.answer(m.id, 'speaker', m.value);
        return;
      case 'fatal':
        this.failed = `the speaker cannot run: ${m.message}`;
        this.o.log.error({ error: m.message }, 'the speaker cannot run');
        return;
      default:
        return;
    }
  }
}
