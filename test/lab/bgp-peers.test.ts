/** The announcer beside FRR, BIRD, GoBGP and ExaBGP at once: what each of them understands of a VIP, and what none of them can break. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Frr } from './frr.ts';
import { Gobgp } from './gobgp.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, labBin, NODE } from './peers.ts';
import type { Proc } from './proc.ts';
import { VipNode } from './vip-speaker.ts';
import { waitFor } from './wait.ts';

const V4 = '203.0.113.10/32';
const V6 = '2001:db8:ff::10/128';
const ASN = 64512;
const FRR4 = '10.1.0.1';
const FRR6 = '2001:db8:1::1';
const BIRD = '10.2.0.1';
const GOBGP = '10.3.0.1';
const EXA = '10.4.0.1';
const HOSTILE = '10.5.0.1';

const lab = new Lab();
let node: Namespace;
let birdNs: Namespace;
let frr: Frr;
let gobgp: Gobgp;
let vip: VipNode;
let hostile: Proc;
const exaLog = join(lab.dir, 'exabgp.json');

type Peers = Record<string, Record<string, unknown>>;

/** The configuration; `over`: by address of the peer. */
function lb(over: Peers = {}) {
  const peers: Peers = {
    [FRR4]: {
      asn: 64501,
      password: 'for-frr',
      gtsm: true,
      med: 7,
      prepend: 1,
      communities: ['64501:300', 'blue', '4200000001:1:2', 'bandwidth:125000000', 'no-export'],
    },
    [FRR6]: { asn: 64501, next_hop: 'self', connect_retry: '1s' },
    [BIRD]: { asn: ASN, password: 'for-bird', passive: true, local_pref: 200, communities: ['64512:1:2'] },
    [GOBGP]: { asn: 64503, multihop: 2, families: ['ipv4'] },
    [EXA]: { asn: 64504, passive: true, local_asn: 65010 },
    [HOSTILE]: { asn: 64505, connect_retry: '200ms' },
  };
  return {
    vips: [{ name: 'ingress', addresses: [V4, V6] }],
    rise: '100ms',
    drain: { linger: '200ms', timeout: '2s' },
    bgp: {
      asn: ASN,
      router_id: '10.1.0.2',
      listen: ['10.1.0.2:179', '10.2.0.2:179', '10.4.0.2:179'],
      graceful_restart: { restart_time: '30s' },
      communities: { blue: '64501:7' },
      peers: Object.entries(peers).map(([address, p]) => ({ address, ...p, ...over[address] })),
    },
  };
}

async function peer(address: string) {
  const found = (await vip.status()).peers.find((p) => p.peer === address);
  if (!found) throw new Error(`no peer ${address}`);
  return found;
}

const established = (...addresses: string[]) =>
  waitFor(
    async () => {
      const all = (await vip.status()).peers.filter((p) => addresses.includes(p.peer));
      const not = all.filter((p) => p.state !== 'Established');
      if (not.length > 0) throw new Error(not.map((p) => `${p.peer} ${p.state} ${p.last_down?.reason}`).join(', '));
      return true;
    },
    `Established: ${addresses.join(', ')}`,
  );

const ALL = [FRR4, FRR6, BIRD, GOBGP, EXA];

interface FrrPathDetail {
  aspath: { string: string };
  metric?: number;
  stale?: boolean;
  community?: { string: string };
  largeCommunity?: { string: string };
  extendedCommunity?: { string: string };
  nexthops: { ip: string; afi: string }[];
  peer: { peerId: string };
}

async function frrPath(family: 'ipv4' | 'ipv6', prefix: string, from: string): Promise<FrrPathDetail> {
  const shown = await frr.json<{ paths?: FrrPathDetail[] }>(`show bgp ${family} unicast ${prefix} json`);
  const found = shown.paths?.find((p) => p.peer.peerId === from);
  if (!found) throw new Error(`${prefix} has no path from ${from}`);
  return found;
}

const birdc = async (...args: string[]) =>
  (await birdNs.exec([labBin('birdc'), '-s', join(lab.dir, 'bird.ctl'), ...args])).stdout;

async function startBird(): Promise<void> {
  const file = join(lab.dir, 'bird.conf');
  writeFileSync(
    file,
    `router id ${BIRD};
protocol device {}
protocol bgp tidegate {
  local ${BIRD} as ${ASN};
  neighbor 10.2.0.2 as ${ASN};
  password "for-bird";
  hold time 9;
  connect retry time 1;
  connect delay time 1;
  error wait time 1, 2;
  ipv4 { import all; export none; };
}
`,
  );
  birdNs.spawn([labBin('bird'), '-f', '-c', file, '-s', join(lab.dir, 'bird.ctl'), '-P', join(lab.dir, 'bird.pid')]);
  await waitFor(() => birdc('show', 'status'), 'bird to answer');
}

function startExabgp(ns: Namespace): void {
  const dump = join(lab.dir, 'dump.sh');
  // Its own standard output stays open: ExaBGP takes the end of that for the end of the process.
  writeFileSync(dump, `#!/bin/sh\nwhile read -r line; do echo "$line" >> ${exaLog}; done\n`);
  chmodSync(dump, 0o755);
  const file = join(lab.dir, 'exabgp.conf');
  writeFileSync(
    file,
    `process dump { run ${dump}; encoder json; }
neighbor 10.4.0.2 {
  router-id ${EXA};
  local-address ${EXA};
  local-as 64504;
  peer-as 65010;
  hold-time 9;
  family { ipv4 unicast; }
  api { processes [ dump ]; receive { parsed; update; } }
}
`,
  );
  const env = {
    exabgp_daemon_user: 'root',
    exabgp_log_destination: 'stderr',
    exabgp_daemon_drop: 'false',
    exabgp_api_cli: 'false',
  };
  ns.spawn([labBin('exabgp'), file], { env });
}

beforeAll(async () => {
  node = lab.namespace('node');
  const router = lab.namespace('frr');
  birdNs = lab.namespace('bird');
  const goNs = lab.namespace('gobgp');
  const exaNs = lab.namespace('exabgp');
  const badNs = lab.namespace('hostile');
  const others = [router, birdNs, goNs, exaNs, badNs];
  for (const [i, ns] of others.entries()) {
    const n = i + 1;
    lab.link(
      { ns: node, dev: `eth${i}`, addresses: [`10.${n}.0.2/24`, `2001:db8:${n}::2/64`] },
      { ns, dev: 'eth0', addresses: [`10.${n}.0.1/24`, `2001:db8:${n}::1/64`] },
    );
  }
  const script = fileURLToPath(new URL('bgp-hostile.ts', import.meta.url));
  hostile = badNs.spawn([NODE, script, HOSTILE, '64505', String(ASN)]);
  [frr, gobgp] = await Promise.all([
    Frr.start(router, {
      config: `router bgp 64501
 bgp router-id ${FRR4}
 no bgp ebgp-requires-policy
 neighbor 10.1.0.2 remote-as ${ASN}
 neighbor 10.1.0.2 password for-frr
 neighbor 10.1.0.2 ttl-security hops 1
 neighbor 10.1.0.2 timers 3 9
 neighbor 10.1.0.2 timers connect 1
 neighbor 2001:db8:1::2 remote-as ${ASN}
 neighbor 2001:db8:1::2 capability extended-nexthop
 neighbor 2001:db8:1::2 timers 3 9
 neighbor 2001:db8:1::2 timers connect 1
 address-family ipv4 unicast
  neighbor 10.1.0.2 activate
  neighbor 2001:db8:1::2 activate
 exit-address-family
 address-family ipv6 unicast
  neighbor 2001:db8:1::2 activate
 exit-address-family`,
    }),
    Gobgp.start(
      goNs,
      `[global.config]
as = 64503
router-id = "${GOBGP}"
[[neighbors]]
[neighbors.config]
neighbor-address = "10.3.0.2"
peer-as = ${ASN}
[neighbors.transport.config]
passive-mode = true
[neighbors.ebgp-multihop.config]
enabled = true
multihop-ttl = 2
[neighbors.graceful-restart.config]
enabled = true
restart-time = 30
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv4-unicast"
[neighbors.afi-safis.mp-graceful-restart.config]
enabled = true
`,
    ),
    startBird(),
  ]);
  startExabgp(exaNs);
  vip = await VipNode.start(node, lb(), 'peers');
}, 120_000);

afterAll(async () => {
  await VipNode.killAll();
  await lab.close();
});

describe.skipIf(!labAvailable('bgpd', 'vtysh', 'bird', 'gobgpd', 'exabgp'))('the announcer and its peers', () => {
  it('is Established with all of them: dialled, waited for, and both at once', async () => {
    await established(...ALL);
    const by = Object.fromEntries((await vip.status()).peers.map((p) => [p.peer, p.dialled_by]));
    expect(by).toMatchObject({ [FRR4]: 'us', [BIRD]: 'peer', [GOBGP]: 'us', [EXA]: 'peer' });
    expect(await peer(FRR4)).toMatchObject({ md5: true, gtsm: true });
  });

  it('FRR: path, MED and communities of every kind', async () => {
    const p = await waitFor(() => frrPath('ipv4', V4, '10.1.0.2'), 'the VIP at FRR');
    expect(p.aspath.string).toBe(`${ASN} ${ASN}`);
    expect(p.metric).toBe(7);
    expect(p.community?.string).toBe('64501:7 64501:300 no-export');
    expect(p.largeCommunity?.string).toBe('4200000001:1:2');
    expect(p.extendedCommunity?.string).toMatch(/LB:64512:125000000/);
  });

  it('FRR: an IPv4 VIP over IPv6 with an IPv6 next hop, and the IPv6 one', async () => {
    const four = await waitFor(() => frrPath('ipv4', V4, '2001:db8:1::2'), 'the IPv4 VIP over IPv6');
    expect(four.nexthops[0]).toMatchObject({ ip: '2001:db8:1::2', afi: 'ipv6' });
    const six = await waitFor(() => frrPath('ipv6', V6, '2001:db8:1::2'), 'the IPv6 VIP');
    expect(six.nexthops[0].ip).toBe('2001:db8:1::2');
  });

  it('BIRD: iBGP with local preference and a large community', async () => {
    const shown = await waitFor(async () => {
      const text = await birdc('show', 'route', 'all', 'for', '203.0.113.10');
      return text.includes('BGP.local_pref') ? text : undefined;
    }, 'the VIP at BIRD');
    expect(shown).toMatch(/BGP\.local_pref: 200/);
    expect(shown).toMatch(/BGP\.large_community: \(64512, 1, 2\)/);
    expect(shown).toMatch(/BGP\.next_hop: 10\.2\.0\.2/);
  });

  it('GoBGP: a route over more than one hop', async () => {
    type Rib = Record<string, { attrs: { type: number; as_paths?: { asns: number[] }[] }[] }[]>;
    const rib = await waitFor(async () => {
      const all = await gobgp.json<Rib>('global', 'rib');
      return all[V4] && all;
    }, 'the VIP at GoBGP');
    expect(rib[V4][0].attrs.find((a) => a.type === 2)?.as_paths?.[0].asns).toEqual([ASN]);
  });

  it('ExaBGP: our other AS number', async () => {
    const line = await waitFor(() => {
      if (!existsSync(exaLog)) return undefined;
      return readFileSync(exaLog, 'utf8')
        .split('\n')
        .find((l) => l.includes('203.0.113.10/32'));
    }, 'the VIP at ExaBGP');
    const { neighbor } = JSON.parse(line) as { neighbor: { message: { update: { attribute: object } } } };
    expect(neighbor.message.update.attribute).toMatchObject({ origin: 'igp', 'as-path': [65010] });
  });

  it('a route refresh is answered with the routes, on the same session', async () => {
    const before = await peer(FRR4);
    await frr.vtysh('clear bgp ipv4 unicast 10.1.0.2 in');
    await waitFor(async () => (await peer(FRR4)).updates_sent > before.updates_sent, 'the answer');
    expect((await peer(FRR4)).established_since).toBe(before.established_since);
    expect((await frrPath('ipv4', V4, '10.1.0.2')).metric).toBe(7);
  });

  it('changes of policy go out on the same sessions, and one peer less disturbs no other', async () => {
    // The hostile one comes and goes by itself.
    const times = async () =>
      (await vip.status()).peers
        .filter((p) => p.peer !== EXA && p.peer !== HOSTILE)
        .map((p) => [p.peer, p.established_since]);
    const before = await times();
    const next = lb({ [FRR4]: { med: 70, communities: ['blue'] } });
    next.bgp.peers = next.bgp.peers.filter((p) => p.address !== EXA);
    vip.reload(next);
    await waitFor(async () => (await frrPath('ipv4', V4, '10.1.0.2')).metric === 70, 'the new MED at FRR');
    expect((await frrPath('ipv4', V4, '10.1.0.2')).community?.string).toBe('64501:7');
    const after = await vip.status();
    expect(after.peers.map((p) => p.peer)).not.toContain(EXA);
    expect(await times()).toEqual(before);
    vip.reload(lb());
    await established(...ALL);
  });

  it('another password or AS than the peer’s is no session, and says so; the right one is one again', async () => {
    vip.reload(lb({ [FRR4]: { password: 'wrong', connect_retry: '500ms' }, [GOBGP]: { asn: 64999 } }));
    const wrongKey = await waitFor(async () => {
      const p = await peer(FRR4);
      return p.state !== 'Established' && p.last_down?.sent === undefined ? p.last_down : undefined;
    }, 'the session with FRR to be refused');
    expect(wrongKey.reason).toMatch(/no answer/);
    const wrongAs = await waitFor(async () => (await peer(GOBGP)).last_down?.sent, 'the AS of GoBGP to be refused');
    expect(wrongAs).toMatchObject({ code: 2, subcode: 2 });
    await established(FRR6, BIRD, EXA);
    vip.reload(lb());
    await established(...ALL);
    await waitFor(() => frrPath('ipv4', V4, '10.1.0.2'), 'the VIP again');
  });

  it('a router that restarts gets everything again', async () => {
    await frr.bgpd.kill9();
    await waitFor(async () => (await peer(FRR4)).state !== 'Established', 'the loss');
    await frr.startBgpd();
    await established(FRR4, FRR6);
    await waitFor(() => frrPath('ipv4', V4, '10.1.0.2'), 'the VIP again');
  });

  it('a hostile peer ends its own session only', async () => {
    const before = (await vip.status()).peers.filter((p) => p.peer !== HOSTILE && p.peer !== FRR4 && p.peer !== FRR6);
    await waitFor(() => hostile.out.some((l) => l === 'done'), 'all of the hostile peer’s connections');
    expect(vip.proc.alive).toBe(true);
    const after = await vip.status();
    for (const p of before)
      expect(after.peers.find((x) => x.peer === p.peer)?.established_since).toBe(p.established_since);
    // RFC 7606: an UPDATE that is malformed inside costs an announcer nothing; what breaks the framing costs the session.
    const said = hostile.out.filter((l) => l.startsWith('{')).map((l) => JSON.parse(l) as Record<string, string>);
    expect(said.find((s) => s.case === 'update of rubbish')?.answer).toBe('none');
    expect(said.find((s) => s.case === 'marker')?.answer).toBe('1/1');
    expect(said.find((s) => s.case === 'length 18')?.answer).toBe('1/2');
    expect(said.find((s) => s.case === 'type 99')?.answer).toBe('1/3');
    expect(said.find((s) => s.case === 'update before open')?.answer).toBe('5/1');
  });

  it('a speaker that dies is waited for where graceful restart is agreed; an orderly end is not', async () => {
    await vip.kill();
    await waitFor(async () => (await frrPath('ipv4', V4, '10.1.0.2')).stale === true, 'the stale route at FRR');
    vip = await VipNode.start(node, lb(), 'again');
    await established(...ALL);
    const p = await waitFor(async () => {
      const path = await frrPath('ipv4', V4, '10.1.0.2');
      return path.stale ? undefined : path;
    }, 'the route to be fresh');
    expect(p.metric).toBe(7);
    const { neighborCapabilities } = (await frr.neighbor('10.1.0.2')) ?? {};
    expect(neighborCapabilities?.gracefulRestart ?? neighborCapabilities?.gracefulRestartCapability).toMatch(
      /received/i,
    );
    await vip.stop('upgrade');
    await waitFor(async () => (await frr.paths('ipv4', V4)).length === 0, 'the route to be gone at once');
  });
});
