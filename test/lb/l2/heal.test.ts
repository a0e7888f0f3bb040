/** Members that come and go: what their returns make an owner announce. */
import { describe, expect, it } from 'vitest';
import { L2Machine } from '../../../src/lb/l2/machine.ts';
import type { L2Effect, L2Input, L2Member } from '../../../src/lb/l2/types.ts';

const MEMBERS = 63;
const ADDRESSES = ['192.0.2.10', '2001:db8::10'];

/** Owns both addresses; `step` returns what is announced at that time. */
function owner(): { step(now: number, input: L2Input): string[] } {
  const machine = new L2Machine({
    ...{ node: 'edge-0', boot: 100, timeout: 1000, lifetime: 5000, probe: { count: 1, interval: 10 } },
  });
  const step = (now: number, input: L2Input) => {
    const out: L2Effect[] = [];
    machine.handle(now, input, out);
    return out.flatMap((e) => (e.type === 'announce' ? [e.address] : []));
  };
  const vips = ADDRESSES.map((a) => ({
    ...{ vip: 'ingress', prefix: `${a}/${a.includes(':') ? 128 : 32}` },
    ...{ interface: 'eth0', mac: '02:00:00:00:00:01', bound: true },
  }));
  step(0, { type: 'members', settled: true, members: members(() => false) });
  step(0, { type: 'want', grade: 'full', weight: 1000, vips });
  step(10, { type: 'timer' });
  expect(machine.list.map((s) => s.state)).toEqual(['owner', 'owner']);
  return { step };
}

/** None can take anything, so that nothing is handed over. */
function members(alive: (i: number) => boolean): L2Member[] {
  return Array.from({ length: MEMBERS }, (_, i) => ({
    ...{ node: `edge-${i + 1}`, boot: i + 1, alive: alive(i), grade: 'full', weight: 1 },
    ...{ fit: false, hearsUs: alive(i), claims: [] },
  }));
}

describe('layer 2: members that are heard again', () => {
  it('however many flap, and however fast: three announcements of an address in two seconds', () => {
    const { step } = owner();
    const times = new Map<string, number[]>(ADDRESSES.map((a) => [a, []]));
    let now = 8000;
    for (let at = 200; at <= now; at += 200) step(at, { type: 'timer' });
    // Each step one of them is heard again, for a minute.
    for (let i = 0; now < 68_000; i++, now += 10) {
      const said = step(now, { type: 'members', settled: true, members: members((k) => k !== i % MEMBERS) });
      for (const a of said) times.get(a)!.push(now);
    }
    for (const at of times.values()) {
      const most = Math.max(...at.map((t) => at.filter((u) => u >= t && u < t + 2000).length));
      expect(most).toBe(3);
      // Never long after a return.
      expect(Math.max(...at.slice(1).map((t, i) => t - at[i]))).toBeLessThanOrEqual(900);
    }
  });

  it('a return while the next announcement is to come is not forgotten: all of them come after it', () => {
    const { step } = owner();
    for (let at = 200; at <= 8000; at += 200) step(at, { type: 'timer' });
    const back = (at: number) => {
      step(at - 1, { type: 'members', settled: true, members: members(() => false) });
      return step(at, { type: 'members', settled: true, members: members((i) => i === 0) });
    };
    expect(back(8100)).toEqual(ADDRESSES);
    expect(back(8200)).toEqual([]);
    expect(back(9900)).toEqual([]);
    let said = 0;
    for (let at = 9901; at < 20_000; at += 100) said += step(at, { type: 'timer' }).length;
    expect(said).toBe(7 * ADDRESSES.length);
  });
});
