/** The writing half of `v3.ts`. Throws RangeError on programmer error only. */
import { Buffer } from 'node:buffer';
import { OCTET_STRING, SEQUENCE } from '../ber/tags.ts';
import { BerWriter } from '../ber/writer.ts';
import { type VarBindInput, writeVarBinds } from './encode.ts';

const TAGS = { get: 0xa0, response: 0xa2, inform: 0xa6, trap: 0xa7, report: 0xa8 } as const;

/** A PDU to put into a ScopedPDU; `trap` is an SNMPv2-Trap-PDU. */
export interface PduInput {
  pdu: keyof typeof TAGS;
  requestId: number;
  errorStatus?: number;
  errorIndex?: number;
  varbinds: readonly VarBindInput[];
}

/** ScopedPDU (RFC 3412 section 6.8). */
export function encodeScopedPdu(contextEngineId: Uint8Array, contextName: Uint8Array, pdu: PduInput): Buffer {
  const w = new BerWriter();
  writeVarBinds(w, pdu.varbinds);
  w.integer32(pdu.errorIndex ?? 0)
    .integer32(pdu.errorStatus ?? 0)
    .integer32(pdu.requestId);
  w.wrap(TAGS[pdu.pdu], 0);
  return w.octetString(contextName).octetString(contextEngineId).wrap(SEQUENCE, 0).done();
}

export interface V3MessageInput {
  msgId: number;
  maxSize: number;
  /** auth 1, priv 2, reportable 4. */
  flags: number;
  /** Default 3, USM. */
  securityModel?: number;
  engineId: Uint8Array;
  boots: number;
  /** Seconds. */
  time: number;
  userName: Uint8Array;
  /** Octets of the digest, written as zeros; 0 without authentication. */
  authLength: number;
  privParameters: Uint8Array;
  /** The ScopedPDU, or where the priv flag is set the octets it was encrypted to. */
  data: Uint8Array;
}

/** A message whose digest is still zero, and where that is. */
export function encodeV3Message(m: V3MessageInput): { message: Buffer; authOffset: number } {
  const w = new BerWriter(m.data.length + 256);
  if ((m.flags & 2) !== 0) w.octets(OCTET_STRING, m.data);
  else w.raw(m.data);
  const parameters = w.length;
  w.octetString(m.privParameters);
  const afterDigest = w.length;
  w.octetString(ZEROS.subarray(0, m.authLength));
  w.octetString(m.userName).integer32(m.time).integer32(m.boots).octetString(m.engineId);
  w.wrap(SEQUENCE, parameters).wrap(OCTET_STRING, parameters);
  const global = w.length;
  w.integer32(m.securityModel ?? 3)
    .octetString(Buffer.of(m.flags))
    .integer32(m.maxSize)
    .integer32(m.msgId)
    .wrap(SEQUENCE, global);
  const message = w.integer32(3).wrap(SEQUENCE, 0).done();
  return { message, authOffset: message.length - afterDigest - m.authLength };
}

const ZEROS = Buffer.alloc(64);
