/** What was decoded before is what is decoded now. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEnvelope, decodePdu } from '../../../src/codec/snmp/decode.ts';
import { encodeMessage, type VarBindInput } from '../../../src/codec/snmp/encode.ts';
import { VarBindCache } from '../../../src/codec/snmp/varbind-cache.ts';
import { isDecodeError } from '../../../src/core/result.ts';

function decoded(varbinds: VarBindInput[]) {
  const datagram = encodeMessage({ pdu: 'trap', community: 'c', requestId: 1, varbinds });
  const envelope = decodeEnvelope(datagram);
  if (isDecodeError(envelope)) throw new Error(envelope.code);
  const pdu = decodePdu(datagram, envelope);
  if (isDecodeError(pdu) || pdu.pdu === 'trap-v1') throw new Error('not a trap');
  // The receiver's memory is used again for the next datagram.
  datagram.fill(0xdb);
  return pdu.varbinds;
}

const bind = (start: number, end: number, value: number) =>
  ({ oid: '1.3', type: 'integer32', value, start, end }) as const;

describe('varbinds that were decoded before', () => {
  it('are equal to those decoded anew', () => {
    const oid = fc.constantFrom('1.3.6.1.2.1.2.2.1.7.1', '1.3.6.1.2.1.2.2.1.7.2', '1.3.6.1.4.1.99999.7');
    const one = fc.oneof(
      fc.record({ oid, type: fc.constant('integer32' as const), value: fc.integer({ min: -1, max: 3 }) }),
      fc.record({ oid, type: fc.constant('oid' as const), value: oid }),
      fc.record({ oid, type: fc.constant('ip-address' as const), value: fc.constantFrom('10.0.0.1', '10.0.0.2') }),
      fc.record({ oid, type: fc.constant('null' as const) }),
    );
    fc.assert(
      fc.property(fc.array(one, { maxLength: 20 }), (varbinds) => {
        const got = decoded(varbinds).map(({ oid, type, value }) => ({ oid, type, value }));
        expect(got).toEqual(varbinds.map((v) => ({ value: undefined, ...v })));
      }),
      { numRuns: 500 },
    );
  });

  it('octets of one met before do not change with the memory they were first read from', () => {
    const octets: VarBindInput = { oid: '1.3.6.1.2.1.1.5.0', type: 'octet-string', value: Buffer.from('router-1') };
    decoded([octets]);
    expect((decoded([octets])[0].value as Buffer).toString()).toBe('router-1');
    expect((decoded([octets])[0].value as Buffer).toString()).toBe('router-1');
  });

  it('one that is used survives a few that want its place, and not more', () => {
    const cache = new VarBindCache(0);
    const b = Buffer.from([1, 2, 3, 4]);
    cache.keep(b, bind(0, 2, 7));
    expect(cache.find(b, 0, 2)?.value).toBe(7);
    expect(cache.find(b, 2, 4)).toBeUndefined();
    expect(cache.find(b, 0, 3)).toBeUndefined();
    cache.keep(b, bind(2, 4, 8));
    expect(cache.find(b, 0, 2)?.value).toBe(7);
    for (let i = 0; i < 4; i++) cache.keep(b, bind(2, 4, 8));
    expect(cache.find(b, 0, 2)).toBeUndefined();
    expect(cache.find(b, 2, 4)?.value).toBe(8);
  });

  it('long ones and numbers that do not come again are not kept', () => {
    const cache = new VarBindCache(0);
    const b = Buffer.alloc(400, 1);
    cache.keep(b, bind(0, 400, 7));
    expect(cache.find(b, 0, 400)).toBeUndefined();
    cache.keep(b, { ...bind(0, 4, 7), type: 'counter32' });
    expect(cache.find(b, 0, 4)).toBeUndefined();
  });
});
