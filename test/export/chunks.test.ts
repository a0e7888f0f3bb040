import type { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Chunk, Chunks } from '../../src/export/kafka/chunks.ts';

const SIZE = 1000;

describe('memory that a log is read into', () => {
  it('is never used again while a record in it waits, in whatever order they are delivered', () => {
    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ read: fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 }) }),
      },
      { weight: 4, arbitrary: fc.record({ deliver: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ forget: fc.nat() }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const chunks = new Chunks(SIZE);
        const waiting: { view: Buffer; mark: number; chunk: Chunk }[] = [];
        const mine = (w: (typeof waiting)[number]) => w.view.every((b) => b === w.mark);
        let mark = 0;
        for (const s of steps) {
          if ('read' in s) {
            const wanted = s.read.reduce((a, b) => a + b);
            const chunk = chunks.take(wanted);
            expect(chunk.used + wanted).toBeLessThanOrEqual(chunk.buf.length);
            for (const length of s.read) {
              const view = chunk.buf.subarray(chunk.used, chunk.used + length);
              mark = (mark + 1) & 0xff;
              view.fill(mark);
              chunk.used += length;
              chunk.live++;
              waiting.push({ view, mark, chunk });
            }
          } else if (waiting.length > 0) {
            // A record that is not delivered but forgotten is never counted down.
            const [w] = waiting.splice(('deliver' in s ? s.deliver : s.forget) % waiting.length, 1);
            expect(mine(w)).toBe(true);
            if ('deliver' in s) chunks.release(w.chunk, 1);
          }
        }
        expect(waiting.every(mine)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('is the same memory for a stream that is delivered, however long', () => {
    const chunks = new Chunks(SIZE);
    const seen = new Set<Chunk>();
    let before: Chunk | undefined;
    for (let i = 0; i < 1000; i++) {
      const chunk = chunks.take(400);
      seen.add(chunk);
      chunk.used += 400;
      chunk.live++;
      // What was read last is still on its way.
      if (before) chunks.release(before, 1);
      before = chunk;
    }
    expect(seen.size).toBeLessThanOrEqual(3);
  });

  it('what was read and belongs to nobody here is free at once', () => {
    const chunks = new Chunks(SIZE);
    const chunk = chunks.take(900);
    chunk.used = 900;
    chunks.reuse(chunk);
    expect(chunks.take(900)).toBe(chunk);
    expect(chunk.used).toBe(0);
  });

  it('a read that is larger than a chunk has one of its own', () => {
    const chunks = new Chunks(SIZE);
    expect(chunks.take(5000).buf.length).toBe(5000);
  });
});
