/** CRC-32C (Castagnoli, RFC 3720 appendix B.4), which Kafka puts over a record batch; node:zlib has only the other one. */
import type { Buffer } from 'node:buffer';
import { kernels } from '../../core/kernels.ts';

const T = [0, 1, 2, 3].map(() => new Uint32Array(256));
for (let i = 0; i < 256; i++) {
  let c = i;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0x82f63b78 ^ (c >>> 1) : c >>> 1;
  T[0][i] = c;
}
for (let i = 0; i < 256; i++) for (let t = 1; t < 4; t++) T[t][i] = (T[t - 1][i] >>> 8) ^ T[0][T[t - 1][i] & 0xff];

const [T0, T1, T2, T3] = T;

/** The CRC of `b[at..end)`, unsigned. */
export function crc32c(b: Buffer, at = 0, end = b.length): number {
  return kernels.native === undefined ? crc32cByTable(b, at, end) : kernels.native.crc32c(b, at, end);
}

/** The same without the add-on, four bytes a step. */
export function crc32cByTable(b: Uint8Array, at: number, end: number): number {
  let c = ~0;
  let i = at;
  for (; i + 4 <= end; i += 4) {
    c ^= b[i] | (b[i + 1] << 8) | (b[i + 2] << 16) | (b[i + 3] << 24);
    c = T3[c & 0xff] ^ T2[(c >>> 8) & 0xff] ^ T1[(c >>> 16) & 0xff] ^ T0[c >>> 24];
  }
  for (; i < end; i++) c = T0[(c ^ b[i]) & 0xff] ^ (c >>> 8);
  return ~c >>> 0;
}
