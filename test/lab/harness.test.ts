/** The lab itself: what the other lab tests take for granted. */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Frr } from './frr.ts';
import { Gobgp } from './gobgp.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable } from './peers.ts';
import { Proc } from './proc.ts';
import { waitFor } from './wait.ts';

describe.skipIf(!labAvailable('ip', 'vtysh', 'bgpd', 'zebra', 'gobgpd', 'socat'))('lab', () => {
  let lab: Lab;
  let router: Namespace;
  let a: Namespace;
  let b: Namespace;

  beforeAll(() => {
    lab = new Lab();
    router = lab.namespace('router');
    a = lab.namespace('a');
    b = lab.namespace('b', { ipv4: false });
    lab.link(
      { ns: router, dev: 'eth0', addresses: ['10.1.0.1/24', '2001:db8:1::1/64'] },
      { ns: a, dev: 'eth0', addresses: ['10.1.0.2/24', '2001:db8:1::2/64'] },
    );
    lab.lan('lan', [
      { ns: router, dev: 'eth1', addresses: ['2001:db8:2::1/64'] },
      { ns: b, dev: 'eth0', addresses: ['2001:db8:2::2/64'] },
    ]);
  });
  afterAll(() => lab.close());

  it('joins namespaces by cable and by switch', async () => {
    const server = b.spawn(['socat', '-u', 'UDP6-RECV:9999', 'STDOUT']);
    await waitFor(() => b.sh('ss -6 -H -u -l -n').includes(':9999'), 'socat to be bound');
    await router.exec(['socat', '-u', 'STDIN', 'UDP6-SENDTO:[2001:db8:2::2]:9999'], { input: 'over the switch\n' });
    expect(await server.waitForLine(/switch/)).toBe('over the switch');
    expect(b.ip('-4', 'address', 'show').trim()).toBe('');
  });

  it('runs FRR with its BMP module as router and GoBGP as neighbour, v4 and v6', async () => {
    const frr = await Frr.start(router, {
      bmp: true,
      config: [
        'router bgp 64500',
        ' bgp router-id 10.1.0.1',
        ' no bgp ebgp-requires-policy',
        ' bgp bestpath as-path multipath-relax',
        ' neighbor 10.1.0.2 remote-as 64512',
        ' bmp targets lab',
        '  bmp monitor ipv4 unicast pre-policy',
      ].join('\n'),
    });
    const gobgp = await Gobgp.start(
      a,
      `[global.config]\nas = 64512\nrouter-id = "10.1.0.2"\n[[neighbors]]\n[neighbors.config]\nneighbor-address = "10.1.0.1"\npeer-as = 64500\n`,
    );
    await frr.waitEstablished('10.1.0.2');
    await gobgp.cli('global', 'rib', 'add', '203.0.113.0/24');
    const [path] = await frr.waitPaths('ipv4', '203.0.113.0/24', 1);
    expect(path.nexthops?.[0].ip).toBe('10.1.0.2');
    await waitFor(() => router.routes(4, '203.0.113.0/24').length === 1, 'the route in the kernel');
    expect(await frr.vtysh('show running-config')).toContain('bmp targets lab');
    await frr.configure('router bgp 64500', 'no bgp network import-check', 'network 198.51.100.0/24');
    await waitFor(async () => (await gobgp.cli('global', 'rib')).includes('198.51.100.0/24'), 'the route back');
    await gobgp.stop();
    await waitFor(async () => (await frr.paths('ipv4', '203.0.113.0/24')).length === 0, 'the route to be withdrawn');
  });

  it('leaves nothing behind', async () => {
    const other = new Lab();
    const ns = other.namespace('gone');
    const child = ns.spawn(['sleep', '1000']);
    await waitFor(() => child.alive && ns.sh('true') === '', 'the child');
    await other.close();
    expect(child.alive).toBe(false);
    expect(existsSync(`/run/netns/${ns.name}`)).toBe(false);
    expect(existsSync(other.dir)).toBe(false);
  });

  it('reports a process that cannot be started or ends too early', async () => {
    const gone = new Proc(['/bin/sh', '-c', 'echo why >&2; exit 3']);
    await expect(gone.waitForLine(/never/)).rejects.toThrow(/why/);
    expect(gone.exit?.code).toBe(3);
    await expect(waitFor(() => false, 'the impossible', { ceiling: 100 })).rejects.toThrow(/the impossible/);
  });
});
