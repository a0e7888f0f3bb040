import { describe, expect, it } from 'vitest';
import { rendezvous } from '../../src/core/rendezvous.ts';

const KEYS = Array.from({ length: 3000 }, (_, i) => `router-${i}.example`);

describe('rendezvous', () => {
  it('spreads evenly', () => {
    const counts = new Array<number>(5).fill(0);
    for (const k of KEYS) counts[rendezvous(k, 5)]++;
    for (const c of counts) expect(Math.abs(c - 600)).toBeLessThan(120);
  });

  it('one slot more takes only what it owns', () => {
    for (const k of KEYS) {
      const before = rendezvous(k, 4);
      const after = rendezvous(k, 5);
      expect([before, 4]).toContain(after);
    }
  });

  it('never changes: nodes of two versions must agree', () => {
    expect(KEYS.slice(0, 12).map((k) => rendezvous(k, 7))).toEqual(VECTOR);
    expect(rendezvous('', 1)).toBe(0);
  });
});

const VECTOR = [6, 4, 2, 6, 4, 2, 5, 1, 2, 2, 2, 0];
