/**
 * What costs most for each event, in machine code: the add-on's, where it is loaded. Each has a twin in TypeScript with the same result in the room
 * that uses it, so nothing depends on it but the cost. A process that has the add-on puts it here when it starts (net/native.ts).
 */
import type { Buffer } from 'node:buffer';

export interface Kernels {
  /**
   * Writes the CRC of each record of a spool segment in [from, to) and, into `sums` (u32 each, in the machine's order), the CRC-32 of the record's
   * value alone. Returns how many there were; less than 0 where the range holds something else or `sums` is too short.
   */
  sealRecords(bytes: Buffer, from: number, to: number, seed: number, sums: Uint32Array): number;
  /** Where the first thing in [from, to) begins that is no record of a segment whose CRC is right; less than 0 for a range that is none. */
  soundRecords(bytes: Buffer, from: number, to: number, seed: number): number;
  /**
   * The records of a Kafka batch (export/kafka/record-batch.ts) out of `count` spooled payloads, into `out` from `at` on. `rows`, five doubles
   * each: which of `memory` the payload stands in, where it begins and ends there, seconds, nanoseconds; `base`: milliseconds; `parts` and
   * `headers`: see headers.ts; `level`: of zstd, 0 for none. Returns their length; minus an errno: ENOSPC where `out` is too short, another
   * where it has to be done in TypeScript.
   */
  packRecords(
    memory: readonly Buffer[],
    rows: Float64Array,
    count: number,
    base: number,
    parts: readonly Buffer[],
    headers: number,
    level: number,
    out: Buffer,
    at: number,
  ): number;
  /** CRC-32C of bytes[from, to). */
  crc32c(bytes: Buffer, from: number, to: number): number;
  /**
   * RFC 2104: the key XORed already (`inner`, `outer`), over a message whose octets [at, at + cut) count as zeros, into `out`. `hash`: its place
   * in AUTH of protocol/usm/algorithms.ts. Returns the length, or minus an errno where it has to be done in TypeScript.
   */
  hmac(hash: number, inner: Buffer, outer: Buffer, message: Buffer, at: number, cut: number, out: Buffer): number;
  /**
   * Writes the first 128 bits of SHA-256 over the first `length` bytes and tail[from, to) behind those `length` bytes, as 32 hex digits. False
   * where it has to be done in TypeScript.
   */
  shortHash(bytes: Buffer, length: number, tail: Buffer, from: number, to: number): boolean;
}

export const kernels: { native: Kernels | undefined } = { native: undefined };
