import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { integerText, isTextHint, octetsText } from '../../src/mib/display-hint.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('DISPLAY-HINT of integers (RFC 2579 section 3.1)', () => {
  it.each([
    // The RFC's own: Temperature with d-2.
    [1234, 'd-2', '12.34'],
    [5, 'd-2', '0.05'],
    [-1234, 'd-2', '-12.34'],
    [-5, 'd-1', '-0.5'],
    [0, 'd-3', '0.000'],
    [7, 'd', '7'],
    [255, 'x', 'ff'],
    [-1, 'x', 'ffffffff'],
    [8, 'o', '10'],
    [5, 'b', '101'],
    [4294967295, 'd', '4294967295'],
    [1, '1d', undefined],
    [1, 'd-', undefined],
    [1, '', undefined],
  ])('%d by %s is %s', (value, hint, text) => expect(integerText(value, hint)).toBe(text));
});

describe('DISPLAY-HINT of octets (RFC 2579 section 3.1)', () => {
  it.each([
    // RFC 2579, DateAndTime: Tuesday May 26, 1992 at 1:30:15 PM EDT, with and without the zone.
    ['07 c8 05 1a 0d 1e 0f 00 2d 04 00', '2d-1d-1d,1d:1d:1d.1d,1a1d:1d', '1992-5-26,13:30:15.0,-4:0'],
    ['07 c8 05 1a 0d 1e 0f 00', '2d-1d-1d,1d:1d:1d.1d,1a1d:1d', '1992-5-26,13:30:15.0'],
    // MacAddress; the last part repeats.
    ['00 1a 2b 3c 4d 5e', '1x:', '0:1a:2b:3c:4d:5e'],
    ['aa 01 bb', '1x', 'aa01bb'],
    ['00 0a 01 ff', '2x:', 'a:1ff'],
    // RFC 4001, InetAddressIPv6z and IPv4z.
    ['fe80 0000 0000 0000 0000 0000 0000 0001 00000003', '2x:2x:2x:2x:2x:2x:2x:2x%4d', 'fe80:0:0:0:0:0:0:1%3'],
    ['c0 00 02 01 00 00 00 07', '1d.1d.1d.1d%4d', '192.0.2.1%7'],
    // RFC 3419, TransportAddressIPv4.
    ['c0 00 02 01 00 a2', '1d.1d.1d.1d:2d', '192.0.2.1:162'],
    // A repeat count, a separator between the repeats, a terminator behind them.
    ['03 01 02 03 ff', '*1d,;1x', '1,2,3;ff'],
    ['02 0a 0b', '*1x:', 'a:b'],
    ['00 41', '*1x:1a', 'A'],
    // Fewer octets than the part takes.
    ['01 02 03', '2d,', '258,3'],
    ['5a c3 bc 72 69 63 68', '255t', 'Zürich'],
    ['61 62 63 64', '2a-', 'ab-cd'],
    ['', '1x:', ''],
    ['00 00 00 00 00 00 01', '7d', '1'],
    ['ff ff ff ff ff ff ff ff', '8d', '18446744073709551615'],
    ['ff ff ff ff ff ff ff ff', '8o', '1777777777777777777777'],
    // No text, no hint.
    ['ff fe', '255t', undefined],
    ['61 00', '255a', undefined],
    ['61', 'nonsense', undefined],
    ['61', '0x', undefined],
    ['61', '1z', undefined],
  ])('%s by %s', (octets, hint, text) => expect(octetsText(hex(octets), hint)).toBe(text));

  it('knows which hints show characters only', () => {
    expect(['255a', '127t', '1x:', '1a1d', '*1a', 'd', ''].map(isTextHint)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
  });

  it('ends, and never throws, whatever the hint and the octets are', () => {
    const hint = fc.array(fc.constantFrom('*', '0', '1', '2', '9', 'x', 'd', 'o', 'a', 't', ':', '-', '%'), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(hint, fc.uint8Array({ maxLength: 64 }), (h, octets) => {
        const out = octetsText(Buffer.from(octets), h.join(''));
        expect(out === undefined || out.length <= 20_000).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});
