/** At most `rate` datagrams a second, in small bursts: a token bucket of a twentieth of a second. Pure. */
export class Pace {
  private readonly rate: number;
  private readonly burst: number;
  private tokens: number;
  private refilledAt = 0;

  constructor(rate: number) {
    this.rate = rate;
    this.burst = Math.max(1, Math.floor(rate / 20));
    this.tokens = this.burst;
  }

  /** False: not yet. `now`: monotonic milliseconds. */
  take(now: number): boolean {
    const elapsed = Math.max(0, now - this.refilledAt);
    this.tokens = Math.min(this.burst, this.tokens + (elapsed * this.rate) / 1000);
    this.refilledAt = now;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }

  /** When `take` is worth another try. */
  next(now: number): number {
    return now + Math.max(1, Math.ceil(((1 - this.tokens) * 1000) / this.rate));
  }
}
