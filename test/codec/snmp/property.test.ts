import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEnvelope, decodePdu } from '../../../src/codec/snmp/decode.ts';
import { describeSnmp } from '../../../src/codec/snmp/describe.ts';
import { encodeMessage, responseTo, type VarBindInput } from '../../../src/codec/snmp/encode.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import { builtinNaming } from '../../../src/mib/builtin.ts';

const { vectors } = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8')) as {
  vectors: { hex: string }[];
};
const seeds = vectors.map((v) => Buffer.from(v.hex, 'hex')).filter((b) => b.length < 1000);

const u32 = fc.oneof(
  fc.integer({ min: 0, max: 0xffffffff }),
  fc.constantFrom(0, 127, 128, 255, 256, 0x7fffffff, 0x80000000, 0xffffffff),
);
const i32 = fc.oneof(
  fc.integer({ min: -0x80000000, max: 0x7fffffff }),
  fc.constantFrom(0, -1, 127, 128, -128, -129, 0x7fffffff, -0x80000000),
);
const bytes = fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b));
const oid = fc
  .tuple(fc.constantFrom('0.0', '1.3', '2.999', '2.4294967295'), fc.array(u32, { maxLength: 12 }))
  .map(([head, rest]) => [head, ...rest].join('.'));
const ip = fc
  .tuple(...(new Array(4).fill(fc.integer({ min: 0, max: 255 })) as fc.Arbitrary<number>[]))
  .map((p) => p.join('.'));
const value: fc.Arbitrary<Omit<VarBindInput, 'oid'>> = fc.oneof(
  fc.record({ type: fc.constant('integer32' as const), value: i32 }),
  fc.record({
    type: fc.constantFrom('unsigned32' as const, 'gauge32' as const, 'counter32' as const, 'timeticks' as const),
    value: u32,
  }),
  fc.record({
    type: fc.constant('counter64' as const),
    value: fc
      .oneof(
        fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
        fc.constantFrom(0n, 0x80n, 1n << 53n, 1n << 63n, (1n << 64n) - 1n),
      )
      .map(String),
  }),
  fc.record({ type: fc.constantFrom('octet-string' as const, 'opaque' as const, 'bits' as const), value: bytes }),
  fc.record({ type: fc.constant('oid' as const), value: oid }),
  fc.record({ type: fc.constant('ip-address' as const), value: ip }),
  fc.constant({ type: 'null' as const, value: undefined }),
);
const varbinds = fc.array(
  fc.tuple(oid, value).map(([o, v]): VarBindInput => ({ oid: o, ...v })),
  { maxLength: 12 },
);

describe('round trip', () => {
  it('v2c', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('trap' as const, 'inform' as const, 'response' as const),
        bytes,
        i32,
        varbinds,
        (pdu, community, requestId, list) => {
          const buf = encodeMessage({ pdu, community, requestId, varbinds: list });
          const e = decodeEnvelope(buf);
          if (isDecodeError(e)) throw new Error(e.code);
          expect(e.community).toEqual(community);
          const p = decodePdu(buf, e);
          expect(p).toMatchObject({ ok: true, pdu, requestId, errorStatus: 0, errorIndex: 0 });
          if (isDecodeError(p)) return;
          expect(p.varbinds.map(({ oid: o, type, value: v }) => ({ oid: o, type, value: v }))).toEqual(list);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('v1', () => {
    fc.assert(
      fc.property(
        oid,
        ip,
        fc.integer({ min: 0, max: 6 }),
        i32,
        u32,
        varbinds,
        (enterprise, agentAddress, genericTrap, specificTrap, timestamp, list) => {
          const head = { pdu: 'trap-v1' as const, enterprise, agentAddress, genericTrap, specificTrap, timestamp };
          const buf = encodeMessage({ ...head, community: 'c', varbinds: list });
          const e = decodeEnvelope(buf);
          if (isDecodeError(e)) throw new Error(e.code);
          const p = decodePdu(buf, e);
          expect(p).toMatchObject(head);
          if (isDecodeError(p)) return;
          expect(p.varbinds.map(({ oid: o, type, value: v }) => ({ oid: o, type, value: v }))).toEqual(list);
        },
      ),
      { numRuns: 500 },
    );
  });
});

type Mutation = (b: Buffer) => Buffer;
// Uniform: with bias most changes would fall on the first octet.
const at = fc.noBias(fc.integer({ min: 0, max: 65_535 })).map((n) => n / 65_536);
const put = (b: Buffer, x: number, change: (old: number) => number): Buffer => {
  const i = Math.floor(x * b.length);
  if (b.length > 0) b[i] = change(b[i]);
  return b;
};
const insert = (b: Buffer, x: number, more: Uint8Array): Buffer => {
  const i = Math.floor(x * b.length);
  return Buffer.concat([b.subarray(0, i), more, b.subarray(i)]);
};
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  // A flip keeps the lengths around it, and so gets deepest.
  {
    weight: 6,
    arbitrary: fc.tuple(at, fc.integer({ min: 0, max: 7 })).map(
      ([x, bit]): Mutation =>
        (b) =>
          put(b, x, (old) => old ^ (1 << bit)),
    ),
  },
  at.map(
    (x): Mutation =>
      (b) =>
        b.subarray(0, Math.floor(x * b.length)),
  ),
  fc.tuple(at, fc.constantFrom(0x00, 0x30, 0x7f, 0x80, 0x81, 0x82, 0x84, 0x85, 0xff)).map(
    ([x, v]): Mutation =>
      (b) =>
        put(b, x, () => v),
  ),
  fc.tuple(at, fc.uint8Array({ maxLength: 8 })).map(
    ([x, more]): Mutation =>
      (b) =>
        insert(b, x, more),
  ),
  fc.tuple(at, fc.integer({ min: 1, max: 60 })).map(
    ([x, depth]): Mutation =>
      (b) =>
        insert(b, x, Buffer.alloc(2 * depth, Buffer.of(0x30, 0x7f))),
  ),
);

describe('hostile input', () => {
  it('is answered with a message or an error inside the datagram, and never throws', () => {
    let accepted = 0;
    let refused = 0;
    fc.assert(
      fc.property(fc.constantFrom(...seeds), fc.array(mutation, { minLength: 1, maxLength: 3 }), (seed, steps) => {
        let b: Buffer = Buffer.from(seed);
        for (const s of steps) b = s(b);
        const before = Buffer.from(b);
        const d = describeSnmp(b, builtinNaming());
        // Decoding only reads.
        if (!before.equals(b)) throw new Error('the datagram was written to');
        if (!d.ok) {
          refused++;
          if (d.error.offset < 0 || d.error.offset > b.length)
            throw new Error(`offset ${d.error.offset} of ${b.length}`);
          return;
        }
        accepted++;
        JSON.stringify(d.message);
        if (d.message.version === 'v3') return;
        const e = decodeEnvelope(b);
        if (isDecodeError(e)) throw new Error('decoded differently');
        const p = decodePdu(b, e);
        if (isDecodeError(p) || p.pdu === 'trap-v1') return;
        // What is accepted as an inform must be answerable.
        const response = decodeEnvelope(responseTo(b, e, p));
        if (isDecodeError(response)) throw new Error('the Response is no message');
      }),
      { numRuns: 20_000 },
    );
    expect(accepted).toBeGreaterThan(1000);
    expect(refused).toBeGreaterThan(5000);
  });

  it('random octets behind a valid envelope', () => {
    fc.assert(
      fc.property(fc.constantFrom(0xa4, 0xa6, 0xa7), fc.uint8Array({ maxLength: 100 }), (tag, junk) => {
        const head = Buffer.from([0x02, 1, tag === 0xa4 ? 0 : 1, 0x04, 1, 0x63, tag, junk.length]);
        const b = Buffer.concat([Buffer.of(0x30, head.length + junk.length), head, junk]);
        const d = describeSnmp(b, builtinNaming());
        if (!d.ok) expect(d.error.offset).toBeLessThanOrEqual(b.length);
      }),
      { numRuns: 2000 },
    );
  });
});
