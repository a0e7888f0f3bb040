/**
 * Authentication: HMAC over the whole message with the digest's octets zero, cut to the protocol's length (RFC 3414 section 6.3 and
 * 7.3, RFC 7860 section 4.2).
 *
 *   HMAC = H(K XOR opad | H(K XOR ipad | message))                                                     RFC 2104
 *
 * With the add-on it is one call. Without, both halves are one each, with text as result: an Hmac object, or a Buffer as result, costs more than
 * the hashing.
 */
import { Buffer } from 'node:buffer';
import { hash, timingSafeEqual } from 'node:crypto';
import { kernels } from '../../core/kernels.ts';
import { AUTH, AUTH_PROTOCOLS, type AuthProtocol } from './algorithms.ts';

/** The key XOR ipad and XOR opad, each as long as a block of the hash. */
export interface AuthKey {
  protocol: AuthProtocol;
  inner: Buffer;
  outer: Buffer;
}

const MAX_BLOCK = 128;
const MAX_HASH = 64;
const MAX_MESSAGE = 65_535;
const innerText = Buffer.alloc(MAX_BLOCK + MAX_MESSAGE);
const outerText = Buffer.alloc(MAX_BLOCK + MAX_HASH);
const digest = Buffer.alloc(MAX_HASH);

/** `key`: a localised key. */
export function authKey(protocol: AuthProtocol, key: Uint8Array): AuthKey {
  const block = AUTH[protocol].length > 32 ? 128 : 64;
  const inner = Buffer.alloc(block, 0x36);
  const outer = Buffer.alloc(block, 0x5c);
  for (let i = 0; i < key.length; i++) {
    inner[i] ^= key[i];
    outer[i] ^= key[i];
  }
  return { protocol, inner, outer };
}

/** The whole HMAC of a message whose digest at `at` counts as zeros, in `digest`. */
function compute(key: AuthKey, message: Buffer, at: number): void {
  const { hash: name, length, digest: cut } = AUTH[key.protocol];
  const { native } = kernels;
  if (native !== undefined) {
    const place = AUTH_PROTOCOLS.indexOf(key.protocol);
    if (native.hmac(place, key.inner, key.outer, message, at, cut, digest) === length) return;
  }
  const block = key.inner.length;
  key.inner.copy(innerText);
  message.copy(innerText, block);
  innerText.fill(0, block + at, block + at + cut);
  key.outer.copy(outerText);
  outerText.write(hash(name, innerText.subarray(0, block + message.length), 'latin1'), block, 'latin1');
  digest.write(hash(name, outerText.subarray(0, block + length), 'latin1'), 0, 'latin1');
}

/** Is the digest at `at` of `message` (65,535 octets at most) the right one? In constant time. */
export function digestMatches(keys: { auth: AuthKey }, message: Buffer, at: number, length: number): boolean {
  const want = AUTH[keys.auth.protocol].digest;
  if (length !== want || message.length > MAX_MESSAGE) return false;
  compute(keys.auth, message, at);
  return timingSafeEqual(digest.subarray(0, want), message.subarray(at, at + want));
}

/** Writes the digest into a message at `at`. */
export function sign(keys: { auth: AuthKey }, message: Buffer, at: number): void {
  compute(keys.auth, message, at);
  digest.copy(message, at, 0, AUTH[keys.auth.protocol].digest);
}
