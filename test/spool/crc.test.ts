import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crcJoined, crcShort } from '../../src/spool/crc.ts';

const octets = fc.uint8Array({ maxLength: 300 });
const seed = fc.nat(0xffffffff);

describe('CRC-32 in parts', () => {
  it('goes on as zlib does', () => {
    fc.assert(
      fc.property(octets, octets, octets, seed, (before, b, behind, s) => {
        const whole = Buffer.concat([before, b, behind]);
        expect(crcShort(whole, before.length, before.length + b.length, s)).toBe(crc32(b, s));
      }),
    );
  });

  it('is that of the whole', () => {
    fc.assert(
      fc.property(octets, octets, seed, (a, b, s) => {
        expect(crcJoined(crc32(a, s), crc32(b), b.length)).toBe(crc32(Buffer.concat([a, b]), s));
      }),
    );
  });

  it('also where the second part is long', () => {
    for (const length of [16_383, 16_384, 70_000, 1 << 20]) {
      const b = Buffer.alloc(length, 0x5a);
      const a = Buffer.from('first');
      expect(crcJoined(crc32(a), crc32(b), length)).toBe(crc32(Buffer.concat([a, b])));
    }
  });
});
