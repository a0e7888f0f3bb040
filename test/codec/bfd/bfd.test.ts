/** BFD control packets. Vectors: the field layout of RFC 5880 section 4.1, and each check of its section 6.8.6. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BFD_STATES, type BfdPacket, decodeBfd, encodeBfd } from '../../../src/codec/bfd/bfd.ts';
import { isDecodeError } from '../../../src/core/result.ts';

const UP = '20c003180000000100000002000493e0000493e000000000';

describe('BFD codec', () => {
  it('reads and writes every field', () => {
    const p = decodeBfd(Buffer.from(UP, 'hex'));
    expect(p).toEqual({
      state: 'Up',
      diagnostic: 0,
      poll: false,
      final: false,
      controlPlaneIndependent: false,
      demand: false,
      detectMult: 3,
      myDiscriminator: 1,
      yourDiscriminator: 2,
      desiredMinTx: 300_000,
      requiredMinRx: 300_000,
      requiredMinEchoRx: 0,
    });
    expect(encodeBfd(p as BfdPacket).toString('hex')).toBe(UP);
  });

  it('bytes after the announced length are ignored', () => {
    expect(isDecodeError(decodeBfd(Buffer.from(`${UP}ffff`, 'hex')))).toBe(false);
  });

  // RFC 5880 section 6.8.6, in its order.
  it.each([
    ['short', UP.slice(0, 46), 'truncated'],
    ['version 0', `00${UP.slice(2)}`, 'version'],
    ['version 2', `40${UP.slice(2)}`, 'version'],
    ['length 23', `20c00317${UP.slice(8)}`, 'length'],
    ['length beyond the packet', `20c00319${UP.slice(8)}`, 'length'],
    ['detect mult 0', `20c00018${UP.slice(8)}`, 'value'],
    ['multipoint', `20c10318${UP.slice(8)}`, 'value'],
    ['my discriminator 0', `20c0031800000000${UP.slice(16)}`, 'value'],
    ['your discriminator 0 while Up', `20c003180000000100000000${UP.slice(24)}`, 'value'],
    ['your discriminator 0 in Init', `208003180000000100000000${UP.slice(24)}`, 'value'],
    ['authentication', `20c4031a${UP.slice(8)}0104`, 'unsupported'],
    ['poll and final', `20f00318${UP.slice(8)}`, 'value'],
  ])('refuses %s', (_, hex, code) => {
    const r = decodeBfd(Buffer.from(hex, 'hex'));
    expect(isDecodeError(r) && r.code).toBe(code);
  });

  it('writes what it reads, whatever comes', () => {
    const packet = fc.record<BfdPacket>({
      state: fc.constantFrom(...BFD_STATES),
      diagnostic: fc.nat(31),
      poll: fc.boolean(),
      final: fc.constant(false),
      controlPlaneIndependent: fc.boolean(),
      demand: fc.boolean(),
      detectMult: fc.integer({ min: 1, max: 255 }),
      myDiscriminator: fc.integer({ min: 1, max: 0xffffffff }),
      yourDiscriminator: fc.integer({ min: 1, max: 0xffffffff }),
      desiredMinTx: fc.integer({ min: 0, max: 0xffffffff }),
      requiredMinRx: fc.integer({ min: 0, max: 0xffffffff }),
      requiredMinEchoRx: fc.integer({ min: 0, max: 0xffffffff }),
    });
    fc.assert(
      fc.property(packet, (p) => {
        expect(decodeBfd(encodeBfd(p))).toEqual(p);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (b) => {
        const r = decodeBfd(Buffer.from(b));
        if (!isDecodeError(r)) expect(r.myDiscriminator).not.toBe(0);
      }),
      { numRuns: 5000 },
    );
  });
});
