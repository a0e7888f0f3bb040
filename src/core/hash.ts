import type { Buffer } from 'node:buffer';
import { type BinaryLike, createHash, hash } from 'node:crypto';
import { kernels } from './kernels.ts';
import type { TextWriter } from './text-writer.ts';

/** The ids that leave the node: the first 128 bits of SHA-256 as hex. */
export function shortHash(data: string | NodeJS.ArrayBufferView): string {
  return hash('sha256', data as BinaryLike & string, 'hex').slice(0, 32);
}

/** Digits of a `shortHash`. */
export const SHORT_HASH = 32;

/**
 * `shortHash` of what was written and tail[from, to), for what is hashed with every event: its digits are then in w.buf, from w.at on, where they
 * do not count as written.
 */
export function shortHashBehind(w: TextWriter, tail: Buffer, from: number, to: number): void {
  w.room(SHORT_HASH);
  if (kernels.native?.shortHash(w.buf, w.at, tail, from, to)) return;
  const { at } = w;
  w.room(to - from + SHORT_HASH);
  const end = at + tail.copy(w.buf, at, from, to);
  w.buf.write(shortHash(w.buf.subarray(0, end)), at, 'latin1');
}

/** A SHA-256 over parts, for what is not in one piece. */
export function sha256(...parts: (string | NodeJS.ArrayBufferView)[]): string {
  const h = createHash('sha256');
  for (const p of parts) h.update(p as string);
  return h.digest('hex');
}
