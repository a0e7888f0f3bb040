/**
 * May this node answer for the engine that all nodes of a VIP are? Only with a clock that is right: an inform accepted by one node, and
 * the Reports it sends, must fit the time of the others.
 *
 *   behind   UTC is before a time that this node already had (kept over restarts): refuse
 *   apart    UTC differs from that of the cluster's members by more than 30 s: refuse
 *
 * A mark belongs to its engineBoots: when boots rises, time may begin again, also after a clock that was once ahead. Pure.
 */

/** What is kept over restarts. */
export interface ClockMark {
  boots: number;
  /** UTC milliseconds: the latest time that was seen. */
  ms: number;
}

/** Clocks are slewed by milliseconds; engineTime counts seconds. */
const TOLERANCE_MS = 1000;
const MAX_SKEW_MS = 30_000;

export class ClockGuard {
  private high: ClockMark;
  private skew = 0;

  constructor(boots: number, kept: ClockMark | undefined) {
    this.high = kept !== undefined && kept.boots >= boots ? { ...kept } : { boots, ms: 0 };
  }

  /** To be kept. */
  get mark(): ClockMark {
    return { ...this.high };
  }

  /** engineBoots changed. */
  configure(boots: number): void {
    if (boots > this.high.boots) this.high = { boots, ms: 0 };
  }

  /** How far UTC here is from the cluster's, in milliseconds; undefined: nobody to compare with. */
  peers(skewMs: number | undefined): void {
    this.skew = skewMs ?? 0;
  }

  /** Why this node may not be authoritative, or undefined where it may. `boots`: as configured. */
  judge(wallMs: number, boots: number): string | undefined {
    if (boots < this.high.boots) return `engine.boots is ${boots}, and this node has been at ${this.high.boots}`;
    const behind = this.high.ms - wallMs;
    if (behind <= 0) this.high.ms = wallMs;
    if (behind > TOLERANCE_MS) return `the clock is ${Math.ceil(behind / 1000)} s behind a time this node already had`;
    if (Math.abs(this.skew) > MAX_SKEW_MS)
      return `the clock is ${Math.round(Math.abs(this.skew) / 1000)} s off from the other members`;
    return undefined;
  }
}
