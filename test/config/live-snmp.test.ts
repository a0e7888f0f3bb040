/**
 * Every key of collectors.snmp_trap: a running collector behaves by its new value, as one that is started with it does; sockets are the supervisor's.
 * What has to wait for a restart is said, and no later change brings it in unseen.
 */
import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { generated } from '../../scripts/generate.ts';
import { buildTrap } from '../../src/codec/snmp/describe.ts';
import { encodeMessage } from '../../src/codec/snmp/encode.ts';
import { SnmpTrapCollector } from '../../src/collectors/snmp-trap/collector.ts';
import { mergeLive, planReload } from '../../src/config/plan.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { rfc3339 } from '../../src/core/time.ts';
import type { Draft, Receipt } from '../../src/event/types.ts';
import { DeviceTable } from '../../src/inventory/inventory.ts';
import { MemoryUdpSocket } from '../../src/net/memory.ts';
import { localize, localizePriv } from '../../src/protocol/usm/keys.ts';
import { Refusals } from '../../src/telemetry/refusals.ts';
import { Registry } from '../../src/telemetry/registry.ts';
import { type Credentials, ku, NOTIFICATION, read, type Sent, v3 } from '../protocol/usm/sender.ts';

const OWN = '80001f880411223344';
const OTHER_OWN = '80001f880455667788';
const EPOCH = 1_699_990_000;
const SENDER = Buffer.from('800000090300aabbccddee', 'hex');
const engine = (n: number): Buffer => Buffer.from(`80000000${n.toString(16).padStart(8, '0')}`, 'hex');
const PUBLIC = { communities: [{ name: 'public' }] };

const AUTH = 'auth of noc';
const PRIV = 'priv of noc';
const noc: Credentials = { name: 'noc', auth: 'sha256', authPass: AUTH, priv: 'aes128', privPass: PRIV };
const auth = { protocol: 'sha256', passphrase: AUTH };
const priv = { protocol: 'aes128', passphrase: PRIV };
const user = (more: object = {}) => ({ name: 'noc', auth, priv, ...more });
/** One user, and what else. */
const one = (more: object = {}, rest: object = {}) => ({ users: [user(more)], ...rest });
const ours = { id: `0x${OWN}`, boots: 4, epoch: rfc3339(EPOCH, 0) };

function collectorOf(config: Config) {
  const clock = new ManualClock();
  const metrics = new Registry();
  const refusals = new Refusals(metrics, clock);
  const socket = new MemoryUdpSocket('192.0.2.10', 162);
  const traps: { draft: Draft; receipt: Receipt | undefined }[] = [];
  const collector = new SnmpTrapCollector(
    config.collectors.snmp_trap!,
    [{ spec: { network: 'default', address: '192.0.2.10', port: 162 }, socket }],
    {
      clock,
      log: silentLog,
      metrics,
      refusals,
      inventory: new DeviceTable([{ id: 'r1', name: 'r1', match: [{ address: '198.51.100.1' }] }]),
      worker: 0,
      workers: 1,
      pipeline: {
        emit: (draft, receipt) => {
          if (draft.type === 'snmp.trap.v1') traps.push({ draft, receipt });
          return true;
        },
        batchDone: () => true,
        accepts: () => true,
        paused: false,
        onResume() {},
        hasDurableExporter: true,
      },
    },
  );
  collector.start();
  const rig = {
    clock,
    collector,
    traps,
    sent: socket.sent,
    from: (data: Buffer, source = '203.0.113.1', sourcePort = 40_000) => {
      socket.inject({ data, source, sourcePort, sec: 1, nsec: 0 });
      return rig;
    },
    /** A v3 trap. */
    trap: (more: Partial<Sent> = {}, c = noc) =>
      rig.from(v3(c, { level: 'authPriv', engineId: SENDER, boots: 1, time: 1, pdu: 'trap', ...more })),
    said: () => [traps.length, socket.sent.length, ...refusals.list().map((r) => `${r.code} ${r.count}`)],
  };
  return rig;
}
type Rig = ReturnType<typeof collectorOf>;

const trap = (n = 1, community = 'public'): Buffer =>
  buildTrap({ version: 'v2c', community, trapOid: '1.3.6.1.6.3.1.1.5.1', uptime: 1, requestId: n, varbinds: [] });
const numbered = (n: number): Buffer =>
  buildTrap({
    ...{ version: 'v2c', community: 'public', trapOid: '1.3.6.1.6.3.1.1.5.1', uptime: 1 },
    varbinds: [{ oid: '1.3.6.1.4.1.9.1', type: 'integer32', value: n }],
  });
const inform = (n: number): Buffer =>
  encodeMessage({ pdu: 'inform', community: 'public', requestId: n, varbinds: NOTIFICATION });
const discovery = (): Buffer =>
  v3({ name: '' }, { level: 'noAuthNoPriv', engineId: Buffer.alloc(0), boots: 0, time: 0, pdu: 'get' });
const times = (r: Rig, n: number, fn: (i: number) => void): Rig => {
  for (let i = 0; i < n; i++) fn(i);
  return r;
};
const burst = (r: Rig): unknown => times(r, 20, (i) => r.from(trap(i))).said();
/** New engines from one source; their number is what is asked. */
const engines = (n: number) => (r: Rig) => times(r, n, (i) => r.trap({ engineId: engine(i) })).traps.length;
const discovered = (r: Rig): unknown => {
  r.from(discovery());
  const { engineId, boots, time } = read(noc, r.sent[0].data);
  return [engineId, boots, time];
};
const trapped = (r: Rig): unknown => r.trap().said();
const replayed = (r: Rig): unknown => r.trap({ boots: 5 }).trap({ boots: 1 }).said();
const hexOf = (b: Buffer): string => b.toString('hex');
const localizedAuth = hexOf(localize('sha256', ku('sha256', AUTH), SENDER));
const localizedPriv = hexOf(localizePriv('sha256', 'aes128', ku('sha256', PRIV), SENDER));
const onSender = { engine_id: `0x${hexOf(SENDER)}` };
const flipped = (hex: string): string => hex.replace(/^../, (b) => (b === '00' ? '01' : '00'));

/** By key: two sections that differ in it alone, and what tells them apart. */
const LIVE: Record<string, [before: object, after: object, probe: (r: Rig) => unknown]> = {
  'communities[].name': [PUBLIC, { communities: [{ name: 'other' }] }, (r) => r.from(trap(1, 'other')).said()],
  'communities[].from': [
    { communities: [{ name: 'public', from: ['10.0.0.0/8'] }] },
    { communities: [{ name: 'public', from: ['203.0.113.0/24'] }] },
    (r) => r.from(trap()).said(),
  ],
  allow: [{ ...PUBLIC, allow: ['10.0.0.0/8'] }, { ...PUBLIC, allow: ['203.0.113.0/24'] }, (r) => r.from(trap()).said()],
  deny: [{ ...PUBLIC, deny: ['10.0.0.0/8'] }, { ...PUBLIC, deny: ['203.0.113.0/24'] }, (r) => r.from(trap()).said()],
  trusted_relays: [
    PUBLIC,
    { ...PUBLIC, trusted_relays: ['203.0.113.0/24'] },
    (r) => {
      const v1 = {
        version: 'v1',
        community: 'public',
        trapOid: '1.3.6.1.6.3.1.1.5.1',
        uptime: 1,
        varbinds: [],
      } as const;
      return r.from(buildTrap({ ...v1, agentAddress: '198.51.100.1' })).traps[0].draft.device.id;
    },
  ],
  'rate_limit.per_source': [
    { ...PUBLIC, rate_limit: { per_source: 1 } },
    { ...PUBLIC, rate_limit: { per_source: 2 } },
    burst,
  ],
  'rate_limit.burst': [
    { ...PUBLIC, rate_limit: { per_source: 1, burst: 3 } },
    { ...PUBLIC, rate_limit: { per_source: 1, burst: 7 } },
    burst,
  ],
  'rate_limit.total': [{ ...PUBLIC, rate_limit: { total: 1 } }, { ...PUBLIC, rate_limit: { total: 2 } }, burst],
  'rate_limit.total_burst': [
    { ...PUBLIC, rate_limit: { total: 1, total_burst: 3 } },
    { ...PUBLIC, rate_limit: { total: 1, total_burst: 7 } },
    burst,
  ],
  'rate_limit.sources': [
    { ...PUBLIC, rate_limit: { per_source: 0.001, burst: 1, sources: 100 } },
    { ...PUBLIC, rate_limit: { per_source: 0.001, burst: 1, sources: 1000 } },
    (r) => {
      times(r, 300, (i) => r.from(trap(i), `203.0.${i >> 8}.${i & 255}`));
      return r.from(trap(), '203.0.0.0').traps.length;
    },
  ],
  'dedup.window': [
    { ...PUBLIC, dedup: { window: '1s' } },
    { ...PUBLIC, dedup: { window: '10s' } },
    (r) => {
      r.from(trap());
      r.clock.advance(5000);
      return r.from(trap()).traps.length;
    },
  ],
  'dedup.entries': [
    { ...PUBLIC, dedup: { entries: 100 } },
    { ...PUBLIC, dedup: { entries: 1000 } },
    (r) => {
      times(r, 150, (i) => r.from(numbered(i)));
      return r.from(numbered(0)).traps.length;
    },
  ],
  'engine.id': [one({}, { engine: ours }), one({}, { engine: { ...ours, id: `0x${OTHER_OWN}` } }), discovered],
  'engine.boots': [one({}, { engine: ours }), one({}, { engine: { ...ours, boots: 5 } }), discovered],
  'engine.epoch': [
    one({}, { engine: ours }),
    one({}, { engine: { ...ours, epoch: rfc3339(EPOCH - 1000, 0) } }),
    discovered,
  ],
  'users[].name': [one(), one({ name: 'ops' }), (r) => r.trap({}, { ...noc, name: 'ops' }).said()],
  'users[].engine_id': [one({ engine_id: `0x${OTHER_OWN}` }), one(onSender), trapped],
  'users[].auth.protocol': [one({ auth: { ...auth, protocol: 'md5' } }), one(), trapped],
  'users[].auth.passphrase': [one({ auth: { ...auth, passphrase: 'another one' } }), one(), trapped],
  'users[].auth.master_key': [
    one({ auth: { protocol: 'sha256', master_key: flipped(hexOf(ku('sha256', AUTH))) } }),
    one({ auth: { protocol: 'sha256', master_key: hexOf(ku('sha256', AUTH)) } }),
    trapped,
  ],
  'users[].auth.localized_key': [
    one({ ...onSender, auth: { protocol: 'sha256', localized_key: flipped(localizedAuth) } }),
    one({ ...onSender, auth: { protocol: 'sha256', localized_key: localizedAuth } }),
    trapped,
  ],
  'users[].priv.protocol': [one({ priv: { ...priv, protocol: 'aes256' } }), one(), trapped],
  'users[].priv.passphrase': [one({ priv: { ...priv, passphrase: 'another one' } }), one(), trapped],
  'users[].priv.master_key': [
    one({ priv: { protocol: 'aes128', master_key: flipped(hexOf(ku('sha256', PRIV))) } }),
    one({ priv: { protocol: 'aes128', master_key: hexOf(ku('sha256', PRIV)) } }),
    trapped,
  ],
  'users[].priv.localized_key': [
    one({ ...onSender, priv: { protocol: 'aes128', localized_key: flipped(localizedPriv) } }),
    one({ ...onSender, priv: { protocol: 'aes128', localized_key: localizedPriv } }),
    trapped,
  ],
  'users[].level': [
    one({ level: 'authPriv' }),
    one({ level: 'authNoPriv' }),
    (r) => r.trap({ level: 'authNoPriv' }).said(),
  ],
  'users[].timeliness': [one({ timeliness: 'strict' }), one({ timeliness: 'off' }), replayed],
  'engines[].id': [
    one({}, { new_engines: { per_source: 0.2 }, engines: [{ id: `0x${hexOf(engine(7))}` }] }),
    one({}, { new_engines: { per_source: 0.2 }, engines: [{ id: `0x${hexOf(engine(8))}` }] }),
    (r) =>
      r
        .trap({ engineId: engine(1) })
        .trap({ engineId: engine(8) })
        .said(),
  ],
  'engines[].timeliness': [
    one({}, { engines: [{ id: `0x${hexOf(SENDER)}`, timeliness: 'strict' }] }),
    one({}, { engines: [{ id: `0x${hexOf(SENDER)}`, timeliness: 'off' }] }),
    replayed,
  ],
  'new_engines.per_source': [
    one({}, { new_engines: { per_source: 1 } }),
    one({}, { new_engines: { per_source: 2 } }),
    engines(20),
  ],
  'new_engines.total': [one({}, { new_engines: { total: 1 } }), one({}, { new_engines: { total: 2 } }), engines(20)],
  'new_engines.cache': [
    one({}, { new_engines: { per_source: 1000, cache: 100 } }),
    one({}, { new_engines: { per_source: 1000, cache: 1000 } }),
    (r) => [engines(300)(r), (r.collector.status().v3 as { engines: number }).engines],
  ],
  'reports.per_source': [
    one({}, { engine: ours, reports: { per_source: 1 } }),
    one({}, { engine: ours, reports: { per_source: 2 } }),
    (r) => times(r, 20, () => r.from(discovery())).sent.length,
  ],
  'reports.total': [
    one({}, { engine: ours, reports: { total: 1 } }),
    one({}, { engine: ours, reports: { total: 2 } }),
    (r) => times(r, 20, () => r.from(discovery())).sent.length,
  ],
  ack: [
    { ...PUBLIC, ack: 'export' },
    { ...PUBLIC, ack: 'spool' },
    (r) => {
      r.from(inform(1)).traps[0].receipt!.spooled!();
      return r.sent.length;
    },
  ],
  ack_budget: [
    { ...PUBLIC, ack_budget: '2s' },
    { ...PUBLIC, ack_budget: '200ms' },
    (r) => {
      r.from(inform(1)).traps[0].receipt!.spooled!();
      r.clock.advance(500);
      return r.sent.length;
    },
  ],
  'informs_in_flight.count': [
    { ...PUBLIC, informs_in_flight: { count: 2 } },
    { ...PUBLIC, informs_in_flight: { count: 4 } },
    (r) => times(r, 9, (i) => r.from(inform(i))).said(),
  ],
  'informs_in_flight.bytes': [
    { ...PUBLIC, informs_in_flight: { bytes: 300 } },
    { ...PUBLIC, informs_in_flight: { bytes: 600 } },
    (r) => times(r, 9, (i) => r.from(inform(i))).said(),
  ],
};

/** Of sockets, which the supervisor opens, closes and hands over (test/lab/vip-live.test.ts): the collector itself takes nothing over. */
const at = { address: '127.0.0.1', port: 162 };
const SOCKETS: Record<string, [before: object, after: object]> = {
  'listen[]': [{ listen: ['127.0.0.1:162'] }, { listen: ['127.0.0.1:1162'] }],
  'listen[].address': [{ listen: [at] }, { listen: [{ ...at, address: '127.0.0.2' }] }],
  'listen[].vip': [{ listen: [{ vip: 'a', port: 162 }] }, { listen: [{ vip: 'b', port: 162 }] }],
  'listen[].port': [{ listen: [at] }, { listen: [{ ...at, port: 1162 }] }],
  'listen[].network': [{ listen: [at] }, { listen: [{ ...at, network: 'mgmt' }] }],
  'listen[].ack': [{ listen: [at] }, { listen: [{ ...at, ack: 'spool' }] }],
  'listen[].allow': [{ listen: [at] }, { listen: [{ ...at, allow: ['10.0.0.0/8'] }] }],
  'listen[].deny': [{ listen: [at] }, { listen: [{ ...at, deny: ['10.0.0.0/8'] }] }],
};

const parse = (snmp: object): Config => configSchema.parse({ node: 'n', collectors: { snmp_trap: snmp } }) as Config;
const KEY = /^\| `collectors\.snmp_trap\.([^`]+)`/;
const keys = generated()
  ['docs/config.md'].split('\n')
  .flatMap((l) => KEY.exec(l)?.[1] ?? []);

it('are all known here: a new one is either live or waits for a restart', () => {
  expect(keys.length).toBeGreaterThan(40);
  expect([...Object.keys(LIVE), ...Object.keys(SOCKETS)].sort()).toEqual([...keys].sort());
});

describe('live', () => {
  it.each(Object.entries(LIVE))('%s', (key, [a, b, probe]) => {
    const [before, after] = [parse(a), parse(b)];
    const plan = planReload(before, after);
    expect(plan.restart).toEqual([]);
    const path = `collectors.snmp_trap.${key.replaceAll('[]', '')}`;
    expect(plan.live).toHaveLength(1);
    expect(path === plan.live[0] || path.startsWith(`${plan.live[0]}.`)).toBe(true);
    const merged = mergeLive(before, after);
    expect(merged).toEqual(after);
    const fresh = (c: Config) => {
      const r = collectorOf(c);
      r.clock.advance(10_000);
      return probe(r);
    };
    expect(fresh(before)).not.toEqual(fresh(after));
    const running = collectorOf(before);
    running.collector.reconfigure(merged.collectors.snmp_trap!);
    // What was allowed before is used up by then, and what is allowed now is there.
    running.clock.advance(10_000);
    expect(probe(running)).toEqual(fresh(after));
  });
});

describe('live, by the supervisor', () => {
  it.each(Object.entries(SOCKETS))('%s', (_, [a, b]) => {
    const [before, after] = [parse(a), parse(b)];
    expect(planReload(before, after)).toEqual({ live: ['collectors.snmp_trap.listen'], restart: [] });
    expect(mergeLive(before, after)).toEqual(after);
  });
});

it('a listener of a network that is another one waits for a restart, and no later change of something else brings it in', () => {
  const config = (device: string, port: number, more: object = {}) => {
    const snmp_trap = { listen: [{ ...at, port, network: 'mgmt' }], ...more };
    return configSchema.parse({ node: 'n', networks: { mgmt: { device } }, collectors: { snmp_trap } }) as Config;
  };
  const [before, after] = [config('vrf-a', 162), config('vrf-b', 1162)];
  const plan = planReload(before, after);
  expect(plan).toEqual({ live: [], restart: ['networks.mgmt.device', 'collectors.snmp_trap.listen'] });
  const later = config('vrf-b', 1162, PUBLIC);
  const merged = mergeLive(mergeLive(before, after), later);
  expect(merged.collectors.snmp_trap?.listen).toEqual(before.collectors.snmp_trap?.listen);
  expect(planReload(merged, later)).toEqual(plan);
});
