/**
 * When is an inform answered, and what is a retry? Pure: time is an argument, inputs and effects are plain objects.
 *
 *                    ┌────────────── shed ─────────────► (forgotten, unanswered)
 *   inform ─► emit ──┤
 *                    └─► in flight ─ receipt as `ack` asks ─► respond ─► answered (60 s)
 *
 *   ack      answered when
 *   spool    spooled
 *   export   exported; never before
 *   auto     exported, or the budget is over and it is spooled
 *
 * A retry of an inform in flight waits with it; a retry of an answered one is answered again. Neither is an event. What is in
 * flight is bounded in number and bytes: beyond that an inform is refused, and the device retries.
 */
export type AckMode = 'auto' | 'spool' | 'export';

export type InformInput =
  /** `bytes` is what its Response holds in memory. `ack` is already `spool` where there is no durable exporter. */
  | { kind: 'inform'; id: string; bytes: number; ack: AckMode }
  /** The pipeline did not take it. */
  | { kind: 'shed'; id: string }
  | { kind: 'spooled'; id: string }
  | { kind: 'exported'; id: string }
  /** The time of the last `wake` has come. */
  | { kind: 'tick' }
  | { kind: 'limits'; count: number; bytes: number; budget: number };

export type InformEffect =
  /** Make an event of it. */
  | { kind: 'emit'; id: string }
  /** Send the Response kept since `emit`, and forget it. `waited`: milliseconds since it was received. */
  | { kind: 'respond'; id: string; stage: 'spooled' | 'exported'; waited: number }
  /** A retry; `answer`: send a Response to this very datagram. */
  | { kind: 'repeated'; id: string; answer: boolean }
  | { kind: 'refuse'; id: string; code: 'too-many-informs' }
  /** Forget the Response: it will never be sent. */
  | { kind: 'forget'; id: string }
  /** Give a `tick` at this time (milliseconds, monotonic). Replaces the one before. */
  | { kind: 'wake'; at: number };

/** How long an answered inform is remembered, and an unanswered one kept: no device retries for longer. */
export const REMEMBER_MS = 60_000;
/** Answered informs remembered at most. */
const REMEMBER_COUNT = 100_000;

interface InFlight {
  since: number;
  bytes: number;
  ack: AckMode;
  spooled: boolean;
  /** The budget is over: spooled is enough. */
  due: boolean;
}

export class InformMachine {
  private limits: { count: number; bytes: number; budget: number };
  /** In order of reception. */
  private readonly inFlight = new Map<string, InFlight>();
  private bytes = 0;
  /** Informs whose budget runs, in order of its end. */
  private readonly budgets = new Map<string, number>();
  /** Answered informs and when, in that order. */
  private readonly answered = new Map<string, number>();
  private wakeAt = Number.POSITIVE_INFINITY;

  /** `budget` in milliseconds. */
  constructor(limits: { count: number; bytes: number; budget: number }) {
    this.limits = limits;
  }

  /** Informs that wait for their receipt. */
  get size(): number {
    return this.inFlight.size;
  }

  /** Bytes they hold. */
  get heldBytes(): number {
    return this.bytes;
  }

  handle(now: number, input: InformInput, out: InformEffect[]): void {
    switch (input.kind) {
      case 'inform':
        this.inform(now, input, out);
        break;
      case 'shed':
        this.remove(input.id);
        out.push({ kind: 'forget', id: input.id });
        break;
      case 'spooled':
        this.receipt(now, input.id, 'spooled', out);
        break;
      case 'exported':
        this.receipt(now, input.id, 'exported', out);
        break;
      case 'tick':
        this.wakeAt = Number.POSITIVE_INFINITY;
        this.tick(now, out);
        break;
      case 'limits':
        this.limits = { count: input.count, bytes: input.bytes, budget: input.budget };
        break;
    }
    this.wake(out);
  }

  private inform(now: number, input: { id: string; bytes: number; ack: AckMode }, out: InformEffect[]): void {
    const { id, bytes, ack } = input;
    if (this.inFlight.has(id)) {
      out.push({ kind: 'repeated', id, answer: false });
      return;
    }
    const answeredAt = this.answered.get(id);
    if (answeredAt !== undefined && now - answeredAt < REMEMBER_MS) {
      this.remember(now, id);
      out.push({ kind: 'repeated', id, answer: true });
      return;
    }
    if (this.inFlight.size >= this.limits.count || this.bytes + bytes > this.limits.bytes) {
      out.push({ kind: 'refuse', id, code: 'too-many-informs' });
      return;
    }
    this.inFlight.set(id, { since: now, bytes, ack, spooled: false, due: ack === 'spool' });
    this.bytes += bytes;
    if (ack === 'auto') this.budgets.set(id, now + this.limits.budget);
    out.push({ kind: 'emit', id });
  }

  private receipt(now: number, id: string, stage: 'spooled' | 'exported', out: InformEffect[]): void {
    const e = this.inFlight.get(id);
    if (!e) return;
    e.spooled = true;
    if (stage === 'exported' || e.due) this.respond(now, id, e, stage, out);
  }

  private respond(now: number, id: string, e: InFlight, stage: 'spooled' | 'exported', out: InformEffect[]): void {
    this.remove(id);
    this.remember(now, id);
    out.push({ kind: 'respond', id, stage, waited: now - e.since });
  }

  private tick(now: number, out: InformEffect[]): void {
    for (const [id, at] of this.budgets) {
      if (at > now) break;
      this.budgets.delete(id);
      const e = this.inFlight.get(id)!;
      e.due = true;
      if (e.spooled) this.respond(now, id, e, 'spooled', out);
    }
    for (const [id, e] of this.inFlight) {
      if (e.since + REMEMBER_MS > now) break;
      this.remove(id);
      out.push({ kind: 'forget', id });
    }
    for (const [id, at] of this.answered) {
      if (at + REMEMBER_MS > now) break;
      this.answered.delete(id);
    }
  }

  private remove(id: string): void {
    const e = this.inFlight.get(id);
    if (!e) return;
    this.inFlight.delete(id);
    this.budgets.delete(id);
    this.bytes -= e.bytes;
  }

  private remember(now: number, id: string): void {
    this.answered.delete(id);
    this.answered.set(id, now);
    if (this.answered.size > REMEMBER_COUNT) this.answered.delete(this.answered.keys().next().value!);
  }

  /** One timer for all: the first budget that ends, else the first that is kept too long. */
  private wake(out: InformEffect[]): void {
    let at = Number.POSITIVE_INFINITY;
    for (const end of this.budgets.values()) {
      at = end;
      break;
    }
    for (const e of this.inFlight.values()) {
      at = Math.min(at, e.since + REMEMBER_MS);
      break;
    }
    for (const since of this.answered.values()) {
      at = Math.min(at, since + REMEMBER_MS);
      break;
    }
    if (at >= this.wakeAt) return;
    this.wakeAt = at;
    out.push({ kind: 'wake', at });
  }
}
