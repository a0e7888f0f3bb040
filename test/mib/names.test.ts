import { describe, expect, it } from 'vitest';
import { builtinNaming } from '../../src/mib/builtin.ts';
import { builtinModules, parseFacts } from '../../src/mib/facts.ts';

const { names } = builtinNaming();

describe('built-in facts', () => {
  it.each([
    ['1.3.6.1.2.1.2.2.1.8.12', 'IF-MIB::ifOperStatus.12'],
    ['1.3.6.1.2.1.15.3.1.2.192.0.2.1', 'BGP4-MIB::bgpPeerState.192.0.2.1'],
    ['1.3.6.1.2.1.1.3.0', 'SNMPv2-MIB::sysUpTime.0'],
    ['1.3.6.1.2.1.31.1.1.1.1.7', 'IF-MIB::ifName.7'],
    ['1.3.6.1.2.1.14.10.1.6.10.0.0.1.0', 'OSPF-MIB::ospfNbrState.10.0.0.1.0'],
    [
      '1.3.6.1.2.1.14.4.1.3.0.0.0.0.5.10.0.0.0.10.1.1.1',
      'OSPF-MIB::ospfLsdbLsid.0.0.0.0.asExternalLink.10.0.0.0.10.1.1.1',
    ],
    ['1.3.6.1.4.1.9.9.187.1.2.5.1.3.1.4.192.0.2.1', 'CISCO-BGP4-MIB::cbgpPeer2State.ipv4."192.0.2.1"'],
    // Below what is known: the deepest name, and numbers.
    ['1.3.6.1.2.1.2.2.1.80.3', 'IF-MIB::ifEntry.80.3'],
    ['1.3.6.1.4.1.99999.1.1', 'SNMPv2-SMI::enterprises.99999.1.1'],
    ['1.3.6.1.4.1.2636.3.9', 'JUNIPER-SMI::jnxMibs.9'],
    ['1.0.8802.1.1.2.5', 'LLDP-MIB::lldpMIB.5'],
    ['1.0.9', 'iso.0.9'],
  ])('%s is %s', (oid, name) => expect(names.object(oid)?.name).toBe(name));

  it('a root without a name is none, and neither is what is no OID', () => {
    for (const oid of ['3', '', 'constructor', '1x'])
      expect(names.object(oid)?.name ?? '').not.toMatch(/undefined|NaN/);
    expect(names.object('5.1')).toBeUndefined();
  });

  it.each([
    ['1.3.6.1.6.3.1.1.5.4', 'IF-MIB::linkUp'],
    ['1.3.6.1.2.1.15.7.2', 'BGP4-MIB::bgpBackwardTransition'],
    // As a v1 trap of enterprise bgpTraps maps to (RFC 3584 section 3.1).
    ['1.3.6.1.2.1.15.7.0.2', 'BGP4-MIB::bgpBackwardTransition'],
    ['1.3.6.1.2.1.14.16.2.0.2', 'OSPF-TRAP-MIB::ospfNbrStateChange'],
    ['1.0.8802.1.1.2.0.0.1', 'LLDP-MIB::lldpRemTablesChange'],
    ['1.3.6.1.4.1.8072.2.3.0.1', 'NET-SNMP-EXAMPLES-MIB::netSnmpExampleHeartbeatNotification'],
    ['1.3.6.1.6.3.1.1.5', undefined],
    ['1.3.6.1.2.1.2.2.1.8', undefined],
    ['constructor', undefined],
  ])('the notification %s is %s', (oid, name) => expect(names.trap(oid)).toBe(name));

  it('every notification is where its module says, and names objects with a type', () => {
    const { table } = names;
    let seen = 0;
    for (const m of builtinModules())
      for (const n of m.nodes) {
        if (n.kind !== 'notification') continue;
        seen++;
        expect(table.oid(table.exact(n.oid))).toBe(n.oid);
        for (const o of table.text.notifications[table.exact(n.oid)] ?? []) expect(table.type(o), n.name).toBeDefined();
      }
    expect(seen).toBeGreaterThan(100);
  });

  it('no OID and no name of a module stands twice', () => {
    const oids = new Set<string>();
    for (const m of builtinModules())
      for (const n of m.nodes) {
        expect(oids.has(n.oid), `${n.oid} ${n.name}`).toBe(false);
        oids.add(n.oid);
      }
  });

  it('wrong facts are found when they are read', () => {
    expect(() => parseFacts('@A\nx nowhere.1')).toThrow(/nowhere is not there/);
    expect(() => parseFacts('@A\nx iso.1 Strange')).toThrow(/Strange is no type/);
  });
});
