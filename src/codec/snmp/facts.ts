/**
 * Names and numbers of the notifications every network sees, and of the objects they carry: facts of the standard MIB modules
 * (RFC 3418, 2863, 4273, 4750, 6933, 4268, 3433, 4188, 2981, 2819, 2787, 1628, 3812, 4382, IEEE 802.1AB) and of Net-SNMP's own.
 */

/** OID → name. Looked up exactly. */
export const NOTIFICATIONS: Readonly<Record<string, string>> = {
  '1.3.6.1.6.3.1.1.5.1': 'SNMPv2-MIB::coldStart',
  '1.3.6.1.6.3.1.1.5.2': 'SNMPv2-MIB::warmStart',
  '1.3.6.1.6.3.1.1.5.3': 'IF-MIB::linkDown',
  '1.3.6.1.6.3.1.1.5.4': 'IF-MIB::linkUp',
  '1.3.6.1.6.3.1.1.5.5': 'SNMPv2-MIB::authenticationFailure',
  '1.3.6.1.6.3.1.1.5.6': 'RFC1213-MIB::egpNeighborLoss',
  '1.3.6.1.2.1.15.0.1': 'BGP4-MIB::bgpEstablishedNotification',
  '1.3.6.1.2.1.15.0.2': 'BGP4-MIB::bgpBackwardTransNotification',
  '1.3.6.1.2.1.15.7.1': 'BGP4-MIB::bgpEstablished',
  '1.3.6.1.2.1.15.7.2': 'BGP4-MIB::bgpBackwardTransition',
  // The same two as a v1 trap of enterprise bgpTraps maps to (RFC 3584 section 3.1).
  '1.3.6.1.2.1.15.7.0.1': 'BGP4-MIB::bgpEstablished',
  '1.3.6.1.2.1.15.7.0.2': 'BGP4-MIB::bgpBackwardTransition',
  '1.3.6.1.2.1.14.16.2.1': 'OSPF-TRAP-MIB::ospfVirtIfStateChange',
  '1.3.6.1.2.1.14.16.2.2': 'OSPF-TRAP-MIB::ospfNbrStateChange',
  '1.3.6.1.2.1.14.16.2.3': 'OSPF-TRAP-MIB::ospfVirtNbrStateChange',
  '1.3.6.1.2.1.14.16.2.4': 'OSPF-TRAP-MIB::ospfIfConfigError',
  '1.3.6.1.2.1.14.16.2.5': 'OSPF-TRAP-MIB::ospfVirtIfConfigError',
  '1.3.6.1.2.1.14.16.2.6': 'OSPF-TRAP-MIB::ospfIfAuthFailure',
  '1.3.6.1.2.1.14.16.2.7': 'OSPF-TRAP-MIB::ospfVirtIfAuthFailure',
  '1.3.6.1.2.1.14.16.2.8': 'OSPF-TRAP-MIB::ospfIfRxBadPacket',
  '1.3.6.1.2.1.14.16.2.9': 'OSPF-TRAP-MIB::ospfVirtIfRxBadPacket',
  '1.3.6.1.2.1.14.16.2.10': 'OSPF-TRAP-MIB::ospfTxRetransmit',
  '1.3.6.1.2.1.14.16.2.11': 'OSPF-TRAP-MIB::ospfVirtIfTxRetransmit',
  '1.3.6.1.2.1.14.16.2.12': 'OSPF-TRAP-MIB::ospfOriginateLsa',
  '1.3.6.1.2.1.14.16.2.13': 'OSPF-TRAP-MIB::ospfMaxAgeLsa',
  '1.3.6.1.2.1.14.16.2.14': 'OSPF-TRAP-MIB::ospfLsdbOverflow',
  '1.3.6.1.2.1.14.16.2.15': 'OSPF-TRAP-MIB::ospfLsdbApproachingOverflow',
  '1.3.6.1.2.1.14.16.2.16': 'OSPF-TRAP-MIB::ospfIfStateChange',
  '1.3.6.1.2.1.14.16.2.17': 'OSPF-TRAP-MIB::ospfNssaTranslatorStatusChange',
  '1.3.6.1.2.1.14.16.2.18': 'OSPF-TRAP-MIB::ospfRestartStatusChange',
  '1.3.6.1.2.1.14.16.2.19': 'OSPF-TRAP-MIB::ospfNbrRestartHelperStatusChange',
  '1.3.6.1.2.1.14.16.2.20': 'OSPF-TRAP-MIB::ospfVirtNbrRestartHelperStatusChange',
  '1.3.6.1.2.1.47.2.0.1': 'ENTITY-MIB::entConfigChange',
  '1.3.6.1.2.1.131.0.1': 'ENTITY-STATE-MIB::entStateOperEnabled',
  '1.3.6.1.2.1.131.0.2': 'ENTITY-STATE-MIB::entStateOperDisabled',
  '1.3.6.1.2.1.17.0.1': 'BRIDGE-MIB::newRoot',
  '1.3.6.1.2.1.17.0.2': 'BRIDGE-MIB::topologyChange',
  '1.3.6.1.2.1.88.2.0.1': 'DISMAN-EVENT-MIB::mteTriggerFired',
  '1.3.6.1.2.1.88.2.0.2': 'DISMAN-EVENT-MIB::mteTriggerRising',
  '1.3.6.1.2.1.88.2.0.3': 'DISMAN-EVENT-MIB::mteTriggerFalling',
  '1.3.6.1.2.1.88.2.0.4': 'DISMAN-EVENT-MIB::mteTriggerFailure',
  '1.3.6.1.2.1.88.2.0.5': 'DISMAN-EVENT-MIB::mteEventSetFailure',
  '1.3.6.1.2.1.16.0.1': 'RMON-MIB::risingAlarm',
  '1.3.6.1.2.1.16.0.2': 'RMON-MIB::fallingAlarm',
  '1.3.6.1.2.1.68.0.1': 'VRRP-MIB::vrrpTrapNewMaster',
  '1.3.6.1.2.1.68.0.2': 'VRRP-MIB::vrrpTrapAuthFailure',
  '1.3.6.1.2.1.33.2.1': 'UPS-MIB::upsTrapOnBattery',
  '1.3.6.1.2.1.33.2.2': 'UPS-MIB::upsTrapTestCompleted',
  '1.3.6.1.2.1.33.2.3': 'UPS-MIB::upsTrapAlarmEntryAdded',
  '1.3.6.1.2.1.33.2.4': 'UPS-MIB::upsTrapAlarmEntryRemoved',
  '1.3.6.1.2.1.10.166.3.0.1': 'MPLS-TE-STD-MIB::mplsTunnelUp',
  '1.3.6.1.2.1.10.166.3.0.2': 'MPLS-TE-STD-MIB::mplsTunnelDown',
  '1.3.6.1.2.1.10.166.11.0.1': 'MPLS-L3VPN-STD-MIB::mplsL3VpnVrfUp',
  '1.3.6.1.2.1.10.166.11.0.2': 'MPLS-L3VPN-STD-MIB::mplsL3VpnVrfDown',
  '1.0.8802.1.1.2.0.0.1': 'LLDP-MIB::lldpRemTablesChange',
  '1.3.6.1.4.1.8072.4.0.1': 'NET-SNMP-AGENT-MIB::nsNotifyStart',
  '1.3.6.1.4.1.8072.4.0.2': 'NET-SNMP-AGENT-MIB::nsNotifyShutdown',
  '1.3.6.1.4.1.8072.4.0.3': 'NET-SNMP-AGENT-MIB::nsNotifyRestart',
  '1.3.6.1.4.1.8072.2.3.0.1': 'NET-SNMP-EXAMPLES-MIB::netSnmpExampleHeartbeatNotification',
};

/** Enumerations, by number. */
export type Enum = Readonly<Record<number, string>>;

const numbered = (names: string): Enum => Object.fromEntries(names.split(' ').map((n, i) => [i + 1, n]));

const ADMIN_STATUS = numbered('up down testing');
const OPER_STATUS = numbered('up down testing unknown dormant notPresent lowerLayerDown');
const TRUTH = numbered('true false');
const ENABLED = numbered('enabled disabled');

/** One object: a column or a scalar. `hex`: octets that are no text even where they look like it. */
export interface ObjectFact {
  name: string;
  values?: Enum;
  hex?: boolean;
}

/** Prefix of a module's table → module and, by last arc, its objects. */
const TABLES: [prefix: string, module: string, objects: Record<number, string | ObjectFact>][] = [
  [
    '1.3.6.1.2.1.1',
    'SNMPv2-MIB',
    {
      1: 'sysDescr',
      2: 'sysObjectID',
      3: 'sysUpTime',
      4: 'sysContact',
      5: 'sysName',
      6: 'sysLocation',
      7: 'sysServices',
    },
  ],
  ['1.3.6.1.6.3.1.1.4', 'SNMPv2-MIB', { 1: 'snmpTrapOID', 3: 'snmpTrapEnterprise' }],
  ['1.3.6.1.6.3.18.1', 'SNMP-COMMUNITY-MIB', { 3: 'snmpTrapAddress' }],
  [
    '1.3.6.1.2.1.2.2.1',
    'IF-MIB',
    {
      1: 'ifIndex',
      2: 'ifDescr',
      3: 'ifType',
      4: 'ifMtu',
      5: 'ifSpeed',
      6: { name: 'ifPhysAddress', hex: true },
      7: { name: 'ifAdminStatus', values: ADMIN_STATUS },
      8: { name: 'ifOperStatus', values: OPER_STATUS },
      9: 'ifLastChange',
      10: 'ifInOctets',
      11: 'ifInUcastPkts',
      13: 'ifInDiscards',
      14: 'ifInErrors',
      16: 'ifOutOctets',
      17: 'ifOutUcastPkts',
      19: 'ifOutDiscards',
      20: 'ifOutErrors',
    },
  ],
  [
    '1.3.6.1.2.1.31.1.1.1',
    'IF-MIB',
    {
      1: 'ifName',
      6: 'ifHCInOctets',
      10: 'ifHCOutOctets',
      14: { name: 'ifLinkUpDownTrapEnable', values: ENABLED },
      15: 'ifHighSpeed',
      16: { name: 'ifPromiscuousMode', values: TRUTH },
      17: { name: 'ifConnectorPresent', values: TRUTH },
      18: 'ifAlias',
    },
  ],
  [
    '1.3.6.1.2.1.15.3.1',
    'BGP4-MIB',
    {
      1: 'bgpPeerIdentifier',
      2: { name: 'bgpPeerState', values: numbered('idle connect active opensent openconfirm established') },
      3: { name: 'bgpPeerAdminStatus', values: numbered('stop start') },
      5: 'bgpPeerLocalAddr',
      7: 'bgpPeerRemoteAddr',
      9: 'bgpPeerRemoteAs',
      14: { name: 'bgpPeerLastError', hex: true },
      16: 'bgpPeerFsmEstablishedTime',
    },
  ],
  ['1.3.6.1.2.1.14.1', 'OSPF-MIB', { 1: 'ospfRouterId' }],
  [
    '1.3.6.1.2.1.14.7.1',
    'OSPF-MIB',
    {
      1: 'ospfIfIpAddress',
      2: 'ospfAddressLessIf',
      12: {
        name: 'ospfIfState',
        values: numbered(
          'down loopback waiting pointToPoint designatedRouter backupDesignatedRouter otherDesignatedRouter',
        ),
      },
    },
  ],
  [
    '1.3.6.1.2.1.14.10.1',
    'OSPF-MIB',
    {
      1: 'ospfNbrIpAddr',
      2: 'ospfNbrAddressLessIndex',
      3: 'ospfNbrRtrId',
      6: { name: 'ospfNbrState', values: numbered('down attempt init twoWay exchangeStart exchange loading full') },
    },
  ],
  [
    '1.3.6.1.2.1.14.16.1',
    'OSPF-TRAP-MIB',
    {
      3: {
        name: 'ospfPacketType',
        values: numbered('hello dbDescript lsReq lsUpdate lsAck nullPacket'),
      },
      4: 'ospfPacketSrc',
    },
  ],
  [
    '1.3.6.1.2.1.47.1.1.1.1',
    'ENTITY-MIB',
    { 2: 'entPhysicalDescr', 7: 'entPhysicalName', 11: 'entPhysicalSerialNum', 13: 'entPhysicalModelName' },
  ],
  [
    '1.3.6.1.2.1.99.1.1.1',
    'ENTITY-SENSOR-MIB',
    {
      4: 'entPhySensorValue',
      5: { name: 'entPhySensorOperStatus', values: numbered('ok unavailable nonoperational') },
    },
  ],
  [
    '1.3.6.1.2.1.131.1.1.1',
    'ENTITY-STATE-MIB',
    {
      2: { name: 'entStateAdmin', values: numbered('unknown locked shuttingDown unlocked') },
      3: { name: 'entStateOper', values: numbered('unknown disabled enabled testing') },
    },
  ],
  ['1.3.6.1.2.1.17.1.4.1', 'BRIDGE-MIB', { 1: 'dot1dBasePort', 2: 'dot1dBasePortIfIndex' }],
  [
    '1.3.6.1.2.1.17.2.15.1',
    'BRIDGE-MIB',
    {
      1: 'dot1dStpPort',
      3: { name: 'dot1dStpPortState', values: numbered('disabled blocking listening learning forwarding broken') },
    },
  ],
  [
    '1.3.6.1.2.1.88.2.1',
    'DISMAN-EVENT-MIB',
    {
      1: 'mteHotTrigger',
      2: 'mteHotTargetName',
      3: 'mteHotContextName',
      4: 'mteHotOID',
      5: 'mteHotValue',
      6: 'mteFailedReason',
    },
  ],
  [
    '1.3.6.1.2.1.16.3.1.1',
    'RMON-MIB',
    {
      1: 'alarmIndex',
      3: 'alarmVariable',
      4: { name: 'alarmSampleType', values: numbered('absoluteValue deltaValue') },
      5: 'alarmValue',
      7: 'alarmRisingThreshold',
      8: 'alarmFallingThreshold',
    },
  ],
  ['1.3.6.1.4.1.8072.2.3.2', 'NET-SNMP-EXAMPLES-MIB', { 1: 'netSnmpExampleHeartbeatRate' }],
];

/** OID of the object without instance → what is known of it. */
export const OBJECTS: ReadonlyMap<string, ObjectFact> = new Map(
  TABLES.flatMap(([prefix, module, objects]) =>
    Object.entries(objects).map(([arc, o]): [string, ObjectFact] => {
      const fact = typeof o === 'string' ? { name: o } : o;
      return [`${prefix}.${arc}`, { ...fact, name: `${module}::${fact.name}` }];
    }),
  ),
);
