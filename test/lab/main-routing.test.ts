/** FRR's BMP module, GoBGP's BMP and FRR as neighbour of the passive collector: the sum of the events is the router's own table. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Frr } from './frr.ts';
import { Gobgp } from './gobgp.ts';
import { KafkaLab } from './kafka.ts';
import { type Followed, Kcat } from './kcat.ts';
import { Lab } from './netns.ts';
import { labAvailable } from './peers.ts';
import {
  assertSame,
  type Family,
  type FrrReceived,
  type FrrRoute,
  frrAdvertised,
  frrReceived,
  frrRoutes,
  type GobgpTable,
  gobgpTable,
  sumOf,
} from './routes.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

/** Of each family. */
const ROUTES = 2500;
const R1 = { asn: 65001, v4: '10.7.0.1', v6: 'fd00:7::1' };
const R2 = { asn: 65002, v4: '10.7.0.2', v6: 'fd00:7::2' };
const G = { asn: 65003, v4: '10.7.0.3', v6: 'fd00:7::3' };
const T = { asn: 64512, v4: '10.7.0.9', v6: 'fd00:7::9' };

const v4 = (i: number) => `100.${64 + (i >> 8)}.${i & 255}.0/24`;
const v6 = (i: number) => `fd01:0:${i.toString(16)}::/48`;
const each = (from: number, to: number, line: (i: number) => string) =>
  Array.from({ length: to - from }, (_, i) => line(from + i));

type Shown = { routes: Record<string, FrrRoute[]> };

describe.skipIf(!labAvailable('ip', 'vtysh', 'bgpd', 'zebra', 'gobgpd', 'gobgp', 'kcat', 'java'))(
  'Routes to Kafka',
  () => {
    let lab: Lab;
    let kafka: KafkaLab;
    let t: Tidegate;
    let r1: Frr;
    let r2: Frr;
    let g: Gobgp;
    let bmp: Kcat;
    let bmpPeers: Kcat;
    let bmpRouters: Kcat;
    let bgp: Kcat;
    let bgpPeers: Kcat;

    beforeAll(async () => {
      lab = new Lab();
      const ns = Object.fromEntries(['r1', 'r2', 'g', 't'].map((n) => [n, lab.namespace(n)]));
      lab.lan(
        'lan',
        [R1, R2, G, T].map((who, i) => ({
          ns: ns[['r1', 'r2', 'g', 't'][i]],
          dev: 'eth0',
          addresses: [`${who.v4}/24`, `${who.v6}/64`],
        })),
      );
      const neighbours = (list: { v4: string; v6: string; asn: number }[], family: 'v4' | 'v6', ...more: string[]) =>
        list.flatMap((n) => [
          `  neighbor ${n[family]} activate`,
          ...more.map((m) => `  neighbor ${n[family]} ${m}`),
          `  no neighbor ${n[family === 'v4' ? 'v6' : 'v4']} activate`,
        ]);
      const sessions = (list: { v4: string; v6: string; asn: number }[]) =>
        list.flatMap((n) =>
          [n.v4, n.v6].flatMap((a) => [` neighbor ${a} remote-as ${n.asn}`, ` neighbor ${a} timers connect 1`]),
        );
      [kafka, r2, r1, g] = await Promise.all([
        KafkaLab.start({ prefix: ns.t.prefix }),
        Frr.start(ns.r2, {
          config: [
            `router bgp ${R2.asn}`,
            ` bgp router-id ${R2.v4}`,
            ' no bgp ebgp-requires-policy',
            ' no bgp network import-check',
            ...sessions([R1]),
            ' address-family ipv4 unicast',
            ...neighbours([R1], 'v4'),
            ...each(0, ROUTES, (i) => `  network ${v4(i)}${i % 10 === 0 ? ' route-map RICH' : ''}`),
            ' exit-address-family',
            ' address-family ipv6 unicast',
            ...neighbours([R1], 'v6'),
            ...each(0, ROUTES, (i) => `  network ${v6(i)}${i % 10 === 0 ? ' route-map RICH' : ''}`),
            ' exit-address-family',
            'route-map RICH permit 10',
            ' set metric 77',
            ' set community 65002:1 65002:2',
            ' set large-community 65002:1:2',
            ' set extcommunity rt 65002:9',
            ' set as-path prepend 4200000001 64998',
            ' set origin incomplete',
            'route-map OTHER permit 10',
            ' set metric 78',
            ' set as-path prepend 64997',
          ].join('\n'),
        }),
        Frr.start(ns.r1, {
          bmp: true,
          config: [
            `router bgp ${R1.asn}`,
            ` bgp router-id ${R1.v4}`,
            ' no bgp ebgp-requires-policy',
            ...sessions([R2, G]),
            ` neighbor ${T.v4} remote-as ${T.asn}`,
            ` neighbor ${T.v4} timers connect 1`,
            ' address-family ipv4 unicast',
            ...neighbours([R2, G], 'v4', 'soft-reconfiguration inbound'),
            `  neighbor ${R2.v4} route-map IN4 in`,
            // Nothing comes back from R2: FRR 8 tells looped routes by BMP, but not their withdrawal.
            `  neighbor ${R2.v4} filter-list NOTHING out`,
            // GoBGP shows looped routes in adj-in, and tells them by BMP only where they were there before the session.
            `  neighbor ${G.v4} filter-list NOT-ITS-OWN out`,
            `  neighbor ${T.v4} next-hop-self`,
            ' exit-address-family',
            ' address-family ipv6 unicast',
            ...neighbours([R2, G], 'v6', 'soft-reconfiguration inbound'),
            `  neighbor ${R2.v6} filter-list NOTHING out`,
            `  neighbor ${G.v6} filter-list NOT-ITS-OWN out`,
            `  neighbor ${T.v4} activate`,
            `  neighbor ${T.v4} next-hop-self`,
            ' exit-address-family',
            ' bmp targets tidegate',
            '  bmp monitor ipv4 unicast pre-policy',
            '  bmp monitor ipv4 unicast post-policy',
            '  bmp monitor ipv6 unicast pre-policy',
            '  bmp monitor ipv6 unicast post-policy',
            `  bmp connect ${T.v4} port 11019 min-retry 100 max-retry 1000`,
            ' exit',
            'bgp as-path access-list NOTHING deny .*',
            `bgp as-path access-list NOT-ITS-OWN deny _${G.asn}_`,
            'bgp as-path access-list NOT-ITS-OWN permit .*',
            // What makes the two views differ. It denies nothing: FRR 8 tells denied routes only to a station that comes later.
            'route-map IN4 permit 10',
            ' set metric 500',
          ].join('\n'),
        }),
        Gobgp.start(
          ns.g,
          [
            `[global.config]\nas = ${G.asn}\nrouter-id = "${G.v4}"`,
            ...[R1.v4, R1.v6].map(
              (a, i) =>
                `[[neighbors]]\n[neighbors.config]\nneighbor-address = "${a}"\npeer-as = ${R1.asn}\n` +
                `[neighbors.timers.config]\nconnect-retry = 1\n` +
                `[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "ipv${i === 0 ? 4 : 6}-unicast"`,
            ),
            // One policy a server: the two views come over two sessions.
            ...['pre', 'post'].map(
              (policy, i) =>
                `[[bmp-servers]]\n[bmp-servers.config]\naddress = "${T.v4}"\nport = ${11019 + i}\n` +
                `route-monitoring-policy = "${policy}-policy"`,
            ),
          ].join('\n'),
        ),
      ]);
      const devices = join(lab.dir, 'devices.yaml');
      writeFileSync(devices, JSON.stringify([{ id: 'pe-1', name: 'pe-1.example', match: [{ address: R1.v4 }] }]));
      t = await Tidegate.start({
        ns: ns.t,
        noWait: true,
        config: {
          node: 'edge-1',
          workers: 2,
          inventory: { file: devices },
          collectors: {
            bmp: { listen: [`${T.v4}:11019`, `${T.v4}:11020`] },
            bgp: { listen: [`${T.v4}:179`], asn: T.asn, peers: [{ address: R1.v4, asn: R1.asn }] },
          },
          export: { kafka: { brokers: kafka.bootstrap(), partitions: 3 } },
          admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
        },
      });
      const applied = await t.cli(['topics', 'apply']);
      if (applied.code !== 0) throw new Error(applied.stdout + applied.stderr);
      await t.waitReady();
      const follow = (type: string) => new Kcat(kafka.bootstrap(), `tidegate.${type}.v1`, ns.t);
      [bmp, bmpPeers, bmpRouters] = [follow('bmp.update'), follow('bmp.peer'), follow('bmp.router')];
      [bgp, bgpPeers] = [follow('bgp.update'), follow('bgp.peer')];
      // Routes with every kind of community, from the other neighbour.
      for (let i = 0; i < 8; i++)
        await g.cli(
          ...['global', 'rib', 'add', `198.51.${i}.0/24`, 'origin', 'egp', 'med', `${i}`],
          ...['community', `65003:${i}`, 'large-community', `65003:1:${i}`, 'rt', `65003:${i}`],
        );
      await g.cli('global', 'rib', 'add', '-a', 'ipv6', '2001:db8:99::/48', 'local-pref', '5');
    });

    afterAll(async () => {
      await kafka?.close();
      await lab?.close();
    });

    const ofPeer = (router: string, peer: string, view: string) => (r: Followed) =>
      r.data.router.address === router && r.data.peer.address === peer && r.data.view === view;

    /** Waits until the events' sum is what the router says at that moment. */
    async function same(
      what: string,
      events: () => Followed[],
      family: Family,
      table: () => Promise<Map<string, string>>,
      least: number,
      communities = false,
    ): Promise<void> {
      await waitFor(
        async () => {
          const shown = await table();
          if (shown.size < least) throw new Error(`${shown.size} of ${least} routes in the router`);
          assertSame(sumOf(events(), family, communities), shown, what);
          return true;
        },
        what,
        { every: 250 },
      );
    }

    /** All that the routers know, against all that the events say. `routes`: how many of r2's are left in each family. */
    async function compareAll(routes: number): Promise<void> {
      const families = [
        { family: 'ipv4-unicast', frr: 'ipv4', key: 'v4', own: 7 },
        { family: 'ipv6-unicast', frr: 'ipv6', key: 'v6', own: 1 },
      ] as const;
      for (const { family, frr, key, own } of families) {
        for (const [peer, least] of [
          [R2[key], routes],
          [G[key], own],
        ] as const) {
          // What R2 has is what it said; FRR's `received-routes` shows what a route-map set, though that is after policy.
          const pre = async () =>
            peer === R2[key]
              ? frrAdvertised(await r2.json<Shown>(`show bgp ${frr} unicast json`), `${R1.asn} ${R2.asn}`, peer)
              : frrReceived(
                  await r1.json<FrrReceived>(`show bgp ${frr} unicast neighbors ${peer} received-routes json`),
                  R1.asn,
                );
          await same(
            `FRR's BMP: ${frr} of ${peer} before policy`,
            () => bmp.find(ofPeer(R1.v4, peer, 'adj-rib-in-pre')),
            family,
            pre,
            least,
          );
          const post = () => r1.json<Shown>(`show bgp ${frr} unicast neighbors ${peer} routes json`);
          await same(
            `FRR's BMP: ${frr} of ${peer} after policy`,
            () => bmp.find(ofPeer(R1.v4, peer, 'adj-rib-in-post')),
            family,
            async () => frrRoutes(await post(), R1.asn),
            own,
          );
        }
        const mine = () => r1.json<Shown>(`show bgp ${frr} unicast json`);
        await same(
          `the collector's session: ${frr}`,
          () => bgp.find(),
          family,
          async () => frrAdvertised(await mine(), `${R1.asn}`, R1[key]),
          own,
        );
        // GoBGP has no policy here: both views are what it heard. It sends no withdrawal after policy of a route that it told in its first dump.
        const whole = routes === ROUTES;
        for (const view of whole ? ['adj-rib-in-pre', 'adj-rib-in-post'] : ['adj-rib-in-pre'])
          await same(
            `GoBGP's BMP: ${frr} ${view}`,
            () => bmp.find(ofPeer(G.v4, R1[key], view)),
            family,
            async () => gobgpTable(await g.json<GobgpTable>('neighbor', R1[key], 'adj-in', '-a', frr)),
            own,
            true,
          );
      }
    }

    it('some thousand routes: the sum of the events equals every table of the routers', async () => {
      await compareAll(ROUTES);
      const v4OfR2 = sumOf(bmp.find(ofPeer(R1.v4, R2.v4, 'adj-rib-in-pre')), 'ipv4-unicast');
      expect(v4OfR2.size).toBe(ROUTES);
      expect(v4OfR2.get(v4(10))).toBe(`65001 65002 4200000001 64998 | incomplete | ${R2.v4} | 77`);
      const post = sumOf(bmp.find(ofPeer(R1.v4, R2.v4, 'adj-rib-in-post')), 'ipv4-unicast');
      expect(post.get(v4(10))).toBe(`65001 65002 4200000001 64998 | incomplete | ${R2.v4} | 500`);
      expect(sumOf(bgp.find(), 'ipv6-unicast').size).toBeGreaterThan(ROUTES);
    });

    it('keys are the device and the peer; each session began with an up, and told its End-of-RIB', async () => {
      for (const r of bmp.find()) {
        const device = r.data.router.address === R1.v4 ? 'pe-1' : `default|${G.v4}`;
        expect(r.key).toBe(`${device}|${r.data.peer.address}`);
        expect(r.headers.ce_subject).toBe(device);
      }
      for (const r of bgp.find()) expect(r.key).toBe(`pe-1|${R1.v4}`);
      for (const peer of [R2.v4, R2.v6, G.v4, G.v6])
        await bmpPeers.wait(
          (r) => r.data.router.address === R1.v4 && r.data.peer.address === peer && r.data.state === 'up',
          1,
          `FRR's Peer Up of ${peer}`,
        );
      for (const [family, peer] of [
        ['ipv4-unicast', R2.v4],
        ['ipv6-unicast', R2.v6],
      ])
        await bmp.wait(
          (r) => r.data.router.address === R1.v4 && r.data.peer.address === peer && r.data.eor === family,
          1,
          `FRR's End-of-RIB of ${family}`,
        );
      const [router] = await bmpRouters.wait((r) => r.data.router.address === R1.v4, 1, 'FRR as BMP router');
      expect(router.data.router.name).toBe('r1');
      const [up] = await bgpPeers.wait((r) => r.data.state === 'up', 1, 'FRR as BGP neighbour');
      expect(up.data.peer).toMatchObject({ address: R1.v4, asn: R1.asn, bgp_id: R1.v4 });
      for (const family of ['ipv4-unicast', 'ipv6-unicast'])
        await bgp.wait((r) => r.data.eor === family, 1, `the End-of-RIB of ${family} from FRR as neighbour`);
    });

    it('withdrawn and changed routes: the sums are still equal', async () => {
      const gone = (line: (i: number) => string) => each(100, 500, (i) => `no network ${line(i)}`);
      const other = (line: (i: number) => string) => each(1000, 1100, (i) => `network ${line(i)} route-map OTHER`);
      const file = join(lab.dir, 'change.conf');
      const lines = [
        `router bgp ${R2.asn}`,
        'address-family ipv4 unicast',
        ...gone(v4),
        ...other(v4),
        'exit-address-family',
      ];
      lines.push('address-family ipv6 unicast', ...gone(v6), ...other(v6), 'exit-address-family');
      writeFileSync(file, `${lines.join('\n')}\n`);
      await r2.load(file);
      await g.cli('global', 'rib', 'del', '198.51.3.0/24');
      await waitFor(async () => {
        const n = await r1.neighbor(R2.v6);
        const accepted = n?.addressFamilyInfo?.ipv6Unicast?.acceptedPrefixCounter;
        return accepted !== undefined && accepted <= ROUTES - 400 + 1;
      }, 'r1 to know that routes are gone');
      await compareAll(ROUTES - 400);
      const left = sumOf(bmp.find(ofPeer(R1.v4, R2.v4, 'adj-rib-in-pre')), 'ipv4-unicast');
      expect(left.has(v4(100))).toBe(false);
      expect(left.get(v4(1001))).toBe(`65001 65002 64997 | igp | ${R2.v4} | 78`);
      expect(sumOf(bgp.find(), 'ipv4-unicast').has('198.51.3.0/24')).toBe(false);
    });

    it('peers that go down and come back are seen, with the reason', async () => {
      await r1.configure(`router bgp ${R1.asn}`, `neighbor ${R2.v6} shutdown`, `neighbor ${T.v4} shutdown`);
      const [down] = await bmpPeers.wait(
        (r) => r.data.peer.address === R2.v6 && r.data.state === 'down',
        1,
        'the Peer Down of what was shut down',
      );
      expect(down.data.router.address).toBe(R1.v4);
      const [ended] = await bgpPeers.wait((r) => r.data.state === 'down', 1, "the end of the collector's session");
      expect(ended.data.notification).toMatchObject({ code: 6, subcode: 2 });
      await r1.configure(`router bgp ${R1.asn}`, `no neighbor ${R2.v6} shutdown`, `no neighbor ${T.v4} shutdown`);
      const ups = await bgpPeers.wait((r) => r.data.state === 'up', 2, 'the session again');
      expect(ups[1].data.epoch).toBeGreaterThan(ups[0].data.epoch);
      await bmpPeers.wait((r) => r.data.peer.address === R2.v6 && r.data.state === 'up', 2, 'the peer again');
      // The router tells everything again: the last epoch alone is the whole table.
      const table = () => r1.json<Shown>('show bgp ipv6 unicast json');
      await same(
        'the second session alone',
        () => bgp.find((r) => r.data.epoch === ups[1].data.epoch),
        'ipv6-unicast',
        async () => frrAdvertised(await table(), `${R1.asn}`, R1.v6),
        ROUTES - 400,
      );
    });

    it('a router that dies takes its peers down; nothing was refused, nothing is missing in the topics', async () => {
      const ups = bmpPeers.find((r) => r.data.router.address === G.v4 && r.data.state === 'up').length;
      expect(ups).toBeGreaterThanOrEqual(2);
      await g.proc.kill9();
      await bmpRouters.wait(
        (r) => r.data.router.address === G.v4 && r.data.event === 'session-down',
        1,
        'the end of the BMP session',
      );
      await bmpPeers.wait((r) => r.data.router.address === G.v4 && r.data.state === 'down', 2, 'its peers');
      await bmpPeers.wait(
        (r) => r.data.router.address === R1.v4 && r.data.peer.address === G.v4 && r.data.state === 'down',
        1,
        'the same peer as the other router saw it',
      );
      const explained = await t.json<{ findings: { severity: string; cause: string }[] }>(['explain', R1.v4]);
      // FRR may tell the End-of-RIB of a neighbour that is just coming up, here the collector itself, before its Peer Up.
      const early = new RegExp(`unknown-peer: .*\\(global ${T.v4}\\)`);
      expect(explained.findings.filter((f) => f.severity === 'problem' && !early.test(f.cause))).toEqual([]);
      expect(await t.sigterm()).toEqual({ code: 0, signal: null });
      const audit = await t.cli(['audit', '--kafka']);
      expect(audit.code, audit.stdout + audit.stderr).toBe(0);
    });
  },
);
