/** What is done to the node that has a VIP of the LAN while the devices send, and who has the VIP in between and afterwards. */
import { HOSTS, type LanWorld, VIPS } from './lan-world.ts';
import type { LabNode } from './scenario-load.ts';
import type { Case } from './scenario-run.ts';
import { waitFor } from './wait.ts';

export type BackEnd = 'vrrp' | 'l2';

type LanCase = Case<LanWorld, LabNode>;

const WORKER = /worker-main/;

/** The cases of one back end; each ends with the VIP back at the node that had it. */
export function lanCases(backEnd: BackEnd): LanCase[] {
  const vip = VIPS[backEnd];
  const away = (world: LanWorld, node: LabNode) => world.waitActive(vip, ...world.nodes.filter((n) => n !== node));
  const home = (world: LanWorld, node: LabNode) => world.waitActive(vip, node);

  /** Moved, and drained: nothing comes any more. */
  async function drain(world: LanWorld, node: LabNode): Promise<void> {
    await node.tidegate.api('POST', '/lb/drain');
    await away(world, node);
    await node.tidegate.api('POST', '/lb/undrain');
    await home(world, node);
  }

  async function terminate(world: LanWorld, node: LabNode): Promise<void> {
    const exit = await node.tidegate.sigterm();
    if (exit.code !== 0) throw new Error(`${node.name} ended with ${JSON.stringify(exit)}: ${node.tidegate.said()}`);
    await away(world, node);
    node.tidegate = await node.tidegate.restart();
    await home(world, node);
  }

  async function killAll(world: LanWorld, node: LabNode): Promise<void> {
    await node.tidegate.kill9();
    await away(world, node);
    node.tidegate = await node.tidegate.restart();
    await home(world, node);
  }

  async function silent(world: LanWorld, node: LabNode): Promise<void> {
    const host = HOSTS.nodes[world.nodes.indexOf(node)];
    world.silence(host, true);
    try {
      await away(world, node);
    } finally {
      world.silence(host, false);
    }
    await home(world, node);
    // Both believed to have it; only one may go on with that.
    await waitFor(
      () => world.nodes.filter((n) => n.ns.ip('address', 'show', 'dev', 'eth0').includes(`${vip.ipv4}/`)).length === 1,
      'one owner',
    );
  }

  /** Its lease expires. What the kernel queued for it meanwhile is read when it goes on. */
  async function freeze(world: LanWorld, node: LabNode): Promise<void> {
    const [pid] = node.tidegate.children(WORKER);
    process.kill(pid, 'SIGSTOP');
    try {
      await away(world, node);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await home(world, node);
  }

  return [
    { name: `${backEnd}: planned drain`, lossless: true, disturb: drain },
    { name: `${backEnd}: SIGTERM`, lossless: true, disturb: terminate },
    { name: `${backEnd}: kill -9 of all`, lossless: false, disturb: killAll },
    { name: `${backEnd}: the path goes silent`, lossless: false, disturb: silent },
    // Layer 2 lets go of the address at once when the node is unfit: the next one takes it some 20 ms later.
    { name: `${backEnd}: frozen ingest`, lossless: backEnd === 'vrrp', disturb: freeze },
  ];
}
