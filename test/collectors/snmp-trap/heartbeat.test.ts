import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  HEARTBEAT_OIDS,
  HEARTBEAT_TRAP,
  Heartbeats,
  heartbeatOf,
} from '../../../src/collectors/snmp-trap/heartbeat.ts';
import { formatHeartbeats, HeartbeatAudit } from '../../../src/export/heartbeats.ts';

const beat = (sequence: number, run = 1_790_000_000, sender = 'probe') => ({ sender, run, sequence });

/** An event as it stands in the topic. */
function event(sequence: number, node: string, seq: number, run = 1_790_000_000): Buffer {
  return Buffer.from(
    JSON.stringify({
      network: 'default',
      device: { id: 'r1' },
      rx: { site: 's', node, worker: 0, boot: 1, class: 'alarm', seq },
      trap_oid: HEARTBEAT_TRAP,
      varbinds: [
        { oid: HEARTBEAT_OIDS.sender, type: 'octet-string', value: 'probe' },
        { oid: HEARTBEAT_OIDS.run, type: 'gauge32', value: run },
        { oid: HEARTBEAT_OIDS.sequence, type: 'gauge32', value: sequence },
      ],
    }),
  );
}

describe('heartbeats', () => {
  it('are read from the varbinds; without a number they are none', () => {
    const all = [
      { oid: HEARTBEAT_OIDS.sender, value: 'probe-1' },
      { oid: HEARTBEAT_OIDS.run, value: 7 },
      { oid: HEARTBEAT_OIDS.sequence, value: 3 },
    ];
    expect(heartbeatOf(all)).toEqual({ sender: 'probe-1', run: 7, sequence: 3 });
    expect(heartbeatOf(all.slice(2))).toEqual({ sender: '', run: 0, sequence: 3 });
    expect(heartbeatOf(all.slice(0, 2))).toBeUndefined();
    expect(heartbeatOf([{ oid: HEARTBEAT_OIDS.sequence, value: 'x' }])).toBeUndefined();
    expect(heartbeatOf([{ oid: HEARTBEAT_OIDS.sequence, value: 0 }])).toBeUndefined();
  });

  it('a node counts different numbers, in any order, inside the window', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 400 }), (numbers) => {
        const h = new Heartbeats();
        for (const n of numbers) h.take('r1', beat(n));
        const different = new Set(numbers).size;
        expect(h.list()).toEqual([
          {
            device: 'r1',
            ...{ sender: 'probe', run: 1_790_000_000 },
            received: different,
            highest: Math.max(...numbers),
            duplicates: numbers.length - different,
          },
        ]);
      }),
    );
  });

  it('a new run begins anew, an older one is passed over; a leap further than the window is no trouble', () => {
    const h = new Heartbeats();
    for (const n of [1, 2, 5000, 3, 5001, 5000]) h.take('r1', beat(n));
    expect(h.list()[0]).toMatchObject({ received: 4, highest: 5001, duplicates: 2 });
    h.take('r1', beat(1, 1_790_000_100));
    expect(h.take('r1', beat(9))).toBeUndefined();
    expect(h.list()).toEqual([
      { device: 'r1', sender: 'probe', run: 1_790_000_100, received: 1, highest: 1, duplicates: 0 },
    ]);
  });

  it('senders that are followed are bounded', () => {
    const h = new Heartbeats();
    for (let i = 0; i < 1500; i++) h.take(`r${i}`, beat(1));
    expect(h.list()).toHaveLength(1000);
  });

  it('the audit says exactly what is missing, over all nodes, whatever the order and whatever was published twice', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.nat(10), { minLength: 200, maxLength: 200 }),
        fc.array(fc.nat(), { maxLength: 200 }),
        (sent, fate, order) => {
          const audit = new HeartbeatAudit();
          const arrived: Buffer[] = [];
          const kept: number[] = [];
          for (let n = 1; n <= sent; n++) {
            // 0: lost; 1: published twice with one id; else taken by one of three nodes.
            if (fate[n - 1] === 0) continue;
            kept.push(n);
            const e = event(n, `edge-${fate[n - 1] % 3}`, n);
            arrived.push(e);
            if (fate[n - 1] === 1) arrived.push(e);
          }
          for (const [i, to] of order.entries()) {
            if (arrived.length < 2) break;
            const [a, b] = [i % arrived.length, to % arrived.length];
            [arrived[a], arrived[b]] = [arrived[b], arrived[a]];
          }
          for (const e of arrived) audit.add('snmp.trap.v1', e);
          audit.add('system.v1', event(999, 'edge-1', 1));
          audit.add('snmp.trap.v1', Buffer.from('{"trap_oid":"1.3.6.1.4.1.32473.1.0.1"'));
          const [report, ...more] = audit.report();
          expect(more).toEqual([]);
          if (kept.length === 0) {
            expect(report).toBeUndefined();
            return;
          }
          const highest = kept.at(-1)!;
          expect(report).toMatchObject({
            highest,
            received: kept.length,
            missing: highest - kept.length,
            duplicates: 0,
          });
          const missing = report.ranges.flatMap(([a, b]) => Array.from({ length: b - a + 1 }, (_, i) => a + i));
          expect(missing).toEqual(Array.from({ length: highest }, (_, i) => i + 1).filter((n) => !kept.includes(n)));
          expect(Object.values(report.nodes).reduce((a, b) => a + b, 0)).toBe(kept.length);
        },
      ),
    );
  });

  it('is told to people', () => {
    const audit = new HeartbeatAudit();
    for (const n of [1, 2, 5]) audit.add('snmp.trap.v1', event(n, 'edge-1', n));
    expect(formatHeartbeats(audit.report())).toBe(
      'r1 probe, counting since 1790000000: 1-5, 3 received (edge-1 3), 0 twice, MISSING 2: 3-4',
    );
    expect(formatHeartbeats([])).toMatch(/no heartbeats/);
  });
});
