/** One record with its CRC, as the log writes them in batches. */
import type { Buffer } from 'node:buffer';
import { sealRecords } from '../../src/spool/seal.ts';
import { placeRecord } from '../../src/spool/segment.ts';

const sums = new Uint32Array(1);

/** Returns the offset behind it. */
export function writeRecord(
  out: Buffer,
  at: number,
  seed: number,
  seq: number,
  sec: number,
  nsec: number,
  payload: Buffer,
): number {
  const end = placeRecord(out, at, seq, sec, nsec, payload);
  sealRecords(out, at, end, seed, sums);
  return end;
}
