/** The other side of the machine: an SNMPv3 sender that knows its passphrases, and a reader of what comes back. */
import { Buffer } from 'node:buffer';
import { decodePduAt } from '../../../src/codec/snmp/decode.ts';
import type { VarBindInput } from '../../../src/codec/snmp/encode.ts';
import type { Pdu } from '../../../src/codec/snmp/message.ts';
import { decodeScopedPdu, decodeUsmParameters, decodeV3Header, encryptedPdu } from '../../../src/codec/snmp/v3.ts';
import { encodeScopedPdu, type PduInput } from '../../../src/codec/snmp/v3-encode.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import type { AuthProtocol, PrivProtocol, SecurityLevel } from '../../../src/protocol/usm/algorithms.ts';
import { digestMatches } from '../../../src/protocol/usm/auth.ts';
import { type LocalKeys, localize, localizePriv, localKeys, masterKey } from '../../../src/protocol/usm/keys.ts';
import { decrypt, paddingOf } from '../../../src/protocol/usm/priv.ts';
import { seal } from '../../../src/protocol/usm/seal.ts';

export interface Credentials {
  name: string;
  auth?: AuthProtocol;
  authPass?: string;
  priv?: PrivProtocol;
  privPass?: string;
}

const made = new Map<string, Buffer>();

/** The master key of a passphrase, hashed once. */
export function ku(auth: AuthProtocol, pass: string): Buffer {
  const key = `${auth} ${pass}`;
  const known = made.get(key) ?? masterKey(auth, pass);
  made.set(key, known);
  return known;
}

export function keysOf(c: Credentials, engineId: Uint8Array): LocalKeys | undefined {
  if (!c.auth) return undefined;
  const authKey = localize(c.auth, ku(c.auth, c.authPass ?? ''), engineId);
  return localKeys(
    c.auth,
    authKey,
    c.priv,
    c.priv && localizePriv(c.auth, c.priv, ku(c.auth, c.privPass ?? ''), engineId),
  );
}

export interface Sent {
  level: SecurityLevel;
  engineId: Buffer;
  boots: number;
  time: number;
  pdu: PduInput['pdu'];
  requestId?: number;
  msgId?: number;
  reportable?: boolean;
  /** A text, or octets. */
  context?: string | Buffer;
  contextEngineId?: Buffer;
  /** Octets behind the ScopedPDU before it is encrypted. */
  filling?: Buffer;
  varbinds?: VarBindInput[];
  maxSize?: number;
}

export const NOTIFICATION: VarBindInput[] = [
  { oid: '1.3.6.1.2.1.1.3.0', type: 'timeticks', value: 100 },
  { oid: '1.3.6.1.6.3.1.1.4.1.0', type: 'oid', value: '1.3.6.1.6.3.1.1.5.3' },
  { oid: '1.3.6.1.2.1.2.2.1.1.7', type: 'integer32', value: 7 },
];

export function v3(c: Credentials, s: Sent): Buffer {
  const confirmed = s.pdu === 'inform' || s.pdu === 'get';
  return seal({
    msgId: s.msgId ?? 1,
    maxSize: s.maxSize ?? 65_507,
    level: s.level,
    reportable: s.reportable ?? confirmed,
    engineId: s.engineId,
    boots: s.boots,
    time: s.time,
    userName: Buffer.from(c.name),
    keys: keysOf(c, s.engineId),
    salt: Buffer.from('0102030405060708', 'hex'),
    scopedPdu: Buffer.concat([scopedPduOf(s), s.filling ?? Buffer.alloc(0)]),
  });
}

/** What is said, before it is sealed. */
export function scopedPduOf(s: Sent): Buffer {
  return encodeScopedPdu(s.contextEngineId ?? s.engineId, Buffer.from(s.context ?? ''), {
    pdu: s.pdu,
    requestId: s.requestId ?? 1,
    varbinds: s.varbinds ?? (s.pdu === 'get' ? [] : NOTIFICATION),
  });
}

export interface Read {
  msgId: number;
  level: SecurityLevel;
  engineId: string;
  boots: number;
  time: number;
  user: string;
  /** Undefined without authentication. */
  authentic: boolean | undefined;
  salt: string;
  context: string;
  contextEngineId: string;
  pdu: Pdu;
}

function must<T>(x: T): Exclude<T, { ok: false }> {
  if (isDecodeError(x)) throw new Error(`${x.layer} ${x.code} at ${x.offset}`);
  return x as Exclude<T, { ok: false }>;
}

/** A message of the receiver, verified and decrypted. */
export function read(c: Credentials, datagram: Buffer): Read {
  const buf = Buffer.from(datagram);
  const h = must(decodeV3Header(buf));
  const usm = must(decodeUsmParameters(buf, h));
  const level = (['noAuthNoPriv', 'authNoPriv', 'authPriv', 'authPriv'] as const)[h.flags & 3];
  const keys = keysOf(c, usm.engineId);
  let bytes: Buffer = buf;
  let scoped = decodeScopedPdu(buf, h.dataOffset, h.end);
  if (level === 'authPriv') {
    bytes = decrypt(keys!.priv!, usm.boots, usm.time, usm.privParameters, must(encryptedPdu(buf, h)))!;
    scoped = decodeScopedPdu(bytes, 0, bytes.length, paddingOf(keys!.priv!));
  }
  const s = must(scoped);
  return {
    msgId: h.msgId,
    level,
    engineId: usm.engineId.toString('hex'),
    boots: usm.boots,
    time: usm.time,
    user: usm.userName.toString(),
    authentic: level === 'noAuthNoPriv' ? undefined : digestMatches(keys!, buf, usm.authOffset, usm.authLength),
    salt: usm.privParameters.toString('hex'),
    context: s.contextName.toString(),
    contextEngineId: s.contextEngineId.toString('hex'),
    pdu: must(decodePduAt(bytes, s.pduOffset, s.end)) as Pdu,
  };
}
