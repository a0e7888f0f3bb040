/** What the announcer's BGP says of a VIP by level and policy, and how a session lives with changes, collisions and refreshes. */
import { describe, expect, it } from 'vitest';
import { type BgpContext, type Capability, decodeUpdate, MESSAGE_ROUTE_REFRESH } from '../../src/codec/bgp/index.ts';
import { isDecodeError } from '../../src/core/result.ts';
import { addCommunity, type Communities } from '../../src/lb/bgp/communities.ts';
import { bgpConfig } from '../../src/lb/bgp/config.ts';
import { AdjOut, type AdjOutEffect } from '../../src/lb/bgp/machine.ts';
import { attributesOf, nodeMatches, policyOf } from '../../src/lb/bgp/policy.ts';
import { encodeRoutes } from '../../src/lb/bgp/wire.ts';
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
  it('a role above the peer’s says Only to Customer (RFC 9234)', () => {
    const others = (role: unknown) => {
      const { b, p } = peerConfig(role === undefined ? {} : { role });
      return attributesOf(policyOf(p, b.asn, {}), 'full').others;
    };
    expect(others('provider')).toEqual([{ type: 35, flags: 0xc0, value: '0000fc00' }]);
    for (const role of ['customer', 'rs-client', undefined]) expect(others(role)).toBeUndefined();
    expect(bgpConfig.safeParse({ asn: 1, peers: [{ address: PEER, asn: 1, role: 'peer' }] }).success).toBe(false);
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

  it('End-of-RIB waits until it is known how good the node is, and comes behind the routes', () => {
    const adj = make();
    const wanted = { type: 'wanted' as const, prefixes: [V4] };
    const session = { type: 'established' as const, families: ['1/1', '2/1'], localAddress: '10.0.0.2' };
    expect(run(adj, { ...wanted, grade: 'dead', decided: false }, session)).toEqual([]);
    const then = run(adj, { ...wanted, grade: 'full', decided: true });
    expect(then.map((e) => e.type)).toEqual(['announce', 'end-of-rib', 'end-of-rib']);
    expect(run(adj, { ...wanted, grade: 'full' })).toEqual([]);
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

describe('UPDATE messages', () => {
  const MAX = 4096;
  const context = (extendedMessage: boolean): BgpContext => ({ as4: true, addPath: new Set(), extendedMessage });
  const many = (v6: boolean, n: number) =>
    Array.from({ length: n }, (_, i) =>
      v6 ? `2001:db8:ff::${(i + 1).toString(16)}/128` : `203.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}/32`,
    );
  /** The longest attributes that the configuration allows. */
  const heavy = () => {
    const { b, p } = peerConfig({
      local_asn: 4200000000,
      prepend: 16,
      communities: Array.from({ length: 64 }, (_, i) => `4200000001:${i}:2`),
    });
    return attributesOf(policyOf(p, b.asn, {}), 'degraded');
  };

  it.each([
    ['IPv6 routes', '2/1', true, '2001:db8::1'],
    ['IPv4 routes', '1/1', false, '10.0.0.2'],
    ['IPv4 routes with an IPv6 next hop', '1/1', false, '2001:db8::1'],
  ])('%s with long attributes stay within the limit, none missing, none twice', (_, family, v6, nextHop) => {
    for (const [extended, limit, count] of [
      [false, MAX, 1000],
      [true, 65535, 14_000],
    ] as const) {
      const prefixes = many(v6, count);
      const ctx = context(extended);
      const announced = encodeRoutes({ type: 'announce', family, prefixes, attributes: heavy(), nextHop }, ctx);
      const withdrawn = encodeRoutes({ type: 'withdraw', family, prefixes }, ctx);
      for (const messages of [announced, withdrawn]) {
        expect(messages.length).toBeGreaterThan(1);
        expect(messages.filter((m) => m.length > limit)).toEqual([]);
        const read = messages.flatMap((m) => {
          const u = decodeUpdate(m, ctx);
          if (isDecodeError(u) || u.problems) throw new Error(JSON.stringify(u));
          const multi = [...u.mpReach, ...u.mpUnreach].flatMap((r) => r.routes ?? []);
          return [...u.announced, ...u.withdrawn, ...multi].map((r) => r.prefix);
        });
        expect(read).toEqual(prefixes);
      }
      // No room is wasted either: but for the last, none could take two routes more.
      for (const m of announced.slice(0, -1)) expect(m.length).toBeGreaterThan(limit - 2 * (v6 ? 17 : 5) - 1);
    }
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

  it('a peer that is taken out is sent the withdraw first, then the reason as a Hard Reset', async () => {
    const world = new World(config({}, { graceful_restart: { restart_time: '10s' } }));
    const gr: Capability = { name: 'graceful-restart', restarted: false, notification: true, time: 120, families: [] };
    const router = world.router(PEER, { capabilities: [...UNICAST, gr] });
    await world.speaker.start();
    await world.run(5000);
    expect(router.table.has(V4)).toBe(true);
    const before = router.updates.length;
    const gone = config({}, { graceful_restart: { restart_time: '10s' }, peers: [] });
    await world.speaker.reload(lbConfig.parse(gone));
    await world.run(500);
    expect(router.updates.slice(before).flatMap((u) => u.withdrawn)).toEqual([{ prefix: V4 }]);
    expect(router.downs[0].received).toMatchObject({ code: 6, subcode: 3, hard: true });
  });

  it('keeps the peer’s words over the attempts that follow', async () => {
    const world = new World(config({ connect_retry: '1s' }));
    const router = world.router(PEER);
    await world.speaker.start();
    await world.run(5000);
    router.peer.stop('core swap tonight');
    const at = world.clock.wallMs();
    await world.run(10_000);
    const [p] = world.speaker.status().peers;
    expect(p.last_down?.received).toBeUndefined();
    expect(p.last_notification).toMatchObject({
      ...{ code: 6, subcode: 2, name: 'Cease/Administrative Shutdown', text: 'core swap tonight', from: 'peer' },
    });
    expect(Math.abs(p.last_notification!.at - at)).toBeLessThan(1000);
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
