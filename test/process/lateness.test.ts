import { expect, it } from 'vitest';
import { ManualClock } from '../../src/core/clock.ts';
import { LatenessMeter } from '../../src/process/lateness.ts';
import { Registry } from '../../src/telemetry/registry.ts';

it('a timer that comes in time is not late; the worst one is kept', () => {
  const clock = new ManualClock();
  const registry = new Registry();
  const meter = new LatenessMeter(clock, registry.histogram('tidegate_lb_timer_late_seconds'));
  meter.start();
  clock.advance(2000);
  expect(meter.value).toEqual({ p999: 0, max: 0, count: 20 });
  meter.stop();
  clock.advance(1000);
  expect(meter.value.count).toBe(20);
});

it('its timer carries what else is due, at an interval that may change', () => {
  const clock = new ManualClock();
  const ticks: number[] = [];
  let interval = 400;
  const histogram = new Registry().histogram('tidegate_lb_timer_late_seconds');
  const meter = new LatenessMeter(
    clock,
    histogram,
    () => interval,
    () => ticks.push(clock.nowMs()),
  );
  meter.start();
  clock.advance(900);
  interval = 100;
  clock.advance(500);
  meter.stop();
  expect(ticks).toEqual([400, 800, 1200, 1300, 1400]);
  expect(meter.value).toEqual({ p999: 0, max: 0, count: 5 });
});

it('p99.9 is the bound of its bucket, and never more than the worst', () => {
  const registry = new Registry();
  const histogram = registry.histogram('tidegate_lb_timer_late_seconds');
  let now = 0;
  let fire: () => void = () => {};
  const clock = {
    ...{ nowMs: () => now, clearTimeout: () => {} },
    setTimeout: (fn: () => void) => {
      fire = fn;
      return {} as never;
    },
  } as unknown as ManualClock;
  const meter = new LatenessMeter(clock, histogram);
  meter.start();
  for (let i = 0; i < 2000; i++) {
    now += 100 + (i === 1000 ? 70 : i % 100 === 0 ? 3 : 0.1);
    fire();
  }
  expect(meter.value).toEqual({ p999: 5, max: 70, count: 2000 });
});
