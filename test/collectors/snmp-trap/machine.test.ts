import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AckMode,
  type InformEffect,
  type InformInput,
  InformMachine,
} from '../../../src/collectors/snmp-trap/machine.ts';
import { play, scenarios } from '../../scenario/runner.ts';

const FOLDER = fileURLToPath(new URL('../../scenario/snmp-trap', import.meta.url));

describe('scenarios of the inform machine', () => {
  it.each(scenarios(FOLDER))('%s', (name) => {
    const machine = new InformMachine({ count: 2, bytes: 1000, budget: 200 });
    const { actual, expected } = play<InformInput, InformEffect>(join(FOLDER, name), machine);
    expect(actual).toEqual(expected);
  });
});

describe('properties of the inform machine', () => {
  const ids = ['a', 'b', 'c', 'd', 'e'];
  const input: fc.Arbitrary<InformInput> = fc.oneof(
    fc.record({
      kind: fc.constant('inform' as const),
      id: fc.constantFrom(...ids),
      bytes: fc.integer({ min: 1, max: 400 }),
      ack: fc.constantFrom<AckMode>('auto', 'spool', 'export'),
    }),
    fc.record({
      kind: fc.constantFrom('shed' as const, 'spooled' as const, 'exported' as const),
      id: fc.constantFrom(...ids),
    }),
    fc.constant({ kind: 'tick' as const }),
  );

  it('answers nothing before the receipt its mode asks for, and holds no more than its bounds', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 500 }), input), { maxLength: 60 }), (steps) => {
        const m = new InformMachine({ count: 3, bytes: 700, budget: 200 });
        // The specification, told separately: what each id in flight has seen.
        const open = new Map<string, { ack: AckMode; at: number; spooled: boolean; exported: boolean }>();
        const answered = new Set<string>();
        let now = 0;
        for (const [wait, i] of steps) {
          now += wait;
          const out: InformEffect[] = [];
          if (i.kind === 'spooled' || i.kind === 'exported') {
            const o = open.get(i.id);
            if (o) o[i.kind] = true;
          }
          m.handle(now, i, out);
          for (const e of out) {
            if (e.kind === 'emit') {
              expect(open.has(e.id)).toBe(false);
              if (i.kind === 'inform') open.set(e.id, { ack: i.ack, at: now, spooled: false, exported: false });
            } else if (e.kind === 'respond') {
              const o = open.get(e.id)!;
              const enough =
                o.ack === 'export'
                  ? o.exported
                  : o.ack === 'spool'
                    ? o.spooled || o.exported
                    : o.exported || (o.spooled && now - o.at >= 200);
              expect(enough).toBe(true);
              expect(e.waited).toBe(now - o.at);
              open.delete(e.id);
              answered.add(e.id);
            } else if (e.kind === 'forget') open.delete(e.id);
            else if (e.kind === 'repeated') expect(e.answer ? answered.has(e.id) : open.has(e.id)).toBe(true);
          }
          expect(m.size).toBe(open.size);
          expect(m.size).toBeLessThanOrEqual(3);
          expect(m.heldBytes).toBeLessThanOrEqual(700);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('remembers a bounded number of answered informs', () => {
    const m = new InformMachine({ count: 10, bytes: 1000, budget: 200 });
    const out: InformEffect[] = [];
    for (let i = 0; i < 100_001; i++) {
      m.handle(0, { kind: 'inform', id: `i${i}`, bytes: 1, ack: 'spool' }, out);
      m.handle(0, { kind: 'spooled', id: `i${i}` }, out);
      out.length = 0;
    }
    m.handle(1, { kind: 'inform', id: 'i0', bytes: 1, ack: 'spool' }, out);
    m.handle(1, { kind: 'inform', id: 'i100000', bytes: 1, ack: 'spool' }, out);
    expect(out).toEqual([
      { kind: 'emit', id: 'i0' },
      { kind: 'repeated', id: 'i100000', answer: true },
    ]);
  });
});
