/** BFD of the announcer against FRR's bfdd: over one hop and over several, IPv4 and IPv6, and what a broken path costs. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Frr } from './frr.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, NODE } from './peers.ts';
import { VipNode } from './vip-speaker.ts';
import { waitFor } from './wait.ts';

const V4 = '203.0.113.10/32';
const ONE = '10.1.0.1';
const ONE6 = '2001:db8:1::1';
const FAR = '10.9.0.1';

const lab = new Lab();
let node: Namespace;
let middle: Namespace;
let frr: Frr;
let far: Frr;
let vip: VipNode;

function config(over: Record<string, object> = {}) {
  const peers: Record<string, object> = {
    [ONE]: { bfd: { interval: '100ms', multiplier: 3 } },
    [ONE6]: { bfd: true, next_hop: ['10.1.0.2'] },
    [FAR]: { asn: 64501, multihop: 5, bfd: { interval: '200ms', multiplier: 4 } },
  };
  return {
    vips: [{ name: 'ingress', addresses: [V4] }],
    rise: '100ms',
    drain: { linger: '200ms', timeout: '2s' },
    bgp: {
      asn: 64512,
      router_id: '10.1.0.2',
      peers: Object.entries(peers).map(([address, p]) => ({
        ...{ address, asn: 64500, hold_time: '90s', connect_retry: '500ms' },
        ...p,
        ...over[address],
      })),
    },
  };
}

interface BfdShown {
  peer: string;
  status: string;
  diagnostic: string;
  'remote-diagnostic': string;
  'receive-interval': number;
  'transmit-interval': number;
  'remote-receive-interval': number;
  'remote-transmit-interval': number;
  'detect-multiplier': number;
  'remote-detect-multiplier': number;
}

const shown = async (router: Frr, peer: string): Promise<BfdShown | undefined> =>
  (await router.json<BfdShown[]>('show bfd peers json')).find((p) => p.peer === peer);

async function ours(address: string) {
  const p = (await vip.status()).peers.find((x) => x.peer === address);
  if (!p) throw new Error(`no peer ${address}`);
  return p;
}

const up = (address: string) =>
  waitFor(async () => {
    const p = await ours(address);
    if (p.state === 'Established' && p.bfd?.state === 'Up' && p.bfd.remote_state === 'Up') return p;
    throw new Error(`${p.state}, BFD ${JSON.stringify(p.bfd)}`);
  }, `BFD Up with ${address}`);

const router = (asn: number, neighbors: string[]) =>
  [
    `router bgp ${asn}`,
    ` bgp router-id 10.${asn - 64499}.9.9`,
    ' no bgp ebgp-requires-policy',
    ...neighbors,
    ' address-family ipv4 unicast',
    '  neighbor 2001:db8:1::2 activate',
    ' exit-address-family',
  ].join('\n');

beforeAll(async () => {
  node = lab.namespace('node');
  const first = lab.namespace('frr');
  middle = lab.namespace('middle');
  const second = lab.namespace('far');
  lab.link(
    { ns: node, dev: 'eth0', addresses: ['10.1.0.2/24', '2001:db8:1::2/64'] },
    { ns: first, dev: 'eth0', addresses: ['10.1.0.1/24', '2001:db8:1::1/64'] },
  );
  lab.link(
    { ns: node, dev: 'eth1', addresses: ['10.8.0.2/24'] },
    { ns: middle, dev: 'eth0', addresses: ['10.8.0.1/24'] },
  );
  lab.link(
    { ns: middle, dev: 'eth1', addresses: ['10.9.0.254/24'] },
    { ns: second, dev: 'eth0', addresses: ['10.9.0.1/24'] },
  );
  node.ip('route', 'add', '10.9.0.0/24', 'via', '10.8.0.1');
  second.ip('route', 'add', '10.8.0.0/24', 'via', '10.9.0.254');
  const neighbor = (address: string, ...lines: string[]) =>
    [' remote-as 64512', ' timers connect 1', ' passive', ' bfd', ...lines].map((l) => ` neighbor ${address}${l}`);
  [frr, far] = await Promise.all([
    Frr.start(first, {
      bfd: true,
      config: router(64500, [...neighbor('10.1.0.2', ' bfd 3 100 100'), ...neighbor('2001:db8:1::2')]),
    }),
    Frr.start(second, {
      bfd: true,
      config: router(64501, neighbor('10.8.0.2', ' ebgp-multihop 5', ' bfd 4 200 200')).replace(
        / address-family[\s\S]*/,
        '',
      ),
    }),
  ]);
  vip = await VipNode.start(node, config(), 'bfd');
}, 120_000);

afterAll(async () => {
  await VipNode.killAll();
  await lab.close();
});

describe.skipIf(!labAvailable('bgpd', 'bfdd', 'vtysh'))('BFD with FRR', () => {
  it('is Up over one hop, IPv4 and IPv6, with the intervals both sides want', async () => {
    const p = await up(ONE);
    expect(p.bfd).toMatchObject({ remote_state: 'Up', multihop: false });
    await up(ONE6);
    const theirs = await waitFor(async () => {
      const s = await shown(frr, '10.1.0.2');
      return s?.status === 'up' && s['remote-transmit-interval'] === 100 ? s : undefined;
    }, 'bfdd to show the session');
    expect(theirs).toMatchObject({ 'remote-receive-interval': 100, 'remote-detect-multiplier': 3 });
    await waitFor(async () => (await ours(ONE)).bfd?.detection_time === 300, 'the detection time both sides agreed on');
  });

  it('is Up over several hops', async () => {
    const p = await up(FAR);
    expect(p.bfd).toMatchObject({ multihop: true });
    await waitFor(async () => (await ours(FAR)).bfd?.detection_time === 800, 'the agreed detection time');
    expect((await shown(far, '10.8.0.2'))?.status).toBe('up');
  });

  it('survives a machine that is busy', async () => {
    const burners = [1, 2, 3].map(() =>
      node.spawn([NODE, '-e', 'const t = Date.now(); while (Date.now() - t < 4000);']),
    );
    const before = vip.events().filter((e) => e.kind === 'session' && e.protocol === 'bfd').length;
    await Promise.all(burners.map((b) => b.exited));
    const flaps = vip.events().filter((e) => e.kind === 'session' && e.protocol === 'bfd').length - before;
    // 100 ms × 3 is printed, the 300 ms × 3 of the other session is promised.
    console.log(`false downs beside three busy processes in 4 s: ${flaps} at 100 ms × 3 and 300 ms × 3 together`);
    const six = vip.events().filter((e) => e.kind === 'session' && e.protocol === 'bfd' && e.peer === ONE6);
    expect(six.map((e) => e.kind === 'session' && e.to)).toEqual(['Up']);
    await up(ONE);
  });

  it('a path that breaks ends the session at once, not with the hold timer; it comes back', async () => {
    const started = Date.now();
    middle.ip('link', 'set', 'eth1', 'down');
    await waitFor(async () => (await ours(FAR)).state !== 'Established', 'the BGP session to end', { every: 5 });
    console.log(`path cut to BGP session down: ${Date.now() - started} ms (200 ms × 4, hold time 90 s)`);
    const { last_down } = await ours(FAR);
    expect(last_down).toMatchObject({ established: true, sent: { code: 6, subcode: 10 } });
    expect(last_down?.reason).toMatch(/BFD/);
    middle.ip('link', 'set', 'eth1', 'up');
    middle.ip('route', 'replace', '10.9.0.0/24', 'dev', 'eth1');
    await up(FAR);
  });

  it('a router that switches BFD off on purpose does not cost the session', async () => {
    const before = await up(ONE);
    // As an operator would take the session's end out of service for a while.
    await frr.configure('bfd', 'peer 10.1.0.2 interface eth0', 'shutdown');
    await waitFor(async () => (await ours(ONE)).bfd?.remote_state === 'AdminDown', 'AdminDown to be heard');
    expect(await ours(ONE)).toMatchObject({ state: 'Established', established_since: before.established_since });
    expect((await ours(ONE)).bfd?.state).toBe('Down');
  });

  it('an orderly end says AdminDown, so that nobody takes it for a broken path', async () => {
    await vip.stop('upgrade');
    await waitFor(async () => {
      const s = await shown(far, '10.8.0.2');
      return s?.status === 'down' && /administratively/i.test(s['remote-diagnostic']);
    }, 'bfdd to see an administrative end');
  });
});
