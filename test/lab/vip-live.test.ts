/**
 * Addresses of a VIP that come and go while the node runs: the router gets a route when sockets of every worker are there, and not before;
 * what is already there loses nothing.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { Frr } from './frr.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, labBin, NODE } from './peers.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const A = '203.0.113.10';
const B = '203.0.113.11';
const B6 = '2001:db8:ff::11';
const C = '203.0.113.12';

interface Vip {
  address: string;
  announced: boolean;
  obstacle?: string;
}

describe.skipIf(!labAvailable('ip', 'vtysh', 'bgpd', 'zebra', 'snmptrap'))('a VIP whose addresses change', () => {
  const lab = new Lab();
  let node: Namespace;
  let router: Namespace;
  let frr: Frr;
  let t: Tidegate;
  let since: number;

  const vips = async () => (await t.json<{ vips: Vip[] }>(['lb', 'status'])).vips;
  const of = async (address: string) => (await vips()).find((v) => v.address.split('/')[0] === address);
  const paths = (address: string) =>
    frr.paths(address.includes(':') ? 'ipv6' : 'ipv4', `${address}/${address.includes(':') ? 128 : 32}`);
  /** Paths of bgpd; with one, also what zebra makes of it in the kernel, which comes a moment later. */
  const routed = (address: string, count = 1) =>
    waitFor(async () => {
      if ((await paths(address)).length !== count) return false;
      const family = address.includes(':') ? '-6' : '-4';
      return count === 0 || router.ip(family, 'route', 'show', address).trim() !== '';
    }, `${count} paths to ${address}`);
  const session = async () =>
    (await t.json<{ peers: { established_since: number }[] }>(['lb', 'status'])).peers[0].established_since;

  /** Changes the file and waits until it is taken over. */
  async function edit(change: (c: ReturnType<typeof parse>) => void): Promise<Record<string, unknown>> {
    const before = t.logs.length;
    const config = parse(readFileSync(t.configFile, 'utf8'));
    change(config);
    writeFileSync(t.configFile, stringify(config));
    return await waitFor(() => t.logs.slice(before).find((l) => l.msg === 'configuration reloaded'), 'the reload');
  }

  const trapTo = async (address: string, port = 162) => {
    const host = address.includes(':') ? `udp6:[${address}]` : address;
    await router.exec([labBin('snmptrap'), '-v2c', '-c', 'public', `${host}:${port}`, '1', '1.3.6.1.6.3.1.1.5.1']);
  };
  const traps = () => t.events.filter((e) => e.type === 'snmp.trap.v1').length;
  async function arrives(address: string, port = 162): Promise<void> {
    const before = traps();
    await trapTo(address, port);
    await waitFor(() => traps() > before, `a trap to ${address}`);
  }

  beforeAll(async () => {
    node = lab.namespace('node');
    router = lab.namespace('router');
    lab.link(
      { ns: node, dev: 'eth0', addresses: ['10.1.0.2/24', '2001:db8:1::2/64'] },
      { ns: router, dev: 'eth0', addresses: ['10.1.0.1/24', '2001:db8:1::1/64'] },
    );
    frr = await Frr.start(router, {
      config: `router bgp 64500
 bgp router-id 10.1.0.1
 no bgp ebgp-requires-policy
 neighbor 10.1.0.2 remote-as 64512
 neighbor 10.1.0.2 timers connect 1
 address-family ipv6 unicast
  neighbor 10.1.0.2 activate
 exit-address-family`,
    });
    t = await Tidegate.start({
      ns: node,
      config: {
        node: 'edge-1',
        workers: 2,
        collectors: {
          snmp_trap: { listen: [{ vip: 'ingress', port: 162 }], communities: [{ name: 'public' }] },
          bmp: { listen: [{ vip: 'ingress', port: 11019 }] },
        },
        admin: { listen: '127.0.0.1:0' },
        lb: {
          rise: '200ms',
          vips: [{ name: 'ingress', addresses: [`${A}/32`] }],
          bgp: {
            asn: 64512,
            router_id: '10.1.0.2',
            peers: [{ address: '10.1.0.1', asn: 64500, next_hop: ['10.1.0.2', '2001:db8:1::2'], connect_retry: '1s' }],
          },
        },
      },
    });
    await routed(A);
    since = await session();
  }, 120_000);

  afterAll(async () => {
    await t?.kill9();
    await lab.close();
  });

  it('a new address is listened at by every worker before the router has it; the old one loses nothing', async () => {
    const before = traps();
    let sent = 0;
    let sending = true;
    const flow = (async () => {
      for (; sending && sent < 500; sent++) await trapTo(A);
    })();
    const reloaded = await edit((c) => c.lb.vips[0].addresses.push(`${B}/32`, `${B6}/128`));
    expect(reloaded.needs_restart).toEqual([]);
    for (const address of [B, B6]) {
      await routed(address);
      const sockets = node.sh('ss -lunH').split('\n');
      expect(sockets.filter((l) => l.includes(address))).toHaveLength(2);
    }
    sending = false;
    await flow;
    await waitFor(() => traps() - before === sent, `${sent} traps to the old address`);
    for (const address of [A, B, B6]) await arrives(address);
    expect(await session()).toBe(since);
    expect((await vips()).map((v) => [v.announced, v.obstacle])).toEqual([
      [true, undefined],
      [true, undefined],
      [true, undefined],
    ]);
  });

  it('BMP is taken there too', async () => {
    const script = `require('net').connect(11019, '${B}').on('connect', () => console.log('connected'));`;
    const dialled = router.spawn([NODE, '-e', script]);
    await dialled.waitForLine(/connected/);
    type Sessions = { workers: { collectors: { bmp: { sessions: unknown[] } } }[] };
    const count = async () =>
      (await t.status<Sessions>()).workers.reduce((n, w) => n + w.collectors.bmp.sessions.length, 0);
    await waitFor(async () => (await count()) === 1, 'the session');
    await dialled.kill9();
    await waitFor(async () => (await count()) === 0, 'its end');
  });

  it('a worker that dies comes back with the sockets that were added', async () => {
    const [first] = t.children(/worker-main/);
    const logged = t.logs.length;
    process.kill(first, 'SIGKILL');
    // On a busy machine a question takes longer than the withdraw lasts: the log keeps it.
    await waitFor(() => t.logs.slice(logged).some((l) => l.msg === 'grade' && l.to === 'dead'), 'the withdraw');
    const workers = t.children(/worker-main/).length;
    await waitFor(() => {
      const now = t.children(/worker-main/);
      return !now.includes(first) && now.length >= workers;
    }, 'the successor');
    await waitFor(async () => (await of(B))?.announced === true, 'the return');
    for (const address of [A, B, B6]) {
      await routed(address);
      await arrives(address);
    }
  });

  it('an address whose port somebody has is held back with the reason, and comes when it is free', async () => {
    node.ip('address', 'add', `${C}/32`, 'dev', 'lo');
    const holder = node.spawn([
      NODE,
      '-e',
      `const s = require('dgram').createSocket('udp4'); s.bind(162, '${C}', () => console.log('bound'));`,
    ]);
    await holder.waitForLine(/bound/);
    await edit((c) => c.lb.vips[0].addresses.push(`${C}/32`));
    const obstacle = await waitFor(async () => (await of(C))?.obstacle, 'the obstacle');
    expect(obstacle).toContain('has not opened snmp_trap udp default 203.0.113.12:162');
    expect(await paths(C)).toEqual([]);
    const explained = (await t.cli(['explain', '10.1.0.1'])).stdout;
    expect(explained).toMatch(/a listener of the changed configuration is not open: .*203\.0\.113\.12:162/);
    expect(t.logs.some((l) => l.msg === 'a listener cannot be opened; it is tried again')).toBe(true);
    for (const address of [A, B, B6]) expect(await paths(address)).toHaveLength(1);
    await holder.kill9();
    await routed(C);
    await arrives(C);
  });

  it('a listener and a VIP in one change; an address that is taken out has neither route nor socket', async () => {
    const reloaded = await edit((c) => {
      c.lb.vips[0].addresses = [`${A}/32`, `${C}/32`];
      c.lb.vips.push({ name: 'second', addresses: [`${B}/32`] });
      c.collectors.snmp_trap.listen.push({ vip: 'second', port: 1162 });
    });
    expect(reloaded.needs_restart).toEqual([]);
    await routed(B6, 0);
    await routed(B);
    await arrives(B, 1162);
    await waitFor(() => !node.sh('ss -lunH').includes(B6), 'the sockets of the address to be closed');
    expect(node.sh('ss -lntH')).not.toContain(`${B}:11019`);
    await arrives(A);
  });

  it('an address with a listener of a collector that waits for a restart waits with it', async () => {
    const reloaded = await edit((c) => {
      c.lb.vips.push({ name: 'third', addresses: ['203.0.113.13/32'] });
      c.collectors.bgp = { listen: [{ vip: 'third', port: 1179 }], asn: 64513, router_id: '10.1.0.9', peers: [] };
    });
    expect(reloaded.needs_restart).toContain('collectors.bgp');
    const obstacle = await waitFor(async () => (await of('203.0.113.13'))?.obstacle, 'the obstacle');
    expect(obstacle).toContain('bgp tcp default 203.0.113.13:1179');
    expect(await paths('203.0.113.13')).toEqual([]);
    expect(await session()).toBe(since);
    await t.kill9();
    t = await t.restart({ config: readFileSync(t.configFile, 'utf8') });
    await routed('203.0.113.13');
  });
});
