import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OidCache, oidBytes, oidText } from '../../../src/codec/ber/oid.ts';
import { BerReader } from '../../../src/codec/ber/reader.ts';
import { SEQUENCE } from '../../../src/codec/ber/tags.ts';
import { BerWriter } from '../../../src/codec/ber/writer.ts';
import { decodeEnvelope, decodePdu } from '../../../src/codec/snmp/decode.ts';
import { buildTrap, describeSnmp } from '../../../src/codec/snmp/describe.ts';
import { encodeMessage, responseTo, type VarBindInput } from '../../../src/codec/snmp/encode.ts';
import type { Envelope, Pdu, TrapV1Pdu } from '../../../src/codec/snmp/message.ts';
import { octetText, opaqueText } from '../../../src/codec/snmp/render.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import { builtinNaming } from '../../../src/mib/builtin.ts';

interface Vector {
  name: string;
  command: string;
  hex: string;
}
const { vectors } = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8')) as { vectors: Vector[] };
const vector = (name: string): Buffer => Buffer.from(vectors.find((v) => v.name === name)!.hex, 'hex');

function decode(buf: Buffer): { envelope: Envelope; pdu: Pdu | TrapV1Pdu } {
  const envelope = decodeEnvelope(buf);
  if (isDecodeError(envelope)) throw new Error(`${envelope.code} at ${envelope.offset} in ${envelope.layer}`);
  const pdu = decodePdu(buf, envelope);
  if (isDecodeError(pdu)) throw new Error(`${pdu.code} at ${pdu.offset} in ${pdu.layer}`);
  return { envelope, pdu };
}

/** The refusal of a message, by either step. */
function refusal(buf: Buffer): string {
  const d = describeSnmp(buf, builtinNaming());
  return d.ok ? 'accepted' : `${d.error.code}@${d.error.offset} ${d.error.layer}`;
}

const V = '1.3.6.1.4.1.8072.9999.1.';

describe('datagrams of Net-SNMP', () => {
  it('v2c trap with every type of the tool', () => {
    const { envelope, pdu } = decode(vector('v2c every type of the tool'));
    expect(envelope.version).toBe('v2c');
    expect(envelope.community.toString()).toBe('s3cret-community');
    const seen = pdu.varbinds.map((v) => [v.oid, v.type, v.value instanceof Uint8Array ? octetText(v.value) : v.value]);
    expect(seen).toEqual([
      ['1.3.6.1.2.1.1.3.0', 'timeticks', 4294967295],
      ['1.3.6.1.6.3.1.1.4.1.0', 'oid', '1.3.6.1.4.1.8072.2.3.0.1'],
      [`${V}1`, 'integer32', -2147483648],
      [`${V}2`, 'integer32', 2147483647],
      [`${V}3`, 'gauge32', 4294967295],
      [`${V}4`, 'counter32', 4294967295],
      [`${V}5`, 'counter64', '18446744073709551615'],
      [`${V}6`, 'timeticks', 4294967295],
      [`${V}7`, 'ip-address', '192.0.2.200'],
      [`${V}8`, 'oid', '1.3.6.1.4.1.4294967295.0'],
      [`${V}9`, 'null', undefined],
      [`${V}10`, 'octet-string', 'Zürich'],
      [`${V}11`, 'octet-string', '0xdeadbeef00'],
      // The tool sends BITS as the OCTET STRING they are.
      [`${V}12`, 'octet-string', '0x8140'],
      [`${V}13`, 'octet-string', '0x0102fa'],
      [`${V}14`, 'octet-string', ''],
      [`${V}15`, 'integer32', 0],
      [`${V}16`, 'counter64', '9223372036854775808'],
      [`${V}17`, 'counter64', '0'],
      [`${V}18`, 'opaque', '0x9f780440600000'],
      [`${V}19`, 'opaque', '0x9f79084002000000000000'],
      [`${V}20`, 'opaque', '0x9f7a01fb'],
      [`${V}21`, 'opaque', '0x9f7b0107'],
    ]);
    const opaque = pdu.varbinds.slice(-4).map((v) => opaqueText(v.value as Buffer));
    expect(opaque).toEqual(['3.5', '2.25', '-5', '7']);
  });

  it('v1 traps', () => {
    expect(describeSnmp(vector('v1 generic linkDown'), builtinNaming())).toEqual({
      ok: true,
      message: {
        version: 'v1',
        community_length: 6,
        pdu: 'trap-v1',
        enterprise: '1.3.6.1.4.1.8072.3.2.10',
        agent_address: '192.0.2.1',
        generic_trap: 2,
        specific_trap: 0,
        uptime_ticks: 4711,
        trap_oid: '1.3.6.1.6.3.1.1.5.3',
        trap_name: 'IF-MIB::linkDown',
        varbinds: [{ oid: '1.3.6.1.2.1.2.2.1.1.3', name: 'IF-MIB::ifIndex.3', type: 'integer32', value: 3 }],
      },
    });
    const { pdu } = decode(vector('v1 enterprise specific'));
    expect(pdu).toMatchObject({ genericTrap: 6, specificTrap: 17, agentAddress: '198.51.100.7', timestamp: 99 });
  });

  it('OIDs under arc 2', () => {
    const { pdu } = decode(vector('v2c OID 2.999.1'));
    expect(pdu.varbinds.slice(2).map((v) => v.value)).toEqual(['2.999.1', '2.39', '0.0']);
  });

  it('a datagram over one fragment, and a v3 message', () => {
    expect((decode(vector('v2c 1500 octets long')).pdu.varbinds[2].value as Buffer).length).toBe(1500);
    const d = describeSnmp(vector('v3 noAuthNoPriv'), builtinNaming());
    expect(d.ok && d.message).toMatchObject({
      version: 'v3',
      security_model: 'usm',
      level: 'noAuthNoPriv',
      flags: { auth: false, priv: false, reportable: false },
      pdu: 'trap',
    });
  });

  it('every message is encoded again as it was', () => {
    const same = vectors.filter((v) => /^v2c/.test(v.name) && !v.name.includes('inform'));
    expect(same.length).toBeGreaterThan(3);
    for (const { hex } of same) {
      const buf = Buffer.from(hex, 'hex');
      const { envelope, pdu } = decode(buf);
      if (pdu.pdu === 'trap-v1') continue;
      const again = encodeMessage({
        pdu: 'trap',
        community: envelope.community,
        requestId: pdu.requestId,
        varbinds: pdu.varbinds,
      });
      // Lengths may be longer than needed on the wire, so compare what is said.
      expect(describeSnmp(again, builtinNaming())).toEqual(describeSnmp(buf, builtinNaming()));
    }
  });

  it('the Response repeats community, request-id and varbinds octet for octet', () => {
    const buf = vector('v2c inform linkUp');
    const { envelope, pdu } = decode(buf);
    const response = responseTo(buf, envelope, pdu as Pdu);
    const back = decode(response);
    expect(back.pdu).toEqual({ ...pdu, pdu: 'response' });
    expect(response.length).toBe(buf.length);
    const differing = [...buf.keys()].filter((i) => buf[i] !== response[i]);
    expect(differing).toEqual([envelope.pduOffset]);
  });

  it('the Response has no error even where the inform has one', () => {
    const buf = encodeMessage({
      pdu: 'inform',
      community: 'c',
      requestId: -7,
      errorStatus: 300,
      errorIndex: 4,
      varbinds: [],
    });
    const { envelope, pdu } = decode(buf);
    expect(pdu).toMatchObject({ errorStatus: 300, errorIndex: 4 });
    expect(decode(responseTo(buf, envelope, pdu as Pdu)).pdu).toMatchObject({
      pdu: 'response',
      requestId: -7,
      errorStatus: 0,
      errorIndex: 0,
    });
  });
});

describe('refusals', () => {
  const good = buildTrap({
    version: 'v2c',
    community: 'public',
    trapOid: '1.3.6.1.6.3.1.1.5.3',
    uptime: 1,
    varbinds: [{ oid: `${V}1`, type: 'integer32', value: 5 }],
  });

  it('accepts the message the others are made of', () => {
    expect(refusal(good)).toBe('accepted');
  });

  it('every shorter datagram is truncated; every longer one has trailing octets', () => {
    for (let n = 0; n < good.length; n++) expect(refusal(good.subarray(0, n))).toMatch(/^truncated@/);
    expect(refusal(Buffer.concat([good, Buffer.of(0)]))).toBe(`trailing@${good.length} message`);
  });

  it('names code, octet and layer', () => {
    const value = (hex: string): Buffer => {
      const w = new BerWriter();
      w.raw(Buffer.from(hex, 'hex')).oid('1.3').wrap(SEQUENCE, 0).wrap(SEQUENCE, 0);
      return message(w.done());
    };
    const message = (list: Buffer): Buffer => {
      const w = new BerWriter();
      w.raw(list).integer32(0).integer32(0).integer32(1).wrap(0xa7, 0);
      return w.octetString(Buffer.from('c')).integer32(1).wrap(SEQUENCE, 0).done();
    };
    // SEQUENCE, version, community and PDU header take 10 octets, three INTEGERs 9, two SEQUENCE headers 4, the OID 3.
    const at = 26;
    expect(refusal(value('0500'))).toBe('accepted');
    for (const [hex, code, offset] of [
      ['0200', 'length', at + 2],
      ['02050100000000', 'range', at + 2],
      ['4203ffffff', 'accepted', 0],
      ['42050100000000', 'range', at + 2],
      ['420500ffffffff', 'accepted', 0],
      ['4608ffffffffffffffff', 'accepted', 0],
      ['4609010000000000000000', 'range', at + 2],
      ['4003c00002', 'length', at + 2],
      ['4005c000020101', 'length', at + 2],
      ['0600', 'value', at + 2],
      ['06022b80', 'value', at + 2],
      ['06032b8001', 'value', at + 2],
      ['06062b9f80808000', 'value', at + 2],
      ['0501ff', 'length', at + 2],
      ['0480', 'length', at + 1],
      ['0485000000000141', 'length', at + 1],
      ['040541', 'length', at + 1],
      ['040141ff', 'trailing', at + 3],
      ['4100', 'length', at + 2],
      ['0300', 'value', at + 2],
      ['030108', 'value', at + 2],
      ['1f0100', 'tag', at],
      ['2403040141', 'tag', at],
      ['', 'truncated', at],
      ['8000', 'accepted', 0],
      ['8200', 'accepted', 0],
    ] as const) {
      const expected = code === 'accepted' ? code : `${code}@${offset} variable-bindings`;
      expect(`${hex}: ${refusal(value(hex))}`).toBe(`${hex}: ${expected}`);
    }
  });

  it('at most 256 varbinds', () => {
    const binds = (n: number): VarBindInput[] => new Array<VarBindInput>(n).fill({ oid: '1.3', type: 'null' });
    const of = (n: number): Buffer => encodeMessage({ pdu: 'trap', community: 'c', requestId: 1, varbinds: binds(n) });
    expect(refusal(of(256))).toBe('accepted');
    expect(refusal(of(257))).toMatch(/^limit@/);
  });

  it('not deeper than 8', () => {
    const nest = (n: number): Buffer => {
      const w = new BerWriter();
      for (let i = 0; i < n; i++) w.wrap(SEQUENCE, 0);
      return w.done();
    };
    const enterAll = (n: number): string | undefined => {
      const r = new BerReader(nest(n), 'test');
      for (let i = 0; i < n; i++) r.enter(SEQUENCE);
      return r.error?.code;
    };
    expect(enterAll(8)).toBeUndefined();
    expect(enterAll(9)).toBe('depth');
  });
});

describe('object identifiers', () => {
  const subIds = fc.oneof(
    fc.integer({ min: 0, max: 0xffffffff }),
    fc.constantFrom(0, 1, 39, 40, 127, 128, 16383, 16384, 0xffffffff),
  );
  const oid = fc.oneof(
    fc.tuple(fc.constantFrom(0, 1), fc.integer({ min: 0, max: 39 }), fc.array(subIds, { maxLength: 20 })),
    fc.tuple(fc.constant(2), subIds, fc.array(subIds, { maxLength: 20 })),
  );

  it('text and octets are each other’s inverse, with and without the cache', () => {
    const cache = new OidCache(3);
    fc.assert(
      fc.property(oid, ([a, b, rest]) => {
        const text = [a, b, ...rest].join('.');
        const bytes = oidBytes(text)!;
        expect(oidText(bytes, 0, bytes.length)).toBe(text);
        expect(cache.text(bytes, 0, bytes.length)).toBe(text);
        expect(cache.text(bytes, 0, bytes.length)).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });

  it('has the bounds of SMI', () => {
    const of = (n: number): string => ['1', ...new Array<string>(n - 1).fill('3')].join('.');
    expect(oidBytes(of(128))!.length).toBe(127);
    expect(oidBytes(of(129))).toBeUndefined();
    const long = Buffer.alloc(128, 3);
    expect(oidText(long, 0, 127)?.split('.')).toHaveLength(128);
    expect(oidText(long, 0, 128)).toBeUndefined();
    for (const bad of ['', '1', '3.1', '1.40', '1.x', '1..3', '1.3.4294967296']) expect(oidBytes(bad)).toBeUndefined();
    expect(oidBytes('.1.3.6')).toEqual(Buffer.of(0x2b, 6));
  });
});

describe('octets as text', () => {
  it.each([
    ['', ''],
    ['68690d0a', 'hi\r\n'],
    ['5ac3bc', 'Zü'],
    ['6869 00', '0x686900'],
    ['c328', '0xc328'],
    ['c285', '0xc285'],
    ['7f', '0x7f'],
    ['1b5b6d', '0x1b5b6d'],
    // The text "0x41" would read as the octet 0x41.
    ['30783431', '0x30783431'],
    ['30787a7a', '0xzz'],
    ['f09f9a80', '🚀'],
  ])('%s', (bytes, text) => {
    expect(octetText(Buffer.from(bytes.replace(' ', ''), 'hex'))).toBe(text);
  });

  it('two different octet strings never have the same text', () => {
    const read = (text: string): Buffer =>
      /^0x([0-9a-f]{2})*$/.test(text) ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text);
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 12 }),
          fc.string({ unit: 'grapheme' }).map((s) => Buffer.from(s)),
        ),
        (b) => {
          expect(read(octetText(Buffer.from(b)))).toEqual(Buffer.from(b));
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('buildTrap', () => {
  it('v1: takes the trap OID apart', () => {
    const of = (trapOid: string): unknown =>
      decode(buildTrap({ version: 'v1', community: 'c', trapOid, uptime: 9, varbinds: [], agentAddress: '192.0.2.9' }))
        .pdu;
    expect(of('1.3.6.1.6.3.1.1.5.3')).toMatchObject({
      genericTrap: 2,
      specificTrap: 0,
      agentAddress: '192.0.2.9',
      timestamp: 9,
    });
    expect(of('1.3.6.1.4.1.9.0.7')).toMatchObject({ enterprise: '1.3.6.1.4.1.9', genericTrap: 6, specificTrap: 7 });
    expect(of('1.3.6.1.4.1.9.3.7')).toMatchObject({ enterprise: '1.3.6.1.4.1.9.3', genericTrap: 6, specificTrap: 7 });
  });

  it('refuses what v1 has not', () => {
    const t = { version: 'v1', community: 'c', trapOid: '1.3.6.1', uptime: 0 } as const;
    expect(() => buildTrap({ ...t, varbinds: [], inform: true })).toThrow(RangeError);
    expect(() => buildTrap({ ...t, varbinds: [{ oid: '1.3', type: 'counter64', value: 1n }] })).toThrow(RangeError);
  });
});
