import { expect, it } from 'vitest';
import { ManualClock } from '../../src/core/clock.ts';
import { rfc3339 } from '../../src/core/time.ts';
import type { Draft } from '../../src/event/types.ts';
import { DeviceTable } from '../../src/inventory/inventory.ts';
import { SecurityStream } from '../../src/process/security.ts';
import { Refusals } from '../../src/telemetry/refusals.ts';
import { Registry } from '../../src/telemetry/registry.ts';
import { SecurityTally } from '../../src/telemetry/security.ts';
import { eventErrors } from '../schema.ts';

function rig() {
  const clock = new ManualClock(0, 1_700_000_000_000);
  const refusals = new Refusals(new Registry(), clock);
  const said: Draft[] = [];
  const r = { clock, refusals, said, full: false, stream: undefined as unknown as SecurityStream };
  const inventory = new DeviceTable([{ id: 'r1', name: 'R1', match: [{ address: '192.0.2.1' }] }]);
  const emit = (d: Draft): boolean => {
    if (r.full) return false;
    said.push(d);
    return true;
  };
  r.stream = new SecurityStream({ clock, tally: refusals.tally, inventory, worker: 0, emit });
  r.stream.start();
  return r;
}

function valid(d: Draft): Record<string, unknown> {
  const time = rfc3339(d.sec, d.nsec);
  const rx = { site: 's', node: 'n', worker: 0, boot: 1, class: 'system', seq: 1, at: time };
  const data = { network: d.network, device: d.device, rx, content_id: d.contentId, ...d.data };
  const event = {
    ...{ specversion: '1.0', id: 's/n/0/1/system/1', source: '/tidegate/security', type: d.type, time },
    ...{ subject: d.device.id, dataschema: `urn:tidegate:schema:${d.type}`, tidegatenode: 'n' },
    ...{ datacontenttype: 'application/json', data },
  };
  const plain = JSON.parse(JSON.stringify(event));
  expect(eventErrors(plain)).toEqual([]);
  return plain.data;
}

it('one event for each source and code and minute, of every collector; discovery is no refusal', () => {
  const r = rig();
  for (let i = 0; i < 3; i++) r.refusals.refuse('snmp_trap', 'default', '192.0.2.1', 'unknown-community');
  r.refusals.refuse('snmp_trap', 'default', '192.0.2.1', 'replay', 'user noc');
  r.refusals.refuse('bgp', 'default', '192.0.2.9', 'peer-not-configured');
  r.refusals.refuse('gnmi', 'default', 'spine-1', 'target-tls');
  r.refusals.refuse('snmp_trap', 'default', '192.0.2.1', 'engine-discovery');
  expect(r.said).toEqual([]);
  r.clock.advance(60_000);
  expect(r.said.map(valid)).toMatchObject([
    { device: { id: 'r1' }, source: { address: '192.0.2.1' }, code: 'unknown-community', count: 3 },
    { code: 'replay', count: 1, detail: 'user noc' },
    { collector: 'bgp', device: { id: 'default|192.0.2.9' }, count: 1 },
    { collector: 'gnmi', target: 'spine-1', count: 1 },
  ]);
  r.clock.advance(120_000);
  expect(r.said).toHaveLength(4);
});

it('a flood of sources makes a bounded number of events and every refusal is in one of them', () => {
  const r = rig();
  for (let i = 0; i < 20_000; i++)
    r.refusals.refuse('snmp_trap', 'default', `10.0.${i >> 8}.${i & 255}`, i % 2 ? 'wrong-digest' : 'rate-limit');
  r.stream.stop();
  expect(r.said).toHaveLength(502);
  const rows = r.said.map(valid);
  expect(rows.reduce((n, d) => n + (d.count as number), 0)).toBe(20_000);
  expect(rows.filter((d) => d.others === true).map((d) => d.code)).toEqual(['rate-limit', 'wrong-digest']);
});

it('what a full spool does not take is said a minute later', () => {
  const r = rig();
  r.full = true;
  r.refusals.refuse('snmp_trap', 'default', '192.0.2.1', 'unknown-community');
  r.clock.advance(60_000);
  r.full = false;
  r.refusals.refuse('snmp_trap', 'default', '192.0.2.1', 'unknown-community');
  r.clock.advance(60_000);
  expect(r.said.map(valid)).toMatchObject([{ count: 2 }]);
});

it('a tally counts to one whatever its limit', () => {
  const t = new SecurityTally(2);
  for (let i = 0; i < 30; i++)
    t.add({ network: 'n', collector: 'snmp_trap', source: `s${i % 5}`, code: 'tag', detail: undefined }, i);
  const rows = t.take();
  expect(rows.map((x) => [x.source, x.count])).toEqual([
    ['s0', 6],
    ['s1', 6],
    [undefined, 18],
  ]);
  expect(t.take()).toEqual([]);
});
