/** Several nodes of a site behind one router: whose VIP it is in owner mode, and what they find out together about a VIP that one of them is not used for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Frr } from './frr.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, labBin } from './peers.ts';
import { Tidegate } from './tidegate.ts';
import { VipNode } from './vip-speaker.ts';
import { waitFor } from './wait.ts';

const SECRET = 'a secret of the lab, long enough';
const N = [1, 2, 3] as const;

describe.skipIf(!labAvailable('ip', 'vtysh', 'bgpd', 'zebra', 'snmptrap'))('nodes of a site', () => {
  const lab = new Lab();
  let router: Namespace;
  const nodes: Namespace[] = [];
  let frr: Frr;

  beforeAll(async () => {
    router = lab.namespace('router');
    for (const i of N) nodes.push(lab.namespace(`node${i}`));
    lab.lan('sw', [
      { ns: router, dev: 'eth0', addresses: ['10.1.0.254/24'] },
      ...nodes.map((ns, i) => ({ ns, dev: 'eth0', addresses: [`10.1.0.${i + 1}/24`] })),
    ]);
    frr = await Frr.start(router, {
      config: `router bgp 64500
 bgp router-id 10.1.0.254
 no bgp ebgp-requires-policy
${N.map((i) => ` neighbor 10.1.0.${i} remote-as 64512\n neighbor 10.1.0.${i} timers connect 1`).join('\n')}
 address-family ipv4 unicast
  maximum-paths 1
 exit-address-family`,
    });
  }, 120_000);

  const cluster = (i: number) => ({
    ...{ listen: `10.1.0.${i}`, members: N.map((n) => `10.1.0.${n}`), secret: SECRET },
  });
  const bgp = { asn: 64512, peers: [{ address: '10.1.0.254', asn: 64500, connect_retry: '1s' }] };

  afterEach(() => VipNode.killAll());
  afterAll(() => lab.close());

  it('owner mode: a node that dies costs its own VIPs only, and they return to it; a degraded one gives all away', async () => {
    const vips = Array.from({ length: 8 }, (_, i) => ({
      ...{ name: `v${i}`, addresses: [`203.0.113.${i + 1}/32`], mode: 'owner' },
    }));
    const config = (i: number) => ({
      node: `edge-${i}`,
      cluster: cluster(i),
      lb: { vips, rise: '100ms', drain: { linger: '100ms', timeout: '1s' }, bgp },
    });
    const start = (i: number, again = '') =>
      VipNode.start(nodes[i - 1], config(i), `owner${i}${again}`, `owner${i}.addr`);
    /** VIP → the node whose path the router uses, where `paths` of them are there for each. */
    const used = async (paths: number): Promise<Record<string, number>> => {
      const all = await frr.showBgp('ipv4');
      const out: Record<string, number> = {};
      for (const v of vips) {
        const found = all[v.addresses[0]] ?? [];
        if (found.length !== paths) throw new Error(`${v.name} has ${found.length} paths`);
        out[v.name] = Number(found.find((p) => p.bestpath)?.nexthops?.[0].ip.split('.')[3]);
      }
      return out;
    };
    const settled = (paths: number, fits: (u: Record<string, number>) => boolean, what: string) =>
      waitFor(
        async () => {
          const first = await used(paths);
          await sleep(700);
          const second = await used(paths);
          return JSON.stringify(first) === JSON.stringify(second) && fits(second) ? second : undefined;
        },
        what,
        { every: 200 },
      );
    const vip = [await start(1), await start(2), await start(3)];
    const before = await settled(3, (u) => new Set(Object.values(u)).size === 3, 'each node to have some');

    await vip[1].kill();
    const without = await settled(2, (u) => !Object.values(u).includes(2), 'the dead node’s VIPs to move');
    for (const [name, node] of Object.entries(before))
      if (node !== 2) expect([name, without[name]]).toEqual([name, node]);

    vip[1] = await start(2, 'again');
    expect(await settled(3, (u) => Object.values(u).includes(2), 'its VIPs to return')).toEqual(before);

    vip[0].soft = ['export lag'];
    const worse = await settled(3, (u) => !Object.values(u).includes(1), 'the degraded node’s VIPs to move');
    for (const [name, node] of Object.entries(before))
      if (node !== 1) expect([name, worse[name]]).toEqual([name, node]);
    vip[0].soft = [];
    expect(await settled(3, (u) => Object.values(u).includes(1), 'them to return')).toEqual(before);
  });

  it('explain on a node that the router does not use names those that it does', async () => {
    const all: Tidegate[] = [];
    try {
      for (const i of [1, 2])
        all.push(
          await Tidegate.start({
            ns: nodes[i - 1],
            config: {
              ...{ node: `edge-${i}`, workers: 1, admin: { listen: '127.0.0.1:0' }, cluster: cluster(i) },
              collectors: { snmp_trap: { listen: [{ vip: 'ingress', port: 162 }], communities: [{ name: 'public' }] } },
              lb: { rise: '200ms', vips: [{ name: 'ingress', addresses: ['203.0.113.10/32'] }], bgp },
            },
          }),
        );
      const paths = await frr.waitPaths('ipv4', '203.0.113.10/32', 2);
      const best = Number(paths.find((p) => p.bestpath)?.nexthops?.[0].ip.split('.')[3]);
      const [usedNode, other] = best === 1 ? all : [all[1], all[0]];
      const said = () =>
        waitFor(
          async () => {
            const trap = ['-v2c', '-c', 'public', '203.0.113.10:162', '1', '1.3.6.1.6.3.1.1.5.1'];
            await router.exec([labBin('snmptrap'), ...trap]);
            const { stdout } = await other.cli(['explain', '10.1.0.254']);
            return stdout.includes('packets come only to') ? stdout : undefined;
          },
          'the node to hear of the other’s packets',
          { every: 500 },
        );
      expect(await said()).toMatch(
        new RegExp(
          `packets come only to edge-${best} \\(.* ago\\): no packet to it was ever seen here.*multipath`,
          's',
        ),
      );
      expect((await usedNode.cli(['explain', '10.1.0.254'])).stdout).not.toContain('packets come only');
      expect((await other.cli(['lb', 'status'])).stdout).toMatch(new RegExp(`edge-${best} .* alive +full .* 1 of 1`));
    } finally {
      for (const t of all) await t.kill9();
    }
  });
});
