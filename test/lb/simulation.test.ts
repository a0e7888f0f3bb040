/**
 * Thousands of seeded schedules through lease, grade, drain and Adj-RIB-Out of several nodes and the table of their router: frozen workers and
 * speakers, hard and soft reasons, closed channels, lost sessions, drains, lossy timing. What must never be: an announcement whose lease is not
 * valid, or after a drain withdrew it; no route although all nodes could still take packets, or although only one of several leaves.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdjOut, type AdjOutEffect, type AdjOutInput } from '../../src/lb/bgp/machine.ts';
import { type DrainEffect, type DrainInput, DrainMachine } from '../../src/lb/drain.ts';
import { type Grade, type GradeEffect, type GradeInput, GradeMachine } from '../../src/lb/grade.ts';
import { type LeaseEffect, type LeaseInput, LeaseMachine } from '../../src/lb/lease.ts';

const NO_COMMUNITIES = { standard: [], large: [], extended: [] };
const POLICY = { asn: 1, peerAsn: 2, med: 0, localPref: 100, prepend: 0, communities: NO_COMMUNITIES };
const VIP = '203.0.113.10/32';
const INTERVAL = 200;
const TIMEOUT = 1000;
const RISE = 3000;
const STEP = 20;
/** The supervisor kills a speaker that is silent for so long, and starts it again. */
const SPEAKER_SILENCE = 1000;
const SPEAKER_RESTART = 300;
const DRAIN = { linger: 200, timeout: 3000 };
const DRAIN_TICK = 100;
/** Timers in steps, the grace of a late loop, the way of an UPDATE. */
const SLACK = 150;

const SESSION: AdjOutInput = { type: 'established', families: ['1/1'], localAddress: '10.0.0.2' };

/** A route's way from the node to the router's table. */
interface Update {
  at: number;
  node: number;
  grade: Grade;
}

class SimNode {
  readonly workers: number;
  lease!: LeaseMachine;
  grade!: GradeMachine;
  adj!: AdjOut;
  private drain!: DrainMachine;
  private timers = new Map<string, number>();
  private queue: LeaseInput[] = [];
  speakerFrozenUntil = 0;
  speakerDownUntil = 0;
  private frozenSince: number | undefined;
  workerFrozenUntil: number[];
  hardUntil: number[];
  softUntil = 0;
  private closedUntil: number[];
  private sessionDownUntil = 0;
  private drainUntil = 0;
  private nextTick = 0;
  private counter = 0;
  private nextRenewal: number[];
  /** Until when each worker's word allows an announcement: a renewal is good for the timeout, a hard one or a closed channel ends it. */
  validUntil: number[];
  /** Since when the drain has nothing announced; undefined: it has. */
  drainedSince: number | undefined;
  private readonly emit: (now: number, grade: Grade) => void;

  constructor(workers: number, phase: number, emit: (now: number, grade: Grade) => void) {
    this.workers = workers;
    this.emit = emit;
    this.workerFrozenUntil = Array(workers).fill(0);
    this.hardUntil = Array(workers).fill(0);
    this.closedUntil = Array(workers).fill(0);
    this.validUntil = Array(workers).fill(Number.NEGATIVE_INFINITY);
    this.nextRenewal = Array.from({ length: workers }, (_, i) => (phase + i * 37) % INTERVAL);
    this.boot(0, false);
  }

  /** `again`: its predecessor was killed, the workers live. */
  private boot(now: number, again: boolean): void {
    this.lease = new LeaseMachine({ timeout: TIMEOUT, workers: this.workers });
    this.grade = new GradeMachine({ rise: RISE, resumes: again });
    this.adj = new AdjOut({ policy: POLICY, nextHop: {} });
    this.drain = new DrainMachine();
    this.drainedSince = undefined;
    this.timers.clear();
    this.queue = [];
    if (now >= this.sessionDownUntil) this.adj.handle(SESSION, []);
    // The supervisor tells the next one what the last one was told.
    if (now < this.drainUntil) this.onDrain(now, { type: 'start', reason: 'drain requested', settings: DRAIN });
  }

  closeChannel(now: number, worker: number, ms: number): void {
    this.closedUntil[worker] = now + ms;
    this.validUntil[worker] = Math.min(this.validUntil[worker], now);
    this.queue.push({ type: 'closed', worker });
  }

  loseSession(now: number, ms: number): void {
    this.sessionDownUntil = now + ms;
    this.announce(now, { type: 'down' });
    // The router forgets what it had over it.
    this.emit(now, 'dead');
  }

  drainFor(now: number, ms: number): void {
    this.drainUntil = now + ms;
    // Who is frozen reads it when it can: here that is the next one.
    if (now >= this.speakerFrozenUntil && now >= this.speakerDownUntil)
      this.onDrain(now, { type: 'start', reason: 'drain requested', settings: DRAIN });
  }

  step(now: number): void {
    for (let i = 0; i < this.workers; i++) {
      if (now < this.nextRenewal[i] || now < this.workerFrozenUntil[i] || now < this.closedUntil[i]) continue;
      this.nextRenewal[i] = now + INTERVAL;
      const hard = now < this.hardUntil[i] ? ['disk'] : [];
      const soft = now < this.softUntil ? ['export lag'] : [];
      this.validUntil[i] = hard.length === 0 ? now + TIMEOUT : Math.min(this.validUntil[i], now);
      this.queue.push({ type: 'renewal', worker: i, of: this.workers, counter: ++this.counter, hard, soft, vips: {} });
    }
    if (now < this.speakerDownUntil) {
      this.queue = [];
      return;
    }
    if (now < this.speakerFrozenUntil) {
      this.frozenSince ??= now;
      if (now - this.frozenSince < SPEAKER_SILENCE) return;
      // Killed: its sessions close, which is the withdraw.
      this.emit(now, 'dead');
      this.speakerDownUntil = now + SPEAKER_RESTART;
      this.speakerFrozenUntil = 0;
      this.frozenSince = undefined;
      this.boot(now, true);
      return;
    }
    this.frozenSince = undefined;
    // As a loop that stood still finds things: timers first, then what waits in the channel.
    for (const [name, at] of [...this.timers]) {
      if (now < at) continue;
      this.timers.delete(name);
      if (name === 'lease') this.onLease(now, { type: 'timer', timer: 'lease' });
      else this.onGrade(now, { type: 'timer', timer: 'rise' });
    }
    for (const input of this.queue.splice(0)) this.onLease(now, input);
    if (now >= this.sessionDownUntil && this.sessionDownUntil > 0) {
      this.sessionDownUntil = 0;
      this.announce(now, SESSION);
    }
    this.tick(now);
  }

  private tick(now: number): void {
    if (now < this.nextTick) return;
    this.nextTick = now + DRAIN_TICK;
    if (now >= this.drainUntil && this.drain.phase !== 'off') this.onDrain(now, { type: 'stop' });
    else this.onDrain(now, { type: 'tick', announcing: this.announcing, silent: 10_000, sessions: 0 });
  }

  private onDrain(now: number, input: DrainInput): void {
    const out: DrainEffect[] = [];
    this.drain.handle(now, input, out);
    for (const e of out) {
      if (e.type === 'degrade') this.onLease(now, { type: 'drain', reason: e.reason });
      else if (e.type === 'withdraw') this.onLease(now, { type: 'withdraw', reason: e.reason });
      else if (e.type === 'restore') this.onLease(now, { type: 'undrain' });
    }
    const gone = this.drain.phase === 'withdrawn' || this.drain.phase === 'drained';
    this.drainedSince = gone ? (this.drainedSince ?? now) : undefined;
  }

  private onLease(now: number, input: LeaseInput): void {
    const out: LeaseEffect[] = [];
    this.lease.handle(now, input, out);
    const { fresh } = this.lease;
    for (const e of out) {
      if (e.type === 'reasons') this.onGrade(now, { type: 'reasons', hard: e.hard, soft: e.soft, fresh });
      else if (e.type === 'set-timer') this.timers.set('lease', now + e.ms);
      else this.timers.delete('lease');
    }
  }

  private onGrade(now: number, input: GradeInput): void {
    const out: GradeEffect[] = [];
    this.grade.handle(now, input, out);
    for (const e of out) {
      if (e.type === 'set-timer') this.timers.set('rise', now + e.ms);
      else if (e.type === 'clear-timer') this.timers.delete('rise');
      else this.announce(now, { type: 'wanted', prefixes: [VIP], grade: e.to });
    }
  }

  private announce(now: number, input: AdjOutInput): void {
    const out: AdjOutEffect[] = [];
    this.adj.handle(input, out);
    for (const e of out) {
      if (e.type === 'announce') this.emit(now, this.grade.grade);
      else if (e.type === 'withdraw') this.emit(now, 'dead');
    }
  }

  get announcing(): boolean {
    return this.adj.sent.size > 0;
  }
}

class Sim {
  readonly nodes: SimNode[];
  readonly table: Grade[];
  private readonly onWay: Update[] = [];
  now = 0;

  constructor(count: number, workers: number, phases: number[], delay: number) {
    this.table = Array(count).fill('dead');
    this.nodes = Array.from(
      { length: count },
      (_, i) => new SimNode(workers, phases[i], (at, grade) => this.onWay.push({ at: at + delay, node: i, grade })),
    );
  }

  run(ms: number, each: () => void = () => {}): void {
    for (const until = this.now + ms; this.now < until; this.now += STEP) {
      for (const n of this.nodes) n.step(this.now);
      while (this.onWay.length > 0 && this.onWay[0].at <= this.now) {
        const u = this.onWay.shift()!;
        this.table[u.node] = u.grade;
      }
      each();
    }
  }
}

const setup = fc.record({
  nodes: fc.integer({ min: 1, max: 4 }),
  workers: fc.integer({ min: 1, max: 3 }),
  phases: fc.array(fc.integer({ min: 0, max: 199 }), { minLength: 4, maxLength: 4 }),
  delay: fc.integer({ min: 0, max: 5 }).map((n) => n * STEP),
});

const disturbance = fc.record({
  after: fc.integer({ min: 0, max: 3000 }),
  node: fc.nat(3),
  worker: fc.nat(2),
  what: fc.constantFrom(
    ...(['worker-frozen', 'speaker-frozen', 'hard', 'soft', 'channel-closed', 'session-lost', 'drain'] as const),
  ),
  ms: fc.integer({ min: 10, max: 4000 }),
});

describe('lease, grade and announcement of several nodes', () => {
  it('never announce without a fresh lease of every worker, and all come back', () => {
    fc.assert(
      fc.property(setup, fc.array(disturbance, { maxLength: 8 }), (s, disturbances) => {
        const sim = new Sim(s.nodes, s.workers, s.phases, s.delay);
        const atMost = (node: number, slack: number) => {
          // `expect` a million times takes minutes.
          for (const until of sim.nodes[node].validUntil)
            if (sim.now > until + slack)
              throw new Error(`at ${sim.now}: node ${node} announces, its lease ended ${until}`);
          const { drainedSince } = sim.nodes[node];
          if (drainedSince !== undefined && sim.now > drainedSince + slack)
            throw new Error(`at ${sim.now}: node ${node} announces, drained since ${drainedSince}`);
        };
        const check = () => {
          for (const [i, n] of sim.nodes.entries()) {
            // A speaker that stood still reads what waits before it declares anybody late; its supervisor bounds how long it may stand still.
            const still = sim.now < n.speakerFrozenUntil + TIMEOUT + SLACK;
            if (n.announcing && !still) atMost(i, SLACK);
            if (sim.table[i] !== 'dead') atMost(i, TIMEOUT + SPEAKER_SILENCE + SLACK);
          }
        };
        sim.run(RISE + 1000, check);
        expect(sim.table).toEqual(Array(s.nodes).fill('full'));
        for (const d of disturbances) {
          sim.run(d.after, check);
          const n = sim.nodes[d.node % s.nodes];
          const w = d.worker % s.workers;
          if (d.what === 'worker-frozen') n.workerFrozenUntil[w] = sim.now + d.ms;
          else if (d.what === 'speaker-frozen') n.speakerFrozenUntil = sim.now + d.ms;
          else if (d.what === 'hard') n.hardUntil[w] = sim.now + d.ms;
          else if (d.what === 'soft') n.softUntil = sim.now + d.ms;
          else if (d.what === 'channel-closed') n.closeChannel(sim.now, w, d.ms);
          else if (d.what === 'session-lost') n.loseSession(sim.now, d.ms);
          else n.drainFor(sim.now, d.ms);
        }
        // Repeated soft reasons lengthen the rise up to sixteen-fold.
        sim.run(5000 + 16 * RISE, check);
        expect(sim.table).toEqual(Array(s.nodes).fill('full'));
      }),
      { numRuns: 2000 },
    );
  });

  it('a closed channel is the end of the announcement at once, not after the timeout of the lease', () => {
    const sim = new Sim(1, 2, [0, 0, 0, 0], 0);
    sim.run(RISE + 1000);
    expect(sim.table).toEqual(['full']);
    sim.nodes[0].closeChannel(sim.now, 1, 500);
    sim.run(STEP);
    expect(sim.table).toEqual(['dead']);
    sim.run(500 + INTERVAL + RISE + SLACK);
    expect(sim.table).toEqual(['full']);
  });

  it('one of several that drains or loses its session leaves every moment with a route', () => {
    fc.assert(
      fc.property(
        setup.filter((s) => s.nodes > 1),
        fc.constantFrom('drain', 'session-lost'),
        fc.integer({ min: 10, max: 6000 }),
        (s, what, ms) => {
          const sim = new Sim(s.nodes, s.workers, s.phases, s.delay);
          sim.run(RISE + 1000);
          if (what === 'drain') sim.nodes[0].drainFor(sim.now, ms);
          else sim.nodes[0].loseSession(sim.now, ms);
          const seen: Grade[] = ['full'];
          sim.run(ms + 5 * RISE, () => {
            if (seen[seen.length - 1] !== sim.table[0]) seen.push(sim.table[0]);
            if (sim.table.slice(1).some((g) => g !== 'full')) throw new Error(`another node changed at ${sim.now}`);
          });
          expect(sim.table).toEqual(Array(s.nodes).fill('full'));
          // Worse before it is gone: routers move while it still takes everything.
          if (what === 'drain' && ms > 1000) expect(seen).toEqual(['full', 'degraded', 'dead', 'full']);
          if (what === 'session-lost' && ms > 200) expect(seen).toEqual(['full', 'dead', 'full']);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('a soft reason common to all within 100 ms leaves every moment with a route', () => {
    fc.assert(
      fc.property(
        setup,
        fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 4, maxLength: 4 }),
        fc.integer({ min: 100, max: 20_000 }),
        fc.integer({ min: 0, max: 5 }),
        (s, offsets, ms, again) => {
          const sim = new Sim(s.nodes, s.workers, s.phases, s.delay);
          sim.run(RISE + 1000);
          const routed = () => {
            if (sim.table.every((g) => g === 'dead')) throw new Error(`no route at ${sim.now}`);
          };
          for (let round = 0; round <= again; round++) {
            const from = sim.now;
            for (const [i, n] of sim.nodes.entries()) n.softUntil = from + offsets[i] + ms;
            sim.run(ms + 500, routed);
          }
          expect(sim.table).not.toContain('dead');
        },
      ),
      { numRuns: 1000 },
    );
  });
});
