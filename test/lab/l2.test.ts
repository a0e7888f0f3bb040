/** Layer 2 on a bridge with the kernels of real neighbours: whose MAC address their ARP and ND caches have, and what they lose. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, NODE } from './peers.ts';
import type { Proc } from './proc.ts';
import { waitFor } from './wait.ts';

const V4 = '10.9.0.50';
const V6 = '2001:db8:9::50';
const SCRIPT = fileURLToPath(new URL('l2-node.ts', import.meta.url));
const PROBE = fileURLToPath(new URL('l2-probe.ts', import.meta.url));

interface Line {
  at: number;
  event?: string;
  reason?: string;
  facts?: Record<string, unknown>;
  protocol?: string;
  to?: string;
  ready?: boolean;
  vips?: Record<string, { announced: boolean; obstacle?: string }>;
  status?: { metrics: [string, string, number][]; l2: object; cluster: object };
}

describe.skipIf(!labAvailable('ip'))('layer 2 on a LAN', { timeout: 120_000 }, () => {
  let lab: Lab;
  let sw: Namespace;
  let neighbour: Namespace;
  const spaces: Namespace[] = [];
  const nodes: (LanNode | undefined)[] = [];
  const probes: Proc[] = [];

  class LanNode {
    readonly index: number;
    readonly lines: Line[] = [];
    readonly proc: Proc;
    readonly mac: string;
    vips: NonNullable<Line['vips']> = {};

    constructor(index: number) {
      this.index = index;
      const file = join(lab.dir, `l2-${index}.json`);
      const members = spaces.map((_, i) => `10.9.0.${i + 1}`);
      const config = {
        node: `edge-${index + 1}`,
        cluster: { listen: `10.9.0.${index + 1}`, members, secret: 'a secret of the lab, long enough' },
        lb: {
          vips: [{ name: 'ingress', addresses: [V4, V6] }],
          l2: { interfaces: ['eth0'], lifetime: '2s' },
        },
      };
      writeFileSync(file, JSON.stringify(config));
      this.mac = JSON.parse(spaces[index].ip('-json', 'link', 'show', 'dev', 'eth0'))[0].address;
      this.proc = spaces[index].spawn([NODE, SCRIPT, file, join(lab.dir, `l2-${index}.state`)], {
        stdin: true,
        onStdout: (text) => {
          const line = JSON.parse(text) as Line;
          this.lines.push(line);
          if (line.vips) this.vips = line.vips;
        },
      });
    }

    get owns(): boolean {
      return [V4, V6].every((a) => this.vips[`${a}/${a === V4 ? 32 : 128}`]?.announced === true);
    }

    tell(m: object): void {
      this.proc.child.stdin!.write(`${JSON.stringify(m)}\n`);
    }

    alarms(): string[] {
      return this.lines.filter((l) => l.event === 'alarm').map((l) => l.reason!);
    }
  }

  const running = () => nodes.filter((n): n is LanNode => n !== undefined);
  const start = (...indexes: number[]) => {
    for (const i of indexes) nodes[i] = new LanNode(i);
  };
  const kernelHas = (i: number) => {
    const text = spaces[i].ip('address', 'show', 'dev', 'eth0');
    return [V4, V6].filter((a) => text.includes(`${a}/`)).length;
  };

  /** The MAC address in the neighbour's own cache. */
  function cached(address: string): string | undefined {
    const text = neighbour.ip('-json', 'neigh', 'show', 'to', address);
    return text.trim() === '' ? undefined : (JSON.parse(text)[0] as { lladdr?: string } | undefined)?.lladdr;
  }

  /** Exactly one of them owns both addresses, and the neighbour's caches say so. */
  async function owner(among = running(), home?: number): Promise<LanNode> {
    let found: LanNode | undefined;
    await waitFor(
      () => {
        const owners = among.filter((n) => n.owns);
        found = owners[0];
        if (home !== undefined && found?.index !== home) return false;
        return owners.length === 1 && [V4, V6].every((a) => cached(a) === found!.mac);
      },
      `one owner whose MAC address the neighbour has: ${among.map((n) => `${n.index} ${n.mac} ${JSON.stringify(n.vips)}`)}`,
      { ceiling: 30_000, every: 30 },
    );
    return found!;
  }

  /** What the neighbour lost since the last look, by family. */
  function losses(): string {
    return probes
      .map((p) => {
        const lines = p.out.splice(0).map((l) => JSON.parse(l) as { lost?: number; ms?: number });
        return lines.reduce((sum, l) => sum + (l.lost ?? 0), 0);
      })
      .map((lost, i) => `${i === 0 ? 'v4' : 'v6'} ${lost} of 100/s`)
      .join(', ');
  }

  beforeAll(() => {
    lab = new Lab();
    const end = (ns: Namespace, host: number) => ({
      ...{ ns, dev: 'eth0' },
      addresses: [`10.9.0.${host}/24`, `2001:db8:9::${host}/64`],
    });
    for (let i = 0; i < 3; i++) spaces.push(lab.namespace(`node${i}`));
    neighbour = lab.namespace('neigh');
    sw = lab.lan('sw', [...spaces.map((ns, i) => end(ns, i + 1)), end(neighbour, 100)]);
    start(0, 1, 2);
    for (const a of [V4, V6]) probes.push(neighbour.spawn([NODE, PROBE, a]));
  });

  afterEach(() => {
    for (const n of running()) n.lines.length = 0;
  });

  afterAll(() => lab?.close());

  it('one node owns both addresses, the others have neither', async () => {
    const first = await owner();
    for (const n of running()) {
      expect(kernelHas(n.index)).toBe(n === first ? 2 : 0);
      n.tell({ status: true });
    }
    const status = await waitFor(() => first.lines.find((l) => l.status)?.status, 'status');
    const metric = (name: string) => status.metrics.filter(([n]) => n === name);
    expect(metric('tidegate_lb_l2_owner')).toEqual([['tidegate_lb_l2_owner', 'vip="ingress"', 1]]);
    expect(metric('tidegate_cluster_members')).toContainEqual(['tidegate_cluster_members', 'state="alive"', 2]);
    expect(status.cluster).toMatchObject({ settled: true, members: [{ hears_us: true }, { hears_us: true }] });
  });

  it('a degraded owner hands over, and gets it back, without a datagram lost', async () => {
    const first = await owner();
    await waitFor(() => probes.every((p) => p.out.length > 0), 'answers');
    losses();
    first.tell({ grade: 'degraded' });
    const second = await owner(running().filter((n) => n !== first));
    await waitFor(() => kernelHas(first.index) === 0, 'the old owner to have let go');
    first.tell({ grade: 'full' });
    await owner(running(), first.index);
    await waitFor(() => kernelHas(second.index) === 0, 'the other to have let go');
    console.log(`planned hand-over and back: lost ${losses()}`);
    for (const n of running()) expect(n.alarms()).toEqual([]);
  });

  it('SIGSTOP of the owner: another takes it, its kernel forgets it, and it owns nothing when it goes on', async () => {
    const first = await owner();
    losses();
    first.proc.signal('SIGSTOP');
    await owner(running().filter((n) => n !== first));
    await waitFor(() => kernelHas(first.index) === 0, 'the kernel to forget the address');
    console.log(`frozen owner: lost ${losses()}`);
    first.lines.length = 0;
    first.proc.signal('SIGCONT');
    const said = await waitFor(() => first.lines.find((l) => l.protocol === 'l2'), 'word of the loss');
    expect(said).toMatchObject({ to: 'idle', reason: expect.stringMatching(/stood still/) });
    // It comes first by the hash, so it is handed over again.
    await owner(running(), first.index);
  });

  it('kill -9 of the owner: another takes it; started again it gets it back', async () => {
    const first = await owner();
    losses();
    await first.proc.kill9();
    nodes[first.index] = undefined;
    await owner();
    await waitFor(() => probes.every((p) => p.out.length > 0), 'answers of the new owner');
    console.log(`kill -9: lost ${losses()}`);
    start(first.index);
    await owner(running(), first.index);
    for (const n of running()) expect(n.alarms()).toEqual([]);
  });

  it('link down of the owner: it gives up, another takes it; the link comes back: it goes home', async () => {
    const first = await owner();
    sw.ip('link', 'set', `p${first.index}`, 'down');
    const second = await owner(running().filter((n) => n !== first));
    await waitFor(() => !first.owns && kernelHas(first.index) === 0, 'the old owner to have let go');
    sw.ip('link', 'set', `p${first.index}`, 'up');
    await waitFor(() => first.owns && !second.owns, 'the hand-over back');
    await owner(running(), first.index);
  });

  it('a split LAN has two owners; whole again it has one, with an alarm', async () => {
    const first = await owner();
    sw.ip('link', 'set', `p${first.index}`, 'nomaster');
    await waitFor(() => running().filter((n) => n.owns).length === 2, 'an owner on each side');
    // Until what it says of its take-over is over: what the neighbour learns afterwards it learns because the LAN is whole again.
    await new Promise((done) => setTimeout(done, 6500));
    sw.ip('link', 'set', `p${first.index}`, 'master', 'br0');
    await owner(running(), first.index);
    const alarms = running().flatMap((n) => n.alarms());
    expect(alarms).toContainEqual(expect.stringMatching(/owned it too/));
  });

  it('a stranger with the same address: the owner says so and keeps it; nobody takes it where he was first', async () => {
    const first = await owner();
    const stranger = lab.namespace('stranger');
    sw.ip('link', 'add', 'p9', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', stranger.name);
    sw.ip('link', 'set', 'p9', 'master', 'br0', 'up');
    stranger.sh(`ip address add ${V4}/24 dev eth0; ip link set eth0 up`);
    // It asks for a neighbour, in the name of its address.
    await stranger.exec(['bash', '-c', 'echo x > /dev/udp/10.9.0.100/9']);
    const mac = JSON.parse(stranger.ip('-json', 'link', 'show', 'dev', 'eth0'))[0].address;
    const found = await waitFor(
      () => first.lines.find((l) => l.event === 'alarm' && l.reason?.includes('duplicate address')),
      'the alarm of the owner',
    );
    expect(found.facts).toMatchObject({ vip: 'ingress', address: V4, mac, duplicate: true });
    expect(first.owns).toBe(true);

    for (const n of running()) n.tell({ stop: true });
    for (const n of running()) await n.proc.exited;
    expect([0, 1, 2].map(kernelHas)).toEqual([0, 0, 0]);
    start(0, 1, 2);
    await waitFor(
      () => running().some((n) => n.alarms().some((a) => a.includes(`duplicate address: ${mac}`))),
      'the alarm of who wanted to take it',
    );
    const v4 = () => running().filter((n) => n.vips[`${V4}/32`]?.announced);
    expect(v4()).toEqual([]);
    expect(running().map((n) => n.vips[`${V4}/32`]?.obstacle)).toContainEqual(`duplicate address: ${mac} has it`);
    stranger.ip('address', 'del', `${V4}/24`, 'dev', 'eth0');
    await owner();
  });
});
