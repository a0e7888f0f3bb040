/** What projections of snmp.trap.v1 start from: the event's `data` as it was spooled, and what the record says around it. */
import { Buffer } from 'node:buffer';
import type { EventRecord } from '../record.ts';

export interface TrapVarBind {
  oid: string;
  name?: string;
  type: string;
  value?: number | string;
  text?: string;
}

/** `data` of snmp.trap.v1 as far as projections use it; config/schemas/snmp.trap.v1.json. */
export interface TrapData {
  network: string;
  device: { id: string; name: string; vendor?: string };
  rx: { site: string; node: string; seq: number };
  version: 'v1' | 'v2c' | 'v3';
  pdu: 'trap' | 'inform';
  source: { address: string; port: number };
  agent_address?: string;
  trap_address?: string;
  engine_id?: string;
  security: { user?: string; level: string };
  context?: string;
  trap_oid: string;
  trap_name?: string;
  enterprise_oid?: string;
  uptime_ticks?: number;
  alarm?: {
    id: string;
    state: string;
    perceived_severity: string;
    event_type: string;
    probable_cause: string;
    managed_object: string;
  };
  varbinds: TrapVarBind[];
}

/** One notification. */
export interface TrapEvent {
  /** Of the event: a repeated delivery has the same. */
  id: string;
  /** Receive time, UTC. */
  sec: number;
  nsec: number;
  data: TrapData;
}

/** Undefined where the record is no snmp.trap.v1, or its value is not what it should be. */
export function trapEvent(r: EventRecord, sec: number, nsec: number): TrapEvent | undefined {
  if (r.type !== 'snmp.trap.v1') return undefined;
  try {
    const data = JSON.parse(r.value.toString('utf8')) as TrapData;
    return Array.isArray(data.varbinds) ? { id: r.id, sec, nsec, data } : undefined;
  } catch {
    return undefined;
  }
}

/** snmpTrapAddress.0, snmpTrapCommunity.0 and snmpTrapEnterprise.0 of RFC 3584 section 3.1. */
export const SNMP_TRAP_ADDRESS = '1.3.6.1.6.3.18.1.3.0';
export const SNMP_TRAP_ENTERPRISE = '1.3.6.1.6.3.1.1.4.3.0';
export const SNMP_TRAP_OID = '1.3.6.1.6.3.1.1.4.1.0';
export const SYS_UP_TIME = '1.3.6.1.2.1.1.3.0';

/** The octets of an octet-string, bits or opaque value: `0x` and hex digits are octets, anything else is text. */
export function octetsOf(value: number | string | undefined): Buffer {
  const text = String(value ?? '');
  return /^0x([0-9a-f]{2})*$/.test(text) ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text, 'utf8');
}

/** generic-trap (0..6), specific-trap and enterprise of a notification, as RFC 3584 section 3.2 takes its OID apart. */
export function genericOf(d: Pick<TrapData, 'trap_oid' | 'enterprise_oid'>): {
  generic: number;
  specific: number;
  enterprise: string;
} {
  const standard = /^1\.3\.6\.1\.6\.3\.1\.1\.5\.([1-6])$/.exec(d.trap_oid);
  if (standard)
    return { generic: Number(standard[1]) - 1, specific: 0, enterprise: d.enterprise_oid ?? '1.3.6.1.6.3.1.1.5' };
  const m = /^(.*?)(\.0)?\.(\d+)$/.exec(d.trap_oid);
  return { generic: 6, specific: Number(m?.[3] ?? 0), enterprise: m?.[1] ?? d.trap_oid };
}
