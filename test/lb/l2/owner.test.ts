/** The hash that chooses owners: shares follow weights, and a change of one member moves only what is its own. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { soloMembership } from '../../../src/cluster/members.ts';
import { type Candidate, isPreferred, preferredOf } from '../../../src/lb/owner.ts';

const VIPS = Array.from({ length: 4000 }, (_, i) => `vip-${i}`);
const members = (n: number): Candidate[] =>
  Array.from({ length: n }, (_, i) => ({ node: `edge-${i + 1}`, weight: 1, grade: 'full' }));
const owners = (all: Candidate[]) => VIPS.map((v) => preferredOf(v, all)?.node);

describe('owner of a VIP', () => {
  it('one of eight members goes: only its own VIPs move; it comes back: they return', () => {
    const all = members(8);
    const before = owners(all);
    const without = owners(all.filter((c) => c.node !== 'edge-3'));
    const moved = VIPS.filter((_, i) => before[i] !== without[i]);
    expect(moved).toEqual(VIPS.filter((_, i) => before[i] === 'edge-3'));
    // Its share and three standard deviations.
    expect(moved.length).toBeLessThan(4000 / 8 + 3 * Math.sqrt((4000 * 7) / 64));
    expect(owners(all)).toEqual(before);
  });

  it('a ninth member takes its share and moves nothing else', () => {
    const before = owners(members(8));
    const after = owners(members(9));
    const moved = VIPS.filter((_, i) => before[i] !== after[i]);
    expect(moved).toEqual(VIPS.filter((_, i) => after[i] === 'edge-9'));
    expect(moved.length).toBeLessThan(4000 / 9 + 3 * Math.sqrt((4000 * 8) / 81));
  });

  it('shares are as the weights', () => {
    const all = members(3).map((c, i) => ({ ...c, weight: [1, 2, 5][i] }));
    const count = new Map<string, number>();
    for (const o of owners(all)) count.set(o!, (count.get(o!) ?? 0) + 1);
    for (const c of all) expect(Math.abs(count.get(c.node)! - (4000 * c.weight) / 8)).toBeLessThan(100);
  });

  it('the order of the members says nothing; a full one comes before a degraded one, a dead one never', () => {
    const grade = fc.constantFrom('full', 'degraded', 'dead') as fc.Arbitrary<Candidate['grade']>;
    const candidate = fc.record({ node: fc.string(), weight: fc.integer({ min: 1, max: 1000 }), grade });
    fc.assert(
      fc.property(fc.uniqueArray(candidate, { selector: (c) => c.node }), fc.string(), (all, vip) => {
        const best = preferredOf(vip, all);
        expect(preferredOf(vip, [...all].reverse())).toBe(best);
        const first = ['full', 'degraded'].find((g) => all.some((c) => c.grade === g));
        expect(best?.grade).toBe(first);
      }),
    );
  });

  it('is the same in every version', () => {
    expect(['ingress', 'bmp', 'traps', 'gnmi'].map((v) => preferredOf(v, members(4))?.node)).toMatchInlineSnapshot(`
      [
        "edge-4",
        "edge-2",
        "edge-3",
        "edge-2",
      ]
    `);
  });

  it('a node without a cluster prefers itself', () => {
    const solo = soloMembership({ node: 'edge-1', site: 'a', boot: 1, weight: 1 });
    expect(isPreferred('ingress', solo, 'full')).toBe(true);
    expect(isPreferred('ingress', solo, 'dead')).toBe(false);
  });
});
