/**
 * Thousands of seeded schedules through lease, grade and Adj-RIB-Out of several nodes and the table of their router: frozen workers and
 * speakers, hard and soft reasons, closed channels, lossy timing. What must never be: an announcement whose lease is not fresh; no route although
 * all nodes could still take packets.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdjOut, type AdjOutEffect } from '../../src/lb/bgp/machine.ts';
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
/** Timers in steps, the grace of a late loop, the way of an UPDATE. */
const SLACK = 150;

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
  private timers = new Map<string, number>();
  private queue: LeaseInput[] = [];
  speakerFrozenUntil = 0;
  speakerDownUntil = 0;
  private frozenSince: number | undefined;
  workerFrozenUntil: number[];
  hardUntil: number[];
  softUntil = 0;
  private counter = 0;
  private nextRenewal: number[];
  /** When each worker last said that it can take packets. */
  saidFit: number[];
  private readonly emit: (now: number, grade: Grade) => void;

  constructor(workers: number, phase: number, emit: (now: number, grade: Grade) => void) {
    this.workers = workers;
    this.emit = emit;
    this.workerFrozenUntil = Array(workers).fill(0);
    this.hardUntil = Array(workers).fill(0);
    this.saidFit = Array(workers).fill(Number.NEGATIVE_INFINITY);
    this.nextRenewal = Array.from({ length: workers }, (_, i) => (phase + i * 37) % INTERVAL);
    this.boot();
  }

  private boot(): void {
    this.lease = new LeaseMachine({ timeout: TIMEOUT, workers: this.workers });
    this.grade = new GradeMachine({ rise: RISE });
    this.adj = new AdjOut({ policy: POLICY, nextHop: {} });
    this.adj.handle({ type: 'established', families: ['1/1'], localAddress: '10.0.0.2' }, []);
    this.timers.clear();
    this.queue = [];
  }

  step(now: number): void {
    for (let i = 0; i < this.workers; i++) {
      if (now < this.nextRenewal[i] || now < this.workerFrozenUntil[i]) continue;
      this.nextRenewal[i] = now + INTERVAL;
      const hard = now < this.hardUntil[i] ? ['disk'] : [];
      const soft = now < this.softUntil ? ['export lag'] : [];
      if (hard.length === 0) this.saidFit[i] = now;
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
      this.boot();
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
  }

  private onLease(now: number, input: LeaseInput): void {
    const out: LeaseEffect[] = [];
    this.lease.handle(now, input, out);
    for (const e of out) {
      if (e.type === 'reasons') this.onGrade(now, { type: 'reasons', hard: e.hard, soft: e.soft });
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
      else this.announce(now, e.to);
    }
  }

  private announce(now: number, grade: Grade): void {
    const out: AdjOutEffect[] = [];
    this.adj.handle({ type: 'wanted', prefixes: [VIP], grade }, out);
    if (out.length > 0) this.emit(now, grade);
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
  what: fc.constantFrom('worker-frozen', 'speaker-frozen', 'hard', 'soft', 'channel-closed'),
  ms: fc.integer({ min: 10, max: 4000 }),
});

describe('lease, grade and announcement of several nodes', () => {
  it('never announce without a fresh lease of every worker, and all come back', () => {
    fc.assert(
      fc.property(setup, fc.array(disturbance, { maxLength: 8 }), (s, disturbances) => {
        const sim = new Sim(s.nodes, s.workers, s.phases, s.delay);
        const atMost = (node: number, limit: number) => {
          // `expect` a million times takes minutes.
          for (const at of sim.nodes[node].saidFit)
            if (sim.now - at > limit) throw new Error(`at ${sim.now}: node ${node} announces with a lease of ${at}`);
        };
        const check = () => {
          for (const [i, n] of sim.nodes.entries()) {
            // A speaker that stood still reads what waits before it declares anybody late; its supervisor bounds how long it may stand still.
            const still = sim.now < n.speakerFrozenUntil + TIMEOUT + SLACK;
            if (n.announcing && !still) atMost(i, TIMEOUT + SLACK);
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
          else n.workerFrozenUntil[w] = sim.now + d.ms;
        }
        // Repeated soft reasons lengthen the rise up to sixteen-fold.
        sim.run(5000 + 16 * RISE, check);
        expect(sim.table).toEqual(Array(s.nodes).fill('full'));
      }),
      { numRuns: 2000 },
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
