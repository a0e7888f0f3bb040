/**
 * Users of the configuration → users of the machine.
 *
 *   passphrase                        as in the file. An instance never gives a worker one (process/user-keys.ts)
 *   master_key                        in the file, or made of the passphrase when the file was loaded
 *   master_key and localized_key      the latter is that on our engine, where making it costs a megabyte of hashing
 *   localized_key                     of the one engine of the user
 *   none                              it is still being made
 */
import { Buffer } from 'node:buffer';
import type { AuthProtocol } from '../../protocol/usm/algorithms.ts';
import { masterKey } from '../../protocol/usm/keys.ts';
import type { KeyMaterial, UserSpec } from '../../protocol/usm/users.ts';
import type { SnmpTrapConfig } from './config.ts';

type UserConfig = SnmpTrapConfig['users'][number];

const made = new WeakMap<UserConfig, UserSpec>();

/** The same for the same object: what did not change is not looked at again. */
export function userSpec(u: UserConfig): UserSpec {
  let spec = made.get(u);
  if (spec === undefined) {
    spec = make(u);
    made.set(u, spec);
  }
  return spec;
}

function make(u: UserConfig): UserSpec {
  return {
    name: u.name,
    engineId: u.engine_id === undefined ? undefined : Buffer.from(u.engine_id, 'hex'),
    auth: u.auth && { protocol: u.auth.protocol, key: material(u.auth.protocol, u.auth) },
    priv: u.priv && u.auth && { protocol: u.priv.protocol, key: material(u.auth.protocol, u.priv) },
    level: u.level,
    timeliness: u.timeliness,
  };
}

function material(
  auth: AuthProtocol,
  k: { passphrase?: string; master_key?: string; localized_key?: string },
): KeyMaterial {
  const localized = k.localized_key === undefined ? undefined : Buffer.from(k.localized_key, 'hex');
  if (k.master_key !== undefined) return { kind: 'master', key: Buffer.from(k.master_key, 'hex'), own: localized };
  if (localized !== undefined) return { kind: 'localized', key: localized };
  if (k.passphrase !== undefined) return { kind: 'master', key: masterKey(auth, k.passphrase) };
  return { kind: 'pending' };
}
