import { describe, expect, it } from 'vitest';
import { describeBgp } from '../../../src/codec/bgp/describe.ts';
import { type BgpContext, decodeBgp, encodeOpen, encodeUpdate } from '../../../src/codec/bgp/index.ts';
import { describeBmp, sampleSession } from '../../../src/codec/bmp/describe.ts';
import { bmpFramer } from '../../../src/codec/bmp/index.ts';
import { type BmpEffect, BmpMachine } from '../../../src/collectors/bmp/machine.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import { readHexVector } from '../../vectors/hex.ts';

const ROUNDS = Number(process.env.TIDEGATE_FUZZ_ROUNDS ?? 20_000);

/** A small generator with a seed, so that a failure can be repeated. */
function random(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

function mutate(bytes: Buffer, rnd: () => number): Buffer {
  const b = Buffer.from(bytes);
  const pick = (n: number) => Math.floor(rnd() * n);
  for (let i = 1 + pick(4); i > 0; i--) {
    const at = pick(b.length);
    const how = pick(4);
    if (how === 0) b[at] = pick(256);
    else if (how === 1) b[at] ^= 1 << pick(8);
    else if (how === 2) b[at] = [0, 1, 0x7f, 0x80, 0xff][pick(5)];
    else b.copyWithin(at, pick(b.length), pick(b.length));
  }
  return b;
}

/** The whole messages of a session. */
function messages(bytes: Buffer): Buffer[] {
  const out: Buffer[] = [];
  const frame = bmpFramer();
  for (let pos = 0; pos < bytes.length; ) {
    const n = frame(bytes, pos, bytes.length);
    if (isDecodeError(n) || n === 0) throw new Error('broken vector');
    out.push(bytes.subarray(pos, pos + n));
    pos += n;
  }
  return out;
}

const sessions = [sampleSession(), readHexVector('./bmp/gobgp-3.10.hex'), readHexVector('./bmp/frr-8.4.4.hex')];

const contexts: BgpContext[] = [
  { as4: true, addPath: new Set(), extendedMessage: true },
  { as4: false, addPath: new Set(['1/1', '2/1']), extendedMessage: false },
];

const update = encodeUpdate(
  {
    withdrawn: [{ prefix: '10.0.0.0/8' }],
    announced: [{ prefix: '198.51.100.0/24' }, { prefix: '192.0.2.128/25' }],
    mpReach: [{ afi: 2, safi: 1, nextHop: ['2001:db8::1'], routes: [{ prefix: '2001:db8:1::/48' }] }],
    mpUnreach: [{ afi: 1, safi: 128, raw: '70000001' }],
    attributes: {
      origin: 'igp',
      asPath: [{ type: 'sequence', asns: [65000, 4200000001] }],
      nextHop: '192.0.2.1',
      aggregator: { asn: 4200000001, address: '192.0.2.1' },
      communities: [1, 2],
      extCommunities: ['0002fde800000007'],
      largeCommunities: [[1, 2, 3]],
      clusterList: ['192.0.2.1'],
    },
  },
  contexts[0],
);
const open = encodeOpen({
  asn: 4200000001,
  holdTime: 90,
  bgpId: '192.0.2.1',
  capabilities: [
    { name: 'as4', asn: 4200000001 },
    { name: 'add-path', entries: [{ afi: 1, safi: 1, mode: 'both' }] },
    { name: 'graceful-restart', restarted: false, notification: true, time: 120, families: [] },
  ],
});

describe('hostile input', () => {
  it(`BGP: ${ROUNDS} mutations are a message or a refusal, of bounded size`, () => {
    const rnd = random(1);
    let read = 0;
    for (let i = 0; i < ROUNDS; i++) {
      const b = mutate(i % 2 === 0 ? update : open, rnd);
      if (i % 3 !== 0) b.fill(0xff, 0, 16);
      const m = decodeBgp(b, contexts[i & 1]);
      if (isDecodeError(m)) {
        expect(m.offset).toBeLessThanOrEqual(b.length);
        continue;
      }
      read++;
      // Nothing in a message is bigger than its bytes allow.
      if (m.kind === 'update') expect(m.withdrawn.length + m.announced.length).toBeLessThanOrEqual(b.length);
    }
    expect(read).toBeGreaterThan(ROUNDS / 10);
    expect(describeBgp(mutate(update, rnd)).length).toBeGreaterThan(0);
  });

  it(`BMP: ${ROUNDS} mutated messages through the machine never throw, and what they say is JSON`, () => {
    const rnd = random(2);
    const all = sessions.map(messages);
    const out: BmpEffect[] = [];
    let emitted = 0;
    let refused = 0;
    for (let i = 0; i < ROUNDS; ) {
      const session = all[Math.floor(rnd() * all.length)];
      const machine = new BmpMachine({ address: '192.0.2.1', port: 1, epoch: 1, maxPeers: 4, pathIds: 'auto' });
      for (const message of session) {
        const b = rnd() < 0.5 ? message : mutate(message, rnd);
        if (b !== message && rnd() < 0.8) message.copy(b, 0, 0, 6);
        machine.handle({ kind: 'message', bytes: b }, out);
        i++;
      }
      machine.handle({ kind: 'closed', reason: 'session-lost' }, out);
      expect(machine.peerCount).toBe(0);
      for (const e of out) {
        if (e.kind === 'emit') emitted++;
        if (e.kind === 'refuse') refused++;
        JSON.stringify(e);
      }
      out.length = 0;
    }
    expect(emitted).toBeGreaterThan(1000);
    expect(refused).toBeGreaterThan(1000);
  });

  it('describeBmp ends on any input', () => {
    const rnd = random(3);
    for (let i = 0; i < ROUNDS / 20; i++) describeBmp(mutate(sessions[i % sessions.length], rnd));
    expect(describeBmp(Buffer.alloc(0))).toEqual([]);
  });
});
