/**
 * The ingest instance's side of a speaker that runs in another container: over the lease channel it is asked and told what a supervisor asks and
 * tells a speaker of its own (speaker-host.ts), so that every verb works the same.
 */
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Asker } from './ask.ts';
import { LeaseChannel } from './lease-channel.ts';
import type { FromIngest, FromSpeakerToWorker, SpeakerDecision } from './messages.ts';

export interface SpeakerLinkOptions {
  /** Relative to data_dir. */
  socket: string;
  clock: Clock;
  log: Logger;
  asker: Asker;
  /** Whether this node is being drained, as this instance has it. */
  draining(): boolean;
  /** Somebody drained, or undrained, it at the speaker's own door. */
  onDraining(on: boolean): void;
}

/** What a supervisor needs of a speaker, wherever it runs. */
export interface SpeakerSide {
  readonly decision: SpeakerDecision;
  /** It can be told and asked. */
  readonly running: boolean;
  drain(reason: string): void;
  undrain(): void;
  /** VIPs, peers and so on may have changed. */
  reconfigure(): void;
  status(): Promise<Record<string, unknown>>;
  /** Resolves when nothing comes to the VIPs any more, at the latest after `ms`. */
  stop(reason: string, ms: number): Promise<void>;
  /** Ends it at once. */
  abandon(): void;
}

export class SpeakerLink implements SpeakerSide {
  decision: SpeakerDecision = dead('it was not reached yet');
  private readonly o: SpeakerLinkOptions;
  private readonly channel: LeaseChannel;
  /** Waiting for the end of the drain. */
  private left: () => void = () => {};

  constructor(o: SpeakerLinkOptions) {
    this.o = o;
    this.channel = new LeaseChannel(o.socket, o.clock, {
      said: (m) => this.heard(m),
      // A speaker that was started again goes on where its predecessor was; an instance that was started again begins anew.
      up: () => this.say({ kind: 'ingest', draining: o.draining() }),
      down: (problem) => {
        this.decision = dead(problem);
        o.log.warn({ problem }, 'the speaker cannot be reached: nothing is announced');
        this.left();
      },
    });
  }

  get running(): boolean {
    return this.channel.up;
  }

  drain(reason: string): void {
    this.say({ kind: 'drain', reason });
  }

  undrain(): void {
    this.say({ kind: 'undrain' });
  }

  /** The other container watches the file itself. */
  reconfigure(): void {}

  async status(): Promise<Record<string, unknown>> {
    if (!this.running) return {};
    const ask = (id: number): void => this.say({ kind: 'ask', id });
    const g = await this.o.asker.ask<Record<string, unknown>>(new Map([['speaker', ask]]));
    return g.answers.length ? g.answers[0] : { silent: g.silent };
  }

  async stop(reason: string, ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const limit = this.o.clock.setTimeout(resolve, ms);
      this.left = () => {
        this.o.clock.clearTimeout(limit);
        resolve();
      };
      this.say({ kind: 'leave', reason });
    });
    this.abandon();
  }

  abandon(): void {
    this.channel.close();
  }

  private say(m: FromIngest): void {
    this.channel.send(m);
  }

  private heard(m: FromSpeakerToWorker): void {
    switch (m.kind) {
      case 'decision':
        this.decision = m.decision;
        return;
      case 'answer':
        this.o.asker.answer(m.id, 'speaker', m.value);
        return;
      case 'draining':
        this.o.onDraining(m.on);
        return;
      case 'left':
        this.left();
        return;
      default:
        return;
    }
  }
}

function dead(problem: string): SpeakerDecision {
  return { code: 503, grade: 'dead', reasons: [`the speaker cannot be reached: ${problem}`] };
}
