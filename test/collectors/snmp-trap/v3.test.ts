/** SNMPv3 through the collector: events, answers, retries, refusals, the clock, and the configuration. */
import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import type { CollectorContext } from '../../../src/collectors/collector.ts';
import { SnmpTrapCollector } from '../../../src/collectors/snmp-trap/collector.ts';
import { type SnmpTrapConfig, snmpTrapConfig } from '../../../src/collectors/snmp-trap/config.ts';
import { planReload } from '../../../src/config/plan.ts';
import { redact } from '../../../src/config/redact.ts';
import type { Config } from '../../../src/config/schema.ts';
import { ManualClock } from '../../../src/core/clock.ts';
import { silentLog } from '../../../src/core/log.ts';
import { rfc3339 } from '../../../src/core/time.ts';
import type { Draft, Receipt } from '../../../src/event/types.ts';
import { DeviceTable } from '../../../src/inventory/inventory.ts';
import { MemoryUdpSocket } from '../../../src/net/memory.ts';
import { Refusals } from '../../../src/telemetry/refusals.ts';
import { Registry } from '../../../src/telemetry/registry.ts';
import { type Credentials, read, type Sent, v3 } from '../../protocol/usm/sender.ts';
import { validateEvent } from '../../schema.ts';
import { taken } from './taken.ts';

const OWN = '80001f880411223344';
const SENDER = Buffer.from('800000090300aabbccddee', 'hex');
const EPOCH = 1_699_990_000;
const noc: Credentials = {
  name: 'noc',
  auth: 'sha256',
  authPass: 'auth of noc',
  priv: 'aes128',
  privPass: 'priv of noc',
};
const USERS = [
  {
    name: 'noc',
    auth: { protocol: 'sha256', passphrase: 'auth of noc' },
    priv: { protocol: 'aes128', passphrase: 'priv of noc' },
  },
  { name: 'open' },
];
const CONFIG = { users: USERS, engine: { id: `0x${OWN}`, boots: 4, epoch: rfc3339(EPOCH, 0) } };

function rig(config: object = CONFIG, more: Partial<CollectorContext> = {}, clock = new ManualClock()) {
  const metrics = new Registry();
  const refusals = new Refusals(metrics, clock);
  const socket = new MemoryUdpSocket('192.0.2.10', 162);
  const emitted: { draft: Draft; receipt: Receipt | undefined }[] = [];
  const inventory = new DeviceTable([
    { id: 'r7', name: 'Router 7', match: [{ network: 'mgmt', engine_id: SENDER.toString('hex') }] },
  ]);
  const collector = new SnmpTrapCollector(
    snmpTrapConfig.parse(config),
    [{ spec: { network: 'mgmt', address: '192.0.2.10', port: 162 }, socket }],
    {
      clock,
      log: silentLog,
      metrics,
      refusals,
      inventory,
      worker: 0,
      workers: 1,
      site: 's',
      node: 'n',
      pipeline: {
        emit: (draft, receipt) => {
          emitted.push({ draft: taken(draft), receipt });
          return true;
        },
        batchDone: () => true,
        accepts: () => true,
        paused: false,
        onResume() {},
        hasDurableExporter: false,
      },
      ...more,
    },
  );
  collector.start();
  return {
    clock,
    collector,
    emitted,
    sent: socket.sent,
    from: (data: Buffer, source = '198.51.100.1') =>
      socket.inject({ data, source, sourcePort: 40_000, sec: 1_700_000_000, nsec: 5 }),
    time: () => Math.floor(clock.wallMs() / 1000) - EPOCH,
    refused: () => refusals.list().map((r) => r.code),
    metric: (name: string, labels = ''): number =>
      metrics.snapshot().find((s) => s[0] === name && s[1] === labels)?.[2] ?? 0,
    event: (at: number): Record<string, unknown> => {
      const d = emitted[at].draft;
      const time = rfc3339(d.sec, d.nsec);
      const rx = { site: 's', node: 'n', worker: 0, boot: 1, class: 'alarm', seq: 1, at: time };
      return validateEvent(
        JSON.parse(
          JSON.stringify({
            specversion: '1.0',
            id: d.id ?? 's/n/0/1/alarm/1',
            source: '/tidegate/snmp_trap',
            type: d.type,
            time,
            subject: d.device.id,
            dataschema: `urn:tidegate:schema:${d.type}`,
            tidegatenode: 'n',
            datacontenttype: 'application/json',
            data: { network: d.network, device: d.device, rx, content_id: d.contentId, ...d.data },
          }),
        ),
      ).data as Record<string, unknown>;
    },
  };
}

const inform = (time: number, more: Partial<Sent> = {}, c = noc): Buffer =>
  v3(c, { level: 'authPriv', engineId: Buffer.from(OWN, 'hex'), boots: 4, time, pdu: 'inform', ...more });

describe('an SNMPv3 notification', () => {
  it('is a trap of its sender’s engine, and the inventory may know it', () => {
    const r = rig();
    r.from(v3(noc, { level: 'authPriv', engineId: SENDER, boots: 9, time: 5, pdu: 'trap', context: 'vrf-a' }));
    expect(r.event(0)).toMatchObject({
      version: 'v3',
      pdu: 'trap',
      engine_id: SENDER.toString('hex'),
      security: { user: 'noc', level: 'authPriv' },
      context: 'vrf-a',
      trap_oid: '1.3.6.1.6.3.1.1.5.3',
      device: { id: 'r7' },
    });
    expect(r.sent).toHaveLength(0);
  });

  it('without authentication has no say in which device it is', () => {
    const r = rig();
    r.from(v3({ name: 'open' }, { level: 'noAuthNoPriv', engineId: SENDER, boots: 0, time: 0, pdu: 'trap' }));
    expect(r.event(0)).toMatchObject({
      security: { user: 'open', level: 'noAuthNoPriv' },
      device: { id: 'mgmt|198.51.100.1' },
    });
    expect(r.event(0)).not.toHaveProperty('context');
  });

  it('is answered when it is spooled, at its level, with the time of the answer', () => {
    const r = rig();
    r.from(inform(r.time(), { msgId: 12, requestId: 34, contextEngineId: SENDER, context: 'x' }));
    expect(r.event(0)).toMatchObject({ pdu: 'inform', engine_id: SENDER.toString('hex'), device: { id: 'r7' } });
    expect(r.sent).toHaveLength(0);
    r.clock.advance(3000);
    r.emitted[0].receipt!.spooled!();
    expect(r.sent).toHaveLength(1);
    const answer = read(noc, r.sent[0].data);
    expect(answer).toMatchObject({
      msgId: 12,
      level: 'authPriv',
      engineId: OWN,
      boots: 4,
      time: r.time(),
      authentic: true,
    });
    expect(answer).toMatchObject({ context: 'x', contextEngineId: SENDER.toString('hex') });
    expect(answer.pdu).toMatchObject({ pdu: 'response', requestId: 34, errorStatus: 0, varbinds: { length: 3 } });
  });

  it('that is sent again is answered to its newest msgID, freshly, and is one event', () => {
    const r = rig();
    r.from(inform(r.time(), { msgId: 1 }));
    r.from(inform(r.time(), { msgId: 2 }));
    r.emitted[0].receipt!.spooled!();
    r.from(inform(r.time(), { msgId: 3 }));
    expect(r.emitted).toHaveLength(1);
    const answers = r.sent.map((s) => read(noc, s.data));
    expect(answers.map((a) => a.msgId)).toEqual([2, 3]);
    expect(answers[0].salt).not.toBe(answers[1].salt);
    expect(r.metric('tidegate_repeated_total', 'collector="snmp_trap"')).toBe(2);
  });

  it('has the same id wherever it arrives, and another for another user or context', () => {
    const id = (data: Buffer): string => {
      const r = rig();
      r.from(data);
      return r.emitted[0].draft.id!;
    };
    const t = rig().time();
    const all = [
      inform(t, { msgId: 1 }),
      inform(t, { requestId: 2 }),
      inform(t, { context: 'a' }),
      v3(
        { name: 'open' },
        { level: 'noAuthNoPriv', engineId: Buffer.from(OWN, 'hex'), boots: 4, time: t, pdu: 'inform' },
      ),
    ].map(id);
    expect(new Set(all).size).toBe(4);
    expect(id(inform(t + 20, { msgId: 99 }))).toBe(all[0]);
  });

  it('is the same one however its last block is filled up', () => {
    const r = rig();
    const fillings = ['', '00', '0101', '0202', 'ffffffffffffffffffff', '10'.repeat(16)];
    for (const [i, hex] of fillings.entries())
      r.from(inform(r.time(), { msgId: i + 1, filling: Buffer.from(hex, 'hex') }));
    expect(r.refused()).toEqual([]);
    expect(r.emitted).toHaveLength(1);
    expect(r.metric('tidegate_repeated_total', 'collector="snmp_trap"')).toBe(fillings.length - 1);
  });

  it('has its context unambiguously, and another id for each, also where the octets are no text', () => {
    const contexts = ['c3', 'ff', 'fe', 'fffe', '00', '', '76726661', '3078666630'].map((hex) =>
      Buffer.from(hex, 'hex'),
    );
    const r = rig({ ...CONFIG, dedup: {} });
    for (const context of [...contexts, Buffer.from('0xff'), Buffer.from('vrf-ü')])
      r.from(inform(r.time(), { context }));
    expect(r.emitted).toHaveLength(10);
    expect(new Set(r.emitted.map((e) => e.draft.id)).size).toBe(10);
    const shown = r.emitted.map((_, i) => r.event(i).context);
    expect(shown.slice(0, 6)).toEqual(['0xc3', '0xff', '0xfe', '0xfffe', '0x00', undefined]);
    expect(shown.slice(6)).toEqual(['vrfa', '0xff0', '0x30786666', 'vrf-ü']);
  });

  it('counts its Reports and refusals; discovery leaves no trace but that', () => {
    const r = rig();
    const none = { level: 'noAuthNoPriv', engineId: Buffer.alloc(0), boots: 0, time: 0, pdu: 'get' } as const;
    r.from(v3({ name: '' }, none));
    expect(read(noc, r.sent[0].data)).toMatchObject({ engineId: OWN, boots: 4, time: r.time() });
    r.from(inform(r.time(), {}, { ...noc, authPass: 'not the one' }));
    expect(r.refused()).toEqual(['engine-discovery', 'wrong-digest']);
    expect(r.metric('tidegate_usm_reports_total', 'report="unknownEngineIDs"')).toBe(1);
    expect(r.metric('tidegate_usm_reports_total', 'report="wrongDigests"')).toBe(1);
    expect(r.collector.status().v3).toMatchObject({
      engine: { id: OWN, boots: 4, time: r.time(), derived: false },
      users: 2,
      usm_stats: { unknownEngineIDs: 1, wrongDigests: 1 },
    });
    expect(JSON.stringify(r.collector.status())).not.toContain('of noc');
  });

  it('of a user that comes, changes and goes', () => {
    const r = rig({ ...CONFIG, users: [], communities: [{ name: 'x' }] });
    r.from(inform(r.time()));
    r.collector.reconfigure(snmpTrapConfig.parse(CONFIG));
    r.clock.advance(10);
    r.from(inform(r.time()));
    expect(r.emitted).toHaveLength(1);
    r.collector.reconfigure(snmpTrapConfig.parse({ ...CONFIG, users: [USERS[1]] }));
    r.from(inform(r.time(), { requestId: 9 }));
    expect(r.refused()).toEqual(['unknown-user']);
    expect(r.emitted).toHaveLength(1);
  });
});

describe('timeliness that is not strict', () => {
  it('says of which engines it let something pass, how often, and when last', () => {
    const engine = (n: number): Buffer => Buffer.from(`80000000${n.toString(16).padStart(8, '0')}`, 'hex');
    const late = (n: number, boots: number) =>
      v3(noc, { level: 'authPriv', engineId: engine(n), boots, time: 1, pdu: 'trap' });
    const users = [{ ...USERS[0], timeliness: 'off' }];
    const r = rig({ ...CONFIG, users, new_engines: { per_source: 1000 } });
    r.from(late(1, 5));
    const shown = () => (r.collector.status().v3 as { tolerated: object[] }).tolerated;
    expect(shown()).toEqual([]);
    r.from(late(1, 4));
    r.from(late(1, 3), '198.51.100.2');
    r.from(late(2, 5));
    r.from(late(2, 1));
    expect(shown()).toMatchObject([
      { engine_id: engine(2).toString('hex'), source: '198.51.100.1', user: 'noc', timeliness: 'off', count: 1 },
      { engine_id: engine(1).toString('hex'), source: '198.51.100.2', user: 'noc', timeliness: 'off', count: 2 },
    ]);
    expect(r.metric('tidegate_usm_tolerated_total', 'timeliness="off"')).toBe(3);
    // Those heard last stay.
    for (let n = 10; n < 110; n++) for (const boots of [2, 1]) r.from(late(n, boots));
    expect(shown()).toHaveLength(50);
    expect(shown()[0]).toMatchObject({ engine_id: engine(109).toString('hex') });
  });
});

describe('what all sources may have', () => {
  const engine = (n: number): Buffer => Buffer.from(`80000000${n.toString(16).padStart(8, '0')}`, 'hex');
  const wide = { per_source: 1000, total: 16 };
  const cases: [string, object, (r: ReturnType<typeof rig>) => number][] = [
    [
      'new_engines',
      { ...CONFIG, new_engines: wide },
      (r) => {
        for (let i = 0; i < 100; i++)
          r.from(v3(noc, { level: 'authPriv', engineId: engine(i), boots: 1, time: 1, pdu: 'trap' }));
        return r.emitted.length;
      },
    ],
    [
      'reports',
      { ...CONFIG, reports: wide },
      (r) => {
        const probe = { level: 'noAuthNoPriv', engineId: Buffer.alloc(0), boots: 0, time: 0, pdu: 'get' } as const;
        for (let i = 0; i < 100; i++) r.from(v3({ name: '' }, probe));
        return r.sent.length;
      },
    ],
    [
      'rate_limit',
      { users: [{ name: 'open' }], rate_limit: { total: 16 } },
      (r) => {
        const trap = v3({ name: 'open' }, { level: 'noAuthNoPriv', engineId: SENDER, boots: 0, time: 0, pdu: 'trap' });
        for (let i = 0; i < 100; i++) r.from(trap, `198.51.100.${i}`);
        return r.emitted.filter((e) => e.draft.type === 'snmp.trap.v1').length;
      },
    ],
    [
      'rate_limit with a burst',
      { users: [{ name: 'open' }], rate_limit: { total: 16, total_burst: 40 } },
      (r) => {
        const trap = v3({ name: 'open' }, { level: 'noAuthNoPriv', engineId: SENDER, boots: 0, time: 0, pdu: 'trap' });
        for (let i = 0; i < 100; i++) r.from(trap, `198.51.100.${i}`);
        return r.emitted.filter((e) => e.draft.type === 'snmp.trap.v1').length;
      },
    ],
  ];

  it.each(cases)('%s: each worker has its share of the node’s', (name, config, count) => {
    const whole = name.endsWith('burst') ? 40 : 80;
    for (const workers of [1, 2, 4, 8]) expect(count(rig(config, { workers }))).toBe(whole / workers);
    // A share that is less than one is still something.
    expect(count(rig(config, { workers: 64 }))).toBeGreaterThan(0);
  });
});

describe('users whose keys are not made yet', () => {
  const waiting = [{ name: 'noc', auth: { protocol: 'sha256' }, priv: { protocol: 'aes128' } }, { name: 'open' }];
  const without = (starting: boolean | undefined) =>
    ({ ...snmpTrapConfig.parse(CONFIG), users: waiting, starting }) as unknown as SnmpTrapConfig;
  const trapOf = (c: Credentials) =>
    v3(c, { level: c.auth ? 'authPriv' : 'noAuthNoPriv', engineId: SENDER, boots: 9, time: 5, pdu: 'trap' });

  it('at a start keep the node from taking VIPs, and are refused; the others are heard', () => {
    const r = rig();
    r.collector.reconfigure(without(true));
    expect(r.collector.health().hard).toEqual(['SNMPv3: the keys of 1 of 2 users are not made yet']);
    r.from(trapOf(noc));
    r.from(trapOf({ name: 'open' }));
    expect(r.refused()).toEqual(['user-keys-pending']);
    expect(r.emitted).toHaveLength(1);
    expect(r.collector.status().v3).toMatchObject({ users: 2, users_pending: 1 });
    r.collector.reconfigure(snmpTrapConfig.parse(CONFIG));
    expect(r.collector.health().hard).toEqual([]);
    r.from(trapOf(noc));
    expect(r.emitted).toHaveLength(2);
  });

  it('after a change are refused, and the node stays ready', () => {
    const r = rig();
    r.collector.reconfigure(without(undefined));
    expect(r.collector.health()).toEqual({ hard: [], soft: [] });
    r.from(trapOf(noc));
    expect(r.refused()).toEqual(['user-keys-pending']);
  });
});

describe('the clock', () => {
  const store = (kept?: { boots: number; ms: number }) => {
    const saved: { boots: number; ms: number }[] = [];
    return { saved, engineClock: { load: () => kept, save: (m: { boots: number; ms: number }) => saved.push(m) } };
  };

  it('behind what this node had before its restart: informs are refused, traps are not, and the node is a last resort', () => {
    const clock = new ManualClock();
    const { engineClock } = store({ boots: 4, ms: clock.wallMs() + 60_000 });
    const r = rig(CONFIG, { engineClock }, clock);
    r.from(inform(r.time()));
    r.from(v3(noc, { level: 'authPriv', engineId: SENDER, boots: 9, time: 5, pdu: 'trap' }));
    expect(r.refused()).toEqual(['clock-behind']);
    expect(r.emitted).toHaveLength(1);
    expect(r.collector.health().soft).toEqual([
      'v3 informs refused: the clock is 60 s behind a time this node already had',
    ]);
    expect(r.metric('tidegate_usm_fenced')).toBe(1);
    clock.advance(60_000);
    r.from(inform(r.time()));
    expect(r.emitted).toHaveLength(2);
    expect(r.collector.health().soft).toEqual([]);
  });

  it('is written down while it runs, and at the end', async () => {
    const clock = new ManualClock();
    const { saved, engineClock } = store();
    const r = rig(CONFIG, { engineClock }, clock);
    for (let i = 0; i < 25; i++) {
      r.collector.health();
      clock.advance(1000);
    }
    expect(saved.map((m) => m.ms - saved[0].ms)).toEqual([0, 10_000, 20_000]);
    await r.collector.stop();
    expect(saved).toHaveLength(4);
    expect(saved[3]).toEqual({ boots: 4, ms: saved[0].ms + 25_000 - 1000 });
  });

  it('once ahead and put right: a rise of engine.boots begins anew', () => {
    const clock = new ManualClock();
    const { engineClock } = store({ boots: 4, ms: clock.wallMs() + 3_600_000 });
    const r = rig(CONFIG, { engineClock }, clock);
    expect(r.collector.health().soft).toHaveLength(1);
    r.collector.reconfigure(snmpTrapConfig.parse({ ...CONFIG, engine: { ...CONFIG.engine, boots: 5 } }));
    expect(r.collector.health().soft).toEqual([]);
    r.from(inform(r.time(), { boots: 5 }));
    expect(r.emitted).toHaveLength(1);
  });

  it.each([31_000, -31_000])(
    'that is %d ms off from the other members: informs are refused and it is said, traps go on',
    (skew) => {
      const said: unknown[] = [];
      const log = {
        ...silentLog,
        error: (f: object, m: string) => said.push([m, f]),
        info: (_: object, m: string) => said.push(m),
      };
      const r = rig(CONFIG, { log });
      const trapOf = () => v3(noc, { level: 'authPriv', engineId: SENDER, boots: 9, time: 5, pdu: 'trap' });
      r.collector.peerSkew(Math.sign(skew) * 30_000);
      r.from(inform(r.time()));
      expect(r.emitted).toHaveLength(1);
      expect(r.collector.health()).toEqual({ hard: [], soft: [] });
      r.collector.peerSkew(skew);
      const reason = 'the clock is 31 s off from the other members';
      // Degraded: routers prefer nodes whose clocks agree, and this one is still there for traps.
      expect(r.collector.health()).toEqual({ hard: [], soft: [`v3 informs refused: ${reason}`] });
      expect(said).toEqual([['SNMPv3 informs are refused: the clock is wrong', { reason, code: 'clock-behind' }]]);
      expect(r.metric('tidegate_usm_fenced')).toBe(1);
      expect(r.collector.status().v3).toMatchObject({ engine: { refusing_informs: reason } });
      const before = r.sent.length;
      r.from(inform(r.time(), { requestId: 2 }));
      r.from(v3({ name: '' }, { level: 'noAuthNoPriv', engineId: Buffer.alloc(0), boots: 0, time: 0, pdu: 'get' }));
      expect(r.refused()).toEqual(['clock-behind']);
      // Not even a Report: the sender's next try may find a node with the right time.
      expect(r.sent).toHaveLength(before);
      r.from(trapOf());
      expect(r.emitted).toHaveLength(2);
      // Put right, or nobody left to compare with.
      r.collector.peerSkew(skew > 0 ? 0 : undefined);
      expect(r.collector.health().soft).toEqual([]);
      expect(r.metric('tidegate_usm_fenced')).toBe(0);
      expect(said.at(-1)).toBe('SNMPv3 informs are accepted again: the clock is right');
      r.from(inform(r.time(), { requestId: 3 }));
      expect(r.emitted).toHaveLength(3);
    },
  );

  it('without users nobody depends on it', () => {
    const clock = new ManualClock();
    const { engineClock, saved } = store({ boots: 4, ms: clock.wallMs() + 60_000 });
    const r = rig({ communities: [{ name: 'public' }] }, { engineClock }, clock);
    expect(r.collector.health().soft).toEqual([]);
    expect(saved).toEqual([]);
  });
});

describe('the configuration of v3', () => {
  const says = (c: object): string[] =>
    snmpTrapConfig.safeParse(c).error?.issues.map((i) => `${i.path.join('.')}: ${i.message}`) ?? [];
  const user = (more: object): string[] => says({ users: [{ name: 'a', ...more }] });
  const auth = { protocol: 'sha256', passphrase: 'long enough' };

  it.each([
    [{ priv: { protocol: 'aes128', passphrase: 'long enough' } }, 'users.0.priv: privacy needs authentication'],
    [{ auth: { protocol: 'sha256' } }, 'users.0.auth: exactly one of passphrase'],
    [{ auth: { ...auth, master_key: 'aa'.repeat(32) } }, 'users.0.auth: exactly one of passphrase'],
    [{ auth: { protocol: 'sha256', passphrase: 'short' } }, 'users.0.auth.passphrase: a passphrase of at least 8'],
    [{ auth: { protocol: 'sha256', master_key: 'aabb' } }, 'users.0.auth.master_key: a master key of sha256 has 32'],
    [
      { auth: { protocol: 'sha1', localized_key: 'aa'.repeat(20) } },
      'users.0.auth.localized_key: a localised key belongs',
    ],
    [
      { engine_id: '0x8000000001', auth, priv: { protocol: 'aes256', localized_key: 'aa'.repeat(31) } },
      'users.0.priv.localized_key: a localised key of aes256 has 32 octets',
    ],
    [{ auth, level: 'authPriv' }, 'users.0.level: authPriv needs `priv`'],
    [{ level: 'authNoPriv' }, 'users.0.level: authNoPriv needs `auth`'],
    [{ engine_id: '0x80' }, 'users.0.engine_id: an engine id of 5 to 32 octets'],
    [{ auth: { ...auth, protocol: 'sha3' } }, 'users.0.auth.protocol'],
    [{ name: 'ü'.repeat(20) }, 'users.0.name: at most 32 octets'],
  ])('refuses %j', (more, problem) => {
    expect(user(more)[0]).toContain(problem);
  });

  it('refuses two users of one name on one engine', () => {
    expect(says({ users: [{ name: 'a' }, { name: 'a' }] })[0]).toContain('users.1.name: user a stands twice');
    expect(says({ users: [{ name: 'a' }, { name: 'a', engine_id: '8000000001' }] })).toEqual([]);
  });

  it('shows no key', () => {
    const shown = JSON.stringify(
      redact({ users: [{ name: 'a', auth: { passphrase: 'S' }, priv: { localized_key: 'S', master_key: 'S' } }] }),
    );
    expect(shown).not.toContain('S"');
  });

  it('is taken over without a restart', () => {
    const config = (snmp: object): Config =>
      ({
        networks: {},
        lb: { vips: [] },
        export: { exporters: {} },
        collectors: { snmp_trap: snmpTrapConfig.parse(snmp) },
      }) as unknown as Config;
    const plan = planReload(config({}), config({ ...CONFIG, engines: [{ id: OWN }] }));
    expect(plan.restart).toEqual([]);
    expect(plan.live).toContain('collectors.snmp_trap.users');
  });
});
