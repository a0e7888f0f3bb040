/**
 * The loss lab with two nodes and what it is not built with at first: a path that goes silent under BFD 50 ms × 3, no BFD, and a router
 * whose reverse-path filter is strict.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goalTable } from './goals.ts';
import { labAvailable } from './peers.ts';
import { LOSS_CASES, SILENT_PATH } from './scenario-cases.ts';
import type { LabNode } from './scenario-load.ts';
import { type Case, type CaseLoad, type Outcome, runCase, table } from './scenario-run.ts';
import { HELD_ON } from './scenario-strict.ts';
import { World } from './scenario-world.ts';

const LOAD: CaseLoad = { rate: 1500, informEvery: 5, lead: 750, max: 60_000 };

describe.skipIf(!labAvailable('ip', 'vtysh', 'bgpd', 'bfdd', 'java'))('two nodes behind one router', () => {
  const world = new World({
    ...{ nodes: 2, workers: 1, sessions: true, switches: true, rpFilter: 2 },
    bfd: { intervalMs: 50, multiplier: 3 },
  });
  const outcomes: Outcome[] = [];
  const drainAndKill = LOSS_CASES.filter((c) => /drain|of all/.test(c.name));

  beforeAll(() => world.start());
  afterAll(async () => {
    await world.close();
    if (outcomes.length > 0) console.log(`\n${table(outcomes)}\n\n${goalTable(world.goals)}\n`);
  });

  async function run(variant: string, c: Case<World, LabNode>): Promise<Outcome> {
    const o = await runCase(world, world.nodes[1], c, LOAD);
    o.name = `${variant}: ${c.name}`;
    outcomes.push(o);
    expect(o.wrong).toEqual([]);
    expect(o.acknowledgedLost).toEqual([]);
    expect(o.inKafka + o.lost.length).toBe(o.traps);
    expect(o.unanswered).toBe(0);
    expect(o.acknowledged).toBe(o.informs);
    if (c.lossless) expect(o.lost, `other nodes meanwhile: ${o.otherGrades.join(', ')}`).toEqual([]);
    return o;
  }

  it('BFD 50 ms × 3: the path goes silent', async () => {
    const { gap } = await run('BFD', SILENT_PATH);
    world.goal('dead node, the path goes silent, BFD 50 ms × 3: gap', 250, gap);
  });

  describe('without BFD', () => {
    beforeAll(() => world.withoutBfd());
    it.each(drainAndKill.map((c) => [c.name, c] as const))('%s', async (_name, c) => {
      const o = await run('no BFD', c);
      if (!/drain/.test(c.name)) return;
      const seen = `${o.lost.length}, ${o.retries}`;
      world.goals.push({ what: 'planned drain: lost, informs retried', goal: '0, 0', seen, met: seen === '0, 0' });
    });
  });

  describe('strict reverse-path filter', () => {
    beforeAll(() => world.setRpFilter(1));
    it.each([...drainAndKill, HELD_ON].map((c) => [c.name, c] as const))('%s', async (_name, c) => {
      await run('strict', c);
    });
  });
});
