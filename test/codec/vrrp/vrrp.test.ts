import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foldSum, onesSum } from '../../../src/codec/internet-checksum.ts';
import { decodeVrrp, encodeVrrp, type VrrpAdvert, type VrrpChecksum } from '../../../src/codec/vrrp/vrrp.ts';
import { formatIp, parseIp } from '../../../src/core/ip.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import vectors from '../../vectors/vrrp/adverts.json' with { type: 'json' };
import { FUZZ_ROUNDS, mutate, seeded } from '../fuzz.ts';

const GROUP = parseIp('224.0.0.18')!;
const HOST = parseIp('192.0.2.1')!;

/** Makes the checksum right over the message alone. */
function plain(b: Buffer): Buffer {
  if (b.length < 8) return b;
  b.writeUInt16BE(0, 6);
  b.writeUInt16BE(foldSum(onesSum(b)), 6);
  return b;
}

describe('VRRP', () => {
  it.each(vectors)('$name ($source)', (v) => {
    const [from, to] = [parseIp(v.from)!, parseIp(v.to)!];
    expect(decodeVrrp(Buffer.from(v.hex, 'hex'), from, to)).toEqual(v.advert);
    if (v.advert.checksum === 'old-unicast') return;
    const dialect = v.advert.checksum === 'rfc9568' ? 'rfc9568' : 'pseudo-header';
    expect(encodeVrrp(v.advert as VrrpAdvert, from, to, dialect).toString('hex')).toBe(v.hex);
  });

  it('refuses authentication by name (keepalived 2.2.7 with auth_type PASS, captured)', () => {
    const b = Buffer.from('210896010101493cc000026c7365637265740000', 'hex');
    expect(decodeVrrp(b, HOST, parseIp('192.0.2.2')!)).toMatchObject({
      code: 'unsupported',
      layer: 'vrrp.authentication',
    });
  });

  it.each([
    ['nothing', (b: Buffer) => b.subarray(0, 0), 'truncated', 'vrrp'],
    ['half a header', (b: Buffer) => b.subarray(0, 7), 'truncated', 'vrrp'],
    ['version 4', (b: Buffer) => set(b, 0, 0x41), 'version', 'vrrp'],
    ['another type', (b: Buffer) => set(b, 0, 0x22), 'unsupported', 'vrrp.type'],
    ['VRID 0', (b: Buffer) => set(b, 1, 0), 'value', 'vrrp.vrid'],
    ['no address', (b: Buffer) => set(b, 3, 0), 'value', 'vrrp.count'],
    ['more addresses than there are', (b: Buffer) => set(b, 3, 3), 'truncated', 'vrrp'],
    ['fewer addresses than there are', (b: Buffer) => set(b, 3, 1), 'trailing', 'vrrp'],
    ['one octet more', (b: Buffer) => plain(Buffer.concat([b, Buffer.of(0)])), 'trailing', 'vrrp'],
    ['no authentication data', (b: Buffer) => plain(b.subarray(0, 16)), 'truncated', 'vrrp'],
    ['a wrong checksum', (b: Buffer) => set(b, 2, 1), 'value', 'vrrp.checksum'],
    ['an interval of 0', (b: Buffer) => plain(set(b, 5, 0)), 'value', 'vrrp.interval'],
    ['version 3 with the trailer of version 2', (b: Buffer) => plain(set(b, 0, 0x31)), 'trailing', 'vrrp'],
  ] as const)('refuses %s', (_name, change, code, layer) => {
    const b = change(Buffer.from(vectors[0].hex, 'hex'));
    expect(decodeVrrp(b, HOST, GROUP)).toMatchObject({ ok: false, code, layer });
  });

  it('knows no version 2 over IPv6', () => {
    const b = plain(Buffer.concat([Buffer.from('2101640100010000', 'hex'), Buffer.alloc(24)]));
    expect(decodeVrrp(b, parseIp('fe80::1')!, parseIp('ff02::12')!)).toMatchObject({ code: 'version' });
  });

  it('does not take the group in the pseudo header of what was sent to the group of another', () => {
    const old = vectors.find((v) => v.advert.checksum === 'old-unicast')!;
    const b = Buffer.from(old.hex, 'hex');
    expect(decodeVrrp(b, HOST, parseIp('239.0.0.1')!)).toMatchObject({ layer: 'vrrp.checksum' });
  });

  it('goes round for any message, in every dialect', () => {
    const ip = (width: number) => fc.uint8Array({ minLength: width, maxLength: width }).map((b) => Buffer.from(b));
    const message = fc.record({
      version: fc.constantFrom(2 as const, 3 as const),
      width: fc.constantFrom(4, 16),
      vrid: fc.integer({ min: 1, max: 255 }),
      priority: fc.integer({ min: 0, max: 255 }),
      interval: fc.integer({ min: 1, max: 255 }),
      dialect: fc.constantFrom<VrrpChecksum>('pseudo-header', 'rfc9568'),
      seed: ip(16),
      count: fc.integer({ min: 1, max: 255 }),
    });
    fc.assert(
      fc.property(message, ip(16), ip(16), (m, from16, to16) => {
        const width = m.version === 2 ? 4 : m.width;
        const [from, to] = [from16.subarray(0, width), to16.subarray(0, width)];
        const addresses = Array.from({ length: m.count }, (_, i) => {
          const b = Buffer.from(m.seed.subarray(0, width));
          b[width - 1] = i;
          return formatIp(b);
        });
        const interval = m.version === 2 ? m.interval * 100 : m.interval * 16;
        const advert: VrrpAdvert = {
          version: m.version,
          vrid: m.vrid,
          priority: m.priority,
          interval: m.version === 2 ? interval : Math.min(4095, interval),
          addresses,
        };
        const back = decodeVrrp(encodeVrrp(advert, from, to, m.dialect), from, to);
        expect(back).toMatchObject({ ...advert });
      }),
      { numRuns: 300 },
    );
  });

  it('survives anything, and what it takes is what it would send', () => {
    const random = seeded(9568);
    let taken = 0;
    for (let i = 0; i < FUZZ_ROUNDS; i++) {
      const v = vectors[i % vectors.length];
      const [from, to] = [parseIp(v.from)!, parseIp(v.to)!];
      let b = mutate(Buffer.from(v.hex, 'hex'), random);
      if (i % 2 === 0) b = plain(b);
      const m = decodeVrrp(b, from, to);
      if (isDecodeError(m)) {
        expect(m.offset).toBeLessThanOrEqual(b.length);
        continue;
      }
      taken++;
      expect(decodeVrrp(encodeVrrp(m, from, to, 'rfc9568'), from, to)).toMatchObject({ addresses: m.addresses });
    }
    expect(taken).toBeGreaterThan(FUZZ_ROUNDS / 20);
    expect(taken).toBeLessThan(FUZZ_ROUNDS);
  });
});

function set(b: Buffer, at: number, value: number): Buffer {
  b[at] = value;
  return b;
}
