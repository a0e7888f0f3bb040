/**
 * RFC 3584 section 3.1: an SNMPv1 notification as an SNMPv2 one.
 *
 *   sysUpTime.0     time-stamp
 *   snmpTrapOID.0   generic-trap 0..5: snmpTraps.(generic-trap + 1); 6: enterprise.0.specific-trap
 *   then the varbinds as they are, and where the list has none of its own:
 *   snmpTrapAddress.0     agent-addr
 *   snmpTrapCommunity.0   left out always: a community never leaves the node
 *   snmpTrapEnterprise.0  enterprise
 */
import type { VarBindInput } from './encode.ts';
import type { Pdu, TrapV1Pdu, VarBind } from './message.ts';
import type { NotificationMemo } from './notification-cache.ts';

export const SYS_UP_TIME = '1.3.6.1.2.1.1.3.0';
export const SNMP_TRAP_OID = '1.3.6.1.6.3.1.1.4.1.0';
export const SNMP_TRAP_ENTERPRISE = '1.3.6.1.6.3.1.1.4.3.0';
export const SNMP_TRAP_ADDRESS = '1.3.6.1.6.3.18.1.3.0';
export const SNMP_TRAP_COMMUNITY = '1.3.6.1.6.3.18.1.4.0';
const SNMP_TRAPS = '1.3.6.1.6.3.1.1.5';

/** generic-trap enterpriseSpecific(6). */
const ENTERPRISE_SPECIFIC = 6;

/** snmpTrapOID.0 of a v1 trap. */
export function trapOidOfV1(t: Pick<TrapV1Pdu, 'enterprise' | 'genericTrap' | 'specificTrap'>): string {
  // specific-trap is an INTEGER, a sub-identifier has no sign: broken agents' negative ones keep their 32 bits.
  if (t.genericTrap === ENTERPRISE_SPECIFIC) return `${t.enterprise}.0.${t.specificTrap >>> 0}`;
  return `${SNMP_TRAPS}.${t.genericTrap + 1}`;
}

/** The whole varbind list of the SNMPv2 notification. */
export function v1ToV2(t: TrapV1Pdu): VarBindInput[] {
  const out: VarBindInput[] = [
    { oid: SYS_UP_TIME, type: 'timeticks', value: t.timestamp },
    { oid: SNMP_TRAP_OID, type: 'oid', value: trapOidOfV1(t) },
  ];
  let address = false;
  let enterprise = false;
  for (const v of t.varbinds) {
    if (v.oid === SNMP_TRAP_COMMUNITY) continue;
    if (v.oid === SNMP_TRAP_ADDRESS) address = true;
    if (v.oid === SNMP_TRAP_ENTERPRISE) enterprise = true;
    out.push({ oid: v.oid, type: v.type, value: v.value });
  }
  if (!address) out.push({ oid: SNMP_TRAP_ADDRESS, type: 'ip-address', value: t.agentAddress });
  if (!enterprise) out.push({ oid: SNMP_TRAP_ENTERPRISE, type: 'oid', value: t.enterprise });
  return out;
}

/** A notification of any version in the terms of SNMPv2. `varbinds` has neither sysUpTime.0, snmpTrapOID.0 nor a community. */
export interface Notification {
  trapOid: string;
  /** Hundredths of a second; absent where the sender left it out. */
  uptime: number | undefined;
  /** Absent where it is 0.0.0.0: the agent does not know, or a translator hides it. */
  agentAddress: string | undefined;
  /** snmpTrapAddress.0 as a proxy puts it (RFC 3584); absent where there is none, or 0.0.0.0. */
  trapAddress: string | undefined;
  enterprise: string | undefined;
  varbinds: VarBind[];
  /** It was met before: what was made of it then. */
  memo: NotificationMemo | undefined;
}

/** Undefined where a v2 PDU names no trap. The first two varbinds are looked at first; some agents put them elsewhere. */
export function notificationOf(pdu: Pdu | TrapV1Pdu): Notification | undefined {
  const n: Notification = {
    trapOid: '',
    uptime: undefined,
    agentAddress: undefined,
    trapAddress: undefined,
    enterprise: undefined,
    varbinds: [],
    memo: undefined,
  };
  if (pdu.pdu === 'trap-v1') {
    n.trapOid = trapOidOfV1(pdu);
    n.uptime = pdu.timestamp;
    n.agentAddress = pdu.agentAddress;
    n.enterprise = pdu.enterprise;
  }
  const own = pdu.pdu === 'trap-v1';
  for (const v of pdu.varbinds) {
    // Compares the interned text of known OIDs; nearly all others differ in length or early.
    if (v.oid === SNMP_TRAP_COMMUNITY) continue;
    if (!own && v.oid === SYS_UP_TIME && v.type === 'timeticks' && n.uptime === undefined) {
      n.uptime = v.value as number;
      continue;
    }
    if (!own && v.oid === SNMP_TRAP_OID && v.type === 'oid' && n.trapOid === '') {
      n.trapOid = v.value as string;
      continue;
    }
    if (v.oid === SNMP_TRAP_ENTERPRISE && v.type === 'oid') n.enterprise = v.value as string;
    else if (v.oid === SNMP_TRAP_ADDRESS && v.type === 'ip-address') n.trapAddress = v.value as string;
    n.varbinds.push(v);
  }
  if (n.agentAddress === '0.0.0.0') n.agentAddress = undefined;
  if (n.trapAddress === '0.0.0.0') n.trapAddress = undefined;
  return n.trapOid === '' ? undefined : n;
}
