import type { Buffer } from 'node:buffer';
import { type BinaryLike, createHash, hash } from 'node:crypto';
import { kernels } from './kernels.ts';
import type { TextWriter } from './text-writer.ts';

/** The ids that leave the node: the first 128 bits of SHA-256 as hex. */
export function shortHash(data: string | NodeJS.ArrayBufferView): string {
  return hash('sha256', data as BinaryLike & string, 'hex').slice(0, 32);
}

/** `shortHash` of what was written and tail[from, to): for what is hashed with every event. */
export function shortHashOf(w: TextWriter, tail: Buffer, from: number, to: number): string {
  const known = kernels.native?.shortHash(w.buf, w.at, tail, from, to);
  if (known !== undefined) return known;
  w.room(to - from);
  w.at += tail.copy(w.buf, w.at, from, to);
  return shortHash(w.buf.subarray(0, w.at));
}

/** A SHA-256 over parts, for what is not in one piece. */
export function sha256(...parts: (string | NodeJS.ArrayBufferView)[]): string {
  const h = createHash('sha256');
  for (const p of parts) h.update(p as string);
  return h.digest('hex');
}
