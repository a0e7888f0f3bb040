/**
 * Two nodes on a LAN without a router, a VIP under VRRP (adverts each 100 ms) and one under layer 2, traps and informs from 64 devices, and
 * a pair of keepalived nodes under the same load. What each event costs is printed; what must never be lost is asserted.
 * `npm run lab:loss -- --variants lan` is the same with more of it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lanCases } from './lan-cases.ts';
import { KEEPALIVED_CASES, KeepalivedPair } from './lan-keepalived.ts';
import { compare } from './lan-report.ts';
import { LanWorld, VIPS } from './lan-world.ts';
import { labAvailable } from './peers.ts';
import { askedAgain, type CaseLoad, type Outcome, runCase, table } from './scenario-run.ts';

const LOAD: CaseLoad = { rate: 1000, informEvery: 10, lead: 500, max: 60_000 };

describe.skipIf(!labAvailable('ip', 'keepalived', 'java'))('two nodes on a LAN', () => {
  const world = new LanWorld();
  const beside = new KeepalivedPair(world);
  const outcomes: Outcome[] = [];

  beforeAll(async () => {
    await world.start();
    await beside.start();
  });
  afterAll(async () => {
    await world.close();
    if (outcomes.length > 0)
      console.log(
        `\n${table(outcomes)}\n\n${compare(outcomes)}\n\n${askedAgain(outcomes.filter((o) => o.name.includes('planned')))}\n`,
      );
  });

  /** What holds whatever happened. */
  function hold(o: Outcome): void {
    outcomes.push(o);
    expect(o.wrong).toEqual([]);
    expect(o.acknowledgedLost).toEqual([]);
    expect(o.inKafka + o.lost.length).toBe(o.traps);
    expect(o.unanswered).toBe(0);
    expect(o.acknowledged).toBe(o.informs);
  }

  describe.each(['vrrp', 'l2'] as const)('%s', (backEnd) => {
    const vip = VIPS[backEnd];
    beforeAll(async () => {
      await world.bmpSession(vip);
      await world.settle();
      world.moved();
    });

    it.each(lanCases(backEnd).map((c) => [c.name, c] as const))('%s', async (_name, c) => {
      const o = await runCase(world, await world.activeNode(vip), c, { ...LOAD, vip });
      hold(o);
      if (c.lossless) expect(o.lost, `another node meanwhile: ${o.otherGrades.join(', ')}`).toEqual([]);
    });
  });

  it.each(KEEPALIVED_CASES.map((c) => [c.name, c] as const))('%s', async (_name, c) => {
    const o = await runCase(beside, beside.nodes[0], c, { ...LOAD, vip: VIPS.keepalived });
    outcomes.push(o);
    // What was cut off in the case before may be on its way still: nobody here knows what keepalived's receiver holds.
    expect(o.inKafka - o.late + o.lost.length).toBe(o.traps);
    expect(o.unanswered).toBe(0);
  });
});
