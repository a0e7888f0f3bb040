/**
 * The lease on the announcement: the VIP is announced only while every worker says, in time, that it can take packets.
 *
 * A pure machine. It turns renewals, their absence and closed channels into the reasons the grade is made of. A renewal is sent from the loop that
 * reads the sockets, so a loop that hangs stops renewing. One worker's hard reason is the node's: the kernel keeps steering its share to it.
 */

/** What a worker says each `lease.interval`. JSON; a line of the lease channel. */
export interface Renewal {
  /** Index of the worker and how many there are. */
  worker: number;
  of: number;
  /** Rises with each renewal of one process. An unchanged one renews nothing. */
  counter: number;
  /** Why this worker cannot take packets. */
  hard: string[];
  /** Why it should take them only as a last resort. */
  soft: string[];
  /** Last packet that was sent to a VIP, by address, UTC milliseconds. */
  vips: Record<string, number>;
  /** Long-lived sessions (BMP, BGP) this worker has. */
  sessions?: number;
  /** Informs that were repeated after this worker had answered them, since it began. */
  retried?: number;
}

export type LeaseInput =
  | ({ type: 'renewal' } & Renewal)
  /** The worker's channel closed. */
  | { type: 'closed'; worker: number }
  | { type: 'drain'; reason: string }
  /** As `drain`, but nothing is announced any more. */
  | { type: 'withdraw'; reason: string }
  | { type: 'undrain' }
  /** What the speaker itself has against this node, all of it. */
  | { type: 'own'; soft: string[] }
  | { type: 'timer'; timer: 'lease' };

export type LeaseEffect =
  /** All reasons that hold; pushed only when they changed. */
  | { type: 'reasons'; hard: string[]; soft: string[] }
  | { type: 'set-timer'; timer: 'lease'; ms: number }
  | { type: 'clear-timer'; timer: 'lease' };

export interface LeaseSettings {
  /** Milliseconds after which a renewal is too old. */
  timeout: number;
  /** Workers to wait for until a renewal says how many there are. */
  workers?: number;
}

interface WorkerLease {
  of: number;
  counter: number;
  at: number;
  open: boolean;
  expired: boolean;
  hard: string[];
  soft: string[];
  sessions: number;
  retried: number;
}

/** More workers than this is a damaged renewal. */
const MAX_WORKERS = 1024;
/** A timer that fires this much late says that our own loop stood still: renewals wait unread in the channel, so they are read before anybody is declared late. */
const OWN_LATENESS_MS = 200;
const GRACE_MS = 50;

export class LeaseMachine {
  /** Last packet by address of a VIP, UTC milliseconds, over all workers. */
  readonly vips = new Map<string, number>();
  private readonly timeout: number;
  private readonly workers = new Map<number, WorkerLease>();
  private of: number;
  private drainReason: string | undefined;
  private withdrawReason: string | undefined;
  private own: string[] = [];
  private said = '';
  private due: number | undefined;
  private graced = false;

  constructor(settings: LeaseSettings) {
    this.timeout = settings.timeout;
    this.of = Math.max(1, settings.workers ?? 1);
  }

  get draining(): boolean {
    return this.drainReason !== undefined || this.withdrawReason !== undefined;
  }

  /** How many workers there are, as far as is known. */
  get count(): number {
    return this.of;
  }

  /** True while every worker renewed in time. */
  get fresh(): boolean {
    for (let i = 0; i < this.of; i++) {
      const w = this.workers.get(i);
      if (!w?.open || w.expired) return false;
    }
    return true;
  }

  /** Over all workers: long-lived sessions, and informs repeated after their answer. */
  totals(): { sessions: number; retried: number } {
    let sessions = 0;
    let retried = 0;
    for (const w of this.workers.values()) {
      if (w.open) sessions += w.sessions;
      retried += w.retried;
    }
    return { sessions, retried };
  }

  /** For `status`: each expected worker, `age` in milliseconds. */
  list(now: number): { worker: number; state: 'fresh' | 'expired' | 'closed' | 'missing'; age?: number }[] {
    return Array.from({ length: this.of }, (_, worker) => {
      const w = this.workers.get(worker);
      if (!w) return { worker, state: 'missing' as const };
      const state = !w.open ? 'closed' : w.expired ? 'expired' : 'fresh';
      return { worker, state, age: Math.round(now - w.at) };
    });
  }

  /** `now`: monotonic milliseconds. */
  handle(now: number, input: LeaseInput, out: LeaseEffect[]): void {
    switch (input.type) {
      case 'renewal':
        this.renew(now, input);
        break;
      case 'closed': {
        const w = this.workers.get(input.worker);
        if (w) w.open = false;
        break;
      }
      case 'drain':
        this.drainReason = input.reason;
        break;
      case 'withdraw':
        this.withdrawReason = input.reason;
        break;
      case 'undrain':
        this.drainReason = undefined;
        this.withdrawReason = undefined;
        break;
      case 'own':
        this.own = input.soft;
        break;
      case 'timer': {
        const late = this.due !== undefined && now - this.due > OWN_LATENESS_MS;
        this.due = undefined;
        if (late && !this.graced) {
          this.graced = true;
          this.due = now + GRACE_MS;
          out.push({ type: 'set-timer', timer: 'lease', ms: GRACE_MS });
          return;
        }
        this.graced = false;
        break;
      }
    }
    this.expire(now);
    this.setOf();
    this.say(out);
    this.arm(now, out);
  }

  private renew(now: number, r: Renewal): void {
    if (!Number.isInteger(r.worker) || r.worker < 0 || r.worker >= MAX_WORKERS) return;
    if (!Number.isInteger(r.of) || r.of <= r.worker || r.of > MAX_WORKERS) return;
    const w = this.workers.get(r.worker);
    if (w?.open && w.counter === r.counter) return;
    this.workers.set(r.worker, {
      of: r.of,
      counter: r.counter,
      at: now,
      open: true,
      expired: false,
      hard: r.hard,
      soft: r.soft,
      sessions: r.sessions ?? 0,
      retried: r.retried ?? 0,
    });
    for (const name in r.vips) if (r.vips[name] > (this.vips.get(name) ?? 0)) this.vips.set(name, r.vips[name]);
  }

  private expire(now: number): void {
    // While our own lateness is being made good, nobody is declared late.
    if (this.graced) return;
    for (const w of this.workers.values()) if (now - w.at >= this.timeout) w.expired = true;
  }

  /** As many workers as the open channels say at most: during a change of N both numbers are heard, and the larger one asks for more. */
  private setOf(): void {
    let of = 0;
    for (const w of this.workers.values()) if (w.open && w.of > of) of = w.of;
    if (of === 0) return;
    this.of = of;
    for (const i of this.workers.keys()) if (i >= of) this.workers.delete(i);
  }

  private say(out: LeaseEffect[]): void {
    const hard: string[] = [];
    const soft: string[] = [];
    for (let i = 0; i < this.of; i++) {
      const w = this.workers.get(i);
      if (!w) hard.push(`worker ${i}: missing`);
      else if (!w.open) hard.push(`worker ${i}: channel closed`);
      else if (w.expired) hard.push(`worker ${i}: lease expired`);
      else {
        for (const h of w.hard) hard.push(`worker ${i}: ${h}`);
        for (const s of w.soft) soft.push(`worker ${i}: ${s}`);
      }
    }
    soft.push(...this.own);
    if (this.withdrawReason !== undefined) hard.push(this.withdrawReason);
    else if (this.drainReason !== undefined) soft.push(this.drainReason);
    const text = `${hard.join('\n')}\0${soft.join('\n')}`;
    if (text === this.said) return;
    this.said = text;
    out.push({ type: 'reasons', hard, soft });
  }

  /** The timer stands at the oldest lease. Renewals only move it when it fires, so that a renewal costs no timer. */
  private arm(now: number, out: LeaseEffect[]): void {
    let oldest = Number.POSITIVE_INFINITY;
    for (const w of this.workers.values()) if (w.open && !w.expired && w.at < oldest) oldest = w.at;
    if (oldest === Number.POSITIVE_INFINITY) {
      if (this.due !== undefined) out.push({ type: 'clear-timer', timer: 'lease' });
      this.due = undefined;
      return;
    }
    const due = oldest + this.timeout;
    if (this.due !== undefined && this.due <= due) return;
    this.due = due;
    out.push({ type: 'set-timer', timer: 'lease', ms: due - now });
  }
}
