/** Which addresses are ours: never one too many is removed, and none is left behind. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { VipAddresses } from '../../src/lb/addresses.ts';
import { AdjOut, type AdjOutEffect } from '../../src/lb/bgp/machine.ts';
import { lbConfig } from '../../src/lb/config.ts';
import { deriveRouterId } from '../../src/lb/router-id.ts';
import { MemoryAddresses, MemoryStore, settle } from './world.ts';

function make(addresses: MemoryAddresses, store: MemoryStore, clock = new ManualClock()) {
  let changes = 0;
  const vips = new VipAddresses({ addresses, store, clock, log: silentLog, onChange: () => changes++ });
  return { vips, changes: () => changes };
}

const NO_COMMUNITIES = { standard: [], large: [], extended: [] };
const POLICY = { asn: 1, peerAsn: 2, med: 0, localPref: 100, prepend: 0, communities: NO_COMMUNITIES };
const VIP = '203.0.113.10/32';
const ON_LO = { prefix: VIP, interface: 'lo', scope: 'host' as const };

describe('VIP addresses', () => {
  it('records before it adds, and removes at the end', async () => {
    const kernel = new MemoryAddresses();
    const store = new MemoryStore();
    const { vips } = make(kernel, store);
    const add = kernel.add.bind(kernel);
    let recorded: unknown;
    kernel.add = async (a) => {
      recorded = store.ours;
      await add(a);
    };
    await vips.start([ON_LO]);
    expect(recorded).toEqual([{ prefix: VIP, interface: 'lo' }]);
    expect(vips.get(VIP)).toEqual({ prefix: VIP, interface: 'lo', ours: true });
    await vips.stop();
    expect(kernel.calls).toEqual([`add ${VIP} lo`, `remove ${VIP} lo`]);
    expect(store.ours).toEqual([]);
  });

  it('leaves alone what somebody else put there, whatever its length and interface', async () => {
    const kernel = new MemoryAddresses([{ prefix: '203.0.113.10/24', interface: 'net1' }]);
    const { vips } = make(kernel, new MemoryStore());
    await vips.start([ON_LO]);
    expect(vips.get(VIP)).toEqual({ prefix: VIP, interface: 'net1', ours: false });
    await vips.stop();
    expect(kernel.calls).toEqual([]);
  });

  it('takes back after a crash what is still wanted, and removes what is not', async () => {
    const left = ['203.0.113.10/32', '203.0.113.11/32'].map((prefix) => ({ prefix, interface: 'lo' }));
    const kernel = new MemoryAddresses([...left, { prefix: '203.0.113.12/32', interface: 'lo' }]);
    const store = new MemoryStore();
    store.ours = left;
    const { vips } = make(kernel, store);
    await vips.start([ON_LO]);
    expect(kernel.calls).toEqual(['remove 203.0.113.11/32 lo']);
    expect(vips.get(VIP).ours).toBe(true);
    await vips.stop();
    expect(kernel.present).toEqual([{ prefix: '203.0.113.12/32', interface: 'lo' }]);
  });

  it('says why an address cannot be bound, tries again, and puts back one that was taken away', async () => {
    const kernel = new MemoryAddresses([]);
    const store = new MemoryStore();
    const clock = new ManualClock();
    const { vips, changes } = make(kernel, store, clock);
    kernel.refuse = 'EPERM: not permitted';
    await vips.start([ON_LO]);
    expect(vips.get(VIP)).toEqual({ prefix: VIP, ours: false, error: 'EPERM: not permitted' });
    expect(store.ours).toEqual([]);
    kernel.refuse = undefined;
    clock.advance(5000);
    await settle();
    expect(vips.get(VIP).interface).toBe('lo');
    kernel.present = [];
    clock.advance(5000);
    await settle();
    expect(kernel.calls).toEqual([`add ${VIP} lo`, `add ${VIP} lo`]);
    expect(changes()).toBe(2);
  });
});

describe('Adj-RIB-Out', () => {
  it('leaves the router with what is wanted, whatever happens in which order', () => {
    const pool = ['203.0.113.1/32', '203.0.113.2/32', '2001:db8::1/128', '2001:db8::2/128'];
    const step = fc.oneof(
      fc.record({
        type: fc.constant('wanted' as const),
        prefixes: fc.subarray(pool),
        grade: fc.constantFrom('full' as const, 'degraded' as const, 'dead' as const),
      }),
      fc.record({
        type: fc.constant('established' as const),
        families: fc.subarray(['1/1', '2/1']),
        localAddress: fc.constant('10.0.0.2'),
      }),
      fc.constant({ type: 'down' as const }),
      fc.record({ type: fc.constant('route-refresh' as const), afi: fc.constantFrom(1, 2), safi: fc.constant(1) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), fc.boolean(), (steps, v6NextHop) => {
        const adj = new AdjOut({ policy: POLICY, nextHop: v6NextHop ? { ipv6: '2001:db8::9' } : {} });
        let table = new Map<string, number>();
        let wanted: { prefixes: string[]; grade: string } = { prefixes: [], grade: 'dead' };
        let families: string[] | undefined;
        for (const s of steps) {
          if (s.type === 'wanted') wanted = s;
          if (s.type === 'established') families = s.families;
          if (s.type === 'down') families = undefined;
          if (s.type === 'established' || s.type === 'down') table = new Map();
          const out: AdjOutEffect[] = [];
          adj.handle(s, out);
          for (const e of out) {
            if (e.type === 'announce') for (const p of e.prefixes) table.set(p, e.attributes.med!);
            if (e.type === 'withdraw') for (const p of e.prefixes) expect(table.delete(p)).toBe(true);
          }
          const can = (p: string) =>
            families?.includes(p.includes(':') ? '2/1' : '1/1') && (v6NextHop || !p.includes(':'));
          const expected = wanted.grade === 'dead' ? [] : wanted.prefixes.filter(can);
          expect([...table.keys()].sort()).toEqual(expected.sort());
          for (const med of table.values()) expect(med).toBe(wanted.grade === 'full' ? 0 : 1000);
        }
      }),
    );
  });
});

describe('configuration of lb', () => {
  const lb = (over: object) =>
    lbConfig.safeParse({ bgp: { asn: 1, peers: [{ address: '192.0.2.1', asn: 2, ...over }] } });

  it('has defaults for everything', () => {
    expect(lbConfig.parse({})).toMatchObject({
      interface: 'lo',
      lease: { interval: 200, timeout: 1000 },
      rise: 3000,
      drain: { linger: 1000, timeout: 30_000 },
      vips: [],
    });
    expect(lb({}).data?.bgp?.peers[0]).toMatchObject({
      port: 179,
      hold_time: 9000,
      connect_retry: 5000,
      next_hop: 'self',
    });
  });

  it.each([
    [{ hold_time: '1s' }],
    [{ hold_time: '3500ms' }],
    [{ address: 'fe80::1' }],
    [{ local_address: '2001:db8::1' }],
    [{ next_hop: ['192.0.2.2', '192.0.2.3'] }],
    [{ password: '' }],
  ])('refuses %j', (over) => expect(lb(over).success).toBe(false));

  it.each([[['203.0.113.0/24']], [['203.0.113.1/32', '203.0.113.1']], [[]]])('refuses the addresses %j', (addresses) =>
    expect(lbConfig.safeParse({ vips: [{ name: 'a', addresses }] }).success).toBe(false),
  );

  it('derives a router id that is no VIP and never 0', () => {
    expect(deriveRouterId('n', ['127.0.0.1/8', '203.0.113.10/32', '10.0.0.7/24'], [VIP])).toBe('10.0.0.7');
    const hashed = deriveRouterId('edge-1', ['2001:db8::1/64'], [VIP]);
    expect(hashed).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(deriveRouterId('edge-2', [], [])).not.toBe(hashed);
  });
});
