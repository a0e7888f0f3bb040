import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EVENT_TYPES } from '../src/event/types.ts';
import { eventErrors, SCHEMA_TYPES, validateEvent, validateRecord } from './schema.ts';

const TIME = '2026-01-02T03:04:05.678Z';

function event(type: string, fields: object) {
  const collector = EVENT_TYPES.find((t) => t.type === type)!.collector;
  const device = { id: 'default|192.0.2.7', name: '192.0.2.7' };
  const rx = { site: 'dc1', node: 'edge-1', worker: 0, boot: 1_767_323_045_678_000, class: 'system', seq: 3, at: TIME };
  return {
    ...{ specversion: '1.0', id: 'dc1/edge-1/0/1/system/3', source: `/tidegate/${collector}`, type },
    ...{ time: TIME, subject: device.id, tidegatenode: 'edge-1' },
    data: { network: 'default', device, rx, content_id: '0123456789abcdef0123456789abcdef', ...fields },
  };
}

const manifest = {
  kind: 'manifest',
  worker: 0,
  boot: 1,
  class: 'alarm',
  first: 0,
  last: 9,
  count: 10,
  hash: `sha256:${'0123456789abcdef'.repeat(4)}`,
};

describe('event schemas', () => {
  it('docs/events.md has a row for every type', () => {
    const page = readFileSync(new URL('../docs/events.md', import.meta.url), 'utf8');
    const first = page.split('\n').flatMap((l) => (l.startsWith('| `') ? [l.split('|')[1]] : []));
    const named = first.flatMap((cell) => [...cell.matchAll(/`([a-z.]+\.v1)`/g)].map((m) => m[1]));
    expect(named.sort()).toEqual(EVENT_TYPES.map((t) => t.type).sort());
  });

  it('there is one for every type', () => {
    expect([...SCHEMA_TYPES].sort()).toEqual(EVENT_TYPES.map((t) => t.type).sort());
  });

  it.each([
    ['system.v1', manifest],
    ['system.v1', { kind: 'grade', from: 'full', to: 'degraded', reason: 'export lag' }],
    ['system.v1', { kind: 'drop', reason: 'kernel', count: 5, collector: 'snmp_trap', from: TIME, to: TIME }],
    ['system.v1', { kind: 'gap', reason: 'damaged', count: 2, worker: 0, boot: 1, class: 'alarm', from: 3, to: 4 }],
    ['system.v1', { kind: 'vip', vip: 'ingress', from: 'announced', to: 'withdrawn', reason: 'drain' }],
    ['system.v1', { kind: 'session', protocol: 'bgp', peer: '192.0.2.254', to: 'established' }],
    [
      'security.v1',
      {
        collector: 'snmp_trap',
        source: { address: '192.0.2.7' },
        code: 'unknown-community',
        count: 1,
        first: TIME,
        last: TIME,
      },
    ],
    ['audit.v1', { action: 'lb.drain', who: 'root', result: 'accepted' }],
    [
      'dlq.v1',
      { topic: 'tidegate.snmp.trap.v1', key: 'default|192.0.2.7', error: 'too large', size: 2_000_000, offset: 64 },
    ],
  ])('%s accepts %o', (type, fields) => {
    expect(eventErrors(event(type, fields))).toEqual([]);
  });

  it.each([
    ['an unknown field', event('audit.v1', { action: 'lb.drain', who: 'root', result: 'accepted', more: 1 })],
    ['a null', event('audit.v1', { action: 'lb.drain', who: null, result: 'accepted' })],
    ['a kind without its fields', event('system.v1', { ...manifest, hash: undefined })],
    ['a field of another kind', event('system.v1', { ...manifest, vip: 'ingress' })],
    ['an event without rx', event('audit.v1', { action: 'lb.drain', who: 'root', result: 'accepted', rx: undefined })],
    ['an envelope without id', { ...event('system.v1', manifest), id: undefined }],
    ['an unknown type', { ...event('system.v1', manifest), type: 'system.v2' }],
    ['a foreign subject', { ...event('system.v1', manifest), subject: 'someone' }],
    ['a foreign source', { ...event('system.v1', manifest), source: '/tidegate/bmp' }],
  ])('refuses %s', (_, wrong) => {
    expect(() => validateEvent(JSON.parse(JSON.stringify(wrong)) as object)).toThrow();
  });

  it('puts a Kafka record back together', () => {
    const { data, ...head } = event('system.v1', manifest);
    const headers = Object.fromEntries(Object.entries(head).map(([k, v]) => [`ce_${k}`, v]));
    expect(validateRecord({ ...headers, 'content-type': 'application/json' }, JSON.stringify(data)).id).toBe(head.id);
    expect(() => validateRecord({ ...headers, ce_type: 'bmp.peer.v1' }, JSON.stringify(data))).toThrow();
  });
});
