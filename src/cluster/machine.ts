/**
 * Who of the configured members lives, and what each says of itself. A pure machine: it is handed authentic messages, and says what to send.
 *
 *   (never heard) ──heard──► alive ──timeout/2 silent──► suspect ──timeout silent──► dead
 *                              ▲                            │                         │
 *                              └────────────heard───────────┴─────────────────────────┘
 *
 * Two guards against the own loop. A timer that comes late says that messages may wait unread: they are read before anybody is declared dead.
 * And if our own last heartbeat is older than `timeout`, the others have given our addresses to somebody else: `frozen` says so, and until the
 * members were heard again (or `timeout` has passed) the view is not `settled`.
 */
import type { Claim, Heartbeat, HeartbeatPart } from './message.ts';

export type MemberState = 'alive' | 'suspect' | 'dead';

export interface ClusterSettings {
  node: string;
  site: string;
  /** UTC microseconds. */
  boot: number;
  weight: number;
  /** Milliseconds. */
  interval: number;
  timeout: number;
  members: MemberSettings[];
}

export interface MemberSettings {
  /** `ADDR:PORT`. */
  address: string;
  node?: string;
}

/** What is known of a member. JSON. */
export interface Member {
  address: string;
  /** Empty until it was heard or where the configuration names none. */
  node: string;
  state: MemberState;
  boot: number;
  grade: Heartbeat['grade'];
  weight: number;
  fit: boolean;
  /** It says that it hears us. */
  hearsUs: boolean;
  claims: Claim[];
  /** It reads what we say of VIPs. */
  facts?: boolean;
  /** Monotonic milliseconds of ours; undefined: never. */
  heardAt?: number;
  /** Its clock minus ours, milliseconds, with the time on the way. */
  offset?: number;
}

export type RefusalCode =
  | 'unknown-member'
  | 'other-site'
  | 'own-name'
  | 'wrong-name'
  | 'duplicate-name'
  | 'replayed'
  | 'time-window';

export type ClusterInput =
  /** Proved and decoded. `wall`: our UTC milliseconds. */
  | { type: 'message'; from: string; wall: number; message: HeartbeatPart }
  | { type: 'timer' }
  /** What we have to say of ourselves from now on. */
  | { type: 'say'; grade: Heartbeat['grade']; fit: boolean; claims: Claim[]; weight: number }
  | { type: 'members'; members: MemberSettings[] }
  | { type: 'leave' };

export type ClusterEffect =
  /** To be stamped with our time and sent to each address. */
  | { type: 'send'; to: string[]; heartbeat: Omit<Heartbeat, 'time'> }
  | { type: 'refused'; from: string; code: RefusalCode; reason: string }
  | { type: 'member'; address: string; node: string; from: MemberState; to: MemberState; reason: string }
  /** What `members` or `settled` say has changed. */
  | { type: 'changed' }
  /** Our own loop stood still for so long that nothing we held is ours any more. */
  | { type: 'frozen'; ms: number }
  | { type: 'set-timer'; ms: number };

/** A message whose time is further from ours is refused: a replay, or a clock that must be set first. Milliseconds. */
export const TIME_WINDOW = 600_000;
/** A timer that is this late says that our own loop stood still. */
const LATE_MS = 100;
/** For reading what waits in the socket. */
const GRACE_MS = 50;
/** A clock's offset is worth nothing when it was not seen for so long. */
const OFFSET_MS = 10_000;
const MAX_RETIRED = 100;

interface Refusal {
  code: RefusalCode;
  reason: string;
}

const UNKNOWN: Refusal = { code: 'unknown-member', reason: 'no configured member has this address' };

interface Peer extends Member {
  configuredNode?: string;
  sequence: number;
  /** Claims of the parts of a heartbeat that is not complete yet. */
  partial?: { sequence: number; claims: (Claim[] | undefined)[]; missing: number };
  /** It was heard since the view was last unsettled. */
  seen: boolean;
  offsetAt: number;
  /** Earlier boots of it. */
  retired: number[];
}

export class ClusterMachine {
  private readonly node: string;
  private readonly site: string;
  private readonly boot: number;
  private readonly interval: number;
  private readonly timeout: number;
  private weight: number;
  private readonly peers = new Map<string, Peer>();
  private self: { grade: Heartbeat['grade']; fit: boolean; claims: Claim[] } = {
    grade: 'dead',
    fit: false,
    claims: [],
  };
  private sequence = 0;
  private beatAt: number | undefined;
  private timerDue: number | undefined;
  private graceUntil = Number.NEGATIVE_INFINITY;
  private settleBy: number | undefined;
  private isSettled = false;
  /** Addresses that turned out to be our own. */
  private readonly own = new Set<string>();
  private left = false;

  constructor(s: ClusterSettings) {
    this.node = s.node;
    this.site = s.site;
    this.boot = s.boot;
    this.interval = s.interval;
    this.timeout = s.timeout;
    this.weight = s.weight;
    for (const m of s.members) this.peers.set(m.address, peer(m));
  }

  /** In the order of the configuration, without ourselves. */
  get members(): Member[] {
    return [...this.peers.values()];
  }

  /** Every member was heard, or there was time enough. Before, nothing may be taken. */
  get settled(): boolean {
    return this.isSettled;
  }

  /** `now`: monotonic milliseconds. The first input starts the machine. */
  handle(now: number, input: ClusterInput, out: ClusterEffect[]): void {
    if (this.left) return;
    this.awake(now, out);
    switch (input.type) {
      case 'message':
        this.onMessage(now, input.from, input.wall, input.message, out);
        break;
      case 'say': {
        const { grade, fit, claims, weight } = input;
        const next = { grade, fit, claims };
        const differs = weight !== this.weight || JSON.stringify(next) !== JSON.stringify(this.self);
        this.weight = weight;
        this.self = next;
        if (differs) this.beat(now, out);
        break;
      }
      case 'members':
        this.configure(input.members, out);
        break;
      case 'leave':
        this.self = { grade: 'dead', fit: false, claims: [] };
        this.beat(now, out, true);
        this.left = true;
        return;
      case 'timer':
        this.timerDue = undefined;
        break;
    }
    if (this.beatAt === undefined || now - this.beatAt >= this.interval) this.beat(now, out);
    this.judge(now, out);
    this.settle(now, out);
    this.arm(now, out);
  }

  /** Says whether we were asleep, before anything else is believed. */
  private awake(now: number, out: ClusterEffect[]): void {
    if (this.beatAt === undefined) {
      this.unsettle(now);
      return;
    }
    if (this.timerDue !== undefined && now - this.timerDue > LATE_MS)
      this.graceUntil = Math.max(this.graceUntil, now + GRACE_MS);
    const silent = now - this.beatAt;
    if (silent <= this.timeout) return;
    this.self = { ...this.self, claims: [] };
    this.unsettle(now);
    this.beat(now, out);
    out.push({ type: 'frozen', ms: silent }, { type: 'changed' });
  }

  private unsettle(now: number): void {
    this.isSettled = false;
    this.settleBy = now + this.timeout;
    for (const p of this.peers.values()) p.seen = false;
  }

  private settle(now: number, out: ClusterEffect[]): void {
    if (this.isSettled) return;
    if (now < this.settleBy! && [...this.peers.values()].some((p) => !p.seen)) return;
    this.isSettled = true;
    out.push({ type: 'changed' });
  }

  private onMessage(now: number, from: string, wall: number, m: HeartbeatPart, out: ClusterEffect[]): void {
    if (m.boot === this.boot && m.node === this.node) {
      // The list of members is the same on every node: this entry is ourselves.
      if (this.peers.delete(from)) out.push({ type: 'changed' });
      this.own.add(from);
      return;
    }
    const p = this.peers.get(from);
    const why = p ? this.refusal(now, p, wall, m) : UNKNOWN;
    if (why) out.push({ type: 'refused', from, ...why });
    else this.accept(now, p!, m, m.time - wall, out);
  }

  private refusal(now: number, p: Peer, wall: number, m: HeartbeatPart): Refusal | undefined {
    const because = (code: RefusalCode, reason: string) => ({ code, reason });
    if (m.site !== this.site) return because('other-site', `it belongs to site ${m.site}, this node to ${this.site}`);
    if (m.node === this.node) return because('own-name', `it calls itself ${m.node}, the name of this node`);
    if (p.configuredNode !== undefined && p.configuredNode !== m.node)
      return because('wrong-name', `it calls itself ${m.node}, configured is ${p.configuredNode}`);
    for (const q of this.peers.values())
      if (q !== p && q.node === m.node && q.state !== 'dead')
        return because('duplicate-name', `${q.address} calls itself ${m.node} too`);
    // Its clock may have gone back before it began anew: a boot that we never saw and that hears this boot of ours is no recording.
    const anew = m.boot > p.boot || (p.state === 'dead' && m.heard.includes(this.boot));
    const fresh = m.boot === p.boot ? m.sequence > p.sequence : anew && !p.retired.includes(m.boot);
    const another = m.boot === p.boot && m.sequence === p.sequence && p.partial?.sequence === m.sequence;
    if (!fresh && !another) return because('replayed', 'an older boot or sequence than was heard before');
    const offset = m.time - wall;
    if (Math.abs(offset) <= TIME_WINDOW) return undefined;
    p.offset = offset;
    p.offsetAt = now;
    return because('time-window', `its clock differs by ${Math.round(offset / 1000)} s from ours`);
  }

  private accept(now: number, p: Peer, m: HeartbeatPart, offset: number, out: ClusterEffect[]): void {
    const restarted = m.boot !== p.boot;
    if (restarted && p.state !== 'dead' && p.boot !== 0) this.become(p, 'dead', 'it began anew', out);
    const hearsUs = m.heard.includes(this.boot);
    const changed =
      restarted ||
      p.grade !== m.grade ||
      p.weight !== m.weight ||
      p.fit !== m.fit ||
      p.hearsUs !== hearsUs ||
      p.node !== m.node;
    if (restarted) {
      p.claims = [];
      p.retired.push(p.boot);
      if (p.retired.length > MAX_RETIRED) p.retired.shift();
    }
    if (p.sequence !== m.sequence || restarted) p.partial = undefined;
    Object.assign(p, { node: m.node, boot: m.boot, sequence: m.sequence, heardAt: now, seen: true });
    Object.assign(p, { offset, offsetAt: now });
    Object.assign(p, { grade: m.grade, weight: m.weight, fit: m.fit, hearsUs, facts: m.facts });
    const claimsChanged = this.assemble(p, m);
    if (m.leaving) {
      p.claims = [];
      if (p.state !== 'dead') this.become(p, 'dead', 'it left', out);
      else out.push({ type: 'changed' });
      return;
    }
    if (p.state !== 'alive') this.become(p, 'alive', 'heard', out);
    else if (changed || claimsChanged) out.push({ type: 'changed' });
  }

  /** Claims count as a whole: when every part of a heartbeat is there. True where they changed. */
  private assemble(p: Peer, m: HeartbeatPart): boolean {
    p.partial ??= { sequence: m.sequence, claims: new Array(m.parts).fill(undefined), missing: m.parts };
    const { partial } = p;
    if (partial.claims.length !== m.parts || partial.claims[m.part] !== undefined) return false;
    partial.claims[m.part] = m.claims;
    partial.missing--;
    if (partial.missing > 0) return false;
    const claims = (partial.claims as Claim[][]).flat();
    p.partial = undefined;
    const differs = JSON.stringify(claims) !== JSON.stringify(p.claims);
    p.claims = claims;
    return differs;
  }

  private judge(now: number, out: ClusterEffect[]): void {
    if (now < this.graceUntil) return;
    for (const p of this.peers.values()) {
      if (p.offset !== undefined && now - p.offsetAt > OFFSET_MS) p.offset = undefined;
      if (p.state === 'dead') continue;
      const silent = now - p.heardAt!;
      if (silent >= this.timeout) this.become(p, 'dead', `silent for ${Math.round(silent)} ms`, out);
      else if (p.state === 'alive' && silent >= this.timeout / 2) this.become(p, 'suspect', 'silent', out);
    }
  }

  private become(p: Peer, to: MemberState, reason: string, out: ClusterEffect[]): void {
    out.push({ type: 'member', address: p.address, node: p.node, from: p.state, to, reason });
    p.state = to;
    if (to === 'dead') p.hearsUs = false;
    out.push({ type: 'changed' });
  }

  private configure(members: MemberSettings[], out: ClusterEffect[]): void {
    const wanted = new Map(members.map((m) => [m.address, m]));
    for (const [address, p] of this.peers) {
      const w = wanted.get(address);
      if (w && w.node === p.configuredNode) continue;
      if (p.state !== 'dead') this.become(p, 'dead', 'no longer configured', out);
      this.peers.delete(address);
    }
    for (const m of members)
      if (!this.peers.has(m.address) && !this.own.has(m.address)) this.peers.set(m.address, peer(m));
    out.push({ type: 'changed' });
  }

  private beat(now: number, out: ClusterEffect[], leaving = false): void {
    this.beatAt = now;
    this.sequence++;
    const { node, site, boot, weight, sequence } = this;
    const heard: number[] = [];
    for (const p of this.peers.values()) if (p.state !== 'dead') heard.push(p.boot);
    const { grade, fit, claims } = this.self;
    const heartbeat = { node, site, boot, weight, sequence, heard, grade, fit, claims, leaving };
    out.push({ type: 'send', to: [...this.peers.keys()], heartbeat });
  }

  private arm(now: number, out: ClusterEffect[]): void {
    let due = this.beatAt! + this.interval;
    if (!this.isSettled) due = Math.min(due, this.settleBy!);
    for (const p of this.peers.values()) {
      if (p.state === 'dead') continue;
      due = Math.min(due, p.heardAt! + (p.state === 'alive' ? this.timeout / 2 : this.timeout));
    }
    if (now < this.graceUntil) due = Math.max(due, Math.min(this.graceUntil, this.beatAt! + this.interval));
    due = Math.max(due, now + 1);
    if (this.timerDue === due) return;
    this.timerDue = due;
    out.push({ type: 'set-timer', ms: due - now });
  }
}

function peer(m: MemberSettings): Peer {
  return {
    ...{ address: m.address, node: m.node ?? '', configuredNode: m.node },
    ...{ state: 'dead', boot: 0, sequence: 0, grade: 'dead', weight: 1, fit: false, hearsUs: false },
    ...{ claims: [], seen: false, offsetAt: 0, retired: [] },
  };
}
