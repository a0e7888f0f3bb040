import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventRecord } from '../../src/event/record.ts';
import { EVENT_TYPES, type EventType } from '../../src/event/types.ts';
import { StdoutExporter } from '../../src/export/stdout/exporter.ts';
import { formatJson, formatReadable } from '../../src/export/stdout/format.ts';
import { memoryShard } from './memory-log.ts';

function record(type: EventType, data: unknown, subject = 'r1'): EventRecord {
  return { type, flags: 0, subject, key: Buffer.from(subject), id: 'id', value: Buffer.from(JSON.stringify(data)) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('lines for people', () => {
  it('a trap', () => {
    const r = record('snmp.trap.v1', {
      device: { id: 'r1', name: 'core-1' },
      version: 'v2c',
      pdu: 'trap',
      source: { address: '192.0.2.7', port: 5000 },
      trap_oid: '1.3.6.1.6.3.1.1.5.3',
      trap_name: 'linkDown',
      alarm: { perceived_severity: 'major', managed_object: 'interface=3' },
      varbinds: [
        { oid: '1.3.6.1.2.1.2.2.1.1.3', name: 'ifIndex.3', type: 'integer32', value: 3 },
        { oid: '1.3.6.1.2.1.2.2.1.8.3', type: 'integer32', value: 2, text: 'down' },
      ],
    });
    expect(formatReadable(r, 1_700_000_000, 123_000_000)).toBe(
      '22:13:20.123 snmp.trap    core-1           linkDown (v2c trap from 192.0.2.7) [major interface=3] ifIndex.3=3 1.3.6.1.2.1.2.2.1.8.3=down',
    );
  });

  it('a BGP update', () => {
    const r = record('bmp.update.v1', {
      device: { id: 'r1', name: 'core-1' },
      peer: { address: '198.51.100.1', asn: 65001 },
      announce: [1, 2, 3, 4, 5].map((i) => ({ family: 'ipv4-unicast', prefix: `10.0.${i}.0/24` })),
      withdraw: [{ family: 'ipv4-unicast', prefix: '10.9.0.0/16' }],
      attributes: { next_hop: '198.51.100.1', as_path: [65001, [65002, 65003]] },
    });
    expect(formatReadable(r, 1_700_000_000, 0)).toContain(
      'peer 198.51.100.1 AS65001 +10.0.1.0/24 +10.0.2.0/24 +10.0.3.0/24 +10.0.4.0/24 +1 more -10.9.0.0/16 via 198.51.100.1 path 65001 65002 65003',
    );
  });

  it('never steers a terminal and never throws, whatever the event holds', () => {
    const types = EVENT_TYPES.map((t) => t.type);
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.string({ unit: 'binary' }), fc.jsonValue(), (type, evil, any) => {
        const data = {
          device: { name: `\u001b[2J${evil}` },
          trap_name: evil,
          varbinds: any,
          peer: any,
          updates: any,
          announce: any,
          x: evil,
        };
        const line = formatReadable(record(type, data), 1_700_000_000, 0);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
        expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/);
        for (const odd of [any, null, 'text', 7, []]) formatReadable({ ...record(type, odd) }, 0, 0);
      }),
    );
    expect(formatReadable({ ...record('snmp.trap.v1', {}), value: Buffer.from('{') }, 0, 0)).toContain('snmp.trap');
  });

  it('JSON is the structured CloudEvent', () => {
    const parsed = JSON.parse(formatJson(record('snmp.trap.v1', { a: 1 }), 1_700_000_000, 5, 'edge-1'));
    expect(parsed).toMatchObject({
      specversion: '1.0',
      id: 'id',
      type: 'snmp.trap.v1',
      tidegatenode: 'edge-1',
      data: { a: 1 },
    });
  });
});

describe('stdout exporter', () => {
  function setUp(maxLagBytes?: number) {
    const written: string[] = [];
    const x = new StdoutExporter({
      name: 'stdout',
      node: 'n',
      readable: false,
      write: (t) => written.push(t),
      maxLagBytes,
    });
    const shard = memoryShard();
    return { x, shard, written, log: shard.logs.alarm };
  }

  it('shows what comes after it was opened, one piece at a time', async () => {
    const { x, shard, written, log } = setUp();
    log.append('snmp.trap.v1', 'k', 'before', '{}');
    const s = x.open(shard);
    s.durable('alarm', log.end, 1);
    await turn();
    expect(written).toEqual([]);
    log.append('snmp.trap.v1', 'k', 'one', '{}');
    s.durable('alarm', log.end, 2);
    await turn();
    log.append('snmp.trap.v1', 'k', 'two', '{}');
    s.durable('alarm', log.end, 3);
    await turn();
    expect(written).toHaveLength(1);
    x.written();
    await turn();
    const ids = written
      .join('')
      .trimEnd()
      .split('\n')
      .map((l) => JSON.parse(l).id);
    expect(ids).toEqual(['one', 'two']);
    expect(x.progress()).toMatchObject({ acked: 2, skipped: 0, durable: false });
  });

  it('skips ahead where nobody reads, and counts', async () => {
    const { x, shard, written, log } = setUp(2000);
    const s = x.open(shard);
    // The memory log has no bytes in its lag: its records stand for them here.
    const slow = (
      x as unknown as { follower: { sources: Map<string, { source: { lag(): unknown } }> } }
    ).follower.sources.get('alarm')!.source;
    const lag = slow.lag.bind(slow);
    slow.lag = () => ({ ...(lag() as object), bytes: 100_000 });
    for (let i = 0; i < 100; i++) log.append('snmp.trap.v1', 'k', `id${i}`, '{}');
    s.durable('alarm', log.end, 100);
    await turn();
    expect(written).toEqual([]);
    expect(x.progress()).toMatchObject({ acked: 0, skipped: 100 });
    log.append('snmp.trap.v1', 'k', 'late', '{}');
    s.durable('alarm', log.end, 101);
    await turn();
    expect(JSON.parse(written[0]).id).toBe('late');
  });
});
