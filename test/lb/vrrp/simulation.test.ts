/**
 * Thousands of seeded schedules: chaos (loss, partitions, frozen and killed processes, links, grades), then a calm in which faults come one by one.
 *
 * With I the longest advertisement interval and D the longest delay of a packet on a whole segment without loss:
 * - two active routers: at most I + 2·D after the last disturbance. The better one advertises within I, its advert takes D, and one that has
 *   just become active by a timer that was about to end is answered within D more.
 * - no active router while a fit node exists: at most 4·I + 2·D. The last advert of the former arrives within D; then the Active_Down_Interval,
 *   which is below 4·I, because Skew_Time is below I.
 */
import { describe, expect, it } from 'vitest';
import { Segment, type SimNode } from './segment.ts';

const SCHEDULES = Number(process.env.TIDEGATE_SCHEDULES ?? 1500);
const INTERVALS = [100, 200, 1000];

function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Result {
  takeOvers: number;
  /** Longest seen in the calm, as a share of the bound. */
  two: number;
  none: number;
}

class Schedule {
  readonly random: () => number;
  readonly segment: Segment;
  readonly log: string[] = [];
  private readonly interval: number;
  private readonly preempt: boolean;
  private disturbed = 0;
  private calm = false;
  private healed = false;
  private two = -1;
  private none = 0;
  private readonly result: Result = { takeOvers: 0, two: 0, none: 0 };
  /** What a host of each part believes: hardware address of the VIP. */
  private readonly beliefs = new Map<number, SimNode>();

  constructor(seed: number) {
    this.random = seeded(seed);
    this.segment = new Segment(this.random);
    this.segment.delay = this.pick([0, 2, 20]);
    const intervals = Array.from({ length: 4 }, () => this.pick(INTERVALS));
    const same = this.random() < 0.7;
    if (same) intervals.fill(intervals[0]);
    const count = 2 + Math.floor(this.random() * 3);
    this.interval = Math.max(...intervals.slice(0, count));
    this.preempt = this.random() < 0.75;
    const unicast = this.random() < 0.25;
    const equal = this.random() < 0.3;
    for (let i = 0; i < count; i++) {
      const peers = Array.from({ length: count }, (_, k) => `192.0.2.${k + 1}`).filter((_, k) => k !== i);
      const n = this.segment.node({
        vips: [{ name: 'a', addresses: ['192.0.2.100/32'] }],
        vrrp: [
          {
            vrid: 7,
            interface: 'eth0',
            vips: ['a'],
            family: 'ipv4',
            priority: equal ? 100 : 1 + Math.floor(this.random() * 254),
            advert_interval: `${intervals[i]}ms`,
            preempt: this.preempt,
            ...(unicast ? { unicast_peers: peers } : {}),
          },
        ],
      });
      n.onState = () => this.look();
    }
    this.segment.onFrame = (from) => {
      this.beliefs.set(from.part, from);
      // A whole segment is one part.
      if (this.segment.nodes.every((n) => n.part === from.part))
        for (const part of [0, 1]) this.beliefs.set(part, from);
    };
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)];
  }

  get now(): number {
    return this.segment.clock.nowMs();
  }

  run(): Result {
    for (const n of this.segment.nodes)
      this.segment.clock.setTimeout(() => {
        if (!this.healed) this.do('start', n);
      }, this.random() * 2000);
    const lossy = this.random() < 0.5;
    if (lossy) this.segment.loss = this.random() * 0.5;
    for (let i = 3 + Math.floor(this.random() * 10); i > 0; i--) {
      this.advance(this.random() * 3 * this.interval);
      this.do(
        this.pick(['freeze', 'thaw', 'crash', 'start', 'stop', 'part', 'part', 'link', 'grade']),
        this.pick(this.segment.nodes),
      );
    }
    // Who gave up while nobody heard it cannot be known to; what still has the address, and neighbours with it, must be outvoted.
    const actives = this.segment.nodes.filter((n) => n.active && n.fit);
    this.heal();
    this.settle(lossy ? [] : actives);
    // Single faults on a whole segment.
    for (let i = 0; i < 3; i++) {
      const active = this.segment.nodes.find((n) => n.active);
      const target = this.random() < 0.7 && active ? active : this.pick(this.segment.nodes);
      this.do(this.pick(['freeze', 'crash', 'stop', 'link', 'grade']), target);
      this.settle([]);
      this.repair(target);
      this.settle([]);
    }
    return this.result;
  }

  private advance(ms: number): void {
    this.segment.clock.advance(ms);
    this.look();
  }

  private bounds(): { two: number; none: number } {
    const d = this.segment.delay;
    // The millisecond: a timer that waits for packets does so for one turn.
    return { two: this.interval + 2 * d + 1, none: 4 * this.interval + 2 * d + 1 };
  }

  /** After each change of a state: how long was what was until now? */
  private look(): void {
    const { now } = this;
    const there = this.segment.nodes.filter((n) => !n.frozen);
    const actives = there.filter((n) => n.active).length;
    if (this.calm) {
      const { two, none } = this.bounds();
      if (this.two >= 0) this.judge('two', now - Math.max(this.two, this.disturbed), two);
      if (this.none >= 0 && there.some((n) => n.fit))
        this.judge('none', now - Math.max(this.none, this.disturbed), none);
    }
    if (actives >= 2) this.two = this.two < 0 ? now : this.two;
    else this.two = -1;
    if (actives === 0) this.none = this.none < 0 ? now : this.none;
    else {
      if (this.none >= 0) this.result.takeOvers++;
      this.none = -1;
    }
  }

  private judge(what: 'two' | 'none', ms: number, bound: number): void {
    this.result[what] = Math.max(this.result[what], ms / bound);
    if (ms > bound)
      throw new Error(
        `${what === 'two' ? 'two active routers' : 'no active router'} for ${ms} ms, bound ${bound}\n${this.log.join('\n')}\n${this.segment.nodes
          .map((n) => `${n.name}: ${n.events.join(' | ')}`)
          .join('\n')}`,
      );
  }

  private do(action: string, n: SimNode): void {
    this.log.push(`${this.now.toFixed(0)} ${action} ${n.name}`);
    this.look();
    this.disturbed = this.now;
    switch (action) {
      case 'start':
        if (!n.alive) n.start();
        break;
      case 'crash':
        n.crash();
        break;
      case 'freeze':
        if (n.alive) n.freeze();
        break;
      case 'thaw':
        if (n.frozen) n.thaw();
        break;
      case 'stop': {
        const { backEnd } = n;
        if (backEnd && !n.frozen) {
          void backEnd.stop('test');
          // What is left of it is gone by the time it is started again.
          n.crash();
        }
        break;
      }
      case 'part':
        n.part = n.part === 0 ? 1 : 0;
        break;
      case 'link':
        n.setLink(!n.up);
        break;
      case 'grade':
        if (!n.frozen) n.setGrade(this.pick(['full', 'degraded', 'dead'] as const));
    }
    this.disturbed = this.now;
    this.look();
  }

  private heal(): void {
    this.healed = true;
    this.segment.loss = 0;
    for (const n of this.segment.nodes) {
      n.part = 0;
      this.repair(n);
    }
  }

  private repair(n: SimNode): void {
    if (n.frozen) this.do('thaw', n);
    if (!n.up) this.do('link', n);
    if (!n.alive) this.do('start', n);
    n.setGrade('full');
    this.log.push(`${this.now.toFixed(0)} repaired ${n.name}`);
    this.disturbed = this.now;
  }

  /** Long enough for every bound to be broken, then exactly one active router, and the right one. */
  private settle(outvoted: readonly SimNode[]): void {
    this.calm = true;
    // Packets sent before the segment was whole are still under way for so long.
    this.disturbed = this.now + this.segment.delay;
    this.advance(9 * this.interval + 10 * this.segment.delay);
    this.calm = false;
    const fit = this.segment.nodes.filter((n) => n.fit);
    const actives = fit.filter((n) => n.active);
    const said = `${this.log.join('\n')}\n${this.segment.nodes.map((n) => `${n.name}: ${n.events.join(' | ')}`).join('\n')}`;
    expect(actives.length, said).toBe(fit.length > 0 ? 1 : 0);
    if (actives.length === 0) return;
    const best = Math.max(...fit.map(priorityOf));
    if (this.preempt) expect(priorityOf(actives[0]), said).toBe(best);
    // The active has its addresses, nobody else has.
    for (const n of fit) expect(n.bound.length, `${n.name}\n${said}`).toBe(n === actives[0] ? 1 : 0);
    for (const believed of this.beliefs.values())
      if (outvoted.includes(believed)) expect(believed.name, said).toBe(actives[0].name);
  }
}

function priorityOf(n: SimNode): number {
  const [{ priority }] = n.backEnd!.status().routers;
  return priority;
}

describe('VRRP on a segment that loses, delays and splits', () => {
  it(`${SCHEDULES} schedules: the bounds hold, one router is active in the end`, () => {
    const total: Result = { takeOvers: 0, two: 0, none: 0 };
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      let r: Result;
      try {
        r = new Schedule(seed).run();
      } catch (e) {
        throw new Error(`seed ${seed}: ${(e as Error).message}`);
      }
      total.takeOvers += r.takeOvers;
      total.two = Math.max(total.two, r.two);
      total.none = Math.max(total.none, r.none);
    }
    // Something has happened, and the bounds are no mere wishes: they are come close to.
    expect(total.takeOvers).toBeGreaterThan(SCHEDULES);
    expect(total.none).toBeGreaterThan(0.7);
    expect(total.two).toBeGreaterThan(0.3);
  });
});
