import { describe, expect, it } from 'vitest';
import type { UpdateMessage } from '../../../src/codec/bgp/index.ts';
import { extendedCommunityText } from '../../../src/protocol/bgp/extended-community.ts';
import { openCapabilities } from '../../../src/protocol/bgp/open.ts';
import { splitUpdate, updateFields } from '../../../src/protocol/bgp/update.ts';

const empty: UpdateMessage = {
  kind: 'update',
  withdrawn: [],
  announced: [],
  attributes: {},
  mpReach: [],
  mpUnreach: [],
};
const sequence = (...asns: number[]) => ({ type: 'sequence' as const, asns });

describe('UPDATE fields', () => {
  it('all attributes', () => {
    const f = updateFields({
      ...empty,
      announced: [{ prefix: '198.51.100.0/24', pathId: 3 }],
      attributes: {
        origin: 'egp',
        asPath: [{ type: 'confed-sequence', asns: [64512] }, sequence(65000, 65001), { type: 'set', asns: [1, 2] }],
        nextHop: '192.0.2.1',
        med: 0,
        localPref: 100,
        atomicAggregate: true,
        aggregator: { asn: 65001, address: '192.0.2.9' },
        communities: [65000 * 65536 + 1, 0xffffff01],
        extCommunities: ['0002fde800000007'],
        largeCommunities: [[65000, 1, 2]],
        originatorId: '192.0.2.3',
        clusterList: ['192.0.2.4'],
        others: [{ type: 35, flags: 0xc0, value: '0000fde8' }],
      },
    });
    expect(f).toEqual({
      announce: [{ family: 'ipv4-unicast', prefix: '198.51.100.0/24', path_id: 3 }],
      attributes: {
        origin: 'egp',
        as_path: [65000, 65001, [1, 2]],
        confed_path: [64512],
        next_hop: '192.0.2.1',
        med: 0,
        local_pref: 100,
        atomic_aggregate: true,
        aggregator: { asn: 65001, address: '192.0.2.9' },
        communities: ['65000:1', '65535:65281'],
        ext_communities: ['rt:65000:7'],
        large_communities: ['65000:1:2'],
        originator_id: '192.0.2.3',
        cluster_list: ['192.0.2.4'],
        other: [{ type: 35, name: 'ONLY_TO_CUSTOMER', flags: 0xc0, value: '0x0000fde8' }],
      },
    });
  });

  it('both families in one message: a route says its next hop where it is not the common one', () => {
    const v6 = { afi: 2, safi: 1, nextHop: ['2001:db8::1', 'fe80::1'], routes: [{ prefix: '2001:db8:2::/48' }] };
    const attributes = { origin: 'igp' as const, asPath: [sequence(65000)], nextHop: '192.0.2.1' };
    const f = updateFields({ ...empty, announced: [{ prefix: '10.0.0.0/8' }], mpReach: [v6], attributes });
    expect(f.announce).toEqual([
      { family: 'ipv4-unicast', prefix: '10.0.0.0/8' },
      { family: 'ipv6-unicast', prefix: '2001:db8:2::/48', next_hop: '2001:db8::1' },
    ]);
    expect(f.attributes).toEqual({
      origin: 'igp',
      as_path: [65000],
      origin_asn: 65000,
      next_hop: '192.0.2.1',
      link_local_next_hop: 'fe80::1',
    });
    const only = updateFields({ ...empty, mpReach: [v6], attributes: { asPath: [] } });
    expect(only.announce).toEqual([{ family: 'ipv6-unicast', prefix: '2001:db8:2::/48' }]);
    expect(only.attributes).toEqual({ as_path: [], next_hop: '2001:db8::1', link_local_next_hop: 'fe80::1' });
  });

  it('other families stay hex', () => {
    const f = updateFields({
      ...empty,
      mpReach: [{ afi: 1, safi: 128, nextHop: ['192.0.2.1'], nextHopRaw: '0000000000000000c0000201', raw: '7000' }],
      mpUnreach: [{ afi: 25, safi: 70, raw: '0102' }],
    });
    expect(f.announce).toEqual([{ family: '1/128', nlri: '0x7000' }]);
    expect(f.withdraw).toEqual([{ family: '25/70', nlri: '0x0102' }]);
  });

  it('End-of-RIB says only its family', () => {
    expect(updateFields({ ...empty, eor: '2/1' })).toEqual({ eor: 'ipv6-unicast' });
    expect(updateFields({ ...empty, mpUnreach: [{ afi: 1, safi: 128, raw: '' }], eor: '1/128' })).toEqual({
      eor: '1/128',
    });
  });

  it('treat-as-withdraw turns every announced route into a withdrawn one', () => {
    const problem = { attribute: 1, subcode: 6, reason: 'undefined ORIGIN', offset: 23 };
    const f = updateFields({
      ...empty,
      withdrawn: [{ prefix: '10.0.0.0/8' }],
      announced: [{ prefix: '198.51.100.0/24' }],
      mpReach: [{ afi: 2, safi: 1, nextHop: ['2001:db8::1'], routes: [{ prefix: '2001:db8::/32' }] }],
      problems: [{ class: 'treat-as-withdraw', ...problem }],
    });
    expect(f).toEqual({
      withdraw: [
        { family: 'ipv4-unicast', prefix: '10.0.0.0/8' },
        { family: 'ipv4-unicast', prefix: '198.51.100.0/24' },
        { family: 'ipv6-unicast', prefix: '2001:db8::/32' },
      ],
      problems: [{ class: 'treat-as-withdraw', attribute: 'ORIGIN', reason: 'undefined ORIGIN', offset: 23 }],
    });
  });

  it('a session-reset problem leaves no route to be believed', () => {
    const problem = { class: 'session-reset' as const, attribute: 0, subcode: 10, reason: 'x', offset: 23 };
    const f = updateFields({ ...empty, announced: [{ prefix: '10.0.0.0/8' }], problems: [problem] });
    expect(f).toEqual({ problems: [{ class: 'session-reset', reason: 'x', offset: 23 }] });
  });

  it('a long one is split, withdrawn routes first, each part complete in itself', () => {
    const route = (i: number) => ({ family: 'ipv4-unicast', prefix: `10.0.${i}.0/24` });
    const announce = [0, 1, 2, 3, 4].map(route);
    const withdraw = [5, 6, 7].map(route);
    const attributes = { next_hop: '192.0.2.1' };
    expect(splitUpdate({ attributes, announce, withdraw }, 8)).toEqual([{ attributes, announce, withdraw }]);
    expect(splitUpdate({ attributes, announce, withdraw }, 3)).toEqual([
      { withdraw, part: { index: 0, count: 3 } },
      { attributes, announce: announce.slice(0, 3), part: { index: 1, count: 3 } },
      { attributes, announce: announce.slice(3), part: { index: 2, count: 3 } },
    ]);
  });
});

describe('extended communities', () => {
  it.each([
    ['0002fde800000007', 'rt:65000:7'],
    ['0003fde800000007', 'soo:65000:7'],
    ['0102c00002010007', 'rt:192.0.2.1:7'],
    ['0202fa56ea000007', 'rt:4200000000:7'],
    ['030b000000000064', 'color:100'],
    ['030c000000000008', 'encap:8'],
    ['4004fde84b189680', 'lb:65000:10000000'],
    ['4300000000000002', 'rov:2'],
    ['0600000000000001', '0x0600000000000001'],
    ['030b400000000064', '0x030b400000000064'],
  ])('%s is %s', (hex, text) => {
    expect(extendedCommunityText(hex)).toBe(text);
  });
});

it('capabilities of an OPEN', () => {
  expect(
    openCapabilities({
      capabilities: [
        { name: 'multiprotocol', afi: 1, safi: 1 },
        { name: 'multiprotocol', afi: 25, safi: 70 },
        { name: 'as4', asn: 65000 },
        { name: 'add-path', entries: [{ afi: 2, safi: 1, mode: 'send' }] },
        { name: 'raw', code: 73, value: '00' },
      ],
    }),
  ).toEqual({
    families: ['ipv4-unicast', '25/70'],
    as4: 65000,
    add_path: [{ family: 'ipv6-unicast', mode: 'send' }],
    other: [{ code: 73, value: '0x00' }],
  });
});
