/**
 * The JSON of the ONAP SNMP trap collector 1.3.0, with its keys in its order and its JSON types.
 *
 * What it takes from its surroundings is made from the event, so that a repeated delivery is equal: `uuid` is a hash of the event's id,
 * `epoch_serno` counts with `rx.seq`. `agent name` is the device's name; ONAP asks the DNS. Of a v1 trap without agent-addr the source stands
 * where ONAP has 0.0.0.0.
 */
import { createHash } from 'node:crypto';
import { octetsOf, SNMP_TRAP_ADDRESS, SNMP_TRAP_ENTERPRISE, type TrapEvent, type TrapVarBind } from './trap.ts';

/** The topic ONAP consumers read. */
export const ONAP_CATEGORY = 'unauthenticated.ONAP-COLLECTOR-SNMPTRAP';

/**
 * Its names for pysnmp's classes; a class it does not know is an `octet`. So is an integer of SNMPv1: pysnmp makes SNMPv2's of it, of another
 * class than one that came so.
 */
const TYPES: Record<string, string> = {
  integer32: 'integer',
  unsigned32: 'unsigned',
  gauge32: 'unsigned',
  counter32: 'counter32',
  'octet-string': 'octet',
  null: 'null',
  oid: 'oid',
  timeticks: 'timeticks',
  'ip-address': 'ipaddress',
  bits: 'bits',
};

export function onap(e: TrapEvent): string {
  const d = e.data;
  const arrived = Math.round(e.sec + e.nsec / 1e9);
  const source = d.source.address;
  const agent = d.agent_address ?? d.trap_address ?? source;
  const nameOf = (address: string): string => (address === source ? d.device.name : address);
  const out: Record<string, unknown> = {
    epoch_arrived: arrived,
    epoch_serno: arrived * 10_000 + (d.rx.seq % 10_000),
    uuid: uuid(e.id),
    'agent address': agent,
    'agent name': nameOf(agent),
    'pdu agent address': source,
    'pdu agent name': nameOf(source),
    'cambria.partition': nameOf(source),
    community: '',
    'community len': 0,
    'protocol version': d.version,
    'time received': arrived,
    'trap category': ONAP_CATEGORY,
    'notify OID': `.${d.trap_oid}`,
    'notify OID len': d.trap_oid.split('.').length,
  };
  const varbinds: object[] = [];
  for (const v of d.varbinds) {
    if (v.oid === SNMP_TRAP_ADDRESS || (d.version === 'v1' && v.oid === SNMP_TRAP_ENTERPRISE)) continue;
    varbinds.push({ varbind_oid: `.${v.oid}`, varbind_type: typeOf(v, d.version), varbind_value: textOf(v) });
  }
  if (varbinds.length > 0) out.varbinds = varbinds;
  return JSON.stringify(out);
}

function typeOf(v: TrapVarBind, version: string): string {
  return (version === 'v1' && v.type === 'integer32' ? undefined : TYPES[v.type]) ?? 'octet';
}

/** As pysnmp prints it: octets that are not all printable ASCII, without tab and line feed, in hex. */
function textOf(v: TrapVarBind): string {
  if (v.type !== 'octet-string') return String(v.value ?? '');
  const b = octetsOf(v.value);
  return b.every((c) => c >= 0x20 && c < 0x7f) ? b.toString('latin1') : `0x${b.toString('hex')}`;
}

/** A UUID of version 8 (RFC 9562 section 5.8). */
function uuid(id: string): string {
  const b = createHash('sha256').update(`onap\n${id}`).digest().subarray(0, 16);
  b[6] = (b[6] & 0x0f) | 0x80;
  b[8] = (b[8] & 0x3f) | 0x80;
  const h = b.toString('hex');
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`;
}
