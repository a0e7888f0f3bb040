/**
 * One BFD session, RFC 5880 section 6: asynchronous mode, no echo, no authentication. Pure; times are milliseconds, on the wire microseconds.
 *
 *   Down ──recv Down──► Init ──recv Init, Up──► Up
 *   Down ──recv Init──► Up        Init, Up ──detection time, recv AdminDown; Up ──recv Down──► Down
 */
import type { BfdPacket, BfdState } from '../../codec/bfd/bfd.ts';

export interface BfdSettings {
  /** Not zero, ours alone. */
  discriminator: number;
  desiredMinTx: number;
  requiredMinRx: number;
  detectMult: number;
  passive: boolean;
  /** For jitter; uniform in 0..1. */
  random?: () => number;
}

export type BfdTimer = 'transmit' | 'detect';

export type BfdInput =
  | { type: 'start' }
  | { type: 'packet'; packet: BfdPacket }
  | { type: 'timer'; timer: BfdTimer }
  /** Administratively down, or no longer. */
  | { type: 'admin'; down: boolean }
  /** Other intervals; a poll sequence says so to the other side. */
  | { type: 'settings'; desiredMinTx: number; requiredMinRx: number; detectMult: number; passive?: boolean };

export type BfdEffect =
  | { type: 'send'; packet: BfdPacket }
  | { type: 'set-timer'; timer: BfdTimer; ms: number }
  | { type: 'clear-timer'; timer: BfdTimer }
  | { type: 'state'; from: BfdState; to: BfdState; diagnostic: number };

/** Section 6.8.3: until a session is Up it is not to be a burden. */
const SLOW_MS = 1000;

export class BfdMachine {
  state: BfdState = 'Down';
  diagnostic = 0;
  remoteState: BfdState = 'Down';
  remoteDiagnostic = 0;
  /** 0: not known. */
  remoteDiscriminator = 0;
  private readonly s: BfdSettings;
  private readonly random: () => number;
  private remoteMinRx = 0.001;
  private remoteDesiredTx = 0;
  private remoteMult = 0;
  private remoteDemand = false;
  private heard = false;
  private polling = false;
  /** Section 6.8.3: while a poll sequence runs, the shorter interval of the two holds for sending, the longer for detecting. */
  private oldTx: number | undefined;
  private oldRx: number | undefined;
  private transmitting = false;

  constructor(settings: BfdSettings) {
    this.s = { ...settings };
    this.random = settings.random ?? Math.random;
  }

  /** Milliseconds between two packets of ours before jitter; 0: none are wanted. */
  get transmitInterval(): number {
    if (this.remoteMinRx === 0) return 0;
    return Math.max(Math.min(this.desired, this.oldTx ?? this.desired), this.remoteMinRx);
  }

  /** Milliseconds without a packet after which the session is down; 0: nothing was heard yet. */
  get detectionTime(): number {
    if (!this.heard) return 0;
    const rx = Math.max(this.s.requiredMinRx, this.oldRx ?? 0);
    return this.remoteMult * Math.max(rx, this.remoteDesiredTx);
  }

  handle(input: BfdInput, out: BfdEffect[]): void {
    switch (input.type) {
      case 'start':
        if (!this.s.passive) this.transmit(out);
        return;
      case 'packet':
        this.receive(input.packet, out);
        return;
      case 'timer':
        if (input.timer === 'transmit') this.transmit(out);
        else this.expire(out);
        return;
      case 'admin':
        this.admin(input.down, out);
        return;
      case 'settings':
        this.change(input, out);
    }
  }

  /** Not Up: never faster than a second. */
  private get desired(): number {
    return this.state === 'Up' ? this.s.desiredMinTx : Math.max(SLOW_MS, this.s.desiredMinTx);
  }

  private receive(p: BfdPacket, out: BfdEffect[]): void {
    if (this.state === 'AdminDown') return;
    const before = this.transmitInterval;
    this.heard = true;
    this.remoteDiscriminator = p.myDiscriminator;
    this.remoteState = p.state;
    this.remoteDiagnostic = p.diagnostic;
    this.remoteDemand = p.demand;
    this.remoteMinRx = p.requiredMinRx / 1000;
    this.remoteDesiredTx = p.desiredMinTx / 1000;
    this.remoteMult = p.detectMult;
    if (p.final && this.polling) this.endPoll();
    this.follow(p.state, out);
    // A session that was torn down is not watched any more.
    if (this.heard) out.push({ type: 'set-timer', timer: 'detect', ms: this.detectionTime });
    if (p.poll) this.say(out, true);
    if (!this.transmitting || this.transmitInterval !== before) this.schedule(out);
  }

  private follow(remote: BfdState, out: BfdEffect[]): void {
    if (remote === 'AdminDown') {
      if (this.state !== 'Down') this.become('Down', 3, out);
      return;
    }
    if (this.state === 'Down') {
      if (remote === 'Down') this.become('Init', this.diagnostic, out);
      else if (remote === 'Init') this.become('Up', 0, out);
    } else if (this.state === 'Init') {
      if (remote === 'Init' || remote === 'Up') this.become('Up', 0, out);
    } else if (remote === 'Down') this.become('Down', 3, out);
  }

  private expire(out: BfdEffect[]): void {
    if (this.state === 'AdminDown') return;
    // Section 6.8.1: whom was not heard for a detection time is not addressed by discriminator any more.
    this.remoteDiscriminator = 0;
    this.heard = false;
    this.remoteMinRx = 0.001;
    this.remoteDemand = false;
    if (this.state !== 'Down') this.become('Down', 1, out);
    if (this.s.passive) this.silence(out);
  }

  private admin(down: boolean, out: BfdEffect[]): void {
    if (down === (this.state === 'AdminDown')) return;
    this.heard = false;
    out.push({ type: 'clear-timer', timer: 'detect' });
    if (down) {
      this.become('AdminDown', 7, out);
      this.say(out, false);
      return;
    }
    this.remoteDiscriminator = 0;
    this.become('Down', 0, out);
    this.transmit(out);
  }

  private change(i: Extract<BfdInput, { type: 'settings' }>, out: BfdEffect[]): void {
    const { desiredMinTx, requiredMinRx, detectMult } = i;
    const same = desiredMinTx === this.s.desiredMinTx && requiredMinRx === this.s.requiredMinRx;
    if (this.state === 'Up' && !same) {
      if (desiredMinTx > this.s.desiredMinTx) this.oldTx = this.transmitInterval;
      if (requiredMinRx < this.s.requiredMinRx) this.oldRx = this.s.requiredMinRx;
      this.polling = true;
    }
    this.s.desiredMinTx = desiredMinTx;
    this.s.requiredMinRx = requiredMinRx;
    this.s.detectMult = detectMult;
    this.s.passive = i.passive ?? this.s.passive;
    if (this.transmitting) this.transmit(out);
  }

  private endPoll(): void {
    this.polling = false;
    this.oldTx = undefined;
    this.oldRx = undefined;
  }

  private become(to: BfdState, diagnostic: number, out: BfdEffect[]): void {
    const from = this.state;
    const before = this.desired;
    this.state = to;
    this.diagnostic = diagnostic;
    this.endPoll();
    // Our interval is another one now: the other side is asked to confirm it.
    if (to === 'Up' && this.desired !== before) this.polling = true;
    out.push({ type: 'state', from, to, diagnostic });
    // The change is told at once; the other side's answer to it is what makes a session quick.
    if (to !== 'AdminDown' && (this.transmitting || !this.s.passive || this.heard)) this.transmit(out);
  }

  private transmit(out: BfdEffect[]): void {
    // Section 6.8.7: nothing periodic to whom wants none, or polls us on demand.
    const quiet =
      this.transmitInterval === 0 || (this.remoteDemand && this.state === 'Up' && this.remoteState === 'Up');
    if (!quiet || this.polling) this.say(out, false);
    this.schedule(out);
  }

  private schedule(out: BfdEffect[]): void {
    if (this.s.passive && !this.heard && this.state === 'Down') {
      this.silence(out);
      return;
    }
    this.transmitting = true;
    const interval = this.transmitInterval || SLOW_MS;
    // Section 6.8.7: up to a quarter less; with a multiplier of 1 at least a tenth less.
    const most = this.s.detectMult === 1 ? 0.9 : 1;
    out.push({ type: 'set-timer', timer: 'transmit', ms: interval * (0.75 + (most - 0.75) * this.random()) });
  }

  private silence(out: BfdEffect[]): void {
    this.transmitting = false;
    out.push({ type: 'clear-timer', timer: 'transmit' });
  }

  private say(out: BfdEffect[], final: boolean): void {
    out.push({
      type: 'send',
      packet: {
        state: this.state,
        diagnostic: this.diagnostic,
        poll: this.polling && !final,
        final,
        controlPlaneIndependent: false,
        demand: false,
        detectMult: this.s.detectMult,
        myDiscriminator: this.s.discriminator,
        yourDiscriminator: this.remoteDiscriminator,
        desiredMinTx: Math.round(this.desired * 1000),
        requiredMinRx: Math.round(this.s.requiredMinRx * 1000),
        requiredMinEchoRx: 0,
      },
    });
  }
}
