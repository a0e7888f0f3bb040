/** The Internet checksum, RFC 1071: the complement of the one's complement sum of 16-bit words, odd data padded with a zero. */

/** Sum not yet folded; `start` may be the sum of what stands before (a pseudo header, of even length). */
export function onesSum(b: Uint8Array, start = 0): number {
  let sum = start;
  const even = b.length & ~1;
  for (let i = 0; i < even; i += 2) sum += (b[i] << 8) | b[i + 1];
  if (even < b.length) sum += b[even] << 8;
  return sum;
}

/** Folds and complements: what stands in the field, or 0 over data whose checksum is right. */
export function foldSum(sum: number): number {
  let s = sum;
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 0x10000);
  return ~s & 0xffff;
}

/**
 * Checksum of `body` with the pseudo header of its family: RFC 8200 section 8.1 for 16-byte addresses, RFC 9293 section 3.1 for 4-byte
 * ones. 0 where the checksum that stands in the body is right.
 */
export function transportChecksum(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  body: Uint8Array,
): number {
  return foldSum(onesSum(body, onesSum(source, onesSum(destination, protocol + body.length))));
}
