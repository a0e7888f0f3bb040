/**
 * The BGP finite state machine, RFC 4271 section 8, for one peer and one connection at a time. Pure: messages in, effects out; the driver
 * (peer.ts) owns bytes, sockets and clocks. Names of states and events are the RFC's.
 *
 * Two roles. `dial`: the connection is ours (Idle → Connect → OpenSent …); with an error it returns to Idle and starts again by
 * IdleHoldTimer (DampPeerOscillations, with jitter). `passive`: PassiveTcpEstablishment; it waits in Active for a connection and returns there.
 * DelayOpen is not used.
 */
import {
  AS_TRANS,
  type Capability,
  type Family,
  familyKey,
  type KeepaliveMessage,
  type Negotiated,
  type NotificationMessage,
  negotiate,
  notificationCodeName,
  notificationSubcodeName,
  type OpenMessage,
} from '../../codec/bgp/index.ts';
import { Backoff } from '../../core/backoff.ts';
import { capabilityCode, refusedCapabilities } from './capabilities.ts';
import { type Role, roleCapability, roleProblem } from './role.ts';

export type BgpState = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';
export type BgpTimer = 'ConnectRetryTimer' | 'HoldTimer' | 'KeepaliveTimer' | 'IdleHoldTimer' | 'SendHoldTimer';

export interface BgpSettings {
  role: 'dial' | 'passive';
  /** Our AS and identifier (dotted text). */
  asn: number;
  bgpId: string;
  /** What the peer's OPEN must say; absent: any. */
  peerAsn?: number;
  /** What we are to the peer (RFC 9234); `strict`: it has to say what it is. */
  bgpRole?: { name: Role; strict: boolean };
  /** What we propose, seconds: 0 (no hold timer) or 3..65535. */
  holdTime: number;
  /** Ours, without `as4`, which is added. */
  capabilities: Capability[];
  /** Milliseconds: how long one attempt to connect may take, and the longest wait between two. */
  connectRetry: number;
  /** Milliseconds to wait for the peer's OPEN (RFC 4271: "a large value"). */
  openWait?: number;
  /** For jitter; uniform in 0..1. */
  random?: () => number;
}

export type BgpInput =
  | { event: 'ManualStart' }
  /** Ends the session for good, with a NOTIFICATION where one can be sent. Default: Cease, Administrative Shutdown. `text` is RFC 9003's. */
  | { event: 'ManualStop'; code?: number; subcode?: number; text?: string; hard?: boolean }
  /**
   * Ends the session; it may come back by itself. `hard`: the peer must not keep our routes for a restart: where both sides have the N bit the
   * reason goes as a Hard Reset (RFC 8538).
   */
  | { event: 'AutomaticStop'; code: number; subcode: number; text?: string; hard?: boolean }
  /** Our connection stands. */
  | { event: 'Tcp_CR_Acked' }
  /** A connection of the peer was accepted. */
  | { event: 'TcpConnectionConfirmed' }
  /** Not connected, or not any more. */
  | { event: 'TcpConnectionFails'; reason?: string }
  | { event: 'ConnectRetryTimer_Expires' }
  | { event: 'HoldTimer_Expires' }
  | { event: 'KeepaliveTimer_Expires' }
  | { event: 'IdleHoldTimer_Expires' }
  | { event: 'SendHoldTimer_Expires' }
  /** Something waits to be sent, and the connection took nothing of it since it was last looked at. */
  | { event: 'SendBlocked' }
  /** The connection took bytes, or nothing waits. */
  | { event: 'SendProgress' }
  /** The other connection of a collision won (section 6.8). */
  | { event: 'OpenCollisionDump' }
  | { event: 'BGPOpen'; message: OpenMessage }
  | { event: 'NotifMsg'; message: NotificationMessage }
  | { event: 'KeepAliveMsg' }
  | { event: 'UpdateMsg' }
  | ({ event: 'RouteRefreshMsg'; subtype: number } & Family)
  /** The bytes are wrong, in the header, in the OPEN, or in an UPDATE beyond what RFC 7606 lets pass. `data` is hex. */
  | { event: 'BGPHeaderErr' | 'BGPOpenMsgErr' | 'UpdateMsgErr'; code: number; subcode: number; data?: string }
  /** The peer was not read for a while (back-pressure): its hold timer starts anew. */
  | { event: 'ReadResumed' };

export interface NotificationFacts {
  code: number;
  subcode: number;
  /** The registry's names: `Cease/Administrative Shutdown`. */
  name: string;
  text?: string;
  /** It came as a Hard Reset (RFC 8538), which is unwrapped here. */
  hard?: true;
}

export interface DownFacts {
  reason: string;
  /** True where the session was Established. */
  established: boolean;
  sent?: NotificationFacts;
  received?: NotificationFacts;
}

export type BgpEffect =
  | { type: 'connect' }
  | { type: 'send'; message: OpenMessage | NotificationMessage | KeepaliveMessage }
  /** Send what is queued, then close. */
  | { type: 'close' }
  | { type: 'set-timer'; timer: BgpTimer; ms: number }
  | { type: 'clear-timer'; timer: BgpTimer }
  | { type: 'established'; negotiated: Negotiated; sent: OpenMessage; received: OpenMessage }
  | ({ type: 'down' } & DownFacts)
  | ({ type: 'route-refresh' } & Family);

const OPEN_WAIT_MS = 60_000;
const FIRST_RETRY_MS = 1000;
/** RFC 9687 section 4: the greater of eight minutes and twice the hold time. */
const SEND_HOLD_MS = 480_000;

export class BgpMachine {
  state: BgpState = 'Idle';
  /** The OPEN we sent last. */
  sentOpen: OpenMessage | undefined;
  receivedOpen: OpenMessage | undefined;
  negotiated: Negotiated | undefined;
  /** Negotiated, seconds; 0: no hold timer. */
  holdTime = 0;
  private readonly settings: BgpSettings;
  private readonly random: () => number;
  private readonly backoff: Backoff;
  private readonly timers = new Set<BgpTimer>();
  private started = false;
  private holdDeadline = 0;
  private establishedAt = 0;
  /** Codes the peer refused; `all` after a refusal that names none. */
  private readonly refused = new Set<number>();
  private refusedAll = false;

  constructor(settings: BgpSettings) {
    this.settings = { ...settings };
    this.random = settings.random ?? Math.random;
    this.backoff = new Backoff(Math.min(FIRST_RETRY_MS, settings.connectRetry), settings.connectRetry, this.random);
  }

  /** Seconds to propose from the next OPEN on. */
  setHoldTime(seconds: number): void {
    this.settings.holdTime = seconds;
  }

  /** To offer from the next OPEN on. */
  setCapabilities(capabilities: Capability[]): void {
    this.settings.capabilities = capabilities;
  }

  /** The send hold timer runs (RFC 9687). */
  get sendBlocked(): boolean {
    return this.timers.has('SendHoldTimer');
  }

  /** `now`: monotonic milliseconds. */
  handle(now: number, input: BgpInput, out: BgpEffect[]): void {
    switch (input.event) {
      case 'ManualStart':
        if (this.started) return;
        this.started = true;
        this.begin(out);
        return;
      case 'ManualStop':
        this.started = false;
        this.stop(now, { code: 6, subcode: 2, ...given(input) }, 'stopped', out);
        return;
      case 'AutomaticStop':
        if (this.state === 'Idle' || this.state === 'Active') return;
        this.stop(now, input, input.text ?? 'stopped', out);
        return;
      case 'OpenCollisionDump':
        if (this.state === 'OpenSent' || this.state === 'OpenConfirm')
          this.fail(now, out, 'connection collision', { code: 6, subcode: 7 });
        return;
      case 'IdleHoldTimer_Expires':
        this.timers.delete('IdleHoldTimer');
        if (this.state === 'Idle' && this.started) this.begin(out);
        return;
      case 'ConnectRetryTimer_Expires':
        this.timers.delete('ConnectRetryTimer');
        if (this.state === 'Connect') this.fail(now, out, 'no answer to our connection');
        return;
      case 'HoldTimer_Expires':
        this.holdExpired(now, out);
        return;
      case 'KeepaliveTimer_Expires':
        this.timers.delete('KeepaliveTimer');
        if (this.state !== 'OpenConfirm' && this.state !== 'Established') return;
        out.push({ type: 'send', message: { kind: 'keepalive' } });
        this.armKeepalive(out);
        return;
      case 'ReadResumed':
        this.heard(now);
        return;
      // RFC 9687. The timer runs only while nothing is taken; a hold time of 0 means that it never runs.
      case 'SendBlocked':
        if (this.state === 'Established' && this.holdTime > 0 && !this.timers.has('SendHoldTimer'))
          this.arm('SendHoldTimer', Math.max(SEND_HOLD_MS, 2000 * this.holdTime), out);
        return;
      case 'SendProgress':
        this.clear('SendHoldTimer', out);
        return;
      case 'SendHoldTimer_Expires':
        this.timers.delete('SendHoldTimer');
        if (this.state === 'Established')
          this.fail(now, out, 'the peer takes nothing: send hold timer expired', { code: 8, subcode: 0 });
        return;
      case 'Tcp_CR_Acked':
        if (this.state === 'Connect') this.connected(now, out);
        return;
      case 'TcpConnectionConfirmed':
        if (this.state === 'Active') this.connected(now, out);
        return;
      case 'TcpConnectionFails':
        if (this.state === 'Idle' || this.state === 'Active') return;
        this.fail(now, out, input.reason ?? 'connection closed by the peer', undefined, undefined, false);
        return;
      default:
        this.received(now, input, out);
    }
  }

  private received(
    now: number,
    input: Extract<
      BgpInput,
      {
        event:
          | 'BGPOpen'
          | 'NotifMsg'
          | 'KeepAliveMsg'
          | 'UpdateMsg'
          | 'RouteRefreshMsg'
          | 'BGPHeaderErr'
          | 'BGPOpenMsgErr'
          | 'UpdateMsgErr';
      }
    >,
    out: BgpEffect[],
  ): void {
    // What was still in flight when the session ended.
    if (this.state === 'Idle' || this.state === 'Connect' || this.state === 'Active') return;
    switch (input.event) {
      case 'BGPOpen':
        if (this.state === 'OpenSent') this.open(now, input.message, out);
        else this.unexpected(now, out);
        return;
      case 'NotifMsg':
        this.notified(now, input.message, out);
        return;
      case 'KeepAliveMsg':
        if (this.state === 'OpenConfirm') this.establish(now, out);
        else if (this.state === 'OpenSent') this.unexpected(now, out);
        else this.heard(now);
        return;
      case 'UpdateMsg':
        if (this.state === 'Established') this.heard(now);
        else this.unexpected(now, out);
        return;
      case 'RouteRefreshMsg':
        if (this.state !== 'Established') this.unexpected(now, out);
        else {
          this.heard(now);
          // RFC 2918 section 4: a family that was not agreed on is ignored. RFC 7313 subtypes 1 and 2 are no requests.
          if (input.subtype === 0 && this.negotiated?.families.includes(familyKey(input.afi, input.safi)))
            out.push({ type: 'route-refresh', afi: input.afi, safi: input.safi });
        }
        return;
      default:
        this.fail(now, out, 'the peer sent a malformed message', input, undefined, true, input.data);
    }
  }

  // --- the way up ---

  private begin(out: BgpEffect[]): void {
    if (this.settings.role === 'passive') {
      this.state = 'Active';
      return;
    }
    this.state = 'Connect';
    this.arm('ConnectRetryTimer', this.settings.connectRetry, out);
    out.push({ type: 'connect' });
  }

  private connected(now: number, out: BgpEffect[]): void {
    this.clear('ConnectRetryTimer', out);
    this.state = 'OpenSent';
    this.receivedOpen = undefined;
    this.negotiated = undefined;
    this.sentOpen = this.ourOpen();
    out.push({ type: 'send', message: this.sentOpen });
    const wait = this.settings.openWait ?? OPEN_WAIT_MS;
    this.holdDeadline = now + wait;
    this.arm('HoldTimer', wait, out);
  }

  private ourOpen(): OpenMessage {
    const { asn, holdTime, bgpId } = this.settings;
    const { bgpRole } = this.settings;
    const role = bgpRole && asn !== this.settings.peerAsn ? [roleCapability(bgpRole.name)] : [];
    const all: Capability[] = [...this.settings.capabilities, ...role, { name: 'as4', asn }];
    const capabilities = this.refusedAll ? [] : all.filter((c) => !this.refused.has(capabilityCode(c)));
    const as4 = capabilities.some((c) => c.name === 'as4');
    return { kind: 'open', version: 4, asn: as4 || asn < 65536 ? asn : AS_TRANS, holdTime, bgpId, capabilities };
  }

  private open(now: number, o: OpenMessage, out: BgpEffect[]): void {
    this.receivedOpen = o;
    const objection = this.objection(o);
    if (objection) {
      this.fail(now, out, objection.reason, objection);
      return;
    }
    this.negotiated = negotiate(this.sentOpen!, o);
    this.holdTime = this.negotiated.holdTime;
    this.state = 'OpenConfirm';
    out.push({ type: 'send', message: { kind: 'keepalive' } });
    if (this.holdTime === 0) this.clear('HoldTimer', out);
    else {
      this.heard(now);
      this.arm('HoldTimer', this.holdTime * 1000, out);
      this.armKeepalive(out);
    }
  }

  /** RFC 4271 section 6.2. The version is the decoder's affair. */
  private objection(o: OpenMessage): { reason: string; code: number; subcode: number } | undefined {
    const s = this.settings;
    const say = (subcode: number, reason: string) => ({ reason, code: 2, subcode });
    if (s.peerAsn !== undefined && o.asn !== s.peerAsn) return say(2, `the peer’s AS is ${o.asn}, not ${s.peerAsn}`);
    if (o.asn === 0) return say(2, 'the peer’s AS is 0');
    // RFC 6286: not zero, and within an AS not our own.
    if (o.bgpId === '0.0.0.0' || (o.asn === s.asn && o.bgpId === s.bgpId))
      return say(3, `the peer’s BGP identifier is ${o.bgpId}`);
    const role = s.bgpRole && roleProblem(s.bgpRole.name, s.bgpRole.strict, o.capabilities, o.asn !== s.asn);
    if (role !== undefined) return say(11, role);
    if (o.unknownParameters) return say(4, 'unknown optional parameter');
    if (o.holdTime === 1 || o.holdTime === 2) return say(6, `hold time ${o.holdTime}`);
    return undefined;
  }

  private establish(now: number, out: BgpEffect[]): void {
    this.state = 'Established';
    this.establishedAt = now;
    this.heard(now);
    out.push({
      type: 'established',
      negotiated: this.negotiated!,
      sent: this.sentOpen!,
      received: this.receivedOpen!,
    });
  }

  // --- the way down ---

  private unexpected(now: number, out: BgpEffect[]): void {
    const subcode = this.state === 'OpenSent' ? 1 : this.state === 'OpenConfirm' ? 2 : 3;
    this.fail(now, out, `unexpected message in ${this.state}`, { code: 5, subcode });
  }

  /** The hold timer is not moved by each message: that would cost a timer a message. It fires, and waits for the rest. */
  private holdExpired(now: number, out: BgpEffect[]): void {
    this.timers.delete('HoldTimer');
    if (this.state !== 'OpenSent' && this.state !== 'OpenConfirm' && this.state !== 'Established') return;
    if (this.state !== 'OpenSent' && this.holdTime === 0) return;
    if (now < this.holdDeadline) this.arm('HoldTimer', this.holdDeadline - now, out);
    else this.fail(now, out, 'hold timer expired', { code: 4, subcode: 0 });
  }

  private notified(now: number, n: NotificationMessage, out: BgpEffect[]): void {
    // RFC 5492 section 3: what the peer refuses is left out of the next OPEN.
    if (this.state !== 'Established' && n.code === 2 && (n.subcode === 4 || n.subcode === 7)) {
      const codes = n.subcode === 7 ? refusedCapabilities(n.data) : [];
      if (codes.length === 0) this.refusedAll = true;
      else for (const c of codes) this.refused.add(c);
    }
    const received = n.wrapped ? facts(n.wrapped, true) : facts(n, false);
    this.fail(now, out, 'notification received', undefined, received);
  }

  private stop(now: number, notify: Notify, reason: string, out: BgpEffect[]): void {
    const mayTell = this.state === 'OpenSent' || this.state === 'OpenConfirm' || this.state === 'Established';
    if (mayTell) this.fail(now, out, reason, notify);
    else if (this.state === 'Connect') this.fail(now, out, reason);
    if (!this.started) {
      this.clear('IdleHoldTimer', out);
      this.state = 'Idle';
    }
  }

  private fail(
    now: number,
    out: BgpEffect[],
    reason: string,
    notify?: Notify,
    received?: NotificationFacts,
    close = true,
    data = '',
  ): void {
    const established = this.state === 'Established';
    const hard = notify?.hard === true && established && this.hardResets;
    if (notify) {
      const { code, subcode, text } = notify;
      const said = { code, subcode, data, ...(text !== undefined && { text }) };
      const message: NotificationMessage = hard
        ? { kind: 'notification', code: 6, subcode: 9, data: '', wrapped: said }
        : { kind: 'notification', ...said };
      out.push({ type: 'send', message });
    }
    if (close) out.push({ type: 'close' });
    this.clear('ConnectRetryTimer', out);
    this.clear('HoldTimer', out);
    this.clear('KeepaliveTimer', out);
    this.clear('SendHoldTimer', out);
    const down: Extract<BgpEffect, { type: 'down' }> = { type: 'down', reason, established };
    if (notify) down.sent = facts(notify, hard);
    if (received) down.received = received;
    if (established) {
      // A session that stood for a while earns a quick retry, and the next OPEN offers everything again.
      if (now - this.establishedAt >= 2 * this.settings.connectRetry) this.backoff.reset();
      this.refused.clear();
      this.refusedAll = false;
    }
    this.negotiated = undefined;
    if (this.settings.role === 'passive' && this.started) this.state = 'Active';
    else {
      this.state = 'Idle';
      if (this.started) this.arm('IdleHoldTimer', Math.round(this.backoff.next()), out);
    }
    out.push(down);
  }

  /** RFC 8538 section 2: both sides have the N bit. */
  private get hardResets(): boolean {
    const n = (o: OpenMessage | undefined) =>
      o?.capabilities.some((c) => c.name === 'graceful-restart' && c.notification) === true;
    return n(this.sentOpen) && n(this.receivedOpen);
  }

  // --- timers ---

  private heard(now: number): void {
    if (this.state !== 'OpenSent') this.holdDeadline = now + this.holdTime * 1000;
  }

  /** A third of the hold time, less up to a quarter (RFC 4271 section 10). */
  private armKeepalive(out: BgpEffect[]): void {
    if (this.holdTime === 0) return;
    this.arm('KeepaliveTimer', Math.round((this.holdTime * 1000 * (0.75 + 0.25 * this.random())) / 3), out);
  }

  private arm(timer: BgpTimer, ms: number, out: BgpEffect[]): void {
    this.timers.add(timer);
    out.push({ type: 'set-timer', timer, ms });
  }

  private clear(timer: BgpTimer, out: BgpEffect[]): void {
    if (this.timers.delete(timer)) out.push({ type: 'clear-timer', timer });
  }
}

interface Notify {
  code: number;
  subcode: number;
  text?: string;
  hard?: boolean;
}

/** What is given of it. */
function given({ code, subcode, text, hard }: Partial<Notify>): Partial<Notify> {
  return { ...(code !== undefined && { code }), ...(subcode !== undefined && { subcode }), text, hard };
}

function facts({ code, subcode, text }: Notify, hard: boolean): NotificationFacts {
  const sub = notificationSubcodeName(code, subcode);
  const name = sub === undefined ? notificationCodeName(code) : `${notificationCodeName(code)}/${sub}`;
  return { code, subcode, name, ...(text !== undefined && { text }), ...(hard && { hard }) };
}
