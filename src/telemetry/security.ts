/**
 * Refusals by network, source, collector and code, for one event each a minute. Bounded, and exact: sources beyond the limit are counted
 * together, by network, collector and code, in a row without a source.
 */
import type { CollectorName } from '../event/types.ts';
import type { RefusalCode } from './codes.ts';

export interface SecurityRow {
  network: string;
  collector: CollectorName;
  /** Undefined: sources that were too many to name. */
  source: string | undefined;
  code: RefusalCode;
  count: number;
  /** UTC milliseconds. */
  first: number;
  last: number;
  detail: string | undefined;
}

export class SecurityTally {
  private readonly limit: number;
  private rows = new Map<string, SecurityRow>();
  private others = new Map<string, SecurityRow>();

  /** `limit`: sources named, each with a code. */
  constructor(limit = 500) {
    this.limit = limit;
  }

  add(r: Omit<SecurityRow, 'first' | 'last' | 'count'>, wall: number, count = 1, first = wall): void {
    const of = `${r.network}\n${r.collector}\n${r.code}`;
    const key = `${of}\n${r.source}`;
    let row = r.source === undefined ? undefined : this.rows.get(key);
    if (row === undefined) {
      const named = r.source !== undefined && this.rows.size < this.limit;
      row = named ? undefined : this.others.get(of);
      if (row === undefined) {
        row = { ...r, source: named ? r.source : undefined, count: 0, first, last: wall };
        if (!named) row.detail = undefined;
        if (named) this.rows.set(key, row);
        else this.others.set(of, row);
      }
    }
    row.count += count;
    row.last = Math.max(row.last, wall);
    row.first = Math.min(row.first, first);
    if (r.detail !== undefined && row.source !== undefined) row.detail = r.detail;
  }

  /** Everything since the last time, and begins anew. */
  take(): SecurityRow[] {
    const out = [...this.rows.values(), ...this.others.values()];
    this.rows = new Map();
    this.others = new Map();
    return out;
  }
}
