/** The VIP announcer against FRR: what the router's own table says of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Frr } from './frr.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable } from './peers.ts';
import { VipNode } from './vip-speaker.ts';
import { waitFor } from './wait.ts';

const V4 = '203.0.113.10/32';
const V6 = '2001:db8:ff::10/128';
const NODE_V4 = '10.1.0.2';
const NODE_V6 = '2001:db8:1::2';

/** The attributes FRR shows of the only path. */
async function path(frr: Frr, family: 'ipv4' | 'ipv6', prefix: string) {
  type Detail = {
    aspath: { string: string };
    metric?: number;
    locPrf?: number;
    origin: string;
    community?: { string: string };
    nexthops: { ip: string }[];
  };
  const shown = await frr.json<{ paths?: Detail[] }>(`show bgp ${family} unicast ${prefix} json`);
  const [p, ...more] = shown.paths ?? [];
  if (!p || more.length > 0) throw new Error(`${shown.paths?.length ?? 0} paths`);
  return {
    path: p.aspath.string,
    med: p.metric,
    localPref: p.locPrf,
    origin: p.origin,
    communities: p.community?.string,
    nextHop: p.nexthops[0].ip,
  };
}

const FULL = { path: '64512', med: 0, origin: 'IGP', communities: undefined };
const PREPENDED = '64512 64512 64512 64512';

describe.skipIf(!labAvailable('ip', 'vtysh', 'bgpd', 'zebra', 'socat'))('BGP VIP with FRR', () => {
  let lab: Lab;
  let router: Namespace;
  let node: Namespace;
  let frr: Frr;

  const frrConfig = (as: number) =>
    [
      `router bgp ${as}`,
      ' bgp router-id 10.1.0.1',
      ' bgp log-neighbor-changes',
      ' no bgp ebgp-requires-policy',
      ...[NODE_V4, NODE_V6].flatMap((n) => [` neighbor ${n} remote-as 64512`, ` neighbor ${n} timers connect 1`]),
      ' address-family ipv6 unicast',
      `  neighbor ${NODE_V4} activate`,
      `  neighbor ${NODE_V6} activate`,
      ' exit-address-family',
      ' address-family ipv4 unicast',
      `  network 198.51.100.0/24`,
      ' exit-address-family',
    ].join('\n');

  const config = (peers: object[]) => ({
    rise: '500ms',
    drain: { linger: '500ms', timeout: '5s' },
    vips: [{ name: 'ingress', addresses: [V4, V6] }],
    bgp: { asn: 64512, peers: peers.map((p) => ({ hold_time: '3s', connect_retry: '1s', ...p })) },
  });

  // A failed test leaves no speaker to the next one.
  afterEach(() => VipNode.killAll());

  const topology = (as: number) => async () => {
    lab = new Lab();
    router = lab.namespace('router');
    node = lab.namespace('node');
    lab.link(
      { ns: router, dev: 'eth0', addresses: ['10.1.0.1/24', '2001:db8:1::1/64'] },
      { ns: node, dev: 'eth0', addresses: [`${NODE_V4}/24`, `${NODE_V6}/64`] },
    );
    frr = await Frr.start(router, { config: frrConfig(as) });
  };

  describe('eBGP, a session each for IPv4 and IPv6', () => {
    beforeAll(topology(64500));
    afterAll(() => lab.close());

    it('announces, degrades, withdraws, returns, and says goodbye', async () => {
      const vip = await VipNode.start(
        node,
        config([
          { address: '10.1.0.1', asn: 64500, next_hop: 'self' },
          { address: '2001:db8:1::1', asn: 64500, next_hop: 'self' },
        ]),
        'ebgp',
      );
      await frr.waitPaths('ipv4', V4, 1);
      await frr.waitPaths('ipv6', V6, 1);
      expect(await path(frr, 'ipv4', V4)).toMatchObject({ ...FULL, nextHop: NODE_V4 });
      expect(await path(frr, 'ipv6', V6)).toMatchObject({ ...FULL, nextHop: NODE_V6 });
      // The kernel of the router has the route, and the VIP answers there.
      await waitFor(() => router.routes(4, '203.0.113.10').length === 1, 'the route in the router’s kernel');
      const heard = node.spawn(['socat', '-u', 'UDP6-RECV:9162', 'STDOUT']);
      await waitFor(() => node.sh('ss -6 -H -u -l -n').includes(':9162'), 'socat to be bound');
      await router.exec(['socat', '-u', 'STDIN', 'UDP4-SENDTO:203.0.113.10:9162'], { input: 'to the IPv4 VIP\n' });
      await router.exec(['socat', '-u', 'STDIN', 'UDP6-SENDTO:[2001:db8:ff::10]:9162'], { input: 'to the IPv6 VIP\n' });
      await heard.waitForLine(/IPv4 VIP/);
      await heard.waitForLine(/IPv6 VIP/);
      await heard.stop();

      const up = await vip.status();
      expect(up.grade).toBe('full');
      expect(up.peers.map((p) => [p.state, p.hold_time, p.end_of_rib])).toEqual([
        ['Established', 3, ['1/1', '2/1']],
        ['Established', 3, ['1/1', '2/1']],
      ]);
      expect(up.vips.map((v) => [v.address, v.interface, v.announced])).toEqual([
        [V4, 'lo', true],
        [V6, 'lo', true],
      ]);
      expect(up.vips[0].peers[1].obstacle).toContain('IPv4 next hop');
      await waitFor(
        async () => (await vip.status()).peers[0].updates_dropped > 0,
        'routes of the router to be dropped',
      );
      const since = up.peers[0].established_since;

      vip.soft = ['spool above high water'];
      await waitFor(async () => (await path(frr, 'ipv4', V4)).med === 1000, 'degraded, IPv4');
      await waitFor(async () => (await path(frr, 'ipv6', V6)).med === 1000, 'degraded, IPv6');
      for (const [family, prefix] of [
        ['ipv4', V4],
        ['ipv6', V6],
      ] as const) {
        const shown = await path(frr, family, prefix);
        expect(shown).toMatchObject({ path: PREPENDED, communities: expect.stringMatching(/^graceful.?shutdown$/i) });
      }

      vip.hard = ['disk not writable'];
      await frr.waitPaths('ipv4', V4, 0);
      await frr.waitPaths('ipv6', V6, 0);
      vip.hard = [];
      vip.soft = [];
      await frr.waitPaths('ipv4', V4, 1);
      await waitFor(async () => (await path(frr, 'ipv4', V4)).med === 0, 'full again');

      await vip.channel.send({ drain: true });
      await waitFor(async () => (await path(frr, 'ipv4', V4)).med === 1000, 'draining');
      // Not one of these changes was a reset.
      expect((await vip.status()).peers[0].established_since).toBe(since);

      // A refresh asked for by the router.
      const before = (await vip.status()).peers[0].updates_sent;
      await frr.vtysh(`clear bgp ${NODE_V4} soft in`);
      await waitFor(async () => (await vip.status()).peers[0].updates_sent > before, 'the answer to route refresh');

      await vip.stop('kernel upgrade');
      expect(await frr.paths('ipv4', V4)).toEqual([]);
      const neighbor = await waitFor(async () => {
        const n = await frr.neighbor(NODE_V4);
        return n?.bgpState !== 'Established' ? n : undefined;
      }, 'the session to be down');
      const text = JSON.stringify(neighbor);
      expect(text).toContain('Administrative Shutdown');
      // Its log has the text of RFC 9003.
      await frr.bgpd.waitForLine(/10\.1\.0\.2 6\/2 .*edge-1: kernel upgrade/);
      expect(node.ip('address', 'show', 'dev', 'lo')).not.toContain('203.0.113.10');
      expect(node.ip('address', 'show', 'dev', 'lo')).not.toContain('2001:db8:ff::10');
      expect(JSON.parse(readFileSync(join(lab.dir, 'addresses.json'), 'utf8'))).toEqual([]);
      const kinds = vip.events().filter((e) => e.kind === 'vip' && 'to' in e && e.to === 'withdrawn');
      expect(kinds).toHaveLength(2);
    });

    it('comes back after the router restarted, and after its own death takes its addresses back', async () => {
      const one = config([{ address: '10.1.0.1', asn: 64500, next_hop: NODE_V6 }]);
      let vip = await VipNode.start(node, one, 'again');
      await frr.waitPaths('ipv4', V4, 1);
      // An IPv6 VIP over the IPv4 session, with an explicit next hop.
      await frr.waitPaths('ipv6', V6, 1);
      expect((await path(frr, 'ipv6', V6)).nextHop).toBe(NODE_V6);

      await frr.bgpd.kill9();
      await waitFor(async () => !(await vip.status()).vips[0].announced, 'the session to be down');
      await frr.startBgpd();
      await frr.waitPaths('ipv4', V4, 1);
      expect((await vip.status()).vips[0]).toMatchObject({ announced: true });
      expect(
        vip
          .events()
          .filter((e) => e.kind === 'session')
          .map((e) => e.to),
      ).toEqual(['up', 'down', 'up']);

      await vip.kill();
      await frr.waitPaths('ipv4', V4, 0);
      expect(node.ip('address', 'show', 'dev', 'lo')).toContain('203.0.113.10');
      // Another VIP now: what the dead one left is removed, and only that.
      node.address('lo', '203.0.113.99/32');
      const other = { ...one, vips: [{ name: 'other', addresses: ['203.0.113.11/32', '203.0.113.99/32'] }] };
      vip = await VipNode.start(node, other, 'third');
      await frr.waitPaths('ipv4', '203.0.113.11/32', 1);
      expect(node.ip('address', 'show', 'dev', 'lo')).not.toContain('203.0.113.10');
      expect((await vip.status()).vips.map((v) => [v.address, v.ours])).toEqual([
        ['203.0.113.11/32', true],
        ['203.0.113.99/32', false],
      ]);
      await vip.stop('done');
      const left = node.ip('address', 'show', 'dev', 'lo');
      expect(left).not.toContain('203.0.113.11');
      expect(left).toContain('203.0.113.99');
    });

    it('holds the router to the hold time, and is held to it', async () => {
      const vip = await VipNode.start(node, config([{ address: '10.1.0.1', asn: 64500 }]), 'hold');
      await frr.waitPaths('ipv4', V4, 1);
      // Frozen, the router's kernel still acknowledges.
      frr.bgpd.signal('SIGSTOP');
      await waitFor(() => vip.events().some((e) => e.kind === 'session' && e.to === 'down'), 'our hold timer');
      expect(vip.events().find((e) => e.kind === 'session' && e.to === 'down')?.reason).toContain('hold timer expired');
      frr.bgpd.signal('SIGCONT');
      await frr.waitPaths('ipv4', V4, 1);
      vip.proc.signal('SIGSTOP');
      await frr.waitPaths('ipv4', V4, 0);
      vip.proc.signal('SIGCONT');
      await frr.waitPaths('ipv4', V4, 1);
      await vip.stop('done');
    });
  });

  describe('iBGP', () => {
    beforeAll(topology(64512));
    afterAll(() => lab.close());

    it('says with LOCAL_PREF what eBGP says with the path', async () => {
      const vip = await VipNode.start(node, config([{ address: '10.1.0.1', asn: 64512, next_hop: [NODE_V6] }]), 'ibgp');
      await frr.waitPaths('ipv4', V4, 1);
      await frr.waitPaths('ipv6', V6, 1);
      for (const [family, prefix] of [
        ['ipv4', V4],
        ['ipv6', V6],
      ] as const)
        expect(await path(frr, family, prefix)).toMatchObject({ path: 'Local', med: 0, localPref: 100, origin: 'IGP' });
      vip.soft = ['export lag'];
      await waitFor(async () => (await path(frr, 'ipv4', V4)).localPref === 0, 'degraded');
      expect(await path(frr, 'ipv4', V4)).toMatchObject({
        med: 1000,
        communities: expect.stringMatching(/^graceful.?shutdown$/i),
      });
      // Every worker's channel closes: withdrawn at once.
      vip.channel.close();
      await frr.waitPaths('ipv4', V4, 0);
      await vip.kill();
    });
  });
});
