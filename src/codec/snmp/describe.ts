/** For people and tools: a datagram as JSON (`tidegate decode snmp`), and a notification to send (`tidegate send trap`). */
import type { Buffer } from 'node:buffer';
import { type DecodeCode, isDecodeError } from '../../core/result.ts';
import { decodeEnvelope, decodePdu } from './decode.ts';
import { describeV3 } from './describe-v3.ts';
import { encodeMessage, type VarBindInput } from './encode.ts';
import type { Pdu, TrapV1Pdu } from './message.ts';
import type { Naming, RenderedVarBind } from './render.ts';
import { SNMP_TRAP_COMMUNITY, SNMP_TRAP_OID, SYS_UP_TIME, trapOidOfV1 } from './rfc3584.ts';
import { looksLikeV3 } from './v3.ts';

export type Described =
  | { ok: true; message: Record<string, unknown> }
  | { ok: false; error: { code: DecodeCode; offset: number; layer: string } };

/** One datagram. A community is not shown, only its length; of an encrypted message the header. Absent values are undefined, which JSON leaves out. */
export function describeSnmp(buf: Buffer, naming: Naming): Described {
  if (looksLikeV3(buf)) {
    const message = describeV3(buf, (p) => describePdu(p, naming));
    return isDecodeError(message) ? refused(message) : { ok: true, message };
  }
  const envelope = decodeEnvelope(buf);
  if (isDecodeError(envelope)) return refused(envelope);
  const pdu = decodePdu(buf, envelope);
  if (isDecodeError(pdu)) return refused(pdu);
  const head = { version: envelope.version, community_length: envelope.community.length };
  return { ok: true, message: { ...head, ...describePdu(pdu, naming) } };
}

function refused(e: { code: DecodeCode; offset: number; layer: string }): Described {
  return { ok: false, error: { code: e.code, offset: e.offset, layer: e.layer } };
}

function describePdu(pdu: Pdu | TrapV1Pdu, naming: Naming): Record<string, unknown> {
  const head = { pdu: pdu.pdu };
  const varbinds: RenderedVarBind[] = [];
  for (const v of pdu.varbinds) if (v.oid !== SNMP_TRAP_COMMUNITY) varbinds.push(naming.varbind(v, pdu.varbinds));
  if (pdu.pdu === 'trap-v1') {
    const trapOid = trapOidOfV1(pdu);
    return {
      ...head,
      enterprise: pdu.enterprise,
      agent_address: pdu.agentAddress,
      generic_trap: pdu.genericTrap,
      specific_trap: pdu.specificTrap,
      uptime_ticks: pdu.timestamp,
      trap_oid: trapOid,
      trap_name: naming.trap(trapOid),
      varbinds,
    };
  }
  const trapOid = pdu.varbinds.find((v) => v.oid === SNMP_TRAP_OID && v.type === 'oid')?.value as string | undefined;
  return {
    ...head,
    request_id: pdu.requestId,
    error_status: pdu.errorStatus,
    error_index: pdu.errorIndex,
    trap_oid: trapOid,
    trap_name: trapOid === undefined ? undefined : naming.trap(trapOid),
    varbinds,
  };
}

export interface TrapInput {
  version: 'v1' | 'v2c';
  community: string;
  trapOid: string;
  /** Hundredths of a second. */
  uptime: number;
  varbinds: readonly VarBindInput[];
  inform?: boolean;
  /** Default 1. */
  requestId?: number;
  /** v1 only; default 0.0.0.0, which means unknown. */
  agentAddress?: string;
}

const SNMP_TRAPS = '1.3.6.1.6.3.1.1.5.';

/**
 * A notification ready to send. For v1 the trap OID is taken apart as RFC 3584 section 3.2 says. Throws RangeError where a value
 * does not fit its type, or a v1 message is asked for what v1 has not (informs, Counter64).
 */
export function buildTrap(t: TrapInput): Buffer {
  if (t.version === 'v2c') {
    return encodeMessage({
      pdu: t.inform === true ? 'inform' : 'trap',
      community: t.community,
      requestId: t.requestId ?? 1,
      varbinds: [
        { oid: SYS_UP_TIME, type: 'timeticks', value: t.uptime },
        { oid: SNMP_TRAP_OID, type: 'oid', value: t.trapOid },
        ...t.varbinds,
      ],
    });
  }
  if (t.inform === true) throw new RangeError('v1 has no informs');
  if (t.varbinds.some((v) => v.type === 'counter64')) throw new RangeError('v1 has no Counter64');
  const dot = t.trapOid.lastIndexOf('.');
  const last = Number(t.trapOid.slice(dot + 1));
  const generic = t.trapOid.startsWith(SNMP_TRAPS) && dot === SNMP_TRAPS.length - 1 && last >= 1 && last <= 6;
  const parent = t.trapOid.slice(0, dot);
  return encodeMessage({
    pdu: 'trap-v1',
    community: t.community,
    enterprise: generic ? SNMP_TRAPS.slice(0, -1) : parent.endsWith('.0') ? parent.slice(0, -2) : parent,
    agentAddress: t.agentAddress ?? '0.0.0.0',
    genericTrap: generic ? last - 1 : 6,
    specificTrap: generic ? 0 : last,
    timestamp: t.uptime,
    varbinds: t.varbinds,
  });
}
