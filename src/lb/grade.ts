/**
 * How good this node is as a place to send packets to: `full`, `degraded` (still announced, but worse than a full node) or `dead` (withdrawn).
 *
 * A pure machine. Worse takes effect at once; better only after `rise` during which nothing spoke against it. A soft reason that comes and
 * goes does not flap a route: a fall from full by a soft reason within ten rises of the return from the last such fall doubles the next rise, up to sixteen-fold.
 */
export const GRADES = ['dead', 'degraded', 'full'] as const;
export type Grade = (typeof GRADES)[number];

export type GradeInput =
  /** All reasons that hold now, not a difference. `fresh`: every worker has spoken, and in time. */
  | { type: 'reasons'; hard: string[]; soft: string[]; fresh?: boolean }
  /** The timer that was asked for is due. */
  | { type: 'timer'; timer: 'rise' };

export type GradeEffect =
  | { type: 'grade'; from: Grade; to: Grade; hard: string[]; soft: string[] }
  | { type: 'set-timer'; timer: 'rise'; ms: number }
  | { type: 'clear-timer'; timer: 'rise' };

export interface GradeSettings {
  /** Milliseconds. */
  rise: number;
  /** The workers lived on while this process did not: what they say first is believed at once. */
  resumes?: boolean;
}

const MAX_DOUBLINGS = 4;

export class GradeMachine {
  grade: Grade = 'dead';
  hard: string[] = ['starting'];
  soft: string[] = [];
  private readonly rise: number;
  /** Since when nothing speaks against being at least degraded, and full; undefined while something does. */
  private degradedSince: number | undefined;
  private fullSince: number | undefined;
  private softFall = false;
  private returnedAt = Number.NEGATIVE_INFINITY;
  private doublings = 0;
  private timerSet = false;
  private resumes: boolean;

  constructor(settings: GradeSettings) {
    this.rise = settings.rise;
    this.resumes = settings.resumes ?? false;
  }

  /** `now`: monotonic milliseconds. */
  handle(now: number, input: GradeInput, out: GradeEffect[]): void {
    if (input.type === 'timer') this.timerSet = false;
    else {
      this.hard = input.hard;
      this.soft = input.soft;
      this.degradedSince = input.hard.length > 0 ? undefined : (this.degradedSince ?? now);
      this.fullSince = input.hard.length + input.soft.length > 0 ? undefined : (this.fullSince ?? now);
    }
    if (this.resumes && input.type === 'reasons' && input.fresh) {
      this.resumes = false;
      if (this.degradedSince !== undefined) this.become(this.fullSince === undefined ? 'degraded' : 'full', now, out);
    }
    if (this.degradedSince === undefined) this.become('dead', now, out);
    else if (this.fullSince === undefined && this.grade === 'full') this.fallBySoft(now, out);
    this.climb(now, out);
  }

  private fallBySoft(now: number, out: GradeEffect[]): void {
    this.doublings = now - this.returnedAt < 10 * this.rise ? Math.min(this.doublings + 1, MAX_DOUBLINGS) : 0;
    this.softFall = true;
    this.become('degraded', now, out);
  }

  private climb(now: number, out: GradeEffect[]): void {
    const fullDue = this.fullSince === undefined ? undefined : this.fullSince + this.rise * 2 ** this.doublings;
    const degradedDue = this.degradedSince === undefined ? undefined : this.degradedSince + this.rise;
    if (this.grade !== 'full' && fullDue !== undefined && fullDue <= now) this.become('full', now, out);
    else if (this.grade === 'dead' && degradedDue !== undefined && degradedDue <= now)
      this.become('degraded', now, out);

    let next: number | undefined;
    if (this.grade === 'dead') next = earliest(degradedDue, fullDue);
    else if (this.grade === 'degraded') next = fullDue;
    if (next !== undefined) {
      out.push({ type: 'set-timer', timer: 'rise', ms: next - now });
      this.timerSet = true;
    } else if (this.timerSet) {
      out.push({ type: 'clear-timer', timer: 'rise' });
      this.timerSet = false;
    }
  }

  private become(to: Grade, now: number, out: GradeEffect[]): void {
    if (to === this.grade) return;
    const from = this.grade;
    this.grade = to;
    if (to === 'full' && this.softFall) {
      this.softFall = false;
      this.returnedAt = now;
    }
    out.push({ type: 'grade', from, to, hard: this.hard, soft: this.soft });
  }
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b);
}
