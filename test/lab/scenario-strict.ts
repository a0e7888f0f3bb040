/** A router with strict reverse-path filtering (RFC 3704) drops what a drained node answers: found out by the node, and said. */
import type { LabNode } from './scenario-load.ts';
import type { Case } from './scenario-run.ts';
import { VIP, type World } from './scenario-world.ts';
import { waitFor } from './wait.ts';

/** The device whose packets take another way in. */
const DEVICE = '10.3.1.7';
const TABLE = '100';
const WORDS = /informs are repeated although this node answered them/;

/** A second router, beside the first one, that knows one node only and sends everything for the VIP there, drained or not. */
function otherWay(world: World, node: LabNode): void {
  const { lab, sources } = world;
  const edge = lab.namespace('edge');
  lab.link(
    { ns: edge, dev: 'sources', addresses: ['10.4.0.1/24'] },
    { ns: sources, dev: 'edge', addresses: ['10.4.0.2/24'] },
  );
  lab.link(
    { ns: edge, dev: 'node', addresses: ['10.4.1.1/24'] },
    { ns: node.ns, dev: 'edge', addresses: ['10.4.1.2/24'] },
  );
  edge.ip('route', 'add', VIP.ipv4, 'via', '10.4.1.2');
  sources.ip('route', 'add', VIP.ipv4, 'via', '10.4.0.1', 'table', TABLE);
}

/**
 * Informs of one device come in over another router, and the answers go out over the one that has moved all others to the other node: it has
 * no route to the VIP over the drained one, so the filter drops them. The device asks again, at the same node.
 */
async function drainHeldOn(world: World, node: LabNode): Promise<void> {
  const { sources, said } = world;
  const before = said.length;
  otherWay(world, node);
  sources.ip('rule', 'add', 'from', DEVICE, 'lookup', TABLE);
  try {
    await node.tidegate.api('POST', '/lb/drain');
    // Status, log, explain, and the event on the system topic.
    await waitFor(async () => {
      const { drain } = await node.tidegate.api<{ drain?: { answers_lost: number } }>('GET', '/lb');
      return (drain?.answers_lost ?? 0) > 0;
    }, `${node.name} to find that its answers are lost`);
    await node.tidegate.waitLog((l) => WORDS.test(l.msg ?? ''), 'word of lost answers');
    const explained = JSON.stringify(await node.tidegate.json(['explain', DEVICE]));
    for (const words of [/since the drain began: its answers are dropped on the way/, /strict reverse-path filtering/])
      if (!words.test(explained)) throw new Error(`explain says nothing of ${words}: ${explained}`);
    await waitFor(
      () => said.slice(before).find(([name, reason]) => name === node.name && WORDS.test(reason)),
      'the event',
    );
  } finally {
    sources.ip('rule', 'del', 'from', DEVICE, 'lookup', TABLE);
    await node.tidegate.api('POST', '/lb/undrain');
  }
  await world.waitPath(node, 'full');
  const { drain } = await node.tidegate.api<{ drain?: object }>('GET', '/lb');
  if (drain !== undefined) throw new Error(`${node.name} is still draining: ${JSON.stringify(drain)}`);
}

export const HELD_ON: Case<World, LabNode> = {
  name: 'drain, a device still comes',
  lossless: true,
  disturb: drainHeldOn,
};
