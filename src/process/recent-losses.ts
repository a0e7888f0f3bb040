/** When events were last lost: a counter says only that some were, since the start. */
import type { Sample } from '../telemetry/registry.ts';

/** Losses of so long ago are history. */
export const RECENT_MS = 300_000;
/** Readings closer together than this are one. */
const GRAIN_MS = 1000;

export interface LossHistory {
  /** Labels of tidegate_lost_events_total. */
  labels: string;
  /** Since the start. */
  total: number;
  /** Within the last RECENT_MS. */
  recent: number;
  /** UTC milliseconds at which the last one was noticed. */
  last: number;
}

interface Series {
  total: number;
  last: number;
  /** What was lost, and when it was noticed; only recent ones. */
  steps: { at: number; count: number }[];
}

export class RecentLosses {
  private readonly series = new Map<string, Series>();

  /** `wall`: UTC milliseconds. Counters never go back. */
  reading(wall: number, samples: readonly Sample[]): void {
    for (const [name, labels, value] of samples) {
      if (name !== 'tidegate_lost_events_total') continue;
      let s = this.series.get(labels);
      if (!s) {
        s = { total: 0, last: 0, steps: [] };
        this.series.set(labels, s);
      }
      const fresh = value - s.total;
      if (fresh <= 0) continue;
      s.total = value;
      const before = s.steps.at(-1);
      if (before && wall - before.at < GRAIN_MS) before.count += fresh;
      else s.steps.push({ at: wall, count: fresh });
      s.last = wall;
    }
    for (const s of this.series.values())
      while (s.steps.length > 0 && wall - s.steps[0].at > RECENT_MS) s.steps.shift();
  }

  /** Those that ever lost anything. */
  list(wall: number): LossHistory[] {
    return [...this.series]
      .filter(([, s]) => s.total > 0)
      .map(([labels, s]) => ({
        labels,
        total: s.total,
        recent: s.steps.filter((x) => wall - x.at <= RECENT_MS).reduce((n, x) => n + x.count, 0),
        last: s.last,
      }));
  }
}
