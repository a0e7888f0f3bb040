/** What is done to a node while the devices send, what the router has to say of it, and what of the traffic is in Kafka afterwards. */
import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { labBin } from './peers.ts';
import type { Load, SenderReport } from './scenario-sender.ts';
import { KAFKA, type LabNode, type World } from './scenario-world.ts';
import { waitFor } from './wait.ts';

export interface Case {
  name: string;
  /** No trap may be lost either: nothing that was received is thrown away, and nothing is sent to where nobody reads. */
  lossless: boolean;
  /** Returns when the node is as before. */
  disturb?: (world: World, node: LabNode) => Promise<void>;
}

export interface Outcome {
  name: string;
  node: string;
  traps: number;
  /** Traps of this case that Kafka has, each counted once. */
  inKafka: number;
  informs: number;
  /** Traps of which Kafka has nothing. */
  lost: number[];
  /** Milliseconds from the first lost trap to the last: how long the gap was, over all devices. */
  gap: number;
  /** Answered informs, those of them that are not in Kafka, and the longest wait for an answer in milliseconds. */
  acknowledged: number;
  acknowledgedLost: number[];
  longestAck: number;
  /** Informs that were never answered. */
  unanswered: number;
  retries: number;
  /** Grades the other node went through: none, unless the machine was too busy for it. Two withdrawn nodes are no route. */
  otherGrades: string[];
  /** Records beyond the first of a number. */
  repeated: number;
  /** What must not be: numbers nobody sent, one number under two ids, a record that is not what was sent, Responses from elsewhere. */
  wrong: string[];
}

export interface CaseLoad extends Load {
  /** Notifications before the disturbance, and after the node is as before. */
  lead: number;
}

/** Runs one case under load, waits for everything to be in Kafka, and adds up. */
export async function runCase(world: World, node: LabNode, c: Case, load: CaseLoad): Promise<Outcome> {
  const { sender } = world;
  const known = world.received.size;
  const wrongBefore = world.wrong.length;
  const other = world.other(node).tidegate;
  const logged = other.logs.length;
  await sender.ask('start', { load });
  const reach = (count: number) =>
    waitFor(async () => (await sender.ask<{ sent: number }>('progress')).sent >= Math.min(count, load.max), 'the load');
  await reach(load.lead);
  await c.disturb?.(world, node);
  const { sent } = await sender.ask<{ sent: number }>('progress');
  await reach(sent + load.lead);
  const report = await sender.ask<SenderReport>('end');
  await world.settle();
  const outcome = addUp(world, node, c, report, known, world.wrong.slice(wrongBefore));
  for (const l of other.logs.slice(logged)) if (l.msg === 'grade') outcome.otherGrades.push(`${l.to}: ${l.reason}`);
  return outcome;
}

function addUp(world: World, node: LabNode, c: Case, r: SenderReport, known: number, wrong: string[]): Outcome {
  const o: Outcome = {
    ...{
      name: c.name,
      node: node.name,
      traps: 0,
      inKafka: 0,
      informs: 0,
      lost: [],
      gap: 0,
      acknowledged: 0,
      acknowledgedLost: [],
    },
    ...{ longestAck: 0, unanswered: 0, retries: r.retries, repeated: 0, otherGrades: [], wrong },
  };
  if (r.wrong > 0) wrong.push(`${r.wrong} Responses that are none or come from elsewhere`);
  const lostAt: number[] = [];
  let found = 0;
  for (let i = 0; i < r.inform.length; i++) {
    const number = r.first + i;
    const seen = world.received.get(number);
    if (seen) {
      found++;
      o.repeated += seen.records - 1;
      if (seen.ids.size > 1) wrong.push(`${seen.pdu} ${number} has the ids ${[...seen.ids].join(' ')}`);
      if (seen.pdu !== (r.inform[i] ? 'inform' : 'trap')) wrong.push(`${number} is ${seen.pdu}`);
    }
    if (!r.inform[i]) {
      o.traps++;
      if (!seen) {
        o.lost.push(number);
        lostAt.push(r.sentAt[i]);
      }
      continue;
    }
    o.informs++;
    if (r.acknowledged[i] < 0) {
      o.unanswered++;
      continue;
    }
    o.acknowledged++;
    o.longestAck = Math.max(o.longestAck, r.acknowledged[i]);
    if (!seen) o.acknowledgedLost.push(number);
  }
  if (lostAt.length > 0) o.gap = lostAt.at(-1)! - lostAt[0];
  // Counted from what Kafka has, and not from what was sent.
  o.inKafka = [...world.received.values()].slice(known).filter((seen) => seen.pdu === 'trap').length;
  const strangers = world.received.size - known - found;
  if (strangers !== 0) wrong.push(`${strangers} numbers in Kafka that were not sent in this case`);
  return o;
}

/** For people: one row a case. */
export function table(outcomes: readonly Outcome[]): string {
  const head = [
    'case',
    'node',
    'traps',
    'in Kafka',
    'lost',
    'gap ms',
    'informs',
    'acked',
    'acked lost',
    'longest ack ms',
    'retries',
    'repeated',
    'other’s grades',
  ];
  const rows = outcomes.map((o) =>
    [
      ...[
        o.name,
        o.node,
        o.traps,
        o.inKafka,
        o.lost.length,
        o.gap,
        o.informs,
        o.acknowledged,
        o.acknowledgedLost.length,
      ],
      ...[o.longestAck, o.retries, o.repeated, o.otherGrades.length],
    ].map(String),
  );
  const width = head.map((h, i) => Math.max(h.length, ...rows.map((r) => r[i].length)));
  return [head, ...rows]
    .map((r) => r.map((t, i) => (i < 2 ? t.padEnd(width[i]) : t.padStart(width[i]))).join('  '))
    .join('\n');
}

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
  await node.tidegate.json(['lb', 'drain']);
  await world.waitPath(node, 'degraded');
  const since = (await world.counters(node))[RECEIVED];
  const { sent } = await world.sender.ask<{ sent: number }>('progress');
  await waitFor(async () => (await world.sender.ask<{ sent: number }>('progress')).sent >= sent + 500, 'more load');
  const now = (await world.counters(node))[RECEIVED];
  // What was on its way when the routes changed may still come.
  if (now - since > 100) throw new Error(`${node.name} is drained and received ${now - since} of 500`);
  await node.tidegate.json(['lb', 'undrain']);
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
  process.kill(pid, 'SIGSTOP');
  try {
    await world.waitPath(node, 'absent');
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

/** Kafka cannot be reached from one node: its spool fills, and from high water on its path is worse, so that nothing more goes there. */
async function fullSpool(world: World, node: LabNode): Promise<void> {
  node.ns.ip('route', 'add', 'blackhole', `${KAFKA}/32`);
  try {
    await world.waitPath(node, 'degraded');
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
  const seen = node.tidegate.logs.length;
  writeFileSync(node.tidegate.configFile, stringify(changed));
  try {
    await waitFor(has, 'the route of the second VIP', { every: 10 });
    const now = Date.now();
    const applied = node.tidegate.logs.slice(seen).find((l) => /configuration/.test(l.msg ?? ''));
    if (applied)
      console.log(
        `${node.name}: the new route is on the router ${now - Date.parse(String(applied.time))} ms after "${applied.msg}"`,
      );
    const kept = (await sessions()).slice(0, before.length);
    if (kept.join() !== before.join()) throw new Error(`sessions were reset: ${before.join()} became ${kept.join()}`);
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

export const UNDISTURBED: Case = { name: 'undisturbed', lossless: true };

export const CASES: readonly Case[] = [
  { name: 'drain and undrain', lossless: true, disturb: drain },
  { name: 'SIGTERM and start', lossless: true, disturb: terminate },
  { name: 'kill -9 of a worker', lossless: false, disturb: killWorker },
  { name: 'kill -9 of all', lossless: false, disturb: killAll },
  { name: 'SIGSTOP of a worker', lossless: true, disturb: freezeWorker },
  { name: 'SIGSTOP of the speaker', lossless: true, disturb: freezeSpeaker },
  { name: 'fdatasync blocks', lossless: true, disturb: slowDisk },
];

/** For several nodes under more load, with BFD: figures of each are printed. */
export const LOSS_CASES: readonly Case[] = [
  ...CASES.filter((c) => /drain|SIGTERM|of all|SIGSTOP of a worker/.test(c.name)),
  { name: 'link down', lossless: false, disturb: linkDown },
  { name: 'full spool', lossless: true, disturb: fullSpool },
  { name: 'a VIP and a peer more', lossless: true, disturb: addVipAndPeer },
];
