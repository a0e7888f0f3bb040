/**
 * Who owns which VIP address on the LAN. A pure machine, one slot for each address:
 *
 *            we lead, nobody claims it            nobody answers         bound
 *   idle ───────────────────────────► probing ──────────────────► taking ─────► owner
 *    ▲ │   handed over, or just given up by its owner                ▲           │ another leads and hears us
 *    │ └─────────────────────────────────────────────────────────────┘           ▼
 *    └────────────────────────────── it has it, and some more ms ─────────── releasing
 *
 * The leader of a VIP is the first of the live, fit members by rendezvous hash, full ones before degraded ones. Who owns an address says so in
 * the heartbeat (a claim); nobody takes what a live member claims. An owner that is no longer the leader keeps the address, says to whom it
 * gives it, and lets go when that one has it: nothing is lost. An owner that cannot go on (dead grade, no interface) lets go at once.
 *
 * Two who own the same address see each other's claims as soon as they hear each other. The first one that does cannot know whether it is heard,
 * and lets go at once; of two who hear each other the lesser one does. The other announces again, whether it has seen the claim or not: after each
 * silence, when a member and we hear each other, all that we own.
 *
 * A member that is no longer heard may still have the address in its kernel, until the lifetime of it ends. Its kernel answers our probe, its
 * process, if it lives, says so in a form of its own (`alive`). Only the first is ignored.
 *
 * A process that stood still for longer than `timeout` owns nothing any more.
 */
import type { Grade } from '../grade.ts';
import { better, type Candidate, preferredOf } from '../owner.ts';
import { announceAgain, announceFrom } from './announce.ts';
import { compareMembers, type Held } from './members.ts';
import { CONFLICT_MS, holds, makeSlot, NO_CONFLICT, type Slot } from './slot.ts';
import type { L2Claim, L2Effect, L2Input, L2Member, L2Settings, L2Slot, L2State, L2Vip } from './types.ts';

/** Often enough to see that this process stood still. */
const TICK_MS = 200;
/** After the new owner has it: for packets that were on their way. */
const LINGER_MS = 200;
/** For the kernel to take an address. */
const BIND_MS = 2000;
const RETRY_MS = 5000;
const MAX_CONFLICT_MS = 10_000;
const GIVEN_UP_MS = 1000;
/** RFC 5227 section 2.4. */
const DEFEND_INTERVAL_MS = 10_000;
const ALARM_AGAIN_MS = 60_000;

export class L2Machine {
  private s: L2Settings;
  private readonly slots = new Map<string, Slot>();
  private readonly byAddress = new Map<string, Slot>();
  private members: L2Member[] = [];
  /** Rises with everything that decides who leads. */
  private generation = 0;
  private dirty = false;
  /** Live claims of others, by address. */
  private held = new Map<string, Held[]>();
  /** Names of the live members that hear us, or did and were not silent since. */
  private met: ReadonlySet<string> = new Set();
  /** Which member had which MAC address. */
  private readonly macs = new Map<string, string>();
  private settled = false;
  private holdUntil = 0;
  private grade: Grade = 'dead';
  private weight = 1;
  private lastHandled: number | undefined;
  private saidClaims = '[]';
  private saidNeeded = '[]';
  private timerDue: number | undefined;
  private stopped = false;

  constructor(settings: L2Settings) {
    this.s = settings;
  }

  /** What was taken stays as it is. */
  configure(settings: L2Settings): void {
    this.s = settings;
  }

  get list(): readonly L2Slot[] {
    return [...this.slots.values()];
  }

  get(prefix: string): L2Slot | undefined {
    return this.slots.get(prefix);
  }

  /** By address without a length. */
  at(address: string): L2Slot | undefined {
    return this.byAddress.get(address);
  }

  /** The addresses this node is to have now. */
  get needed(): { prefix: string; interface: string }[] {
    const out: { prefix: string; interface: string }[] = [];
    for (const s of this.slots.values())
      if (holds(s) && s.interface !== undefined) out.push({ prefix: s.prefix, interface: s.interface });
    return out;
  }

  /** `now`: monotonic milliseconds. */
  handle(now: number, input: L2Input, out: L2Effect[]): void {
    if (this.stopped) return;
    this.awake(now, out);
    switch (input.type) {
      case 'want':
        this.onWant(now, input.grade, input.weight, input.vips, out);
        break;
      case 'members':
        this.onMembers(now, input.settled, input.members, out);
        break;
      case 'answer':
        this.onAnswer(now, input.address, input.mac, input.alive, out);
        break;
      case 'probe-seen':
        this.onProbe(input.address, out);
        break;
      case 'timer':
        this.timerDue = undefined;
        break;
      case 'stop':
        for (const s of this.slots.values()) this.drop(now, s, 'stopping', out);
        this.stopped = true;
        break;
    }
    // A frame is about one address; a flood of them must not cost more.
    const one = input.type === 'answer' || input.type === 'probe-seen' ? this.byAddress.get(input.address) : undefined;
    if (!this.stopped) for (const s of one ? [one] : this.slots.values()) this.evaluate(now, s, out);
    this.tell(out);
    if (!this.stopped) this.arm(now, out);
  }

  private awake(now: number, out: L2Effect[]): void {
    const stood = this.lastHandled === undefined ? 0 : now - this.lastHandled;
    this.lastHandled = now;
    if (stood <= this.s.timeout) return;
    if (this.members.length > 0) this.holdUntil = now + this.s.timeout;
    for (const s of this.slots.values())
      if (s.state !== 'idle') this.drop(now, s, `this process stood still for ${Math.round(stood)} ms`, out);
    this.tell(out);
  }

  private onWant(now: number, grade: Grade, weight: number, vips: L2Vip[], out: L2Effect[]): void {
    this.grade = grade;
    this.weight = weight;
    this.generation++;
    this.dirty = true;
    const wanted = new Map(vips.map((v) => [v.prefix, v]));
    for (const [prefix, s] of this.slots) {
      const w = wanted.get(prefix);
      if (w && w.vip === s.vip) continue;
      this.drop(now, s, 'no longer configured', out);
      this.slots.delete(prefix);
      this.byAddress.delete(s.address);
    }
    for (const v of vips) {
      const s = this.slots.get(v.prefix) ?? this.make(v);
      const moved = s.interface !== v.interface;
      if ((v.bound && !s.bound) || moved) announceFrom(s, now);
      if (!v.bound && s.bound && s.state === 'owner') s.deadline = now + BIND_MS;
      s.bound = v.bound;
      s.interface = v.interface;
      s.mac = v.mac;
    }
  }

  private make(v: L2Vip): Slot {
    const s = makeSlot(v);
    this.slots.set(s.prefix, s);
    this.byAddress.set(s.address, s);
    return s;
  }

  private onMembers(now: number, settled: boolean, members: L2Member[], out: L2Effect[]): void {
    const { held, shadows, givenUp } = compareMembers(this.members, members);
    const met = new Set<string>();
    for (const m of members) if (m.alive && (m.hearsUs || this.met.has(m.node))) met.add(m.node);
    const back = [...met].filter((node) => !this.met.has(node));
    this.members = members;
    this.held = held;
    this.met = met;
    this.settled = settled;
    this.generation++;
    for (const { member, claim } of shadows) {
      const s = this.byAddress.get(claim.address);
      if (s) s.shadow = { node: member.node, mac: claim.mac, until: now + this.s.lifetime + 1000 };
    }
    for (const address of givenUp) {
      const s = this.byAddress.get(address);
      if (!s) continue;
      s.givenUpUntil = now + GIVEN_UP_MS;
      s.shadow = undefined;
      // Until a moment ago it answered for the address too.
      if (s.state === 'owner') announceFrom(s, now);
    }
    for (const list of held.values()) for (const { member, claim } of list) this.macs.set(claim.mac, member.node);
    for (const s of this.slots.values()) {
      for (const { claim } of held.get(s.address) ?? []) s.epoch = Math.max(s.epoch, claim.epoch);
      if (back.length > 0) this.healed(now, s, back, out);
    }
  }

  /**
   * We and `back` hear each other, and did not a moment ago. Each of them may have owned what we own, and told the neighbours so. No claim is waited for:
   * who hears the other first lets go, before its claim is seen here. Nor does another boot say anything: it may have begun anew since. But that it
   * hears us is: until then it, or another one from behind the same cut, may still come with a claim, and two owners are settled by their claims.
   */
  private healed(now: number, s: Slot, back: readonly string[], out: L2Effect[]): void {
    const other = back.find((node) => node === s.unheard);
    if (other !== undefined) s.unheard = undefined;
    // Where it claims it as well, `twoOwners` decides.
    if (s.state !== 'owner' || this.held.get(s.address)?.some((h) => h.claim.state === 'owner')) return;
    if (other !== undefined) {
      const text = `${s.vip} ${s.address}: ${other} owned it too while it was not heard; announced again here`;
      this.alarm(now, s, `two owners ${other}`, text, { other, kept: true, epoch: s.epoch }, out);
    }
    announceAgain(s, now);
  }

  private onAnswer(now: number, address: string, mac: string, alive: boolean, out: L2Effect[]): void {
    const s = this.byAddress.get(address);
    if (!s || s.state === 'idle' || mac === s.mac) return;
    const held = this.held.get(address) ?? [];
    if (held.some((h) => h.claim.mac === mac)) return;
    const node = this.macs.get(mac);
    if (node !== undefined && now < s.givenUpUntil) return;
    const shadow = s.shadow?.mac === mac;
    // The kernel of a member that is gone: it forgets the address at the end of its lifetime.
    if (shadow && !alive && now < s.shadow!.until) return;
    const foreign = node === undefined;
    s.conflictSince ??= now;
    // A member that we never heard may have left it in its kernel: that ends with the lifetime.
    const patient =
      foreign && !alive && now - s.conflictSince < this.s.lifetime + 1000 && this.members.some((m) => !m.alive);
    const text = foreign ? `duplicate address: ${mac} has it` : `${node} has it, but its heartbeats do not arrive here`;
    if (!patient) this.alarm(now, s, mac, `${s.vip} ${s.address}: ${text}`, { mac, node, duplicate: foreign }, out);
    if (!patient) s.duplicate = { mac, node, at: now };
    if (s.state === 'owner' && node !== undefined && !this.met.has(node)) s.unheard = node;
    if (s.state === 'probing' || s.state === 'taking' || (shadow && alive)) {
      s.obstacle = text;
      s.retryAt = now + s.backoff;
      s.backoff = patient ? CONFLICT_MS : Math.min(s.backoff * 2, foreign ? MAX_CONFLICT_MS : 2 * CONFLICT_MS);
      this.drop(now, s, text, out);
    } else if (s.state === 'owner' && now >= s.defendAt) {
      s.obstacle = text;
      s.defendAt = now + DEFEND_INTERVAL_MS;
      this.announce(s, out);
    }
  }

  /** The kernel answers for itself; this says that its owner lives. */
  private onProbe(address: string, out: L2Effect[]): void {
    const s = this.byAddress.get(address);
    if (s?.state === 'owner' && s.bound) this.announce(s, out);
  }

  private evaluate(now: number, s: Slot, out: L2Effect[]): void {
    if (s.ledBy !== this.generation) {
      s.ledBy = this.generation;
      s.leader = this.leader(s);
    }
    const { leader } = s;
    const lead = leader === this.s.node;
    const held = this.held.get(s.address) ?? [];
    s.holder = s.state === 'owner' || s.state === 'releasing' ? this.s.node : held[0]?.member.node;
    const able = this.grade !== 'dead' && s.interface !== undefined;
    if (!able && s.state !== 'idle') {
      this.drop(now, s, s.interface === undefined ? 'no interface is up' : 'this node is dead', out);
      return;
    }
    switch (s.state) {
      case 'idle':
        if (able && lead && this.settled && now >= this.holdUntil && now >= s.retryAt) this.begin(now, s, held, out);
        break;
      case 'probing':
        if (!lead || held.some((h) => h.claim.state !== 'releasing')) this.drop(now, s, 'another one has it', out);
        else if (held.some((h) => h.claim.to === this.s.boot)) this.take(now, s, 'handed over', out);
        else if (now >= s.deadline!) this.probeOn(now, s, out);
        break;
      case 'taking':
        this.whileTaking(now, s, held, out);
        break;
      case 'owner':
        this.whileOwner(now, s, leader, held, out);
        break;
      case 'releasing':
        this.whileReleasing(now, s, leader, held, out);
        break;
    }
    this.announceDue(now, s, out);
  }

  private begin(now: number, s: Slot, held: Held[], out: L2Effect[]): void {
    const from = held.find((h) => h.claim.state === 'releasing' && h.claim.to === this.s.boot);
    if (from) this.take(now, s, `handed over by ${from.member.node}`, out);
    else if (held.length > 0) return;
    else if (now < s.givenUpUntil && !s.shadow) this.take(now, s, 'its owner gave it up', out);
    else {
      s.probes = 0;
      this.become(s, 'probing', 'nobody has it', out);
      this.probeOn(now, s, out);
    }
  }

  private probeOn(now: number, s: Slot, out: L2Effect[]): void {
    if (s.probes >= this.s.probe.count) {
      this.take(now, s, 'nobody answered', out);
      return;
    }
    s.probes++;
    s.deadline = now + this.s.probe.interval;
    out.push({ type: 'probe', address: s.address, interface: s.interface! });
  }

  private take(now: number, s: Slot, reason: string, out: L2Effect[]): void {
    s.epoch++;
    s.deadline = now + BIND_MS;
    this.become(s, 'taking', reason, out);
    if (s.bound) this.own(now, s, out);
  }

  private own(now: number, s: Slot, out: L2Effect[]): void {
    Object.assign(s, NO_CONFLICT);
    this.become(s, 'owner', 'bound', out);
    announceFrom(s, now);
  }

  private whileTaking(now: number, s: Slot, held: Held[], out: L2Effect[]): void {
    const rival = held.find(
      (h) => h.claim.state === 'owner' || (h.claim.state === 'taking' && !this.beats(s, h.member)),
    );
    if (rival) this.drop(now, s, `${rival.member.node} has it`, out);
    else if (s.bound) this.own(now, s, out);
    else if (now >= s.deadline!) this.unbound(now, s, out);
  }

  private unbound(now: number, s: Slot, out: L2Effect[]): void {
    s.obstacle = `the address cannot be put on ${s.interface}`;
    s.retryAt = now + RETRY_MS;
    this.drop(now, s, s.obstacle, out);
  }

  private whileOwner(now: number, s: Slot, leader: string | undefined, held: Held[], out: L2Effect[]): void {
    const rival = held.find((h) => h.claim.state === 'owner');
    if (rival) {
      this.twoOwners(now, s, rival, out);
      return;
    }
    if (s.rival !== undefined) {
      s.rival = undefined;
      announceFrom(s, now);
    }
    if (!s.bound) {
      if (s.deadline !== undefined && now >= s.deadline) this.unbound(now, s, out);
      return;
    }
    s.deadline = undefined;
    if (leader === this.s.node || now < s.retryAt) return;
    const to = this.members.find((m) => m.node === leader);
    if (!to?.hearsUs) return;
    s.to = to;
    s.deadline = now + 2 * this.s.timeout;
    this.become(s, 'releasing', `${to.node} comes first`, out);
  }

  private whileReleasing(now: number, s: Slot, leader: string | undefined, held: Held[], out: L2Effect[]): void {
    const owner = held.find((h) => h.claim.state === 'owner');
    if (owner) {
      // Its own time for what is still on its way.
      if (s.rival === undefined) s.deadline = now + LINGER_MS;
      s.rival = owner.member.node;
      if (now >= s.deadline!) this.drop(now, s, `${owner.member.node} has it`, out);
      return;
    }
    s.rival = undefined;
    const to = this.members.find((m) => m.node === s.to?.node);
    const taking = held.some((h) => h.claim.state === 'taking');
    const late = now >= s.deadline!;
    const lost = !to?.alive || to.boot !== s.to?.boot || (leader !== to.node && !taking);
    if (!lost && !late) return;
    if (late) s.retryAt = now + RETRY_MS;
    s.deadline = undefined;
    this.become(s, 'owner', lost ? 'who was to take it is gone' : 'it was not taken', out);
    announceFrom(s, now);
  }

  private twoOwners(now: number, s: Slot, { member, claim }: Held, out: L2Effect[]): void {
    const keep = this.beats(s, member);
    const what = keep ? 'announced again here' : 'given up here';
    const facts = { other: member.node, kept: keep, epoch: s.epoch, other_epoch: claim.epoch };
    const text = `${s.vip} ${s.address}: ${member.node} owned it too; ${what}`;
    if (s.rival !== member.node) this.alarm(now, s, `two owners ${member.node}`, text, facts, out);
    if (!keep) this.drop(now, s, `${member.node} owns it too, and comes first`, out);
    else if (s.rival !== member.node) {
      s.rival = member.node;
      announceFrom(s, now);
    }
  }

  /** Who does not hear us cannot yield. */
  private beats(s: Slot, m: L2Member): boolean {
    return m.hearsUs && better(s.vip, this.me(), m);
  }

  private me(): Candidate {
    return { node: this.s.node, weight: this.weight, grade: this.grade };
  }

  private leader(s: Slot): string | undefined {
    const fit: Candidate[] = this.members.filter((m) => m.alive && m.fit);
    if (s.interface !== undefined) fit.push(this.me());
    return preferredOf(s.vip, fit)?.node;
  }

  private drop(now: number, s: Slot, reason: string, out: L2Effect[]): void {
    if (s.state === 'idle') return;
    s.deadline = undefined;
    s.to = undefined;
    s.rival = undefined;
    s.announceAt = [];
    s.retryAt = Math.max(s.retryAt, now);
    this.become(s, 'idle', reason, out);
  }

  private become(s: Slot, to: L2State, reason: string, out: L2Effect[]): void {
    const from = s.state;
    s.state = to;
    this.dirty = true;
    s.holder = holds(s) ? this.s.node : undefined;
    out.push({ type: 'state', vip: s.vip, prefix: s.prefix, from, to, reason });
  }

  private announceDue(now: number, s: Slot, out: L2Effect[]): void {
    if (s.state !== 'owner' || !s.bound || !(s.announceAt[0] <= now)) return;
    while (s.announceAt[0] <= now) s.announceAt.shift();
    this.announce(s, out);
  }

  private announce(s: Slot, out: L2Effect[]): void {
    if (s.interface !== undefined) out.push({ type: 'announce', address: s.address, interface: s.interface });
  }

  private alarm(
    now: number,
    s: Slot,
    key: string,
    reason: string,
    more: Record<string, unknown>,
    out: L2Effect[],
  ): void {
    const last = s.alarmed.get(key);
    if (last !== undefined ? now - last < ALARM_AGAIN_MS : s.alarmed.size >= 64) return;
    s.alarmed.set(key, now);
    out.push({ type: 'alarm', reason, facts: { vip: s.vip, address: s.address, interface: s.interface, ...more } });
  }

  private tell(out: L2Effect[]): void {
    if (!this.dirty) return;
    this.dirty = false;
    const needed = JSON.stringify(this.needed);
    if (needed !== this.saidNeeded) out.push({ type: 'addresses' });
    this.saidNeeded = needed;
    const claims: L2Claim[] = [];
    for (const s of this.slots.values()) {
      if (!holds(s)) continue;
      const state = s.state as L2Claim['state'];
      const claim: L2Claim = { address: s.address, state, epoch: s.epoch, mac: s.mac };
      if (s.state === 'releasing') claim.to = s.to?.boot;
      claims.push(claim);
    }
    const said = JSON.stringify(claims);
    if (said !== this.saidClaims) out.push({ type: 'claims', claims });
    this.saidClaims = said;
  }

  private arm(now: number, out: L2Effect[]): void {
    // Without an address nothing becomes due, and where nobody else is there it does not matter whether this process stood still (`awake`).
    if (this.slots.size === 0 && this.members.length === 0) return;
    let due = now + TICK_MS;
    for (const s of this.slots.values()) {
      if (s.deadline !== undefined) due = Math.min(due, s.deadline);
      if (s.state === 'owner' && s.announceAt.length > 0) due = Math.min(due, s.announceAt[0]);
      if (s.state === 'idle' && s.retryAt > now) due = Math.min(due, s.retryAt);
    }
    if (this.holdUntil > now) due = Math.min(due, this.holdUntil);
    due = Math.max(due, now + 1);
    // A timer that is set and not later serves as well.
    if (this.timerDue !== undefined && this.timerDue <= due && this.timerDue > now) return;
    this.timerDue = due;
    out.push({ type: 'set-timer', ms: due - now });
  }
}
