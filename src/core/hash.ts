import type { Buffer } from 'node:buffer';
import { type BinaryLike, createHash, hash } from 'node:crypto';
import { kernels } from './kernels.ts';

/** The ids that leave the node: the first 128 bits of SHA-256 as hex. */
export function shortHash(data: string | NodeJS.ArrayBufferView): string {
  return hash('sha256', data as BinaryLike & string, 'hex').slice(0, 32);
}

/** `shortHash` of the first `length` bytes: for what is hashed with every event. */
export function shortHashOf(b: Buffer, length: number): string {
  return kernels.native?.shortHash(b, length) ?? shortHash(b.subarray(0, length));
}

/** A SHA-256 over parts, for what is not in one piece. */
export function sha256(...parts: (string | NodeJS.ArrayBufferView)[]): string {
  const h = createHash('sha256');
  for (const p of parts) h.update(p as string);
  return h.digest('hex');
}
