/** The rate last seen, kept so that `check` can say how long an outage the spool covers. */
import { writeFileSync } from 'node:fs';
import { EVENT_TYPES } from '../event/types.ts';
import type { Sample } from '../telemetry/registry.ts';

/** What tidegate says of itself, as a manifest each minute, is no traffic: an idle instance keeps the rate it saw. */
const OWN: ReadonlySet<string> = new Set(
  EVENT_TYPES.filter((t) => t.class === 'system').map((t) => `type="${t.type}"`),
);

export const RATE_FILE = 'rate.json';

export interface RateFile {
  bytes_per_second: number;
  events_per_second: number;
  /** UTC milliseconds. */
  at: number;
}

/** Turns readings of the counters into a rate and keeps it in the working directory (data_dir). */
export class RateMeter {
  private last: { at: number; events: number; bytes: number } | undefined;

  reading(nowMs: number, wallMs: number, samples: readonly Sample[]): void {
    let events = 0;
    let bytes = 0;
    for (const [name, labels, value] of samples) {
      if (name === 'tidegate_events_total' && !OWN.has(labels)) events += value;
      if (name === 'tidegate_spool_appended_bytes_total') bytes += value;
    }
    const before = this.last;
    this.last = { at: nowMs, events, bytes };
    // Without traffic the last rate that was one stays. Where there was some, the few bytes of our own events are in it.
    if (!before || events <= before.events || nowMs <= before.at) return;
    const seconds = (nowMs - before.at) / 1000;
    const file: RateFile = {
      bytes_per_second: (bytes - before.bytes) / seconds,
      events_per_second: (events - before.events) / seconds,
      at: wallMs,
    };
    try {
      writeFileSync(RATE_FILE, JSON.stringify(file));
    } catch {
      // A full disk must not stop the instance; the old figure stays.
    }
  }
}
