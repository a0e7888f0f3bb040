import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type TargetEffect,
  type TargetInput,
  type TargetLimits,
  TargetMachine,
} from '../../../src/export/relay/machine.ts';

const LIMITS: TargetLimits = {
  inFlight: 4,
  rate: 100_000,
  timeout: 1000,
  maxTimeout: 10_000,
  retries: undefined,
};

class Drive {
  readonly machine: TargetMachine;
  now = 0;
  readonly sent: number[] = [];
  readonly done: [number, string][] = [];
  readonly away: boolean[] = [];
  wake: number | undefined;

  constructor(limits: Partial<TargetLimits> = {}) {
    this.machine = new TargetMachine({ ...LIMITS, ...limits });
  }

  tell(input: TargetInput): void {
    const out: TargetEffect[] = [];
    this.wake = undefined;
    this.machine.handle(this.now, input, out);
    for (const e of out) {
      if (e.kind === 'send') this.sent.push(e.id);
      else if (e.kind === 'done') this.done.push([e.id, e.outcome]);
      else if (e.kind === 'away') this.away.push(e.away);
      else if (e.kind === 'wake') this.wake = e.at;
    }
  }

  offer(id: number, key = 'k'): void {
    this.tell({ kind: 'offer', id, key });
  }

  /** Lets the time come for which it asked. */
  tick(times = 1): void {
    for (let i = 0; i < times && this.wake !== undefined; i++) {
      this.now = Math.max(this.now, this.wake);
      this.tell({ kind: 'tick' });
    }
  }
}

describe('a receiver of informs', () => {
  it('has one inform of a device under way, and as many as allowed of all', () => {
    const d = new Drive();
    d.offer(1, 'a');
    d.offer(2, 'a');
    for (let i = 3; i <= 8; i++) d.offer(i, `k${i}`);
    expect(d.sent).toEqual([1, 3, 4, 5]);
    d.tell({ kind: 'answer', id: 1, error: 0 });
    expect(d.sent).toEqual([1, 3, 4, 5, 6]);
    for (const id of [3, 4, 5, 6]) d.tell({ kind: 'answer', id, error: 0 });
    expect(d.sent).toEqual([1, 3, 4, 5, 6, 7, 8, 2]);
  });

  it('repeats an inform until it is answered, later and later', () => {
    const d = new Drive();
    d.offer(1);
    const at: number[] = [];
    for (let i = 0; i < 5; i++) {
      d.tick();
      at.push(d.now);
    }
    expect(at).toEqual([1000, 3000, 7000, 15_000, 25_000]);
    d.tell({ kind: 'answer', id: 1, error: 0 });
    expect(d.done).toEqual([[1, 'delivered']]);
    expect(d.wake).toBeUndefined();
  });

  it('probes a receiver that is away with one inform, and sends all that waited when it answers', () => {
    const d = new Drive();
    for (let i = 1; i <= 4; i++) d.offer(i, `k${i}`);
    d.tick(60);
    expect(d.away).toEqual([true]);
    const before = d.sent.length;
    d.offer(5, 'k5');
    d.tick(10);
    expect(d.sent.slice(before)).toEqual(Array(10).fill(1));
    expect(d.done).toEqual([]);
    d.tell({ kind: 'answer', id: 1, error: 0 });
    expect(d.away).toEqual([true, false]);
    expect(d.sent.slice(before + 10)).toEqual([2, 3, 4, 5]);
  });

  it('gives up after `retries`, and goes on with the next, whoever is away', () => {
    const d = new Drive({ retries: 1 });
    d.offer(1);
    d.offer(2);
    d.tick(100);
    expect(d.done).toEqual([
      [1, 'given-up'],
      [2, 'given-up'],
    ]);
    expect(d.sent).toEqual([1, 1, 2, 2]);
    expect(d.wake).toBeUndefined();
  });

  it('gives up an inform that is never answered while others are', () => {
    const d = new Drive({ maxTimeout: 1000 });
    d.offer(1, 'bad');
    d.offer(2, 'bad');
    for (let i = 10; i < 40 && d.done.every(([id]) => id !== 1); i++) {
      d.offer(i, `k${i}`);
      d.tell({ kind: 'answer', id: i, error: 0 });
      d.now += 1000;
      d.tell({ kind: 'tick' });
    }
    expect(d.done).toContainEqual([1, 'given-up']);
    expect(d.sent).toContain(2);
    expect(d.away).toEqual([]);
  });

  it('an answer with an error is an end, a late or foreign one nothing', () => {
    const d = new Drive();
    d.offer(1);
    d.tell({ kind: 'answer', id: 77, error: 0 });
    expect(d.done).toEqual([]);
    d.tell({ kind: 'answer', id: 1, error: 5 });
    d.tell({ kind: 'answer', id: 1, error: 0 });
    expect(d.done).toEqual([[1, 'refused']]);
  });

  it('delivers everything, in order of each device, however answers get lost', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 4 })), { maxLength: 40 }),
        (events) => {
          const d = new Drive();
          const lose = new Map(events.map(([, n], id) => [id, n]));
          const answered: number[] = [];
          let seen = 0;
          const settle = (): void => {
            while (seen < d.sent.length) {
              const id = d.sent[seen++];
              const left = lose.get(id)!;
              if (left > 0) lose.set(id, left - 1);
              else {
                if (!answered.includes(id)) answered.push(id);
                d.tell({ kind: 'answer', id, error: 0 });
              }
            }
          };
          events.forEach(([key], id) => {
            d.offer(id, `k${key}`);
            settle();
          });
          for (let i = 0; i < 2000 && d.machine.size > 0; i++) {
            d.tell({ kind: 'tick' });
            settle();
            d.tick();
            settle();
          }
          expect(d.machine.size).toBe(0);
          expect(d.done.length).toBe(events.length);
          for (let k = 0; k <= 3; k++) {
            const order = answered.filter((id) => events[id][0] === k);
            expect(order).toEqual([...order].sort((a, b) => a - b));
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
