/** The heartbeat's bytes: a vector written by hand after the format above the codec, round trips, and whatever else may come. */
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Claim,
  decodeHeartbeat,
  encodeHeartbeat,
  type Heartbeat,
  MAX_BYTES,
  openHeartbeat,
} from '../../src/cluster/message.ts';

const SECRET = 'a secret of the test';
const hmac = (hex: string, secret = SECRET) =>
  createHmac('sha256', secret).update(Buffer.from(hex, 'hex')).digest('hex');

const HEARTBEAT: Heartbeat = {
  site: 'dc1',
  node: 'edge-1',
  grade: 'degraded',
  weight: 3,
  fit: true,
  leaving: false,
  boot: 1_700_000_000_000_001,
  sequence: 7,
  time: 1_700_000_000_123,
  heard: [1_700_000_000_000_002],
  claims: [
    { address: '192.0.2.10', state: 'owner', epoch: 2, mac: '02:00:00:00:00:01' },
    { address: '2001:db8::10', state: 'releasing', epoch: 5, mac: '02:00:00:00:00:01', to: 1_700_000_000_000_002 },
  ],
};

const VECTOR = [
  '54474842', // magic
  '01', // version
  '01', // fit
  '01', // degraded
  '00', // part 0
  '01', // of 1
  '00',
  '0003', // weight
  '00060a24181e4001', // boot
  '0000000000000007', // sequence
  '0000018bcfe5687b', // time
  '03646331', // dc1
  '06656467652d31', // edge-1
  '01',
  '00060a24181e4002', // heard
  '0002', // claims
  ['01', '04', 'c000020a', '00000002', '020000000001', '0000000000000000'].join(''),
  ['02', '06', '20010db8000000000000000000000010', '00000005', '020000000001', '00060a24181e4002'].join(''),
].join('');

describe('heartbeat', () => {
  it('is these bytes', () => {
    const [bytes, ...more] = encodeHeartbeat(HEARTBEAT, SECRET);
    expect(more).toEqual([]);
    expect(bytes.toString('hex')).toBe(VECTOR + hmac(VECTOR));
    expect(openHeartbeat(bytes, [SECRET])).toEqual({ ...HEARTBEAT, part: 0, parts: 1 });
  });

  it('is accepted with either of two secrets, and with no other', () => {
    const [bytes] = encodeHeartbeat(HEARTBEAT, SECRET);
    expect(openHeartbeat(bytes, ['the next one of them', SECRET])).toMatchObject({ node: 'edge-1' });
    expect(openHeartbeat(bytes, ['the next one of them'])).toMatchObject({ ok: false, code: 'auth' });
    expect(openHeartbeat(bytes, [])).toMatchObject({ ok: false, code: 'auth' });
  });

  it('any changed bit is refused', () => {
    const [bytes] = encodeHeartbeat(HEARTBEAT, SECRET);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const b = Buffer.from(bytes);
      b[bit >> 3] ^= 1 << (bit & 7);
      expect(openHeartbeat(b, [SECRET])).toMatchObject({ ok: false, code: 'auth' });
    }
  });

  it('a newer version is refused by its number, however it goes on', () => {
    const newer = '5447484202ffff';
    const padded = newer.padEnd(80, '0');
    expect(openHeartbeat(Buffer.from(padded + hmac(padded), 'hex'), [SECRET])).toEqual({
      ...{ ok: false, code: 'newer-version' },
      reason: 'heartbeat version 2, this node understands up to 1: upgrade it',
    });
  });

  it('more claims than fit into a datagram make several, none of them larger than an Ethernet carries', () => {
    const claims: Claim[] = Array.from({ length: 1000 }, (_, i) => ({
      ...{ address: `10.0.${i >> 8}.${i & 255}`, state: 'owner', epoch: i, mac: '02:00:00:00:00:01' },
    }));
    const parts = encodeHeartbeat({ ...HEARTBEAT, claims }, SECRET);
    const read = parts.map((p) => openHeartbeat(p, [SECRET]) as Heartbeat & { part: number; parts: number });
    for (const p of parts) expect(p.length).toBeLessThanOrEqual(MAX_BYTES);
    expect(read.map((p) => [p.part, p.parts])).toEqual(parts.map((_, i) => [i, parts.length]));
    expect(read.flatMap((p) => p.claims)).toEqual(claims);
  });

  it('what is written is read again', () => {
    const number = fc.maxSafeNat();
    const octet = fc.integer({ min: 0, max: 255 });
    const mac = fc.tuple(octet, octet, octet, octet, octet, octet);
    const claim = fc.record({
      address: fc.constantFrom('192.0.2.1', '203.0.113.255', '2001:db8::1', 'fe80::1', '::1'),
      state: fc.constantFrom('owner', 'taking') as fc.Arbitrary<'owner'>,
      epoch: fc.integer({ min: 0, max: 0xffffffff }),
      mac: mac.map((m) => m.map((b) => b.toString(16).padStart(2, '0')).join(':')),
    });
    const name = fc.stringMatching(/^[A-Za-z0-9._-]{1,63}$/);
    const heartbeat = fc.record({
      ...{ site: name, node: name, boot: number, sequence: number, time: number },
      grade: fc.constantFrom('full', 'degraded', 'dead') as fc.Arbitrary<'full'>,
      weight: fc.integer({ min: 1, max: 65535 }),
      fit: fc.boolean(),
      leaving: fc.boolean(),
      heard: fc.array(number, { maxLength: 64 }),
      claims: fc.array(claim, { maxLength: 10 }),
    });
    fc.assert(
      fc.property(heartbeat, (h) => {
        const [bytes] = encodeHeartbeat(h, SECRET);
        expect(openHeartbeat(bytes, [SECRET])).toEqual({ ...h, part: 0, parts: 1 });
      }),
    );
  });

  it('no bytes make it throw: it says what is wrong, or reads what it would write', () => {
    const valid = Buffer.from(VECTOR, 'hex');
    const mutated = fc
      .tuple(
        fc.array(fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
        fc.nat(200),
      )
      .map(([changes, cut]) => {
        const b = Buffer.from(valid);
        for (const [at, v] of changes) b[at] = v;
        return cut < b.length ? b.subarray(0, b.length - cut) : b;
      });
    const any = fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.from(b));
    fc.assert(
      fc.property(fc.oneof(mutated, any), (bytes) => {
        const m = decodeHeartbeat(bytes);
        if ('code' in m) {
          expect(m.offset).toBeLessThanOrEqual(bytes.length);
          return;
        }
        const [again] = encodeHeartbeat(m, SECRET);
        const { part: _, parts: __, ...rest } = m;
        expect(openHeartbeat(again, [SECRET])).toMatchObject(rest);
      }),
      { numRuns: 3000 },
    );
  });
});
