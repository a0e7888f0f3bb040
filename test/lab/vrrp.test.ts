/**
 * VRRP with keepalived (2.2.7, which has only the checksum with the pseudo header in version 3 of IPv4) on one LAN: who is active, whom a neighbour's cache names, and that
 * each takes over from the other.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, labBin } from './peers.ts';
import type { Proc } from './proc.ts';
import { VipNode } from './vip-speaker.ts';
import { waitFor } from './wait.ts';

const V4 = '10.9.1.50';
const V6 = '2001:db8:9::50';

interface Case {
  name: string;
  version: 2 | 3;
  family: 4 | 6;
  unicast?: boolean;
  /** Only that each takes over from the other: version 2 counts in seconds. */
  short?: boolean;
}

const CASES: Case[] = [
  { name: 'version 3, IPv4, multicast', version: 3, family: 4 },
  { name: 'version 3, IPv6, multicast', version: 3, family: 6 },
  { name: 'version 3, IPv4, unicast', version: 3, family: 4, unicast: true },
  { name: 'version 3, IPv6, unicast', version: 3, family: 6, unicast: true },
  { name: 'version 2, IPv4, multicast', version: 2, family: 4 },
  { name: 'version 2, IPv4, unicast', version: 2, family: 4, unicast: true, short: true },
];

const lab = new Lab();
let ours: Namespace;
let theirs: Namespace;
let neighbour: Namespace;
let count = 0;

beforeAll(() => {
  ours = lab.namespace('ours');
  theirs = lab.namespace('theirs');
  neighbour = lab.namespace('neighbour');
  lab.lan('sw', [
    { ns: ours, dev: 'eth0', addresses: ['10.9.1.1/24', '2001:db8:9::1/64'] },
    { ns: theirs, dev: 'eth0', addresses: ['10.9.1.2/24', '2001:db8:9::2/64'] },
    { ns: neighbour, dev: 'eth0', addresses: ['10.9.1.100/24', '2001:db8:9::100/64'] },
  ]);
});
afterAll(async () => {
  await VipNode.killAll();
  await lab.close();
});

const address = (c: Case) => (c.family === 4 ? V4 : V6);
const own = (c: Case, host: number) => (c.family === 4 ? `10.9.1.${host}` : `2001:db8:9::${host}`);
const has = (ns: Namespace, c: Case) => ns.ip('address', 'show', 'dev', 'eth0').includes(`${address(c)}/`);
const mac = (ns: Namespace) => String(JSON.parse(ns.ip('-json', 'link', 'show', 'eth0'))[0].address);

function config(c: Case, priority: number, more: object = {}) {
  return {
    vips: [{ name: 'ingress', addresses: [`${address(c)}/${c.family === 4 ? 32 : 128}`] }],
    rise: '100ms',
    drain: { linger: '100ms', timeout: '2s' },
    vrrp: [
      {
        vrid: 51,
        interface: 'eth0',
        version: c.version,
        vips: ['ingress'],
        priority,
        advert_interval: c.version === 2 ? '1s' : '200ms',
        ...(c.unicast && { unicast_peers: [own(c, 2)], source: own(c, 1) }),
        ...more,
      },
    ],
  };
}

function keepalived(c: Case, priority: number): Proc {
  const file = join(lab.dir, `keepalived-${++count}.conf`);
  const unicast = c.unicast ? `unicast_src_ip ${own(c, 2)}\n  unicast_peer {\n    ${own(c, 1)}\n  }` : '';
  writeFileSync(
    file,
    `global_defs {
  vrrp_version ${c.version}
  router_id theirs
}
vrrp_instance V {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority ${priority}
  advert_int ${c.version === 2 ? 1 : 0.2}
  ${unicast}
  virtual_ipaddress {
    ${address(c)}/${c.family === 4 ? 32 : 128} dev eth0
  }
}
`,
  );
  const pids = ['-p', `${file}.pid`, '-r', `${file}.vrrp`];
  return theirs.spawn([labBin('keepalived'), '-n', '-l', '-D', '-P', '-f', file, ...pids]);
}

/** What the neighbour's kernel has in its cache for the VIP, after it asked for it. */
async function cached(c: Case): Promise<string | undefined> {
  const shown = JSON.parse(neighbour.ip('-json', 'neigh', 'show', 'to', address(c)) || '[]') as { lladdr?: string }[];
  return shown[0]?.lladdr;
}

async function neighbourKnows(c: Case, ns: Namespace): Promise<void> {
  // Something to send makes the kernel look; what it knows afterwards is what adverts and answers told it.
  const [host, port] = [address(c), 9];
  await neighbour.exec(['bash', '-c', `echo x > /dev/udp/${host}/${port}`], { allowFailure: true });
  await waitFor(async () => (await cached(c)) === mac(ns), `the neighbour to have ${ns.short}'s MAC`);
}

describe.skipIf(!labAvailable('keepalived'))('VRRP with keepalived', () => {
  it.each(CASES)('$name: each takes over from the other', async (c) => {
    const other = keepalived(c, 100);
    await waitFor(() => has(theirs, c), 'keepalived to be active alone');
    await neighbourKnows(c, theirs);

    // A higher priority takes over, and the cache of the neighbour follows.
    const node = await VipNode.start(ours, config(c, 150), `vrrp-${count}`, `addresses-${count}.json`);
    await waitFor(() => has(ours, c) && !has(theirs, c), 'us to take over');
    await waitFor(async () => (await cached(c)) === mac(ours), 'the cache to follow us');
    expect((await node.status()).vips[0]).toMatchObject({ back_end: 'vrrp', announced: true, interface: 'eth0' });

    // Degraded is worse than a full keepalived; recovered it comes back.
    if (!c.short) {
      node.soft = ['spool 90 % full'];
      await waitFor(() => !has(ours, c) && has(theirs, c), 'keepalived to take over from a degraded node');
      await waitFor(async () => (await cached(c)) === mac(theirs), 'the cache to follow keepalived');
      node.soft = [];
      await waitFor(() => has(ours, c) && !has(theirs, c), 'us to come back');
    }

    // An orderly end hands it over at once: priority 0.
    await node.stop('upgrade');
    await waitFor(() => has(theirs, c), 'keepalived to take over');
    expect(has(ours, c)).toBe(false);
    await waitFor(async () => (await cached(c)) === mac(theirs), 'the cache to follow keepalived');

    if (c.short) return void (await other.stop());

    // A lower priority leaves it alone, and takes over when keepalived dies.
    const lower = await VipNode.start(ours, config(c, 50), `vrrp-low-${count}`, `addresses-${count}.json`);
    await waitFor(async () => (await lower.status()).grade === 'full', 'a full grade');
    expect(has(ours, c)).toBe(false);
    await other.kill9();
    theirs.ip('address', 'flush', 'to', address(c));
    await waitFor(() => has(ours, c), 'us to take over from the dead');
    await waitFor(async () => (await cached(c)) === mac(ours), 'the cache to follow us');
    await lower.stop('end');
    expect(has(ours, c)).toBe(false);
  });

  it('a checksum that keepalived does not know makes two active: said loudly, and whole again after a change of the setting', async () => {
    const c = CASES[0];
    const other = keepalived(c, 100);
    await waitFor(() => has(theirs, c), 'keepalived to be active alone');
    await neighbourKnows(c, theirs);
    // What keepalived sends is read all the same, so a lower priority stays Backup.
    const node = await VipNode.start(ours, config(c, 50, { checksum: 'rfc9568' }), 'vrrp-sum', `addresses-sum.json`);
    const router = async () =>
      (await node.status()).vrrp as { routers: { state: string; adverts: { received: number } }[] };
    await waitFor(async () => (await router()).routers[0].adverts.received > 5, 'adverts of keepalived');
    expect((await router()).routers[0].state).toBe('Backup');
    // With a higher one we are active, and keepalived hears nobody.
    node.reload(config(c, 150, { checksum: 'rfc9568' }));
    await waitFor(() => node.events().find((e) => /does not give way/.test(e.reason)), 'word of two active routers');
    expect(has(ours, c) && has(theirs, c)).toBe(true);
    expect(other.tail(1000)).toMatch(/Invalid VRRPv3 checksum/);
    node.reload(config(c, 150, { checksum: 'pseudo-header' }));
    await waitFor(() => has(ours, c) && !has(theirs, c), 'keepalived to give way');
    await waitFor(async () => (await cached(c)) === mac(ours), 'the cache to follow us');
    await node.stop('end');
    await other.stop();
  });
});
