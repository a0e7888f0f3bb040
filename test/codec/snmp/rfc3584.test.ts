import { describe, expect, it } from 'vitest';
import type { TrapV1Pdu, VarBind } from '../../../src/codec/snmp/message.ts';
import { notificationOf, trapOidOfV1, v1ToV2 } from '../../../src/codec/snmp/rfc3584.ts';

const bind = (oid: string, type: VarBind['type'], value: VarBind['value']): VarBind => ({
  oid,
  type,
  value,
  start: 0,
  end: 0,
});
const ADDRESS = '1.3.6.1.6.3.18.1.3.0';
const COMMUNITY = '1.3.6.1.6.3.18.1.4.0';
const ENTERPRISE = '1.3.6.1.6.3.1.1.4.3.0';

const trap = (more: Partial<TrapV1Pdu> = {}): TrapV1Pdu => ({
  ok: true,
  pdu: 'trap-v1',
  enterprise: '1.3.6.1.4.1.9.1.5',
  agentAddress: '192.0.2.1',
  genericTrap: 6,
  specificTrap: 3,
  timestamp: 77,
  varbinds: [],
  varbindsOffset: 0,
  ...more,
});

describe('RFC 3584 section 3.1', () => {
  it.each([
    [0, 0, '1.3.6.1.6.3.1.1.5.1'],
    [1, 0, '1.3.6.1.6.3.1.1.5.2'],
    [2, 9, '1.3.6.1.6.3.1.1.5.3'],
    [3, 0, '1.3.6.1.6.3.1.1.5.4'],
    [4, 0, '1.3.6.1.6.3.1.1.5.5'],
    [5, 0, '1.3.6.1.6.3.1.1.5.6'],
    [6, 0, '1.3.6.1.4.1.9.1.5.0.0'],
    [6, 3, '1.3.6.1.4.1.9.1.5.0.3'],
    [6, 2147483647, '1.3.6.1.4.1.9.1.5.0.2147483647'],
    [6, -1, '1.3.6.1.4.1.9.1.5.0.4294967295'],
  ])('generic %i specific %i → %s', (genericTrap, specificTrap, oid) => {
    expect(trapOidOfV1(trap({ genericTrap, specificTrap }))).toBe(oid);
  });

  it('puts sysUpTime.0 and snmpTrapOID.0 first and appends address and enterprise, never the community', () => {
    expect(v1ToV2(trap({ varbinds: [bind('1.3.6', 'integer32', 1)] }))).toEqual([
      { oid: '1.3.6.1.2.1.1.3.0', type: 'timeticks', value: 77 },
      { oid: '1.3.6.1.6.3.1.1.4.1.0', type: 'oid', value: '1.3.6.1.4.1.9.1.5.0.3' },
      { oid: '1.3.6', type: 'integer32', value: 1 },
      { oid: ADDRESS, type: 'ip-address', value: '192.0.2.1' },
      { oid: ENTERPRISE, type: 'oid', value: '1.3.6.1.4.1.9.1.5' },
    ]);
  });

  it('appends nothing the list has already', () => {
    const own = [
      bind(ENTERPRISE, 'oid', '1.3.6.1.4.1.1'),
      bind(COMMUNITY, 'octet-string', Buffer.from('secret')),
      bind(ADDRESS, 'ip-address', '198.51.100.1'),
    ];
    const list = v1ToV2(trap({ varbinds: own })).slice(2);
    expect(list.map((v) => [v.oid, v.value])).toEqual([
      [ENTERPRISE, '1.3.6.1.4.1.1'],
      [ADDRESS, '198.51.100.1'],
    ]);
  });
});

describe('a notification in the terms of v2', () => {
  const v2 = (varbinds: VarBind[]): ReturnType<typeof notificationOf> =>
    notificationOf({
      ok: true,
      pdu: 'trap',
      requestId: 1,
      errorStatus: 0,
      errorIndex: 0,
      varbinds,
      requestIdOffset: 0,
      errorStatusOffset: 0,
      varbindsOffset: 0,
    });
  const uptime = bind('1.3.6.1.2.1.1.3.0', 'timeticks', 5);
  const trapOid = bind('1.3.6.1.6.3.1.1.4.1.0', 'oid', '1.3.6.1.6.3.1.1.5.1');

  it('takes the first two out of the list, wherever they stand, and once', () => {
    const other = bind('1.3.6.1', 'null', undefined);
    expect(v2([uptime, trapOid, other])).toMatchObject({ uptime: 5, trapOid: trapOid.value, varbinds: [other] });
    expect(v2([other, trapOid, uptime])).toMatchObject({ uptime: 5, trapOid: trapOid.value, varbinds: [other] });
    expect(v2([uptime, trapOid, uptime])?.varbinds).toEqual([uptime]);
    expect(v2([trapOid])).toMatchObject({ uptime: undefined, varbinds: [] });
  });

  it('without snmpTrapOID.0 is none', () => {
    expect(v2([uptime])).toBeUndefined();
    expect(v2([bind('1.3.6.1.6.3.1.1.4.1.0', 'integer32', 1)])).toBeUndefined();
  });

  it('knows no agent address where it is 0.0.0.0', () => {
    expect(notificationOf(trap({ agentAddress: '0.0.0.0' }))?.agentAddress).toBeUndefined();
    expect(notificationOf(trap())?.agentAddress).toBe('192.0.2.1');
    expect(v2([trapOid, bind(ADDRESS, 'ip-address', '198.51.100.1')])?.trapAddress).toBe('198.51.100.1');
  });

  it('never shows a community', () => {
    const community = bind(COMMUNITY, 'octet-string', Buffer.from('secret'));
    expect(v2([uptime, trapOid, community])?.varbinds).toEqual([]);
    expect(notificationOf(trap({ varbinds: [community] }))?.varbinds).toEqual([]);
  });
});
