/**
 * The loss lab with more nodes and traffic than test/lab/loss.test.ts has: what each event costs, with and without BFD, and with a router
 * whose reverse-path filter is strict. Run as root where the lab is installed:
 *
 *   npm run lab:loss [-- --nodes 4 --rate 20000 --variants bfd,no-bfd,strict --cases 'kill|drain']
 *
 * Exits 1 where an acknowledged inform is not in Kafka.
 */
import { parseArgs } from 'node:util';
import { missingPeers } from '../test/lab/peers.ts';
import { type CaseLoad, LOSS_CASES, type Outcome, runCase, table, UNDISTURBED } from '../test/lab/scenario-cases.ts';
import { World, type WorldOptions } from '../test/lab/scenario-world.ts';

const { values: args } = parseArgs({
  options: {
    nodes: { type: 'string', default: '4' },
    rate: { type: 'string', default: '20000' },
    variants: { type: 'string', default: 'bfd,no-bfd,strict' },
    cases: { type: 'string', default: '' },
  },
});
const rate = Number(args.rate);
const LOAD: CaseLoad = { rate, informEvery: 20, lead: rate, max: 120 * rate };
const BFD = { intervalMs: 50, multiplier: 3 };
const VARIANTS: Record<string, WorldOptions> = {
  bfd: { bfd: BFD, rpFilter: 2 },
  'no-bfd': { rpFilter: 2 },
  strict: { bfd: BFD, rpFilter: 1 },
};

const missing = missingPeers();
if (missing.length > 0) {
  console.log(`this machine lacks: ${missing.join(' ')}; \`npm run lab:install\` installs what can be`);
  process.exit(1);
}

let bad = false;
for (const name of args.variants.split(',')) {
  const variant = VARIANTS[name];
  if (!variant) throw new Error(`--variants: ${name}: one of ${Object.keys(VARIANTS).join(', ')}`);
  const world = new World({ nodes: Number(args.nodes), workers: 1, spoolBytes: '64MiB', bmp: true, ...variant });
  const outcomes: Outcome[] = [];
  const moved: string[] = [];
  try {
    await world.start();
    const cases = [UNDISTURBED, ...LOSS_CASES].filter((c) => new RegExp(args.cases).test(c.name));
    for (const [i, c] of cases.entries()) {
      const before = await world.records('bmp.router.v1');
      const o = await runCase(world, world.nodes[i % world.nodes.length], c, LOAD);
      outcomes.push(o);
      moved.push(`${c.name}: ${(await world.records('bmp.router.v1')) - before} events of BMP sessions`);
      for (const text of [...o.wrong, ...(c.lossless && o.lost.length > 0 ? ['traps are lost'] : []), ...o.otherGrades])
        console.log(`${o.name}, node ${o.node}: ${text}`);
    }
  } finally {
    await world.close();
    console.log(`\n${name}: ${args.nodes} nodes, ${rate}/s\n${table(outcomes)}\n${moved.join('\n')}`);
  }
  bad ||= outcomes.some((o) => o.acknowledgedLost.length + o.wrong.length > 0);
}
process.exit(bad ? 1 : 0);
