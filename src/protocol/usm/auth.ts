/**
 * Authentication: HMAC over the whole message with the digest's octets zero, cut to the protocol's length (RFC 3414 section 6.3 and
 * 7.3, RFC 7860 section 4.2).
 */
import { Buffer } from 'node:buffer';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { AUTH } from './algorithms.ts';
import type { LocalKeys } from './keys.ts';

const MAX_DIGEST = 48;
const given = Buffer.alloc(MAX_DIGEST);

function hmac(keys: LocalKeys, message: Uint8Array): Buffer {
  return createHmac(AUTH[keys.auth.protocol].hash, keys.auth.key).update(message).digest();
}

/** Is the digest at `at` of `message` the right one? The message is as before when this returns. In constant time. */
export function digestMatches(keys: LocalKeys, message: Buffer, at: number, length: number): boolean {
  const want = AUTH[keys.auth.protocol].digest;
  if (length !== want) return false;
  const copy = given.subarray(0, want);
  message.copy(copy, 0, at, at + want);
  message.fill(0, at, at + want);
  const right = hmac(keys, message);
  copy.copy(message, at);
  return timingSafeEqual(right.subarray(0, want), copy);
}

/** Writes the digest into a message that has zeros at `at`. */
export function sign(keys: LocalKeys, message: Buffer, at: number): void {
  hmac(keys, message).copy(message, at, 0, AUTH[keys.auth.protocol].digest);
}
