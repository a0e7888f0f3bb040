/** What a running session with FRR lives through, and what ends it: death of the speaker, changes of BFD, the end of a peer, words of the other side. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { Frr } from './frr.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, NODE } from './peers.ts';
import { Tidegate } from './tidegate.ts';
import { VipNode } from './vip-speaker.ts';
import { waitFor } from './wait.ts';

const V4 = '203.0.113.10/32';
const US = '10.1.0.2';
const FRR = '10.1.0.1';

describe.skipIf(!labAvailable('ip', 'vtysh', 'bgpd', 'bfdd', 'zebra'))('BGP sessions and their ends, with FRR', () => {
  const lab = new Lab();
  let node: Namespace;
  let router: Namespace;
  let frr: Frr;

  beforeAll(async () => {
    node = lab.namespace('node');
    router = lab.namespace('router');
    lab.link({ ns: node, dev: 'eth0', addresses: [`${US}/24`] }, { ns: router, dev: 'eth0', addresses: [`${FRR}/24`] });
    frr = await Frr.start(router, {
      bfd: true,
      config: `router bgp 64500
 bgp router-id ${FRR}
 no bgp ebgp-requires-policy
 bgp graceful-restart
 neighbor ${US} remote-as 64512
 neighbor ${US} timers connect 1`,
    });
  }, 120_000);

  afterEach(() => VipNode.killAll());
  afterAll(() => lab.close());

  const lb = (peer: object | undefined, bgp: object = {}) => ({
    rise: '100ms',
    vips: [{ name: 'ingress', addresses: [V4] }],
    bgp: {
      asn: 64512,
      router_id: US,
      peers: peer === undefined ? [] : [{ address: FRR, asn: 64500, connect_retry: '500ms', ...peer }],
      ...bgp,
    },
  });
  const GR = { graceful_restart: { restart_time: '20s' } };
  const peer = async (vip: VipNode) => (await vip.status()).peers[0];
  const path = async () => {
    type Paths = { paths?: { stale?: boolean }[] };
    return (await frr.json<Paths>(`show bgp ipv4 unicast ${V4} json`).catch((): Paths => ({}))).paths?.[0];
  };
  /** The session stands, and the route is this speaker's: a dead one before it may have left one. */
  const routed = (vip: VipNode) =>
    waitFor(
      async () => (await peer(vip)).state === 'Established' && (await path())?.stale === undefined && (await path()),
      'the session and its route',
    );
  const restartBits = async () => {
    type Info = { gracefulRestartInfo?: { rBit?: boolean; ipv4Unicast?: { fBit?: boolean } } };
    const info = ((await frr.neighbor(US)) as Info | undefined)?.gracefulRestartInfo;
    return { r: info?.rBit, f: info?.ipv4Unicast?.fBit };
  };

  describe('graceful restart of the product', () => {
    let t: Tidegate;
    afterAll(() => t?.kill9());

    it('enabled while it runs, a dead speaker never costs the route, at the default rise', async () => {
      t = await Tidegate.start({
        ns: node,
        config: {
          node: 'edge-1',
          workers: 2,
          collectors: { snmp_trap: { listen: [{ vip: 'ingress', port: 162 }], communities: [{ name: 'public' }] } },
          admin: { listen: '127.0.0.1:0' },
          lb: { vips: [{ name: 'ingress', addresses: [V4] }], bgp: lb({}).bgp },
        },
      });
      await frr.waitPaths('ipv4', V4, 1);
      const config = parse(readFileSync(t.configFile, 'utf8'));
      config.lb.bgp.graceful_restart = { restart_time: '20s' };
      writeFileSync(t.configFile, stringify(config));
      await t.waitLog((l) => l.msg === 'configuration reloaded', 'the reload');
      await waitFor(async () => {
        const n = await frr.neighbor(US);
        return n?.bgpState === 'Established' && n.neighborCapabilities?.gracefulRestart === 'advertisedAndReceived';
      }, 'graceful restart to be agreed on');
      await frr.waitPaths('ipv4', V4, 1);
      await waitFor(() => router.routes(4, '203.0.113.10').length === 1, 'the route in the kernel');

      const [pid] = t.children(/speaker-main/);
      const seen: string[] = [];
      let watching = true;
      const watch = (async () => {
        while (watching) {
          const p = await path();
          const kernel = router.routes(4, '203.0.113.10').length;
          const now = `${p ? (p.stale ? 'stale' : 'fresh') : 'absent'} ${kernel}`;
          if (seen.at(-1) !== now) seen.push(now);
          await sleep(20);
        }
      })();
      process.kill(pid, 'SIGKILL');
      await waitFor(() => seen.some((s) => s.startsWith('stale')), 'the route to be stale');
      await waitFor(() => seen.at(-1) === 'fresh 1', 'the route to be fresh again');
      // Longer than the rise: what came back at once stays.
      await sleep(4000);
      watching = false;
      await watch;
      expect(seen.filter((s) => s.startsWith('absent') || s.endsWith(' 0'))).toEqual([]);
      expect(seen.at(-1)).toBe('fresh 1');
      expect(await restartBits()).toEqual({ r: true, f: true });
    });

    it('a node that died as a whole claims nothing: what the router kept goes at the first OPEN', async () => {
      await t.kill9();
      await waitFor(async () => (await path())?.stale === true, 'the stale route');
      t = await t.restart({ config: readFileSync(t.configFile, 'utf8') });
      await frr.waitEstablished(US);
      expect(await restartBits()).toMatchObject({ r: false });
      expect((await restartBits()).f).not.toBe(true);
      await frr.waitPaths('ipv4', V4, 1);
      await waitFor(async () => (await path())?.stale !== true, 'a fresh route');
      await t.kill9();
    });
  });

  it('BFD: intervals, multiplier, its end and its return cost no session', async () => {
    await frr.configure('router bgp 64500', `neighbor ${US} bfd 3 300 300`);
    const vip = await VipNode.start(node, lb({ bfd: { interval: '300ms' } }), 'bfd');
    await routed(vip);
    await waitFor(async () => (await peer(vip)).bfd?.state === 'Up', 'BFD');
    const since = (await peer(vip)).established_since;
    type Shown = Record<string, unknown> & { peer: string };
    const shown = async () =>
      JSON.parse(await frr.vtysh('show bfd peers json')).find((p: Shown) => p.peer === US) as Shown | undefined;

    vip.reload(lb({ bfd: { interval: '500ms', receive_interval: '400ms' } }));
    await waitFor(async () => {
      const s = await shown();
      return s?.['remote-transmit-interval'] === 500 && s['remote-receive-interval'] === 400;
    }, 'the new intervals at bfdd');
    vip.reload(lb({ bfd: { interval: '500ms', receive_interval: '400ms', multiplier: 7 } }));
    await waitFor(async () => (await shown())?.['remote-detect-multiplier'] === 7, 'the new multiplier at bfdd');
    expect((await shown())?.status).toBe('up');

    // The router still asks for it: it goes on until that end is taken out too.
    vip.reload(lb({}));
    await waitFor(async () => (await peer(vip)).bfd?.ending === true, 'BFD to be on its way out');
    await sleep(2500);
    expect((await peer(vip)).bfd?.state).toBe('Up');
    await frr.configure('router bgp 64500', `no neighbor ${US} bfd`);
    await waitFor(async () => (await peer(vip)).bfd === undefined, 'the end of BFD');
    expect((await peer(vip)).established_since).toBe(since);

    vip.reload(lb({ bfd: { interval: '300ms' } }));
    await frr.configure('router bgp 64500', `neighbor ${US} bfd 3 300 300`);
    await waitFor(async () => (await peer(vip)).bfd?.state === 'Up', 'BFD again');
    expect(await peer(vip)).toMatchObject({ state: 'Established', established_since: since });
    const sessions = vip.events().filter((e) => e.kind === 'session' && e.protocol === 'bgp');
    expect(sessions).toHaveLength(1);
    await frr.configure('router bgp 64500', `no neighbor ${US} bfd`);
  });

  it('BFD and BGP of a peer with a network are bound to its device', async () => {
    await frr.configure('router bgp 64500', `neighbor ${US} bfd 3 300 300`);
    const config = { networks: { lan: { device: 'eth0' } }, lb: lb({ network: 'lan', bfd: { interval: '300ms' } }) };
    const vip = await VipNode.start(node, config, 'device');
    await waitFor(async () => (await peer(vip)).bfd?.state === 'Up', 'BFD');
    expect(node.sh('ss -lunH')).toContain(`${US}%eth0:3784`);
    const sending = node.sh('ss -unaH').split('\n');
    expect(sending.filter((l) => /%eth0:(49[1-9]|5\d\d|6[0-5]\d)\d\d/.test(l))).toHaveLength(1);
    await frr.configure('router bgp 64500', `no neighbor ${US} bfd`);
  });

  it('a peer that is taken out, with graceful restart, is no route at once', async () => {
    const vip = await VipNode.start(node, lb({}, GR), 'removed');
    await routed(vip);
    vip.reload(lb(undefined, GR));
    await waitFor(async () => (await frr.neighbor(US))?.bgpState !== 'Established', 'the end of the session');
    expect(await path()).toBeUndefined();
    const ends = vip.events().filter((e) => e.kind === 'session' && e.to === 'down');
    expect(ends.map((e) => e.reason)).toEqual(['stopped: sent Cease/Peer De-configured (Hard Reset)']);
    await waitFor(() => router.routes(4, '203.0.113.10').length === 0, 'the kernel’s route to go');
  });

  it.each([
    ['plain', {}],
    ['as a Hard Reset', GR],
  ])('what the operator of the router says is kept over the attempts after it: %s', async (_, bgp) => {
    const vip = await VipNode.start(node, lb({}, bgp), 'words');
    await routed(vip);
    await frr.configure('router bgp 64500', `neighbor ${US} shutdown message core swap tonight`);
    await waitFor(async () => {
      const p = await peer(vip);
      return p.state !== 'Established' && p.last_down && p.last_down.received === undefined;
    }, 'an attempt after the shutdown');
    expect((await peer(vip)).last_notification).toMatchObject({
      ...{ code: 6, subcode: 2, name: 'Cease/Administrative Shutdown', text: 'core swap tonight', from: 'peer' },
    });
    await frr.configure('router bgp 64500', `no neighbor ${US} shutdown`);
    await frr.waitEstablished(US);
  });

  it('TTL security holds for a peer that dials us, also where another peer has none', async () => {
    await frr.configure('router bgp 64500', `neighbor ${US} ttl-security hops 1`);
    const peers = [
      { address: FRR, asn: 64500, gtsm: true, passive: true },
      { address: '10.1.0.77', asn: 64500, nodes: ['other-*'] },
    ];
    const vip = await VipNode.start(node, lb(undefined, { listen: [`${US}:179`], peers }), 'gtsm');
    await routed(vip);
    expect(await peer(vip)).toMatchObject({ state: 'Established', dialled_by: 'peer', gtsm: true });
    const since = (await peer(vip)).established_since;
    // What comes with less is dropped: the session ends with its hold timer, and no new one stands.
    router.sh(`ip route replace ${US} dev eth0 hoplimit 64 2>/dev/null || true`);
    await frr.configure('router bgp 64500', `no neighbor ${US} ttl-security hops 1`, `neighbor ${US} ebgp-multihop 64`);
    await waitFor(async () => (await peer(vip)).established_since !== since, 'the session to end');
    await sleep(3000);
    expect((await peer(vip)).state).not.toBe('Established');
    await frr.configure('router bgp 64500', `no neighbor ${US} ebgp-multihop`);
    router.sh(`ip route del ${US} dev eth0 2>/dev/null || true`);
  });

  it('an address of lb.bgp.listen that somebody has is tried until it is free', async () => {
    const script = `require('net').createServer().listen(179, '${US}', () => console.log('bound'))`;
    const holder = node.spawn([NODE, '-e', script]);
    await holder.waitForLine(/bound/);
    const vip = await VipNode.start(node, lb({ passive: true }, { listen: [`${US}:179`] }), 'listen');
    type Listen = { listen_problems?: string[] };
    const problems = async () => ((await vip.status()) as Listen).listen_problems;
    expect((await waitFor(problems, 'the problem'))[0]).toContain('179');
    await holder.kill9();
    await routed(vip);
    expect(await problems()).toBeUndefined();
  });

  it('roles: what faces each other is a session, what does not is Role Mismatch, silence only where it is allowed', async () => {
    await frr.configure('router bgp 64500', `neighbor ${US} local-role provider strict-mode`);
    const vip = await VipNode.start(node, lb({ role: { name: 'customer', strict: true } }), 'role');
    await routed(vip);
    expect(await peer(vip)).toMatchObject({ state: 'Established', role: 'customer', peer_role: 'provider' });
    vip.reload(lb({ role: 'peer' }));
    const said = await waitFor(async () => {
      const n = (await peer(vip)).last_notification;
      return n?.subcode === 11 ? n : undefined;
    }, 'the mismatch');
    expect(said).toMatchObject({ code: 2, name: 'OPEN Message Error/Role Mismatch' });
    await frr.configure('router bgp 64500', `no neighbor ${US} local-role provider strict-mode`);
    await routed(vip);
    vip.reload(lb({ role: { name: 'customer', strict: true } }));
    await waitFor(async () => {
      const p = await peer(vip);
      return p.state !== 'Established' && /no BGP role/.test(p.last_down?.reason ?? '');
    }, 'a router that says no role to be refused');
  });
});
