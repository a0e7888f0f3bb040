/** The UDP heartbeat: drives the machine with a socket, time and the secret. What it refuses is counted, and said once a minute for each sender and reason. */
import type { Buffer } from 'node:buffer';
import type { Clock, TimerHandle } from '../core/clock.ts';
import { formatEndpoint, parseEndpoint } from '../core/ip.ts';
import type { Logger } from '../core/log.ts';
import type { ControlNet, ControlPacket, ControlSocket } from '../net/control-types.ts';
import type { Registry } from '../telemetry/registry.ts';
import { CLUSTER_PORT, type ClusterConfig } from './config.ts';
import { encodeFacts, isFacts, openFacts, type VipFact } from './facts.ts';
import { type ClusterEffect, type ClusterInput, ClusterMachine, type Member, type MemberState } from './machine.ts';
import { clockSkew, type Membership, type Say, type Self } from './members.ts';
import { encodeHeartbeat, openHeartbeat } from './message.ts';

export interface ClusterSessionOptions {
  config: ClusterConfig;
  node: string;
  site: string;
  clock: Clock;
  log: Logger;
  metrics: Registry;
  net: ControlNet;
  events: ClusterEvents;
}

/** A back end's events serve: the names are the same. */
export interface ClusterEvents {
  onSession(protocol: string, peer: string, from: string, to: string, reason: string): void;
  onAlarm(reason: string, facts: Record<string, unknown>): void;
}

export interface ClusterStatus {
  node: string;
  listen: string;
  error?: string;
  settled: boolean;
  clock_skew_ms?: number;
  members: {
    node: string;
    address: string;
    state: MemberState;
    grade: string;
    weight: number;
    hears_us: boolean;
    /** Milliseconds since it was heard. */
    silent_ms?: number;
    clock_offset_ms?: number;
    claims: number;
    /** What it says of its VIPs; `last_packet`: UTC milliseconds by our clock. Absent: nothing was heard lately. */
    vips?: { address: string; state: VipFact['state']; last_packet?: number }[];
  }[];
}

const REOPEN_MS = 1000;
/** How often the members are told of our VIPs, and how long what they say of theirs counts. */
export const FACTS_MS = 5000;
const FACTS_AGE_MS = 3 * FACTS_MS;
/** A smaller change of the clocks' difference is not told. */
const CLOCK_STEP_MS = 1000;
const SAY_AGAIN_MS = 60_000;
/** Senders whose refusal was said lately; more are only counted. */
const MAX_SAID = 1000;
/** Refusals that the operator of the cluster has to look at. */
const ALARMS = new Set(['newer-version', 'own-name', 'duplicate-name', 'wrong-name', 'time-window', 'other-site']);

/** What a member last said of its VIPs, by address. Monotonic milliseconds of ours. */
interface Told {
  boot: number;
  sequence: number;
  vips: Map<string, { fact: VipFact; at: number }>;
}

export class ClusterSession implements Membership {
  readonly self: Self;
  private readonly o: ClusterSessionOptions;
  private config: ClusterConfig;
  private readonly machine: ClusterMachine;
  private readonly listeners = new Set<() => void>();
  private readonly said = new Map<string, number>();
  /** By address of the member. */
  private readonly told = new Map<string, Told>();
  private factsSent = 0;
  private saying: Say = { grade: 'dead', fit: false, claims: [] };
  private socket: ControlSocket | undefined;
  private error: string | undefined;
  private skew: number | undefined;
  private timer: TimerHandle | undefined;
  private reopen: TimerHandle | undefined;
  private stopped = false;

  constructor(options: ClusterSessionOptions) {
    const { config, node, site, clock } = options;
    this.o = options;
    this.config = config;
    this.self = { node, site, boot: clock.wallMicros(), weight: config.weight };
    const { boot, weight } = this.self;
    const { interval, timeout } = config;
    this.machine = new ClusterMachine({ node, site, boot, weight, interval, timeout, members: this.others(config) });
  }

  start(): void {
    this.open();
    this.handle({ type: 'timer' });
  }

  /** New members, secrets, weight. The rest (listen, interval, timeout) stays as it was at start. */
  configure(config: ClusterConfig): void {
    this.config = { ...config, listen: this.config.listen };
    this.handle({ type: 'members', members: this.others(this.config) });
    this.say({});
  }

  members(): readonly Member[] {
    return this.machine.members;
  }

  get settled(): boolean {
    return this.machine.settled;
  }

  /** See `clockSkew` in members.ts. */
  clockSkew(): number | undefined {
    return clockSkew(this.machine.members);
  }

  /** The port in use. */
  get port(): number {
    return this.socket?.port ?? 0;
  }

  say(s: Partial<Say>): void {
    this.saying = { ...this.saying, ...s };
    const { grade, fit, claims, weight = this.config.weight } = this.saying;
    this.self.weight = weight;
    if (!this.stopped) this.handle({ type: 'say', grade, fit, claims, weight });
  }

  onChange(fn: () => void): () => void {
    this.listeners.add(fn);
    return () => this.listeners.delete(fn);
  }

  status(): ClusterStatus {
    const now = this.o.clock.nowMs();
    return {
      node: this.self.node,
      listen: this.listen().text,
      error: this.error,
      settled: this.settled,
      clock_skew_ms: this.clockSkew(),
      members: this.machine.members.map((m) => ({
        ...{ node: m.node, address: m.address, state: m.state, grade: m.grade, weight: m.weight },
        hears_us: m.hearsUs,
        silent_ms: m.heardAt === undefined ? undefined : Math.round(now - m.heardAt),
        clock_offset_ms: m.offset,
        claims: m.claims.length,
        vips: this.toldBy(m),
      })),
    };
  }

  private toldBy(m: Member): ClusterStatus['members'][number]['vips'] {
    const told = this.told.get(m.address);
    if (!told || told.boot !== m.boot || m.state === 'dead') return undefined;
    const { clock } = this.o;
    const now = clock.nowMs();
    const wall = clock.wallMs();
    return [...told.vips.values()]
      .filter(({ at }) => now - at <= FACTS_AGE_MS)
      .map(({ fact: { address, state, seconds }, at }) => ({
        ...{ address, state },
        ...(seconds !== undefined && { last_packet: wall - seconds * 1000 - Math.round(now - at) }),
      }));
  }

  /** Tells the members that read it what is true of our VIPs; to be called each FACTS_MS. */
  sayVips(vips: readonly VipFact[]): void {
    const to = this.machine.members.filter((m) => m.state !== 'dead' && m.facts).map((m) => m.address);
    if (this.stopped || to.length === 0) return;
    const secret = this.config.secret?.[0] ?? '';
    this.sendAll(
      encodeFacts(this.self.boot, () => ++this.factsSent, vips, secret),
      to,
    );
  }

  /** Tells the members that we leave, so that they need not wait. */
  stop(): void {
    if (this.stopped) return;
    this.handle({ type: 'leave' });
    this.stopped = true;
    for (const t of [this.timer, this.reopen]) if (t) this.o.clock.clearTimeout(t);
    this.socket?.close();
    this.socket = undefined;
  }

  private others({ members }: ClusterConfig) {
    const own = this.listen().text;
    return members.filter((m) => m.address !== own);
  }

  private listen(): { address: string; port: number; text: string } {
    const v6 = this.config.members.some((m) => m.address.startsWith('['));
    const text = this.config.listen ?? formatEndpoint(v6 ? '::' : '0.0.0.0', CLUSTER_PORT);
    return { ...parseEndpoint(text)!, text };
  }

  private open(): void {
    const { address, port } = this.listen();
    const opened = this.o.net.openUdp({ address, port });
    if (!opened.ok) {
      this.failed(opened.error);
      return;
    }
    this.error = undefined;
    this.socket = opened.socket;
    opened.socket.onPacket = (p) => this.onPacket(p);
    opened.socket.onError = (e) => {
      this.socket?.close();
      this.socket = undefined;
      this.failed(e);
    };
  }

  private failed(error: string): void {
    if (this.error !== error) this.o.log.error({ listen: this.listen().text, error }, 'no heartbeat of the cluster');
    this.error = error;
    if (this.stopped) return;
    this.reopen = this.o.clock.setTimeout(() => this.open(), REOPEN_MS);
  }

  private onPacket(p: ControlPacket): void {
    if (this.stopped) return;
    const from = formatEndpoint(p.source, p.sourcePort);
    if (isFacts(p.data)) {
      this.onFacts(from, p.data);
      return;
    }
    const message = openHeartbeat(p.data, this.config.secret ?? []);
    if ('ok' in message) this.refused(from, message.code, message.reason);
    else this.handle({ type: 'message', from, wall: this.o.clock.wallMs(), message });
  }

  /** Of a member that is heard, of this run of it, and not said before; anything else is no news. */
  private onFacts(from: string, data: Buffer): void {
    const m = openFacts(data, this.config.secret ?? []);
    if ('ok' in m) {
      this.refused(from, m.code, m.reason);
      return;
    }
    const member = this.machine.members.find((x) => x.address === from);
    if (!member || member.state === 'dead' || member.boot !== m.boot) return;
    let told = this.told.get(from);
    if (told?.boot !== m.boot) this.told.set(from, (told = { boot: m.boot, sequence: 0, vips: new Map() }));
    if (m.sequence <= told.sequence) return;
    told.sequence = m.sequence;
    const at = this.o.clock.nowMs();
    for (const [address, v] of told.vips) if (at - v.at > FACTS_AGE_MS) told.vips.delete(address);
    for (const fact of m.vips) told.vips.set(fact.address, { fact, at });
  }

  private handle(input: ClusterInput): void {
    const out: ClusterEffect[] = [];
    this.machine.handle(this.o.clock.nowMs(), input, out);
    let changed = false;
    for (const e of out) {
      if (e.type === 'changed') changed = true;
      else this.apply(e);
    }
    // A clock that is set makes no member another one.
    if (input.type === 'timer') changed = this.clockMoved() || changed;
    if (!changed) return;
    this.measure();
    for (const fn of [...this.listeners]) fn();
  }

  private clockMoved(): boolean {
    const skew = this.clockSkew();
    const known = this.skew;
    if (skew === known || (skew !== undefined && known !== undefined && Math.abs(skew - known) < CLOCK_STEP_MS))
      return false;
    this.skew = skew;
    return true;
  }

  private apply(e: Exclude<ClusterEffect, { type: 'changed' }>): void {
    const { events, clock, log } = this.o;
    switch (e.type) {
      case 'send':
        this.send(e);
        break;
      case 'set-timer':
        if (this.timer) clock.clearTimeout(this.timer);
        this.timer = clock.setTimeout(() => this.handle({ type: 'timer' }), e.ms);
        break;
      case 'member':
        log.info({ member: e.node || e.address, from: e.from, to: e.to, reason: e.reason }, 'member of the cluster');
        // `suspect` is no change of anything yet.
        if (e.to === 'dead' || e.from === 'dead')
          events.onSession('cluster', e.node || e.address, ...upDown(e.from, e.to), e.reason);
        break;
      case 'refused':
        this.refused(e.from, e.code, e.reason);
        break;
      case 'frozen':
        // The claims ended with it; whoever made them sees it by itself.
        this.saying = { ...this.saying, claims: [] };
        log.warn({ ms: Math.round(e.ms) }, 'this process stood still: it holds nothing of the cluster any more');
        break;
    }
  }

  private send(e: Extract<ClusterEffect, { type: 'send' }>): void {
    if (e.to.length === 0) return;
    const time = this.o.clock.wallMs();
    this.sendAll(encodeHeartbeat({ ...e.heartbeat, time, facts: true }, this.config.secret?.[0] ?? ''), e.to);
  }

  private sendAll(datagrams: readonly Buffer[], members: readonly string[]): void {
    for (const bytes of datagrams)
      for (const to of members) {
        const { address, port } = parseEndpoint(to)!;
        // What the system objects to shows as silence at the other end.
        this.socket?.send(bytes, address, port);
      }
  }

  private refused(from: string, code: string, reason: string): void {
    const { clock, events, log, metrics } = this.o;
    metrics.handle('tidegate_cluster_refused_total', { code }).value++;
    const key = `${from} ${code}`;
    const now = clock.nowMs();
    const last = this.said.get(key);
    if (last === undefined ? this.said.size >= MAX_SAID : now - last < SAY_AGAIN_MS) return;
    this.said.set(key, now);
    log.warn({ from, code, reason }, 'heartbeat refused');
    // Without the secret anybody can say anything: that is no alarm.
    if (ALARMS.has(code)) events.onAlarm(`heartbeat of ${from} refused: ${reason}`, { from, code });
  }

  private measure(): void {
    const { metrics } = this.o;
    const count = { alive: 0, suspect: 0, dead: 0 };
    for (const m of this.machine.members) count[m.state]++;
    for (const [state, n] of Object.entries(count)) metrics.handle('tidegate_cluster_members', { state }).value = n;
    const skew = this.clockSkew();
    metrics.handle('tidegate_cluster_clock_skew_seconds').value = (skew ?? 0) / 1000;
  }
}

function upDown(from: MemberState, to: MemberState): [string, string] {
  return [from === 'dead' ? 'down' : 'up', to === 'dead' ? 'down' : 'up'];
}
