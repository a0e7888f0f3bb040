/**
 * Report PDUs: what a receiver tells a sender whose message it could not process (RFC 3412 section 7.1 step 3, RFC 3414 section 3.2).
 * One varbind: the counter of the reason.
 */
import type { Buffer } from 'node:buffer';
import { decodePduAt } from '../../codec/snmp/decode.ts';
import { decodeScopedPdu, FLAG_PRIV, FLAG_REPORTABLE, type V3Header } from '../../codec/snmp/v3.ts';
import { encodeScopedPdu } from '../../codec/snmp/v3-encode.ts';
import { isDecodeError } from '../../core/result.ts';

const USM_STATS = '1.3.6.1.6.3.15.1.1.';
const MPD_STATS = '1.3.6.1.6.3.11.2.1.';

/** SNMP-USER-BASED-SM-MIB usmStats* and SNMP-MPD-MIB snmp*. */
export const STATS = {
  unsupportedSecLevels: `${USM_STATS}1.0`,
  notInTimeWindows: `${USM_STATS}2.0`,
  unknownUserNames: `${USM_STATS}3.0`,
  unknownEngineIDs: `${USM_STATS}4.0`,
  wrongDigests: `${USM_STATS}5.0`,
  decryptionErrors: `${USM_STATS}6.0`,
  unknownSecurityModels: `${MPD_STATS}1.0`,
  invalidMsgs: `${MPD_STATS}2.0`,
  unknownPDUHandlers: `${MPD_STATS}3.0`,
} as const;

export type Stat = keyof typeof STATS;

/** Those a Report is ever sent of: a message whose model or flags make no sense is discarded (RFC 3412 section 7.2 steps 4 and 5). */
export type ReportName = Exclude<Stat, 'unknownSecurityModels' | 'invalidMsgs'>;

/** The ScopedPDU of a Report. `count`: the counter's value. */
export function reportPdu(
  ownId: Buffer,
  contextName: Uint8Array,
  name: ReportName,
  count: number,
  requestId: number,
): Buffer {
  return encodeScopedPdu(ownId, contextName, {
    pdu: 'report',
    requestId,
    varbinds: [{ oid: STATS[name], type: 'counter32', value: count >>> 0 }],
  });
}

/**
 * May a Report be sent for this message, and with which request-id? RFC 3412 section 7.1 step 3: of a PDU that can be read its class
 * decides, else the reportable flag. Undefined: no Report. A sender without the flag is never answered, so that a Report costs the
 * decoding of one message at most.
 */
export function reportable(buf: Buffer, header: V3Header): { requestId: number } | undefined {
  if ((header.flags & FLAG_REPORTABLE) === 0) return undefined;
  if ((header.flags & FLAG_PRIV) !== 0) return { requestId: 0 };
  const scoped = decodeScopedPdu(buf, header.dataOffset, header.end);
  if (isDecodeError(scoped)) return { requestId: 0 };
  const pdu = decodePduAt(buf, scoped.pduOffset, scoped.end);
  if (isDecodeError(pdu)) return { requestId: 0 };
  return isConfirmed(pdu.pdu) && pdu.pdu !== 'trap-v1' ? { requestId: pdu.requestId } : undefined;
}

/** The confirmed class (RFC 3411 section 2.8). */
export function isConfirmed(pdu: string): boolean {
  return pdu === 'inform' || pdu === 'get' || pdu === 'get-next' || pdu === 'get-bulk' || pdu === 'set';
}
