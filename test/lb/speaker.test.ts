/** The speaker against a router, both real, in memory and on a clock of the test. */
import { describe, expect, it } from 'vitest';
import { MESSAGE_NOTIFICATION, MESSAGE_UPDATE } from '../../src/codec/bgp/index.ts';
import { lbConfig } from '../../src/lb/config.ts';
import type { MemoryConnection } from '../../src/net/memory.ts';
import { World } from './world.ts';

const V4 = '203.0.113.10/32';
const V6 = '2001:db8::10/128';

function config(over: Record<string, unknown> = {}, peer: Record<string, unknown> = {}) {
  return {
    vips: [{ name: 'ingress', addresses: [V4, V6] }],
    bgp: { asn: 64512, peers: [{ address: '192.0.2.254', asn: 64500, next_hop: ['2001:db8::1'], ...peer }] },
    ...over,
  };
}

async function up(c: Record<string, unknown> = config(), settings = {}) {
  const world = new World(c);
  const router = world.router('192.0.2.254', settings);
  await world.speaker.start();
  await world.run(5000);
  return { world, router };
}

describe('speaker', () => {
  it('announces bound VIPs to an eBGP peer, with End-of-RIB and the attributes of a full node', async () => {
    const { world, router } = await up();
    expect([...router.table.keys()].sort()).toEqual([V6, V4].sort());
    const v4 = router.table.get(V4)!;
    expect(v4.attributes).toEqual({
      origin: 'igp',
      asPath: [{ type: 'sequence', asns: [64512] }],
      nextHop: '127.0.0.1',
      med: 0,
    });
    const v6 = router.table.get(V6)!;
    expect(v6.mpReach[0].nextHop).toEqual(['2001:db8::1']);
    expect(v6.attributes.localPref).toBeUndefined();
    expect(router.endOfRib).toEqual(['1/1', '2/1']);
    expect(world.addresses.calls).toEqual([`add ${V4} lo`, `add ${V6} lo`]);
    expect(world.metric('tidegate_lb_grade')).toBe(2);
    expect(world.metric('tidegate_lb_lease_fresh')).toBe(1);
    expect(world.metric('tidegate_lb_vip_announced', { vip: 'ingress' })).toBe(1);
    expect(world.metric('tidegate_lb_bgp_session_up', { peer: '192.0.2.254' })).toBe(1);
    expect(world.speaker.vipz()).toEqual({ code: 200, grade: 'full', reasons: [] });
    const status = world.speaker.status();
    expect(status.router_id).toBe('10.0.0.1');
    expect(status.vips[0]).toMatchObject({
      name: 'ingress',
      address: V4,
      interface: 'lo',
      ours: true,
      announced: true,
    });
    expect(status.vips[0].peers[0]).toMatchObject({ peer: '192.0.2.254', announced: true, end_of_rib: true });
    expect(status.peers[0]).toMatchObject({ state: 'Established', hold_time: 9, prefixes_sent: 2 });
  });

  it('announces worse when degraded and withdraws when dead, on the same session', async () => {
    const { world, router } = await up();
    await world.run(200, { soft: ['spool above high water'] });
    expect(router.table.get(V4)!.attributes).toMatchObject({
      asPath: [{ type: 'sequence', asns: [64512, 64512, 64512, 64512] }],
      med: 1000,
      communities: [0xffff0000],
    });
    expect(world.speaker.vipz()).toEqual({
      code: 429,
      grade: 'degraded',
      reasons: ['worker 0: spool above high water'],
    });
    await world.run(200, { hard: ['disk not writable'] });
    expect(router.table.size).toBe(0);
    expect(world.speaker.vipz().code).toBe(503);
    expect(router.sessions).toBe(1);
    await world.run(3500);
    expect(router.table.get(V4)!.attributes.med).toBe(0);
    expect(world.events.filter((e) => e.kind === 'grade').map((e) => `${e.from}>${e.to}`)).toEqual([
      'dead>full',
      'full>degraded',
      'degraded>dead',
      'dead>full',
    ]);
    const changes = world.events.flatMap((e) => (e.kind === 'vip' && 'from' in e ? [e] : []));
    expect(changes.map((e) => `${e.from}>${e.to}:${e.addresses.length}`)).toEqual([
      'withdrawn>announced:2',
      'announced>degraded:2',
      'degraded>withdrawn:2',
      'withdrawn>announced:2',
    ]);
  });

  it('speaks iBGP with local preference instead of a path', async () => {
    const { world, router } = await up(
      config({ bgp: { asn: 64500, peers: [{ address: '192.0.2.254', asn: 64500 }] } }),
    );
    expect(router.table.get(V4)!.attributes).toEqual({
      origin: 'igp',
      asPath: [],
      nextHop: '127.0.0.1',
      med: 0,
      localPref: 100,
    });
    await world.run(200, { soft: ['kernel drops'] });
    expect(router.table.get(V4)!.attributes).toMatchObject({ localPref: 0, med: 1000, communities: [0xffff0000] });
  });

  it('names a VIP without a next hop of its family instead of announcing it', async () => {
    const { world, router } = await up(config({}, { next_hop: 'self' }));
    expect([...router.table.keys()]).toEqual([V4]);
    const v6 = world.speaker.status().vips[1];
    expect(v6.announced).toBe(false);
    expect(v6.peers[0].obstacle).toContain('next_hop');
  });

  it('withdraws when the lease expires, and when a channel closes', async () => {
    const { world, router } = await up();
    await world.run(1200, null);
    expect(router.table.size).toBe(0);
    expect(world.speaker.vipz().reasons).toEqual(['worker 0: lease expired']);
    expect(world.metric('tidegate_lb_lease_fresh')).toBe(0);
    await world.run(3500);
    expect(router.table.size).toBe(2);
    world.speaker.channelClosed(0);
    await world.run(200, null);
    expect(router.table.size).toBe(0);
    expect(world.speaker.vipz().reasons).toEqual(['worker 0: channel closed']);
  });

  it('answers a route refresh with the whole family', async () => {
    const { world, router } = await up();
    const before = router.updates.length;
    // RFC 2918: a request for IPv6 unicast.
    router.last.write(Buffer.from('ffffffffffffffffffffffffffffffff00170500020001', 'hex'));
    await world.run(200);
    expect(router.updates.slice(before).flatMap((u) => u.mpReach.flatMap((m) => m.routes))).toEqual([{ prefix: V6 }]);
  });

  it('puts many VIPs into one UPDATE and sends only differences on reload', async () => {
    const addresses = Array.from({ length: 150 }, (_, i) => `198.51.100.${i}/32`);
    const c = config({ vips: [{ name: 'many', addresses }] });
    const { world, router } = await up(c);
    expect(router.table.size).toBe(150);
    expect(router.updates.filter((u) => u.announced.length > 0).map((u) => u.announced.length)).toEqual([150]);
    const before = router.updates.length;
    const { lbConfig } = await import('../../src/lb/config.ts');
    await world.speaker.reload(lbConfig.parse(config({ vips: [{ name: 'many', addresses: addresses.slice(1) }] })));
    await world.run(200);
    expect(router.updates.slice(before).map((u) => [u.withdrawn, u.announced])).toEqual([
      [[{ prefix: '198.51.100.0/32' }], []],
    ]);
    expect(router.sessions).toBe(1);
    expect(world.addresses.calls.at(-1)).toBe('remove 198.51.100.0/32 lo');
  });

  it('enforces the hold timer on a silent router, and comes back', async () => {
    const { world, router } = await up();
    router.deaf = true;
    router.peer.setPaused(true);
    await world.run(10_000);
    const down = world.speaker.status().peers[0].last_down;
    // The router goes on to send keepalives here, so the session stands.
    expect(down).toBeUndefined();
    router.last.write = () => {};
    await world.run(10_000);
    expect(world.speaker.status().peers[0].last_down).toMatchObject({
      reason: 'hold timer expired',
      sent: { code: 4, name: 'Hold Timer Expired' },
    });
    expect(world.events.some((e) => e.kind === 'session' && e.to === 'down' && e.reason.includes('hold timer'))).toBe(
      true,
    );
    expect(world.metric('tidegate_lb_vip_announced', { vip: 'ingress' })).toBe(0);
  });

  it('reconnects after the router went away', async () => {
    const { world, router } = await up();
    router.last.destroy();
    await world.run(300);
    expect(world.speaker.status().vips[0].announced).toBe(false);
    await world.run(6000);
    expect(router.sessions).toBe(2);
    expect(router.table.size).toBe(2);
    expect(world.speaker.status().vips[0].announced).toBe(true);
  });

  it('drops inbound routes unread', async () => {
    const { world, router } = await up();
    // Not even well-formed: only the header is.
    const junk = Buffer.concat([Buffer.alloc(16, 0xff), Buffer.from([0, 30, MESSAGE_UPDATE]), Buffer.alloc(11, 0xee)]);
    router.last.write(junk);
    await world.run(300);
    expect(world.speaker.status().peers[0]).toMatchObject({ state: 'Established', updates_dropped: 1 });
  });

  it('stops in order: degraded, withdrawn, NOTIFICATION with the reason, addresses removed, no timer left', async () => {
    const { world, router } = await up();
    const before = router.updates.length;
    let stopped = false;
    void world.speaker.stop('upgrade').then(() => {
      stopped = true;
    });
    await world.run(500);
    expect(router.table.get(V4)!.attributes.med).toBe(1000);
    await world.run(800);
    expect(router.table.size).toBe(0);
    expect(router.downs).toEqual([]);
    await world.run(3000);
    expect(stopped).toBe(true);
    expect(router.downs[0].received).toEqual({
      code: 6,
      subcode: 2,
      name: 'Cease/Administrative Shutdown',
      text: 'edge-1: upgrade',
    });
    expect(router.updates.length - before).toBe(4);
    const sent = (router.last as MemoryConnection).peer!.written;
    expect(sent.filter((b) => b[18] === MESSAGE_NOTIFICATION)).toHaveLength(1);
    expect(world.addresses.calls.slice(2)).toEqual([`remove ${V4} lo`, `remove ${V6} lo`]);
    expect(world.store.ours).toEqual([]);
    router.peer.stop();
    router.peer.destroy();
    world.clock.advance(10_000);
    expect(world.clock.live).toBe(0);
  });

  it('waits for silence on the VIP after the withdraw, at most for the timeout', async () => {
    const { world, router } = await up(config({ drain: { linger: '1s', timeout: '5s' } }));
    let stopped = false;
    void world.speaker.stop('upgrade').then(() => {
      stopped = true;
    });
    const packet = () => ({ vips: { ingress: world.clock.wallMs() } });
    for (let i = 0; i < 40; i++) await world.run(100, packet());
    expect(router.table.size).toBe(0);
    expect(stopped).toBe(false);
    for (let i = 0; i < 40; i++) await world.run(100, packet());
    expect(stopped).toBe(true);
  });

  it('says in the NOTIFICATION what else there was to say at the end', async () => {
    const { world, router } = await up(config({ drain: { linger: '100ms', timeout: '1s' } }));
    await world.run(500, { soft: ['spool 92 % full of events that are not exported'] });
    void world.speaker.stop('SIGTERM received');
    await world.run(2000, { soft: ['spool 92 % full of events that are not exported'] });
    expect(router.downs[0].received?.text).toBe(
      'edge-1: SIGTERM received; worker 0: spool 92 % full of events that are not exported',
    );
  });

  it('says reasons and last packets as metrics, of a VIP that is no more nothing', async () => {
    const { world } = await up();
    const reason = (code: string) => world.metric('tidegate_lb_reason', { reason: code });
    const series = () => {
      world.speaker.measure();
      return world.metrics.snapshot().filter(([name]) => name === 'tidegate_lb_vip_last_packet_seconds');
    };
    expect([reason('disk'), reason('starting'), series()]).toEqual([0, 0, []]);
    await world.run(100, { hard: ['disk not writable: EIO'], vips: { '203.0.113.10': world.clock.wallMs() } });
    expect([reason('disk'), reason('kernel-drops')]).toEqual([1, 0]);
    await world.run(3000);
    expect(reason('disk')).toBe(0);
    const [[, labels, seconds], ...more] = series();
    expect([labels, more]).toEqual(['address="203.0.113.10",vip="ingress"', []]);
    expect(seconds).toBe(3);
    await world.speaker.reload(
      lbConfig.parse({ ...config(), vips: [{ name: 'other', addresses: ['203.0.113.9/32'] }] }),
    );
    expect(series()).toEqual([]);
  });

  it('drains and undrains', async () => {
    const { world, router } = await up();
    world.speaker.drain();
    await world.run(200);
    expect(router.table.get(V4)!.attributes.med).toBe(1000);
    expect(world.speaker.vipz()).toEqual({ code: 429, grade: 'degraded', reasons: ['draining'] });
    world.speaker.undrain();
    await world.run(7000);
    expect(router.table.get(V4)!.attributes.med).toBe(0);
  });

  it('drains to the end while it runs, says where it is, and finds out that its answers get lost', async () => {
    const { world, router } = await up(config({ drain: { linger: '1s', timeout: '10s' } }));
    const asked: number[] = [];
    world.onCloseSessions = (ms) => asked.push(ms);
    world.speaker.drain();
    for (let i = 0; i < 12; i++)
      await world.run(100, { vips: { ingress: world.clock.wallMs() }, sessions: 3, retried: i });
    expect(asked).toEqual([150]);
    expect(router.table.get(V4)!.attributes.med).toBe(1000);
    expect(world.speaker.status().drain).toMatchObject({ phase: 'moving', sessions: 3, answers_lost: 11 });
    expect(world.events.filter((e) => 'facts' in e)).toHaveLength(1);
    await world.run(4000);
    expect(router.table.size).toBe(0);
    expect(world.speaker.status()).toMatchObject({ grade: 'dead', drain: { phase: 'drained', limit_reached: false } });
    expect(router.downs).toEqual([]);
    expect(world.addresses.present).toHaveLength(3);
    world.speaker.undrain();
    await world.run(7000);
    expect(router.table.get(V4)!.attributes.med).toBe(0);
    expect(world.speaker.status().drain).toBeUndefined();
  });

  it('retries without capabilities for a router that knows none', async () => {
    const world = new World(config());
    const router = world.router('192.0.2.254', { capabilities: [] });
    const confirm = router.peer.received.bind(router.peer);
    let refused = 0;
    router.peer.received = (stream, chunk) => {
      if (refused++ === 0) {
        // NOTIFICATION 2/4.
        stream.write(Buffer.from('ffffffffffffffffffffffffffffffff0015030204', 'hex'));
        return;
      }
      confirm(stream, chunk);
    };
    await world.speaker.start();
    await world.run(70_000);
    expect(router.established?.received.capabilities).toEqual([]);
    expect([...router.table.keys()]).toEqual([V4]);
    expect(world.speaker.status().vips[1].peers[0].obstacle).toContain('IPv6 unicast');
  });

  it('ignores what is no renewal', async () => {
    const { world } = await up();
    for (const m of [
      null,
      1,
      'x',
      [],
      {},
      { worker: 0 },
      { worker: -1, of: 1, counter: 1, hard: [], soft: [], vips: {} },
    ])
      world.speaker.renewal(m);
    expect(world.speaker.vipz().code).toBe(200);
  });
});

describe('a speaker after the death of the one before it', () => {
  const gr = (over: Record<string, unknown> = {}) => ({
    ...config({ rise: '3s', ...over }),
    bgp: {
      asn: 64512,
      graceful_restart: { restart_time: '5s' },
      peers: [{ address: '192.0.2.254', asn: 64500, next_hop: ['2001:db8::1'] }],
    },
  });
  const restarted = (router: ReturnType<World['router']>) => {
    const c = router.established?.received.capabilities.find((x) => x.name === 'graceful-restart');
    return c?.name === 'graceful-restart' && [c.restarted, ...c.families.map((f) => f.forwarding)];
  };

  it('believes workers that lived on at once, and ends the dump when it is known what belongs to it', async () => {
    const world = new World(gr(), 2, { resumes: true });
    const router = world.router('192.0.2.254');
    await world.speaker.start();
    // The session stands before the workers are heard.
    await world.run(1000, null);
    expect(restarted(router)).toEqual([true, true, true]);
    expect([router.table.size, router.endOfRib]).toEqual([0, []]);
    await world.run(100);
    expect(world.speaker.vipz().grade).toBe('full');
    await world.run(100);
    expect([...router.table.keys()].sort()).toEqual([V6, V4].sort());
    expect(router.endOfRib).toEqual(['1/1', '2/1']);
    const routes = router.updates.findIndex((u) => u.announced.length + u.mpReach.length > 0);
    expect(router.updates.findIndex((u) => u.eor !== undefined)).toBeGreaterThan(routes);
  });

  it('one worker that stays away costs the restart time, no more', async () => {
    const world = new World(gr(), 2, { resumes: true });
    const router = world.router('192.0.2.254');
    await world.speaker.start();
    const one = () => world.speaker.renewal({ worker: 0, of: 2, counter: Math.random(), hard: [], soft: [], vips: {} });
    for (let t = 0; t < 45; t++) {
      one();
      await world.run(100, null);
    }
    expect(router.endOfRib).toEqual([]);
    for (let t = 0; t < 10; t++) {
      one();
      await world.run(100, null);
    }
    expect(router.endOfRib).toEqual(['1/1', '2/1']);
    expect(router.table.size).toBe(0);
  });

  it('a worker with a hard reason is believed at once too, and rises as ever', async () => {
    const world = new World(gr(), 1, { resumes: true });
    const router = world.router('192.0.2.254');
    await world.speaker.start();
    await world.run(500, { hard: ['disk not writable'] });
    expect(router.endOfRib).toEqual(['1/1', '2/1']);
    await world.run(2000);
    expect(router.table.size).toBe(0);
    await world.run(2000);
    expect(router.table.size).toBe(2);
  });

  it('without a death it says no restart, and rises', async () => {
    const world = new World(gr());
    const router = world.router('192.0.2.254');
    await world.speaker.start();
    await world.run(1000);
    expect(restarted(router)).toEqual([false, false, false]);
    expect([router.table.size, router.endOfRib]).toEqual([0, ['1/1', '2/1']]);
  });
});
