/**
 * A notification of the spool as SNMP again.
 *
 *   to v2c, v3   sysUpTime.0, snmpTrapOID.0, the varbinds, and where they are not among them (RFC 3584 section 3.1 and 4.2):
 *                snmpTrapAddress.0 (agent-addr, else the IPv4 source), snmpTrapEnterprise.0 (of a v1 trap)
 *   to v1        RFC 3584 section 3.2; varbinds of type Counter64, which v1 has not, are left out and counted
 *   both         snmpTrapCommunity.0 is never sent; one more snmpTrapAddress.N with our mark, by which we know what we have relayed
 */
import { encodeMessage, type VarBindInput } from '../../codec/snmp/encode.ts';
import type { SmiType } from '../../codec/snmp/message.ts';
import {
  genericOf,
  octetsOf,
  SNMP_TRAP_ADDRESS,
  SNMP_TRAP_ENTERPRISE,
  SNMP_TRAP_OID,
  SYS_UP_TIME,
  type TrapData,
} from '../../event/projections/trap.ts';

const HOP = /^1\.3\.6\.1\.6\.3\.18\.1\.3\.([1-9]\d*)$/;
/** Relays a notification may have gone through. */
export const MAX_HOPS = 8;

export interface Hops {
  /** It has our mark, or too many of others. */
  looped: boolean;
  /** The index of the next mark. */
  next: number;
}

/** The marks of relays: snmpTrapAddress.N with N > 0. */
export function hopsOf(d: TrapData, mark: string): Hops {
  let count = 0;
  let highest = 0;
  let own = false;
  for (const v of d.varbinds) {
    const m = HOP.exec(v.oid);
    if (!m) continue;
    count++;
    highest = Math.max(highest, Number(m[1]));
    if (v.value === mark) own = true;
  }
  return { looped: own || count >= MAX_HOPS, next: highest + 1 };
}

/** The varbind list of an SNMPv2 notification. */
export function v2VarBinds(d: TrapData, mark: string): VarBindInput[] {
  const out: VarBindInput[] = [
    { oid: SYS_UP_TIME, type: 'timeticks', value: d.uptime_ticks ?? 0 },
    { oid: SNMP_TRAP_OID, type: 'oid', value: d.trap_oid },
  ];
  let address = false;
  let enterprise = false;
  for (const v of d.varbinds) {
    if (v.oid === SNMP_TRAP_ADDRESS) address = true;
    if (v.oid === SNMP_TRAP_ENTERPRISE) enterprise = true;
    out.push(input(v));
  }
  const agent = d.agent_address ?? d.trap_address ?? ipv4(d.source.address);
  if (!address && agent !== undefined) out.push({ oid: SNMP_TRAP_ADDRESS, type: 'ip-address', value: agent });
  if (!enterprise && d.version === 'v1' && d.enterprise_oid !== undefined)
    out.push({ oid: SNMP_TRAP_ENTERPRISE, type: 'oid', value: d.enterprise_oid });
  out.push({ oid: `1.3.6.1.6.3.18.1.3.${hopsOf(d, mark).next}`, type: 'ip-address', value: mark });
  return out;
}

export function encodeV2c(d: TrapData, community: string, inform: boolean, requestId: number, mark: string): Buffer {
  return encodeMessage({ pdu: inform ? 'inform' : 'trap', community, requestId, varbinds: v2VarBinds(d, mark) });
}

/** `dropped`: varbinds of type Counter64 that v1 cannot say. */
export function encodeV1(d: TrapData, community: string, mark: string): { message: Buffer; dropped: number } {
  const { generic, specific, enterprise } = genericOf(d);
  const varbinds: VarBindInput[] = [];
  let dropped = 0;
  for (const v of d.varbinds) {
    if (v.type === 'counter64') dropped++;
    // agent-addr and enterprise have fields of their own.
    else if (v.oid !== SNMP_TRAP_ADDRESS && v.oid !== SNMP_TRAP_ENTERPRISE) varbinds.push(input(v));
  }
  varbinds.push({ oid: `1.3.6.1.6.3.18.1.3.${hopsOf(d, mark).next}`, type: 'ip-address', value: mark });
  const message = encodeMessage({
    pdu: 'trap-v1',
    community,
    enterprise: d.version === 'v1' && d.enterprise_oid !== undefined ? d.enterprise_oid : enterprise,
    agentAddress: d.agent_address ?? d.trap_address ?? ipv4(d.source.address) ?? '0.0.0.0',
    genericTrap: generic,
    specificTrap: specific | 0,
    timestamp: d.uptime_ticks ?? 0,
    varbinds,
  });
  return { message, dropped };
}

function input(v: TrapData['varbinds'][number]): VarBindInput {
  const type = v.type as SmiType;
  if (type === 'octet-string' || type === 'opaque') return { oid: v.oid, type, value: octetsOf(v.value) };
  // A BIT STRING of SNMPv1 days; the codec puts its octet of unused bits in front.
  if (type === 'bits') return { oid: v.oid, type, value: octetsOf(v.value) };
  return { oid: v.oid, type, value: v.value };
}

function ipv4(address: string): string | undefined {
  return /^\d+\.\d+\.\d+\.\d+$/.test(address) ? address : undefined;
}
