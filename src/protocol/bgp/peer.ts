/**
 * Drives the BGP machine on byte streams and a clock: frames, decodes and encodes, owns the timers. Used by the VIP announcer, which dials,
 * and by the collector, which accepts. It never throws on received bytes, and whatever ends a session leaves no timer behind.
 */
import type { Buffer } from 'node:buffer';
import {
  type BgpContext,
  decodeBgp,
  encodeKeepalive,
  encodeNotification,
  encodeOpen,
  type Family,
  frameBgp,
  INITIAL_CONTEXT,
  MESSAGE_UPDATE,
  type Negotiated,
  notificationForError,
  type OpenMessage,
  receiveContext,
  sendContext,
  type UpdateMessage,
} from '../../codec/bgp/index.ts';
import { StreamCutter } from '../../codec/stream.ts';
import type { Clock, TimerHandle } from '../../core/clock.ts';
import { type DecodeError, isDecodeError } from '../../core/result.ts';
import {
  type BgpEffect,
  type BgpInput,
  BgpMachine,
  type BgpSettings,
  type BgpTimer,
  type DownFacts,
} from './machine.ts';

/** What is needed of a connection. */
export interface ByteStream {
  write(data: Buffer): void;
  /** Bytes that wait to be sent, and those the kernel took so far. Absent: not known, and RFC 9687 has no effect. */
  readonly sending?: { waiting: number; taken: number };
  /** Sends what is queued, then FIN. */
  end(): void;
  destroy(): void;
}

export interface Established {
  negotiated: Negotiated;
  sent: OpenMessage;
  received: OpenMessage;
}

export interface BgpPeerOptions extends BgpSettings {
  clock: Clock;
  /** Dial now; answer with `attach` or `closed`. Only asked for in the role `dial`. */
  onConnect?(): void;
  onEstablished(e: Established): void;
  /** A session or an attempt ended. */
  onDown(d: DownFacts): void;
  /** Absent: UPDATEs are counted, not decoded. `bytes` is a view, valid during the call. */
  onUpdate?(update: UpdateMessage, bytes: Buffer): void;
  /** The peer's OPEN was accepted: now is the time to look for a collision (RFC 4271 section 6.8). */
  onOpenConfirm?(open: OpenMessage): void;
  onRouteRefresh?(family: Family): void;
  /** A message that could not be read (a view, valid during the call), or where the framing is lost no message; the session ends. */
  onDecodeError?(e: DecodeError, bytes: Buffer | undefined): void;
  /** A NOTIFICATION passed. */
  onNotification?(direction: 'sent' | 'received'): void;
}

/** A peer that does not close its half after our FIN is cut off. */
const LINGER_MS = 2000;
/** A hold timer this late says that our own loop stood still: what waits in the socket is read first. */
const OWN_LATENESS_MS = 200;
const GRACE_MS = 100;

export class BgpPeer {
  readonly machine: BgpMachine;
  /** UPDATE messages received since the start. */
  updatesReceived = 0;
  private readonly o: BgpPeerOptions;
  private readonly clock: Clock;
  private readonly timers = new Map<BgpTimer, TimerHandle>();
  private readonly lingering = new Map<ByteStream, TimerHandle>();
  private stream: ByteStream | undefined;
  private cutter = new StreamCutter();
  private rx: BgpContext = INITIAL_CONTEXT;
  private tx: BgpContext = INITIAL_CONTEXT;
  private isPaused = false;
  private lastTaken = 0;

  constructor(options: BgpPeerOptions) {
    this.o = options;
    this.clock = options.clock;
    this.machine = new BgpMachine(options);
  }

  /** Contexts of the running session, for whoever encodes UPDATEs. */
  get sendContext(): BgpContext {
    return this.tx;
  }

  start(): void {
    this.input({ event: 'ManualStart' });
  }

  /** For good. Default: Cease, Administrative Shutdown, with `text` (RFC 9003). `hard`: the peer must not keep our routes (RFC 8538). */
  stop(text?: string, code = 6, subcode = 2, hard = false): void {
    this.input({ event: 'ManualStop', code, subcode, text, hard });
  }

  /** The other connection of a collision won (RFC 4271 section 6.8): Cease, Connection Collision Resolution. */
  dump(): void {
    this.input({ event: 'OpenCollisionDump' });
  }

  /** Ends this session; another may follow. */
  reset(code: number, subcode: number, text?: string, hard = false): void {
    this.input({ event: 'AutomaticStop', code, subcode, text, hard });
  }

  /** Our connection stands, or one was accepted. */
  attach(stream: ByteStream): void {
    const { state } = this.machine;
    if (state !== 'Connect' && state !== 'Active') {
      stream.destroy();
      return;
    }
    this.stream = stream;
    this.cutter = new StreamCutter();
    this.rx = INITIAL_CONTEXT;
    this.tx = INITIAL_CONTEXT;
    this.isPaused = false;
    this.lastTaken = 0;
    this.input({ event: state === 'Connect' ? 'Tcp_CR_Acked' : 'TcpConnectionConfirmed' });
  }

  /** Bytes of `stream`. Those of a stream that is being closed are dropped. */
  received(stream: ByteStream, chunk: Buffer): void {
    if (stream !== this.stream) return;
    const cutter = this.cutter;
    cutter.push(chunk);
    const frame = (buf: Buffer, pos: number, end: number) => frameBgp(buf, pos, end, this.rx.extendedMessage);
    // A message may end the session: what follows it is then nobody's.
    while (this.stream === stream) {
      const message = cutter.next(frame);
      if (message === undefined) break;
      if (isDecodeError(message)) this.refuse(message, undefined);
      else this.message(message);
    }
    cutter.retain();
  }

  /** `stream` ended, or (undefined) the attempt to connect failed. */
  closed(stream: ByteStream | undefined, reason?: string): void {
    if (stream !== undefined) {
      const timer = this.lingering.get(stream);
      if (timer) {
        this.clock.clearTimeout(timer);
        this.lingering.delete(stream);
      }
      if (stream !== this.stream) return;
    }
    this.stream = undefined;
    this.input({ event: 'TcpConnectionFails', reason });
  }

  /** An encoded message; false where the session is not Established. */
  send(bytes: Buffer): boolean {
    if (this.machine.state !== 'Established' || !this.stream) return false;
    this.stream.write(bytes);
    return true;
  }

  /** The owner stopped, or began again, to read the stream: silence is then not the peer's. */
  setPaused(paused: boolean): void {
    if (this.isPaused && !paused) this.input({ event: 'ReadResumed' });
    this.isPaused = paused;
  }

  /** Cuts off connections that are being closed. */
  destroy(): void {
    for (const [stream, timer] of this.lingering) {
      this.clock.clearTimeout(timer);
      stream.destroy();
    }
    this.lingering.clear();
  }

  private message(bytes: Buffer): void {
    if (bytes[18] === MESSAGE_UPDATE) {
      this.updatesReceived++;
      if (!this.o.onUpdate || this.machine.state !== 'Established') {
        this.input(UPDATE_MSG);
        return;
      }
    }
    const m = decodeBgp(bytes, this.rx);
    if (isDecodeError(m)) {
      this.refuse(m, bytes);
      return;
    }
    switch (m.kind) {
      case 'open':
        this.input({ event: 'BGPOpen', message: m });
        if (this.machine.state === 'OpenConfirm') this.o.onOpenConfirm?.(m);
        return;
      case 'keepalive':
        this.input(KEEPALIVE_MSG);
        return;
      case 'notification':
        this.o.onNotification?.('received');
        this.input({ event: 'NotifMsg', message: m });
        return;
      case 'route-refresh':
        this.input({ event: 'RouteRefreshMsg', afi: m.afi, safi: m.safi, subtype: m.subtype });
        return;
      case 'update': {
        this.o.onUpdate!(m, bytes);
        // RFC 7606: only what leaves the routes of the message unreadable ends the session.
        const fatal = m.problems?.find((p) => p.class === 'session-reset');
        this.input(fatal ? { event: 'UpdateMsgErr', code: 3, subcode: fatal.subcode } : UPDATE_MSG);
      }
    }
  }

  private refuse(e: DecodeError, bytes: Buffer | undefined): void {
    this.o.onDecodeError?.(e, bytes);
    const event = e.layer === 'bgp.open' ? 'BGPOpenMsgErr' : e.layer === 'bgp.update' ? 'UpdateMsgErr' : 'BGPHeaderErr';
    const { code, subcode } = notificationForError(e);
    // RFC 4271 6.2: with an unsupported version goes the one that is spoken.
    this.input({ event, code, subcode, data: code === 2 && subcode === 1 ? '0004' : '' });
  }

  private input(input: BgpInput): void {
    const out: BgpEffect[] = [];
    this.machine.handle(this.clock.nowMs(), input, out);
    for (const effect of out) this.perform(effect);
  }

  private perform(e: BgpEffect): void {
    switch (e.type) {
      case 'connect':
        this.o.onConnect?.();
        return;
      case 'send':
        if (e.message.kind === 'notification') this.o.onNotification?.('sent');
        this.stream?.write(
          e.message.kind === 'open'
            ? encodeOpen(e.message)
            : e.message.kind === 'notification'
              ? encodeNotification(e.message)
              : encodeKeepalive(),
        );
        return;
      case 'close':
        this.close();
        return;
      case 'set-timer':
        this.setTimer(e.timer, e.ms);
        return;
      case 'clear-timer':
        this.clearTimer(e.timer);
        return;
      case 'established':
        this.rx = receiveContext(e.negotiated);
        this.tx = sendContext(e.negotiated);
        this.o.onEstablished(e);
        return;
      case 'down':
        this.o.onDown(e);
        return;
      case 'route-refresh':
        this.o.onRouteRefresh?.(e);
    }
  }

  private close(): void {
    const stream = this.stream;
    if (!stream) return;
    this.stream = undefined;
    this.lingering.set(
      stream,
      this.clock.setTimeout(() => {
        this.lingering.delete(stream);
        stream.destroy();
      }, LINGER_MS),
    );
    stream.end();
  }

  /** Looked at with each keepalive of ours, which is three times a hold time at least. */
  private checkSending(): void {
    const sending = this.stream?.sending;
    if (!sending || this.machine.state !== 'Established') return;
    const { waiting, taken } = sending;
    this.input({ event: waiting > 0 && taken === this.lastTaken ? 'SendBlocked' : 'SendProgress' });
    this.lastTaken = taken;
  }

  private setTimer(timer: BgpTimer, ms: number): void {
    this.clearTimer(timer);
    const due = this.clock.nowMs() + ms;
    let graced = false;
    const fire = () => {
      this.timers.delete(timer);
      if (timer === 'HoldTimer') {
        const late = this.clock.nowMs() - due > OWN_LATENESS_MS;
        if (this.isPaused || (late && !graced)) {
          graced = true;
          this.timers.set(timer, this.clock.setTimeout(fire, this.isPaused ? ms : GRACE_MS));
          return;
        }
      }
      if (timer === 'KeepaliveTimer' || timer === 'SendHoldTimer') this.checkSending();
      // What was taken meanwhile has stopped the send hold timer.
      if (timer === 'SendHoldTimer' && !this.machine.sendBlocked) return;
      this.input({ event: `${timer}_Expires` });
    };
    this.timers.set(timer, this.clock.setTimeout(fire, ms));
  }

  private clearTimer(timer: BgpTimer): void {
    const handle = this.timers.get(timer);
    if (handle) this.clock.clearTimeout(handle);
    this.timers.delete(timer);
  }
}

const UPDATE_MSG: BgpInput = { event: 'UpdateMsg' };
const KEEPALIVE_MSG: BgpInput = { event: 'KeepAliveMsg' };
