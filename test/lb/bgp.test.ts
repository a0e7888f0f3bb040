/** What the announcer's BGP says of a VIP by level and policy, and how a session lives with changes, collisions and refreshes. */
import { describe, expect, it } from 'vitest';
import { MESSAGE_ROUTE_REFRESH } from '../../src/codec/bgp/index.ts';
import { addCommunity, type Communities } from '../../src/lb/bgp/communities.ts';
import { bgpConfig } from '../../src/lb/bgp/config.ts';
import { AdjOut, type AdjOutEffect } from '../../src/lb/bgp/machine.ts';
import { attributesOf, nodeMatches, policyOf } from '../../src/lb/bgp/policy.ts';
import { lbConfig } from '../../src/lb/config.ts';
import type { Connection } from '../../src/net/types.ts';
import { BgpPeer } from '../../src/protocol/bgp/peer.ts';
import { UNICAST, World } from './world.ts';

const V4 = '203.0.113.10/32';
const PEER = '192.0.2.254';

function peerConfig(over: object = {}, bgp: object = {}) {
  const b = bgpConfig.parse({ asn: 64512, peers: [{ address: PEER, asn: 64500, ...over }], ...bgp });
  return { b, p: b.peers[0] };
}

describe('communities of the configuration', () => {
  const read = (text: string, names = {}): Communities | false => {
    const out: Communities = { standard: [], large: [], extended: [] };
    return addCommunity(out, text, 64512, names) && out;
  };
  it.each([
    ['64500:300', { standard: [64500 * 65536 + 300] }],
    ['graceful-shutdown', { standard: [0xffff0000] }],
    ['no-export', { standard: [0xffffff01] }],
    ['4200000001:1:2', { large: [[4200000001, 1, 2]] }],
    // 125,000,000 bytes a second is 1 Gbit/s: 0x4cee6b28, the value FRR shows for `bandwidth 1000`.
    ['bandwidth:125000000', { extended: ['4004fc004cee6b28'] }],
  ])('%s', (text, expected) => expect(read(text)).toEqual({ standard: [], large: [], extended: [], ...expected }));

  it('names of the operator', () => {
    expect(read('blue', { blue: '64500:7' })).toMatchObject({ standard: [64500 * 65536 + 7] });
  });

  it.each(['', 'x', '1', '65536:1', '1:65536', '1:2:4294967296', '1:2:3:4', 'bandwidth:x'])('refuses %j', (text) =>
    expect(read(text)).toBe(false),
  );
});

describe('levels', () => {
  const of = (over: object, level: 'full' | 'standby' | 'degraded') => {
    const { b, p } = peerConfig(over);
    const { asPath, med, localPref, communities } = attributesOf(policyOf(p, b.asn, b.communities), level);
    return { path: asPath!.flatMap((s) => s.asns).length, med, localPref, communities };
  };
  it('eBGP: a longer path and a greater MED the worse', () => {
    expect(of({}, 'full')).toEqual({ path: 1, med: 0, localPref: undefined, communities: undefined });
    expect(of({}, 'standby')).toMatchObject({ path: 2, med: 100 });
    expect(of({ prepend: 2, med: 5 }, 'degraded')).toMatchObject({ path: 6, med: 1005, communities: [0xffff0000] });
  });
  it('iBGP: LOCAL_PREF', () => {
    expect(of({ asn: 64512 }, 'full')).toMatchObject({ path: 0, localPref: 100 });
    expect(of({ asn: 64512, local_pref: 300 }, 'standby')).toMatchObject({ path: 0, localPref: 150 });
    expect(of({ asn: 64512 }, 'degraded')).toMatchObject({ localPref: 0, communities: [0xffff0000] });
  });
  it('local_asn decides what is iBGP and stands in the path', () => {
    const { b, p } = peerConfig({ local_asn: 65001 });
    expect(attributesOf(policyOf(p, b.asn, {}), 'full').asPath).toEqual([{ type: 'sequence', asns: [65001] }]);
  });
  it('nodes are named by globs', () => {
    expect(nodeMatches('edge-1.dc1', ['edge-*'])).toBe(true);
    expect(nodeMatches('edge-1.dc1', ['edge-?', 'core-*', '*.dc2'])).toBe(false);
    expect(nodeMatches('x', undefined)).toBe(true);
  });
});

describe('Adj-RIB-Out', () => {
  const make = (over = {}) => {
    const { b, p } = peerConfig(over);
    return new AdjOut({ policy: policyOf(p, b.asn, b.communities), nextHop: {} });
  };
  const run = (adj: AdjOut, ...inputs: Parameters<AdjOut['handle']>[0][]): AdjOutEffect[] => {
    const out: AdjOutEffect[] = [];
    for (const i of inputs) adj.handle(i, out);
    return out;
  };

  it('standby and preferred VIPs are two UPDATEs; a hand-over moves only the one that moves', () => {
    const adj = make();
    const prefixes = ['203.0.113.1/32', '203.0.113.2/32'];
    run(adj, { type: 'established', families: ['1/1'], localAddress: '10.0.0.2' });
    const first = run(adj, { type: 'wanted', prefixes, grade: 'full', standby: [prefixes[1]] });
    expect(first.map((e) => e.type === 'announce' && [e.prefixes, e.attributes.med])).toEqual([
      [[prefixes[0]], 0],
      [[prefixes[1]], 100],
    ]);
    const second = run(adj, { type: 'wanted', prefixes, grade: 'full', standby: [] });
    expect(second).toMatchObject([{ type: 'announce', prefixes: [prefixes[1]], attributes: { med: 0 } }]);
  });

  it('an IPv4 route has an IPv6 next hop where both sides said RFC 8950, and none otherwise', () => {
    const wanted = { type: 'wanted' as const, prefixes: [V4], grade: 'full' as const };
    const session = { type: 'established' as const, families: ['1/1'], localAddress: '2001:db8::2' };
    const adj = make();
    expect(run(adj, wanted, { ...session, extendedNextHop: true })[0]).toMatchObject({ nextHop: '2001:db8::2' });
    const other = make();
    expect(run(other, wanted, session).map((e) => e.type)).toEqual(['end-of-rib']);
    expect(other.obstacle(V4)).toMatch(/next_hop/);
  });

  it('an enhanced refresh is answered between marks', () => {
    const adj = make();
    run(
      adj,
      { type: 'established', families: ['1/1'], localAddress: '10.0.0.2', enhancedRefresh: true },
      { type: 'wanted', prefixes: [V4], grade: 'full' },
    );
    const answer = run(adj, { type: 'route-refresh', afi: 1, safi: 1 });
    expect(answer.map((e) => (e.type === 'refresh-mark' ? e.mark : e.type))).toEqual(['begin', 'announce', 'end']);
    expect(run(adj, { type: 'route-refresh', afi: 2, safi: 1 })).toEqual([]);
  });
});

function config(peer: object = {}, bgp: object = {}) {
  return {
    vips: [{ name: 'ingress', addresses: [V4] }],
    bgp: { asn: 64512, router_id: '10.0.0.1', peers: [{ address: PEER, asn: 64500, ...peer }], ...bgp },
  };
}

describe('a running session', () => {
  it('takes over policy, VIPs and another peer without a reset; a new hold time is pending', async () => {
    const world = new World(config());
    const router = world.router(PEER);
    const second = world.router('192.0.2.253');
    await world.speaker.start();
    await world.run(5000);
    const more = { address: '192.0.2.253', asn: 64500 };
    const next = config({ med: 7, communities: ['64500:1'], hold_time: '30s', vips: ['ingress'] });
    next.vips.push({ name: 'more', addresses: ['203.0.113.11/32'] });
    (next.bgp.peers as object[]).push(more);
    await world.speaker.reload(lbConfig.parse(next));
    await world.run(2000);
    expect(router.sessions).toBe(1);
    expect(router.downs).toEqual([]);
    expect(router.table.get(V4)!.attributes).toMatchObject({ med: 7, communities: [64500 * 65536 + 1] });
    expect([...router.table.keys()]).toEqual([V4]);
    expect([...second.table.keys()].sort()).toEqual([V4, '203.0.113.11/32'].sort());
    expect(world.speaker.status().peers[0]).toMatchObject({
      state: 'Established',
      hold_time: 9,
      pending: ['hold_time'],
    });
  });

  it('answers an enhanced refresh with BoRR, the routes, EoRR', async () => {
    const world = new World(config());
    const router = world.router(PEER, { capabilities: [...UNICAST, { name: 'enhanced-route-refresh' }] });
    await world.speaker.start();
    await world.run(5000);
    const marks: number[] = [];
    const received = router.peer.received.bind(router.peer);
    router.peer.received = (stream, chunk) => {
      if (chunk[18] === MESSAGE_ROUTE_REFRESH) marks.push(chunk[21]);
      received(stream, chunk);
    };
    router.last.onData = (chunk) => router.peer.received(router.last, chunk);
    router.last.write(Buffer.from('ffffffffffffffffffffffffffffffff00170500010001', 'hex'));
    await world.run(300);
    expect(marks).toEqual([1, 2]);
    expect(router.table.has(V4)).toBe(true);
  });
});

/** A router that both waits and dials: two connections at once. */
async function both(routerId: string, passive = false) {
  const world = new World(config({ passive }, { listen: ['10.0.0.1:179'] }));
  const router = passive ? undefined : world.router(PEER, { bgpId: routerId });
  const connections: Connection[] = [];
  const downs: string[] = [];
  let established = 0;
  const dialler: BgpPeer = new BgpPeer({
    role: 'dial',
    asn: 64500,
    bgpId: routerId,
    holdTime: 90,
    connectRetry: 1000,
    random: () => 0.5,
    capabilities: UNICAST,
    clock: world.clock,
    onConnect: () => {
      world.network.dial({ address: '10.0.0.1', port: 179, localAddress: PEER, timeoutMs: 1000 }, (r) => {
        if (!r.ok) {
          dialler.closed(undefined, r.error);
          return;
        }
        const c = r.connection;
        connections.push(c);
        c.onData = (chunk) => dialler.received(c, chunk);
        c.onClose = (error) => dialler.closed(c, error);
        dialler.attach(c);
      });
    },
    onEstablished: () => {
      established++;
    },
    onDown: (d) => downs.push(d.received?.name ?? d.reason),
  });
  world.listenAt('10.0.0.1');
  await world.speaker.start();
  dialler.start();
  await world.run(8000);
  const result = { world, router, downs, established: () => established, state: dialler.machine.state };
  return result;
}

describe('connection collision, RFC 4271 section 6.8', () => {
  it('the higher identifier keeps the connection that it opened: ours', async () => {
    const { world, router, state } = await both('9.0.0.9');
    expect(world.speaker.status().peers[0]).toMatchObject({ state: 'Established', dialled_by: 'us' });
    expect(router!.table.has(V4)).toBe(true);
    expect(state).not.toBe('Established');
  });

  it('a passive peer is waited for', async () => {
    const { world, established, state } = await both('192.0.2.254', true);
    expect(world.speaker.status().peers[0]).toMatchObject({ state: 'Established', dialled_by: 'peer' });
    expect(established()).toBe(1);
    expect(state).toBe('Established');
  });

  it('one session at the end, whoever dialled, and it is not disturbed any more', async () => {
    const { world } = await both('192.0.2.254');
    const before = world.speaker.status().peers[0];
    expect(before.state).toBe('Established');
    await world.run(3000);
    expect(world.speaker.status().peers[0]).toMatchObject({
      state: 'Established',
      established_since: before.established_since,
    });
  });
});
