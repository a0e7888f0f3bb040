/** What is done to a node behind a router while the devices send, and what the router has to say of it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { labBin } from './peers.ts';
import type { LabNode } from './scenario-load.ts';
import type { Case } from './scenario-run.ts';
import { KAFKA, type World } from './scenario-world.ts';
import { waitFor } from './wait.ts';

type RouterCase = Case<World, LabNode>;

function child(node: LabNode, pattern: RegExp): number {
  const [pid] = node.tidegate.children(pattern);
  if (pid === undefined) throw new Error(`${node.name} has no process ${pattern}`);
  return pid;
}

const WORKER = /worker-main/;
const SPEAKER = /speaker-main/;

/** Back on the same data, announced in full again. */
async function startAgain(world: World, node: LabNode): Promise<void> {
  node.tidegate = await node.tidegate.restart();
  await world.waitPath(node, 'full');
}

/** The ordered end: worse first, then gone, while it still reads; exit 0. */
async function terminate(world: World, node: LabNode): Promise<void> {
  node.tidegate.signal('SIGTERM');
  await world.waitPath(node, 'degraded');
  await world.waitPath(node, 'absent');
  const exit = await node.tidegate.sigterm();
  if (exit.code !== 0) throw new Error(`${node.name} ended with ${JSON.stringify(exit)}: ${node.tidegate.said()}`);
  await startAgain(world, node);
}

/** Drained it is still a path, the last resort; nothing goes there while the other is full. */
async function drain(world: World, node: LabNode): Promise<void> {
  const asked = Date.now();
  await node.tidegate.api('POST', '/lb/drain');
  world.goal('soft reason (drain asked) to worse path', 500, await world.leftAfter(node, asked));
  await world.waitPath(node, 'degraded');
  const since = (await world.counters(node))[RECEIVED];
  const { sent } = await world.sender.ask<{ sent: number }>('progress');
  await waitFor(async () => (await world.sender.ask<{ sent: number }>('progress')).sent >= sent + 500, 'more load');
  const now = (await world.counters(node))[RECEIVED];
  // What was on its way when the routes changed may still come.
  if (now - since > 100) throw new Error(`${node.name} is drained and received ${now - since} of 500`);
  await node.tidegate.api('POST', '/lb/undrain');
  await world.waitPath(node, 'full');
}

export const RECEIVED = 'tidegate_received_total{collector="snmp_trap"}';

/** One worker is the node's share of devices: without it the node is withdrawn, until it is back. */
async function killWorker(world: World, node: LabNode): Promise<void> {
  const pid = child(node, WORKER);
  process.kill(pid, 'SIGKILL');
  await world.waitPath(node, 'absent');
  await world.waitPath(node, 'full');
  if (node.tidegate.children(WORKER).includes(pid)) throw new Error('the worker is still there');
}

async function killAll(world: World, node: LabNode): Promise<void> {
  await node.tidegate.kill9();
  await world.waitPath(node, 'absent');
  await startAgain(world, node);
}

/** Its lease expires. What the kernel queued for it meanwhile is read when it goes on. */
async function freezeWorker(world: World, node: LabNode): Promise<void> {
  const pid = child(node, WORKER);
  const frozen = Date.now();
  process.kill(pid, 'SIGSTOP');
  try {
    await world.waitPath(node, 'absent');
    const seen = await world.leftAfter(node, frozen);
    if (world.leaseTimeout(node) === '1s') world.goal('hard reason (frozen ingest) to withdraw', 1500, seen);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await world.waitPath(node, 'full');
}

/** The supervisor ends it: its closed sessions are the withdraw. */
async function freezeSpeaker(world: World, node: LabNode): Promise<void> {
  const pid = child(node, SPEAKER);
  process.kill(pid, 'SIGSTOP');
  await world.waitPath(node, 'absent');
  await world.waitPath(node, 'full');
  if (node.tidegate.children(SPEAKER).includes(pid)) throw new Error('the frozen speaker is still there');
}

/** The router's end of the link goes down and comes back: BFD, or the lost carrier, takes the node's path away. */
async function linkDown(world: World, node: LabNode): Promise<void> {
  world.router.ip('link', 'set', `node-${node.name}`, 'down');
  await world.waitPath(node, 'absent');
  world.router.ip('link', 'set', `node-${node.name}`, 'up');
  await world.waitPath(node, 'full');
}

/** The switch between forwards nothing any more: no carrier goes, nobody says goodbye. BFD, or the hold timer, finds out. */
async function silentPath(world: World, node: LabNode): Promise<void> {
  world.silence(node, true);
  try {
    await world.waitPath(node, 'absent');
  } finally {
    world.silence(node, false);
  }
  await world.waitPath(node, 'full');
}

/** Kafka cannot be reached from one node: its spool fills, and from high water on its path is worse, so that nothing more goes there. */
async function fullSpool(world: World, node: LabNode): Promise<void> {
  const cut = Date.now();
  node.ns.ip('route', 'add', 'blackhole', `${KAFKA}/32`);
  try {
    await world.waitPath(node, 'degraded');
    const decided = node.tidegate.logs.find((l) => l.msg === 'grade' && Date.parse(String(l.time)) >= cut);
    const since = Date.parse(String(decided?.time));
    world.goal('soft reason (spool at high water) heard to worse path', 500, await world.leftAfter(node, since));
  } finally {
    node.ns.ip('route', 'del', 'blackhole', `${KAFKA}/32`);
  }
  await world.waitPath(node, 'full');
}

/** Another VIP and another peer, while it runs: no session notices, and the router has the new route. */
async function addVipAndPeer(world: World, node: LabNode): Promise<void> {
  const sessions = async () =>
    (await node.tidegate.json<{ peers: { peer: string; established_since?: number }[] }>(['lb', 'status'])).peers.map(
      (p) => `${p.peer} ${p.established_since}`,
    );
  const before = await sessions();
  const text = readFileSync(node.tidegate.configFile, 'utf8');
  const changed = parse(text) as { lb: { vips: object[]; bgp: { peers: object[] } } };
  changed.lb.vips.push({ name: 'second', addresses: ['203.0.113.77/32'] });
  changed.lb.bgp.peers.push({ address: '192.0.2.77', asn: 64577 });
  const has = async (): Promise<boolean> =>
    (await world.frr.paths('ipv4', '203.0.113.77/32')).some((p) => p.nexthops?.some((h) => h.ip === node.address.ipv4));
  const changedAt = Date.now();
  const seen = node.tidegate.logs.length;
  writeFileSync(node.tidegate.configFile, stringify(changed));
  try {
    const there = await world.routes.when('203.0.113.77', changedAt, (hops) => hops.includes(node.address.ipv4));
    const applied = await waitFor(
      () => node.tidegate.logs.slice(seen).find((l) => /^configuration/.test(l.msg ?? '')),
      'word of the new configuration',
    );
    world.goal('config change: applied to new route on the router', 100, there - Date.parse(String(applied.time)));
    const kept = (await sessions()).slice(0, before.length);
    if (kept.join() !== before.join()) throw new Error(`sessions were reset: ${before.join()} became ${kept.join()}`);
    world.goals.push({ what: 'config change: session resets', goal: '0', seen: '0', met: true });
  } finally {
    writeFileSync(node.tidegate.configFile, text);
  }
  await waitFor(async () => !(await has()), 'the second VIP withdrawn');
}

/** Each fdatasync of one worker takes three seconds. */
async function slowDisk(world: World, node: LabNode): Promise<void> {
  const pid = child(node, WORKER);
  const trace = node.ns.spawn([
    ...[labBin('strace'), '-f', '-qq', '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:delay_enter=3000000'],
    ...['-o', '/dev/null', '-p', String(pid)],
  ]);
  try {
    await world.waitPath(node, 'absent');
    const { hard } = await node.tidegate.json<{ hard: string[] }>(['lb', 'status']);
    if (!hard.some((h) => h.includes('fdatasync'))) throw new Error(`withdrawn for another reason: ${hard.join('; ')}`);
  } finally {
    await trace.stop();
  }
  await world.waitPath(node, 'full');
}

export const UNDISTURBED: RouterCase = { name: 'undisturbed', lossless: true };

export const CASES: readonly RouterCase[] = [
  { name: 'drain and undrain', lossless: true, disturb: drain },
  { name: 'SIGTERM and start', lossless: true, disturb: terminate },
  { name: 'kill -9 of a worker', lossless: false, disturb: killWorker },
  { name: 'kill -9 of all', lossless: false, disturb: killAll },
  { name: 'SIGSTOP of a worker', lossless: true, disturb: freezeWorker },
  { name: 'SIGSTOP of the speaker', lossless: true, disturb: freezeSpeaker },
  { name: 'fdatasync blocks', lossless: true, disturb: slowDisk },
];

/** In a world with `switches`. */
export const SILENT_PATH: RouterCase = { name: 'the path goes silent', lossless: false, disturb: silentPath };

/** For several nodes under more load, with BFD: figures of each are printed. */
export const LOSS_CASES: readonly RouterCase[] = [
  ...CASES.filter((c) => /drain|SIGTERM|of all|SIGSTOP of a worker/.test(c.name)),
  { name: 'link down', lossless: false, disturb: linkDown },
  { name: 'full spool', lossless: true, disturb: fullSpool },
  { name: 'a VIP and a peer more', lossless: true, disturb: addVipAndPeer },
];
