import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SHED_ORDER, type ShedKind } from '../../src/event/types.ts';
import { Quota, type Unexported } from '../../src/spool/quota.ts';

const MIB = 1024 * 1024;
const LIMITS = { maxBytes: 1000 * MIB, highWater: 0.8, lowWater: 0.6, maxUnsynced: 64 * MIB };

function bytes(alarm: number, routing: number, metrics: number, system = 0): Unexported {
  return { alarm: alarm * MIB, routing: routing * MIB, metrics: metrics * MIB, system: system * MIB };
}

function shed(q: Quota): ShedKind[] {
  return SHED_ORDER.filter((k) => !q.accepts(k));
}

describe('what is shed', () => {
  // MiB of a spool of 1000: alarm, routing, metrics, system; then what is shed.
  test.each<[number, number, number, number, ShedKind[]]>([
    [0, 0, 0, 0, []],
    [0, 300, 380, 0, []],
    [0, 300, 390, 0, ['sample']],
    [0, 300, 429, 0, ['sample']],
    [0, 300, 430, 0, ['sample', 'session']],
    [0, 300, 460, 0, ['sample', 'session', 'on-change']],
    [0, 300, 489, 0, ['sample', 'session', 'on-change']],
    [200, 300, 489, 0, ['sample', 'session', 'on-change', 'inform']],
    [180, 300, 485, 0, ['sample', 'session', 'on-change']],
    [200, 300, 471, 0, ['sample', 'session', 'on-change', 'inform']],
    [600, 100, 100, 0, []],
    [890, 0, 0, 0, ['sample']],
    [969, 0, 0, 0, ['sample', 'session', 'on-change']],
    [970, 0, 0, 0, ['sample', 'session', 'on-change', 'inform']],
    [990, 0, 0, 0, ['sample', 'session', 'on-change', 'inform', 'trap']],
    [990, 0, 0, 10, [...SHED_ORDER]],
  ])('alarm %i, routing %i, metrics %i, system %i', (alarm, routing, metrics, system, expected) => {
    const q = new Quota(LIMITS);
    q.update(bytes(alarm, routing, metrics, system));
    expect(shed(q)).toEqual(expected);
    expect(q.overHighWater).toBe(expected.length > 0 || alarm + routing + metrics + system >= 800);
  });

  test('is always a beginning of SHED_ORDER, and alarms have a fifth whatever the others do', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000), fc.nat(20)), { maxLength: 30 }),
        (steps) => {
          const q = new Quota(LIMITS);
          let full = false;
          for (const [a, r, m, s] of steps) {
            q.update(bytes(a, r, m, s));
            expect(shed(q)).toEqual(SHED_ORDER.slice(0, shed(q).length));
            full ||= a + r + m + s > 900;
          }
          if (!full) expect(q.accepts('trap')).toBe(true);
        },
      ),
    );
  });

  test('filling with one kind at a time, each sees its end and the next one goes on', () => {
    const q = new Quota(LIMITS);
    const used = bytes(0, 0, 0);
    const ends: number[] = [];
    const total = () => Math.round((used.alarm + used.routing + used.metrics + used.system) / MIB);
    for (const [kind, cls] of [
      ['sample', 'metrics'],
      ['session', 'routing'],
      ['on-change', 'metrics'],
      ['inform', 'alarm'],
      ['trap', 'alarm'],
      ['system', 'system'],
    ] as const) {
      for (let i = 0; i < 2000 && q.accepts(kind); i++) {
        used[cls] += MIB;
        q.update(used);
      }
      ends.push(total());
    }
    expect(ends).toEqual([690, 730, 760, 970, 990, 1000]);
  });
});

describe('hysteresis', () => {
  test('closed sessions wait for low water, the rest only for a little room', () => {
    const q = new Quota(LIMITS);
    q.update(bytes(0, 730, 0));
    expect(shed(q)).toEqual(['sample', 'session']);
    expect(q.closeSessions).toBe(true);
    q.update(bytes(0, 610, 0));
    expect(shed(q)).toEqual(['sample', 'session']);
    q.update(bytes(0, 599, 0));
    expect(shed(q)).toEqual([]);
  });

  test('a fill that trembles around a bound does not switch to and fro', () => {
    const q = new Quota(LIMITS);
    let switches = 0;
    let before = true;
    for (let i = 0; i < 100; i++) {
      q.update(bytes(0, 0, 690 + (i % 2 === 0 ? -10 : 10)));
      if (q.accepts('sample') !== before) switches++;
      before = q.accepts('sample');
    }
    expect(switches).toBe(1);
    q.update(bytes(0, 0, 650));
    expect(q.accepts('sample')).toBe(true);
  });

  test('high water is left at low water', () => {
    const q = new Quota(LIMITS);
    q.update(bytes(800, 0, 0));
    expect(q.overHighWater).toBe(true);
    q.update(bytes(700, 0, 0));
    expect(q.overHighWater).toBe(true);
    q.update(bytes(599, 0, 0));
    expect(q.overHighWater).toBe(false);
  });
});

test('a disk that takes nothing: memory is bounded, and only the system still speaks', () => {
  const q = new Quota(LIMITS);
  q.update(bytes(0, 0, 0), 127 * MIB);
  expect(shed(q)).toEqual([]);
  q.update(bytes(0, 0, 0), 128 * MIB);
  expect(shed(q)).toEqual(SHED_ORDER.slice(0, 5));
  expect(q.closeSessions).toBe(false);
  q.update(bytes(0, 0, 0), 100 * MIB);
  expect(shed(q)).toEqual(SHED_ORDER.slice(0, 5));
  q.update(bytes(0, 0, 0), 64 * MIB);
  expect(shed(q)).toEqual([]);
});
