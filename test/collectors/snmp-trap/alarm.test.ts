import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { VarBind } from '../../../src/codec/snmp/message.ts';
import { NotificationMemo } from '../../../src/codec/snmp/notification-cache.ts';
import type { Notification } from '../../../src/codec/snmp/rfc3584.ts';
import { Alarms } from '../../../src/collectors/snmp-trap/alarm.ts';
import { loadAlarms } from '../../../src/config/alarms-file.ts';
import { formatProblem } from '../../../src/config/yaml.ts';
import { builtinNaming } from '../../../src/mib/builtin.ts';
import { oidOf } from '../../../src/mib/translate.ts';

const { names } = builtinNaming();
const builtin = loadAlarms(undefined);
const alarms = new Alarms(builtin.rules, names);

const oid = (name: string): string => {
  const found = oidOf(names.table, name);
  if (typeof found !== 'string') throw new Error(found.problem);
  return found;
};

/** `{ 'ifIndex.7': 7 }`: numbers are integers, text is octets. */
function notification(trap: string, values: Record<string, number | string> = {}): Notification {
  const varbinds = Object.entries(values).map(
    ([name, value]): VarBind => ({
      oid: oid(name),
      type: typeof value === 'number' ? 'integer32' : 'octet-string',
      value: typeof value === 'number' ? value : Buffer.from(value),
      start: 0,
      end: 0,
    }),
  );
  return {
    trapOid: /^\d/.test(trap) ? trap : oid(trap),
    uptime: 1,
    agentAddress: undefined,
    trapAddress: undefined,
    enterprise: undefined,
    memo: undefined,
    varbinds,
  };
}

const of = (trap: string, values?: Record<string, number | string>, device = 'r1') =>
  alarms.of(notification(trap, values), device);

describe('the built-in alarm rules', () => {
  it('are read without a problem, and name notifications and objects that exist', () => {
    expect(builtin.problems).toEqual([]);
    for (const r of builtin.rules) {
      for (const on of r.on) expect(names.notification(oid(on)), on).not.toBe(0);
      for (const name of [...(r.instance_of ?? []), ...(r.value_of ?? []), ...Object.keys(r.when ?? {})])
        expect(names.table.type(names.table.named(name)[0] ?? 0), name).toBeDefined();
      for (const [name, values] of Object.entries(r.when ?? {})) {
        const labels = Object.values(names.table.type(names.table.named(name)[0])?.values ?? {});
        for (const v of values) expect(labels, name).toContain(v);
      }
    }
  });

  it.each([
    [
      'linkDown',
      { 'ifIndex.7': 7, 'ifAdminStatus.7': 1, 'ifOperStatus.7': 2 },
      'linkUp',
      { 'ifIndex.7': 7 },
      'interface=7',
      'major',
    ],
    ['linkDown', { 'ifAdminStatus.7': 2 }, 'linkUp', { 'ifOperStatus.7': 1 }, 'interface=7', 'warning'],
    [
      'bgpBackwardTransition',
      { 'bgpPeerLastError.192.0.2.1': '\u0006\u0000', 'bgpPeerState.192.0.2.1': 1 },
      'bgpEstablished',
      { 'bgpPeerState.192.0.2.1': 6 },
      'bgpPeer=192.0.2.1',
      'major',
    ],
    // Old and new name of the same notification.
    [
      'bgpBackwardTransNotification',
      { 'bgpPeerState.192.0.2.1': 1 },
      'bgpEstablished',
      { 'bgpPeerState.192.0.2.1': 6 },
      'bgpPeer=192.0.2.1',
      'major',
    ],
    [
      'bgpBackwardTransition',
      { 'bgpPeerState.192.0.2.1': 1 },
      'bgpEstablishedNotification',
      { 'bgpPeerState.192.0.2.1': 6 },
      'bgpPeer=192.0.2.1',
      'major',
    ],
    [
      'ospfNbrStateChange',
      { 'ospfNbrState.10.0.0.1.0': 1 },
      'ospfNbrStateChange',
      { 'ospfNbrState.10.0.0.1.0': 8 },
      'ospfNbr=10.0.0.1.0',
      'major',
    ],
    [
      'ospfNbrStateChange',
      { 'ospfNbrState.10.0.0.1.0': 5 },
      'ospfNbrStateChange',
      { 'ospfNbrState.10.0.0.1.0': 4 },
      'ospfNbr=10.0.0.1.0',
      'major',
    ],
    [
      'ospfIfStateChange',
      { 'ospfIfState.10.0.0.2.0': 1 },
      'ospfIfStateChange',
      { 'ospfIfState.10.0.0.2.0': 5 },
      'ospfIf=10.0.0.2.0',
      'major',
    ],
    [
      'entStateOperDisabled',
      { 'entStateAdmin.1001': 4 },
      'entStateOperEnabled',
      { 'entStateAdmin.1001': 4 },
      'entPhysical=1001',
      'major',
    ],
    [
      'ciscoEnvMonFanStatusChangeNotif',
      { 'ciscoEnvMonFanState.3': 3 },
      'ciscoEnvMonFanStatusChangeNotif',
      { 'ciscoEnvMonFanState.3': 1 },
      'fan=3',
      'major',
    ],
    [
      'jnxPowerSupplyFailure',
      { 'jnxContentsDescr.2.1.0.0': 'PEM 0' },
      'jnxPowerSupplyOK',
      { 'jnxContentsContainerIndex.2.1.0.0': 2 },
      'powerSupply=2.1.0.0',
      'major',
    ],
    ['risingAlarm', { 'alarmIndex.4': 4 }, 'fallingAlarm', { 'alarmIndex.4': 4 }, 'alarm=4', 'minor'],
    [
      'isisAdjacencyChange',
      {
        'isisNotificationSysLevelIndex.0': 2,
        'isisNotificationCircIfIndex.0': 7,
        'isisPduLspId.0': '\u0001\u0002',
        'isisAdjState.0': 1,
      },
      'isisAdjacencyChange',
      {
        'isisNotificationSysLevelIndex.0': 2,
        'isisNotificationCircIfIndex.0': 7,
        'isisPduLspId.0': '\u0001\u0002',
        'isisAdjState.0': 3,
      },
      'isisAdj=2,7,0x0102',
      'major',
    ],
    [
      'mplsTunnelDown',
      { 'mplsTunnelOperStatus.5.1.10.20': 2 },
      'mplsTunnelUp',
      { 'mplsTunnelOperStatus.5.1.10.20': 1 },
      'mplsTunnel=5.1.10.20',
      'major',
    ],
    [
      'mplsL3VpnVrfDown',
      { 'mplsL3VpnVrfOperStatus."red"': 2 },
      'mplsL3VpnVrfUp',
      { 'mplsL3VpnVrfOperStatus."red"': 1 },
      'vrf=3.114.101.100',
      'major',
    ],
  ])('%s raises what %s clears', (raise, raised, clear, cleared, object, severity) => {
    const a = of(raise, raised as Record<string, number>);
    const b = of(clear, cleared as Record<string, number>);
    expect(a).toMatchObject({ state: 'raised', perceived_severity: severity, managed_object: object });
    expect(b).toMatchObject({ state: 'cleared', perceived_severity: 'cleared', managed_object: object, id: a!.id });
    expect(b!.event_type).toBe(a!.event_type);
    expect(b!.probable_cause).toBe(a!.probable_cause);
    // Another node computes the same; another device, interface or kind has another.
    expect(
      new Alarms(loadAlarms(undefined).rules, names).of(notification(raise, raised as Record<string, number>), 'r1')!
        .id,
    ).toBe(a!.id);
    expect(of(raise, raised as Record<string, number>, 'r2')!.id).not.toBe(a!.id);
  });

  it.each(['coldStart', 'warmStart', 'authenticationFailure', 'entConfigChange', 'newRoot', 'topologyChange'])(
    '%s is an event of the device, which nothing clears',
    (trap) => expect(of(trap)).toMatchObject({ state: 'event', managed_object: 'device' }),
  );

  it('gives no alarm where it cannot tell: no instance, no rule, a state that no rule has', () => {
    expect(of('linkDown')).toBeUndefined();
    expect(of('1.3.6.1.4.1.99999.0.1')).toBeUndefined();
    expect(of('ospfNbrStateChange', { 'ospfNbrState.10.0.0.1.0': 77 })).toBeUndefined();
    expect(of('ospfNbrStateChange')).toBeUndefined();
    expect(of('isisAdjacencyChange', { 'isisAdjState.0': 1 })).toBeUndefined();
  });

  it('two interfaces and two kinds have different ids', () => {
    const ids = [
      of('linkDown', { 'ifIndex.7': 7 }),
      of('linkDown', { 'ifIndex.8': 8 }),
      of('risingAlarm', { 'alarmIndex.7': 7 }),
      of('coldStart'),
      of('newRoot'),
    ].map((a) => a!.id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('an operator’s rules', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tidegate-alarms-'));
  afterAll(() => rmSync(dir, { recursive: true }));
  const load = (text: string) => {
    const file = join(dir, 'alarms.yaml');
    writeFileSync(file, text);
    return loadAlarms(file);
  };
  const RULE = 'kind: x, object: y, event_type: equipmentAlarm, probable_cause: powerProblem';

  it('come first; by OID and by MODULE::name; by number, label and text', () => {
    const { rules, problems } = load(`
rules:
  - {on: [IF-MIB::linkDown], when: {ifOperStatus: [lowerLayerDown]}, state: none}
  - {on: [1.3.6.1.4.1.99999.0.1], when: {ifDescr: [eth0], ifAdminStatus: [2]}, state: raised, severity: critical, ${RULE}}
`);
    expect(problems).toEqual([]);
    const own = new Alarms(rules, names);
    expect(own.of(notification('linkDown', { 'ifIndex.1': 1, 'ifOperStatus.1': 7 }), 'r1')).toBeUndefined();
    expect(own.of(notification('linkDown', { 'ifIndex.1': 1, 'ifOperStatus.1': 2 }), 'r1')?.perceived_severity).toBe(
      'major',
    );
    const trap = '1.3.6.1.4.1.99999.0.1';
    expect(own.of(notification(trap, { 'ifDescr.5': 'eth0', 'ifAdminStatus.5': 2 }), 'r1')).toMatchObject({
      perceived_severity: 'critical',
      managed_object: 'y=5',
    });
    expect(own.of(notification(trap, { 'ifDescr.5': 'eth1', 'ifAdminStatus.5': 2 }), 'r1')).toBeUndefined();
  });

  it('of a notification met before: a value that varies is read each time, the rest once', () => {
    const { rules } = load(`
rules:
  - {on: [1.3.6.1.4.1.99999.0.1], when: {ifMtu: [9000]}, state: raised, severity: minor, value_of: [ifSpeed], ${RULE}}
  - {on: [1.3.6.1.4.1.99999.0.2], state: raised, severity: minor, value_of: [ifMtu], ${RULE}}
`);
    const own = new Alarms(rules, names);
    const met = (trap: string, varying: boolean[]) => {
      const n = notification(trap, { 'ifMtu.5': 9000, 'ifSpeed.5': 1 });
      n.memo = new NotificationMemo(varying);
      return n;
    };
    const first = met('1.3.6.1.4.1.99999.0.1', [false, true]);
    for (const speed of [1, 2, 3]) {
      first.varbinds[1].value = speed;
      expect(own.of(first, 'r1')?.managed_object).toBe(`y=${speed}`);
    }
    const other = met('1.3.6.1.4.1.99999.0.1', [true, true]);
    for (const mtu of [9000, 1500, 9000]) {
      other.varbinds[0].value = mtu;
      expect(own.of(other, 'r1') === undefined).toBe(mtu === 1500);
    }
    const steady = met('1.3.6.1.4.1.99999.0.2', [false, true]);
    const alarm = own.find(steady, 'r1');
    expect(alarm?.alarm.managed_object).toBe('y=9000');
    expect(own.find(steady, 'r1')).toBe(alarm);
    expect(own.of(steady, 'r2')?.id).not.toBe(alarm!.alarm.id);
    // Other rules judge for themselves.
    expect(new Alarms([], names).of(steady, 'r1')).toBeUndefined();
    expect(own.find(steady, 'r1')).toBe(alarm);
  });

  it('`builtin: false` leaves them alone', () => {
    expect(load('builtin: false\nrules: []\n').rules).toEqual([]);
    expect(load('').rules).toEqual(builtin.rules);
  });

  it.each([
    [
      `rules:\n  - on: [linkDown]\n    state: broken\n`,
      /alarms.yaml:3: rules.0.state: .*allowed: raised, cleared, event, none/,
    ],
    [
      `rules:\n  - on: [linkDown]\n    state: none\n    serverity: minor\n`,
      /alarms.yaml:4: .*unknown key `serverity`; did you mean `severity`/,
    ],
    [`rules:\n  - on: []\n    state: none\n`, /alarms.yaml:2: rules.0.on/],
    [`rules:\n  - on: ["a b"]\n    state: none\n`, /alarms.yaml:2: rules.0.on.0: .*a notification/],
    [`rules:\n\n  - {on: [a], state: raised, ${RULE}}\n`, /alarms.yaml:3: .*severity/],
    [`rules:\n  - {on: [a], state: cleared}\n`, /alarms.yaml:2: .*kind/],
    [`rules:\n  - {on: [a], state: cleared, severity: minor, ${RULE}}\n`, /alarms.yaml:2: rules.0.severity/],
    [
      `rules:\n  - {on: [a], state: event, severity: minor, kind: x, event_type: equipmentAlarm,\n     probable_cause: powrProblem}\n`,
      /alarms.yaml:3: rules.0.probable_cause: .*powerProblem/,
    ],
    ['rules: [\n', /alarms.yaml:\d+: not valid YAML/],
  ])('a wrong file is refused with its line: %j', (text, message) => {
    const { rules, problems } = load(text);
    expect(rules).toEqual([]);
    expect(problems.map(formatProblem).join('\n')).toMatch(message);
  });
});
