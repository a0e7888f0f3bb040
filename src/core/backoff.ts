/**
 * Exponential back-off with full jitter: the n-th wait is uniform in [min, min(max, base × 2^n)].
 * `random` is handed in, so that a machine stays pure.
 */
export class Backoff {
  private attempt = 0;
  private readonly minMs: number;
  private readonly baseMs: number;
  private readonly maxMs: number;
  private readonly random: () => number;

  constructor(baseMs: number, maxMs: number, random: () => number = Math.random, minMs: number = baseMs / 2) {
    this.baseMs = baseMs;
    this.maxMs = maxMs;
    this.random = random;
    this.minMs = minMs;
  }

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const ceiling = Math.min(this.maxMs, this.baseMs * 2 ** Math.min(this.attempt, 30));
    this.attempt++;
    return this.minMs + this.random() * Math.max(0, ceiling - this.minMs);
  }

  /** After a success. */
  reset(): void {
    this.attempt = 0;
  }
}
