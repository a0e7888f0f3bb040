/**
 * How a node leaves without losing a packet: a pure machine.
 *
 * | phase     | announced | what happens                                                              | ends when                                    |
 * | moving    | worse     | routers move over; after `linger` long-lived sessions are closed, spread  | sessions closed and the VIPs silent, or half of `timeout` |
 * | withdrawn | no        | addresses and sockets stay for what is on its way                         | the VIPs are silent, or `timeout`            |
 * | drained   | no        | nothing comes here any more                                               | undrain                                      |
 *
 * Silent: no packet to any VIP for `linger`. We are the receiver, so we know.
 */
export type DrainPhase = 'off' | 'moving' | 'withdrawn' | 'drained';

export interface DrainSettings {
  /** Milliseconds of silence that count as silence, and the least time in each phase. */
  linger: number;
  /** Milliseconds for the whole. */
  timeout: number;
}

export type DrainInput =
  | { type: 'start'; reason: string; settings: DrainSettings }
  /** `silent`: milliseconds since the last packet to a VIP; `sessions`: long-lived sessions of the workers. */
  | { type: 'tick'; announcing: boolean; silent: number; sessions: number }
  | { type: 'stop' };

export type DrainEffect =
  /** Announce worse (soft), or no more (hard). */
  | { type: 'degrade'; reason: string }
  | { type: 'withdraw'; reason: string }
  | { type: 'restore' }
  /** Close long-lived sessions, spread evenly over so many milliseconds. */
  | { type: 'close-sessions'; spread: number }
  | { type: 'phase'; from: DrainPhase; to: DrainPhase; reason: string };

/** One session after the other rather than all at once: each is a full dump on the node that takes it over. */
const SPREAD_PER_SESSION_MS = 50;

export class DrainMachine {
  phase: DrainPhase = 'off';
  reason = '';
  /** The limit, not silence, ended a phase. */
  limitReached = false;
  private settings: DrainSettings = { linger: 0, timeout: 0 };
  private startedAt = 0;
  private phaseAt = 0;
  /** When all long-lived sessions should be closed; undefined: nobody was told to. */
  private closedBy: number | undefined;
  /** Nothing was announced, so nothing is on its way. */
  private unannounced = false;

  /** `now`: monotonic milliseconds. */
  handle(now: number, input: DrainInput, out: DrainEffect[]): void {
    switch (input.type) {
      case 'start':
        this.start(now, input, out);
        return;
      case 'stop':
        if (this.phase === 'off') return;
        out.push({ type: 'restore' });
        this.enter('off', now, 'undrained', out);
        return;
      case 'tick':
        this.tick(now, input, out);
    }
  }

  private start(now: number, input: Extract<DrainInput, { type: 'start' }>, out: DrainEffect[]): void {
    this.settings = input.settings;
    this.reason = input.reason;
    if (this.phase === 'off') {
      this.startedAt = now;
      this.limitReached = false;
      this.closedBy = undefined;
      this.unannounced = false;
      this.enter('moving', now, input.reason, out);
    }
    // Asked again, as when a drained node is stopped: it goes on from where it is, with the new reason.
    if (this.phase === 'moving') out.push({ type: 'degrade', reason: input.reason });
    else out.push({ type: 'withdraw', reason: input.reason });
  }

  private tick(now: number, t: Extract<DrainInput, { type: 'tick' }>, out: DrainEffect[]): void {
    if (this.phase === 'off' || this.phase === 'drained') return;
    const { linger, timeout } = this.settings;
    const silent = t.silent >= linger && now - this.phaseAt >= linger;
    if (this.phase === 'moving') {
      const over = now - this.startedAt >= timeout / 2;
      // Nothing of ours is announced, so nobody has to move.
      if (!t.announcing) {
        this.unannounced = true;
        this.withdraw(now, 'nothing is announced', out);
      } else if (over) this.withdraw(now, this.limit('the VIPs are still in use'), out);
      else if (now - this.phaseAt >= linger && t.sessions > 0 && this.closedBy === undefined) {
        const spread = Math.min(t.sessions * SPREAD_PER_SESSION_MS, timeout / 4);
        this.closedBy = now + spread;
        out.push({ type: 'close-sessions', spread });
      } else if (silent && (this.closedBy === undefined || now >= this.closedBy)) this.withdraw(now, 'silent', out);
      if (this.phase === 'moving') return;
    }
    if (this.unannounced || (now - this.phaseAt >= linger && t.silent >= linger))
      this.enter('drained', now, 'silent', out);
    else if (now - this.startedAt >= timeout) this.enter('drained', now, this.limit('the VIPs are still in use'), out);
  }

  private withdraw(now: number, why: string, out: DrainEffect[]): void {
    out.push({ type: 'withdraw', reason: this.reason });
    this.enter('withdrawn', now, why, out);
  }

  private limit(text: string): string {
    this.limitReached = true;
    return `limit reached: ${text}`;
  }

  private enter(to: DrainPhase, now: number, reason: string, out: DrainEffect[]): void {
    out.push({ type: 'phase', from: this.phase, to, reason });
    this.phase = to;
    this.phaseAt = now;
  }
}
