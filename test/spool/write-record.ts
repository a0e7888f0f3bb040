/** One record as the log writes it: what stands in front, the payload, then the CRC of many at once. */
import type { Buffer } from 'node:buffer';
import { sealRecords } from '../../src/spool/seal.ts';
import { RECORD_HEAD, writeRecordFront } from '../../src/spool/segment.ts';

const sums = new Uint32Array(1);

/** Without its CRC. Returns the offset behind it. */
export function placeRecord(out: Buffer, at: number, seq: number, sec: number, nsec: number, payload: Buffer): number {
  writeRecordFront(out, at, seq, sec, nsec, payload.length);
  return at + RECORD_HEAD + payload.copy(out, at + RECORD_HEAD);
}

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
