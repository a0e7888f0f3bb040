/**
 * Counters over processes. A process sends with each renewal what changed, histograms each second; when it dies, what it had counted is
 * kept, so that a counter never goes back and loses at most one renewal.
 */
import { METRICS, type MetricDeclaration, type MetricName } from '../telemetry/metrics.ts';
import type { Sample } from '../telemetry/registry.ts';

const BASE = /_(bucket|sum|count)$/;

/** The declaration behind a sample's name (histograms have derived names). */
export function declarationOf(name: string): MetricDeclaration | undefined {
  return METRICS[name as MetricName] ?? METRICS[name.replace(BASE, '') as MetricName];
}

export class CounterStore {
  /** By process, then by series. */
  private readonly live = new Map<string, Map<string, Sample>>();
  private readonly past = new Map<string, Sample>();

  /** The samples of a process that are new; those it said before hold on. */
  update(process: string, samples: readonly Sample[]): void {
    let known = this.live.get(process);
    if (known === undefined) this.live.set(process, (known = new Map()));
    for (const s of samples) {
      const key = `${s[0]}{${s[1]}}`;
      // NaN is null once it was JSON.
      if (Number.isFinite(s[2])) known.set(key, s);
      else known.delete(key);
    }
  }

  /** The process is gone: its counters stay, its gauges go. */
  retire(process: string): void {
    for (const [key, s] of this.live.get(process) ?? []) {
      const d = declarationOf(s[0]);
      if (!d || d.type === 'gauge') continue;
      const known = this.past.get(key);
      if (known) known[2] += s[2];
      else this.past.set(key, [s[0], s[1], s[2]]);
    }
    this.live.delete(process);
  }

  /** Everything, merged: counters are added up, gauges by their declared rule. */
  merged(): Sample[] {
    const out = new Map<string, Sample>();
    for (const [key, s] of this.past) out.set(key, [s[0], s[1], s[2]]);
    for (const samples of this.live.values()) {
      for (const [key, s] of samples) {
        const known = out.get(key);
        if (!known) {
          out.set(key, [s[0], s[1], s[2]]);
          continue;
        }
        const merge = declarationOf(s[0])?.merge ?? 'sum';
        known[2] =
          merge === 'sum' ? known[2] + s[2] : merge === 'max' ? Math.max(known[2], s[2]) : Math.min(known[2], s[2]);
      }
    }
    return [...out.values()];
  }

  /** The merged value of one series; 0 where nobody counted. */
  value(name: string, labels = ''): number {
    return this.merged().find((s) => s[0] === name && s[1] === labels)?.[2] ?? 0;
  }

  /** The merged values of all series of a metric. */
  series(name: string): Sample[] {
    return this.merged().filter((s) => s[0] === name);
  }
}
