import { expect, it } from 'vitest';
import { quantileSamples, summaries } from '../../src/telemetry/quantiles.ts';
import { Registry } from '../../src/telemetry/registry.ts';

const NAME = 'tidegate_inform_ack_seconds';

it('p50 and p99 of a histogram, for each label set that counted', () => {
  const r = new Registry();
  r.histogram(NAME, { listener: '[::]:162', stage: 'exported' });
  const h = r.histogram(NAME, { listener: '127.0.0.1:162', stage: 'spooled' });
  for (let i = 0; i < 98; i++) h.observe(0.004);
  h.observe(0.18);
  h.observe(60);
  const [s, ...more] = summaries(r.snapshot(), NAME);
  expect(more).toEqual([]);
  expect(s).toMatchObject({ labels: { listener: '127.0.0.1:162', stage: 'spooled' }, count: 100 });
  // Inside their buckets: 3 to 5 ms, and 150 to 200 ms.
  expect(s.p50).toBeCloseTo(0.003 + (0.002 * 50) / 98, 6);
  expect(s.p99).toBeCloseTo(0.2, 6);
  expect(quantileSamples(r.snapshot(), NAME, 'g')).toEqual([
    ['g', 'listener="127.0.0.1:162",stage="spooled",quantile="0.5"', s.p50],
    ['g', 'listener="127.0.0.1:162",stage="spooled",quantile="0.99"', s.p99],
  ]);
});

it('beyond the last bound nothing is known: the bound is said', () => {
  const r = new Registry();
  r.histogram(NAME, { listener: 'a', stage: 'spooled' }).observe(1000);
  expect(summaries(r.snapshot(), NAME)[0]).toMatchObject({ p50: 5, p99: 5 });
});
