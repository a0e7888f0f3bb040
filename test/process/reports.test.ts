import { expect, it } from 'vitest';
import { Reports } from '../../src/process/reports.ts';

/** One letter a renewal: R goes to the supervisor, - does not. */
function run(interval: number, timeout: number, renewals: { health?: string; news?: boolean }[]): string {
  const reports = new Reports();
  return renewals.map((r) => (reports.due(r.health ?? '', r.news ?? false, interval, timeout) ? 'R' : '-')).join('');
}

const rest = Array.from({ length: 8 }, () => ({}));

it('a worker at rest is reported as often as shows in time that it lives', () => {
  expect(run(200, 1000, rest)).toBe('-R-R-R-R');
  expect(run(200, 400, rest)).toBe('RRRRRRRR');
  expect(run(1000, 5000, rest)).toBe('RRRRRRRR');
  expect(run(50, 10_000, rest)).toBe('--------');
  expect(run(50, 10_000, [...rest, {}, {}])).toBe('---------R');
});

it('what is new is reported at once', () => {
  expect(run(200, 1000, [{ news: true }, { news: true }, {}, { news: true }, {}, {}])).toBe('RR-R-R');
  expect(run(200, 1000, [{}, { health: 'disk' }, { health: 'disk' }, {}, {}])).toBe('-R-R-');
});

it('histograms go each second or less often', () => {
  const reports = new Reports();
  const due = Array.from({ length: 11 }, (_, i) => reports.histograms(i * 200));
  expect(due.map((d) => (d ? 'H' : '-')).join('')).toBe('H---H---H--');
});
