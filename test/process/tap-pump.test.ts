import { expect, it } from 'vitest';
import { ManualClock } from '../../src/core/clock.ts';
import type { EventPipeline, TapListener } from '../../src/pipeline/pipeline.ts';
import type { TappedEvent } from '../../src/process/messages.ts';
import { TapPump } from '../../src/process/tap-pump.ts';

it('behind a supervisor that does not read, the tap skips and holds a bounded number of events', () => {
  const clock = new ManualClock();
  const batches: { events: TappedEvent[]; written: () => void }[] = [];
  const pump = new TapPump(clock, (events, written) => batches.push({ events, written }));
  let tap: TapListener = () => {};
  const pipeline = {
    setTap: (t: TapListener) => {
      tap = t;
    },
  } as unknown as EventPipeline;
  pump.follow({}, pipeline, 'n1');
  const say = (n: number): void => {
    for (let i = 0; i < n; i++)
      tap({ type: 'system.v1', device: { id: 'd', name: 'd' }, id: String(i), at: 't', json: '{}' });
  };
  say(20_000);
  for (let i = 0; i < 50; i++) clock.advance(50);
  expect(batches.map((b) => b.events.length)).toEqual([500]);
  for (let i = 0; i < 100; i++) {
    batches.at(-1)!.written();
    clock.advance(50);
  }
  expect(batches.reduce((n, b) => n + b.events.length, 0)).toBe(10_000);
  say(1);
  clock.advance(50);
  batches.at(-1)!.written();
  clock.advance(50);
  expect(batches.at(-1)!.events).toHaveLength(1);
});
