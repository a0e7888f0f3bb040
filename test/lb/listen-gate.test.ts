/** An address is announced when every worker listens there, and not before. */
import { describe, expect, it } from 'vitest';
import { lbConfig } from '../../src/lb/config.ts';
import { ListenGate } from '../../src/lb/listen-gate.ts';
import { World } from './world.ts';

const A = '203.0.113.10';
const B = '203.0.113.11';
const TRAP = (address: string) => `snmp_trap udp default ${address}:162`;

describe('the gate', () => {
  it('lets through what nothing is expected of, and names the worker, the listener and the reason', () => {
    const gate = new ListenGate({ [A]: [TRAP(A)] });
    expect(gate.obstacle(`${B}/32`, 2)).toBeUndefined();
    expect(gate.obstacle(`${A}/32`, 2)).toContain(`worker 0 has not opened ${TRAP(A)}`);
    gate.said(0, { listens: new Set([TRAP(A)]), failed: {} });
    gate.said(1, { listens: new Set(), failed: { [TRAP(A)]: 'address already in use' } });
    expect(gate.obstacle(`${A}/32`, 2)).toMatch(/worker 1 has not opened .*: address already in use$/);
    gate.said(1, { listens: new Set([TRAP(A)]), failed: {} });
    expect(gate.obstacle(`${A}/32`, 2)).toBeUndefined();
    gate.forget(1);
    expect(gate.obstacle(`${A}/32`, 2)).toContain('worker 1');
  });
});

describe('a speaker', () => {
  const config = (addresses: string[]) => ({
    vips: [{ name: 'ingress', addresses: addresses.map((a) => `${a}/32`) }],
    bgp: { asn: 64512, peers: [{ address: '192.0.2.254', asn: 64500 }] },
  });
  const listening = (world: World, worker: number, addresses: string[]) =>
    world.speaker.listening({ kind: 'listening', worker, listens: addresses.map(TRAP), failed: {} });

  it('holds a new address back until all workers have its socket, on the same session; the old one stays', async () => {
    const world = new World(config([A]), 2, { listens: { [A]: [TRAP(A)] } });
    const router = world.router('192.0.2.254');
    await world.speaker.start();
    await world.run(5000);
    expect([...router.table.keys()]).toEqual([]);
    for (const w of [0, 1]) expect(listening(world, w, [A])).toBe(true);
    await world.run(200);
    expect([...router.table.keys()]).toEqual([`${A}/32`]);

    const expected = { [A]: [TRAP(A)], [B]: [TRAP(B)] };
    await world.speaker.reload(lbConfig.parse(config([A, B])), undefined, expected);
    listening(world, 0, [A, B]);
    await world.run(1000);
    expect([...router.table.keys()]).toEqual([`${A}/32`]);
    const held = world.speaker.status().vips.find((v) => v.address === `${B}/32`);
    expect(held).toMatchObject({ announced: false, interface: 'lo' });
    expect(held?.obstacle).toContain(`worker 1 has not opened ${TRAP(B)}`);

    listening(world, 1, [A, B]);
    await world.run(200);
    expect([...router.table.keys()].sort()).toEqual([`${A}/32`, `${B}/32`]);
    expect(world.speaker.status().vips.map((v) => v.obstacle)).toEqual([undefined, undefined]);
    expect(router.sessions).toBe(1);
    // A socket that goes takes its address along, and only that.
    listening(world, 0, [A]);
    await world.run(200);
    expect([...router.table.keys()]).toEqual([`${A}/32`]);
  });

  it('takes nothing else for word of listeners', async () => {
    const world = new World(config([A]));
    for (const m of [null, {}, { kind: 'listening' }, { kind: 'listening', worker: 0, listens: [1], failed: {} }])
      expect(world.speaker.listening(m)).toBe(false);
  });
});
