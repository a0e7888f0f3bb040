/**
 * The only file that reads time. Everything else is handed a Clock, so that tests own the time.
 * `nowMs` is monotonic milliseconds (fractions kept): timers, leases, durations. `wall` is UTC for people and events.
 */
export interface Clock {
  nowMs(): number;
  /** UTC milliseconds since 1970. */
  wallMs(): number;
  /** UTC microseconds since 1970, strictly increasing within a process: boots and epochs are made of it. */
  wallMicros(): number;
  setTimeout(fn: () => void, ms: number): TimerHandle;
  clearTimeout(handle: TimerHandle): void;
}

export type TimerHandle = { readonly id: unknown };

let lastMicros = 0;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  wallMicros: () => {
    const now = Math.floor((performance.timeOrigin + performance.now()) * 1000);
    // performance.timeOrigin does not follow a stepped clock; Date.now() does. Take the wall clock's milliseconds where they disagree.
    const wall = Date.now() * 1000;
    const t = Math.abs(now - wall) > 2_000_000 ? wall : now;
    lastMicros = t > lastMicros ? t : lastMicros + 1;
    return lastMicros;
  },
  setTimeout: (fn, ms) => ({ id: setTimeout(fn, ms) }),
  clearTimeout: (h) => clearTimeout(h.id as NodeJS.Timeout),
};

/** A clock that moves only when told: tests and simulations. */
export class ManualClock implements Clock {
  private ms: number;
  private readonly wallBase: number;
  private readonly timers = new Map<number, { at: number; fn: () => void }>();
  private nextId = 1;
  private micros = 0;

  constructor(startMs = 0, wallMs = 1_700_000_000_000) {
    this.ms = startMs;
    this.wallBase = wallMs - startMs;
  }

  nowMs(): number {
    return this.ms;
  }

  wallMs(): number {
    return Math.floor(this.wallBase + this.ms);
  }

  wallMicros(): number {
    const t = Math.floor((this.wallBase + this.ms) * 1000);
    this.micros = t > this.micros ? t : this.micros + 1;
    return this.micros;
  }

  setTimeout(fn: () => void, ms: number): TimerHandle {
    const id = this.nextId++;
    this.timers.set(id, { at: this.ms + Math.max(0, ms), fn });
    return { id };
  }

  clearTimeout(handle: TimerHandle): void {
    this.timers.delete(handle.id as number);
  }

  /** Moves time forward, running due timers in order of their time. */
  advance(ms: number): void {
    const until = this.ms + ms;
    for (;;) {
      let due: [number, { at: number; fn: () => void }] | undefined;
      for (const entry of this.timers) if (entry[1].at <= until && (!due || entry[1].at < due[1].at)) due = entry;
      if (!due) break;
      this.timers.delete(due[0]);
      this.ms = due[1].at;
      due[1].fn();
    }
    this.ms = until;
  }
}
