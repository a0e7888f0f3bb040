/** Two nodes behind one router: what is spread, what is lost, and what is never lost. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labAvailable } from './peers.ts';
import { CASES, RECEIVED, UNDISTURBED } from './scenario-cases.ts';
import { FAMILIES } from './scenario-load.ts';
import { type CaseLoad, type Outcome, runCase, table } from './scenario-run.ts';
import { World } from './scenario-world.ts';

const NIGHTLY = process.env.TIDEGATE_NIGHTLY === '1';
// Not less than a few seconds of load: a case lasts as long as its disturbance, `max` only ends what hangs.
const LOAD: CaseLoad = { rate: 500, informEvery: 5, lead: NIGHTLY ? 5000 : 500, max: 60_000 };

describe.skipIf(!labAvailable('ip', 'vtysh', 'bgpd', 'zebra', 'java', 'strace'))('two nodes behind one router', () => {
  const world = new World();
  const outcomes: Outcome[] = [];

  beforeAll(() => world.start());
  afterAll(async () => {
    await world.close();
    if (outcomes.length > 0) console.log(`\n${table(outcomes)}\n`);
  });

  /** What holds whatever happened. */
  function hold(o: Outcome): void {
    outcomes.push(o);
    expect(o.wrong).toEqual([]);
    expect(o.acknowledgedLost).toEqual([]);
    expect(o.inKafka + o.lost.length).toBe(o.traps);
    // Nobody was without a node for as long as a device retries.
    expect(o.unanswered).toBe(0);
    expect(o.acknowledged).toBe(o.informs);
  }

  it('has both paths, of both families', async () => {
    for (const family of FAMILIES) {
      for (const n of world.nodes) expect(await world.pathState(n, family)).toBe('full');
      expect(world.nextHops(family)).toEqual(world.nodes.map((n) => n.address[family]).sort());
    }
  });

  it('undisturbed: each device on one node and worker, and Kafka has what was sent', async () => {
    const before = await Promise.all(world.nodes.map((n) => world.counters(n)));
    const o = await runCase(world, world.nodes[0], UNDISTURBED, { ...LOAD, lead: 1500 });
    hold(o);
    expect(o.lost).toEqual([]);
    const places = new Map<string, Set<string>>();
    for (const r of world.received.values())
      places.set(r.address, (places.get(r.address) ?? new Set()).add(`${r.node} ${r.worker}`));
    expect(places.size).toBe(96);
    expect([...places].filter(([, where]) => where.size > 1)).toEqual([]);
    for (const is4 of [true, false]) {
      const nodes = [...places]
        .filter(([a]) => !a.includes(':') === is4)
        .map(([, where]) => [...where][0].split(' ')[0]);
      expect(new Set(nodes)).toEqual(new Set(['a', 'b']));
    }
    // Each datagram was received once, and each event is there once.
    const after = await Promise.all(world.nodes.map((n) => world.counters(n)));
    const received = after.map((c, i) => (c[RECEIVED] ?? 0) - (before[i][RECEIVED] ?? 0));
    expect(received[0] + received[1]).toBe(o.traps + o.informs + o.retries);
    expect(o.repeated).toBe(0);
  });

  it.each(CASES.map((c, i) => [c.name, i, c] as const))('%s', async (_name, i, c) => {
    const node = world.nodes[i % 2];
    const o = await runCase(world, node, c, LOAD);
    hold(o);
    if (c.lossless) expect(o.lost, `the other node meanwhile: ${o.otherGrades.join(', ')}`).toEqual([]);
    // The other one was not touched.
    expect(world.other(node).tidegate.proc.alive).toBe(true);
  });
});
