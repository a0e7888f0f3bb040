/** How late the timers of a process fire: what its sessions notice of a busy machine. */
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Histogram } from '../telemetry/registry.ts';

/** While timers matter: VRRP advertises, BFD and BGP sessions live by them. */
export const INTERVAL_MS = 100;

export interface Lateness {
  /** Milliseconds. */
  p999: number;
  max: number;
  /** Timers that were looked at. */
  count: number;
}

/** Sets a timer again and again and notes by how much it came late; `histogram` counts in seconds. */
export class LatenessMeter {
  private readonly clock: Clock;
  private readonly histogram: Histogram;
  private readonly interval: () => number;
  private readonly onTick: () => void;
  private max = 0;
  private timer: TimerHandle | undefined;

  /** `interval`: milliseconds from one timer to the next, asked for each time. `onTick`: for what else is due now and then: it needs no timer of its own. */
  constructor(clock: Clock, histogram: Histogram, interval = () => INTERVAL_MS, onTick = () => {}) {
    this.clock = clock;
    this.histogram = histogram;
    this.interval = interval;
    this.onTick = onTick;
  }

  start(): void {
    const ms = this.interval();
    const due = this.clock.nowMs() + ms;
    this.timer = this.clock.setTimeout(() => {
      const late = Math.max(0, this.clock.nowMs() - due);
      this.max = Math.max(this.max, late);
      this.histogram.observe(late / 1000);
      this.start();
      this.onTick();
    }, ms);
  }

  stop(): void {
    if (this.timer) this.clock.clearTimeout(this.timer);
  }

  /** Since the start; p99.9 is the bound of its bucket. */
  get value(): Lateness {
    const { bounds, counts, count } = this.histogram;
    let below = 0;
    let p999 = this.max;
    for (let i = 0; i < bounds.length; i++) {
      below += counts[i];
      if (below >= count * 0.999) {
        p999 = Math.min(this.max, bounds[i] * 1000);
        break;
      }
    }
    return { p999: round(p999), max: round(this.max), count };
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
