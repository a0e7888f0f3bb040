/** The product on a LAN without a router: two nodes, one owner of the VIP, its drain and its death. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, labBin } from './peers.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const VIP = '10.9.1.50';

interface Status {
  grade: string;
  vips: { name: string; announced: boolean; back_end: string; interface?: string; obstacle?: string }[];
  cluster: { settled: boolean; members: { node: string; state: string }[] };
  l2: { vips: { state: string; leader?: string; holder?: string }[] };
}

describe.skipIf(!labAvailable('ip', 'snmptrap'))('layer 2 with the whole product', { timeout: 120_000 }, () => {
  let lab: Lab;
  let neighbour: Namespace;
  const spaces: Namespace[] = [];
  const nodes: Tidegate[] = [];

  const config = (i: number) => ({
    node: `edge-${i + 1}`,
    workers: 1,
    collectors: {
      snmp_trap: { listen: [{ vip: 'ingress', port: 162 }], communities: [{ name: 'public', from: ['10.9.1.0/24'] }] },
    },
    lb: {
      rise: '200ms',
      drain: { linger: '300ms', timeout: '2s' },
      vips: [{ name: 'ingress', addresses: [`${VIP}/32`] }],
      l2: { lifetime: '2s' },
    },
    cluster: {
      listen: `10.9.1.${i + 1}`,
      members: ['10.9.1.1', '10.9.1.2'],
      secret: 'a secret of the lab, long enough',
    },
    admin: { listen: '127.0.0.1:0' },
  });

  const lb = (n: Tidegate) => n.json<Status>(['lb', 'status']);
  const announced = async (n: Tidegate) => (await lb(n)).vips.every((v) => v.announced);

  beforeAll(async () => {
    lab = new Lab();
    for (let i = 0; i < 2; i++) spaces.push(lab.namespace(`edge${i + 1}`));
    neighbour = lab.namespace('device');
    lab.lan('sw', [
      ...spaces.map((ns, i) => ({ ns, dev: 'eth0', addresses: [`10.9.1.${i + 1}/24`] })),
      { ns: neighbour, dev: 'eth0', addresses: ['10.9.1.100/24'] },
    ]);
    nodes.push(...(await Promise.all(spaces.map((ns, i) => Tidegate.start({ ns, config: config(i) })))));
  });

  afterAll(async () => {
    for (const n of nodes) await n.kill9().catch(() => {});
    await lab?.close();
  });

  /** Which node has the VIP; traps of the device arrive there. */
  async function owner(among = nodes): Promise<Tidegate> {
    let found: Tidegate | undefined;
    await waitFor(async () => {
      const have = await Promise.all(among.map(announced));
      found = among[have.indexOf(true)];
      return have.filter(Boolean).length === 1;
    }, 'one owner');
    const before = found!.events.filter((e) => e.type === 'snmp.trap.v1').length;
    await waitFor(
      async () => {
        await neighbour.exec([labBin('snmptrap'), '-v2c', '-c', 'public', `${VIP}:162`, '1', '1.3.6.1.6.3.1.1.5.1']);
        return found!.events.filter((e) => e.type === 'snmp.trap.v1').length > before;
      },
      'a trap at the owner',
      { every: 200 },
    );
    return found!;
  }

  it('one node has the VIP on its LAN interface and takes the traps', async () => {
    const first = await owner();
    const s = await lb(first);
    expect(s).toMatchObject({
      grade: 'full',
      vips: [{ name: 'ingress', back_end: 'l2', interface: 'eth0', announced: true }],
      l2: { vips: [{ state: 'owner' }] },
      cluster: { settled: true, members: [{ state: 'alive' }] },
    });
    const other = await lb(nodes.find((n) => n !== first)!);
    expect(other.vips[0]).toMatchObject({ announced: false, obstacle: expect.stringMatching(/^edge-\d owns it$/) });
  });

  it('drain hands it over, undrain brings it back', async () => {
    const first = await owner();
    expect((await first.cli(['lb', 'drain'])).code).toBe(0);
    const second = await owner(nodes.filter((n) => n !== first));
    expect(await announced(first)).toBe(false);
    expect((await first.cli(['lb', 'undrain'])).code).toBe(0);
    await waitFor(async () => (await announced(first)) && !(await announced(second)), 'the VIP to come back');
  });

  it('kill -9 of all processes of the owner: the other one has it', async () => {
    const first = await owner();
    const pids = [first.pid, ...first.children()];
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    const second = nodes.find((n) => n !== first)!;
    expect(await owner([second])).toBe(second);
    const index = nodes.indexOf(first);
    await waitFor(() => !spaces[index].ip('address', 'show', 'dev', 'eth0').includes(VIP), 'its kernel to forget it');
  });
});
