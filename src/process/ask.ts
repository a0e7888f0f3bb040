/** Questions over processes: scattered, gathered for a bounded time; who is silent is named, never waited for. */
import type { Clock, TimerHandle } from '../core/clock.ts';

export interface Gathered<T> {
  answers: T[];
  /** Names of those who did not answer in time. */
  silent: string[];
}

interface Pending {
  missing: Set<string>;
  answers: unknown[];
  timer: TimerHandle;
  done: (g: Gathered<unknown>) => void;
}

export class Asker {
  private readonly pending = new Map<number, Pending>();
  private readonly clock: Clock;
  private readonly waitMs: number;
  private nextId = 1;

  constructor(clock: Clock, waitMs = 500) {
    this.clock = clock;
    this.waitMs = waitMs;
  }

  /** Sends the question with its id to each of `targets` and gathers. */
  ask<T>(targets: ReadonlyMap<string, (id: number) => void>): Promise<Gathered<T>> {
    const id = this.nextId++;
    return new Promise((resolve) => {
      const finish = (): void => {
        const p = this.pending.get(id);
        if (!p) return;
        this.pending.delete(id);
        this.clock.clearTimeout(p.timer);
        p.done({ answers: p.answers, silent: [...p.missing] });
      };
      this.pending.set(id, {
        missing: new Set(targets.keys()),
        answers: [],
        timer: this.clock.setTimeout(finish, this.waitMs),
        done: resolve as (g: Gathered<unknown>) => void,
      });
      for (const send of targets.values()) send(id);
      if (targets.size === 0) finish();
    });
  }

  /** An answer came in. A late one is dropped. */
  answer(id: number, from: string, value: unknown): void {
    const p = this.pending.get(id);
    if (!p?.missing.delete(from)) return;
    p.answers.push(value);
    if (p.missing.size === 0) {
      this.pending.delete(id);
      this.clock.clearTimeout(p.timer);
      p.done({ answers: p.answers, silent: [] });
    }
  }
}
