import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { transportChecksum } from '../../../src/codec/internet-checksum.ts';
import {
  answerSolicitation,
  decodeNdp,
  encodeNdp,
  type NdpFrame,
  type NeighborSolicitation,
  neighborProbe,
  neighborSolicitation,
  solicitedNode,
  unsolicitedAdvertisement,
} from '../../../src/codec/ndp/ndp.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import frames from '../../vectors/link/frames.json' with { type: 'json' };
import { FUZZ_ROUNDS, mutate, seeded } from '../fuzz.ts';

const vectors = frames.filter((v) => 'kind' in v.frame);
const MAC = '02:00:00:00:00:0a';
const NA = vectors.find((v) => v.name.startsWith('unsolicited'))!;
const NS = vectors.find((v) => v.name.startsWith('Neighbor Solicitation'))!;

/** Puts the right checksum in, so that only the change is wrong. */
function repair(b: Buffer): Buffer {
  const end = Math.min(b.length, 54 + b.readUInt16BE(18));
  if (end < 58) return b;
  b.writeUInt16BE(0, 56);
  b.writeUInt16BE(transportChecksum(b.subarray(22, 38), b.subarray(38, 54), 58, b.subarray(54, end)), 56);
  return b;
}

describe('Neighbor Discovery', () => {
  it.each(vectors)('$name ($source)', ({ hex, frame }) => {
    expect(decodeNdp(Buffer.from(hex, 'hex'))).toEqual(frame);
    expect(encodeNdp(frame as NdpFrame).toString('hex')).toBe(hex);
  });

  it.each([
    ['unsolicited', unsolicitedAdvertisement(MAC, '2001:db8::9')],
    ['unsolicited, to one', unsolicitedAdvertisement(MAC, '2001:db8::9', { to: { ip: 'fe80::1', mac: MAC } })],
    ['solicitation', neighborSolicitation(MAC, 'fe80::1', '2001:db8::9')],
    ['probe', neighborProbe(MAC, '2001:db8::9')],
  ] as const)('%s goes round', (_name, frame) => {
    expect(decodeNdp(encodeNdp(frame))).toEqual(frame);
  });

  it('answers the asker, or everybody where the asker has no address', () => {
    const ns = NS.frame as NeighborSolicitation;
    expect(answerSolicitation('02:00:00:00:00:0b', ns)).toEqual(
      vectors.find((v) => v.name === 'solicited Neighbor Advertisement')!.frame,
    );
    expect(answerSolicitation(MAC, neighborProbe('02:00:00:00:00:0b', '2001:db8::9'))).toMatchObject({
      destination: 'ff02::1',
      solicited: false,
      override: true,
      ethernetDestination: '33:33:00:00:00:01',
    });
  });

  it('names the solicited-node group (RFC 4291 section 2.7.1)', () => {
    expect(solicitedNode('4037::01:800:200e:8c6c')).toBe('ff02::1:ff0e:8c6c');
  });

  it.each([
    ['a short frame', (b: Buffer) => b.subarray(0, 53), 'truncated', 53],
    ['a short payload', (b: Buffer) => b.subarray(0, 80), 'truncated', 80],
    ['another EtherType', (b: Buffer) => set(b, 12, 8), 'marker', 12],
    ['another IP version', (b: Buffer) => set(b, 14, 0x45), 'version', 14],
    ['a fragment', (b: Buffer) => set(b, 20, 44), 'unsupported', 20],
    ['a hop limit of 254: it was routed', (b: Buffer) => set(b, 21, 254), 'value', 21],
    ['less than 24 octets', (b: Buffer) => repair(set(b, 19, 16)), 'length', 18],
    ['another ICMPv6 type', (b: Buffer) => repair(set(b, 54, 134)), 'unsupported', 54],
    ['a code', (b: Buffer) => repair(set(b, 55, 1)), 'value', 55],
    ['a wrong checksum', (b: Buffer) => set(b, 56, 0), 'value', 56],
    ['a multicast target', (b: Buffer) => repair(set(b, 62, 0xff)), 'value', 62],
    ['an option of length 0', (b: Buffer) => repair(set(b, 79, 0)), 'length', 78],
    ['an option beyond the end', (b: Buffer) => repair(set(b, 79, 2)), 'length', 78],
    ['Solicited to a group', (b: Buffer) => repair(set(b, 58, 0x60)), 'value', 58],
  ] as const)('refuses %s', (_name, change, code, offset) => {
    expect(decodeNdp(change(Buffer.from(NA.hex, 'hex')))).toMatchObject({ ok: false, code, offset });
  });

  it('refuses a probe that names its sender, and one to an address', () => {
    const probe = encodeNdp({ ...neighborProbe(MAC, '2001:db8::9'), sourceMac: MAC });
    expect(decodeNdp(probe)).toMatchObject({ code: 'value', layer: 'icmpv6.source' });
    const direct = encodeNdp({ ...neighborProbe(MAC, '2001:db8::9'), destination: '2001:db8::9' });
    expect(decodeNdp(direct)).toMatchObject({ code: 'value', layer: 'icmpv6.source' });
  });

  it('survives anything, and what it takes can be said again', () => {
    const random = seeded(4861);
    let taken = 0;
    for (let i = 0; i < FUZZ_ROUNDS; i++) {
      let b = mutate(Buffer.from(vectors[i % vectors.length].hex, 'hex'), random);
      if (i % 2 === 0 && b.length >= 62) b = repair(b);
      const m = decodeNdp(b);
      if (isDecodeError(m)) continue;
      taken++;
      expect(decodeNdp(encodeNdp(m))).toEqual(m);
    }
    expect(taken).toBeGreaterThan(FUZZ_ROUNDS / 20);
    expect(taken).toBeLessThan(FUZZ_ROUNDS);
  });
});

function set(b: Buffer, at: number, value: number): Buffer {
  b[at] = value;
  return b;
}
