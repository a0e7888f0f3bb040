/**
 * tidegate beside an FRR or a BIRD that holds the node's only session with its router: the VIP and its grade travel through. The
 * configurations are those of docs/beside-another-speaker.md.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { Frr, type FrrPath } from './frr.ts';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, labBin, REPO } from './peers.ts';
import type { Proc } from './proc.ts';
import { VipNode } from './vip-speaker.ts';
import { waitFor } from './wait.ts';

const V4 = '203.0.113.10/32';
const V6 = '2001:db8:ff::10/128';
const doc = readFileSync(join(REPO, 'docs/beside-another-speaker.md'), 'utf8');
const snippet = (language: string): string => new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(doc)![1];

const lab = new Lab();
let node: Namespace;
let tor: Frr;

beforeAll(async () => {
  node = lab.namespace('node');
  const router = lab.namespace('tor');
  lab.link(
    { ns: node, dev: 'eth0', addresses: ['10.1.0.2/24', '2001:db8:1::2/64'] },
    { ns: router, dev: 'eth0', addresses: ['10.1.0.1/24', '2001:db8:1::1/64'] },
  );
  node.sh(/`(ip address add .* dev lo)`/.exec(doc)![1]);
  // It knows the node's AS alone: a session from tidegate's would be refused.
  tor = await Frr.start(router, {
    config: `router bgp 64500
 bgp router-id 10.1.0.1
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor 10.1.0.2 remote-as 64512
 neighbor 10.1.0.2 timers connect 1
 neighbor 2001:db8:1::2 remote-as 64512
 neighbor 2001:db8:1::2 timers connect 1
 address-family ipv4 unicast
  neighbor 10.1.0.2 activate
 exit-address-family
 address-family ipv6 unicast
  neighbor 2001:db8:1::2 activate
 exit-address-family`,
  });
});

afterAll(async () => {
  await VipNode.killAll();
  await lab.close();
});

/** The one path to the VIP, in either family, that has this AS path. */
async function seen(path: string): Promise<FrrPath[]> {
  return waitFor(async () => {
    const all = [...(await tor.paths('ipv4', V4)), ...(await tor.paths('ipv6', V6))];
    if (all.length !== 2 || all.some((p) => p.path !== path)) throw new Error(JSON.stringify(all.map((p) => p.path)));
    return all;
  }, `both VIPs with the path ${path}`);
}

const gone = () =>
  waitFor(
    async () => (await tor.paths('ipv4', V4)).length + (await tor.paths('ipv6', V6)).length === 0,
    'the VIPs withdrawn',
  );

async function communities(prefix: string): Promise<string | undefined> {
  const family = prefix.includes(':') ? 'ipv6' : 'ipv4';
  const route = await tor.json<{ paths: { community?: { string: string } }[] }>(
    `show bgp ${family} unicast ${prefix} json`,
  );
  return route.paths[0]?.community?.string;
}

async function startFrr(): Promise<() => Promise<() => Promise<void>>> {
  const frr = await Frr.start(node, { config: snippet('frr') });
  return async () => {
    await frr.bgpd.stop();
    await gone();
    await frr.startBgpd();
    return () => frr.stop();
  };
}

async function startBird(): Promise<() => Promise<() => Promise<void>>> {
  const file = join(lab.dir, 'bird.conf');
  writeFileSync(file, snippet('bird'));
  const control = join(lab.dir, 'bird.ctl');
  const start = (): Proc =>
    node.spawn([labBin('bird'), '-f', '-c', file, '-s', control, '-P', join(lab.dir, 'bird.pid')]);
  let bird = start();
  await waitFor(() => node.exec([labBin('birdc'), '-s', control, 'show', 'status']), 'bird to answer');
  return async () => {
    await bird.stop();
    await gone();
    bird = start();
    return () => bird.stop() as Promise<unknown> as Promise<void>;
  };
}

describe.skipIf(!labAvailable())('beside another speaker', () => {
  it.each([
    ['FRR', startFrr],
    ['BIRD', startBird],
  ] as const)('%s passes the VIP and its grade on to the router', async (name, start) => {
    const restart = await start();
    const { lb } = parse(snippet('yaml')) as { lb: object };
    const config = { ...lb, rise: '100ms', drain: { linger: '100ms', timeout: '1s' } };
    const vip = await VipNode.start(node, config, `beside-${name}`, `addresses-${name}.json`);

    for (const p of await seen('64512 64513')) {
      const hops = p.nexthops?.map((n) => n.ip) ?? [];
      // The router sends to the node, whoever of its processes spoke.
      expect(hops.some((h) => ['10.1.0.2', '2001:db8:1::2'].includes(h))).toBe(true);
    }
    expect([await communities(V4), await communities(V6)]).toEqual([undefined, undefined]);

    vip.soft = ['export lag'];
    await seen('64512 64513 64513 64513 64513');
    expect([await communities(V4), await communities(V6)]).toEqual(['graceful-shutdown', 'graceful-shutdown']);
    vip.soft = [];
    await seen('64512 64513');

    vip.hard = ['disk not writable'];
    await gone();
    vip.hard = [];
    await seen('64512 64513');

    const stop = await restart();
    await seen('64512 64513');

    await vip.kill();
    await gone();
    await stop();
  });
});
