/** Token buckets: one for each source, and one for all. Pure: time is an argument. A spoofed flood of sources cannot make it grow. */
import { BoundedMap } from '../../protocol/usm/bounded.ts';

export interface RateLimit {
  per_source?: number;
  burst?: number;
  total?: number;
  total_burst?: number;
  sources: number;
}

/** What one of so many workers may take: a source stays on one of them, and the total is that of the node. */
export function shareOf(limit: RateLimit, workers: number): RateLimit {
  const part = (n: number | undefined): number | undefined => n && n / workers;
  return { ...limit, total: part(limit.total), total_burst: part(limit.total_burst) };
}

interface Bucket {
  tokens: number;
  at: number;
}

/** A bucket without a `burst` of its own holds this many seconds. */
const BURST_SECONDS = 5;

export class Buckets {
  private readonly limit: RateLimit;
  private readonly burst: number;
  private readonly totalBurst: number;
  private readonly all: Bucket;
  private readonly bySource: BoundedMap<Bucket, number | string>;

  constructor(limit: RateLimit) {
    this.limit = limit;
    this.burst = Math.max(1, limit.burst ?? (limit.per_source ?? 0) * BURST_SECONDS);
    this.totalBurst = Math.max(1, limit.total_burst ?? (limit.total ?? 0) * BURST_SECONDS);
    this.all = { tokens: this.totalBurst, at: 0 };
    this.bySource = new BoundedMap(limit.sources);
  }

  /** Sources remembered. */
  get size(): number {
    return this.bySource.size;
  }

  /** Why one more is too many now (`now`: milliseconds, monotonic), or undefined. What a source may not have is not taken from all. */
  take(now: number, source: Uint8Array): 'rate-limit' | 'rate-limit-total' | undefined {
    const { per_source: perSource, total } = this.limit;
    let own: Bucket | undefined;
    if (perSource !== undefined) {
      const key = keyOf(source);
      own = this.bySource.get(key);
      if (own === undefined) {
        own = { tokens: this.burst, at: now };
        this.bySource.set(key, own);
      } else refill(own, now, perSource, this.burst);
      if (own.tokens < 1) return 'rate-limit';
    }
    if (total !== undefined) {
      refill(this.all, now, total, this.totalBurst);
      if (this.all.tokens < 1) return 'rate-limit-total';
      this.all.tokens--;
    }
    if (own !== undefined) own.tokens--;
    return undefined;
  }
}

function refill(b: Bucket, now: number, rate: number, burst: number): void {
  b.tokens = Math.min(burst, b.tokens + (Math.max(0, now - b.at) / 1000) * rate);
  b.at = now;
}

function keyOf(a: Uint8Array): number | string {
  return a.length === 4 ? (a[0] << 24) | (a[1] << 16) | (a[2] << 8) | a[3] : String.fromCharCode(...a);
}
