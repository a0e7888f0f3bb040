/**
 * VRRP, layer 2 with its cluster, and BFD with no IPv4 anywhere, not even 127.0.0.1: the whole product on two nodes of a LAN, a device,
 * and an FRR. BGP, Kafka and the collectors without IPv4 are in main-v6.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Frr } from './frr.ts';
import { Lab, type Namespace, setPort } from './netns.ts';
import { labAvailable, labBin } from './peers.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const VIPS = { vrrp: '2001:db8:9::50', l2: '2001:db8:9::51', bgp: '2001:db8:ff::52' };
type Name = keyof typeof VIPS;
const address = (host: number) => `2001:db8:9::${host}`;
const FRR = address(3);

interface Status {
  grade: string;
  router_id: string;
  vips: { name: string; announced: boolean; back_end: string; obstacle?: string; error?: string }[];
  peers: {
    peer: string;
    state: string;
    last_down?: { reason: string };
    bfd?: { state: string; detection_time: number };
  }[];
  cluster: { settled: boolean; members: { state: string; hears_us: boolean }[] };
}

describe.skipIf(!labAvailable('bgpd', 'bfdd', 'vtysh', 'snmptrap'))('without any IPv4, on a LAN', () => {
  const lab = new Lab();
  const spaces: Namespace[] = [];
  const nodes: Tidegate[] = [];
  let device: Namespace;
  let sw: Namespace;
  let frr: Frr;
  let sent = 0;

  const config = (i: number) => ({
    node: `edge-${i + 1}`,
    workers: 1,
    collectors: {
      snmp_trap: {
        listen: (Object.keys(VIPS) as Name[]).map((vip) => ({ vip, port: 162 })),
        communities: [{ name: 'public', from: ['2001:db8::/32'] }],
      },
    },
    lb: {
      rise: '200ms',
      drain: { linger: '200ms', timeout: '2s' },
      vips: Object.entries(VIPS).map(([name, a]) => ({ name, addresses: [`${a}/128`] })),
      vrrp: [{ vrid: 7, interface: 'eth0', vips: ['vrrp'], priority: [150, 100][i], advert_interval: '100ms' }],
      l2: { interfaces: ['eth0'], vips: ['l2'], lifetime: '2s' },
      bgp: {
        asn: 64512,
        peers: [{ address: FRR, asn: 64500, connect_retry: '1s', bfd: { interval: '100ms', multiplier: 3 } }],
      },
    },
    cluster: { listen: address(i + 1), members: [address(1), address(2)], secret: 'a secret of the lab, long enough' },
    admin: { listen: '[::1]:0' },
  });

  beforeAll(async () => {
    spaces.push(...['edge-1', 'edge-2', 'router', 'device'].map((n) => lab.namespace(n, { ipv4: false })));
    sw = lab.lan(
      'sw',
      spaces.map((ns, i) => ({ ns, dev: 'eth0', addresses: [`${address(i + 1)}/64`] })),
    );
    device = spaces[3];
    frr = await Frr.start(spaces[2], {
      bfd: true,
      config: [
        'router bgp 64500',
        ' bgp router-id 192.0.2.254',
        ' no bgp ebgp-requires-policy',
        ' no bgp default ipv4-unicast',
        ...[1, 2].flatMap((host) => [
          ` neighbor ${address(host)} remote-as 64512`,
          ` neighbor ${address(host)} bfd 3 100 100`,
          ` neighbor ${address(host)} timers connect 1`,
        ]),
        ' address-family ipv6 unicast',
        '  maximum-paths 4',
        ...[1, 2].map((host) => `  neighbor ${address(host)} activate`),
        ' exit-address-family',
      ].join('\n'),
    });
    nodes.push(...(await Promise.all([0, 1].map((i) => Tidegate.start({ ns: spaces[i], config: config(i) })))));
  });
  afterAll(async () => {
    for (const n of nodes) await n.kill9();
    await lab.close();
  });

  const lb = (n: Tidegate) => n.api<Status>('GET', '/lb');
  const announced = async (n: Tidegate, name: Name) => (await lb(n)).vips.find((v) => v.name === name)!.announced;

  /** Waits until exactly one of the nodes has the VIP, and a trap to it arrives there; the index of that node. */
  async function owner(name: Name, among = [0, 1]): Promise<number> {
    return waitFor(
      async () => {
        const have = await Promise.all(among.map((i) => announced(nodes[i], name)));
        if (have.filter(Boolean).length !== 1) throw new Error(`${have}`);
        const found = among[have.indexOf(true)];
        const text = `v6-${++sent}`;
        await device.exec([
          ...[labBin('snmptrap'), '-v2c', '-c', 'public', `udp6:[${VIPS[name]}]:162`, '1', '1.3.6.1.6.3.1.1.5.3'],
          ...['1.3.6.1.4.1.32473.1.9', 's', text],
        ]);
        const arrived = () => nodes[found].events.some((e) => JSON.stringify(e.data).includes(`"${text}"`));
        await waitFor(arrived, 'the trap', { ceiling: 1000 });
        return { found };
      },
      `one node to have the VIP ${name}, and a trap to it`,
      { every: 100 },
    ).then(({ found }) => found);
  }

  /** Waits until this node has it. */
  const at = (name: Name, i: number) =>
    waitFor(async () => (await owner(name)) === i, `${name} at node ${i}`, { every: 100 });

  it('there is none', () => {
    for (const ns of spaces) expect(ns.ip('-4', 'address').trim()).toBe('');
  });

  it('VRRP: the node of higher priority has the VIP; layer 2: one node has it, by a cluster over IPv6', async () => {
    await at('vrrp', 0);
    const first = await owner('l2');
    expect(await lb(nodes[first])).toMatchObject({
      grade: 'full',
      cluster: { settled: true, members: [{ state: 'alive', hears_us: true }] },
      vips: [{ back_end: 'vrrp' }, { back_end: 'l2', announced: true }, { back_end: 'bgp', announced: true }],
    });
  });

  it('what a node dials comes from its own address, though a VIP of the same prefix is closer to the other end', async () => {
    const home = await owner('vrrp');
    const [route] = JSON.parse(spaces[home].ip('-6', '-json', 'route', 'get', FRR)) as { prefsrc: string }[];
    expect(route.prefsrc).toBe(address(home + 1));
  });

  it('another node takes a VIP when all processes of its node are killed, and it comes back', async () => {
    const homes = { vrrp: await owner('vrrp'), l2: await owner('l2') };
    for (const home of new Set(Object.values(homes))) {
      const names = (['vrrp', 'l2'] as const).filter((name) => homes[name] === home);
      await nodes[home].kill9();
      for (const name of names) expect(await owner(name, [1 - home])).toBe(1 - home);
      nodes[home] = await nodes[home].restart();
      for (const name of names) await at(name, home);
    }
  });

  it('BFD: Up with FRR over IPv6; a path that goes silent ends the session by it', async () => {
    const session = async (n: Tidegate) => (await lb(n)).peers.find((p) => p.peer === FRR)!;
    const up = (n: Tidegate) =>
      waitFor(async () => {
        const p = await session(n);
        if (p.state === 'Established' && p.bfd?.state === 'Up' && p.bfd.detection_time === 300) return true;
        throw new Error(JSON.stringify(p));
      }, 'BFD Up, with the agreed detection time');
    for (const n of nodes) await up(n);
    await frr.waitPaths('ipv6', `${VIPS.bgp}/128`, 2);
    setPort(sw, 0, false);
    await waitFor(async () => (await session(nodes[0])).state !== 'Established', 'the session to end');
    expect((await session(nodes[0])).last_down?.reason).toMatch(/BFD/);
    await frr.waitPaths('ipv6', `${VIPS.bgp}/128`, 1);
    setPort(sw, 0, true);
    await up(nodes[0]);
    await frr.waitPaths('ipv6', `${VIPS.bgp}/128`, 2);
  });
});
