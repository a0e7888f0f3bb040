/** Notification → the `data` of snmp.trap.v1, the content id, and the id of an inform. */
import { Buffer } from 'node:buffer';
import type { Pdu } from '../../codec/snmp/message.ts';
import type { RenderedVarBind } from '../../codec/snmp/render.ts';
import { type Notification, SNMP_TRAP_COMMUNITY } from '../../codec/snmp/rfc3584.ts';
import { shortHash } from '../../core/hash.ts';
import type { Device, Draft } from '../../event/types.ts';
import type { SecurityLevel } from '../../protocol/usm/algorithms.ts';
import type { Alarm } from './alarm.ts';
import type { Meaning } from './meaning.ts';

/** What is known of a datagram besides its bytes. */
export interface Origin {
  network: string;
  /** RFC 5952 text. */
  address: string;
  port: number;
  /** Receive time, UTC. */
  sec: number;
  nsec: number;
  device: Device;
  /** Default `source`. */
  addressFrom?: SnmpTrapData['address_from'];
}

/** The type's own fields; see config/schemas/snmp.trap.v1.json. Undefined ones are left out. */
export interface SnmpTrapData {
  version: Spoken['version'];
  pdu: 'trap' | 'inform';
  source: { address: string; port: number };
  /** Which address named the device: the datagram's, or, of a trusted relay, what it says. */
  address_from: 'source' | 'agent_address' | 'trap_address';
  trap_address: string | undefined;
  agent_address: string | undefined;
  engine_id: string | undefined;
  security: Spoken['security'];
  context: string | undefined;
  trap_oid: string;
  trap_name: string | undefined;
  enterprise_oid: string | undefined;
  uptime_ticks: number | undefined;
  alarm: Alarm | undefined;
  varbinds: RenderedVarBind[];
}

/** What a message says of itself around its PDU. */
export interface Spoken {
  version: 'v1' | 'v2c' | 'v3';
  security: { user?: string; level: SecurityLevel };
  /** v3: the engine whose notification it is, in hex. */
  engineId?: string;
  /** v3: the context's name; absent where it is empty. */
  context?: string;
}

/** v1 and v2c have no security of their own: a community proves nothing. */
const COMMUNITY_SECURITY = { level: 'noAuthNoPriv' } as const;
export const V1: Spoken = { version: 'v1', security: COMMUNITY_SECURITY };
export const V2C: Spoken = { version: 'v2c', security: COMMUNITY_SECURITY };

/** A draft without id, for the pipeline. `buf` is what the notification was decoded from. */
export function normalise(
  buf: Buffer,
  spoken: Spoken,
  pdu: 'trap' | 'inform',
  n: Notification,
  origin: Origin,
  meaning: Meaning,
): Draft {
  const varbinds: RenderedVarBind[] = [];
  for (const v of n.varbinds) varbinds.push(meaning.naming.varbind(v, n.varbinds));
  const data: SnmpTrapData = {
    version: spoken.version,
    pdu,
    source: { address: origin.address, port: origin.port },
    address_from: origin.addressFrom ?? 'source',
    trap_address: n.trapAddress,
    agent_address: n.agentAddress,
    engine_id: spoken.engineId,
    security: spoken.security,
    context: spoken.context,
    trap_oid: n.trapOid,
    trap_name: meaning.naming.trap(n.trapOid),
    enterprise_oid: n.enterprise,
    uptime_ticks: n.uptime,
    alarm: meaning.alarms.of(n, origin.device.id),
    varbinds,
  };
  return {
    type: 'snmp.trap.v1',
    sec: origin.sec,
    nsec: origin.nsec,
    network: origin.network,
    device: origin.device,
    contentId: contentId(buf, n, origin.device.id),
    shed: pdu,
    data,
  };
}

let scratch = Buffer.allocUnsafe(128 * 1024);

/**
 * Hash of what was said: device, trap OID, uptime, the v1 fields, and the varbinds as they were encoded. The uptime is in it so that two
 * equal alarms of a flapping port stay two. Of the varbinds a community is left out.
 */
function contentId(buf: Buffer, n: Notification, deviceId: string): string {
  const head = `${deviceId}\n${n.trapOid}\n${n.uptime ?? ''}\n${n.agentAddress ?? ''}\n${n.enterprise ?? ''}\n`;
  const at = begin(head, buf.length);
  return shortHash(scratch.subarray(0, copyVarBinds(buf, n.varbinds, at)));
}

/** Hash of what is said, without the uptime: equal for a notification that is sent again and again. */
export function notificationKey(
  buf: Buffer,
  data: SnmpTrapData,
  deviceId: string,
  varbinds: readonly { start: number; end: number }[],
): string {
  const who = `${data.security.user ?? ''}\n${data.engine_id ?? ''}\n${data.context ?? ''}`;
  const at = begin(
    `${deviceId}\n${data.trap_oid}\n${data.agent_address ?? ''}\n${data.enterprise_oid ?? ''}\n${who}\n`,
    buf.length,
  );
  return shortHash(scratch.subarray(0, copyVarBinds(buf, varbinds, at)));
}

/** Writes the head of a hash's input and returns its length; there is room for `more` bytes behind it. */
function begin(head: string, more: number): number {
  const need = head.length * 3 + more;
  if (need > scratch.length) scratch = Buffer.allocUnsafe(need);
  return scratch.write(head, 0, 'utf8');
}

/** Copies encoded varbinds, neighbours in one piece; returns the end. */
function copyVarBinds(buf: Buffer, varbinds: readonly { start: number; end: number }[], to: number): number {
  let at = to;
  for (let i = 0; i < varbinds.length; ) {
    const start = varbinds[i].start;
    let end = varbinds[i].end;
    for (i++; i < varbinds.length && varbinds[i].start === end; i++) end = varbinds[i].end;
    at += buf.copy(scratch, at, start, end);
  }
  return at;
}

/**
 * The id of an inform: equal for each retransmission, on whichever node it arrives. Network, source address and port, version,
 * user and context (none in v2c) and the PDU from request-id on. The community is no part of it, nor is one that a proxy put into the varbinds.
 */
export function informId(buf: Buffer, pdu: Pdu, origin: Origin, spoken: Spoken = V2C): string {
  const { version, security, context = '' } = spoken;
  const user = security.user ?? '';
  // A name may hold anything: its length keeps two names from making one text.
  const who = version === 'v3' ? `${user.length} ${user}\n${context.length} ${context}\n` : '\n\n';
  let at = begin(`${origin.network}\n${origin.address}\n${origin.port}\n${version}\n${who}`, buf.length);
  if (pdu.varbinds.some((v) => v.oid === SNMP_TRAP_COMMUNITY)) {
    at += buf.copy(scratch, at, pdu.requestIdOffset, pdu.varbindsOffset);
    const kept = pdu.varbinds.filter((v) => v.oid !== SNMP_TRAP_COMMUNITY);
    at = copyVarBinds(buf, kept, at);
  } else at += buf.copy(scratch, at, pdu.requestIdOffset);
  return shortHash(scratch.subarray(0, at));
}
