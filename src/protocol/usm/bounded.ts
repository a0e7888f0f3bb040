/** Bounded memory and bounded work for what strangers can cause. Pure: time is an argument. */

/**
 * A map of at most `limit` entries in which what is used stays. Two generations: a hit in the older moves the entry to the younger; when
 * the younger holds half of the limit it becomes the older, whose rest is forgotten. A hit in the younger costs one look-up.
 */
export class BoundedMap<V, K = string> {
  private half: number;
  private young = new Map<K, V>();
  private old = new Map<K, V>();

  constructor(limit: number) {
    this.half = halfOf(limit);
  }

  /** Another limit; what is too much for it is forgotten, what was used last at last. */
  resize(limit: number): void {
    this.half = halfOf(limit);
    if (this.young.size > this.half) {
      this.old = new Map([...this.young].slice(-this.half));
      this.young = new Map();
    } else if (this.old.size > this.half) this.old = new Map([...this.old].slice(-this.half));
  }

  get size(): number {
    return this.young.size + this.old.size;
  }

  get(key: K): V | undefined {
    const hit = this.young.get(key);
    if (hit !== undefined) return hit;
    const kept = this.old.get(key);
    if (kept !== undefined) this.set(key, kept);
    return kept;
  }

  set(key: K, value: V): void {
    this.old.delete(key);
    if (this.young.size >= this.half && !this.young.has(key)) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(key, value);
  }

  delete(key: K): void {
    this.young.delete(key);
    this.old.delete(key);
  }
}

function halfOf(limit: number): number {
  return Math.max(1, Math.floor(limit / 2));
}

/** Permits per second for each source and for all together. A permit not used is kept for `burst` seconds. */
export interface Rate {
  perSource: number;
  total: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Seconds of permits that a quiet source, or all, may use at once. */
const BURST_SECONDS = 5;
const MAX_SOURCES = 10_000;

export class Budget {
  private rate: Rate;
  private readonly all: Bucket;
  private readonly sources = new BoundedMap<Bucket>(MAX_SOURCES);

  constructor(rate: Rate) {
    this.rate = rate;
    this.all = { tokens: burstOf(rate.total), at: Number.NEGATIVE_INFINITY };
  }

  set(rate: Rate): void {
    this.rate = rate;
    // Nobody has asked yet: it begins with the new one.
    if (this.all.at === Number.NEGATIVE_INFINITY) this.all.tokens = burstOf(rate.total);
  }

  /** True where one more is allowed now (`now`: milliseconds, monotonic). What one source may not have is not taken from all. */
  take(now: number, source: string): boolean {
    refill(this.all, now, this.rate.total);
    if (this.all.tokens < 1) return false;
    let own = this.sources.get(source);
    if (own === undefined) {
      own = { tokens: burstOf(this.rate.perSource), at: now };
      this.sources.set(source, own);
    } else refill(own, now, this.rate.perSource);
    if (own.tokens < 1) return false;
    own.tokens--;
    this.all.tokens--;
    return true;
  }
}

function refill(b: Bucket, now: number, rate: number): void {
  const gained = b.at === Number.NEGATIVE_INFINITY ? 0 : (Math.max(0, now - b.at) / 1000) * rate;
  b.tokens = Math.min(burstOf(rate), b.tokens + gained);
  b.at = now;
}

/** However small a rate is, one permit can be saved up. */
function burstOf(rate: number): number {
  return Math.max(1, rate * BURST_SECONDS);
}
