/**
 * One receiver of traps: what is sent to it, and what again. Pure.
 *
 * Nobody answers a trap. What a connected socket does hear is the network (RFC 1122 section 4.1.3.3): ICMP says that nobody listens on the
 * port, or that there is no way to the host, a moment after the datagram it is about went. So a trap is in doubt for `repeat` after it was
 * sent, and done when no error came by then.
 *
 *   offered ─► sent, at most `rate` a second, in doubt ─► `repeat` over: sure
 *                                     │ error
 *                                     ▼
 *   away: back to the first that is in doubt; after a pause a copy of that one is sent, as a probe ─► no error for a while: not away, all follow
 *                                     ▲                                                          │ error
 *                                     └──────────────────────── a longer pause ◄─────────────────┘
 *
 * The probe itself is sent once more with all others: it may have been lost without a word.
 *
 * Doubt is kept by intervals, not by trap: `doubt` names the first trap of one, `sure` ends the oldest.
 */
import type { TargetEffect, TargetInput } from './machine.ts';
import { Pace } from './pace.ts';

export interface TrapLimits {
  /** Datagrams a second. */
  rate: number;
  /** Milliseconds. 0: an error changes nothing. */
  repeat: number;
}

/** Intervals of doubt at a time. */
const INTERVALS = 20;
/** The first pause before a probe; doubled each time. */
const PAUSE_MS = 1000;
const MAX_PAUSE_MS = 10_000;
/** Without an error for so long a probe has arrived, as far as one can know: a neighbour that is not there is known after three seconds. */
const PROBE_MS = 4000;

interface Interval {
  since: number;
  until: number;
}

export class TrapMachine {
  away = false;
  private readonly repeat: number;
  private readonly pace: Pace;
  private ready: number[] = [];
  private doubts: Interval[] = [];
  /** Until when an error is about the probe. */
  private probeUntil: number | undefined;
  private probeAt = 0;
  private failures = 0;

  constructor(limits: TrapLimits) {
    this.repeat = limits.repeat;
    this.pace = new Pace(limits.rate);
  }

  /** Traps offered that are not done. */
  get size(): number {
    return this.ready.length;
  }

  handle(now: number, input: TargetInput, out: TargetEffect[]): void {
    // An error first: where this process was stopped for a while, it is older than the time says.
    if (input.kind === 'error') this.failed(now, out);
    this.settle(now, out);
    if (input.kind === 'offer') this.ready.push(input.id);
    if (this.away) this.sendProbe(now, out);
    else this.send(now, out);
    this.wake(now, out);
  }

  /** What time alone has decided. */
  private settle(now: number, out: TargetEffect[]): void {
    while (this.doubts.length > 0 && this.doubts[0].until <= now) {
      this.doubts.shift();
      out.push({ kind: 'sure' });
    }
    if (this.probeUntil === undefined || this.probeUntil > now) return;
    out.push({ kind: 'away', away: false });
    this.probeUntil = undefined;
    this.away = false;
    this.failures = 0;
  }

  private failed(now: number, out: TargetEffect[]): void {
    if (this.away) {
      // One death makes many errors; with nothing under way they say nothing new.
      if (this.probeUntil === undefined) return;
      this.probeUntil = undefined;
    } else {
      if (this.doubts.length === 0) return;
      this.doubts = [];
      this.ready = [];
      this.away = true;
      out.push({ kind: 'back' }, { kind: 'away', away: true });
    }
    this.probeAt = now + Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** Math.min(20, this.failures++));
  }

  private sendProbe(now: number, out: TargetEffect[]): void {
    if (this.probeUntil !== undefined || this.ready.length === 0 || now < this.probeAt || !this.pace.take(now)) return;
    this.probeUntil = now + PROBE_MS;
    out.push({ kind: 'send', id: this.ready[0], attempt: this.failures + 1 });
  }

  private send(now: number, out: TargetEffect[]): void {
    let n = 0;
    for (; n < this.ready.length && this.pace.take(now); n++) {
      const id = this.ready[n];
      if (this.repeat > 0) this.doubt(now, id, out);
      out.push({ kind: 'send', id, attempt: 1 }, { kind: 'done', id, outcome: 'sent' });
    }
    if (n > 0) this.ready = this.ready.slice(n);
  }

  private doubt(now: number, id: number, out: TargetEffect[]): void {
    const last = this.doubts.at(-1);
    if (last && now - last.since < this.repeat / INTERVALS) {
      last.until = now + this.repeat;
      return;
    }
    this.doubts.push({ since: now, until: now + this.repeat });
    out.push({ kind: 'doubt', id });
  }

  private wake(now: number, out: TargetEffect[]): void {
    let at = this.doubts[0]?.until ?? Number.POSITIVE_INFINITY;
    if (this.probeUntil !== undefined) at = this.probeUntil;
    else if (this.ready.length > 0) at = Math.min(at, Math.max(this.away ? this.probeAt : 0, this.pace.next(now)));
    if (Number.isFinite(at)) out.push({ kind: 'wake', at });
  }
}
