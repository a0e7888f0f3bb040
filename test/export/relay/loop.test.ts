/** When raw octets have come round, and when they are only alike. */
import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../src/core/clock.ts';
import { exportConfig } from '../../../src/export/config.ts';
import { RawMemory, type RawSource } from '../../../src/export/relay/loop.ts';
import { LoopPeers } from '../../../src/export/relay/peers.ts';

const COLD_START = Buffer.from('the coldStart of any device');
const device = (n: number): RawSource => ({ address: `198.51.${n >> 8}.${n & 255}`, port: 161, peer: false });
const peer: RawSource = { address: '203.0.113.9', port: 5000, peer: true };
/** Of `times` copies, one every `every` milliseconds: how many go through. */
function passed(memory: RawMemory, source: RawSource, times: number, every: number, from = 0): number {
  let n = 0;
  for (let i = 0; i < times; i++) if (!memory.looped(COLD_START, source, from + i * every)) n++;
  return n;
}

describe('raw octets', () => {
  it('that are alike from two thousand devices at once all go through, once more each, too', () => {
    const memory = new RawMemory();
    for (const again of [0, 1])
      for (let n = 0; n < 2000; n++) expect(memory.looped(COLD_START, device(n), again)).toBe(false);
  });

  it('that a peer sends after somebody else have come round, each time', () => {
    const memory = new RawMemory();
    expect(memory.looped(COLD_START, device(1), 0)).toBe(false);
    expect(passed(memory, peer, 10, 100_000)).toBe(0);
    expect(memory.looped(Buffer.from('others'), peer, 0)).toBe(false);
  });

  it('that a peer is the first to send are its own, so long as they are no flood', () => {
    const memory = new RawMemory();
    expect(passed(memory, peer, 20, 1000)).toBe(20);
    expect(passed(memory, peer, 1000, 50, 30_000)).toBeLessThan(20);
    expect(memory.looped(COLD_START, device(1), 90_000)).toBe(false);
  });

  it('of an agent that repeats itself go through as often as it likes, but not in a flood', () => {
    expect(passed(new RawMemory(), device(1), 5000, 1000)).toBe(5000);
    expect(passed(new RawMemory(), device(1), 5000, 1)).toBeLessThanOrEqual(32 + 16);
  });

  it('in a circle through a relay that is no peer end, also where each turn takes seconds', () => {
    for (const turn of [0, 10, 1000, 20_000]) {
      const memory = new RawMemory();
      expect(memory.looped(COLD_START, device(1), 0)).toBe(false);
      // What goes through comes back after `turn`; what does not has ended.
      let turns = 0;
      while (turns < 1000 && !memory.looped(COLD_START, device(2), (turns + 1) * turn)) turns++;
      expect(turns).toBeLessThan(60);
    }
  });

  it('on loopback, where relays and devices have one address: by port, and a second copy has come round', () => {
    const memory = new RawMemory();
    const at = (port: number, itself = true): RawSource => ({ address: '127.0.0.1', port, peer: itself });
    for (let port = 5000; port < 5020; port++) expect(memory.looped(COLD_START, at(port), 0)).toBe(false);
    expect(memory.looped(COLD_START, at(5000), 1)).toBe(false);
    for (let port = 5001; port < 5020; port++) expect(memory.looped(COLD_START, at(port), 1)).toBe(true);
  });

  it('are remembered in bounded memory; those that were not seen for longest are forgotten', () => {
    const memory = new RawMemory(10);
    expect(memory.looped(COLD_START, device(1), 0)).toBe(false);
    for (let i = 0; i < 9; i++) memory.looped(Buffer.from(`other ${i}`), device(1), 0);
    expect(memory.looped(COLD_START, peer, 1)).toBe(true);
    for (let i = 9; i < 30; i++) memory.looped(Buffer.from(`other ${i}`), device(1), 1);
    expect(memory.looped(COLD_START, peer, 2)).toBe(false);
  });
});

it('peers are all targets, the members and VIPs as they are now, and this host', () => {
  const clock = new ManualClock();
  const config = exportConfig.parse({
    a: { type: 'relay', targets: ['192.0.2.1:162', '[2001:db8::1]:162'], format: 'raw' },
    b: { type: 'relay', targets: ['192.0.2.2:162'], format: 'v2c', community: 'x' },
    stdout: { enabled: true },
  });
  const peers = new LoopPeers(config, ['192.0.2.10'], clock);
  for (const a of ['192.0.2.1', '2001:db8::1', '192.0.2.2', '192.0.2.10', '127.0.0.1']) expect(peers.has(a)).toBe(true);
  for (const a of ['192.0.2.3', '127.0.0.9', '192.0.2.11']) expect(peers.has(a)).toBe(false);
  peers.replace(['192.0.2.11']);
  expect([peers.has('192.0.2.10'), peers.has('192.0.2.11')]).toEqual([false, true]);
});
