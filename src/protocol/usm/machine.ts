/**
 * The receiving half of USM: what happens to one SNMPv3 message, in the order of RFC 3412 section 7.2 and RFC 3414 section 3.2.
 *
 *   header ─► security model, flags ─► parameters ─► engine ─► user ─► level ─► digest ─► timeliness ─► decrypt ─► PDU
 *     │              │                     │           │         │       │         │           │           │        │
 *     └──────────────┴─────────────────────┴───────────┴─────────┴───────┴─────────┴───────────┴───────────┴────────┴─► refuse, Report
 *
 * Nothing is remembered of, and nothing decrypted from, a message that is not authenticated. Who is authoritative: of a trap the
 * sender, of everything that wants an answer we are.
 *
 * A new engine of a user for any engine costs two or three small hashes; a budget for each source and for all bounds them, and what is
 * learned is kept only when the digest was right. Pure: times are arguments.
 */
import { Buffer } from 'node:buffer';
import { decodePduAt } from '../../codec/snmp/decode.ts';
import type { Pdu } from '../../codec/snmp/message.ts';
import {
  decodeScopedPdu,
  decodeUsmParameters,
  decodeV3Header,
  encryptedPdu,
  FLAG_AUTH,
  FLAG_PRIV,
  FLAG_REPORTABLE,
  type ScopedPdu,
  USM,
  type UsmParameters,
  type V3Header,
} from '../../codec/snmp/v3.ts';
import { encodeScopedPdu } from '../../codec/snmp/v3-encode.ts';
import { type DecodeCode, type DecodeError, isDecodeError } from '../../core/result.ts';
import type { SecurityLevel } from './algorithms.ts';
import { digestMatches } from './auth.ts';
import { Budget, type Rate } from './bounded.ts';
import { engineTime, LOCAL_ENGINE_ID, MAX_ENGINE_ID, MIN_ENGINE_ID, type OwnEngine } from './engine.ts';
import { type KeyBudgets, type KeyDenial, KeyRing } from './keyring.ts';
import type { LocalKeys } from './keys.ts';
import { decrypt, paddingOf } from './priv.ts';
import { isConfirmed, type ReportName, reportable, reportPdu, STATS, type Stat } from './reports.ts';
import type { Salts } from './salts.ts';
import { seal } from './seal.ts';
import { EngineClocks, inOwnWindow, type Timeliness } from './timeliness.ts';
import { type User, type UserSpec, UserTable } from './users.ts';

/** Octets we can take: the largest UDP payload over IPv4. */
export const OUR_MAX_SIZE = 65_507;

const SNMP_ENGINE_ID = '1.3.6.1.6.3.10.2.1.1.0';
const TOO_BIG = 1;
const LEVELS: readonly SecurityLevel[] = ['noAuthNoPriv', 'authNoPriv', 'authNoPriv', 'authPriv'];
const RANK: Record<SecurityLevel, number> = { noAuthNoPriv: 0, authNoPriv: 1, authPriv: 2 };

export type UsmRefusal =
  | DecodeCode
  | KeyDenial
  | 'security-model'
  | 'security-flags'
  | 'engine-discovery'
  | 'time-sync'
  | 'unknown-engine'
  | 'unknown-user'
  | 'unsupported-level'
  | 'level-too-low'
  | 'wrong-digest'
  | 'not-in-time-window'
  | 'replay'
  | 'decryption-error'
  | 'pdu-type'
  | 'engine-query'
  | 'clock-behind';

export interface UsmSettings {
  engine: OwnEngine;
  users: readonly UserSpec[];
  /** By engine (latin1 text of its octets): listed engines need no budget, and their timeliness is said here. */
  engines: ReadonlyMap<string, Timeliness | undefined>;
  budgets: UsmBudgets;
  /** Engines, and pairs of engine and user, remembered at most. */
  cache: number;
}

/** Permits per second. */
export interface UsmBudgets extends KeyBudgets {
  report: Rate;
}

export type UsmInput =
  /** `source` names its sender in budgets. */
  | { kind: 'message'; data: Buffer; source: string }
  | { kind: 'configure'; settings: UsmSettings }
  /** Why we may not be authoritative now (a clock that is wrong); undefined: we may. Traps go on. */
  | { kind: 'fence'; reason: string | undefined };

/** What is needed to answer a message, now or later. */
export interface ReplyContext {
  msgId: number;
  /** Octets the sender can take. */
  maxSize: number;
  level: SecurityLevel;
  userName: Buffer;
  keys: LocalKeys | undefined;
}

export interface Accepted {
  kind: 'accept';
  pdu: Pdu & { pdu: 'trap' | 'inform' };
  /** What the PDU was decoded from: the datagram, or what was decrypted. The PDU is at [scoped.pduOffset, scoped.end). */
  bytes: Buffer;
  scoped: ScopedPdu;
  user: string;
  level: SecurityLevel;
  /** The authoritative engine: the sender of a trap, ourselves for an inform. A view. */
  engineId: Buffer;
  local: boolean;
  /** Set where strict timeliness would have refused it. */
  tolerated: Timeliness | undefined;
  /** Set of an inform. */
  reply: ReplyContext | undefined;
}

export type UsmEffect =
  | Accepted
  | { kind: 'refuse'; code: UsmRefusal; detail: string | undefined }
  /** A Report, or the answer to a question for our engine id. */
  | { kind: 'send'; data: Buffer; what: ReportName | 'engineID' }
  /** A Report was due and the budget did not allow it. */
  | { kind: 'suppressed'; what: ReportName };

export interface Now {
  /** Milliseconds, monotonic. */
  ms: number;
  /** UTC milliseconds. */
  wallMs: number;
}

/** What one message is known by while it is examined. */
interface Examined {
  now: Now;
  source: string;
  data: Buffer;
  header: V3Header;
  usm: UsmParameters;
  /** latin1 text of the authoritative engine id and of the user name. */
  engine: string;
  name: string;
  local: boolean;
  level: SecurityLevel;
}

/** Why a message is not accepted, and what its sender is told. */
interface Failure {
  kind: 'fail';
  code: UsmRefusal;
  detail: string | undefined;
  /** Counted, and reported where a Report may be sent. */
  stat: ReportName | undefined;
  /** Report at the level these allow; absent: noAuthNoPriv. */
  keys: LocalKeys | undefined;
  /** Sent in place of a Report. */
  answer?: Buffer;
}

export class UsmMachine {
  /** usmStats and snmpMPDStats. */
  readonly stats: Record<Stat, number>;
  private readonly users = new UserTable();
  private readonly clocks: EngineClocks;
  private readonly ring: KeyRing;
  private readonly salts: Salts;
  private readonly report: Budget;
  private own: OwnEngine;
  private ownText: string;
  private engines: UsmSettings['engines'];
  private fenced: string | undefined;

  constructor(settings: UsmSettings, salts: Salts) {
    this.stats = Object.fromEntries(Object.keys(STATS).map((k) => [k, 0])) as Record<Stat, number>;
    this.salts = salts;
    this.clocks = new EngineClocks(settings.cache);
    this.ring = new KeyRing(settings.budgets, settings.cache);
    this.report = new Budget(settings.budgets.report);
    this.own = settings.engine;
    this.ownText = text(settings.engine.id);
    this.engines = settings.engines;
    this.users.replace(settings.users);
  }

  get engine(): OwnEngine {
    return this.own;
  }

  get userCount(): number {
    return this.users.size;
  }

  /** Engines whose clock is known, and (engine, user) pairs whose keys are. */
  get known(): { engines: number; pairs: number } {
    return { engines: this.clocks.size, pairs: this.ring.size };
  }

  /** Users whose keys are not made yet: what they send is refused. */
  get pendingUsers(): number {
    return this.users.pending;
  }

  handle(now: Now, input: UsmInput, out: UsmEffect[]): void {
    if (input.kind === 'message') this.message(now, input.data, input.source, out);
    else if (input.kind === 'fence') this.fenced = input.reason;
    else this.configure(input.settings);
  }

  /** The datagram that carries a ScopedPDU back, as of now. `tooBig`: what is sent in its place where it is more than the sender can take. */
  respond(now: Now, to: ReplyContext, scopedPdu: Buffer, tooBig?: () => Buffer): Buffer {
    const message = this.sealed(now, to, scopedPdu);
    return message.length > to.maxSize && tooBig ? this.sealed(now, to, tooBig()) : message;
  }

  private sealed(now: Now, to: ReplyContext, scopedPdu: Buffer): Buffer {
    const { id, boots } = this.own;
    const priv = to.level === 'authPriv' ? to.keys?.priv : undefined;
    return seal({
      msgId: to.msgId,
      maxSize: OUR_MAX_SIZE,
      level: to.level,
      engineId: id,
      boots,
      time: Math.max(0, engineTime(this.own, now.wallMs)),
      userName: to.userName,
      keys: to.keys,
      salt: priv && this.salts.next(priv.preIv !== undefined, boots),
      scopedPdu,
    });
  }

  private configure(s: UsmSettings): void {
    this.own = s.engine;
    this.ownText = text(s.engine.id);
    this.engines = s.engines;
    this.users.replace(s.users);
    this.ring.set(s.budgets, s.cache);
    this.clocks.resize(s.cache);
    this.report.set(s.budgets.report);
  }

  private message(now: Now, data: Buffer, source: string, out: UsmEffect[]): void {
    const m = this.read(now, data, source);
    if (m.kind === 'fail') {
      out.push({ kind: 'refuse', code: m.code, detail: m.detail });
      return;
    }
    const result = this.examine(m.message);
    if (result.kind === 'accept') out.push(result);
    else this.refuse(m.message, result, out);
  }

  /** RFC 3412 section 7.2, up to where USM takes over, and step 1 of RFC 3414 section 3.2. */
  private read(now: Now, data: Buffer, source: string): { kind: 'message'; message: Examined } | Failure {
    if (this.users.size === 0) return fail('unknown-user', undefined, 'no user is configured');
    const header = decodeV3Header(data);
    if (isDecodeError(header)) return malformed(header);
    if (header.securityModel !== USM) {
      this.stats.unknownSecurityModels++;
      return fail('security-model', undefined, `model ${header.securityModel}`);
    }
    const flags = header.flags & (FLAG_AUTH | FLAG_PRIV);
    if (flags === FLAG_PRIV) {
      this.stats.invalidMsgs++;
      return fail('security-flags', undefined, 'privacy without authentication');
    }
    const usm = decodeUsmParameters(data, header);
    if (isDecodeError(usm)) return malformed(usm);
    const engine = text(usm.engineId);
    const name = text(usm.userName);
    const local = engine === this.ownText;
    return {
      kind: 'message',
      message: { now, source, data, header, usm, engine, name, local, level: LEVELS[flags] },
    };
  }

  /** Steps 3 to 5. */
  private examine(m: Examined): Accepted | Failure {
    const { engine, name, usm } = m;
    // An engine id that cannot be one asks for ours.
    const none = engine.length < MIN_ENGINE_ID || engine.length > MAX_ENGINE_ID;
    if (this.fenced !== undefined && (none || m.local)) return fail('clock-behind', undefined, this.fenced);
    if (none) {
      const probe = engine.length === 0 && (m.header.flags & FLAG_REPORTABLE) !== 0;
      return fail(probe ? 'engine-discovery' : 'unknown-engine', 'unknownEngineIDs', engineText(usm.engineId));
    }
    const user = this.users.find(engine, name);
    if (user === undefined)
      return fail('unknown-user', 'unknownUserNames', name === '' ? 'empty user name' : userText(usm.userName));
    // Step 5: a level the user has no keys for is one it does not support; nor does it support one below what it is configured with.
    const detail = `${user.spec.name}: ${m.level}, configured ${user.least === user.level ? '' : `${user.least} to `}${user.level}`;
    if (RANK[m.level] > RANK[user.level]) return fail('unsupported-level', 'unsupportedSecLevels', detail);
    if (RANK[m.level] < RANK[user.least]) return fail('level-too-low', 'unsupportedSecLevels', detail);
    return m.level === 'noAuthNoPriv' ? this.open(m, user, undefined, undefined) : this.authenticate(m, user);
  }

  /** Steps 6 and 7. */
  private authenticate(m: Examined, user: User): Accepted | Failure {
    const { now, source, name, engine, usm } = m;
    const expected = m.local || this.engines.has(engine);
    const wanted = { now: now.ms, source, user, name, engineId: usm.engineId, engine, expected, local: m.local };
    const found = this.ring.find(wanted);
    if (typeof found === 'string') return fail(found, undefined, whose(user, usm));
    const { keys } = found;
    if (!digestMatches(keys, m.data, usm.authOffset, usm.authLength))
      return fail('wrong-digest', 'wrongDigests', whose(user, usm));
    if (found.fresh) this.ring.prove(wanted, keys);
    const said = `boots/time ${usm.boots}/${usm.time}`;
    if (m.local) {
      const time = engineTime(this.own, now.wallMs);
      if (inOwnWindow({ boots: this.own.boots, time }, usm.boots, usm.time)) return this.open(m, user, keys, undefined);
      // Section 4: an authenticated message with 0/0 is the second step of discovery. The Report is authenticated, so that the sender
      // may believe it.
      const sync = usm.boots === 0 && usm.time === 0;
      return fail(sync ? 'time-sync' : 'not-in-time-window', 'notInTimeWindows', said, keys);
    }
    const mode = this.engines.get(engine) ?? user.spec.timeliness ?? 'strict';
    const verdict = this.clocks.judge(now.ms, engine, usm.boots, usm.time, mode);
    if (verdict === 'late')
      return fail('replay', 'notInTimeWindows', `${engineText(usm.engineId)}: ${said} is behind its newest`);
    return this.open(m, user, keys, verdict === 'tolerated' ? mode : undefined);
  }

  /** Step 8, and the PDU. */
  private open(
    m: Examined,
    user: User,
    keys: LocalKeys | undefined,
    tolerated: Timeliness | undefined,
  ): Accepted | Failure {
    const { header, usm } = m;
    let bytes = m.data;
    let scoped: ScopedPdu | DecodeError;
    if (m.level === 'authPriv') {
      const encrypted = encryptedPdu(m.data, header);
      if (isDecodeError(encrypted)) return malformed(encrypted);
      const priv = keys!.priv!;
      const plain = decrypt(priv, usm.boots, usm.time, usm.privParameters, encrypted);
      if (plain === undefined) return fail('decryption-error', 'decryptionErrors', whose(user, usm));
      scoped = decodeScopedPdu(plain, 0, plain.length, paddingOf(priv));
      // With another key the cipher yields noise: its first octets are no ScopedPDU.
      if (isDecodeError(scoped)) return fail('decryption-error', 'decryptionErrors', whose(user, usm));
      // What fills up the last block is no part of what was said: a sender may fill up otherwise when it sends again.
      bytes = plain.subarray(0, scoped.end);
    } else {
      scoped = decodeScopedPdu(m.data, header.dataOffset, header.end);
      if (isDecodeError(scoped)) return malformed(scoped);
    }
    const pdu = decodePduAt(bytes, scoped.pduOffset, scoped.end);
    if (isDecodeError(pdu)) return malformed(pdu);
    const reply: ReplyContext = {
      msgId: header.msgId,
      maxSize: header.maxSize,
      level: m.level,
      userName: Buffer.from(usm.userName),
      keys,
    };
    if (pdu.pdu === 'trap' || (pdu.pdu === 'inform' && m.local)) {
      return {
        kind: 'accept',
        pdu: pdu as Accepted['pdu'],
        bytes,
        scoped,
        user: user.spec.name,
        level: m.level,
        engineId: usm.engineId,
        local: m.local,
        tolerated,
        reply: pdu.pdu === 'inform' ? reply : undefined,
      };
    }
    if (pdu.pdu === 'inform') return fail('unknown-engine', 'unknownEngineIDs', engineText(usm.engineId));
    if (pdu.pdu === 'get' && m.local && asksEngineId(pdu, scoped, this.ownText)) {
      const answer = this.respond(m.now, reply, this.engineIdPdu(pdu, scoped));
      return { ...fail('engine-query', undefined, undefined, keys), answer };
    }
    const stat = m.local && isConfirmed(pdu.pdu) ? 'unknownPDUHandlers' : undefined;
    return fail('pdu-type', stat, `v3 ${pdu.pdu}`, keys);
  }

  /** RFC 5343 section 3.2. */
  private engineIdPdu(pdu: Pdu, scoped: ScopedPdu): Buffer {
    return encodeScopedPdu(scoped.contextEngineId, scoped.contextName, {
      pdu: 'response',
      requestId: pdu.requestId,
      varbinds: pdu.varbinds.map((v) => ({ oid: v.oid, type: 'octet-string', value: this.own.id })),
    });
  }

  /**
   * Counts, refuses, and reports where a Report is due. A message that wants an answer and names another engine as authoritative is told
   * ours, whatever else is wrong with it: that is what its sender can act on.
   */
  private refuse(m: Examined, f: Failure, out: UsmEffect[]): void {
    if (f.stat !== undefined) this.stats[f.stat]++;
    out.push({ kind: 'refuse', code: f.code, detail: f.detail });
    if (f.code === 'clock-behind' || this.fenced !== undefined) return;
    if (f.answer !== undefined) {
      if (this.report.take(m.now.ms, m.source)) out.push({ kind: 'send', data: f.answer, what: 'engineID' });
      return;
    }
    const { stat } = f;
    if (stat === undefined) return;
    const to = reportable(m.data, m.header);
    if (to === undefined) return;
    const name = m.local ? stat : 'unknownEngineIDs';
    if (!this.report.take(m.now.ms, m.source)) {
      out.push({ kind: 'suppressed', what: name });
      return;
    }
    if (name !== stat) this.stats[name]++;
    const keys = m.local ? f.keys : undefined;
    const context: ReplyContext = {
      msgId: m.header.msgId,
      maxSize: m.header.maxSize,
      level: keys === undefined ? 'noAuthNoPriv' : name === 'notInTimeWindows' ? 'authNoPriv' : m.level,
      userName: m.usm.userName,
      keys,
    };
    const scoped = reportPdu(this.own.id, NOTHING, name, this.stats[name], to.requestId);
    out.push({ kind: 'send', data: this.respond(m.now, context, scoped), what: name });
  }
}

const NOTHING = Buffer.alloc(0);

function fail(code: UsmRefusal, stat: ReportName | undefined, detail: string | undefined, keys?: LocalKeys): Failure {
  return { kind: 'fail', code, detail, stat, keys };
}

function malformed(e: DecodeError): Failure {
  return fail(e.code, undefined, `${e.layer} at octet ${e.offset}`);
}

/** A Response with tooBig (RFC 3416 section 4.2.7), in the context of the request. */
export function tooBigPdu(scoped: ScopedPdu, requestId: number): Buffer {
  return encodeScopedPdu(scoped.contextEngineId, scoped.contextName, {
    pdu: 'response',
    requestId,
    errorStatus: TOO_BIG,
    varbinds: [],
  });
}

function asksEngineId(pdu: Pdu, scoped: ScopedPdu, own: string): boolean {
  if (text(scoped.contextEngineId) !== own && !LOCAL_ENGINE_ID.equals(scoped.contextEngineId)) return false;
  return pdu.varbinds.length > 0 && pdu.varbinds.every((v) => v.oid === SNMP_ENGINE_ID);
}

/** Octets as text, one character each: a key of maps. */
function text(octets: Buffer): string {
  return octets.toString('latin1');
}

/** For an operator; a name of a stranger is shown as it is only where it is plain. */
function userText(name: Buffer): string {
  const shown = name.toString('latin1');
  return /^[\x21-\x7e]+$/.test(shown) ? shown : `0x${name.toString('hex')}`;
}

function engineText(id: Buffer): string {
  return id.length === 0 ? 'no engine id' : `engine 0x${id.toString('hex', 0, MAX_ENGINE_ID)}`;
}

function whose(user: User, usm: UsmParameters): string {
  return `${user.spec.name} on ${engineText(usm.engineId)}`;
}
