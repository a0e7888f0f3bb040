/**
 * The loss lab: one FRR router with ECMP over three nodes, BFD between them, traps and informs from 96 devices, and the router's own BMP
 * session. What each event costs is printed; what must never be lost is asserted. `npm run lab:loss` is the same with more of all.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labAvailable } from './peers.ts';
import { type CaseLoad, LOSS_CASES, type Outcome, runCase, table, UNDISTURBED } from './scenario-cases.ts';
import { World } from './scenario-world.ts';

const LOAD: CaseLoad = { rate: 5000, informEvery: 10, lead: 2500, max: 200_000 };

describe.skipIf(!labAvailable())('three nodes behind one router with BFD', () => {
  const world = new World({
    ...{ nodes: 3, workers: 1, spoolBytes: '16MiB', bmp: true, rpFilter: 2 },
    bfd: { intervalMs: 200, multiplier: 3 },
  });
  const outcomes: Outcome[] = [];
  const sessions: string[] = [];

  beforeAll(() => world.start());
  afterAll(async () => {
    await world.close();
    if (outcomes.length > 0) console.log(`\n${table(outcomes)}\n${sessions.join('\n')}\n`);
  });

  it.each([UNDISTURBED, ...LOSS_CASES].map((c, i) => [c.name, i, c] as const))('%s', async (name, i, c) => {
    const node = world.nodes[i % world.nodes.length];
    const before = await world.records('bmp.router.v1');
    const o = await runCase(world, node, c, LOAD);
    outcomes.push(o);
    sessions.push(
      `${name}: ${(await world.records('bmp.router.v1')) - before} events of BMP sessions that came or went`,
    );
    expect(o.wrong).toEqual([]);
    expect(o.acknowledgedLost).toEqual([]);
    expect(o.inKafka + o.lost.length).toBe(o.traps);
    expect(o.unanswered).toBe(0);
    expect(o.acknowledged).toBe(o.informs);
    if (c.lossless) expect(o.lost, `another node meanwhile: ${o.otherGrades.join(', ')}`).toEqual([]);
  });
});
