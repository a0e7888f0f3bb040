import { beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../../src/core/clock.ts';
import { SilenceWatch } from '../../src/process/silence.ts';

let clock: ManualClock;
let heard: number;
let limit: number;
let idle: boolean;
/** When it was found silent. */
let found: number[];
let looks: number;
let watch: SilenceWatch;

beforeEach(() => {
  clock = new ManualClock();
  heard = 0;
  limit = 1000;
  idle = false;
  found = [];
  looks = 0;
  watch = new SilenceWatch({
    clock,
    limit: () => {
      looks++;
      return limit;
    },
    silent: () => clock.nowMs() - heard,
    idle: () => idle,
    most: 1000,
    onSilent: () => found.push(clock.nowMs()),
  });
});

function speak(times: number, each: number): void {
  for (let i = 0; i < times; i++) {
    clock.advance(each);
    heard = clock.nowMs();
  }
}

it('one who speaks is looked at once a limit, not with each word', () => {
  speak(100, 100);
  expect(found).toEqual([]);
  expect(looks).toBeLessThanOrEqual(12);
});

it('silence counts when it is too long and what may wait unread was read, once', () => {
  speak(3, 400);
  clock.advance(5000);
  expect(found).toEqual([2300]);
});

it('a word that waited unread is heard in time', () => {
  clock.advance(1050);
  speak(1, 10);
  clock.advance(900);
  expect(found).toEqual([]);
});

it('one who has not spoken yet has longer, and no longer once it has', () => {
  limit = 15_000;
  clock.advance(2001);
  heard = clock.nowMs();
  limit = 1000;
  clock.advance(1200);
  expect(found).toEqual([3101]);
});

it('a look that comes late says nothing', () => {
  let now = 0;
  let fire: () => void = () => {};
  const late = {
    nowMs: () => now,
    clearTimeout: () => {},
    setTimeout: (fn: () => void) => {
      fire = fn;
      return {} as never;
    },
  } as unknown as ManualClock;
  const silent = () => now;
  new SilenceWatch({
    clock: late,
    limit: () => 1000,
    silent,
    idle: () => false,
    most: 1000,
    onSilent: () => found.push(now),
  });
  for (const at of [1500, 1900, 2300]) {
    now = at;
    fire();
  }
  expect(found).toEqual([]);
  for (const at of [2400, 2500]) {
    now = at;
    fire();
  }
  expect(found).toEqual([2500]);
});

it('one that ends may be silent; a watch that is over finds nothing', () => {
  idle = true;
  clock.advance(5000);
  expect(found).toEqual([]);
  idle = false;
  watch.stop();
  clock.advance(5000);
  expect(found).toEqual([]);
});
