/**
 * One virtual router: RFC 9568 section 6 (version 2: RFC 3768 section 6), with RFC 9568's names. Pure: time is an argument.
 *
 *                 +-----------------------------------------------+
 *                 v                                               |
 *           Initialize ── fit, priority < 255 ──► Backup          | link down, dead, stopped
 *                 |                                | ^            | (an Active says so with priority 0)
 *                 |            Active_Down_Timer   | | higher     |
 *                 +── fit, priority 255 ──► Active ◄ ┘ advert ────+
 *
 * The grade is the priority: full has `priority`, degraded `degradedPriority`, dead gives up with priority 0 and stays out.
 * An Active has its addresses bound before neighbours are told; one that cannot bind them gives up, or their packets would be lost here.
 * Who gives up keeps the addresses until it has heard the next Active and LINGER_MS more, so that packets under way arrive somewhere.
 */
import { parseIp } from '../../core/ip.ts';
import type { Grade } from '../grade.ts';

export type VrrpState = 'Initialize' | 'Backup' | 'Active';
export type VrrpTimer = 'advert' | 'active-down' | 'announce' | 'refresh' | 'assert' | 'bind' | 'release';

/** Milliseconds throughout, but for `announce`, which are numbers of rounds. */
export interface VrrpSettings {
  version: 2 | 3;
  priority: number;
  degradedPriority: number;
  /** Multiples of 10; version 2: of 1000. */
  advertInterval: number;
  preempt: boolean;
  /** How long a lower-priority active is left alone before it is preempted. */
  preemptDelay: number;
  garp: {
    /** Rounds of announcements at once after taking over, and again after `delay`. */
    repeat: number;
    /** 0: no second time. */
    delay: number;
    /** Interval of further rounds while active; 0: none. */
    refresh: number;
    /** Rounds after a lower-priority advert: somebody else was believed to be active. */
    lowerPriorityRepeat: number;
  };
}

export interface Advert {
  /** Address it came from, RFC 5952 text. */
  source: string;
  priority: number;
  /** Milliseconds. */
  interval: number;
  addresses: string[];
}

export type VrrpInput =
  | { type: 'grade'; grade: Grade }
  /** Addresses of the virtual router, without length. */
  | { type: 'addresses'; addresses: string[] }
  /** Those that are on this node. */
  | { type: 'bound'; addresses: string[] }
  /** `obstacle`: why nothing can be sent (interface down, no address, no socket); '' where all is well. `primary`: what we send from. */
  | { type: 'link'; obstacle: string; primary: string }
  /** Another version, interval (version 2) or sender is refused before: see `refuseAdvert`. */
  | { type: 'advert'; advert: Advert }
  /** Another host says that it has this address. */
  | { type: 'claimed'; address: string }
  | { type: 'timer'; timer: VrrpTimer }
  | { type: 'stop'; reason: string };

export type VrrpEffect =
  /** `interval`: what it says, where that is not our own. */
  | { type: 'send'; priority: number; interval?: number }
  | { type: 'set-timer'; timer: VrrpTimer; ms: number }
  | { type: 'clear-timer'; timer: VrrpTimer }
  /** Tell the neighbours, `rounds` times each. */
  | { type: 'announce'; addresses: string[]; rounds: number }
  | { type: 'state'; from: VrrpState; to: VrrpState; reason: string }
  /** The addresses could not be bound in time: given up for a while. */
  | { type: 'unbound'; addresses: string[] }
  /** `needsAddresses` has become false. */
  | { type: 'released' };

/** How long an Active may be without one of its addresses, and how long it then leaves the role to others. */
export const BIND_MS = 3000;
const BARRED_MS = 30_000;
/** The shortest interval there is: adverts that answer others are at least so far apart. */
const ANSWER_MS = 10;
/** From the announcement of the next Active: until it has surely reached the neighbours, and what was on its way is answered. */
export const LINGER_MS = 200;
/** From its first advert: so long it may need to have the addresses, and to announce them. One that never does is not waited for longer. */
export const SUCCESSION_MS = 1000;

export class VrrpMachine {
  state: VrrpState = 'Initialize';
  /** Why it is in this state. */
  reason = 'starting';
  /** The active router as last heard; while Active ourselves: undefined. */
  active: { source: string; priority: number } | undefined;
  /** Active_Adver_Interval: of the active router (version 3 adopts it). */
  activeInterval: number;
  private settings: VrrpSettings;
  private grade: Grade = 'dead';
  private addresses: string[] = [];
  private bound = new Set<string>();
  private obstacle = 'starting';
  private primary = '';
  private stopped = '';
  /** Since when a lower-priority active is heard; -1: none is. */
  private lowerSince = -1;
  private holding = false;
  /** While holding: the next Active was heard. */
  private succeeded = false;
  /** While holding: the addresses that nobody else has announced. */
  private readonly unclaimed = new Set<string>();
  private barredUntil = Number.NEGATIVE_INFINITY;
  private lastAssertion = Number.NEGATIVE_INFINITY;
  private lastAnswer = Number.NEGATIVE_INFINITY;

  constructor(settings: VrrpSettings) {
    this.settings = settings;
    this.activeInterval = settings.advertInterval;
  }

  /** The priority of the grade; 0 while it stays out. */
  get priority(): number {
    if (this.grade === 'full') return this.settings.priority;
    return this.grade === 'degraded' ? this.settings.degradedPriority : 0;
  }

  /** Milliseconds. RFC 3768 counts it in seconds, whatever the interval. */
  get skewTime(): number {
    const unit = this.settings.version === 2 ? 1000 : this.activeInterval;
    return ((256 - this.priority) * unit) / 256;
  }

  /** Milliseconds after which a Backup that hears nothing takes over. */
  get activeDownInterval(): number {
    return 3 * this.activeInterval + this.skewTime;
  }

  /** The addresses are to be on this node. */
  get needsAddresses(): boolean {
    return this.state === 'Active' || this.holding;
  }

  /** Why this node does not take part; '' where it does. */
  get unfit(): string {
    if (this.stopped !== '') return this.stopped;
    if (this.addresses.length === 0) return 'no address';
    if (this.grade === 'dead') return 'this node is dead';
    return this.obstacle;
  }

  handle(now: number, input: VrrpInput, out: VrrpEffect[]): void {
    switch (input.type) {
      case 'grade': {
        const { priority, state } = this;
        this.grade = input.grade;
        this.weigh(now, out);
        // A better Backup should know at once, not after an interval.
        if (state === 'Active' && this.state === 'Active' && this.priority !== priority) this.advertise(out);
        return;
      }
      case 'addresses': {
        const before = this.addresses;
        this.addresses = input.addresses;
        this.weigh(now, out);
        if (this.state === 'Active' && !sameSet(before, input.addresses)) {
          this.advertise(out);
          this.awaitBinding(out);
        }
        return;
      }
      case 'bound':
        this.binding(input.addresses, out);
        return;
      case 'link':
        this.obstacle = input.obstacle;
        this.primary = input.primary;
        this.weigh(now, out);
        return;
      case 'advert':
        // Whoever we gave up for is there now.
        if (this.holding && !this.succeeded && input.advert.priority > 0) this.hold(true, out);
        if (this.state === 'Backup') this.advertInBackup(now, input.advert, out);
        else if (this.state === 'Active') this.advertInActive(now, input.advert, out);
        else if (input.advert.priority === 0) this.active = undefined;
        else this.active = { source: input.advert.source, priority: input.advert.priority };
        return;
      case 'claimed':
        this.claimed(input.address, out);
        return;
      case 'timer':
        this.timer(now, input.timer, out);
        return;
      case 'stop':
        this.stopped = input.reason || 'stopped';
        this.weigh(now, out);
    }
  }

  /** New settings of a running router: its state stays. */
  reconfigure(now: number, settings: VrrpSettings, out: VrrpEffect[]): void {
    const before = this.priority;
    const own = this.activeInterval === this.settings.advertInterval;
    this.settings = settings;
    if (own || settings.version === 2) this.activeInterval = settings.advertInterval;
    if (this.state === 'Active') this.advertise(out);
    else if (this.state === 'Backup' && this.priority !== before) this.waitForActive(out);
    this.weigh(now, out);
  }

  /** Leaves or enters Initialize as the node is fit. */
  private weigh(now: number, out: VrrpEffect[]): void {
    const unfit = this.unfit;
    if (unfit !== '') {
      if (this.state === 'Initialize') {
        this.reason = unfit;
        return;
      }
      if (this.state === 'Active') {
        out.push({ type: 'send', priority: 0 });
        this.endActive(out);
        if (this.obstacle === '') this.hold(false, out);
        else out.push({ type: 'released' });
      } else out.push({ type: 'clear-timer', timer: 'active-down' });
      this.active = undefined;
      this.move('Initialize', unfit, out);
      return;
    }
    if (this.state !== 'Initialize') return;
    this.activeInterval = this.settings.advertInterval;
    this.lowerSince = -1;
    if (this.priority === 255 && now >= this.barredUntil) this.becomeActive('the owner of the addresses', out);
    else this.becomeBackup('started', out);
  }

  /** RFC 9568 section 6.4.2. */
  private advertInBackup(now: number, a: Advert, out: VrrpEffect[]): void {
    if (a.priority === 0) {
      this.active = undefined;
      this.lowerSince = -1;
      out.push({ type: 'set-timer', timer: 'active-down', ms: this.skewTime });
      return;
    }
    this.active = { source: a.source, priority: a.priority };
    if (a.priority >= this.priority) this.lowerSince = -1;
    else if (this.settings.preempt) {
      if (this.lowerSince < 0) this.lowerSince = now;
      if (now - this.lowerSince >= this.settings.preemptDelay && now >= this.barredUntil) return;
    }
    this.adopt(a);
    this.waitForActive(out);
  }

  /** RFC 9568 section 6.4.3. */
  private advertInActive(now: number, a: Advert, out: VrrpEffect[]): void {
    if (a.priority === 0) {
      this.advertise(out);
      return;
    }
    const stronger =
      a.priority > this.priority || (a.priority === this.priority && compareAddresses(a.source, this.primary) > 0);
    if (stronger) {
      // One more: it may have been active for long on another part of a split segment, and is to learn that we were, too (see below). It
      // says the interval of the other, because whoever hears it waits for that one now.
      out.push({ type: 'send', priority: this.priority, interval: a.interval });
      this.endActive(out);
      this.hold(true, out);
      this.active = { source: a.source, priority: a.priority };
      this.adopt(a);
      this.lowerSince = -1;
      this.becomeBackup(`${a.source} has priority ${a.priority}`, out);
      return;
    }
    // After a standstill a row of them waits, and one answer does for all.
    if (now - this.lastAnswer >= ANSWER_MS) {
      this.lastAnswer = now;
      this.advertise(out);
    } else out.push({ type: 'set-timer', timer: 'advert', ms: this.lastAnswer + ANSWER_MS - now });
    // Whoever sent it was believed: caches and switches may point there.
    this.assert(now, out);
  }

  /** Announces again, once an interval: else an attacker could multiply frames. What comes too early is done when the time has come. */
  private assert(now: number, out: VrrpEffect[]): void {
    const rounds = this.settings.garp.lowerPriorityRepeat;
    if (rounds === 0) return;
    const wait = this.lastAssertion + this.settings.advertInterval - now;
    if (wait > 0) {
      out.push({ type: 'set-timer', timer: 'assert', ms: wait });
      return;
    }
    this.lastAssertion = now;
    this.announce(rounds, out);
  }

  private timer(now: number, timer: VrrpTimer, out: VrrpEffect[]): void {
    if (timer === 'active-down') {
      if (this.state !== 'Backup') return;
      if (now < this.barredUntil) {
        out.push({ type: 'set-timer', timer: 'active-down', ms: this.barredUntil - now });
        return;
      }
      this.becomeActive(this.takeOverReason(), out);
      return;
    }
    if (timer === 'release') {
      if (!this.holding) return;
      this.holding = false;
      out.push({ type: 'released' });
      return;
    }
    if (this.state !== 'Active') return;
    const { garp } = this.settings;
    switch (timer) {
      case 'advert':
        this.advertise(out);
        return;
      case 'announce':
        this.announce(garp.repeat, out);
        return;
      case 'assert':
        this.assert(now, out);
        return;
      case 'refresh':
        this.announce(1, out);
        out.push({ type: 'set-timer', timer: 'refresh', ms: garp.refresh });
        return;
      case 'bind': {
        const addresses = this.addresses.filter((a) => !this.bound.has(a));
        if (addresses.length === 0) return;
        this.barredUntil = now + BARRED_MS;
        out.push({ type: 'unbound', addresses }, { type: 'send', priority: 0 });
        this.endActive(out);
        out.push({ type: 'released' });
        this.active = undefined;
        this.activeInterval = this.settings.advertInterval;
        this.becomeBackup('an address could not be bound', out);
      }
    }
  }

  private takeOverReason(): string {
    if (this.active === undefined) return 'no active router';
    const { source, priority } = this.active;
    return priority < this.priority && this.settings.preempt && this.lowerSince >= 0
      ? `${source} has only priority ${priority}`
      : `${source} is silent`;
  }

  private binding(addresses: string[], out: VrrpEffect[]): void {
    const fresh = addresses.filter((a) => !this.bound.has(a) && this.addresses.includes(a));
    this.bound = new Set(addresses);
    if (this.state !== 'Active') return;
    if (this.addresses.every((a) => this.bound.has(a))) out.push({ type: 'clear-timer', timer: 'bind' });
    if (fresh.length > 0) this.begin(fresh, out);
  }

  private becomeActive(reason: string, out: VrrpEffect[]): void {
    this.active = undefined;
    this.lowerSince = -1;
    this.activeInterval = this.settings.advertInterval;
    this.holding = false;
    out.push({ type: 'clear-timer', timer: 'release' }, { type: 'clear-timer', timer: 'active-down' });
    this.advertise(out);
    this.move('Active', reason, out);
    this.awaitBinding(out);
    const there = this.boundAddresses();
    if (there.length > 0) this.begin(there, out);
    if (this.settings.garp.refresh > 0)
      out.push({ type: 'set-timer', timer: 'refresh', ms: this.settings.garp.refresh });
  }

  private endActive(out: VrrpEffect[]): void {
    for (const timer of ['advert', 'announce', 'refresh', 'assert', 'bind'] as const)
      out.push({ type: 'clear-timer', timer });
  }

  private hold(succeeded: boolean, out: VrrpEffect[]): void {
    if (!this.holding) {
      this.unclaimed.clear();
      for (const a of this.boundAddresses()) this.unclaimed.add(a);
    }
    this.holding = true;
    this.succeeded = succeeded;
    // A Backup waits its Skew_Time, a second or an interval at most, and then says so at once.
    const skew = this.settings.version === 2 ? 1000 : this.settings.advertInterval;
    const wait = succeeded ? (this.unclaimed.size > 0 ? SUCCESSION_MS : 0) : skew;
    out.push({ type: 'set-timer', timer: 'release', ms: wait + LINGER_MS });
  }

  /** The next Active says advert first, then gives itself the addresses, then announces them: only now does anybody send to it. */
  private claimed(address: string, out: VrrpEffect[]): void {
    if (!this.holding || !this.unclaimed.delete(address) || this.unclaimed.size > 0) return;
    this.succeeded = true;
    out.push({ type: 'set-timer', timer: 'release', ms: LINGER_MS });
  }

  private becomeBackup(reason: string, out: VrrpEffect[]): void {
    this.waitForActive(out);
    this.move('Backup', reason, out);
  }

  private waitForActive(out: VrrpEffect[]): void {
    out.push({ type: 'set-timer', timer: 'active-down', ms: this.activeDownInterval });
  }

  private adopt(a: Advert): void {
    if (this.settings.version === 3) this.activeInterval = a.interval;
  }

  private advertise(out: VrrpEffect[]): void {
    out.push(
      { type: 'send', priority: this.priority },
      { type: 'set-timer', timer: 'advert', ms: this.settings.advertInterval },
    );
  }

  private awaitBinding(out: VrrpEffect[]): void {
    if (this.addresses.some((a) => !this.bound.has(a))) out.push({ type: 'set-timer', timer: 'bind', ms: BIND_MS });
  }

  /** The first announcement of addresses, and its repetition. */
  private begin(addresses: string[], out: VrrpEffect[]): void {
    const { garp } = this.settings;
    if (garp.repeat === 0) return;
    out.push({ type: 'announce', addresses, rounds: garp.repeat });
    if (garp.delay > 0) out.push({ type: 'set-timer', timer: 'announce', ms: garp.delay });
  }

  private announce(rounds: number, out: VrrpEffect[]): void {
    const addresses = this.boundAddresses();
    if (rounds > 0 && addresses.length > 0) out.push({ type: 'announce', addresses, rounds });
  }

  private boundAddresses(): string[] {
    return this.addresses.filter((a) => this.bound.has(a));
  }

  private move(to: VrrpState, reason: string, out: VrrpEffect[]): void {
    const from = this.state;
    this.state = to;
    this.reason = reason;
    out.push({ type: 'state', from, to, reason });
  }
}

export interface Acceptance {
  version: 2 | 3;
  /** Milliseconds. */
  advertInterval: number;
  /** What we send from. */
  primary: string;
  /** Unicast: who may speak. Absent: multicast. */
  peers: readonly string[] | undefined;
}

/** What the checks of RFC 9568 section 7.1 need of a packet. `interval` in milliseconds. */
export interface AdvertFacts {
  version: 2 | 3;
  source: string;
  toGroup: boolean;
  ttl: number;
  interval: number;
}

/** The code of why an advertisement for our VRID is dropped; undefined where it counts. */
export function refuseAdvert(a: AdvertFacts, o: Acceptance): string | undefined {
  if (a.source === o.primary) return 'vrrp-own';
  if (a.toGroup !== (o.peers === undefined)) return 'vrrp-mode';
  // A router decrements it: whoever sent this is on our segment.
  if (a.toGroup && a.ttl !== 255) return 'vrrp-ttl';
  if (o.peers !== undefined && !o.peers.includes(a.source)) return 'vrrp-peer';
  if (a.version !== o.version) return 'vrrp-version';
  if (a.version === 2 && a.interval !== o.advertInterval) return 'vrrp-interval';
  return undefined;
}

/** Order as numbers of addresses of one family in RFC 5952 text: positive where `a` is the higher. */
export function compareAddresses(a: string, b: string): number {
  const [x, y] = [parseIp(a), parseIp(b)];
  return x && y ? x.compare(y) : (x ? 1 : 0) - (y ? 1 : 0);
}

/** True where both lists hold the same addresses, in whatever order. */
export function sameSet(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  const all = new Set(a);
  return b.every((x) => all.has(x));
}
