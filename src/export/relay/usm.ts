/**
 * SNMPv3 towards one receiver (RFC 3414).
 *
 *   trap     we are authoritative: our engine id, boots and time
 *   inform   the receiver is: its engine id is asked for first (section 4), its boots and time are taken from there or, once we can
 *            authenticate, from its Report
 */
import { Buffer } from 'node:buffer';
import { decodePduAt } from '../../codec/snmp/decode.ts';
import type { VarBindInput } from '../../codec/snmp/encode.ts';
import {
  decodeScopedPdu,
  decodeUsmParameters,
  decodeV3Header,
  encryptedPdu,
  FLAG_AUTH,
  FLAG_PRIV,
} from '../../codec/snmp/v3.ts';
import { encodeScopedPdu } from '../../codec/snmp/v3-encode.ts';
import { isDecodeError } from '../../core/result.ts';
import type { SecurityLevel } from '../../protocol/usm/algorithms.ts';
import { digestMatches } from '../../protocol/usm/auth.ts';
import { engineTime, type OwnEngine } from '../../protocol/usm/engine.ts';
import { type LocalKeys, localize, localizePriv, localKeys, masterKey } from '../../protocol/usm/keys.ts';
import { decrypt, paddingOf } from '../../protocol/usm/priv.ts';
import type { Salts } from '../../protocol/usm/salts.ts';
import { seal } from '../../protocol/usm/seal.ts';
import type { RelayConfig } from './config.ts';

export type RelayUser = NonNullable<RelayConfig['user']>;

/** A user with its master keys: a megabyte was hashed for each, once. */
export class RelayCredentials {
  readonly level: SecurityLevel;
  readonly name: Buffer;
  readonly des: boolean;
  private readonly user: RelayUser;
  private readonly authKu: Buffer | undefined;
  private readonly privKu: Buffer | undefined;

  constructor(user: RelayUser) {
    this.user = user;
    this.name = Buffer.from(user.name);
    this.level = user.priv ? 'authPriv' : user.auth ? 'authNoPriv' : 'noAuthNoPriv';
    this.des = user.priv?.protocol === 'des';
    if (!user.auth) return;
    this.authKu = masterKey(user.auth.protocol, user.auth.passphrase);
    if (user.priv) this.privKu = masterKey(user.auth.protocol, user.priv.passphrase);
  }

  keysOn(engineId: Uint8Array): LocalKeys | undefined {
    const { auth, priv } = this.user;
    if (!auth || !this.authKu) return undefined;
    return localKeys(
      auth.protocol,
      localize(auth.protocol, this.authKu, engineId),
      priv?.protocol,
      priv && this.privKu ? localizePriv(auth.protocol, priv.protocol, this.privKu, engineId) : undefined,
    );
  }
}

export interface V3Options {
  credentials: RelayCredentials;
  /** Ours, for traps. */
  engine: OwnEngine;
  salts: Salts;
  context: string;
  /** The first msgID and request-id of discovery. */
  firstId: number;
}

export type V3Heard =
  | { kind: 'answer'; requestId: number; error: number }
  /** Engine or time are known now, and were not: what was sent is to be sent again. */
  | { kind: 'again' }
  | { kind: 'problem'; what: string };

interface Remote {
  id: Buffer;
  boots: number;
  /** engineTime minus our seconds. */
  offset: number;
  keys: LocalKeys | undefined;
}

const MAX_SIZE = 65_507;
const EMPTY = Buffer.alloc(0);
/** usmStats of RFC 3414 section 5. */
const USM_STATS = /^1\.3\.6\.1\.6\.3\.15\.1\.1\.([1-6])\.0$/;
const REPORTS = [
  '',
  'unsupported security level',
  'not in time window',
  'unknown user',
  'unknown engine id',
  'wrong digest',
  'decryption error',
] as const;

export class V3Session {
  private readonly o: V3Options;
  private readonly ownKeys: LocalKeys | undefined;
  private remote: Remote | undefined;
  private nextId: number;

  constructor(o: V3Options) {
    this.o = o;
    this.nextId = o.firstId;
    this.ownKeys = o.credentials.keysOn(o.engine.id);
  }

  /** `wallMs`: UTC milliseconds. */
  trap(varbinds: readonly VarBindInput[], requestId: number, wallMs: number): Buffer {
    const { engine } = this.o;
    const at = {
      id: engine.id,
      boots: engine.boots,
      time: Math.max(0, engineTime(engine, wallMs)),
      keys: this.ownKeys,
    };
    return this.message(at, engine.id, false, { pdu: 'trap', requestId, varbinds });
  }

  /** The inform, or while the receiver's engine is not known the question for it. */
  inform(varbinds: readonly VarBindInput[], requestId: number, wallMs: number): Buffer {
    const r = this.remote;
    if (!r) {
      return seal({
        msgId: this.id(),
        maxSize: MAX_SIZE,
        level: 'noAuthNoPriv',
        reportable: true,
        engineId: EMPTY,
        boots: 0,
        time: 0,
        userName: EMPTY,
        scopedPdu: encodeScopedPdu(EMPTY, EMPTY, { pdu: 'get', requestId: this.id(), varbinds: [] }),
      });
    }
    const at = { id: r.id, boots: r.boots, time: Math.max(0, Math.floor(wallMs / 1000) + r.offset), keys: r.keys };
    return this.message(at, this.o.engine.id, true, { pdu: 'inform', requestId, varbinds });
  }

  /** A datagram of the receiver; undefined where it says nothing to us. Never throws. */
  heard(data: Buffer, wallMs: number): V3Heard | undefined {
    const header = decodeV3Header(data);
    if (isDecodeError(header)) return undefined;
    const usm = decodeUsmParameters(data, header);
    if (isDecodeError(usm)) return undefined;
    const known = this.remote;
    const authenticated = (header.flags & FLAG_AUTH) !== 0;
    if (authenticated) {
      if (!known?.keys || !usm.engineId.equals(known.id)) return undefined;
      if (!digestMatches(known.keys, data, usm.authOffset, usm.authLength)) return undefined;
    }
    let bytes = data;
    let from = header.dataOffset;
    let padding = 0;
    if ((header.flags & FLAG_PRIV) !== 0) {
      const priv = known?.keys?.priv;
      const octets = encryptedPdu(data, header);
      if (!authenticated || !priv || isDecodeError(octets)) return undefined;
      const plain = decrypt(priv, usm.boots, usm.time, usm.privParameters, octets);
      if (!plain) return undefined;
      bytes = plain;
      from = 0;
      padding = paddingOf(priv);
    }
    const scoped = decodeScopedPdu(bytes, from, padding > 0 || from === 0 ? bytes.length : header.end, padding);
    if (isDecodeError(scoped)) return undefined;
    const pdu = decodePduAt(bytes, scoped.pduOffset, scoped.end);
    if (isDecodeError(pdu) || pdu.pdu === 'trap-v1') return undefined;
    const wanted = this.o.credentials.level !== 'noAuthNoPriv';
    if (pdu.pdu === 'response') {
      // An answer proves delivery: it must be as secure as the question.
      if (wanted && !authenticated) return undefined;
      return { kind: 'answer', requestId: pdu.requestId, error: pdu.errorStatus };
    }
    if (pdu.pdu !== 'report') return undefined;
    const stat = Number(USM_STATS.exec(pdu.varbinds[0]?.oid ?? '')?.[1] ?? 0);
    const time = Math.floor(wallMs / 1000);
    if (stat === 4 && usm.engineId.length >= 5 && usm.engineId.length <= 32) {
      // Who the receiver is nobody can authenticate; what it takes afterwards it must.
      if (known && usm.engineId.equals(known.id)) return undefined;
      const id = Buffer.from(usm.engineId);
      this.remote = { id, boots: usm.boots, offset: usm.time - time, keys: this.o.credentials.keysOn(id) };
      return { kind: 'again' };
    }
    if (stat === 2 && known && (authenticated || !wanted)) {
      if (usm.boots === known.boots && Math.abs(usm.time - time - known.offset) < 2) return undefined;
      known.boots = usm.boots;
      known.offset = usm.time - time;
      return { kind: 'again' };
    }
    return stat === 0 ? undefined : { kind: 'problem', what: REPORTS[stat] };
  }

  private message(
    at: { id: Buffer; boots: number; time: number; keys: LocalKeys | undefined },
    contextEngine: Buffer,
    reportable: boolean,
    pdu: { pdu: 'trap' | 'inform'; requestId: number; varbinds: readonly VarBindInput[] },
  ): Buffer {
    const { credentials, salts, context } = this.o;
    return seal({
      msgId: this.id(),
      maxSize: MAX_SIZE,
      level: credentials.level,
      reportable,
      engineId: at.id,
      boots: at.boots,
      time: at.time,
      userName: credentials.name,
      keys: at.keys,
      salt: credentials.level === 'authPriv' ? salts.next(credentials.des, at.boots) : undefined,
      scopedPdu: encodeScopedPdu(contextEngine, Buffer.from(context), pdu),
    });
  }

  private id(): number {
    this.nextId = (this.nextId + 1) & 0x7fffffff;
    return this.nextId;
  }
}
