/**
 * CRC-32 (ISO 3309, as node:zlib's) in parts. A CRC is linear: that of AB follows from those of A and B, because to go on over `n` zero octets
 * is to multiply by x^(8n) in GF(2)[x] modulo the polynomial. So what was summed up once is not summed up again as part of something longer.
 */
const POLYNOMIAL = 0xedb88320;

const TABLE = new Uint32Array(256).map((_, i) => {
  let c = i;
  for (let k = 0; k < 8; k++) c = c & 1 ? POLYNOMIAL ^ (c >>> 1) : c >>> 1;
  return c;
});

/** Goes on with `crc` over b[from, to): for so few octets a call into zlib costs more than this loop. */
export function crcShort(b: Uint8Array, from: number, to: number, crc: number): number {
  let c = ~crc;
  for (let i = from; i < to; i++) c = TABLE[(c ^ b[i]) & 0xff] ^ (c >>> 8);
  return ~c >>> 0;
}

/** a · b modulo the polynomial; bit 31 is x^0. */
function multiply(a: number, b: number): number {
  let product = 0;
  let factor = b;
  for (let rest = a; rest !== 0; rest <<= 1) {
    if (rest < 0) product ^= factor;
    factor = factor & 1 ? (factor >>> 1) ^ POLYNOMIAL : factor >>> 1;
  }
  return product;
}

/** x^(8 · 2^i) */
const POWERS = new Int32Array(32);
POWERS[0] = 1 << (31 - 8);
for (let i = 1; i < 32; i++) POWERS[i] = multiply(POWERS[i - 1], POWERS[i - 1]);

/** x^(8n) by n; 0: not known yet. Events are not longer as a rule. */
const ZEROS = new Int32Array(16_384);

function zeros(n: number): number {
  if (n < ZEROS.length && ZEROS[n] !== 0) return ZEROS[n];
  let power = 1 << 31;
  for (let i = 0, rest = n; rest > 0; i++, rest = Math.floor(rest / 2))
    if (rest % 2 === 1) power = multiply(POWERS[i], power);
  if (n < ZEROS.length) ZEROS[n] = power;
  return power;
}

/** The CRC of AB from that of A, that of B, and the octets of B. */
export function crcJoined(a: number, b: number, lengthOfB: number): number {
  return (multiply(zeros(lengthOfB), a) ^ b) >>> 0;
}
