/**
 * The speaker: what the workers say (lease) becomes a grade, the grade becomes what is announced.
 *
 *   renewals ─► lease ─► reasons ─► grade ─► announcer ─► BGP sessions, addresses
 *
 * It owns no socket and no process: whoever runs it hands in the feed of renewals, the dialler, the addresses and the clock.
 */
import type { ClusterConfig } from '../cluster/config.ts';
import { clockProblem, type Membership, soloMembership } from '../cluster/members.ts';
import { ClusterSession, type ClusterStatus, FACTS_MS } from '../cluster/session.ts';
import type { TimerHandle } from '../core/clock.ts';
import { parseEndpoint } from '../core/ip.ts';
import type { Addresses, AddressStore } from '../lb/addresses.ts';
import { Announcer, type AnnouncerStatus, type LbEvent } from '../lb/announcer.ts';
import type { BackEnd, BackEndEvents } from '../lb/back-end.ts';
import { BfdManager } from '../lb/bfd/session.ts';
import type { BgpBackEndOptions } from '../lb/bgp/back-end.ts';
import type { LbConfig } from '../lb/config.ts';
import { type DrainEffect, type DrainInput, DrainMachine, type DrainPhase } from '../lb/drain.ts';
import { type Grade, type GradeEffect, type GradeInput, GradeMachine } from '../lb/grade.ts';
import { L2BackEnd } from '../lb/l2/session.ts';
import { type LeaseEffect, type LeaseInput, LeaseMachine } from '../lb/lease.ts';
import { ListenGate } from '../lb/listen-gate.ts';
import { isPreferred } from '../lb/owner.ts';
import { VrrpBackEnd } from '../lb/vrrp/session.ts';
import type { ControlNet } from '../net/control-types.ts';
import type { Lateness, LatenessMeter } from './lateness.ts';
import { asListening, asRenewal } from './renewal.ts';
import { SpeakerMetrics } from './speaker-metrics.ts';

export interface SpeakerOptions extends Omit<BgpBackEndOptions, 'events' | 'restarted'> {
  config: LbConfig;
  site?: string;
  cluster?: ClusterConfig;
  /** Sockets for VRRP, layer 2, BFD and the cluster; absent: only BGP, without BFD. */
  control?: ControlNet;
  /** The speaker before this one died, and the workers lived on. */
  resumes?: boolean;
  /** How many workers there will be. */
  workers: number;
  /** Listeners that have to be open at an address of a VIP before it is announced; absent: none. */
  listens?: Readonly<Record<string, readonly string[]>>;
  addresses: Addresses;
  store: AddressStore;
  /** The data of a `system.v1` event, to be carried to a live worker. */
  onEvent(e: LbEvent): void;
  /** Asks every worker to close its long-lived sessions, spread over so many milliseconds. */
  onCloseSessions?(spreadMs: number): void;
  /** Milliseconds by which our clock is behind the members' (negative: ahead). */
  onClockSkew?(ms: number | undefined): void;
  /** What `vipz` answers may be another now. */
  onDecision?(): void;
  /** Names of this node's interfaces. */
  interfaces?(): string[];
}

/** How this process stands among others: before all that is not real-time, before its kind, or as any. */
export type Priority = 'realtime' | 'nice' | 'normal';

export interface SpeakerStatus extends AnnouncerStatus {
  grade: Grade;
  /** UTC milliseconds of the last change of the grade. */
  grade_since: number;
  hard: string[];
  soft: string[];
  draining: boolean;
  stopping: boolean;
  cluster?: ClusterStatus;
  priority: Priority;
  /** How late timers fired since the start, milliseconds; absent: not measured. */
  timer_late?: Lateness;
  /** While draining. */
  drain?: {
    phase: DrainPhase;
    /** A phase ended by its limit, not by silence. */
    limit_reached: boolean;
    /** Milliseconds since the last packet to a VIP. */
    silent_ms: number;
    sessions: number;
    /** Informs repeated since the drain began although this node had answered them: its answers are lost on the way. */
    answers_lost: number;
  };
  workers: { worker: number; state: string; age?: number }[];
}

type TimerName = 'lease' | 'rise' | 'drain' | 'decide' | 'facts';

export class Speaker {
  /** Set by whoever raised it. */
  priority: Priority = 'normal';
  lateness: LatenessMeter | undefined;
  private readonly o: SpeakerOptions;
  private config: LbConfig;
  private readonly lease: LeaseMachine;
  private readonly gate: ListenGate;
  private readonly grade: GradeMachine;
  private readonly announcer: Announcer;
  private readonly cluster: ClusterSession | undefined;
  private readonly membership: Membership;
  private readonly drainMachine = new DrainMachine();
  private readonly timers = new Map<TimerName, TimerHandle>();
  private readonly startedAt: number;
  /** How good this node is is known; after a restart only when every worker was heard, or it takes too long. */
  private decided: boolean;
  private bound = false;
  private readonly onDrained: (() => void)[] = [];
  private clockProblem: string | undefined;
  private retriedBefore = 0;
  private answersLost = 0;
  private readonly metrics: SpeakerMetrics;
  private gradeSince: number;
  /** What is announced; the ordered end leads the grade. */
  private current: Grade = 'dead';
  private stopped: Promise<void> | undefined;
  private withdrawn = false;
  private closed = false;

  constructor(options: SpeakerOptions) {
    const { config, clock, metrics } = options;
    this.o = options;
    this.config = config;
    this.lease = new LeaseMachine({ timeout: config.lease.timeout, workers: options.workers });
    this.grade = new GradeMachine({ rise: config.rise, resumes: options.resumes });
    this.decided = options.resumes !== true;
    this.startedAt = clock.nowMs();
    this.gate = new ListenGate(options.listens);
    const { site = 'default', node, control, log } = options;
    if (options.cluster && control)
      this.cluster = new ClusterSession({
        ...{ config: options.cluster, node, site, clock, log, metrics, net: control },
        events: {
          onSession: (protocol, peer, from, to, reason) =>
            options.onEvent({ kind: 'session', reason, protocol, peer, from, to }),
          onAlarm: (reason, facts) => {
            log.error({ ...facts }, reason);
            options.onEvent({ kind: 'vip', reason, facts });
          },
        },
      });
    this.membership = this.cluster ?? soloMembership({ node, site, boot: clock.wallMicros(), weight: 1 });
    this.announcer = new Announcer({
      ...options,
      bfd: control && new BfdManager({ clock, log, metrics, net: control, random: options.random }),
      preferred: (vip) => isPreferred(vip, this.membership, this.current),
      restarted: () => this.untilRestarted > 0,
      decided: () => this.decided,
      held: (prefix) => this.gate.obstacle(prefix, this.lease.count),
      backEnds: (events) => (control ? this.makeBackEnds(control, events) : []),
      onEvent: (e) => options.onEvent(e),
    });
    this.membership.onChange(() => this.onMembers());
    this.metrics = new SpeakerMetrics(metrics);
    this.gradeSince = clock.wallMs();
    this.metrics.reasons(this.grade.hard);
  }

  /** Takes back addresses of an earlier run, binds ours, dials the peers. Nothing is announced before the lease says so. */
  async start(): Promise<void> {
    this.cluster?.start();
    if (!this.decided) this.setTimer('decide', Math.max(0, this.untilRestarted), () => this.decide());
    await this.announcer.start();
    this.bound = true;
    if (this.lease.fresh) this.decide();
    if (this.cluster) this.sayVips(this.cluster);
  }

  /** Tells the cluster's members which VIPs this node draws, and whether anything comes. */
  private sayVips(cluster: ClusterSession): void {
    if (this.closed) return;
    const now = this.o.clock.wallMs();
    cluster.sayVips(
      this.announcer.states().map(({ address, state }) => {
        const last = this.lease.vips.get(address);
        return { address, state, ...(last !== undefined && { seconds: (now - last) / 1000 }) };
      }),
    );
    this.setTimer('facts', FACTS_MS, () => this.sayVips(cluster));
  }

  /** Milliseconds for which peers may still keep what the speaker before this one announced (RFC 4724). */
  private get untilRestarted(): number {
    if (this.o.resumes !== true) return 0;
    const time = this.config.bgp?.graceful_restart?.restart_time ?? 0;
    return this.startedAt + time - this.o.clock.nowMs();
  }

  /** From here on peers are told when they have been sent everything: what they kept beyond it they drop. */
  private decide(): void {
    if (this.decided) return;
    this.decided = true;
    this.clearTimer('decide');
    this.announcer.refresh('decided after a restart of the speaker');
  }

  private makeBackEnds(net: ControlNet, events: BackEndEvents): BackEnd[] {
    const { cluster, clock, log, metrics } = this.o;
    const timeout = cluster?.timeout ?? 1000;
    const membership = this.membership;
    return [
      new VrrpBackEnd({ clock, log, metrics, net, events }),
      new L2BackEnd({
        clock,
        log,
        metrics,
        net,
        membership,
        timeout,
        events,
        defaultInterfaces: () => this.lanInterfaces(),
      }),
    ];
  }

  /** Where the cluster's own address is, else lb.interface where that is no loopback. */
  private lanInterfaces(): string[] {
    const { control, cluster } = this.o;
    const listen = parseEndpoint(cluster?.listen ?? '')?.address;
    const names = this.o.interfaces?.() ?? [];
    const found = names.filter((n) => control?.link(n)?.addresses.some((a) => a.split('/')[0] === listen));
    if (found.length > 0) return found;
    return this.config.interface === 'lo' ? [] : [this.config.interface];
  }

  /** Members came, went or changed: others may be preferred now, and our clock may be the odd one. */
  private onMembers(): void {
    const skew = this.cluster?.clockSkew();
    this.o.onClockSkew?.(skew);
    const problem = clockProblem(skew);
    if (problem !== this.clockProblem) {
      this.clockProblem = problem;
      this.onLease({ type: 'own', soft: problem === undefined ? [] : [problem] });
    }
    this.announcer.refresh('the members of the cluster changed');
  }

  /** A worker's renewal, as it came from the channel. Anything else than a renewal is ignored, and answered with false. */
  renewal(message: unknown): boolean {
    const r = asRenewal(message);
    if (!r) return false;
    this.onLease({ type: 'renewal', ...r });
    return true;
  }

  /** Which listeners a worker has open. Anything else is answered with false. */
  listening(message: unknown): boolean {
    const said = asListening(message);
    if (!said) return false;
    this.gate.said(said.worker, { listens: new Set(said.listens), failed: said.failed });
    this.announcer.refresh('listeners changed');
    return true;
  }

  /** The worker's channel closed. */
  channelClosed(worker: number): void {
    this.gate.forget(worker);
    this.onLease({ type: 'closed', worker });
  }

  /** Worse first, then not at all; `undrain` takes it back. See lb/drain.ts. */
  drain(reason = 'draining'): void {
    if (this.drainMachine.phase === 'off') {
      this.retriedBefore = this.lease.totals().retried;
      this.answersLost = 0;
    }
    this.onDrain({ type: 'start', reason, settings: this.config.drain });
    this.tickDrain();
  }

  /** The same; resolves when nothing comes to the VIPs any more, at the latest after `drain.timeout`. */
  drained(reason: string): Promise<void> {
    return new Promise((resolve) => {
      this.onDrained.push(resolve);
      this.drain(reason);
    });
  }

  undrain(): void {
    if (!this.stopped) this.onDrain({ type: 'stop' });
  }

  /** New VIPs, peers, interface, drain times. Sessions whose settings did not change stay up. Lease and rise stay as they were at start. */
  async reload(config: LbConfig, cluster?: ClusterConfig, listens: SpeakerOptions['listens'] = {}): Promise<void> {
    this.config = config;
    this.gate.expect(listens);
    if (cluster) this.cluster?.configure(cluster);
    await this.announcer.reload(config);
  }

  /** Nothing is announced and nobody is spoken to: no session lives by this process' timers. */
  get quiet(): boolean {
    const { vips, vrrp, bgp } = this.config;
    return vips.length === 0 && vrrp.length === 0 && (bgp?.peers.length ?? 0) === 0 && this.cluster === undefined;
  }

  /** For external balancers: the last decision. */
  vipz(): { code: 200 | 429 | 503; grade: Grade; reasons: string[] } {
    const { hard, soft } = this.grade;
    const grade = this.current;
    const code = grade === 'full' ? 200 : grade === 'degraded' ? 429 : 503;
    return { code, grade, reasons: [...hard, ...soft] };
  }

  /** What changes with time alone; called before the metrics are read. */
  measure(): void {
    this.metrics.lastPackets(this.announcer.states(), this.lease.vips, this.o.clock.wallMs());
  }

  status(): SpeakerStatus {
    return {
      grade: this.current,
      grade_since: this.gradeSince,
      hard: this.grade.hard,
      soft: this.grade.soft,
      draining: this.lease.draining,
      stopping: this.stopped !== undefined,
      workers: this.lease.list(this.o.clock.nowMs()),
      drain: this.drainStatus(),
      ...this.announcer.status(this.lease.vips),
      cluster: this.cluster?.status(),
      priority: this.priority,
      timer_late: this.lateness?.value,
    };
  }

  /**
   * Drains, and when nothing comes any more (at the latest after `drain.timeout`): NOTIFICATION with `reason`, addresses removed. The caller
   * goes on reading and acknowledging until it resolves. Without anything announced it waits for nothing.
   */
  stop(reason: string): Promise<void> {
    this.stopped ??= this.runStop(reason);
    return this.stopped;
  }

  private async runStop(reason: string): Promise<void> {
    // What the node had against itself before it began to stop is the actual reason for many a restart.
    const before = [...this.grade.hard, ...this.grade.soft];
    const text = `${this.o.node}: ${[reason, ...before.filter((r) => r !== reason)].join('; ')}`;
    await this.drained(`stopping: ${reason}`);
    await this.end(text);
  }

  /** Ends at once: withdrawn, NOTIFICATION with `reason`, addresses removed. For when nobody is left to wait for. */
  abandon(reason: string): Promise<void> {
    this.stopped ??= Promise.resolve();
    return this.end(`${this.o.node}: ${reason}`);
  }

  private async end(text: string): Promise<void> {
    this.become('dead', [text]);
    this.o.onDecision?.();
    this.withdrawn = true;
    this.closed = true;
    for (const timer of this.timers.values()) this.o.clock.clearTimeout(timer);
    this.timers.clear();
    await this.announcer.stopBackEnds(text);
    await this.announcer.removeAddresses();
    this.cluster?.stop();
  }

  /** Since when no packet came to any VIP. */
  private silentMs(): number {
    let last = 0;
    for (const at of this.lease.vips.values()) if (at > last) last = at;
    return this.o.clock.wallMs() - last;
  }

  private onDrain(input: DrainInput): void {
    if (this.closed) return;
    const out: DrainEffect[] = [];
    this.drainMachine.handle(this.o.clock.nowMs(), input, out);
    for (const e of out) {
      switch (e.type) {
        case 'degrade':
          this.onLease({ type: 'drain', reason: e.reason });
          break;
        case 'withdraw':
          this.onLease({ type: 'withdraw', reason: e.reason });
          break;
        case 'restore':
          this.onLease({ type: 'undrain' });
          break;
        case 'close-sessions':
          this.o.onCloseSessions?.(e.spread);
          break;
        case 'phase':
          this.o.log.info({ from: e.from, to: e.to, reason: e.reason }, 'drain');
      }
    }
    if (this.drainMachine.phase === 'drained') for (const done of this.onDrained.splice(0)) done();
  }

  private tickDrain(): void {
    const { phase } = this.drainMachine;
    if (phase === 'off' || this.closed) return;
    this.watchAnswers();
    const { sessions } = this.lease.totals();
    this.onDrain({ type: 'tick', announcing: this.announcer.announcing, silent: this.silentMs(), sessions });
    if (this.closed) return;
    const { linger } = this.config.drain;
    this.setTimer('drain', Math.min(500, Math.max(20, linger / 10)), () => this.tickDrain());
  }

  /** A router with strict reverse-path filtering drops what comes from a node it has no route to: the answers of a node that is being drained. */
  private watchAnswers(): void {
    const lost = this.lease.totals().retried - this.retriedBefore;
    if (lost <= this.answersLost) return;
    const first = this.answersLost === 0;
    this.answersLost = lost;
    if (!first) return;
    const reason = 'informs are repeated although this node answered them since the drain began';
    const fix = 'a router with strict reverse-path filtering drops the answers of a drained node: use loose mode there';
    this.o.log.warn({ informs: lost, fix }, reason);
    this.o.onEvent({ kind: 'vip', reason, facts: { informs: lost, fix } });
  }

  private drainStatus(): SpeakerStatus['drain'] {
    const { phase, limitReached } = this.drainMachine;
    if (phase === 'off') return undefined;
    return {
      phase,
      limit_reached: limitReached,
      silent_ms: Math.min(this.silentMs(), this.o.clock.wallMs()),
      sessions: this.lease.totals().sessions,
      answers_lost: this.answersLost,
    };
  }

  private onLease(input: LeaseInput): void {
    if (this.closed) return;
    const out: LeaseEffect[] = [];
    this.lease.handle(this.o.clock.nowMs(), input, out);
    const { fresh } = this.lease;
    this.metrics.fresh(fresh);
    for (const e of out) {
      if (e.type === 'reasons') this.onGrade({ type: 'reasons', hard: e.hard, soft: e.soft, fresh });
      else if (e.type === 'set-timer')
        this.setTimer('lease', e.ms, () => this.onLease({ type: 'timer', timer: 'lease' }));
      else this.clearTimer('lease');
    }
    if (fresh && this.bound) this.decide();
  }

  private onGrade(input: GradeInput): void {
    const out: GradeEffect[] = [];
    this.grade.handle(this.o.clock.nowMs(), input, out);
    if (input.type === 'reasons') this.metrics.reasons([...input.hard, ...input.soft]);
    for (const e of out) {
      if (e.type === 'set-timer') this.setTimer('rise', e.ms, () => this.onGrade({ type: 'timer', timer: 'rise' }));
      else if (e.type === 'clear-timer') this.clearTimer('rise');
      else {
        const reasons = e.to === 'dead' ? e.hard : e.soft;
        this.become(e.to, reasons.length > 0 ? reasons : ['recovered']);
      }
    }
    this.o.onDecision?.();
  }

  private become(to: Grade, reasons: string[]): void {
    const reason = reasons.join('; ');
    // The ordered end only goes down.
    if (this.stopped && (to === 'full' || this.withdrawn)) return;
    const from = this.current;
    this.current = to;
    this.metrics.grade(to);
    if (from !== to) {
      this.gradeSince = this.o.clock.wallMs();
      this.o.log.info({ from, to, reason }, 'grade');
      this.o.onEvent({ kind: 'grade', reason, from, to, reasons });
    }
    this.membership.say({ grade: to });
    this.announcer.setGrade(to, reason, this.lease.draining);
  }

  private setTimer(name: TimerName, ms: number, fn: () => void): void {
    this.clearTimer(name);
    const fire = () => {
      this.timers.delete(name);
      fn();
    };
    this.timers.set(name, this.o.clock.setTimeout(fire, ms));
  }

  private clearTimer(name: TimerName): void {
    const handle = this.timers.get(name);
    if (handle) this.o.clock.clearTimeout(handle);
    this.timers.delete(name);
  }
}
