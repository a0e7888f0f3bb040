/**
 * Types below all modules: what SMI itself has (RFC 2578 section 7.1, RFC 1155 section 3.2.3), and the textual conventions that nearly
 * every module needs (RFC 2579, 2856, 2863, 3411, 4001, 4502), so that a folder of vendors' modules compiles without the base modules.
 */
import type { MibType } from './model.ts';

/** By the name that stands in a SYNTAX clause. */
export const BASE_TYPES: Readonly<Record<string, MibType>> = {
  INTEGER: { base: 'integer' },
  Integer32: { base: 'integer' },
  Unsigned32: { base: 'unsigned' },
  UInteger32: { base: 'unsigned' },
  Gauge32: { base: 'unsigned' },
  Gauge: { base: 'unsigned' },
  Counter32: { base: 'counter32' },
  Counter: { base: 'counter32' },
  Counter64: { base: 'counter64' },
  TimeTicks: { base: 'timeticks' },
  'OCTET STRING': { base: 'octets' },
  'OBJECT IDENTIFIER': { base: 'oid' },
  IpAddress: { base: 'ip-address' },
  NetworkAddress: { base: 'network-address' },
  Opaque: { base: 'opaque' },
  BITS: { base: 'bits' },
  'BIT STRING': { base: 'bits' },
  ObjectName: { base: 'oid' },
  NotificationName: { base: 'oid' },
};

const octets = (tc: string, hint?: string, size?: number): MibType => ({
  base: 'octets',
  tc,
  ...(hint === undefined ? {} : { hint }),
  ...(size === undefined ? {} : { size }),
});
const labels = (tc: string, text: string, from = 1): MibType => ({
  base: 'integer',
  tc,
  values: Object.fromEntries(text.split(' ').map((l, i) => [from + i, l])),
});

const LIST: MibType[] = [
  // RFC 2579
  octets('DisplayString', '255a'),
  octets('PhysAddress', '1x:'),
  octets('MacAddress', '1x:', 6),
  labels('TruthValue', 'true false'),
  { base: 'integer', tc: 'TestAndIncr' },
  { base: 'oid', tc: 'AutonomousType' },
  { base: 'oid', tc: 'InstancePointer' },
  { base: 'oid', tc: 'VariablePointer' },
  { base: 'oid', tc: 'RowPointer' },
  labels('RowStatus', 'active notInService notReady createAndGo createAndWait destroy'),
  { base: 'timeticks', tc: 'TimeStamp' },
  { base: 'integer', tc: 'TimeInterval' },
  octets('DateAndTime', '2d-1d-1d,1d:1d:1d.1d,1a1d:1d'),
  labels('StorageType', 'other volatile nonVolatile permanent readOnly'),
  { base: 'oid', tc: 'TDomain' },
  octets('TAddress'),
  // RFC 3411, 3413, 3415
  octets('SnmpAdminString', '255t'),
  octets('SnmpEngineID'),
  { base: 'integer', tc: 'SnmpSecurityModel' },
  { base: 'integer', tc: 'SnmpMessageProcessingModel' },
  labels('SnmpSecurityLevel', 'noAuthNoPriv authNoPriv authPriv'),
  octets('SnmpTagValue', '255t'),
  octets('SnmpTagList', '255t'),
  // RFC 4001
  {
    base: 'integer',
    tc: 'InetAddressType',
    values: { 0: 'unknown', 1: 'ipv4', 2: 'ipv6', 3: 'ipv4z', 4: 'ipv6z', 16: 'dns' },
  },
  octets('InetAddress'),
  octets('InetAddressIPv4', '1d.1d.1d.1d', 4),
  octets('InetAddressIPv6', '2x:2x:2x:2x:2x:2x:2x:2x', 16),
  octets('InetAddressIPv4z', '1d.1d.1d.1d%4d', 8),
  octets('InetAddressIPv6z', '2x:2x:2x:2x:2x:2x:2x:2x%4d', 20),
  octets('InetAddressDNS', '255a'),
  { base: 'unsigned', tc: 'InetAddressPrefixLength', hint: 'd' },
  { base: 'unsigned', tc: 'InetPortNumber', hint: 'd' },
  { base: 'unsigned', tc: 'InetAutonomousSystemNumber', hint: 'd' },
  { base: 'unsigned', tc: 'InetScopeType' },
  { base: 'unsigned', tc: 'InetZoneIndex', hint: 'd' },
  labels('InetVersion', 'unknown ipv4 ipv6', 0),
  // RFC 2863, 2021, 4133, 4188, 2737
  { base: 'integer', tc: 'InterfaceIndex', hint: 'd' },
  { base: 'integer', tc: 'InterfaceIndexOrZero', hint: 'd' },
  octets('OwnerString', '255a'),
  { base: 'timeticks', tc: 'TimeFilter' },
  { base: 'integer', tc: 'PhysicalIndex', hint: 'd' },
  octets('BridgeId', undefined, 8),
  octets('Utf8String', '65535t'),
  // RFC 2856, 4502
  { base: 'counter64', tc: 'CounterBasedGauge64' },
  { base: 'counter64', tc: 'ZeroBasedCounter64' },
  { base: 'unsigned', tc: 'ZeroBasedCounter32' },
];

export const WELL_KNOWN_TYPES: Readonly<Record<string, MibType>> = Object.fromEntries(LIST.map((t) => [t.tc, t]));
