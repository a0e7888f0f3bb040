/** Runs one case under load, and adds up what of the traffic arrived: the same for every world. */
import type { Received } from './scenario-load.ts';
import type { Script } from './scenario-script.ts';
import type { Load, SenderReport } from './scenario-sender.ts';
import type { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

export interface Case<World, Node> {
  name: string;
  /** No trap may be lost either: nothing that was received is thrown away, and nothing is sent to where nobody reads. */
  lossless: boolean;
  /** Returns when the node is as before. */
  disturb?: (world: World, node: Node) => Promise<void>;
}

/** Where a case can be run. */
export interface Scene {
  sender: Script;
  /** Everything that arrived so far, by its number. */
  received: ReadonlyMap<number, Received>;
  /** What must not be, so far. */
  wrong: readonly string[];
  /** All nodes: the grades that the undisturbed ones go through are noted. */
  nodes: readonly { name: string; tidegate?: Tidegate }[];
  /** Resolves when everything that was received is in `received`. */
  settle(): Promise<void>;
  /** Sessions that came up on another node, since it was last asked. */
  moved(): number;
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
  /** Milliseconds of the longest outage, from its first lost trap to its last, over all devices. */
  gap: number;
  /** Answered informs, those of them that are not in Kafka, and the longest wait for an answer in milliseconds. */
  acknowledged: number;
  acknowledgedLost: number[];
  longestAck: number;
  /** Informs that were never answered. */
  unanswered: number;
  retries: number;
  /** The longest way from a device to the kernel of the node that delivered it, milliseconds: an inform may have needed a second try. */
  longestWay: number;
  /** Informs that were sent again: when the first try was sent since the load began, how long the answer took, and which node has it how long after it was sent. */
  again: { number: number; sentAt: number; answered: number; node?: string; way?: number }[];
  /** BMP and BGP sessions that came up on another node. */
  moved: number;
  /** Grades another node went through: none, unless the machine was too busy for it. Nodes that are all withdrawn are no route. */
  otherGrades: string[];
  /** Of `inKafka`, traps that were sent in an earlier case. */
  late: number;
  /** Records beyond the first of a number. */
  repeated: number;
  /** What must not be: numbers nobody sent, one number under two ids, a record that is not what was sent, Responses from elsewhere. */
  wrong: string[];
}

export interface CaseLoad extends Load {
  /** Notifications before the disturbance, and after the node is as before. */
  lead: number;
}

/** Outages are two where no trap is lost for so long between them. */
const OUTAGE_MS = 250;

/** Runs one case under load, waits for everything to be in Kafka, and adds up. */
export async function runCase<W extends Scene, N extends W['nodes'][number]>(
  world: W,
  node: N,
  c: Case<W, N>,
  load: CaseLoad,
): Promise<Outcome> {
  const { sender } = world;
  const known = world.received.size;
  const wrongBefore = world.wrong.length;
  const logged = world.nodes.map((n) => ({ name: n.name, tidegate: n.tidegate, from: n.tidegate?.logs.length ?? 0 }));
  await sender.ask('start', { load });
  const reach = (count: number) =>
    waitFor(async () => (await sender.ask<{ sent: number }>('progress')).sent >= Math.min(count, load.max), 'the load');
  await reach(load.lead);
  await c.disturb?.(world, node);
  const { sent } = await sender.ask<{ sent: number }>('progress');
  await reach(sent + load.lead);
  const report = await sender.ask<SenderReport>('end');
  await world.settle();
  const outcome = addUp(world.received, c.name, node.name, report, known, world.wrong.slice(wrongBefore));
  outcome.moved = world.moved();
  for (const { name, tidegate, from } of logged)
    if (name !== node.name)
      for (const l of tidegate?.logs.slice(from) ?? [])
        if (l.msg === 'grade') outcome.otherGrades.push(`${name} ${l.to}: ${l.reason}`);
  return outcome;
}

function addUp(
  received: Scene['received'],
  name: string,
  node: string,
  r: SenderReport,
  known: number,
  wrong: string[],
): Outcome {
  const o: Outcome = {
    ...{
      name,
      node,
      traps: 0,
      inKafka: 0,
      informs: 0,
      lost: [],
      gap: 0,
      acknowledged: 0,
      acknowledgedLost: [],
      again: [],
    },
    ...{
      longestAck: 0,
      longestWay: 0,
      unanswered: 0,
      late: 0,
      retries: r.retries.length,
      moved: 0,
      repeated: 0,
      otherGrades: [],
      wrong,
    },
  };
  if (r.wrong > 0) wrong.push(`${r.wrong} Responses that are none or come from elsewhere`);
  const lostAt: number[] = [];
  let found = 0;
  for (let i = 0; i < r.inform.length; i++) {
    const number = r.first + i;
    const seen = received.get(number);
    const way = seen && seen.at - r.began - r.sentAt[i];
    if (seen) {
      found++;
      o.longestWay = Math.max(o.longestWay, Math.round(way!));
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
  for (const number of new Set(r.retries)) {
    const i = number - r.first;
    const seen = received.get(number);
    const way = seen && Math.round(seen.at - r.began - r.sentAt[i]);
    o.again.push({ number, sentAt: r.sentAt[i], answered: r.acknowledged[i], node: seen?.node, way });
  }
  o.gap = longestOutage(lostAt);
  // Counted from what Kafka has, and not from what was sent.
  const traps = [...received].slice(known).filter(([, seen]) => seen.pdu === 'trap');
  o.inKafka = traps.length;
  o.late = traps.filter(([number]) => number < r.first).length;
  const strangers = received.size - known - found;
  if (strangers !== 0) wrong.push(`${strangers} numbers arrived that were not sent in this case`);
  return o;
}

/** `lostAt`: when what is lost was sent, ascending. */
function longestOutage(lostAt: readonly number[]): number {
  let longest = 0;
  let began = lostAt[0];
  for (let i = 0; i < lostAt.length; i++) {
    if (i > 0 && lostAt[i] - lostAt[i - 1] > OUTAGE_MS) began = lostAt[i];
    longest = Math.max(longest, lostAt[i] - began);
  }
  return longest;
}

const COLUMNS: [string, (o: Outcome) => string | number][] = [
  ['case', (o) => o.name],
  ['node', (o) => o.node],
  ['traps', (o) => o.traps],
  ['arrived', (o) => o.inKafka],
  ['lost', (o) => o.lost.length],
  ['gap ms', (o) => o.gap],
  ['informs', (o) => o.informs],
  ['acked', (o) => o.acknowledged],
  ['acked lost', (o) => o.acknowledgedLost.length],
  ['longest ack ms', (o) => o.longestAck],
  ['longest way ms', (o) => o.longestWay],
  ['retries', (o) => o.retries],
  ['sessions moved', (o) => o.moved],
  ['repeated', (o) => o.repeated],
  ['others’ grades', (o) => o.otherGrades.length],
];

/** For people: one row a case. */
export function table(outcomes: readonly Outcome[]): string {
  return columns(
    COLUMNS.map(([head]) => head),
    outcomes.map((o) => COLUMNS.map(([, value]) => String(value(o)))),
    2,
  );
}

/** Each inform of a lossless case that was asked again, a line each: where its first try was, or whose answer did not come. */
export function askedAgain(outcomes: readonly Outcome[]): string {
  return outcomes
    .flatMap((o) => o.again.map((a) => `${o.name}: ${JSON.stringify(a)}`))
    .slice(0, 40)
    .join('\n');
}

/** Text in columns; the first `left` of them begin at the left. */
export function columns(head: readonly string[], rows: readonly string[][], left: number): string {
  const width = head.map((h, i) => Math.max(h.length, ...rows.map((r) => r[i].length)));
  return [head, ...rows]
    .map((r) =>
      r
        .map((t, i) => (i < left ? t.padEnd(width[i]) : t.padStart(width[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
