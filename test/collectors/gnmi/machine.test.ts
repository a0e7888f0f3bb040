import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  TARGET_DEFAULTS,
  type TargetEffect,
  type TargetInput,
  TargetMachine,
} from '../../../src/collectors/gnmi/machine.ts';

const FOLDER = fileURLToPath(new URL('../../scenario/gnmi/', import.meta.url));

interface Step {
  at: number;
  in: TargetInput;
  out: TargetEffect[];
  state: string;
}

describe('gNMI target machine', () => {
  for (const file of readdirSync(FOLDER)) {
    const [head, ...steps] = readFileSync(FOLDER + file, 'utf8')
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l) as unknown) as [{ name: string; streams: string[] }, ...Step[]];
    it(head.name, () => {
      const machine = new TargetMachine({ ...TARGET_DEFAULTS, streams: head.streams }, () => 0.5);
      for (const step of steps) {
        const out: TargetEffect[] = [];
        machine.handle(step.at, step.in, out);
        expect({ at: step.at, out, state: machine.state }).toEqual({ at: step.at, out: step.out, state: step.state });
      }
    });
  }

  it('whatever happens: a waiting stream has a timer, a stream is opened only when closed, events alternate', () => {
    const stream = fc.constantFrom('a', 'b');
    const input = fc.oneof(
      fc.record({ kind: fc.constantFrom('up' as const, 'sync' as const, 'timer' as const), stream }),
      fc.record({ kind: fc.constant('down' as const), stream, reason: fc.constant('r') }),
    );
    fc.assert(
      fc.property(fc.array(input, { maxLength: 60 }), (inputs) => {
        const machine = new TargetMachine({ ...TARGET_DEFAULTS, streams: ['a', 'b'] }, () => 0);
        const open = new Set<string>();
        const timers = new Set<string>();
        let last = '';
        let now = 0;
        for (const i of [{ kind: 'start' } as const, ...inputs]) {
          // Timers that were not set do not fire, calls that are not open say nothing.
          if (i.kind === 'timer' ? !timers.delete(i.stream) : i.kind !== 'start' && !open.has(i.stream)) continue;
          const out: TargetEffect[] = [];
          machine.handle((now += 100), i, out);
          for (const e of out) {
            if (e.kind === 'open') {
              expect(open.has(e.stream)).toBe(false);
              open.add(e.stream);
            } else if (e.kind === 'close') expect(open.delete(e.stream)).toBe(true);
            else if (e.kind === 'hangup') expect(open.size).toBe(0);
            else if (e.kind === 'set-timer') timers.add(e.stream);
            else if (e.kind === 'emit') {
              // `synced` may come again after a part was away; `up` and `down` never twice in a row.
              if (e.state !== 'synced') expect(e.state).not.toBe(last);
              last = e.state;
            }
          }
          for (const s of ['a', 'b']) expect(open.has(s)).not.toBe(timers.has(s));
        }
      }),
    );
  });
});
