import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeEnvelope, decodePdu } from '../../../src/codec/snmp/decode.ts';
import { buildTrap, type TrapInput } from '../../../src/codec/snmp/describe.ts';
import type { VarBindInput } from '../../../src/codec/snmp/encode.ts';
import { SnmpTrapCollector } from '../../../src/collectors/snmp-trap/collector.ts';
import { type AckMode, snmpTrapConfig } from '../../../src/collectors/snmp-trap/config.ts';
import { ManualClock } from '../../../src/core/clock.ts';
import { silentLog } from '../../../src/core/log.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import { rfc3339 } from '../../../src/core/time.ts';
import type { Draft, Receipt } from '../../../src/event/types.ts';
import { DeviceTable } from '../../../src/inventory/inventory.ts';
import { MemoryUdpSocket, type SentDatagram } from '../../../src/net/memory.ts';
import { Refusals } from '../../../src/telemetry/refusals.ts';
import { Registry } from '../../../src/telemetry/registry.ts';
import { type Credentials, NOTIFICATION, v3 } from '../../protocol/usm/sender.ts';
import { validateEvent } from '../../schema.ts';
import { taken } from './taken.ts';

interface Emitted {
  draft: Draft;
  receipt: Receipt | undefined;
}

/** The collector between a twin of the socket and a pipeline that keeps what it is given. */
function rig(config: object, o: { durable?: boolean; ack?: AckMode; countedDrops?: number } = {}) {
  const clock = new ManualClock();
  const metrics = new Registry();
  const refusals = new Refusals(metrics, clock);
  const socket = new MemoryUdpSocket('192.0.2.10', 162);
  const inventory = new DeviceTable([
    { id: 'r1', name: 'Router 1', site: 'x', match: [{ network: 'mgmt', address: '198.51.100.1' }] },
  ]);
  const emitted: Emitted[] = [];
  const rig = {
    clock,
    socket,
    inventory,
    emitted,
    full: false,
    collector: undefined as unknown as SnmpTrapCollector,
    count: (name: string, labels: string): number =>
      metrics.snapshot().find((s) => s[0] === name && s[1] === labels)?.[2] ?? 0,
    refused: (): [string, string, number][] => refusals.list().map((r) => [r.source, r.code, r.count]),
    from: (source: string, data: Uint8Array, sourcePort = 40_000, destination?: string): void =>
      socket.inject({ data, source, sourcePort, destination, sec: 1_700_000_000, nsec: 5 }),
    event: (at: number) => structured(emitted[at].draft),
    reconfigure: (c: object): void => rig.collector.reconfigure(snmpTrapConfig.parse(c)),
  };
  rig.collector = new SnmpTrapCollector(
    snmpTrapConfig.parse(config),
    [
      {
        spec: { network: 'mgmt', address: '192.0.2.10', port: 162 },
        socket,
        ack: o.ack,
        countedDrops: o.countedDrops,
      },
    ],
    {
      clock,
      log: silentLog,
      metrics,
      refusals,
      inventory,
      worker: 0,
      workers: 1,
      pipeline: {
        emit: (draft, receipt) => {
          if (rig.full) return false;
          emitted.push({ draft: taken(draft), receipt });
          return true;
        },
        batchDone: () => true,
        accepts: () => true,
        paused: false,
        onResume() {},
        hasDurableExporter: o.durable ?? false,
      },
    },
  );
  rig.collector.start();
  return rig;
}

/** As the pipeline would write it; held against the schema. */
function structured(d: Draft): { id: string; data: Record<string, unknown> } {
  const rx = { site: 's', node: 'n', worker: 0, boot: 1, class: d.type === 'system.v1' ? 'system' : 'alarm', seq: 1 };
  const time = rfc3339(d.sec, d.nsec);
  const event = {
    specversion: '1.0',
    id: d.id ?? 's/n/0/1/alarm/1',
    source: d.type === 'system.v1' ? '/tidegate/system' : '/tidegate/snmp_trap',
    type: d.type,
    time,
    subject: d.device.id,
    dataschema: `urn:tidegate:schema:${d.type}`,
    tidegatenode: 'n',
    datacontenttype: 'application/json',
    data: { network: d.network, device: d.device, rx: { ...rx, at: time }, content_id: d.contentId, ...d.data },
  };
  return validateEvent(JSON.parse(JSON.stringify(event))) as unknown as { id: string; data: Record<string, unknown> };
}

const { vectors } = JSON.parse(readFileSync(new URL('../../codec/snmp/vectors.json', import.meta.url), 'utf8')) as {
  vectors: { name: string; hex: string }[];
};
const vector = (name: string): Buffer => Buffer.from(vectors.find((v) => v.name === name)!.hex, 'hex');
const linkDown = vector('v2c linkDown with five varbinds');
const inform = vector('v2c inform linkUp');
const PUBLIC = { communities: [{ name: 'public' }] };

const message = (more: Partial<TrapInput> = {}): Buffer =>
  buildTrap({ version: 'v2c', community: 'public', trapOid: '1.3.6.1.6.3.1.1.5.1', uptime: 1, varbinds: [], ...more });

describe('a trap becomes an event', () => {
  it('v2c', () => {
    const r = rig(PUBLIC);
    r.from('198.51.100.1', linkDown);
    expect(r.emitted).toHaveLength(1);
    const { data } = r.event(0);
    expect(data).toEqual({
      network: 'mgmt',
      address_from: 'source',
      device: { id: 'r1', name: 'Router 1', site: 'x' },
      rx: expect.anything(),
      content_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      version: 'v2c',
      pdu: 'trap',
      source: { address: '198.51.100.1', port: 40_000 },
      security: { level: 'noAuthNoPriv' },
      trap_oid: '1.3.6.1.6.3.1.1.5.3',
      trap_name: 'IF-MIB::linkDown',
      uptime_ticks: 123456,
      varbinds: [
        { oid: '1.3.6.1.2.1.2.2.1.1.3', name: 'IF-MIB::ifIndex.3', type: 'integer32', value: 3 },
        { oid: '1.3.6.1.2.1.2.2.1.2.3', name: 'IF-MIB::ifDescr.3', type: 'octet-string', value: 'GigabitEthernet0/3' },
        { oid: '1.3.6.1.2.1.2.2.1.7.3', name: 'IF-MIB::ifAdminStatus.3', type: 'integer32', value: 1, text: 'up' },
        { oid: '1.3.6.1.2.1.2.2.1.8.3', name: 'IF-MIB::ifOperStatus.3', type: 'integer32', value: 2, text: 'down' },
      ],
    });
    expect(r.emitted[0].draft).toMatchObject({ shed: 'trap', sec: 1_700_000_000, nsec: 5 });
    expect(r.emitted[0].draft.id).toBeUndefined();
    expect(r.count('tidegate_received_total', 'collector="snmp_trap"')).toBe(1);
  });

  it('v1, from a device the inventory does not know, over IPv6', () => {
    const r = rig(PUBLIC);
    r.from('2001:db8::7', vector('v1 enterprise specific'));
    expect(r.event(0).data).toMatchObject({
      device: { id: 'mgmt|2001:db8::7', name: '2001:db8::7' },
      version: 'v1',
      trap_oid: '1.3.6.1.4.1.9.9.41.2.0.17',
      enterprise_oid: '1.3.6.1.4.1.9.9.41.2',
      agent_address: '198.51.100.7',
      uptime_ticks: 99,
      varbinds: [{ type: 'octet-string', value: 'hello' }],
    });
    r.from('2001:db8::7', vector('v1 agent-addr 0.0.0.0'));
    expect(r.event(1).data).not.toHaveProperty('agent_address');
  });

  it('every vector that is accepted has a valid event', () => {
    const r = rig({ communities: [{ name: 'public' }, { name: 's3cret-community' }] });
    for (const v of vectors) r.from('192.0.2.1', Buffer.from(v.hex, 'hex'));
    expect(r.emitted).toHaveLength(vectors.length - 1);
    for (let i = 0; i < r.emitted.length; i++) expect(JSON.stringify(r.event(i))).not.toContain('s3cret');
    expect(r.refused()).toEqual([['192.0.2.1', 'unknown-user', 1]]);
  });

  it('a change of the inventory is seen by the next trap', () => {
    const r = rig(PUBLIC);
    r.from('198.51.100.1', linkDown);
    r.inventory.replace([{ id: 'r2', name: 'R2', match: [{ network: 'mgmt', address: '198.51.100.1' }] }]);
    r.from('198.51.100.1', linkDown);
    expect(r.emitted.map((e) => e.draft.device.id)).toEqual(['r1', 'r2']);
  });
});

describe('content id', () => {
  const id = (data: Uint8Array, source = '198.51.100.1', port = 40_000): string => {
    const r = rig({ communities: [{ name: 'public' }, { name: 'other' }] });
    r.from(source, data, port);
    return r.emitted[0].draft.contentId;
  };

  it('does not depend on request-id, port or community', () => {
    const base = id(message());
    expect(id(message({ requestId: 2 }), '198.51.100.1', 50_000)).toBe(base);
    expect(id(message({ community: 'other' }))).toBe(base);
  });

  it('depends on what was said and by whom', () => {
    const secret = { oid: '1.3.6.1.6.3.18.1.4.0', type: 'octet-string', value: 'x' } as const;
    const all = [
      id(message()),
      id(message(), '198.51.100.2'),
      id(message({ uptime: 2 })),
      id(message({ trapOid: '1.3.6.1.6.3.1.1.5.2' })),
      id(message({ varbinds: [{ oid: '1.3.6', type: 'integer32', value: 1 }] })),
      id(message({ varbinds: [{ oid: '1.3.6', type: 'integer32', value: 2 }] })),
    ];
    expect(new Set(all).size).toBe(all.length);
    // A community among the varbinds is not said to anybody.
    expect(id(message({ varbinds: [secret] }))).toBe(all[0]);
  });
});

describe('refusals', () => {
  const reasons = (config: object, source: string, data: Uint8Array): [string, number] => {
    const r = rig(config);
    r.from(source, data);
    const [refusal] = r.refused();
    expect(r.refused()).toHaveLength(1);
    expect(refusal[0]).toBe(source);
    expect(r.socket.sent).toHaveLength(0);
    return [refusal[1], r.emitted.length];
  };
  const prefixes = { communities: [{ name: 'public', from: ['10.0.0.0/8', '2001:db8:1::/48'] }] };

  it.each([
    ['no-access-configured', {}, '192.0.2.1', linkDown],
    ['unknown-community', PUBLIC, '192.0.2.1', message({ community: 'publiC' })],
    ['unknown-community', PUBLIC, '192.0.2.1', message({ community: '' })],
    ['source-not-allowed', prefixes, '11.0.0.1', linkDown],
    ['source-not-allowed', prefixes, '2001:db8:2::1', linkDown],
    ['version', PUBLIC, '192.0.2.1', Buffer.from('3003020107', 'hex')],
    ['unknown-user', PUBLIC, '192.0.2.1', vector('v3 noAuthNoPriv')],
    ['no-access-configured', {}, '192.0.2.1', vector('v3 noAuthNoPriv')],
    ['unknown-community', { users: [{ name: 'noc' }] }, '192.0.2.1', linkDown],
    ['truncated', PUBLIC, '192.0.2.1', linkDown.subarray(0, 50)],
    ['truncated', PUBLIC, '192.0.2.1', Buffer.alloc(0)],
    ['trailing', PUBLIC, '192.0.2.1', Buffer.concat([linkDown, Buffer.of(0)])],
    ['tag', PUBLIC, '192.0.2.1', Buffer.from('GET / HTTP/1.1\r\n')],
  ] as const)('%s', (code, config, source, data) => {
    expect(reasons(config, source, data)).toEqual([code, 0]);
  });

  it('what is no notification of its version', () => {
    const retag = (buf: Buffer, version: number, tag: number): Buffer => {
      const e = decodeEnvelope(buf);
      if (isDecodeError(e)) throw new Error(e.code);
      const out = Buffer.from(buf);
      out[e.pduOffset] = tag;
      out[e.pduOffset - e.community.length - 3] = version;
      return out;
    };
    const plain = message();
    expect(reasons(PUBLIC, '192.0.2.1', retag(plain, 1, 0xa0))[0]).toBe('pdu-type');
    expect(reasons(PUBLIC, '192.0.2.1', retag(plain, 1, 0xa2))[0]).toBe('pdu-type');
    expect(reasons(PUBLIC, '192.0.2.1', retag(plain, 0, 0xa6))[0]).toBe('pdu-type');
    expect(reasons(PUBLIC, '192.0.2.1', retag(plain, 0, 0xa7))[0]).toBe('pdu-type');
    expect(reasons(PUBLIC, '192.0.2.1', retag(vector('v1 generic linkDown'), 1, 0xa4))[0]).toBe('pdu-type');
  });

  it('prefixes let in what lies in them, of both families; a change of the configuration counts at once', () => {
    const r = rig(prefixes);
    for (const source of ['10.255.0.1', '2001:db8:1:ffff::1']) r.from(source, linkDown);
    expect(r.emitted).toHaveLength(2);
    r.reconfigure({ communities: [{ name: 'public', from: ['192.0.2.0/24'] }] });
    r.from('10.255.0.1', linkDown);
    r.from('192.0.2.1', linkDown);
    expect(r.emitted.map((e) => e.draft.device.id).slice(2)).toEqual(['mgmt|192.0.2.1']);
    expect(r.refused()).toEqual([['10.255.0.1', 'source-not-allowed', 1]]);
  });
});

describe('informs', () => {
  const answers = (sent: SentDatagram[]) =>
    sent.map((s) => {
      const e = decodeEnvelope(s.data);
      if (isDecodeError(e)) throw new Error(e.code);
      const p = decodePdu(s.data, e);
      if (isDecodeError(p)) throw new Error(p.code);
      return [p.pdu, e.community.toString(), s.address, s.port, s.localAddress];
    });

  it('is answered when it is spooled, to where it came from, from where it was sent to', () => {
    const r = rig(PUBLIC);
    r.from('198.51.100.1', inform, 40_001, '203.0.113.9');
    expect(r.emitted[0].draft.shed).toBe('inform');
    expect(r.event(0)).toMatchObject({ data: { pdu: 'inform', trap_name: 'IF-MIB::linkUp' } });
    expect(r.event(0).id).toMatch(/^[0-9a-f]{32}$/);
    expect(r.socket.sent).toHaveLength(0);
    expect(r.collector.status().informs_in_flight).toBe(1);
    r.emitted[0].receipt!.spooled!();
    expect(answers(r.socket.sent)).toEqual([['response', 'public', '198.51.100.1', 40_001, '203.0.113.9']]);
    expect(r.collector.status().informs_in_flight).toBe(0);
    expect(r.count('tidegate_inform_ack_seconds_count', 'listener="192.0.2.10:162",stage="spooled"')).toBe(1);
  });

  it('auto: Kafka first, the spool when the budget is over', () => {
    const r = rig(PUBLIC, { durable: true });
    r.from('198.51.100.1', inform);
    r.from('198.51.100.1', message({ inform: true, requestId: 9 }));
    for (const e of r.emitted) e.receipt!.spooled!();
    expect(r.socket.sent).toHaveLength(0);
    r.emitted[1].receipt!.exported!();
    expect(r.socket.sent).toHaveLength(1);
    r.clock.advance(199);
    expect(r.socket.sent).toHaveLength(1);
    r.clock.advance(1);
    expect(r.socket.sent).toHaveLength(2);
    r.emitted[0].receipt!.exported?.();
    expect(r.socket.sent).toHaveLength(2);
  });

  it('export never falls back; a listener may ask for it alone', () => {
    const r = rig(PUBLIC, { durable: true, ack: 'export' });
    r.from('198.51.100.1', inform);
    r.emitted[0].receipt!.spooled!();
    r.clock.advance(30_000);
    expect(r.socket.sent).toHaveLength(0);
    r.emitted[0].receipt!.exported!();
    expect(r.socket.sent).toHaveLength(1);
  });

  it('a retry is no event: it waits with the first, or is answered again', () => {
    const r = rig(PUBLIC);
    r.from('198.51.100.1', inform);
    r.from('198.51.100.1', inform);
    expect(r.socket.sent).toHaveLength(0);
    r.emitted[0].receipt!.spooled!();
    r.from('198.51.100.1', inform, 40_000, '203.0.113.9');
    expect(answers(r.socket.sent)).toHaveLength(2);
    expect(r.socket.sent[1]).toMatchObject({ data: r.socket.sent[0].data, localAddress: '203.0.113.9' });
    expect(r.emitted).toHaveLength(1);
    expect(r.count('tidegate_repeated_total', 'collector="snmp_trap"')).toBe(2);
    r.clock.advance(60_000);
    r.from('198.51.100.1', inform);
    expect(r.emitted.map((e) => e.draft.id)).toEqual([r.emitted[0].draft.id, r.emitted[0].draft.id]);
  });

  it('the id is the same wherever it arrives, whatever the community, and differs by source, port and request', () => {
    const id = (data: Uint8Array, source = '198.51.100.1', port = 1, destination = '203.0.113.9'): string => {
      const r = rig({ communities: [{ name: 'public' }, { name: 'other' }] });
      r.from(source, data, port, destination);
      return r.emitted[0].draft.id!;
    };
    const m = (more: Partial<TrapInput>): Buffer => message({ inform: true, ...more });
    const secret = (value: string): TrapInput['varbinds'] => [
      { oid: '1.3.6.1.6.3.18.1.4.0', type: 'octet-string', value },
      { oid: '1.3.6', type: 'integer32', value: 1 },
    ];
    expect(id(m({ community: 'other' }), '198.51.100.1', 1, '203.0.113.10')).toBe(id(m({})));
    expect(id(m({ varbinds: secret('aa') }))).toBe(id(m({ varbinds: secret('bb') })));
    const others = [id(m({})), id(m({ requestId: 2 })), id(m({}), '198.51.100.2'), id(m({}), '198.51.100.1', 2)];
    expect(new Set(others).size).toBe(4);
  });

  it('beyond its bounds an inform is refused and goes unanswered; one that was shed too, and its retry is tried again', () => {
    const r = rig({ ...PUBLIC, informs_in_flight: { count: 1 } });
    r.full = true;
    r.from('198.51.100.1', inform);
    expect(r.collector.status().informs_in_flight).toBe(0);
    r.full = false;
    r.from('198.51.100.1', inform);
    r.from('198.51.100.1', message({ inform: true }));
    expect(r.emitted).toHaveLength(1);
    expect(r.refused()).toEqual([['198.51.100.1', 'too-many-informs', 1]]);
    expect(r.socket.sent).toHaveLength(0);
  });
});

describe('what the kernel dropped', () => {
  it('is counted exactly and said in an event, at most once a second', () => {
    const r = rig(PUBLIC, { countedDrops: 100 });
    r.socket.kernelDrops = 107;
    r.clock.advance(1000);
    r.clock.advance(1000);
    r.socket.kernelDrops = 110;
    r.clock.advance(1000);
    const drops = r.emitted.map((_, i) => r.event(i).data);
    expect(drops).toMatchObject([
      { kind: 'drop', reason: 'kernel', count: 7, collector: 'snmp_trap', listener: '192.0.2.10:162' },
      { kind: 'drop', reason: 'kernel', count: 3 },
    ]);
    expect(r.count('tidegate_lost_events_total', 'collector="snmp_trap",reason="kernel"')).toBe(10);
    expect(r.collector.health().soft).toEqual(['kernel-drops']);
    r.clock.advance(5000);
    expect(r.collector.health().soft).toEqual([]);
  });

  it('and what it refused to send', () => {
    const r = rig(PUBLIC);
    r.collector.start();
    r.socket.sendErrors = 3;
    r.clock.advance(1000);
    r.socket.sendErrors = 4;
    r.clock.advance(1000);
    expect(r.count('tidegate_unsent_total', 'collector="snmp_trap"')).toBe(4);
    expect(r.collector.status().listeners).toMatchObject([{ unsent: 4 }]);
  });

  it('at stop, what was not said yet is', async () => {
    const r = rig(PUBLIC);
    r.socket.kernelDrops = 2;
    await r.collector.stop();
    expect(r.event(0).data).toMatchObject({ kind: 'drop', count: 2 });
    expect(r.socket.closed).toBe(true);
  });
});

describe('stop', () => {
  it('waits for the informs in flight, answers them, then closes', async () => {
    const r = rig(PUBLIC);
    r.from('198.51.100.1', inform);
    const stopped = r.collector.stop();
    expect(r.socket.closed).toBe(false);
    r.emitted[0].receipt!.spooled!();
    await stopped;
    expect(r.socket.sent).toHaveLength(1);
    expect(r.socket.closed).toBe(true);
  });

  it('not for ever', async () => {
    const r = rig(PUBLIC);
    r.from('198.51.100.1', inform);
    const stopped = r.collector.stop();
    r.clock.advance(1000);
    await stopped;
    expect(r.socket.closed).toBe(true);
    r.emitted[0].receipt!.spooled!();
    expect(r.socket.sent).toHaveLength(0);
  });
});

describe('configuration', () => {
  const says = (c: object): string[] =>
    snmpTrapConfig.safeParse(c).error?.issues.map((i) => `${i.path.join('.')}: ${i.message}`) ?? [];

  it('has defaults for everything', () => {
    expect(snmpTrapConfig.parse({})).toEqual({
      listen: [{ address: '127.0.0.1', port: 1162 }],
      communities: [],
      trusted_relays: [],
      engine: { boots: 1, epoch: '2026-01-01T00:00:00Z' },
      users: [],
      engines: [],
      new_engines: { per_source: 20, total: 2000, cache: 50_000 },
      reports: { per_source: 50, total: 5000 },
      ack: 'auto',
      ack_budget: 200,
      informs_in_flight: { count: 20_000, bytes: 64 * 2 ** 20 },
    });
  });

  it('refuses what it does not know', () => {
    expect(says({ user: [] })[0]).toContain('user');
    expect(says({ communities: [{ name: 'a', from: ['10.0.0.0/33'] }] })[0]).toContain('communities.0.from.0');
    expect(says({ communities: [{ name: '' }] })[0]).toContain('communities.0.name');
    expect(says({ ack: 'kafka' })[0]).toContain('ack');
  });
});

describe('before the decoder', () => {
  const bad = Buffer.from([0x30, 0x03, 1, 2]);
  const unknown = buildTrap({
    version: 'v2c',
    community: 'x',
    trapOid: '1.3.6.1.6.3.1.1.5.3',
    uptime: 1,
    varbinds: [],
  });

  it('every datagram is accepted, a duplicate, or refused with its code: exact to one', () => {
    const r = rig({
      ...PUBLIC,
      deny: ['203.0.113.0/24'],
      rate_limit: { per_source: 5, burst: 5 },
      dedup: { window: '10s' },
    });
    for (let i = 0; i < 3; i++) r.from('203.0.113.7', linkDown);
    r.from('198.51.100.2', bad);
    r.from('198.51.100.2', unknown);
    r.from('198.51.100.2', unknown);
    for (let i = 0; i < 3; i++) r.from('198.51.100.3', linkDown);
    // Five tokens: two go to others of this source, the rest beyond is refused undecoded.
    for (let i = 0; i < 12; i++) r.from('198.51.100.4', i < 2 ? unknown : linkDown);
    expect(r.refused()).toEqual([
      ['203.0.113.7', 'source-denied', 3],
      ['198.51.100.2', 'truncated', 1],
      ['198.51.100.2', 'unknown-community', 2],
      ['198.51.100.4', 'unknown-community', 2],
      ['198.51.100.4', 'rate-limit', 7],
    ]);
    expect(r.emitted).toHaveLength(2);
    expect(r.count('tidegate_suppressed_total', 'collector="snmp_trap"')).toBe(4);
    expect(r.count('tidegate_received_total', 'collector="snmp_trap"')).toBe(3 + 3 + 3 + 12);
    r.clock.advance(10_000);
    const said = r.emitted.slice(2).map((_, i) => r.event(i + 2).data);
    expect(said).toHaveLength(3);
    expect(said).toContainEqual(
      expect.objectContaining({
        kind: 'gap',
        reason: 'rate-limit',
        count: 7,
        source: { address: '198.51.100.4' },
        of: [{ trap_oid: '1.3.6.1.6.3.1.1.5.3', count: 7 }],
      }),
    );
    expect(said.filter((d) => d.kind === 'duplicates').map((d) => d.count)).toEqual([2, 2]);
  });

  it('a flood of refused datagrams does not take from who stays within the limits', () => {
    const r = rig({ ...PUBLIC, rate_limit: { per_source: 100, burst: 100, sources: 1000 } });
    for (let i = 0; i < 50_000; i++) {
      r.from(i % 2 ? '192.0.2.66' : `100.${i & 127}.${(i >> 7) & 255}.1`, i % 3 ? unknown : bad);
      if (i % 500 === 0) r.from('198.51.100.1', linkDown);
    }
    expect(r.emitted).toHaveLength(100);
    const codes = ['rate-limit', 'truncated', 'unknown-community'];
    const counted = codes.map((code) => r.count('tidegate_refused_total', `code="${code}",collector="snmp_trap"`));
    expect(counted.reduce((a, b) => a + b)).toBe(50_000);
    // The list for `explain` is bounded; counters are not.
    expect(r.refused().length).toBeLessThanOrEqual(10_000);
  });

  it('a listener has prefixes of its own, changed lists are taken over at once', () => {
    const r = rig({ ...PUBLIC, allow: ['198.51.100.0/24'] });
    r.from('192.0.2.1', linkDown);
    expect(r.emitted).toHaveLength(0);
    r.reconfigure({ ...PUBLIC, allow: ['192.0.2.0/24'] });
    r.from('192.0.2.1', linkDown);
    r.from('198.51.100.1', linkDown);
    expect(r.emitted).toHaveLength(1);
    expect(r.refused().map((x) => [x[0], x[1], x[2]])).toEqual([
      ['192.0.2.1', 'source-denied', 1],
      ['198.51.100.1', 'source-denied', 1],
    ]);
  });

  it('informs that repeat another are answered only when that one is spooled', () => {
    const r = rig({ ...PUBLIC, dedup: { window: '10s' } });
    const again = Buffer.from(inform);
    const pdu = decodePdu(again, decodeEnvelope(again) as never);
    if (isDecodeError(pdu) || pdu.pdu === 'trap-v1') throw new Error('no inform');
    // Another request-id: not a retry, the same said again.
    again[pdu.errorStatusOffset - 1] ^= 1;
    r.from('198.51.100.1', inform);
    r.from('198.51.100.1', again);
    expect(r.emitted).toHaveLength(1);
    expect(r.socket.sent).toHaveLength(0);
    r.emitted[0].receipt!.spooled!();
    expect(r.socket.sent).toHaveLength(2);
    const third = Buffer.from(again);
    third[pdu.errorStatusOffset - 1] ^= 2;
    r.from('198.51.100.1', third);
    expect([r.emitted.length, r.socket.sent.length]).toEqual([1, 3]);
  });
});

describe('trusted relays', () => {
  const v1 = buildTrap({
    version: 'v1',
    community: 'public',
    trapOid: '1.3.6.1.6.3.1.1.5.3',
    uptime: 1,
    varbinds: [],
    agentAddress: '198.51.100.1',
  });
  const v2 = buildTrap({
    version: 'v2c',
    community: 'public',
    trapOid: '1.3.6.1.6.3.1.1.5.3',
    uptime: 1,
    varbinds: [{ oid: '1.3.6.1.6.3.18.1.3.0', type: 'ip-address', value: '198.51.100.1' }],
  });

  it('what they say names the device; of others it is only kept', () => {
    const r = rig({ ...PUBLIC, trusted_relays: ['192.0.2.0/24'] });
    r.from('192.0.2.5', v1);
    r.from('192.0.2.5', v2);
    r.from('203.0.113.5', v1);
    r.from('203.0.113.5', v2);
    const seen = [0, 1, 2, 3].map((i) => {
      const { data } = r.event(i);
      return [(data.device as { id: string }).id, data.address_from, data.agent_address, data.trap_address];
    });
    expect(seen).toEqual([
      ['r1', 'agent_address', '198.51.100.1', undefined],
      ['r1', 'trap_address', undefined, '198.51.100.1'],
      ['mgmt|203.0.113.5', 'source', '198.51.100.1', undefined],
      ['mgmt|203.0.113.5', 'source', undefined, '198.51.100.1'],
    ]);
  });

  it('of v3, too: an engine id that the inventory does not know leaves the device to them, one that it knows is the device', () => {
    const noc: Credentials = { name: 'noc', auth: 'sha1', authPass: 'auth of noc' };
    const users = [{ name: 'noc', auth: { protocol: 'sha1', passphrase: 'auth of noc' } }];
    const r = rig({ users, trusted_relays: ['192.0.2.0/24'] });
    const known = Buffer.from('800000090300aabbccddee', 'hex');
    r.inventory.replace([
      { id: 'r1', name: 'Router 1', match: [{ network: 'mgmt', address: '198.51.100.1' }] },
      { id: 'r7', name: 'Router 7', match: [{ network: 'mgmt', engine_id: known.toString('hex') }] },
    ]);
    const named: VarBindInput = { oid: '1.3.6.1.6.3.18.1.3.0', type: 'ip-address', value: '198.51.100.1' };
    const said = (engineId: Buffer): Buffer =>
      v3(noc, {
        ...{ level: 'authNoPriv', engineId, boots: 1, time: 1, pdu: 'trap' },
        varbinds: [...NOTIFICATION.slice(0, 2), named],
      });
    for (const source of ['192.0.2.5', '203.0.113.5'])
      for (const engine of [Buffer.from('80000009030000000001', 'hex'), known]) r.from(source, said(engine));
    const seen = [0, 1, 2, 3].map((i) => {
      const { data } = r.event(i);
      return [(data.device as { id: string }).id, data.address_from];
    });
    expect(seen).toEqual([
      ['r1', 'trap_address'],
      ['r7', 'trap_address'],
      ['mgmt|203.0.113.5', 'source'],
      ['r7', 'source'],
    ]);
  });
});
