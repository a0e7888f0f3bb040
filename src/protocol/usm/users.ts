/**
 * The table of users (RFC 3414 section 2.1): by (engine, name) for users of one engine, by name for users of any engine.
 *
 * A passphrase never comes here: a megabyte is hashed for it where the configuration is loaded. An unchanged user keeps its keys over a
 * change of the table.
 */
import { Buffer } from 'node:buffer';
import { type AuthProtocol, isCostly, type PrivProtocol, type SecurityLevel } from './algorithms.ts';
import { type LocalKeys, localize, localizePriv, localKeys } from './keys.ts';
import type { Timeliness } from './timeliness.ts';

/**
 * A localised key belongs to one engine; a master key makes one for each. `own`: the localised key on our engine, where making it costs a
 * megabyte and it is made already. `pending`: there will be a master key, and there is none yet.
 */
export type KeyMaterial =
  | { kind: 'master'; key: Buffer; own?: Buffer }
  | { kind: 'localized'; key: Buffer }
  | { kind: 'pending' };

export interface UserSpec {
  name: string;
  /** Absent: any engine. */
  engineId?: Buffer;
  auth?: { protocol: AuthProtocol; key: KeyMaterial };
  /** Only with `auth`. */
  priv?: { protocol: PrivProtocol; key: KeyMaterial };
  /** The least level of its messages; absent: the highest it has keys for. */
  level?: SecurityLevel;
  timeliness?: Timeliness;
}

/** One user as configured. */
export class User {
  readonly spec: UserSpec;
  /** The highest that its keys make possible, and the least that is accepted. */
  readonly level: SecurityLevel;
  readonly least: SecurityLevel;
  /** A new engine costs a megabyte of hashing (Reeder's extension of a short hash). */
  readonly costly: boolean;
  /** Are there keys to work with? */
  readonly ready: boolean;
  /** Of a user of one engine. */
  keys: LocalKeys | undefined;

  constructor(spec: UserSpec) {
    this.spec = spec;
    this.level = spec.auth === undefined ? 'noAuthNoPriv' : spec.priv === undefined ? 'authNoPriv' : 'authPriv';
    this.least = spec.level ?? this.level;
    this.costly =
      spec.auth !== undefined &&
      spec.priv?.key.kind !== 'localized' &&
      isCostly(spec.auth.protocol, spec.priv?.protocol);
    this.ready = spec.auth?.key.kind !== 'pending' && spec.priv?.key.kind !== 'pending';
  }

  /** The keys on an engine; a user without authentication, or that is not ready, has none. `local`: it is our engine. */
  keysOn(engineId: Buffer, local: boolean): LocalKeys | undefined {
    const { auth, priv } = this.spec;
    if (auth === undefined) return undefined;
    const { protocol } = auth;
    const authKey = kul(auth.key, (ku) => localize(protocol, ku, engineId));
    if (authKey === undefined || priv === undefined)
      return authKey && localKeys(protocol, authKey, undefined, undefined);
    const made = local && priv.key.kind === 'master' ? priv.key.own : undefined;
    const privKey = made ?? kul(priv.key, (ku) => localizePriv(protocol, priv.protocol, ku, engineId));
    return privKey && localKeys(protocol, authKey, priv.protocol, privKey);
  }
}

function kul(key: KeyMaterial, localized: (ku: Buffer) => Buffer): Buffer | undefined {
  if (key.kind === 'pending') return undefined;
  return key.kind === 'localized' ? key.key : localized(key.key);
}

/** A key of (engine, name); both as latin1 text of their octets. */
export function pairKey(engine: string, name: string): string {
  return String.fromCharCode(engine.length) + engine + name;
}

export class UserTable {
  private exact = new Map<string, User>();
  private any = new Map<string, User>();
  private notReady = 0;

  get size(): number {
    return this.exact.size + this.any.size;
  }

  /** Replaces all users. Of two with the same engine and name the last stays. With many users every microsecond here is one for all of them. */
  replace(specs: readonly UserSpec[]): void {
    const { exact, any } = this;
    this.exact = new Map();
    this.any = new Map();
    this.notReady = 0;
    for (const spec of specs) {
      const name = Buffer.from(spec.name).toString('latin1');
      const anywhere = spec.engineId === undefined;
      const key = anywhere ? name : pairKey(spec.engineId!.toString('latin1'), name);
      const before = (anywhere ? any : exact).get(key);
      const user = before !== undefined && sameSpec(before.spec, spec) ? before : new User(spec);
      (anywhere ? this.any : this.exact).set(key, user);
    }
    for (const list of [this.exact, this.any]) for (const u of list.values()) if (!u.ready) this.notReady++;
  }

  /** The user of that name on that engine, else the one of that name on any. */
  find(engine: string, name: string): User | undefined {
    return this.exact.get(pairKey(engine, name)) ?? this.any.get(name);
  }

  /** Users whose keys are not made yet. */
  get pending(): number {
    return this.notReady;
  }
}

/** Does nothing differ? Of the same engine and name. */
function sameSpec(a: UserSpec, b: UserSpec): boolean {
  if (a === b) return true;
  return (
    a.level === b.level &&
    a.timeliness === b.timeliness &&
    a.auth?.protocol === b.auth?.protocol &&
    a.priv?.protocol === b.priv?.protocol &&
    sameKey(a.auth?.key, b.auth?.key) &&
    sameKey(a.priv?.key, b.priv?.key)
  );
}

function sameKey(a: KeyMaterial | undefined, b: KeyMaterial | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.kind === 'pending' || b.kind === 'pending') return a.kind === b.kind;
  if (a.kind !== b.kind || !a.key.equals(b.key)) return false;
  const own = a.kind === 'master' ? a.own : undefined;
  const other = b.kind === 'master' ? b.own : undefined;
  return own === undefined || other === undefined ? own === other : own.equals(other);
}
