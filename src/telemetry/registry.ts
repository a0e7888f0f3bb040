/**
 * Counters and gauges a hot path can afford: a caller asks once for its handle and then adds to a plain number.
 * What changed in a worker's registry goes with each lease renewal; the supervisor merges that (see admin/metrics.ts).
 */
import { METRICS, type MetricDeclaration, type MetricName } from './metrics.ts';

export interface Handle {
  value: number;
}

/** [metric name, label text such as `collector="bmp",code="length"`, value] */
export type Sample = [string, string, number];

/** Fixed buckets, in seconds. */
export class Histogram {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;
  count = 0;
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array(bounds.length).fill(0);
  }
  observe(seconds: number): void {
    this.sum += seconds;
    this.count++;
    for (let i = 0; i < this.bounds.length; i++) {
      if (seconds <= this.bounds[i]) {
        this.counts[i]++;
        return;
      }
    }
  }
}

export class Registry {
  private readonly handles = new Map<string, { name: MetricName; labels: string; handle: Handle; said?: number }>();
  private readonly histograms = new Map<
    string,
    { name: MetricName; labels: string; histogram: Histogram; said?: number }
  >();

  private readonly forgotten: Sample[] = [];

  /** The handle of a counter or gauge; the same labels give the same handle. Label values must come from a bounded set. */
  handle(name: MetricName, labels: Record<string, string | number> = {}): Handle {
    const text = labelText(labels);
    const key = `${name}{${text}}`;
    let entry = this.handles.get(key);
    if (!entry) {
      entry = { name, labels: text, handle: { value: 0 } };
      this.handles.set(key, entry);
    }
    return entry.handle;
  }

  /** The series is gone: a gauge of something that is no more. */
  forget(name: MetricName, labels: Record<string, string | number>): void {
    const text = labelText(labels);
    if (this.handles.delete(`${name}{${text}}`)) this.forgotten.push([name, text, Number.NaN]);
  }

  histogram(name: MetricName, labels: Record<string, string | number> = {}): Histogram {
    const text = labelText(labels);
    const key = `${name}{${text}}`;
    let entry = this.histograms.get(key);
    if (!entry) {
      entry = {
        name,
        labels: text,
        histogram: new Histogram((METRICS[name] as MetricDeclaration).buckets ?? [0.001, 0.01, 0.1, 1]),
      };
      this.histograms.set(key, entry);
    }
    return entry.histogram;
  }

  /** Everything, as flat samples; a histogram as its cumulative `_bucket`, `_sum` and `_count`. */
  snapshot(): Sample[] {
    const out: Sample[] = [];
    for (const e of this.handles.values()) out.push([e.name, e.labels, e.handle.value]);
    for (const { name, labels, histogram } of this.histograms.values()) flatten(out, name, labels, histogram);
    return out;
  }

  /**
   * What is new since the last call; everything, the first time. Between two renewals little changes. A series that is gone has no number.
   * Without `histograms` what is new in them waits: one is as long as all the rest of a busy worker together.
   */
  changes(histograms = true): Sample[] {
    const out: Sample[] = this.forgotten.splice(0);
    for (const e of this.handles.values()) {
      const { value } = e.handle;
      if (e.said === value) continue;
      e.said = value;
      out.push([e.name, e.labels, value]);
    }
    if (!histograms) return out;
    for (const e of this.histograms.values()) {
      const { count } = e.histogram;
      if (e.said === count) continue;
      e.said = count;
      flatten(out, e.name, e.labels, e.histogram);
    }
    return out;
  }
}

function flatten(out: Sample[], name: MetricName, labels: string, h: Histogram): void {
  const comma = labels === '' ? '' : `${labels},`;
  let cumulative = 0;
  for (let i = 0; i < h.bounds.length; i++) {
    cumulative += h.counts[i];
    out.push([`${name}_bucket`, `${comma}le="${h.bounds[i]}"`, cumulative]);
  }
  out.push([`${name}_bucket`, `${comma}le="+Inf"`, h.count]);
  out.push([`${name}_sum`, labels, h.sum]);
  out.push([`${name}_count`, labels, h.count]);
}

function labelText(labels: Record<string, string | number>): string {
  return Object.keys(labels)
    .sort()
    .map((k) => `${k}="${String(labels[k]).replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}"`)
    .join(',');
}
