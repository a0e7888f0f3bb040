/**
 * One receiver of informs: what is sent to it, when again, and what it has. Pure.
 *
 *   offered ─► (waits for the one before of its device, and for room in flight) ─► sent, at most `rate` a second ─► answered: done
 *                                                                                   └─► no answer: again, later and later
 *
 * A receiver that answers nothing is away: then one inform alone is repeated, as a probe, and all others follow its answer. An inform that one
 * receiver never answers while it answers many others is given up, so that it does not hold its device for ever.
 */
import { Pace } from './pace.ts';

export interface TargetLimits {
  /** Informs unanswered at most. */
  inFlight: number;
  /** Datagrams a second. */
  rate: number;
  /** Milliseconds. */
  timeout: number;
  maxTimeout: number;
  /** Absent: never given up while the receiver is away. */
  retries: number | undefined;
}

export type Outcome = 'sent' | 'delivered' | 'refused' | 'given-up';

export type TargetInput =
  /** In the order of the spool. `key`: the device. */
  | { kind: 'offer'; id: number; key: string }
  | { kind: 'answer'; id: number; error: number }
  /** What was sent could not be taken as it was; send all that is unanswered again now. */
  | { kind: 'again' }
  /** The network says that what was sent did not arrive; of informs the missing answer says it. */
  | { kind: 'error' }
  | { kind: 'tick' };

export type TargetEffect =
  | { kind: 'send'; id: number; attempt: number }
  | { kind: 'done'; id: number; outcome: Outcome }
  /** Traps: what is sent from this one on may not arrive; the oldest such stretch did, as far as one can know; none of them did. */
  | { kind: 'doubt'; id: number }
  | { kind: 'sure' }
  | { kind: 'back' }
  | { kind: 'wake'; at: number }
  | { kind: 'away'; away: boolean };

interface Item {
  id: number;
  key: string;
  attempts: number;
  due: number;
  /** Answers of the receiver when this was first sent. */
  answersBefore: number;
}

/** Unanswered attempts after which a receiver that answers nothing else is away. */
const AWAY_AFTER = 3;
/** Attempts, and answers to others meanwhile, after which an inform is given up. */
const HOPELESS = 10;

export class TargetMachine {
  private readonly limits: TargetLimits;
  private readonly byKey = new Map<string, Item[]>();
  private ready: Item[] = [];
  private readonly flying = new Map<number, Item>();
  private readonly pace: Pace;
  private answers = 0;
  away = false;
  size = 0;

  constructor(limits: TargetLimits) {
    this.limits = limits;
    this.pace = new Pace(limits.rate);
  }

  handle(now: number, input: TargetInput, out: TargetEffect[]): void {
    switch (input.kind) {
      case 'offer':
        this.offer({ id: input.id, key: input.key, attempts: 0, due: 0, answersBefore: 0 });
        break;
      case 'answer':
        this.answer(now, input.id, input.error, out);
        break;
      case 'again':
        for (const i of this.flying.values()) i.due = now;
        break;
      default:
    }
    this.retry(now, out);
    this.send(now, out);
    this.wake(now, out);
  }

  private offer(item: Item): void {
    this.size++;
    const line = this.byKey.get(item.key);
    if (line) line.push(item);
    else {
      this.byKey.set(item.key, [item]);
      this.ready.push(item);
    }
  }

  private answer(now: number, id: number, error: number, out: TargetEffect[]): void {
    this.answers++;
    if (this.away) {
      this.away = false;
      out.push({ kind: 'away', away: false });
      for (const i of this.flying.values()) i.due = now;
    }
    const item = this.flying.get(id);
    if (item) this.done(item, error === 0 ? 'delivered' : 'refused', out);
  }

  private done(item: Item, outcome: Outcome, out: TargetEffect[]): void {
    this.flying.delete(item.id);
    this.size--;
    out.push({ kind: 'done', id: item.id, outcome });
    const line = this.byKey.get(item.key);
    if (!line) return;
    line.shift();
    if (line.length > 0) this.ready.push(line[0]);
    else this.byKey.delete(item.key);
  }

  private retry(now: number, out: TargetEffect[]): void {
    let probe = true;
    for (const item of [...this.flying.values()]) {
      if (this.away && !probe) break;
      probe = false;
      if (item.due > now) continue;
      const { retries } = this.limits;
      const heard = this.answers - item.answersBefore;
      if (
        (retries !== undefined && item.attempts > retries) ||
        (item.attempts >= HOPELESS && heard >= HOPELESS && !this.away)
      ) {
        this.done(item, 'given-up', out);
        continue;
      }
      if (item.attempts >= AWAY_AFTER && heard === 0 && !this.away) {
        this.away = true;
        out.push({ kind: 'away', away: true });
      }
      if (!this.pace.take(now)) return;
      this.attempt(now, item, out);
    }
  }

  private send(now: number, out: TargetEffect[]): void {
    let at = 0;
    while (at < this.ready.length) {
      if (this.flying.size >= this.room) break;
      if (!this.pace.take(now)) break;
      const item = this.ready[at++];
      item.answersBefore = this.answers;
      this.flying.set(item.id, item);
      this.attempt(now, item, out);
    }
    if (at > 0) this.ready = this.ready.slice(at);
  }

  private attempt(now: number, item: Item, out: TargetEffect[]): void {
    item.attempts++;
    item.due = now + Math.min(this.limits.maxTimeout, this.limits.timeout * 2 ** Math.min(20, item.attempts - 1));
    out.push({ kind: 'send', id: item.id, attempt: item.attempts });
  }

  /** Away: the probe alone. */
  private get room(): number {
    return this.away ? 1 : this.limits.inFlight;
  }

  private wake(now: number, out: TargetEffect[]): void {
    let at = Number.POSITIVE_INFINITY;
    for (const i of this.flying.values()) {
      at = Math.min(at, i.due);
      if (this.away) break;
    }
    const paced = (this.ready.length > 0 && this.flying.size < this.room) || at <= now;
    if (paced) at = this.pace.next(now);
    if (Number.isFinite(at)) out.push({ kind: 'wake', at });
  }
}
