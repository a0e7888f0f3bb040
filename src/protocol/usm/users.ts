/**
 * The table of users (RFC 3414 section 2.1): by (engine, name) for users of one engine, by name for users of any engine.
 *
 * A megabyte is hashed once for each passphrase and hash, before or at the first use, never again. An unchanged user keeps its keys
 * over a change of the table.
 */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { type AuthProtocol, isCostly, type PrivProtocol, type SecurityLevel } from './algorithms.ts';
import { type LocalKeys, localize, localizePriv, localKeys, masterKey } from './keys.ts';
import type { Timeliness } from './timeliness.ts';

/** A localised key belongs to one engine; the others make one for each. */
export type KeyMaterial =
  | { kind: 'passphrase'; text: string }
  | { kind: 'master'; key: Buffer }
  | { kind: 'localized'; key: Buffer };

export interface UserSpec {
  name: string;
  /** Absent: any engine. */
  engineId?: Buffer;
  auth?: { protocol: AuthProtocol; key: KeyMaterial };
  /** Only with `auth`. */
  priv?: { protocol: PrivProtocol; key: KeyMaterial };
  timeliness?: Timeliness;
}

/** Megabyte hashes that were made, by hash and passphrase. The passphrase itself is no key of the map. */
export class MasterKeys {
  private readonly made = new Map<string, Buffer>();

  has(auth: AuthProtocol, material: KeyMaterial): boolean {
    return material.kind !== 'passphrase' || this.made.has(nameOf(auth, material.text));
  }

  /** Hashes a megabyte where it was not done before. */
  get(auth: AuthProtocol, material: KeyMaterial): Buffer {
    if (material.kind !== 'passphrase') return material.key;
    const name = nameOf(auth, material.text);
    let ku = this.made.get(name);
    if (ku === undefined) {
      ku = masterKey(auth, material.text);
      this.made.set(name, ku);
    }
    return ku;
  }

  /** Forgets those that no user needs any more. */
  keep(specs: readonly UserSpec[]): void {
    const wanted = new Set<string>();
    for (const { auth, priv } of specs) {
      if (auth?.key.kind === 'passphrase') wanted.add(nameOf(auth.protocol, auth.key.text));
      if (auth && priv?.key.kind === 'passphrase') wanted.add(nameOf(auth.protocol, priv.key.text));
    }
    for (const name of this.made.keys()) if (!wanted.has(name)) this.made.delete(name);
  }
}

function nameOf(auth: AuthProtocol, passphrase: string): string {
  return createHash('sha256').update(`${auth}\n`).update(passphrase).digest('latin1');
}

/** One user as configured. */
export class User {
  readonly spec: UserSpec;
  readonly level: SecurityLevel;
  /** A new engine costs a megabyte of hashing (Reeder's extension of a short hash), however its master key was given. */
  readonly costly: boolean;
  /** Equal where nothing differs. */
  readonly fingerprint: string;
  /** Of a user of one engine. */
  keys: LocalKeys | undefined;
  private readonly masters: MasterKeys;

  constructor(spec: UserSpec, masters: MasterKeys) {
    this.spec = spec;
    this.masters = masters;
    this.level = spec.auth === undefined ? 'noAuthNoPriv' : spec.priv === undefined ? 'authNoPriv' : 'authPriv';
    this.costly =
      spec.auth !== undefined &&
      spec.priv?.key.kind !== 'localized' &&
      isCostly(spec.auth.protocol, spec.priv?.protocol);
    this.fingerprint = fingerprint(spec);
  }

  /** Are all master keys there, so that a new engine costs no megabyte of them? */
  get ready(): boolean {
    const { auth, priv } = this.spec;
    if (auth === undefined) return true;
    return (
      this.masters.has(auth.protocol, auth.key) && (priv === undefined || this.masters.has(auth.protocol, priv.key))
    );
  }

  /** Hashes what is needed for `ready`. */
  prepare(): void {
    const { auth, priv } = this.spec;
    if (auth === undefined) return;
    this.masters.get(auth.protocol, auth.key);
    if (priv !== undefined) this.masters.get(auth.protocol, priv.key);
  }

  /** The keys on an engine; a user without authentication has none. */
  keysOn(engineId: Buffer): LocalKeys | undefined {
    const { auth, priv } = this.spec;
    if (auth === undefined) return undefined;
    const { protocol } = auth;
    const authKey =
      auth.key.kind === 'localized' ? auth.key.key : localize(protocol, this.masters.get(protocol, auth.key), engineId);
    let privKey: Buffer | undefined;
    if (priv !== undefined)
      privKey =
        priv.key.kind === 'localized'
          ? priv.key.key
          : localizePriv(protocol, priv.protocol, this.masters.get(protocol, priv.key), engineId);
    return localKeys(protocol, authKey, priv?.protocol, privKey);
  }
}

/** A key of (engine, name); both as latin1 text of their octets. */
export function pairKey(engine: string, name: string): string {
  return String.fromCharCode(engine.length) + engine + name;
}

export class UserTable {
  private exact = new Map<string, User>();
  private any = new Map<string, User>();
  private engines = new Set<string>();
  private readonly masters = new MasterKeys();
  private unprepared: User[] = [];

  get size(): number {
    return this.exact.size + this.any.size;
  }

  /** Replaces all users. Of two with the same engine and name the last stays. */
  replace(specs: readonly UserSpec[]): void {
    const before = new Map<string, User>();
    for (const list of [this.exact, this.any]) for (const u of list.values()) before.set(u.fingerprint, u);
    this.exact = new Map();
    this.any = new Map();
    this.engines = new Set();
    this.unprepared = [];
    this.masters.keep(specs);
    for (const spec of specs) {
      const fresh = new User(spec, this.masters);
      const user = before.get(fresh.fingerprint) ?? fresh;
      const name = Buffer.from(spec.name).toString('latin1');
      if (spec.engineId === undefined) this.any.set(name, user);
      else {
        const engine = spec.engineId.toString('latin1');
        this.engines.add(engine);
        this.exact.set(pairKey(engine, name), user);
      }
      if (!user.ready) this.unprepared.push(user);
    }
    // The last is prepared first.
    this.unprepared.reverse();
  }

  /** The user of that name on that engine, else the one of that name on any. */
  find(engine: string, name: string): User | undefined {
    return this.exact.get(pairKey(engine, name)) ?? this.any.get(name);
  }

  /** Is the engine named by a user? */
  names(engine: string): boolean {
    return this.engines.has(engine);
  }

  /** Are there users whose master keys are not made yet? */
  get waiting(): boolean {
    return this.unprepared.length > 0;
  }

  /** Makes the master keys of the next user; true while there are more. */
  prepareNext(): boolean {
    for (;;) {
      const user = this.unprepared.pop();
      if (user === undefined) return false;
      if (user.ready) continue;
      user.prepare();
      return this.unprepared.length > 0;
    }
  }
}

function fingerprint(s: UserSpec): string {
  const material = (k: KeyMaterial | undefined): unknown =>
    k && (k.kind === 'passphrase' ? [k.kind, k.text] : [k.kind, k.key.toString('hex')]);
  const parts = [
    s.name,
    s.engineId?.toString('hex'),
    s.auth?.protocol,
    material(s.auth?.key),
    s.priv?.protocol,
    material(s.priv?.key),
    s.timeliness,
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('latin1');
}
