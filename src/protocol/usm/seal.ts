/** A message to send (RFC 3414 section 3.1): encrypted, then authenticated. */
import { Buffer } from 'node:buffer';
import { FLAG_AUTH, FLAG_PRIV, FLAG_REPORTABLE } from '../../codec/snmp/v3.ts';
import { encodeV3Message } from '../../codec/snmp/v3-encode.ts';
import { AUTH, type SecurityLevel } from './algorithms.ts';
import { sign } from './auth.ts';
import type { LocalKeys } from './keys.ts';
import { encrypt } from './priv.ts';

export interface Outgoing {
  msgId: number;
  /** Octets we can take. */
  maxSize: number;
  level: SecurityLevel;
  reportable?: boolean;
  /** The authoritative engine. */
  engineId: Uint8Array;
  boots: number;
  time: number;
  userName: Uint8Array;
  /** As far as the level needs them. */
  keys?: LocalKeys;
  /** 8 octets; authPriv only. */
  salt?: Uint8Array;
  scopedPdu: Uint8Array;
}

const NOTHING = Buffer.alloc(0);

/** The datagram. Throws RangeError where the level needs a key that is not given: the input is the program's own. */
export function seal(o: Outgoing): Buffer {
  const auth = o.level !== 'noAuthNoPriv';
  const priv = o.level === 'authPriv';
  if ((auth && o.keys === undefined) || (priv && (o.keys?.priv === undefined || o.salt === undefined)))
    throw new RangeError(`no key for ${o.level}`);
  const { message, authOffset } = encodeV3Message({
    msgId: o.msgId,
    maxSize: o.maxSize,
    flags: (auth ? FLAG_AUTH : 0) | (priv ? FLAG_PRIV : 0) | (o.reportable === true ? FLAG_REPORTABLE : 0),
    engineId: o.engineId,
    boots: o.boots,
    time: o.time,
    userName: o.userName,
    authLength: auth ? AUTH[o.keys!.auth.protocol].digest : 0,
    privParameters: priv ? o.salt! : NOTHING,
    data: priv ? encrypt(o.keys!.priv!, o.boots, o.time, o.salt!, o.scopedPdu) : o.scopedPdu,
  });
  if (auth) sign(o.keys!, message, authOffset);
  return message;
}
