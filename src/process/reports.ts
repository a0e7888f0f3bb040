/** Which of a worker's renewals goes to the supervisor as well. */

/** The supervisor hears of a worker at rest this often at least, in milliseconds. */
const REST_MS = 500;
/** Histograms go no more often than this. */
const HISTOGRAMS_MS = 750;

/**
 * One in which anything is new goes at once: what a dead worker had counted is kept up to its last renewal (process/counters.ts). Of a worker at
 * rest only as many go as show in time that it lives; each wakes the supervisor.
 */
export class Reports {
  private said = '';
  private unsaid = 0;
  private histogramsAt = Number.NEGATIVE_INFINITY;

  /**
   * Asked once for each renewal. `health`: all reasons, as text; `news`: a metric changed; `interval` and `timeout`: of the lease, milliseconds.
   */
  due(health: string, news: boolean, interval: number, timeout: number): boolean {
    this.unsaid++;
    const rest = Math.floor(Math.min(REST_MS, timeout / 2) / interval);
    if (!news && health === this.said && this.unsaid < rest) return false;
    this.said = health;
    this.unsaid = 0;
    return true;
  }

  /** Whether what is new in histograms is due at `now`, monotonic milliseconds. Asked once for each look at the metrics. */
  histograms(now: number): boolean {
    if (now - this.histogramsAt < HISTOGRAMS_MS) return false;
    this.histogramsAt = now;
    return true;
  }
}
