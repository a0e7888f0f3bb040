/**
 * Equal notifications within a window: the first is an event, the others are counted and said once in a summary. Pure: time is an
 * argument, inputs and effects are plain objects.
 *
 *   first ─► pass ─ window ──────────────────────────────► summary, where any was suppressed
 *              equal ones meanwhile: suppress
 *
 * A window never reaches across a change of its alarm's state: what was said before the clear is no duplicate of what is said after it.
 * An inform that is suppressed waits for the first one's receipts: it is answered only when that one is spooled.
 */
import { BoundedMap } from '../../protocol/usm/bounded.ts';

export type DedupInput =
  /** `key`: hash of what is said, without uptime. `alarm`: absent where it is none. `ref`: an inform that waits for its receipt. */
  | { kind: 'notification'; key: string; alarm?: { id: string; state: string }; ref?: string; wall: number }
  /** The pipeline did not take the one that passed with this entry. */
  | { kind: 'shed'; entry: string }
  | { kind: 'receipt'; entry: string; stage: 'spooled' | 'exported' }
  | { kind: 'tick' }
  | { kind: 'flush' };

export type DedupEffect =
  | { kind: 'pass'; entry: string }
  | { kind: 'suppress'; entry: string }
  /** The inform `ref` may be told this receipt. */
  | { kind: 'receipt'; ref: string; stage: 'spooled' | 'exported' }
  /** The inform `ref` will get no receipt: what it repeats was not kept. */
  | { kind: 'forget'; ref: string }
  /** `from`, `to`: UTC milliseconds of the first and the last suppressed one. */
  | { kind: 'summary'; entry: string; count: number; from: number; to: number }
  | { kind: 'forgotten'; entry: string }
  | { kind: 'wake'; at: number };

interface Entry {
  until: number;
  stage: 'none' | 'spooled' | 'exported';
  waiting: string[];
  count: number;
  from: number;
  to: number;
}

/** Informs that wait for one entry's receipts. */
const WAITING = 10_000;
/** Alarms whose state is remembered. */
const ALARMS = 100_000;

export class DedupMachine {
  private readonly window: number;
  private readonly limit: number;
  /** In order of their end: the window is the same for all. */
  private readonly entries = new Map<string, Entry>();
  private readonly alarms = new BoundedMap<{ state: string; epoch: number }>(ALARMS);
  private epochs = 0;
  private wakeAt = Number.POSITIVE_INFINITY;

  /** `window` in milliseconds. */
  constructor(window: number, limit: number) {
    this.window = window;
    this.limit = limit;
  }

  get size(): number {
    return this.entries.size;
  }

  handle(now: number, input: DedupInput, out: DedupEffect[]): void {
    switch (input.kind) {
      case 'notification':
        this.end(now, out);
        this.notification(now, input, out);
        break;
      case 'shed': {
        const e = this.entries.get(input.entry);
        if (e) this.close(input.entry, e, out);
        break;
      }
      case 'receipt':
        this.receipt(input.entry, input.stage, out);
        break;
      case 'tick':
        this.wakeAt = Number.POSITIVE_INFINITY;
        this.end(now, out);
        break;
      case 'flush':
        for (const [key, e] of this.entries) this.close(key, e, out);
        break;
    }
    for (const e of this.entries.values()) {
      if (e.until < this.wakeAt) {
        this.wakeAt = e.until;
        out.push({ kind: 'wake', at: e.until });
      }
      break;
    }
  }

  private notification(now: number, i: DedupInput & { kind: 'notification' }, out: DedupEffect[]): void {
    const entry = i.alarm === undefined ? i.key : `${i.key}/${this.epoch(i.alarm)}`;
    const known = this.entries.get(entry);
    if (known === undefined) {
      if (this.entries.size >= this.limit) {
        const [oldest, e] = this.entries.entries().next().value!;
        this.close(oldest, e, out);
      }
      const fresh: Entry = { until: now + this.window, stage: 'none', waiting: [], count: 0, from: 0, to: 0 };
      this.entries.set(entry, fresh);
      out.push({ kind: 'pass', entry });
      return;
    }
    if (known.count++ === 0) known.from = i.wall;
    known.to = Math.max(known.from, i.wall);
    out.push({ kind: 'suppress', entry });
    if (i.ref === undefined) return;
    if (known.stage !== 'none') out.push({ kind: 'receipt', ref: i.ref, stage: 'spooled' });
    if (known.stage === 'exported') out.push({ kind: 'receipt', ref: i.ref, stage: 'exported' });
    else if (known.waiting.length < WAITING) known.waiting.push(i.ref);
    else out.push({ kind: 'forget', ref: i.ref });
  }

  /** Rises with each change of an alarm's state. One that was forgotten begins anew, so that nothing is suppressed by mistake. */
  private epoch(alarm: { id: string; state: string }): number {
    let a = this.alarms.get(alarm.id);
    if (a === undefined || a.state !== alarm.state) {
      a = { state: alarm.state, epoch: ++this.epochs };
      this.alarms.set(alarm.id, a);
    }
    return a.epoch;
  }

  private receipt(key: string, stage: 'spooled' | 'exported', out: DedupEffect[]): void {
    const e = this.entries.get(key);
    if (!e) return;
    e.stage = stage;
    for (const ref of e.waiting) out.push({ kind: 'receipt', ref, stage });
    if (stage === 'exported') e.waiting = [];
  }

  private end(now: number, out: DedupEffect[]): void {
    for (const [key, e] of this.entries) {
      if (e.until > now) break;
      this.close(key, e, out);
    }
  }

  private close(key: string, e: Entry, out: DedupEffect[]): void {
    this.entries.delete(key);
    if (e.count > 0) out.push({ kind: 'summary', entry: key, count: e.count, from: e.from, to: e.to });
    // An inform that is not answered yet is sent again by its device, and is then the first.
    for (const ref of e.waiting) out.push({ kind: 'forget', ref });
    out.push({ kind: 'forgotten', entry: key });
  }
}
