/**
 * What is lost when one of two nodes is disturbed under load: the cases of test/lab/two-nodes.test.ts, each with both nodes and with more
 * traffic, as a table. Run as root where the lab is installed: npm run lab:loss. Exits 1 where an acknowledged inform is not in Kafka.
 */
import { missingPeers } from '../test/lab/peers.ts';
import { CASES, type CaseLoad, type Outcome, runCase, table, UNDISTURBED } from '../test/lab/scenario-cases.ts';
import { World } from '../test/lab/scenario-world.ts';

const LOAD: CaseLoad = { rate: 1000, informEvery: 5, lead: 5000, max: 120_000 };

const missing = missingPeers(['ip', 'vtysh', 'bgpd', 'zebra', 'java', 'strace']);
if (missing.length > 0) {
  console.log(`this machine lacks: ${missing.join(' ')}; \`npm run lab:install\` installs what can be`);
  process.exit(1);
}

const world = new World();
const outcomes: Outcome[] = [];
try {
  await world.start();
  for (const c of [UNDISTURBED, ...CASES]) {
    for (const node of c.disturb ? world.nodes : world.nodes.slice(0, 1)) {
      const o = await runCase(world, node, c, LOAD);
      outcomes.push(o);
      for (const text of [...o.wrong, ...(c.lossless && o.lost.length > 0 ? ['traps are lost'] : []), ...o.otherGrades])
        console.log(`${o.name}, node ${o.node}: ${text}`);
    }
  }
} finally {
  await world.close();
  console.log(table(outcomes));
}
process.exit(outcomes.some((o) => o.acknowledgedLost.length + o.wrong.length > 0) ? 1 : 0);
