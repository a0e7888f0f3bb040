/**
 * Keys of USM.
 *
 *   passphrase ── 1 MiB of it, hashed ──► master key Ku                                   RFC 3414 section 2.6, A.2
 *   Ku ── H(Ku | engineID | Ku) ──► localised key Kul, one for each engine
 *   Kul too short for the cipher ──► extended
 *     Blumenthal   K = Kul;  K = K | H(K)                     until it is long enough       draft-blumenthal-aes-usm-04 section 3.1.2.1
 *     Reeder       K = Kul;  K = K | localised(Ku of K as passphrase)                       draft-reeder-snmpv3-usm-3desede-00 section 2.1
 *
 * Only the first step, and Reeder's, cost a megabyte. Ku does not depend on the engine.
 */
import { Buffer } from 'node:buffer';
import { createSecretKey, hash, type KeyObject } from 'node:crypto';
import { AUTH, type AuthProtocol, PRIV, type PrivProtocol } from './algorithms.ts';
import { type AuthKey, authKey } from './auth.ts';

const MEGABYTE = 1_048_576;

/** Ku of a passphrase (its octets, repeated up to a megabyte). An empty one is a programmer's error. */
export function masterKey(auth: AuthProtocol, passphrase: string | Uint8Array): Buffer {
  const octets = typeof passphrase === 'string' ? Buffer.from(passphrase) : passphrase;
  return hash(AUTH[auth].hash, Buffer.alloc(MEGABYTE, octets), 'buffer');
}

/** Kul: the master key bound to one engine. */
export function localize(auth: AuthProtocol, ku: Uint8Array, engineId: Uint8Array): Buffer {
  return hash(AUTH[auth].hash, Buffer.concat([ku, engineId, ku]), 'buffer');
}

/** The localised privacy key, as long as its cipher wants it. */
export function localizePriv(auth: AuthProtocol, priv: PrivProtocol, ku: Uint8Array, engineId: Uint8Array): Buffer {
  const { key: length, extension } = PRIV[priv];
  let k = localize(auth, ku, engineId);
  while (k.length < length) {
    const more =
      extension === 'reeder' ? localize(auth, masterKey(auth, k), engineId) : hash(AUTH[auth].hash, k, 'buffer');
    k = Buffer.concat([k, more]);
  }
  return k.subarray(0, length);
}

export interface PrivKey {
  protocol: PrivProtocol;
  /** Of DES three times the same key. */
  key: KeyObject;
  /** DES only. */
  preIv: Buffer | undefined;
}

/** The keys of one user on one engine, ready for use. */
export interface LocalKeys {
  auth: AuthKey;
  priv: PrivKey | undefined;
}

/** `auth` and `priv`: the localised keys; of `priv` at least as many octets as the cipher uses. */
export function localKeys(
  auth: AuthProtocol,
  authOctets: Uint8Array,
  priv: PrivProtocol | undefined,
  privOctets: Uint8Array | undefined,
): LocalKeys {
  return {
    auth: authKey(auth, authOctets),
    priv: priv === undefined || privOctets === undefined ? undefined : cipherKey(priv, privOctets),
  };
}

function cipherKey(protocol: PrivProtocol, key: Uint8Array): PrivKey {
  if (protocol !== 'des')
    return { protocol, key: createSecretKey(key.subarray(0, PRIV[protocol].key)), preIv: undefined };
  // OpenSSL 3 keeps single DES in its legacy provider, but EDE3 with three equal keys is the same function.
  const k = key.subarray(0, 8);
  return { protocol, key: createSecretKey(Buffer.concat([k, k, k])), preIv: Buffer.from(key.subarray(8, 16)) };
}
