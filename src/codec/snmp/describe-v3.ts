/** An SNMPv3 message for people: its header, and the PDU where it is not encrypted. Nothing is verified. */
import type { Buffer } from 'node:buffer';
import { type DecodeError, isDecodeError } from '../../core/result.ts';
import { decodePduAt } from './decode.ts';
import type { Pdu, TrapV1Pdu } from './message.ts';
import { octetText } from './render.ts';
import {
  decodeScopedPdu,
  decodeUsmParameters,
  decodeV3Header,
  encryptedPdu,
  FLAG_AUTH,
  FLAG_PRIV,
  FLAG_REPORTABLE,
  USM,
} from './v3.ts';

const MODELS: Record<number, string> = { 1: 'v1', 2: 'v2c', 3: 'usm', 4: 'tsm' };

/** Fields by the names of the events where they have one; `pdu` describes a PDU that is in the clear. */
export function describeV3(
  buf: Buffer,
  pdu: (p: Pdu | TrapV1Pdu) => Record<string, unknown>,
): Record<string, unknown> | DecodeError {
  const h = decodeV3Header(buf);
  if (isDecodeError(h)) return h;
  const auth = (h.flags & FLAG_AUTH) !== 0;
  const priv = (h.flags & FLAG_PRIV) !== 0;
  const head = {
    version: 'v3',
    msg_id: h.msgId,
    max_size: h.maxSize,
    flags: { auth, priv, reportable: (h.flags & FLAG_REPORTABLE) !== 0 },
    security_model: MODELS[h.securityModel] ?? h.securityModel,
  };
  if (h.securityModel !== USM) return head;
  const usm = decodeUsmParameters(buf, h);
  if (isDecodeError(usm)) return usm;
  const security = {
    ...head,
    level: priv ? 'authPriv' : auth ? 'authNoPriv' : 'noAuthNoPriv',
    authoritative_engine: {
      id: usm.engineId.toString('hex'),
      boots: usm.boots,
      time: usm.time,
    },
    user: usm.userName.toString('utf8'),
    digest_length: usm.authLength,
    salt: usm.privParameters.length === 0 ? undefined : usm.privParameters.toString('hex'),
  };
  if (priv) {
    const encrypted = encryptedPdu(buf, h);
    return isDecodeError(encrypted) ? encrypted : { ...security, encrypted_length: encrypted.length };
  }
  const scoped = decodeScopedPdu(buf, h.dataOffset, h.end);
  if (isDecodeError(scoped)) return scoped;
  const inner = decodePduAt(buf, scoped.pduOffset, scoped.end);
  if (isDecodeError(inner)) return inner;
  return {
    ...security,
    context_engine_id: scoped.contextEngineId.toString('hex'),
    context: octetText(scoped.contextName),
    ...pdu(inner),
  };
}
