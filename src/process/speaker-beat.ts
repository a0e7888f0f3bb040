/**
 * What the speaker says unasked: that it lives, to its supervisor, and how good the node is, to all. A change is said at once; what has not
 * changed wakes nobody who knows it.
 */
import type { Clock } from '../core/clock.ts';
import type { UnixPeer } from '../net/unix.ts';
import type { Sample } from '../telemetry/registry.ts';
import type { FromSpeaker, FromSpeakerToWorker, SpeakerDecision } from './messages.ts';

/** The supervisor hears of the speaker this often, in milliseconds; it kills one that is silent for 1 s (speaker-host.ts). */
export const BEAT_MS = 400;
/** A tick that comes this much before a beat is due is its tick: timers fire a little early or late. */
const EARLY_MS = 50;
/** Metrics are read each second or less often; the decision goes with each beat. */
const SAMPLES_MS = 750;

type Decision = Extract<FromSpeakerToWorker, { kind: 'decision' }>;

export interface SpeakerBeatOptions {
  clock: Clock;
  decision(): SpeakerDecision;
  clockSkew(): number | undefined;
  /** What is new in the metrics. */
  samples(): Sample[];
  /** To the supervisor. */
  send(m: FromSpeaker): void;
  /** To all workers and ingest instances. */
  tell(m: Decision): void;
}

export class SpeakerBeat {
  private readonly o: SpeakerBeatOptions;
  private last = Number.NEGATIVE_INFINITY;
  private lastSamples = Number.NEGATIVE_INFINITY;
  private told = '';
  private hurried = false;

  constructor(o: SpeakerBeatOptions) {
    this.o = o;
  }

  /** Called at least each BEAT_MS. */
  tick(): void {
    if (this.o.clock.nowMs() - this.last >= BEAT_MS - EARLY_MS) this.beat();
  }

  /** The decision may have changed: what becomes of it in this turn is said at its end. */
  hurry(): void {
    if (this.hurried) return;
    this.hurried = true;
    queueMicrotask(() => {
      this.hurried = false;
      this.now();
    });
  }

  /** At once, with all that is new. */
  now(): void {
    this.lastSamples = Number.NEGATIVE_INFINITY;
    this.beat();
  }

  /** Somebody came who has heard nothing yet. */
  greet(peer: Pick<UnixPeer, 'send'>): void {
    peer.send(this.message());
  }

  private message(): Decision {
    return { kind: 'decision', decision: this.o.decision(), clockSkew: this.o.clockSkew() };
  }

  private beat(): void {
    const now = this.o.clock.nowMs();
    this.last = now;
    const message = this.message();
    let samples: Sample[] = [];
    if (now - this.lastSamples >= SAMPLES_MS) {
      this.lastSamples = now;
      samples = this.o.samples();
    }
    this.o.send({ kind: 'beat', decision: message.decision, samples });
    const text = JSON.stringify(message);
    if (text === this.told) return;
    this.told = text;
    this.o.tell(message);
  }
}
