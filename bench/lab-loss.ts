/**
 * The loss lab with more nodes and traffic than the tests have: what each event costs behind a router, with and without BFD, with a router
 * whose reverse-path filter is strict, and on a LAN under VRRP and layer 2 with keepalived beside. Run as root where the lab is installed:
 *
 *   npm run lab:loss [-- --nodes 4 --rate 20000 --lan-rate 5000 --variants bfd,no-bfd,strict,lan --cases 'kill|drain']
 *
 * Exits 1 where an acknowledged inform is not in Kafka.
 */
import { parseArgs } from 'node:util';
import { goalTable } from '../test/lab/goals.ts';
import { lanCases } from '../test/lab/lan-cases.ts';
import { KEEPALIVED_CASES, KeepalivedPair } from '../test/lab/lan-keepalived.ts';
import { compare } from '../test/lab/lan-report.ts';
import { LanWorld, VIPS } from '../test/lab/lan-world.ts';
import { missingPeers } from '../test/lab/peers.ts';
import { LOSS_CASES, SILENT_PATH, UNDISTURBED } from '../test/lab/scenario-cases.ts';
import { type CaseLoad, type Outcome, runCase, table } from '../test/lab/scenario-run.ts';
import { HELD_ON } from '../test/lab/scenario-strict.ts';
import { World, type WorldOptions } from '../test/lab/scenario-world.ts';

const { values: args } = parseArgs({
  options: {
    nodes: { type: 'string', default: '4' },
    rate: { type: 'string', default: '20000' },
    'lan-rate': { type: 'string', default: '5000' },
    variants: { type: 'string', default: 'bfd,no-bfd,strict,lan' },
    cases: { type: 'string', default: '' },
  },
});
const wanted = new RegExp(args.cases);
const BFD = { intervalMs: 50, multiplier: 3 };
const VARIANTS: Record<string, WorldOptions> = {
  bfd: { bfd: BFD, rpFilter: 2 },
  'no-bfd': { rpFilter: 2 },
  strict: { bfd: BFD, rpFilter: 1 },
};
let bad = false;

/** `times` seconds of load before and after each disturbance. No divisor of the number of devices: each of them sends informs. */
function load(rate: number, times: number): CaseLoad {
  return { rate, informEvery: 19, lead: rate * times, max: 120 * rate };
}

function note(o: Outcome, lossless: boolean): Outcome {
  for (const text of [...o.wrong, ...(lossless && o.lost.length > 0 ? ['traps are lost'] : []), ...o.otherGrades])
    console.log(`${o.name}, node ${o.node}: ${text}`);
  bad ||= o.acknowledgedLost.length + o.wrong.length > 0;
  return o;
}

async function router(name: string, variant: WorldOptions): Promise<void> {
  const world = new World({
    ...{ nodes: Number(args.nodes), workers: 1, spoolBytes: '64MiB', sessions: true, switches: true },
    // The last node as it is by default, to see what a frozen one costs there.
    leaseTimeout: { ['abcdefgh'[Number(args.nodes) - 1]]: '1s' },
    ...variant,
  });
  const outcomes: Outcome[] = [];
  try {
    await world.start();
    const cases = [UNDISTURBED, ...LOSS_CASES, SILENT_PATH, ...(variant.rpFilter === 1 ? [HELD_ON] : [])];
    for (const [i, c] of cases.filter((x) => wanted.test(x.name)).entries()) {
      const node = /SIGSTOP/.test(c.name) ? world.nodes.at(-1)! : world.nodes[i % world.nodes.length];
      const o = note(await runCase(world, node, c, load(Number(args.rate), 1)), c.lossless);
      outcomes.push(o);
      if (c === SILENT_PATH && variant.bfd)
        world.goal('dead node, the path goes silent, BFD 50 ms × 3: gap', 250, o.gap);
    }
  } finally {
    await world.close();
    console.log(`\n${name}: ${args.nodes} nodes, ${args.rate}/s\n${table(outcomes)}\n\n${goalTable(world.goals)}`);
  }
}

async function lan(): Promise<void> {
  const rate = Number(args['lan-rate']);
  const world = new LanWorld();
  const outcomes: Outcome[] = [];
  try {
    await world.start();
    const beside = new KeepalivedPair(world);
    await beside.start();
    for (const backEnd of ['vrrp', 'l2'] as const) {
      const vip = VIPS[backEnd];
      await world.bmpSession(vip);
      await world.settle();
      world.moved();
      for (const c of lanCases(backEnd).filter((x) => wanted.test(x.name)))
        outcomes.push(
          note(await runCase(world, await world.activeNode(vip), c, { ...load(rate, 2), vip }), c.lossless),
        );
    }
    for (const c of KEEPALIVED_CASES.filter((x) => wanted.test(x.name)))
      outcomes.push(await runCase(beside, beside.nodes[0], c, { ...load(rate, 2), vip: VIPS.keepalived }));
  } finally {
    await world.close();
    console.log(`\nlan: 2 nodes, ${rate}/s\n${table(outcomes)}\n\n${compare(outcomes)}`);
  }
}

const missing = missingPeers();
if (missing.length > 0) {
  console.log(`this machine lacks: ${missing.join(' ')}; \`npm run lab:install\` installs what can be`);
  process.exit(1);
}
for (const name of args.variants.split(',')) {
  if (name === 'lan') await lan();
  else if (VARIANTS[name]) await router(name, VARIANTS[name]);
  else throw new Error(`--variants: ${name}: one of ${Object.keys(VARIANTS).join(', ')}, lan`);
}
process.exit(bad ? 1 : 0);
