/**
 * The CRCs of records, for many of them at once: what a batch of datagrams left is sealed in one call before it goes to the kernel, and what was
 * read is looked through in one call before it is taken apart. With the add-on that costs a third.
 */
import type { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { kernels } from '../core/kernels.ts';
import { decodeRecord } from '../event/record.ts';
import { crcJoined, crcShort } from './crc.ts';
import { RECORD_HEAD } from './segment.ts';

/**
 * Writes the CRC of each record in [from, to), which records fill, and into `sums` the CRC-32 of each one's value: of the whole payload
 * where it is no event. Returns how many there are. `sums` has room for them.
 */
export function sealRecords(b: Buffer, from: number, to: number, seed: number, sums: Uint32Array): number {
  const { native } = kernels;
  const n = native === undefined ? -1 : native.sealRecords(b, from, to, seed, sums);
  return n < 0 ? sealInTypeScript(b, from, to, seed, sums) : n;
}

/** The same without the add-on. */
export function sealInTypeScript(b: Buffer, from: number, to: number, seed: number, sums: Uint32Array): number {
  let count = 0;
  for (let at = from; at < to; count++) {
    const payload = at + RECORD_HEAD;
    const end = at + 8 + b.readUInt32BE(at);
    const value = decodeRecord(b, payload, end)?.valueAt ?? payload;
    const sum = crc32(b.subarray(value, end));
    const front = crcShort(b, at + 8, value, seed);
    sums[count] = sum;
    b.writeUInt32BE(crcJoined(front, sum, end - value), at + 4);
    at = end;
  }
  return count;
}

/** Up to where `parseRecord` need not look at CRCs; `from` where it has to look at all of them. */
export function soundRecords(b: Buffer, from: number, to: number, seed: number): number {
  return Math.max(from, kernels.native?.soundRecords(b, from, to, seed) ?? from);
}
