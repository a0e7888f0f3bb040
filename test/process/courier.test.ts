/** Events of processes without a spool: none is lost with the worker that had it in hand. */
import { describe, expect, it } from 'vitest';
import { Courier } from '../../src/process/courier.ts';
import type { SystemEvent } from '../../src/process/messages.ts';

const event = (n: number): SystemEvent => ({ type: 'system.v1', data: { n } });

function world() {
  const live: string[] = [];
  const got: [string, number, unknown][] = [];
  const courier = new Courier<string>(() => {
    const [key] = live;
    return key === undefined ? undefined : { key, send: (id, e) => got.push([key, id, e.data.n]) > 0 };
  });
  return { live, got, courier, numbers: () => got.map(([key, , n]) => `${key} ${n}`) };
}

describe('the courier', () => {
  it('waits for somebody, and keeps the order', () => {
    const { live, courier, numbers } = world();
    for (const n of [1, 2]) courier.say(event(n));
    expect(numbers()).toEqual([]);
    live.push('a');
    courier.say(event(3));
    expect(numbers()).toEqual(['a 1', 'a 2', 'a 3']);
  });

  it('gives to another what one that ended had not confirmed, first of all', () => {
    const { live, got, courier, numbers } = world();
    live.push('a');
    for (const n of [1, 2, 3]) courier.say(event(n));
    courier.confirmed('a', got[0][1]);
    // Another one cannot confirm it.
    courier.confirmed('b', got[1][1]);
    courier.confirmed('a', 'nonsense');
    live.length = 0;
    courier.gone('a');
    courier.say(event(4));
    live.push('b');
    courier.flush();
    expect(numbers().slice(3)).toEqual(['b 2', 'b 3', 'b 4']);
    for (const [key, id] of got.slice(3)) courier.confirmed(key, id);
    courier.gone('b');
    expect(got).toHaveLength(6);
  });

  it('is bounded', () => {
    const { live, courier, got } = world();
    for (let n = 0; n < 1500; n++) courier.say(event(n));
    live.push('a');
    courier.flush();
    expect(got).toHaveLength(1000);
    expect(got[0][2]).toBe(0);
  });
});
