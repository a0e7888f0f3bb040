import { describe, expect, it } from 'vitest';
import { describeBgp } from '../../../src/codec/bgp/describe.ts';
import { encodeKeepalive, encodeNotification, encodeOpen, encodeUpdate } from '../../../src/codec/bgp/index.ts';
import { describeBmp, sampleSession } from '../../../src/codec/bmp/describe.ts';
import {
  decodeBmp,
  encodeInitiation,
  encodePeerDown,
  encodePeerUp,
  encodeRouteMirroring,
  encodeRouteMonitoring,
  encodeStats,
  encodeTermination,
  monitoringContext,
  PEER_LOC_RIB,
  PEER_RD,
  type PeerInput,
  peerIdentity,
  peerKey,
  ribView,
} from '../../../src/codec/bmp/index.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import { readHexVector } from '../../vectors/hex.ts';

const peer: PeerInput = { address: '192.0.2.2', asn: 65001, bgpId: '192.0.2.2', sec: 1_700_000_000, usec: 5 };
const v6: PeerInput = { ...peer, address: '2001:db8::2', postPolicy: true };
const open = (asn: number) =>
  encodeOpen({ asn, holdTime: 90, bgpId: '192.0.2.1', capabilities: [{ name: 'as4', asn }] });

function decode(bytes: Buffer) {
  const m = decodeBmp(bytes);
  if (isDecodeError(m)) throw new Error(`${m.code} in ${m.layer} at ${m.offset}`);
  return m;
}

describe('each message type, both ways', () => {
  it('Initiation and Termination', () => {
    const init = decode(encodeInitiation({ sysName: 'r1', sysDescr: 'd', strings: ['s'] }));
    expect(init).toMatchObject({ kind: 'initiation' });
    expect('tlvs' in init && init.tlvs?.map((t) => [t.type, t.value.toString()])).toEqual([
      [1, 'd'],
      [2, 'r1'],
      [0, 's'],
    ]);
    expect(decode(encodeTermination({ reason: 3 }))).toMatchObject({ kind: 'termination', tlvs: [{ type: 1 }] });
  });

  it('Peer Up of IPv4 and IPv6 peers', () => {
    const up = { localPort: 179, remotePort: 4711, sentOpen: open(65000), receivedOpen: open(65001) };
    expect(decode(encodePeerUp({ peer, localAddress: '192.0.2.1', ...up }))).toMatchObject({
      kind: 'peer-up',
      localAddress: '192.0.2.1',
      localPort: 179,
      remotePort: 4711,
    });
    const m = decode(encodePeerUp({ peer: v6, localAddress: '2001:db8::1', ...up }));
    if (m.kind !== 'peer-up') throw new Error(m.kind);
    expect(m.localAddress).toBe('2001:db8::1');
    expect(peerIdentity(m.peer)).toEqual({ type: 'global', address: '2001:db8::2', asn: 65001, bgpId: '192.0.2.2' });
    expect(m.sentOpen.equals(up.sentOpen) && m.receivedOpen.equals(up.receivedOpen)).toBe(true);
    expect([m.peer.sec, m.peer.usec]).toEqual([1_700_000_000, 5]);
  });

  it('Peer Down, every reason', () => {
    const notification = encodeNotification({ code: 6, subcode: 2 });
    expect(decode(encodePeerDown({ peer, reason: 1, notification }))).toMatchObject({ reason: 1, notification });
    expect(decode(encodePeerDown({ peer, reason: 2, fsmEvent: 24 }))).toMatchObject({ reason: 2, fsmEvent: 24 });
    expect(decode(encodePeerDown({ peer, reason: 3, notification }))).toMatchObject({ reason: 3, notification });
    expect(decode(encodePeerDown({ peer, reason: 4 }))).toMatchObject({ reason: 4 });
    expect(decode(encodePeerDown({ peer, reason: 5 }))).toMatchObject({ reason: 5 });
    const tlvs = [{ type: 3, value: Buffer.from('vrf-a') }];
    expect(decode(encodePeerDown({ peer, reason: 6, tlvs }))).toMatchObject({ reason: 6, tlvs });
  });

  it('Statistics: counters as numbers, gauges as strings, others as hex', () => {
    const tlv = (type: number, hex: string) => ({ type, value: Buffer.from(hex, 'hex') });
    const tlvs = [
      tlv(0, 'ffffffff'),
      tlv(7, 'ffffffffffffffff'),
      tlv(9, '0002010000000000000005'),
      tlv(13, '0001'),
      tlv(65531, '00000001'),
    ];
    expect(decode(encodeStats({ peer, tlvs }))).toMatchObject({
      kind: 'stats',
      stats: [
        { type: 0, name: 'rejected-inbound', value: 4294967295 },
        { type: 7, name: 'adj-rib-in-routes', value: '18446744073709551615' },
        { type: 9, name: 'adj-rib-in-routes-per-family', value: '5', afi: 2, safi: 1 },
        { type: 13, name: 'duplicate-updates', raw: '0001' },
        { type: 65531, name: '65531', raw: '00000001' },
      ],
    });
  });

  it('Route Monitoring and Mirroring', () => {
    expect(decode(encodeRouteMonitoring({ peer, pdu: encodeKeepalive() }))).toMatchObject({ pdu: encodeKeepalive() });
    const tlvs = [
      { type: 0, value: encodeKeepalive() },
      { type: 1, value: Buffer.from([0, 1]) },
    ];
    expect(decode(encodeRouteMirroring({ peer, tlvs }))).toMatchObject({ kind: 'route-mirroring', tlvs });
  });
});

describe('the peer', () => {
  const header = (p: PeerInput) => {
    const m = decode(encodeRouteMonitoring({ peer: p, pdu: encodeKeepalive() }));
    if (m.kind !== 'route-monitoring') throw new Error(m.kind);
    return m.peer;
  };

  it('is the same whatever the view, and another with another address, distinguisher or identifier', () => {
    const key = peerKey(header(peer));
    expect(peerKey(header({ ...peer, postPolicy: true, adjRibOut: true, as2: true, sec: 1 }))).toBe(key);
    for (const other of [
      { ...peer, address: '192.0.2.3' },
      { ...peer, bgpId: '192.0.2.3' },
      { ...peer, type: PEER_RD },
      { ...peer, distinguisher: '0000fde800000001' },
    ]) {
      expect(peerKey(header(other))).not.toBe(key);
    }
  });

  it('views', () => {
    const view = (p: PeerInput) => ribView(header(p).type, header(p).flags);
    expect(view(peer)).toBe('adj-rib-in-pre');
    expect(view({ ...peer, postPolicy: true })).toBe('adj-rib-in-post');
    expect(view({ ...peer, adjRibOut: true })).toBe('adj-rib-out-pre');
    expect(view({ ...peer, adjRibOut: true, postPolicy: true })).toBe('adj-rib-out-post');
    expect(view({ ...peer, type: PEER_LOC_RIB, address: '0.0.0.0', filtered: true })).toBe('loc-rib');
  });

  it('the F flag of a Loc-RIB does not make its address IPv6', () => {
    const p = header({ ...peer, type: PEER_LOC_RIB, address: '0.0.0.0', filtered: true });
    expect(peerIdentity(p)).toMatchObject({ type: 'loc-rib', address: '0.0.0.0' });
  });

  it.each([
    ['0000fde800000001', '65000:1'],
    ['0001c00002010007', '192.0.2.1:7'],
    ['00020001000000 07'.replace(' ', ''), '65536:7'],
    ['0009000000000001', '0x0009000000000001'],
  ])('distinguisher %s is %s', (distinguisher, text) => {
    expect(peerIdentity(header({ ...peer, type: PEER_RD, distinguisher })).distinguisher).toBe(text);
  });

  it('ADD-PATH depends on the direction of the view', () => {
    const side = (mode: 'send' | 'receive') => ({
      kind: 'open' as const,
      version: 4,
      asn: 1,
      holdTime: 90,
      bgpId: '192.0.2.1',
      capabilities: [{ name: 'add-path' as const, entries: [{ afi: 1, safi: 1, mode }] }],
    });
    const has = (type: number, flags: number, sent: 'send' | 'receive', received: 'send' | 'receive') =>
      monitoringContext(type, flags, side(sent), side(received)).addPath.has('1/1');
    expect(has(0, 0, 'receive', 'send')).toBe(true);
    expect(has(0, 0, 'send', 'receive')).toBe(false);
    expect(has(0, 0x10, 'send', 'receive')).toBe(true);
    expect(has(0, 0x10, 'receive', 'send')).toBe(false);
    expect(has(3, 0, 'send', 'send')).toBe(true);
    expect(monitoringContext(0, 0x20, undefined, undefined).as4).toBe(false);
    expect(monitoringContext(3, 0x20, undefined, undefined).as4).toBe(true);
  });
});

describe('malformed messages are refused with a place', () => {
  it.each([
    ['an unknown type', '030000000607', 'unsupported', 'bmp.header'],
    ['Route Monitoring without a peer', '030000000700 00'.replace(' ', ''), 'truncated', 'bmp.peer'],
    ['a TLV that overruns', '030000000b04 0001000f41'.replace(' ', ''), 'truncated', 'bmp.tlv'],
    ['less than announced', '0300000010040001', 'truncated', 'bmp.header'],
    ['more than announced', '03000000060400', 'trailing', 'bmp.header'],
  ])('%s', (_name, hex, code, layer) => {
    expect(decodeBmp(Buffer.from(hex, 'hex'))).toMatchObject({ ok: false, code, layer });
  });

  it('a statistics count that is not the number of TLVs', () => {
    const b = encodeStats({ peer, tlvs: [{ type: 0, value: Buffer.alloc(4) }] });
    b[6 + 42 + 3] = 2;
    expect(decodeBmp(b)).toMatchObject({ ok: false, code: 'length', layer: 'bmp.stats' });
  });

  it('a Peer Up whose second OPEN is missing', () => {
    const b = encodePeerUp({
      peer,
      localAddress: '192.0.2.1',
      localPort: 1,
      remotePort: 2,
      sentOpen: open(65000),
      receivedOpen: Buffer.alloc(0),
    });
    expect(decodeBmp(b)).toMatchObject({ ok: false, code: 'truncated', layer: 'bmp.peer-up' });
  });
});

interface Shown {
  ok: boolean;
  message: {
    kind: string;
    view: string;
    pdu: { announced: object[]; withdrawn: object[]; problems?: object[]; mpReach: { routes: object[] }[] };
  };
}

describe('captured sessions', () => {
  it('gobgpd: path identifiers in Adj-RIB-In pre-policy', () => {
    const shown = describeBmp(readHexVector('./bmp/gobgp-3.10.hex')) as Shown[];
    expect(shown.every((d) => d.ok)).toBe(true);
    expect(shown.map((d) => d.message.kind)).toEqual([
      'initiation',
      'peer-up',
      ...new Array(5).fill('route-monitoring'),
      'stats',
      ...new Array(3).fill('route-monitoring'),
      'peer-down',
    ]);
    expect(shown[2].message.pdu.announced).toEqual([{ prefix: '203.0.113.0/25', pathId: 1 }]);
    expect(shown[3].message.pdu).toMatchObject({
      announced: [{ prefix: '198.51.100.0/24', pathId: 1 }],
      attributes: {
        asPath: [{ type: 'sequence', asns: [4200000002] }],
        med: 50,
        communities: [65000 * 65536 + 1, 0xffffff01],
        extCommunities: ['0002fde800000007'],
        largeCommunities: [[65000, 1, 2]],
      },
    });
    expect(shown[4].message.pdu.mpReach[0].routes).toEqual([{ prefix: '2001:db8:1::/48' }]);
    expect(shown[6].message.view).toBe('loc-rib');
  });

  it('FRR: ADD-PATH agreed on with the peer, and yet no identifiers in Route Monitoring', () => {
    const shown = describeBmp(readHexVector('./bmp/frr-8.4.4.hex')) as Shown[];
    expect(shown.every((d) => d.ok)).toBe(true);
    const updates = shown.filter((d) => d.message.kind === 'route-monitoring').map((d) => d.message);
    expect(updates.map((m) => m.pdu.problems)).toEqual(new Array(updates.length).fill(undefined));
    expect(updates.filter((m) => m.view === 'adj-rib-in-post').map((m) => [m.pdu.announced, m.pdu.withdrawn])).toEqual([
      [[{ prefix: '198.51.100.0/24' }], []],
      [[{ prefix: '203.0.113.0/25' }], []],
      [[], [{ prefix: '203.0.113.0/25' }]],
    ]);
  });

  it('the sample session of `tidegate send bmp` is sound', () => {
    const shown = describeBmp(sampleSession());
    expect(shown.map((d) => d.ok)).toEqual(new Array(6).fill(true));
  });
});

describe('describeBgp', () => {
  it('reads UPDATEs as two OPENs before them agreed', () => {
    const addPath = { name: 'add-path' as const, entries: [{ afi: 1, safi: 1, mode: 'both' as const }] };
    const side = encodeOpen({ asn: 65000, holdTime: 90, bgpId: '192.0.2.1', capabilities: [addPath] });
    const ctx = { as4: false, addPath: new Set(['1/1']), extendedMessage: false };
    const update = encodeUpdate({ withdrawn: [{ prefix: '10.0.0.0/8', pathId: 9 }] }, ctx);
    const shown = describeBgp(Buffer.concat([side, side, update, Buffer.from('00')]));
    expect(shown[2]).toMatchObject({ ok: true, message: { withdrawn: [{ prefix: '10.0.0.0/8', pathId: 9 }] } });
    expect(shown[3]).toEqual({
      ok: false,
      error: { code: 'marker', offset: side.length * 2 + update.length, layer: 'bgp.header' },
    });
  });
});
