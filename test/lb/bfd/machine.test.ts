/** BFD machines against each other in simulated time, and against what RFC 5880 says of each state. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BfdPacket } from '../../../src/codec/bfd/bfd.ts';
import { ManualClock } from '../../../src/core/clock.ts';
import {
  type BfdEffect,
  type BfdInput,
  BfdMachine,
  type BfdSettings,
  type BfdTimer,
} from '../../../src/lb/bfd/machine.ts';

const settings = (over: Partial<BfdSettings> = {}): BfdSettings => ({
  ...{ discriminator: 1, desiredMinTx: 300, requiredMinRx: 300, detectMult: 3, passive: false, random: () => 1 },
  ...over,
});

/** One end, on a clock; `wire` carries what it sends. */
class End {
  readonly machine: BfdMachine;
  readonly states: string[] = [];
  readonly sent: BfdPacket[] = [];
  frozen = false;
  private readonly timers = new Map<BfdTimer, { readonly id: unknown }>();
  wire: (p: BfdPacket) => void = () => {};
  private readonly clock: ManualClock;
  constructor(clock: ManualClock, s: BfdSettings) {
    this.clock = clock;
    this.machine = new BfdMachine(s);
  }
  input(i: BfdInput): void {
    if (this.frozen) return;
    const out: BfdEffect[] = [];
    this.machine.handle(i, out);
    for (const e of out) {
      if (e.type === 'send') {
        this.sent.push(e.packet);
        this.wire(e.packet);
      } else if (e.type === 'state') this.states.push(e.to);
      else {
        const old = this.timers.get(e.timer);
        if (old) this.clock.clearTimeout(old);
        if (e.type === 'set-timer')
          this.timers.set(
            e.timer,
            this.clock.setTimeout(() => this.input({ type: 'timer', timer: e.timer }), e.ms),
          );
      }
    }
  }
}

function pair(a: Partial<BfdSettings> = {}, b: Partial<BfdSettings> = {}) {
  const clock = new ManualClock();
  const left = new End(clock, settings(a));
  const right = new End(clock, settings({ discriminator: 2, ...b }));
  const link = { up: true };
  left.wire = (packet) => void clock.setTimeout(() => link.up && right.input({ type: 'packet', packet }), 1);
  right.wire = (packet) => void clock.setTimeout(() => link.up && left.input({ type: 'packet', packet }), 1);
  left.input({ type: 'start' });
  right.input({ type: 'start' });
  return { clock, left, right, link };
}

describe('BFD session', () => {
  it('comes up, agrees on the intervals by a poll sequence, and then sends as fast as both want', () => {
    const { clock, left, right } = pair({}, { desiredMinTx: 100, requiredMinRx: 500, detectMult: 5 });
    clock.advance(5000);
    expect([left.machine.state, right.machine.state]).toEqual(['Up', 'Up']);
    expect(left.machine.transmitInterval).toBe(500);
    expect(right.machine.transmitInterval).toBe(300);
    expect(left.machine.detectionTime).toBe(5 * 300);
    expect(right.machine.detectionTime).toBe(3 * 500);
    expect(left.sent.some((p) => p.poll)).toBe(true);
    expect(right.sent.some((p) => p.final)).toBe(true);
    const before = left.sent.length;
    clock.advance(5000);
    expect(left.sent.length - before).toBe(10);
    expect(left.sent.slice(before).some((p) => p.poll)).toBe(false);
  });

  it('is slow until it is up', () => {
    const { clock, left } = pair({ desiredMinTx: 10 }, { passive: true });
    const alone = new End(clock, settings({ discriminator: 9, desiredMinTx: 10 }));
    alone.input({ type: 'start' });
    clock.advance(5000);
    expect(alone.sent.length).toBeLessThanOrEqual(6);
    expect(alone.sent[0].desiredMinTx).toBe(1_000_000);
    expect(left.machine.state).toBe('Up');
  });

  it('goes down a detection time after the last packet, on both sides, and comes back', () => {
    const { clock, left, right, link } = pair();
    clock.advance(5000);
    link.up = false;
    clock.advance(899 - 300);
    expect(left.machine.state).toBe('Up');
    clock.advance(302);
    expect([left.machine.state, left.machine.diagnostic]).toEqual(['Down', 1]);
    expect(right.machine.state).toBe('Down');
    link.up = true;
    clock.advance(5000);
    expect([left.machine.state, right.machine.state]).toEqual(['Up', 'Up']);
  });

  it('one way only: the side that still hears learns it from the other', () => {
    const { clock, left, right } = pair();
    clock.advance(5000);
    right.wire = () => {};
    clock.advance(1500);
    expect(left.machine.diagnostic).toBe(1);
    expect([right.machine.state, right.machine.diagnostic]).toEqual(['Down', 3]);
  });

  it('a frozen end is noticed', () => {
    const { clock, left, right } = pair(
      { desiredMinTx: 50, requiredMinRx: 50 },
      { desiredMinTx: 50, requiredMinRx: 50 },
    );
    clock.advance(5000);
    right.frozen = true;
    clock.advance(152);
    expect(left.machine.state).toBe('Down');
  });

  it('AdminDown takes the other side down, and says so; back again it comes up', () => {
    const { clock, left, right } = pair();
    clock.advance(5000);
    left.input({ type: 'admin', down: true });
    clock.advance(10);
    expect([right.machine.state, right.machine.remoteState, right.machine.diagnostic]).toEqual([
      'Down',
      'AdminDown',
      3,
    ]);
    clock.advance(3000);
    expect(left.machine.state).toBe('AdminDown');
    left.input({ type: 'admin', down: false });
    clock.advance(5000);
    expect(right.machine.state).toBe('Up');
  });

  it('two passive ends never speak', () => {
    const { clock, left, right } = pair({ passive: true }, { passive: true });
    clock.advance(10_000);
    expect(left.sent.length + right.sent.length).toBe(0);
  });

  it('other intervals while Up are polled, and do not take it down', () => {
    const { clock, left, right } = pair();
    clock.advance(5000);
    left.input({ type: 'settings', desiredMinTx: 1000, requiredMinRx: 100, detectMult: 3 });
    expect(left.sent.at(-1)?.poll).toBe(true);
    clock.advance(20_000);
    expect(left.states.filter((s) => s === 'Down')).toEqual([]);
    expect(left.machine.transmitInterval).toBe(1000);
    expect(right.machine.detectionTime).toBe(3000);
  });

  it('nothing periodic goes to whom wants none', () => {
    const { clock, left } = pair();
    clock.advance(5000);
    left.wire = () => {};
    const zero = { ...left.sent.at(-1)!, myDiscriminator: 2, yourDiscriminator: 1, requiredMinRx: 0, poll: false };
    left.input({ type: 'packet', packet: { ...zero, final: true } });
    expect(left.machine.transmitInterval).toBe(0);
  });

  it('thousands of lossy schedules: up again when the loss ends, and never up with a dead end', () => {
    const step = fc.record({ ms: fc.integer({ min: 10, max: 2000 }), up: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 15 }), fc.integer({ min: 10, max: 400 }), (steps, interval) => {
        const s = { desiredMinTx: interval, requiredMinRx: interval, random: Math.random };
        const { clock, left, right, link } = pair(s, s);
        for (const x of steps) {
          link.up = x.up;
          clock.advance(x.ms);
        }
        link.up = true;
        clock.advance(8000);
        expect([left.machine.state, right.machine.state]).toEqual(['Up', 'Up']);
        right.frozen = true;
        clock.advance(3 * interval + 5);
        expect(left.machine.state).not.toBe('Up');
      }),
      { numRuns: 1000 },
    );
  });
});
