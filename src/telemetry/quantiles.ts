/** Quantiles of merged histograms, for those who look at one number: each worker counts into buckets, and only their sum knows. */
import type { Sample } from './registry.ts';

export interface HistogramSummary {
  labels: Record<string, string>;
  count: number;
  /** In the unit of the histogram, by linear interpolation inside a bucket, as Prometheus' histogram_quantile does. */
  p50: number;
  p99: number;
}

/** One entry for each label set of the histogram `name` that has counted anything. */
export function summaries(samples: readonly Sample[], name: string): HistogramSummary[] {
  const series = new Map<string, { le: number; n: number }[]>();
  for (const [sample, labels, value] of samples) {
    if (sample !== `${name}_bucket`) continue;
    const le = /(?:^|,)le="([^"]*)"/.exec(labels);
    if (!le) continue;
    const rest = labels.replace(le[0], '').replace(/^,/, '');
    const list = series.get(rest) ?? [];
    list.push({ le: le[1] === '+Inf' ? Number.POSITIVE_INFINITY : Number(le[1]), n: value });
    series.set(rest, list);
  }
  const out: HistogramSummary[] = [];
  for (const [labels, buckets] of series) {
    buckets.sort((a, b) => a.le - b.le);
    const count = buckets.at(-1)!.n;
    if (count === 0) continue;
    out.push({
      labels: Object.fromEntries([...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((m) => [m[1], m[2]])),
      count,
      p50: quantile(buckets, 0.5),
      p99: quantile(buckets, 0.99),
    });
  }
  return out;
}

function quantile(buckets: readonly { le: number; n: number }[], q: number): number {
  const rank = q * buckets.at(-1)!.n;
  let below = { le: 0, n: 0 };
  for (const b of buckets) {
    if (b.n >= rank) {
      // Nothing is known beyond the last bound.
      if (b.le === Number.POSITIVE_INFINITY) return below.le;
      return b.n === below.n ? b.le : below.le + ((b.le - below.le) * (rank - below.n)) / (b.n - below.n);
    }
    below = b;
  }
  return below.le;
}

/** Gauges `<name without unit>_quantile_seconds` beside a histogram of seconds. */
export function quantileSamples(samples: readonly Sample[], name: string, gauge: string): Sample[] {
  return summaries(samples, name).flatMap(({ labels, p50, p99 }) => {
    const head = Object.keys(labels)
      .sort()
      .map((k) => `${k}="${labels[k]}"`)
      .join(',');
    return (['0.5', '0.99'] as const).map(
      (q): Sample => [gauge, `${head === '' ? '' : `${head},`}quantile="${q}"`, q === '0.5' ? p50 : p99],
    );
  });
}
