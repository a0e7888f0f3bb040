/**
 * One SNMPv3 engine on three nodes that announce one VIP by BGP. The router in front sends each datagram to a random one of those that
 * FRR has, so that a sender's discovery, its inform and the retry of it meet different nodes; unmodified snmpinforms of 200 users go
 * through it, also while the nodes are restarted one after the other. And a node whose clock is wrong.
 *
 *                                                   ┌── node 0 (10.1.1.2) ──┐
 *   users ── 10.3.0.0/24, 2001:db8:3::/64 ── router ┼── node 1 (10.1.2.2) ──┼ VIP on all
 *   10.3.1.1…, 2001:db8:3:1::1…                     └── node 2 (10.1.3.2) ──┘
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Frr } from './frr.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, labBin } from './peers.ts';
import type { ExecResult } from './proc.ts';
import { type Hops, SprayRouter } from './spray-router.ts';
import { type PrintedEvent, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const OWN = '80001f880476697074657374';
const VIP: Hops = { 4: '203.0.113.10', 6: '2001:db8:ff::10' };
const PORT = 162;
const NODES = 3;
const LINK_DOWN = '1.3.6.1.6.3.1.1.5.3';
const LINK_UP = '1.3.6.1.6.3.1.1.5.4';
const IF_INDEX = '1.3.6.1.2.1.2.2.1.1';
/** At the same time: two cores carry them, three nodes and a router. */
const PARALLEL = 4;

const hopsOf = (i: number): Hops => ({ 4: `10.1.${i + 1}.2`, 6: `2001:db8:1:${i + 1}::2` });

const USERS = Array.from({ length: 200 }, (_, i) => ({
  name: `user${i}`,
  auth: { protocol: i % 2 ? 'sha256' : 'sha1', passphrase: `auth of user ${i}` },
  priv: { protocol: i % 3 ? 'aes128' : 'des', passphrase: `priv of user ${i}` },
  // Every fifth has IPv6. One address, and so one device, each.
  address: i % 5 === 4 ? `2001:db8:3:1::${(i + 1).toString(16)}` : `10.3.1.${i + 1}`,
}));
type User = (typeof USERS)[number];

/** What became of a pair: the link of this index went down and came up. */
interface Pair {
  user: User;
  ifIndex: number;
  result: ExecResult;
}

describe.skipIf(!labAvailable('snmpinform', 'snmptrap', 'nft', 'bgpd', 'ip'))('SNMPv3 behind a VIP', () => {
  const lab = new Lab();
  const spaces: Namespace[] = [];
  const nodes: Tidegate[] = [];
  /** Of all lives of a node. */
  const events: PrintedEvent[][] = Array.from({ length: NODES }, () => []);
  let users: Namespace;
  let spray: SprayRouter;

  beforeAll(async () => {
    const router = lab.namespace('router');
    users = lab.namespace('users');
    lab.link(
      { ns: router, dev: 'users', addresses: ['10.3.0.1/24', '2001:db8:3::1/64'] },
      { ns: users, dev: 'eth0', addresses: ['10.3.0.2/24', '2001:db8:3::2/64'] },
    );
    users.sh(
      [
        ...USERS.map(({ address }) =>
          address.includes(':') ? `ip address add ${address}/128 dev lo nodad` : `ip address add ${address}/32 dev lo`,
        ),
        'ip route add default via 10.3.0.1',
        'ip -6 route add default via 2001:db8:3::1',
      ].join('\n'),
    );
    router.ip('route', 'add', '10.3.1.0/24', 'via', '10.3.0.2');
    router.ip('-6', 'route', 'add', '2001:db8:3:1::/64', 'via', '2001:db8:3::2');
    const hops = Array.from({ length: NODES }, (_, i) => hopsOf(i));
    for (const [i, { 4: v4, 6: v6 }] of hops.entries()) {
      const ns = lab.namespace(`node-${i}`);
      spaces.push(ns);
      lab.link(
        { ns: router, dev: `node-${i}`, addresses: [`10.1.${i + 1}.1/24`, `2001:db8:1:${i + 1}::1/64`] },
        { ns, dev: 'eth0', addresses: [`${v4}/24`, `${v6}/64`] },
      );
      ns.ip('route', 'add', 'default', 'via', `10.1.${i + 1}.1`);
      ns.ip('-6', 'route', 'add', 'default', 'via', `2001:db8:1:${i + 1}::1`);
    }
    await Frr.start(router, { config: frrConfig(hops), zebra: 'no zebra nexthop kernel enable' });
    spray = new SprayRouter(router, VIP, PORT, hops);
    nodes.push(...(await Promise.all(spaces.map((ns, i) => Tidegate.start({ ns, config: config(i) })))));
    await spray.takePart(0, 1, 2);
  });

  afterAll(async () => {
    await Promise.all(nodes.map((t) => t.close()));
    await lab.close();
  });

  function frrConfig(hops: Hops[]): string {
    return [
      'router bgp 64500',
      ' bgp router-id 10.3.0.1',
      ' no bgp ebgp-requires-policy',
      ...hops.flatMap((h) => [h[4], h[6]]).map((a) => ` neighbor ${a} remote-as 64512`),
      ' address-family ipv4 unicast',
      '  maximum-paths 16',
      ...hops.map((h) => `  no neighbor ${h[6]} activate`),
      ' exit-address-family',
      ' address-family ipv6 unicast',
      '  maximum-paths 16',
      ...hops.map((h) => `  neighbor ${h[6]} activate`),
      ' exit-address-family',
    ].join('\n');
  }

  const config = (i: number) => ({
    site: 'lab',
    node: `edge-${i}`,
    workers: 1,
    collectors: {
      snmp_trap: {
        listen: [{ vip: 'ingress', port: PORT }],
        engine: { id: `0x${OWN}`, boots: 2, epoch: '2026-01-01T00:00:00Z' },
        users: USERS.map(({ name, auth, priv }) => ({ name, auth, priv })),
      },
    },
    lb: {
      rise: '1s',
      lease: { timeout: '3s' },
      drain: { linger: '1s', timeout: '15s' },
      vips: [{ name: 'ingress', addresses: [`${VIP[4]}/32`, `${VIP[6]}/128`] }],
      bgp: {
        asn: 64512,
        peers: [`10.1.${i + 1}.1`, `2001:db8:1:${i + 1}::1`].map((address) => ({
          ...{ address, asn: 64500, hold_time: '9s', connect_retry: '1s' },
        })),
      },
    },
    export: { stdout: { enabled: true } },
  });

  /** The words of one notification, from the user's own address; `to`: else the VIP. */
  function words(tool: 'snmptrap' | 'snmpinform', u: User, trapOid: string, ifIndex: number, to?: string): string[] {
    const v6 = u.address.includes(':');
    return [
      ...[labBin(tool), '-m', '', '-M', '/nonexistent', '-v', '3', '-r', '5', '-t', '4', '-l', 'authPriv'],
      ...['-u', u.name, '-a', u.auth.protocol === 'sha1' ? 'SHA' : 'SHA-256', '-A', u.auth.passphrase],
      ...['-x', u.priv.protocol === 'des' ? 'DES' : 'AES', '-X', u.priv.passphrase],
      ...(to === undefined ? [`--clientaddr=${v6 ? `[${u.address}]` : u.address}`] : []),
      to ?? (v6 ? `udp6:[${VIP[6]}]:${PORT}` : `${VIP[4]}:${PORT}`),
      ...['99', trapOid, `${IF_INDEX}.${ifIndex}`, 'i', `${ifIndex}`],
    ];
  }
  const quoted = (argv: string[]): string => argv.map((w) => `'${w}'`).join(' ');
  const ownFiles = (u: User) => ({ SNMP_PERSISTENT_DIR: join(lab.dir, u.name), HOME: join(lab.dir, u.name) });

  /** A link of the user goes down and comes up; each of the two runs of the tool asks anew who we are. */
  async function pair(user: User, ifIndex: number): Promise<Pair> {
    const script = [LINK_DOWN, LINK_UP].map((oid) => quoted(words('snmpinform', user, oid, ifIndex))).join(' && ');
    const result = await users.exec(['sh', '-c', script], { allowFailure: true, env: ownFiles(user) });
    return { user, ifIndex, result };
  }

  /** Pairs of all users by turns while `more` says so, some at a time; a user has one under way at most. */
  async function pairs(from: number, more: (begun: number) => boolean): Promise<Pair[]> {
    const out: Pair[] = [];
    let next = 0;
    await Promise.all(
      Array.from({ length: PARALLEL }, async () => {
        while (more(next)) {
          const i = next++;
          out[i] = await pair(USERS[i % USERS.length], from + Math.floor(i / USERS.length));
        }
      }),
    );
    return out;
  }
  const failures = (list: Pair[]) =>
    list.filter((p) => p.result.code !== 0).map((p) => [p.user.name, p.ifIndex, p.result.stderr]);

  const allEvents = (i: number): PrintedEvent[] => [...events[i], ...nodes[i].events];
  const ifIndexOf = (e: PrintedEvent) => (e.data.varbinds as { value: number }[])[0].value;

  /** One notification, whichever nodes have it. */
  interface Seen {
    ids: Set<string>;
    nodes: Set<number>;
    alarm: { id: string; state: string; managed_object: string };
  }
  /** By user, trap OID and index. */
  function seen(): Map<string, Seen> {
    const out = new Map<string, Seen>();
    for (let node = 0; node < NODES; node++)
      for (const e of allEvents(node)) {
        if (e.type !== 'snmp.trap.v1') continue;
        const key = `${(e.data.security as { user: string }).user} ${e.data.trap_oid} ${ifIndexOf(e)}`;
        const known = out.get(key) ?? { ids: new Set(), nodes: new Set(), alarm: e.data.alarm as Seen['alarm'] };
        expect(known.alarm).toEqual(e.data.alarm);
        known.ids.add(e.id);
        known.nodes.add(node);
        out.set(key, known);
      }
    return out;
  }

  /** Every pair is there, its raise and its clear under one alarm id; how many were seen by different nodes. */
  async function whole(list: Pair[]): Promise<number> {
    const keys = list.flatMap((p) => [LINK_DOWN, LINK_UP].map((oid) => `${p.user.name} ${oid} ${p.ifIndex}`));
    await waitFor(() => {
      const found = seen();
      const missing = keys.filter((k) => !found.has(k));
      if (missing.length === 0) return true;
      throw new Error(`${missing.length} of ${keys.length} missing: ${missing.slice(0, 3)}`);
    }, 'every answered inform as an event');
    const found = seen();
    let apart = 0;
    const alarms = new Set<string>();
    for (const { user, ifIndex } of list) {
      const [down, up] = [LINK_DOWN, LINK_UP].map((oid) => found.get(`${user.name} ${oid} ${ifIndex}`)!);
      expect([down.alarm.state, up.alarm.state]).toEqual(['raised', 'cleared']);
      expect(up.alarm.id).toBe(down.alarm.id);
      expect(down.alarm.managed_object).toBe(`interface=${ifIndex}`);
      // A retry that another node answered has the same id.
      expect([down.ids.size, up.ids.size]).toEqual([1, 1]);
      alarms.add(down.alarm.id);
      if (![...down.nodes].some((n) => up.nodes.has(n))) apart++;
    }
    expect(alarms.size).toBe(list.length);
    return apart;
  }

  /** What was refused, by code: as the counters of this life say it. */
  async function refused(t: Tidegate): Promise<Record<string, number>> {
    const { counters } = await t.status<{ counters: Record<string, number> }>();
    const out: Record<string, number> = {};
    for (const [series, n] of Object.entries(counters)) {
      const code = /^tidegate_refused_total\{.*code="([^"]+)"/.exec(series)?.[1];
      if (code !== undefined && n > 0) out[code] = (out[code] ?? 0) + n;
    }
    return out;
  }

  /** The same without what is ordinary, as events, of all lives of a node. */
  const refusals = (node: number) =>
    allEvents(node).flatMap((e) => (e.type === 'security.v1' ? [`${e.data.code} ${e.data.count}`] : []));

  it('each datagram to a random node: every inform is answered, nothing is asked again', async () => {
    const list = await pairs(1, (n) => n < USERS.length);
    expect(failures(list)).toEqual([]);
    // Of 200 pairs, two thirds are seen by two nodes.
    expect(await whole(list)).toBeGreaterThan(USERS.length / 3);
    await waitFor(async () => {
      const all = await Promise.all(nodes.map(refused));
      expect(all.flatMap((r) => Object.keys(r))).toEqual(Array(NODES).fill('engine-discovery'));
      // Each run of the tool asked once, and no more.
      expect(all.reduce((sum, r) => sum + r['engine-discovery'], 0)).toBe(2 * USERS.length);
      return true;
    }, 'the count of discoveries');
  });

  it('through a rolling restart of all three', async () => {
    let done = false;
    const sending = pairs(1001, (n) => !done && n < 20_000);
    for (let i = 0; i < NODES; i++) {
      const others = [0, 1, 2].filter((n) => n !== i);
      const ended = nodes[i].sigterm();
      await spray.takePart(...others);
      expect(await ended).toEqual({ code: 0, signal: null });
      events[i].push(...nodes[i].events);
      nodes[i] = await nodes[i].restart();
      await spray.takePart(0, 1, 2);
    }
    done = true;
    // And with all three back: the time of the engine went on on the last one, too.
    const list = [...(await sending), ...(await pairs(20_001, (n) => n < 30))];
    expect(failures(list)).toEqual([]);
    expect(list.length).toBeGreaterThan(USERS.length);
    expect(await whole(list)).toBeGreaterThan(list.length / 3);
    // What a life refused besides, it would have said as an event at its end at the latest.
    for (let i = 0; i < NODES; i++) expect(refusals(i)).toEqual([]);
    for (const t of nodes)
      await waitFor(async () => {
        const codes = Object.keys(await refused(t)).join();
        if (codes === 'engine-discovery') return true;
        throw new Error(codes);
      }, 'a count of discoveries and of nothing else');
    console.log(`${2 * list.length} informs through the rolling restart`);
  });

  it('a node whose clock went back refuses informs, takes traps, and is the last resort', async () => {
    await nodes[0].sigterm();
    // What an hour that is over would have left behind.
    writeFileSync(
      join(nodes[0].dataDir, 'spool/engine-clock-0.json'),
      JSON.stringify({ boots: 2, ms: Date.now() + 3_600_000 }),
    );
    nodes[0] = await nodes[0].restart();
    // At the node itself: the router has better ones.
    const own = `${VIP[4]}:${PORT}`;
    const inform = [labBin('snmpinform'), '-m', '', '-v', '3', '-r', '0', '-t', '1', '-l', 'noAuthNoPriv'];
    const asked = await spaces[0].exec([...inform, '-u', 'user0', own, '1', LINK_DOWN], {
      allowFailure: true,
      env: ownFiles(USERS[0]),
    });
    expect(asked.code).toBe(1);
    expect(asked.stderr).toContain('Timeout');
    const trap = words('snmptrap', USERS[1], LINK_DOWN, 4711, own);
    expect((await spaces[0].exec(trap, { env: ownFiles(USERS[1]) })).code).toBe(0);
    await nodes[0].waitEvents((e) => e.type === 'snmp.trap.v1' && ifIndexOf(e) === 4711, 1);
    await waitFor(async () => (await refused(nodes[0]))['clock-behind'] > 0, 'the refusal of the inform');
    const status = await nodes[0].status<{ workers: { soft: string[] }[] }>();
    expect(status.workers[0].soft.join()).toMatch(/v3 informs refused: the clock is \d+ s behind/);
    expect(nodes[0].said()).toContain('SNMPv3 informs are refused: the clock is wrong');
    await spray.takePart(1, 2);
    expect(failures(await pairs(30_001, (n) => n < 5))).toEqual([]);
    await nodes[0].sigterm();
    expect(refusals(0)).toEqual([expect.stringMatching(/^clock-behind \d+$/)]);
  });
});
