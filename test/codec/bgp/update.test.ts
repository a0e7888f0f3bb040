import { describe, expect, it } from 'vitest';
import { type BgpContext, decodeUpdate, encodeUpdate, type UpdateMessage } from '../../../src/codec/bgp/index.ts';
import { isDecodeError } from '../../../src/core/result.ts';

const AS4: BgpContext = { as4: true, addPath: new Set(), extendedMessage: false };
const AS2: BgpContext = { ...AS4, as4: false };

/** An UPDATE of three fields given as hex. */
function raw(withdrawn: string, attributes: string, nlri: string): Buffer {
  const part = (hex: string) => {
    const b = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    const length = Buffer.alloc(2);
    length.writeUInt16BE(b.length);
    return Buffer.concat([length, b]);
  };
  const body = Buffer.concat([part(withdrawn), part(attributes), Buffer.from(nlri.replaceAll(' ', ''), 'hex')]);
  const head = Buffer.alloc(19, 0xff);
  head.writeUInt16BE(19 + body.length, 16);
  head[18] = 2;
  return Buffer.concat([head, body]);
}

function decode(buf: Buffer, ctx = AS4): UpdateMessage {
  const m = decodeUpdate(buf, ctx);
  if (isDecodeError(m)) throw new Error(`${m.code} in ${m.layer} at ${m.offset}`);
  return m;
}

const ORIGIN = '400101 00';
const PATH = '400206 0201 0000fde8';
const NEXT_HOP = '400304 c0000201';
const GOOD = `${ORIGIN}${PATH}${NEXT_HOP}`;
const NLRI = '18 c63364';

describe('End-of-RIB (RFC 4724)', () => {
  it.each([
    ['an empty UPDATE', raw('', '', ''), '1/1'],
    ['an empty MP_UNREACH for IPv6', raw('', '800f03 000201', ''), '2/1'],
    ['an empty MP_UNREACH for VPNv4, extended length', raw('', '900f0003 000180', ''), '1/128'],
    ['an IPv4 withdraw', raw(NLRI, '', ''), undefined],
    ['an IPv4 announcement', raw('', GOOD, NLRI), undefined],
    ['an IPv6 withdraw', raw('', '800f0a 000201 30 20010db80001', ''), undefined],
    ['MP_UNREACH beside another attribute', raw('', `${ORIGIN}800f03 000201`, ''), undefined],
    ['two families at once', raw('', '800f03 000201 800f03 000101', ''), undefined],
  ])('%s', (_name, bytes, eor) => {
    expect(decode(bytes).eor).toBe(eor);
  });
});

describe('everything of one UPDATE is read', () => {
  it('withdrawn routes, MP_UNREACH, NLRI and MP_REACH together', () => {
    const m = decode(
      raw(
        '08 0a',
        `800f0a 000201 30 20010db80001 800e1c 000201 10 20010db8000000000000000000000001 00 30 20010db80002 ${GOOD}`,
        NLRI,
      ),
    );
    expect(m.problems).toBeUndefined();
    expect(m.withdrawn).toEqual([{ prefix: '10.0.0.0/8' }]);
    expect(m.mpUnreach).toEqual([{ afi: 2, safi: 1, routes: [{ prefix: '2001:db8:1::/48' }] }]);
    expect(m.announced).toEqual([{ prefix: '198.51.100.0/24' }]);
    expect(m.mpReach).toEqual([{ afi: 2, safi: 1, nextHop: ['2001:db8::1'], routes: [{ prefix: '2001:db8:2::/48' }] }]);
  });

  it('several MP_UNREACH: all are there, and the message is faulty', () => {
    const m = decode(raw('', '800f0a 000201 30 20010db80001 800f0a 000201 30 20010db80002', ''));
    expect(m.mpUnreach.map((u) => u.routes?.[0].prefix)).toEqual(['2001:db8:1::/48', '2001:db8:2::/48']);
    expect(m.problems).toMatchObject([{ class: 'session-reset', attribute: 15, subcode: 1 }]);
  });

  it('path identifiers only in the families that have them', () => {
    const ctx = { ...AS4, addPath: new Set(['1/1']) };
    const m = decode(raw('00000007 08 0a', '800f0a 000201 30 20010db80001', ''), ctx);
    expect(m.withdrawn).toEqual([{ prefix: '10.0.0.0/8', pathId: 7 }]);
    expect(m.mpUnreach[0].routes).toEqual([{ prefix: '2001:db8:1::/48' }]);
  });

  it('bits behind the prefix have no meaning', () => {
    expect(decode(raw('09 0aff', '', '')).withdrawn).toEqual([{ prefix: '10.128.0.0/9' }]);
    expect(decode(raw('', '800f07 000201 21 20010db8ff'.replace('0f07', '0f09'), '')).mpUnreach[0].routes).toEqual([
      { prefix: '2001:db8:8000::/33' },
    ]);
  });

  it('an IPv4 route with an IPv6 next hop (RFC 8950)', () => {
    const m = decode(raw('', `800e19 000101 10 20010db8000000000000000000000001 00 18 c63364 ${ORIGIN}${PATH}`, ''));
    expect(m.mpReach).toEqual([{ afi: 1, safi: 1, nextHop: ['2001:db8::1'], routes: [{ prefix: '198.51.100.0/24' }] }]);
    expect(m.problems).toBeUndefined();
  });
});

describe('RFC 7606 classes', () => {
  const withdraw = 'treat-as-withdraw';
  const discard = 'attribute-discard';
  const reset = 'session-reset';
  it.each([
    ['ORIGIN of two bytes', `400102 0000${PATH}${NEXT_HOP}`, NLRI, withdraw, 1, 5],
    ['ORIGIN 3', `400101 03${PATH}${NEXT_HOP}`, NLRI, withdraw, 1, 6],
    ['ORIGIN flagged optional', `c00101 00${PATH}${NEXT_HOP}`, NLRI, withdraw, 1, 4],
    ['AS_PATH with an unknown segment', `${ORIGIN}400206 0901 0000fde8${NEXT_HOP}`, NLRI, withdraw, 2, 11],
    ['AS_PATH with an empty segment', `${ORIGIN}400202 0200${NEXT_HOP}`, NLRI, withdraw, 2, 11],
    ['AS_PATH that overruns', `${ORIGIN}400206 0202 0000fde8${NEXT_HOP}`, NLRI, withdraw, 2, 11],
    ['NEXT_HOP of 16 bytes', `${ORIGIN}${PATH}400310 ${'00'.repeat(16)}`, NLRI, withdraw, 3, 5],
    ['MED of two bytes', `${GOOD}800402 0001`, NLRI, withdraw, 4, 5],
    ['LOCAL_PREF of one byte', `${GOOD}400501 01`, NLRI, withdraw, 5, 5],
    ['ATOMIC_AGGREGATE with content', `${GOOD}400601 00`, NLRI, discard, 6, 5],
    ['AGGREGATOR of six bytes', `${GOOD}c00706 fde8c0000201`, NLRI, discard, 7, 5],
    ['COMMUNITIES of three bytes', `${GOOD}c00803 000000`, NLRI, withdraw, 8, 5],
    ['empty COMMUNITIES', `${GOOD}c00800`, NLRI, withdraw, 8, 5],
    ['ORIGINATOR_ID of five bytes', `${GOOD}800905 0000000000`, NLRI, withdraw, 9, 5],
    ['CLUSTER_LIST of two bytes', `${GOOD}800a02 0000`, NLRI, withdraw, 10, 5],
    ['EXTENDED_COMMUNITIES of four bytes', `${GOOD}c01004 00000000`, NLRI, withdraw, 16, 5],
    ['AS4_PATH malformed', `${GOOD}c01102 0200`, NLRI, discard, 17, 5],
    ['AS4_AGGREGATOR of seven bytes', `${GOOD}c01207 00000000000000`, NLRI, discard, 18, 5],
    ['LARGE_COMMUNITY of eight bytes', `${GOOD}c02008 0000000000000000`, NLRI, withdraw, 32, 5],
    ['a repeated attribute', `${GOOD}${ORIGIN}`, NLRI, discard, 1, 1],
    ['an attribute that overruns the field', `${GOOD}c008ff 00000000`, NLRI, withdraw, 8, 1],
    ['an unknown well-known attribute', `${GOOD}406300`, NLRI, reset, 99, 2],
    ['ORIGIN missing', `${PATH}${NEXT_HOP}`, NLRI, withdraw, 1, 3],
    ['NEXT_HOP missing', `${ORIGIN}${PATH}`, NLRI, withdraw, 3, 3],
    ['a prefix of 33 bits', GOOD, '21 c633640000', reset, 0, 10],
    ['a prefix that is cut off', GOOD, '18 c633', reset, 0, 10],
    ['MP_REACH with a next hop of 5 bytes', `${ORIGIN}${PATH}800e0a 000201 05 0000000000 00`, '', reset, 14, 9],
    ['MP_UNREACH too short', '800f02 0002', '', reset, 15, 9],
    ['MP_UNREACH with a prefix of 129 bits', `800f15 000201 81 ${'00'.repeat(17)}`, '', reset, 15, 9],
  ])('%s', (_name, attributes, nlri, cls, attribute, subcode) => {
    const m = decode(raw('', attributes, nlri));
    expect(m.problems).toHaveLength(1);
    expect(m.problems).toMatchObject([{ class: cls, attribute, subcode }]);
  });

  it('a message whose parts cannot be told apart is refused', () => {
    const short = raw('', GOOD, '');
    short.writeUInt16BE(GOOD.length, 21);
    expect(decodeUpdate(short, AS4)).toMatchObject({ ok: false, code: 'length', layer: 'bgp.update', offset: 21 });
    expect(decodeUpdate(raw('', '', '').fill(0xff, 19, 21), AS4)).toMatchObject({ ok: false, offset: 19 });
  });
});

describe('AS4_PATH (RFC 6793 4.2.3)', () => {
  const path = (...asns: number[]) => [{ type: 'sequence', asns }];
  it.each([
    [
      'replaces what the old speaker could not carry',
      '0203 fde8 5ba0 5ba0',
      '0202 00010000 00010001',
      path(65000, 65536, 65537),
    ],
    ['is ignored where it is longer', '0201 fde8', '0202 00010000 00010001', path(65000)],
    ['replaces all where it is as long', '0201 5ba0', '0201 00010000', path(65536)],
  ])('%s', (_name, asPath, as4Path, expected) => {
    const attr = (flagsType: string, hex: string) => {
      const bytes = hex.replaceAll(' ', '');
      return `${flagsType}${(bytes.length / 2).toString(16).padStart(2, '0')}${bytes}`;
    };
    const m = decode(raw('', `${ORIGIN}${attr('4002', asPath)}${NEXT_HOP}${attr('c011', as4Path)}`, NLRI), AS2);
    expect(m.problems).toBeUndefined();
    expect(m.attributes.asPath).toEqual(expected);
  });

  it('is ignored, with AS4_AGGREGATOR, where another speaker aggregated since', () => {
    const as4 = 'c01106 0201 00010000 c01208 00010000 c0000209';
    const m = decode(raw('', `${ORIGIN}400204 0201 5ba0${NEXT_HOP}c00706 fde8c0000201${as4}`, NLRI), AS2);
    expect(m.attributes.asPath).toEqual(path(23456));
    expect(m.attributes.aggregator).toEqual({ asn: 65000, address: '192.0.2.1' });
  });

  it('is no business of a four-byte session', () => {
    const m = decode(raw('', `${GOOD}c01106 0201 00010000`, NLRI));
    expect(m.attributes.asPath).toEqual(path(65000));
  });

  it('is written only where a number does not fit', () => {
    const parts = (asn: number) => ({
      announced: [{ prefix: '198.51.100.0/24' }],
      attributes: {
        origin: 'igp' as const,
        asPath: [{ type: 'sequence' as const, asns: [asn] }],
        nextHop: '192.0.2.1',
      },
    });
    expect(encodeUpdate(parts(65000), AS2).includes(Buffer.from('c011', 'hex'))).toBe(false);
    expect(encodeUpdate(parts(65536), AS2).includes(Buffer.from('c01106020100010000', 'hex'))).toBe(true);
  });
});
