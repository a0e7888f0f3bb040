import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import {
  type ArpFrame,
  arpProbe,
  arpReply,
  arpRequest,
  decodeArp,
  encodeArp,
  gratuitousReply,
  gratuitousRequest,
  isGratuitous,
  isProbe,
} from '../../../src/codec/arp/arp.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import frames from '../../vectors/link/frames.json' with { type: 'json' };
import { FUZZ_ROUNDS, mutate, seeded } from '../fuzz.ts';

const vectors = frames.filter((v) => 'operation' in v.frame);
const MAC = '02:00:00:00:00:0a';

describe('ARP', () => {
  it.each(vectors)('$name ($source)', ({ hex, frame }) => {
    expect(decodeArp(Buffer.from(hex, 'hex'))).toEqual(frame);
    expect(encodeArp(frame as ArpFrame).toString('hex')).toBe(hex);
  });

  it('takes padding behind the packet', () => {
    const padded = Buffer.concat([Buffer.from(vectors[0].hex, 'hex'), Buffer.alloc(18)]);
    expect(decodeArp(padded)).toEqual(vectors[0].frame);
  });

  it.each([
    ['gratuitous request', gratuitousRequest(MAC, '192.0.2.9'), true, false],
    ['gratuitous reply', gratuitousReply(MAC, '192.0.2.9'), true, false],
    ['probe', arpProbe(MAC, '192.0.2.9'), false, true],
    ['request', arpRequest(MAC, '192.0.2.1', '192.0.2.9'), false, false],
    ['reply', arpReply(MAC, '192.0.2.9', '02:00:00:00:00:0b', '192.0.2.1'), false, false],
  ] as const)('%s goes round', (_name, frame, gratuitous, probe) => {
    const back = decodeArp(encodeArp(frame));
    expect(back).toEqual(frame);
    expect([isGratuitous(frame), isProbe(frame)]).toEqual([gratuitous, probe]);
  });

  it.each([
    ['one octet short', (b: Buffer) => b.subarray(0, 41), 'truncated', 41],
    ['another EtherType', (b: Buffer) => set(b, 13, 0), 'marker', 12],
    ['not Ethernet', (b: Buffer) => set(b, 15, 6), 'unsupported', 14],
    ['not IPv4', (b: Buffer) => set(b, 17, 1), 'unsupported', 16],
    ['hardware length', (b: Buffer) => set(b, 18, 8), 'length', 18],
    ['protocol length', (b: Buffer) => set(b, 19, 16), 'length', 19],
    ['operation', (b: Buffer) => set(b, 21, 3), 'unsupported', 20],
    ['a group as sender', (b: Buffer) => set(b, 22, 0xff), 'value', 22],
  ] as const)('refuses %s', (_name, change, code, offset) => {
    const b = change(Buffer.from(vectors[0].hex, 'hex'));
    expect(decodeArp(b)).toMatchObject({ ok: false, code, offset });
  });

  it('survives anything, and what it takes goes round', () => {
    const random = seeded(826);
    let taken = 0;
    for (let i = 0; i < FUZZ_ROUNDS; i++) {
      const b = mutate(Buffer.from(vectors[i % vectors.length].hex, 'hex'), random);
      const m = decodeArp(b);
      if (isDecodeError(m)) continue;
      taken++;
      expect(encodeArp(m).equals(b.subarray(0, 42))).toBe(true);
    }
    expect(taken).toBeGreaterThan(FUZZ_ROUNDS / 10);
    expect(taken).toBeLessThan(FUZZ_ROUNDS);
  });
});

function set(b: Buffer, at: number, value: number): Buffer {
  b[at] = value;
  return b;
}
