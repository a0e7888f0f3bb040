/**
 * The loss lab: one FRR router with ECMP over three nodes, BFD between them, traps and informs from 96 devices, and the router's own BMP
 * and BGP sessions. What each event costs is printed; what must never be lost is asserted. `npm run lab:loss` is the same with more of all.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goalTable } from './goals.ts';
import { labAvailable } from './peers.ts';
import { LOSS_CASES, UNDISTURBED } from './scenario-cases.ts';
import { type CaseLoad, type Outcome, runCase, table } from './scenario-run.ts';
import { World } from './scenario-world.ts';

const LOAD: CaseLoad = { rate: 5000, informEvery: 10, lead: 2500, max: 200_000 };

describe.skipIf(!labAvailable())('three nodes behind one router with BFD', () => {
  const world = new World({
    ...{ nodes: 3, workers: 1, spoolBytes: '16MiB', sessions: true, rpFilter: 2 },
    bfd: { intervalMs: 200, multiplier: 3 },
    // The one that is frozen below has the default, to see when it is withdrawn.
    leaseTimeout: { b: '1s' },
  });
  const outcomes: Outcome[] = [];

  beforeAll(() => world.start());
  afterAll(async () => {
    await world.close();
    if (outcomes.length > 0) console.log(`\n${table(outcomes)}\n\n${goalTable(world.goals)}\n`);
  });

  it.each([UNDISTURBED, ...LOSS_CASES].map((c, i) => [c.name, i, c] as const))('%s', async (_name, i, c) => {
    const node = world.nodes[i % world.nodes.length];
    const o = await runCase(world, node, c, LOAD);
    outcomes.push(o);
    expect(o.wrong).toEqual([]);
    expect(o.acknowledgedLost).toEqual([]);
    expect(o.inKafka + o.lost.length).toBe(o.traps);
    expect(o.unanswered).toBe(0);
    expect(o.acknowledged).toBe(o.informs);
    if (c.lossless) expect(o.lost, `other nodes meanwhile: ${o.otherGrades.join(', ')}`).toEqual([]);
  });
});
