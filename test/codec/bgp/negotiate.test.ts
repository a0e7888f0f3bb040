import { describe, expect, it } from 'vitest';
import { type AddPathMode, type Capability, negotiate, receiveContext } from '../../../src/codec/bgp/index.ts';

const open = (capabilities: Capability[], holdTime = 90) => ({
  asn: 65000,
  holdTime,
  bgpId: '192.0.2.1',
  capabilities,
});
const mp = (afi: number): Capability => ({ name: 'multiprotocol', afi, safi: 1 });
const addPath = (mode: AddPathMode): Capability => ({ name: 'add-path', entries: [{ afi: 1, safi: 1, mode }] });

describe('what two OPENs agree on', () => {
  it('families both speak; none declared means IPv4 unicast', () => {
    expect(negotiate(open([mp(1), mp(2)]), open([mp(2)])).families).toEqual(['2/1']);
    expect(negotiate(open([]), open([mp(1), mp(2)])).families).toEqual(['1/1']);
    expect(negotiate(open([mp(2)]), open([])).families).toEqual([]);
  });

  it.each([
    ['receive', 'send', true, false],
    ['send', 'receive', false, true],
    ['both', 'both', true, true],
    ['both', 'send', true, false],
    ['receive', 'receive', false, false],
    ['send', 'send', false, false],
  ] as const)('ADD-PATH: we %s, they %s', (ours, theirs, receive, send) => {
    const n = negotiate(open([addPath(ours)]), open([addPath(theirs)]));
    expect(n.addPathReceive.has('1/1')).toBe(receive);
    expect(n.addPathSend.has('1/1')).toBe(send);
    expect(receiveContext(n).addPath).toBe(n.addPathReceive);
  });

  it('a feature needs both sides; the hold time is the smaller', () => {
    const all: Capability[] = [
      { name: 'as4', asn: 65000 },
      { name: 'route-refresh' },
      { name: 'enhanced-route-refresh' },
      { name: 'extended-message' },
    ];
    const both = { as4: true, routeRefresh: true, enhancedRouteRefresh: true, extendedMessage: true };
    const none = { as4: false, routeRefresh: false, enhancedRouteRefresh: false, extendedMessage: false };
    expect(negotiate(open(all, 30), open(all, 9))).toMatchObject({ ...both, holdTime: 9 });
    expect(negotiate(open(all, 30), open([], 0))).toMatchObject({ ...none, holdTime: 0 });
    expect(negotiate(open([]), open(all))).toMatchObject(none);
  });
});
