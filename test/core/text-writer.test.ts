import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextWriter } from '../../src/core/text-writer.ts';
import { rfc3339, writeRfc3339 } from '../../src/core/time.ts';

const any = fc.oneof(fc.string({ unit: 'binary', maxLength: 120 }), fc.string({ maxLength: 120 }));
/** What UTF-8 has of a string: lone surrogates become U+FFFD. */
const utf8 = (s: string): string => Buffer.from(s, 'utf8').toString('utf8');

function written(write: (w: TextWriter) => void): string {
  // Small: it has to grow.
  const w = new TextWriter(4);
  w.char(0x3e);
  write(w);
  return w.toString(1);
}

describe('TextWriter', () => {
  it('writes any text as UTF-8', () => {
    fc.assert(
      fc.property(any, (s) => {
        expect(written((w) => w.text(s))).toBe(utf8(s));
      }),
    );
  });

  it('quotes as JSON.stringify does', () => {
    fc.assert(
      fc.property(any, (s) => {
        expect(written((w) => w.quoted(s))).toBe(JSON.stringify(s));
      }),
    );
  });

  it('writes integers', () => {
    const numbers = fc.oneof(
      fc.integer(),
      fc.maxSafeInteger(),
      fc.constantFrom(0, 2 ** 30 - 1, 2 ** 30, 2 ** 31, 2 ** 32 - 1),
    );
    fc.assert(
      fc.property(numbers, (n) => {
        expect(written((w) => w.integer(n))).toBe(String(n));
      }),
    );
  });

  it('writes what is held as bytes, more than there was room for', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (parts) => {
        const w = new TextWriter(1);
        for (const p of parts) w.bytes(p);
        expect(w.buf.subarray(0, w.at)).toEqual(Buffer.concat(parts));
      }),
    );
  });

  it('writes times as rfc3339 says them', () => {
    const nsec = fc.oneof(
      fc.nat(999_999_999),
      fc.nat(999_999).map((n) => n * 1000),
      fc.nat(999).map((n) => n * 1e6),
    );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_000_000_000 }), nsec, (s, n) => {
        expect(written((w) => writeRfc3339(w, s, n))).toBe(rfc3339(s, n));
      }),
    );
  });
});
