/** HMAC by the add-on and in TypeScript, against node:crypto's. */
import { Buffer } from 'node:buffer';
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { kernels } from '../../../src/core/kernels.ts';
import { loadNative } from '../../../src/net/native.ts';
import { AUTH, AUTH_PROTOCOLS } from '../../../src/protocol/usm/algorithms.ts';
import { authKey, digestMatches, sign } from '../../../src/protocol/usm/auth.ts';

const native = loadNative();

afterEach(() => {
  kernels.native = native;
});

describe.each(native ? ['typescript', 'add-on'] : ['typescript'])('digests by %s', (by) => {
  it.each(AUTH_PROTOCOLS)('%s is what node:crypto makes of the message with zeros in its place', (protocol) => {
    kernels.native = by === 'add-on' ? native : undefined;
    const { hash, length, digest } = AUTH[protocol];
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: length, maxLength: length }),
        fc.uint8Array({ minLength: digest, maxLength: 2000 }),
        fc.nat(),
        fc.nat(),
        (key, octets, where, bit) => {
          const message = Buffer.from(octets);
          const at = where % (message.length - digest + 1);
          const auth = { auth: authKey(protocol, key) };
          sign(auth, message, at);
          const zeroed = Buffer.from(message).fill(0, at, at + digest);
          const whole = createHmac(hash, key).update(zeroed).digest();
          expect(message.subarray(at, at + digest)).toEqual(whole.subarray(0, digest));
          expect(digestMatches(auth, message, at, digest)).toBe(true);
          expect(digestMatches(auth, message, at, digest - 1)).toBe(false);
          const place = bit % message.length;
          message[place] ^= 1 << (bit % 8);
          expect(digestMatches(auth, message, at, digest)).toBe(false);
        },
      ),
      { numRuns: 60 },
    );
  });
});

it.runIf(native)('the add-on refuses what is outside of the message', () => {
  const b = Buffer.alloc(64);
  const call = (hash: number, at: number, cut: number, out = b): number =>
    native!.hmac(hash, b, b, Buffer.alloc(20), at, cut, out);
  expect(call(3, 0, 12)).toBe(32);
  expect(call(6, 0, 12)).toBeLessThan(0);
  expect(call(-1, 0, 12)).toBeLessThan(0);
  expect(call(3, 9, 12)).toBeLessThan(0);
  expect(call(3, 21, 0)).toBeLessThan(0);
  expect(call(3, 0, 65)).toBeLessThan(0);
  expect(call(3, 0, 12, Buffer.alloc(31))).toBeLessThan(0);
});
