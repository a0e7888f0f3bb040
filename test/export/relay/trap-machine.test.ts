import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TargetEffect, TargetInput } from '../../../src/export/relay/machine.ts';
import { TrapMachine } from '../../../src/export/relay/trap-machine.ts';

/** A machine with a log behind it: what is offered is the next number, `back` goes to the first in doubt. */
class Drive {
  readonly machine: TrapMachine;
  now = 0;
  wake: number | undefined;
  readonly sent: number[] = [];
  readonly sentAt: number[] = [];
  readonly away: boolean[] = [];
  backs = 0;
  /** First number of each stretch in doubt. */
  doubts: number[] = [];
  private pending = new Set<number>();
  private next = 0;
  last = 0;

  constructor(limits: { rate?: number; repeat?: number } = {}) {
    this.machine = new TrapMachine({ rate: 100_000, repeat: 5000, ...limits });
  }

  /** Numbers up to `last` are in the log. */
  fill(last: number): void {
    this.last = Math.max(this.last, last);
    while (this.next < this.last) this.offer(this.next++);
  }

  private offer(id: number): void {
    this.pending.add(id);
    this.tell({ kind: 'offer', id });
  }

  tell(input: Exclude<TargetInput, { kind: 'offer' }> | { kind: 'offer'; id: number }): void {
    const out: TargetEffect[] = [];
    this.wake = undefined;
    this.machine.handle(this.now, input.kind === 'offer' ? { ...input, key: '' } : input, out);
    let back: number | undefined;
    for (const e of out) {
      if (e.kind === 'send') {
        expect(this.pending).toContain(e.id);
        this.sent.push(e.id);
        this.sentAt.push(this.now);
      } else if (e.kind === 'done') this.pending.delete(e.id);
      else if (e.kind === 'away') this.away.push(e.away);
      else if (e.kind === 'doubt') this.doubts.push(e.id);
      else if (e.kind === 'sure') this.doubts.shift();
      else if (e.kind === 'wake') this.wake = e.at;
      else {
        this.backs++;
        back = this.doubts[0];
        this.doubts = [];
        this.pending.clear();
      }
    }
    if (back === undefined) return;
    this.next = back;
    this.fill(this.last);
  }

  /** Before this number nothing is needed any more. */
  get low(): number {
    return Math.min(this.doubts[0] ?? this.next, ...this.pending);
  }

  error(): void {
    this.tell({ kind: 'error' });
  }

  tick(times = 1): void {
    for (let i = 0; i < times && this.wake !== undefined; i++) {
      this.now = Math.max(this.now, this.wake);
      this.tell({ kind: 'tick' });
    }
  }
}

const upTo = (n: number, from = 0): number[] => Array.from({ length: n - from }, (_, i) => from + i);

describe('a receiver of traps', () => {
  it('is sent them at once and in order, and no faster than allowed', () => {
    const d = new Drive({ rate: 100 });
    d.fill(20);
    expect(d.sent).toEqual(upTo(5));
    while (d.machine.size > 0) d.tick();
    expect(d.sent).toEqual(upTo(20));
    expect(d.now).toBeGreaterThanOrEqual(150);
  });

  it('holds what it sent until no error came for a while', () => {
    const d = new Drive();
    d.fill(3);
    d.now = 1000;
    d.fill(5);
    expect(d.low).toBe(0);
    d.tick();
    expect([d.now, d.low]).toEqual([5000, 3]);
    d.tick();
    expect([d.now, d.low]).toEqual([6000, 5]);
    expect(d.wake).toBeUndefined();
    // Too late to be about any of them.
    d.error();
    expect([d.backs, d.away]).toEqual([0, []]);
    // Not too late where nobody looked meanwhile: the process stood still, and errors come first.
    d.fill(6);
    d.now += 60_000;
    d.error();
    expect([d.backs, d.away, d.low]).toEqual([1, [true], 5]);
  });

  it('after an error goes back to the first in doubt, and tries with that one alone, later and later', () => {
    const d = new Drive();
    d.fill(10);
    d.now = 5000;
    d.fill(20);
    for (let i = 0; i < 10; i++) d.error();
    expect([d.backs, d.away, d.low]).toEqual([1, [true], 10]);
    d.fill(40);
    const before = d.sent.length;
    const at: number[] = [];
    for (let i = 0; i < 6; i++) {
      d.tick();
      at.push(d.now - 5000);
      // The network says so again, and more than once.
      d.now += 10;
      d.error();
      d.error();
    }
    expect(d.sent.slice(before)).toEqual(Array(6).fill(10));
    expect(at).toEqual([1000, 3010, 7020, 15_030, 25_040, 35_050]);
    expect([d.backs, d.low, d.machine.away]).toEqual([1, 10, true]);
    // Now one arrives.
    d.tick();
    expect(d.machine.away).toBe(true);
    d.tick();
    expect(d.away).toEqual([true, false]);
    // The probe too: it may have been lost without a word.
    expect(d.sent.slice(before + 7)).toEqual(upTo(40, 10));
    expect(d.low).toBe(10);
  });

  it('that dies again, and with nothing in doubt or nothing to send, waits for what comes', () => {
    const d = new Drive();
    d.fill(1);
    d.error();
    d.tick(3);
    expect([d.away, d.low]).toEqual([[true, false], 1]);
    d.fill(3);
    d.error();
    expect([d.backs, d.low]).toEqual([2, 1]);
    // The pause begins anew.
    const { now } = d;
    d.tick();
    expect(d.now).toBe(now + 1000);
  });

  it('with `repeat: 0s` goes on whatever is said', () => {
    const d = new Drive({ repeat: 0 });
    d.fill(5);
    d.error();
    d.fill(10);
    expect(d.sent).toEqual(upTo(10));
    expect([d.low, d.away]).toEqual([10, []]);
  });

  it('has everything in the end and in order, whenever it was away and an error told of it in time', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ wait: fc.integer({ min: 0, max: 3000 }), more: fc.integer({ min: 0, max: 30 }) }), {
          maxLength: 40,
        }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 1, max: 20_000 })), { maxLength: 3 }),
        fc.integer({ min: 1, max: 3500 }),
        (steps, outages, delay) => {
          const d = new Drive();
          const down = (at: number): boolean => outages.some(([from, length]) => at >= from && at < from + length);
          const arrived: number[] = [];
          let errors: number[] = [];
          let seen = 0;
          const look = (): void => {
            for (; seen < d.sent.length; seen++)
              if (down(d.sentAt[seen])) errors.push(d.sentAt[seen] + delay);
              else arrived.push(d.sent[seen]);
          };
          const advance = (to: number): void => {
            for (let i = 0; i < 100_000; i++) {
              look();
              const due = Math.min(d.wake ?? Number.POSITIVE_INFINITY, ...errors);
              if (due > to) break;
              d.now = Math.max(d.now, due);
              if (errors.includes(due)) {
                errors = errors.filter((e) => e !== due);
                d.error();
              } else d.tell({ kind: 'tick' });
            }
            d.now = Math.max(d.now, to);
          };
          let total = 0;
          for (const { wait, more } of steps) {
            advance(d.now + wait);
            total += more;
            d.fill(total);
          }
          advance(d.now + 400_000);
          expect(new Set(arrived)).toEqual(new Set(upTo(total)));
          // Of repetitions the last: what came back too soon to be noticed has a gap until then.
          expect([...new Set(arrived.reverse())].reverse()).toEqual(upTo(total));
          expect([d.low, d.machine.size, d.machine.away]).toEqual([total, 0, false]);
        },
      ),
      { numRuns: 200 },
    );
  });
});
