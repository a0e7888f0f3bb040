import { Buffer } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildTrap } from '../../../src/codec/snmp/describe.ts';
import { peekTrapOid } from '../../../src/codec/snmp/peek.ts';
import { Buckets } from '../../../src/collectors/snmp-trap/buckets.ts';
import { type DedupEffect, type DedupInput, DedupMachine } from '../../../src/collectors/snmp-trap/dedup.ts';
import { EVERY_MS, type StormEffect, type StormInput, StormMachine } from '../../../src/collectors/snmp-trap/storm.ts';
import { parseIp } from '../../../src/core/ip.ts';

describe('token buckets', () => {
  const a = parseIp('192.0.2.1')!;
  const b = parseIp('2001:db8::1')!;

  it('a source gets its burst, then its rate; another one is not touched', () => {
    const t = new Buckets({ per_source: 10, burst: 3, sources: 100 });
    expect([0, 0, 0, 0].map((now) => t.take(now, a))).toEqual([undefined, undefined, undefined, 'rate-limit']);
    expect(t.take(0, b)).toBeUndefined();
    expect(t.take(99, a)).toBe('rate-limit');
    expect(t.take(201, a)).toBeUndefined();
    expect(t.take(201, a)).toBeUndefined();
    expect(t.take(201, a)).toBe('rate-limit');
  });

  it('what a source may not have is not taken from all', () => {
    const t = new Buckets({ per_source: 1, burst: 1, total: 1, total_burst: 2, sources: 100 });
    expect(t.take(0, a)).toBeUndefined();
    for (let i = 0; i < 50; i++) expect(t.take(0, a)).toBe('rate-limit');
    expect(t.take(0, b)).toBeUndefined();
    expect(t.take(0, parseIp('192.0.2.9')!)).toBe('rate-limit-total');
  });

  it('never lets more pass than burst and rate allow, and stays small', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 400 }), (gaps) => {
        const t = new Buckets({ per_source: 50, burst: 7, sources: 100 });
        let now = 0;
        let passed = 0;
        for (const gap of gaps) {
          now += gap;
          if (t.take(now, a) === undefined) passed++;
        }
        expect(passed).toBeLessThanOrEqual(7 + (now / 1000) * 50 + 1e-6);
      }),
    );
    const t = new Buckets({ per_source: 1, sources: 100 });
    for (let i = 0; i < 10_000; i++) t.take(i, Buffer.from([10, 0, i >> 8, i & 255]));
    expect(t.size).toBeLessThanOrEqual(100);
  });
});

/** One line of a scenario file: at a time an input, or all effects since the last such line. */
type Line<I, E> = { at: number; in?: I; out?: E[] };

describe.each(['storm', 'dedup'])('%s', (name) => {
  const dir = new URL(`../../scenario/snmp-${name}/`, import.meta.url);
  it.each(readdirSync(dir))('%s', (file) => {
    const lines = readFileSync(new URL(file, dir), 'utf8').trim().split('\n');
    const out: (StormEffect | DedupEffect)[] = [];
    const machine = name === 'storm' ? new StormMachine() : new DedupMachine(10_000, 3);
    let checked = 0;
    for (const line of lines) {
      const l = JSON.parse(line) as Line<StormInput & DedupInput, StormEffect | DedupEffect>;
      if (l.in) (machine as { handle(now: number, i: unknown, o: unknown[]): void }).handle(l.at, l.in, out);
      if (l.out) {
        expect(JSON.parse(JSON.stringify(out.splice(0))), line).toEqual(l.out);
        checked++;
      }
    }
    expect(out).toEqual([]);
    expect(checked).toBeGreaterThan(0);
  });
});

it('a storm of any shape is counted to one', () => {
  const one = fc.record({ source: fc.nat(300), oid: fc.nat(40), tick: fc.boolean() });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 800 }), (list) => {
      const m = new StormMachine();
      const out: StormEffect[] = [];
      list.forEach((x, i) => {
        const what = x.oid === 0 ? undefined : `1.3.${x.oid}`;
        const refused = { network: 'n', source: `s${x.source}`, code: 'rate-limit', what, wall: i };
        m.handle(i, { kind: 'refused', ...refused }, out);
        if (x.tick) m.handle(i, { kind: 'tick', wall: i }, out);
      });
      m.handle(list.length + EVERY_MS, { kind: 'flush', wall: list.length }, out);
      const gaps = out.flatMap((e) => (e.kind === 'gap' ? [e.gap] : []));
      expect(gaps.reduce((n, g) => n + g.count, 0)).toBe(list.length);
      for (const g of gaps) expect(g.of.reduce((n, k) => n + k.count, 0)).toBe(g.count);
    }),
    { numRuns: 50 },
  );
});

it('of any traffic: passed + suppressed = seen, the summaries name every suppressed one, and no change of an alarm is suppressed', () => {
  const one = fc.record({ alarm: fc.nat(3), raised: fc.boolean(), wait: fc.nat(4000) });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 300 }), (list) => {
      const m = new DedupMachine(10_000, 50);
      const last = new Map<number, boolean>();
      let now = 0;
      let passed = 0;
      let suppressed = 0;
      let summed = 0;
      const look = (out: DedupEffect[]): void => {
        for (const e of out) {
          if (e.kind === 'pass') passed++;
          if (e.kind === 'suppress') suppressed++;
          if (e.kind === 'summary') summed += e.count;
        }
      };
      for (const x of list) {
        now += x.wait;
        const out: DedupEffect[] = [];
        const alarm = { id: `a${x.alarm}`, state: x.raised ? 'raised' : 'cleared' };
        m.handle(now, { kind: 'notification', key: `${x.alarm} ${x.raised}`, alarm, wall: now }, out);
        if (last.get(x.alarm) !== x.raised) expect(out.some((e) => e.kind === 'pass')).toBe(true);
        last.set(x.alarm, x.raised);
        look(out);
      }
      const out: DedupEffect[] = [];
      m.handle(now, { kind: 'flush' }, out);
      look(out);
      expect(passed + suppressed).toBe(list.length);
      expect(summed).toBe(suppressed);
      expect(m.size).toBe(0);
    }),
    { numRuns: 100 },
  );
});

describe('peekTrapOid', () => {
  it('sees what the decoder sees', () => {
    const trapOid = '1.3.6.1.6.3.1.1.5.3';
    for (const version of ['v1', 'v2c'] as const)
      expect(peekTrapOid(buildTrap({ version, community: 'c', trapOid, uptime: 9, varbinds: [] }))).toBe(trapOid);
  });

  it('reads no octet that is not there', () => {
    const whole = buildTrap({ version: 'v2c', community: 'c', trapOid: '1.3.6.1.4.1.9.0.1', uptime: 9, varbinds: [] });
    for (let n = 0; n < whole.length; n++) expect(peekTrapOid(whole.subarray(0, n))).toBeUndefined();
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (b) => void peekTrapOid(Buffer.from(b))));
  });
});
