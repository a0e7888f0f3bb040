/** Whether somebody who has to speak now and then has been silent for too long. */
import type { Clock, TimerHandle } from '../core/clock.ts';

/** A look that comes this much late says that it was this process that stood still, and nothing about the other one. */
const OWN_LATENESS_MS = 200;
/** What was said while this process stood still is read in so long. */
const GRACE_MS = 100;

export interface SilenceWatchOptions {
  clock: Clock;
  /** Milliseconds of silence that are too long; may change. */
  limit(): number;
  /** Milliseconds since the other one was last heard. */
  silent(): number;
  /** Its silence is no matter for now. */
  idle(): boolean;
  /** Milliseconds from one look to the next at most. */
  most: number;
  /** Called once; the watch is over then. */
  onSilent(): void;
}

/**
 * Its timer stands at the moment at which the silence would be too long: one who speaks costs a look a `limit`, whatever it says meanwhile.
 * Before the silence counts, what may wait unread has GRACE_MS to be read.
 */
export class SilenceWatch {
  private readonly o: SilenceWatchOptions;
  private timer: TimerHandle | undefined;
  private due = 0;
  private graced = false;

  constructor(o: SilenceWatchOptions) {
    this.o = o;
    this.again(o.most);
  }

  stop(): void {
    if (this.timer) this.o.clock.clearTimeout(this.timer);
    this.timer = undefined;
  }

  private again(ms: number): void {
    const { clock } = this.o;
    this.due = clock.nowMs() + ms;
    this.timer = clock.setTimeout(() => this.look(), ms);
  }

  private look(): void {
    const { clock, limit, silent, idle, most, onSilent } = this.o;
    this.timer = undefined;
    const left = limit() - silent();
    if (left > 0 || idle()) {
      this.graced = false;
      this.again(left > 0 ? Math.min(left, most) : most);
      return;
    }
    const ownLate = clock.nowMs() - this.due > OWN_LATENESS_MS;
    if (!ownLate && this.graced) {
      onSilent();
      return;
    }
    this.graced = !ownLate;
    this.again(GRACE_MS);
  }
}
