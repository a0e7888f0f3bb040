/**
 * SNMPv3 messages with the User-based Security Model, and the ScopedPDU inside them.
 *
 *   SNMPv3Message ::= SEQUENCE {                                                               RFC 3412 section 6
 *     msgVersion            INTEGER {snmpv3(3)},
 *     msgGlobalData         SEQUENCE { msgID INTEGER (0..2^31-1), msgMaxSize INTEGER (484..2^31-1),
 *                                      msgFlags OCTET STRING (SIZE(1)),   .... ...1 auth, .... ..1. priv, .... .1.. reportable
 *                                      msgSecurityModel INTEGER (1..2^31-1) },                  3 is USM
 *     msgSecurityParameters OCTET STRING,
 *     msgData               CHOICE { plaintext ScopedPDU, encryptedPDU OCTET STRING } }
 *   UsmSecurityParameters ::= SEQUENCE {                          the contents of that OCTET STRING; RFC 3414 section 2.4
 *     msgAuthoritativeEngineID    OCTET STRING,
 *     msgAuthoritativeEngineBoots INTEGER (0..2^31-1),
 *     msgAuthoritativeEngineTime  INTEGER (0..2^31-1),             seconds
 *     msgUserName                 OCTET STRING (SIZE(0..32)),
 *     msgAuthenticationParameters OCTET STRING,                    the digest; zeros while it is computed
 *     msgPrivacyParameters        OCTET STRING }                   the salt
 *   ScopedPDU ::= SEQUENCE { contextEngineID OCTET STRING, contextName OCTET STRING, data ANY }
 *
 * The decoder has three steps, as the receiver's duties have (RFC 3412 section 7.2): the header, then the parameters of a security
 * model that is known, then, when it is authenticated and in the clear, the ScopedPDU. All octet strings are views.
 */
import type { Buffer } from 'node:buffer';
import { DecodeError } from '../../core/result.ts';
import { BerReader } from '../ber/reader.ts';
import { INTEGER, OCTET_STRING, SEQUENCE } from '../ber/tags.ts';

export const FLAG_AUTH = 1;
export const FLAG_PRIV = 2;
export const FLAG_REPORTABLE = 4;

export const USM = 3;

/** The least msgMaxSize (RFC 3412 section 6.2). */
export const MIN_MAX_SIZE = 484;
const MAX_USER_NAME = 32;

/** The message around the security parameters and the data. */
export interface V3Header {
  ok: true;
  msgId: number;
  /** Octets the sender can take. */
  maxSize: number;
  /** The octet as it is: auth 1, priv 2, reportable 4; the others are reserved. */
  flags: number;
  securityModel: number;
  /** The contents of msgSecurityParameters. */
  securityOffset: number;
  securityEnd: number;
  /** msgData, and the end of the message. */
  dataOffset: number;
  end: number;
}

/** What USM says of a message. */
export interface UsmParameters {
  ok: true;
  engineId: Buffer;
  boots: number;
  /** Seconds. */
  time: number;
  userName: Buffer;
  /** Where the digest stands in the message, so that it can be zeroed in place. */
  authOffset: number;
  authLength: number;
  privParameters: Buffer;
}

export interface ScopedPdu {
  ok: true;
  contextEngineId: Buffer;
  contextName: Buffer;
  /** Where it begins. */
  offset: number;
  /** The PDU is at [pduOffset, end) of the bytes given. */
  pduOffset: number;
  end: number;
}

/** True where the datagram begins as a v3 message does: whether it is one is for `decodeV3Header` to say. */
export function looksLikeV3(buf: Buffer): boolean {
  if (buf.length < 5 || buf[0] !== SEQUENCE) return false;
  const at = buf[1] > 0x7f ? 2 + (buf[1] & 0x7f) : 2;
  return buf[at] === INTEGER && buf[at + 1] === 1 && buf[at + 2] === 3;
}

/** Version and msgGlobalData, and where the rest is. Never throws. */
export function decodeV3Header(buf: Buffer): V3Header | DecodeError {
  const r = new BerReader(buf, 'message');
  r.enter(SEQUENCE);
  if (r.error) return r.error;
  const end = r.end;
  if (end !== buf.length) return new DecodeError('trailing', end, 'message');
  const versionOffset = r.pos;
  const version = r.integer32();
  if (r.error) return r.error;
  if (version !== 3) return new DecodeError('version', versionOffset, 'message');
  r.layer = 'global-data';
  const outer = r.enter(SEQUENCE);
  const idOffset = r.pos;
  const msgId = r.integer32();
  if (msgId < 0) r.fail('range', idOffset);
  const sizeOffset = r.pos;
  const maxSize = r.integer32();
  if (!r.error && maxSize < MIN_MAX_SIZE) r.fail('range', sizeOffset);
  const flagsOffset = r.pos;
  const flags = r.octets(OCTET_STRING);
  if (!r.error && flags.length !== 1) r.fail('length', flagsOffset);
  const modelOffset = r.pos;
  const securityModel = r.integer32();
  if (!r.error && securityModel < 1) r.fail('range', modelOffset);
  r.leave(outer);
  r.layer = 'security-parameters';
  const securityEnd = r.header(OCTET_STRING);
  if (r.error) return r.error;
  const securityOffset = r.pos;
  return {
    ok: true,
    msgId,
    maxSize,
    flags: flags[0],
    securityModel,
    securityOffset,
    securityEnd,
    dataOffset: securityEnd,
    end,
  };
}

/** The parameters of USM. Never throws. */
export function decodeUsmParameters(buf: Buffer, header: V3Header): UsmParameters | DecodeError {
  const r = new BerReader(buf, 'security-parameters', header.securityOffset, header.securityEnd);
  const outer = r.enter(SEQUENCE);
  const engineId = r.octets(OCTET_STRING);
  const bootsOffset = r.pos;
  const boots = r.integer32();
  if (boots < 0) r.fail('range', bootsOffset);
  const timeOffset = r.pos;
  const time = r.integer32();
  if (time < 0) r.fail('range', timeOffset);
  const nameOffset = r.pos;
  const userName = r.octets(OCTET_STRING);
  if (userName.length > MAX_USER_NAME) r.fail('limit', nameOffset);
  const authEnd = r.header(OCTET_STRING);
  const authOffset = r.pos;
  r.pos = authEnd;
  const privParameters = r.octets(OCTET_STRING);
  r.leave(outer);
  if (r.pos !== header.securityEnd) r.fail('trailing', r.pos);
  if (r.error) return inside(r.error);
  return { ok: true, engineId, boots, time, userName, authOffset, authLength: authEnd - authOffset, privParameters };
}

/** The octets of an encryptedPDU. Never throws. */
export function encryptedPdu(buf: Buffer, header: V3Header): Buffer | DecodeError {
  const r = new BerReader(buf, 'encrypted-pdu', header.dataOffset, header.end);
  const octets = r.octets(OCTET_STRING);
  if (r.pos !== header.end) r.fail('trailing', r.pos);
  return r.error ? inside(r.error) : octets;
}

/**
 * The ScopedPDU at [offset, end): msgData of a message in the clear, or what was decrypted. `padding`: octets that may follow it (DES
 * fills its last block up). Never throws.
 */
export function decodeScopedPdu(buf: Buffer, offset: number, end: number, padding = 0): ScopedPdu | DecodeError {
  const r = new BerReader(buf, 'scoped-pdu', offset, end);
  r.enter(SEQUENCE);
  if (!r.error && end - r.end > padding) r.fail('trailing', r.end);
  const contextEngineId = r.octets(OCTET_STRING);
  const contextName = r.octets(OCTET_STRING);
  if (r.error) return inside(r.error);
  return { ok: true, contextEngineId, contextName, offset, pduOffset: r.pos, end: r.end };
}

/** Nested bytes that do not suffice contradict the length around them: only a whole datagram can be truncated. */
function inside(e: DecodeError): DecodeError {
  return e.code === 'truncated' ? new DecodeError('length', e.offset, e.layer) : e;
}
