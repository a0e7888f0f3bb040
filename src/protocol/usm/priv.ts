/**
 * Privacy.
 *
 *   DES-CBC   key: octets 1..8 of the localised key; pre-IV: 9..16; IV = pre-IV XOR salt; the last block is filled up   RFC 3414 section 8
 *   AES-CFB   IV = engineBoots (32 bits) | engineTime (32 bits) | salt (64 bits); no filling                              RFC 3826 section 3
 *
 * The salt is msgPrivacyParameters, 8 octets in both.
 */
import { Buffer } from 'node:buffer';
import { type Cipheriv, createCipheriv, createDecipheriv } from 'node:crypto';
import { PRIV } from './algorithms.ts';
import { BoundedMap } from './bounded.ts';
import type { PrivKey } from './keys.ts';

export const SALT_LENGTH = 8;
const BLOCK = 8;

const AES_BLOCK = 16;
const MAX_DATA = 65_536;

/**
 * CFB is decrypted with the block cipher alone: each octet is XORed with what the block of ciphertext before it (the IV first) encrypts to,
 * and all of those are here already. A cipher object of a key is used again, which saves most of what decrypting a notification costs. They
 * are large, so there are some for the keys in use, not one for each engine.
 */
const blockCiphers = new BoundedMap<Cipheriv, PrivKey>(4096);
const shifted = Buffer.alloc(MAX_DATA + AES_BLOCK);

const iv16 = Buffer.alloc(16);
const iv8 = Buffer.alloc(8);

function initialisation(key: PrivKey, boots: number, time: number, salt: Uint8Array): Buffer {
  if (key.preIv !== undefined) {
    for (let i = 0; i < BLOCK; i++) iv8[i] = key.preIv[i] ^ salt[i];
    return iv8;
  }
  iv16.writeUInt32BE(boots, 0);
  iv16.writeUInt32BE(time, 4);
  iv16.set(salt, 8);
  return iv16;
}

/** The plaintext, or undefined where salt or data have a length no sender of this protocol makes (RFC 3414 section 8.3.2, RFC 3826 section 3.1.4). */
export function decrypt(
  key: PrivKey,
  boots: number,
  time: number,
  salt: Uint8Array,
  data: Uint8Array,
): Buffer | undefined {
  if (salt.length !== SALT_LENGTH) return undefined;
  const des = key.preIv !== undefined;
  if (data.length === 0 || (des && data.length % BLOCK !== 0)) return undefined;
  const iv = initialisation(key, boots, time, salt);
  if (!des) return decryptCfb(key, iv, data);
  return createDecipheriv(PRIV[key.protocol].cipher, key.key, iv).setAutoPadding(false).update(data);
}

function decryptCfb(key: PrivKey, iv: Buffer, data: Uint8Array): Buffer | undefined {
  if (data.length > MAX_DATA) return undefined;
  let cipher = blockCiphers.get(key);
  if (cipher === undefined) {
    const name = PRIV[key.protocol].cipher.replace('cfb', 'ecb');
    cipher = createCipheriv(name, key.key, null).setAutoPadding(false);
    blockCiphers.set(key, cipher);
  }
  iv.copy(shifted);
  shifted.set(data, AES_BLOCK);
  const out = cipher.update(shifted.subarray(0, Math.ceil(data.length / AES_BLOCK) * AES_BLOCK));
  for (let i = 0; i < data.length; i++) out[i] ^= data[i];
  return out.subarray(0, data.length);
}

export function encrypt(key: PrivKey, boots: number, time: number, salt: Uint8Array, data: Uint8Array): Buffer {
  const c = createCipheriv(PRIV[key.protocol].cipher, key.key, initialisation(key, boots, time, salt));
  if (key.preIv === undefined) return c.update(data);
  c.setAutoPadding(false);
  const filled = Buffer.alloc(Math.ceil(data.length / BLOCK) * BLOCK);
  filled.set(data);
  return c.update(filled);
}

/**
 * Octets that may follow a decrypted ScopedPDU. CFB needs no filling (RFC 3826, section 3.1.4), and there are senders, pysnmp among them,
 * that fill up to a block and a whole block where none is needed. It is authenticated with the rest, so it does no harm.
 */
export function paddingOf(key: PrivKey): number {
  return key.preIv === undefined ? AES_BLOCK : BLOCK;
}
