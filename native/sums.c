/*
 * CRC-32 (ISO 3309, as node:zlib's) and CRC-32C (Castagnoli, RFC 3720 appendix B.4), with the instructions of the processor where it has them.
 *
 * A CRC of many octets at once: carry-less multiplication folds 64 octets into 64 (or 256 into 256), modulo the polynomial, and at the end
 * the remainder is taken by Barrett's reduction (V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel, 2009).
 * The constants are x^n modulo the polynomial, bit-reflected, for the n each fold goes over.
 */
#include "tidegate_net.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define CRC32_POLYNOMIAL 0xedb88320u
#define CRC32C_POLYNOMIAL 0x82f63b78u

/* [k][b]: octet b, followed by k octets of zeros. */
static uint32_t table32[8][256];
static uint32_t table32c[8][256];

static void fill(uint32_t table[8][256], uint32_t polynomial) {
  for (uint32_t b = 0; b < 256; b++) {
    uint32_t c = b;
    for (int bit = 0; bit < 8; bit++) c = c & 1 ? polynomial ^ (c >> 1) : c >> 1;
    table[0][b] = c;
  }
  for (uint32_t b = 0; b < 256; b++)
    for (int k = 1; k < 8; k++) table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xff];
}

static bool have_fold, have_wide, have_crc32c;

/* Several environments (threads) load the same library: whoever is second writes what stands there already. */
void sums_init(void) {
  fill(table32, CRC32_POLYNOMIAL);
  fill(table32c, CRC32C_POLYNOMIAL);
#if defined(__x86_64__)
  __builtin_cpu_init();
  have_fold = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  have_wide = have_fold && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq");
  have_crc32c = __builtin_cpu_supports("sse4.2");
#endif
}

/* Eight octets a step; `c` is the inverted CRC. */
static uint32_t by_table(const uint32_t table[8][256], const uint8_t *p, size_t n, uint32_t c) {
  for (; n >= 8; n -= 8, p += 8) {
    uint32_t low, high;
    memcpy(&low, p, 4);
    memcpy(&high, p + 4, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    low = __builtin_bswap32(low);
    high = __builtin_bswap32(high);
#endif
    low ^= c;
    c = table[7][low & 0xff] ^ table[6][(low >> 8) & 0xff] ^ table[5][(low >> 16) & 0xff] ^ table[4][low >> 24] ^
        table[3][high & 0xff] ^ table[2][(high >> 8) & 0xff] ^ table[1][(high >> 16) & 0xff] ^ table[0][high >> 24];
  }
  while (n-- > 0) c = table[0][(c ^ *p++) & 0xff] ^ (c >> 8);
  return c;
}

#if defined(__x86_64__)
#define LOW_LOW 0x00
#define HIGH_HIGH 0x11
#define LOW_HIGH 0x10

/* What 64 octets came to, and the `n` behind them (a multiple of 16): their inverted CRC. */
__attribute__((target("pclmul,sse4.1"))) static uint32_t folded(__m128i lane[4], const uint8_t *p, size_t n) {
  const __m128i over64 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
  const __m128i over16 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
  const __m128i over8 = _mm_set_epi64x(0, 0x0163cd6124);
  const __m128i barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);
  const __m128i low32 = _mm_setr_epi32(-1, 0, -1, 0);
  for (; n >= 64; p += 64, n -= 64)
    for (int i = 0; i < 4; i++) {
      const __m128i low = _mm_clmulepi64_si128(lane[i], over64, LOW_LOW);
      const __m128i high = _mm_clmulepi64_si128(lane[i], over64, HIGH_HIGH);
      lane[i] = _mm_xor_si128(_mm_xor_si128(low, high), _mm_loadu_si128((const __m128i *)p + i));
    }
  __m128i sum = lane[0];
  for (int i = 1; i < 4; i++) {
    const __m128i low = _mm_clmulepi64_si128(sum, over16, LOW_LOW);
    const __m128i high = _mm_clmulepi64_si128(sum, over16, HIGH_HIGH);
    sum = _mm_xor_si128(_mm_xor_si128(low, high), lane[i]);
  }
  for (; n >= 16; p += 16, n -= 16) {
    const __m128i low = _mm_clmulepi64_si128(sum, over16, LOW_LOW);
    const __m128i high = _mm_clmulepi64_si128(sum, over16, HIGH_HIGH);
    sum = _mm_xor_si128(_mm_xor_si128(low, high), _mm_loadu_si128((const __m128i *)p));
  }
  /* 128 bits to 64, to 32. */
  sum = _mm_xor_si128(_mm_srli_si128(sum, 8), _mm_clmulepi64_si128(sum, over16, LOW_HIGH));
  const __m128i upper = _mm_srli_si128(sum, 4);
  sum = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(sum, low32), over8, LOW_LOW), upper);
  __m128i q = _mm_clmulepi64_si128(_mm_and_si128(sum, low32), barrett, LOW_HIGH);
  q = _mm_clmulepi64_si128(_mm_and_si128(q, low32), barrett, LOW_LOW);
  return (uint32_t)_mm_extract_epi32(_mm_xor_si128(sum, q), 1);
}

/* `n` is 64 at least and a multiple of 16; `c` is the inverted CRC. */
__attribute__((target("pclmul,sse4.1"))) static uint32_t fold(const uint8_t *p, size_t n, uint32_t c) {
  __m128i lane[4];
  for (int i = 0; i < 4; i++) lane[i] = _mm_loadu_si128((const __m128i *)p + i);
  lane[0] = _mm_xor_si128(lane[0], _mm_cvtsi32_si128((int)c));
  return folded(lane, p + 64, n - 64);
}

/* The same for 256 octets at least, where the processor multiplies four times as many at once. */
__attribute__((target("avx512f,vpclmulqdq,pclmul,sse4.1"))) static uint32_t fold_wide(const uint8_t *p, size_t n, uint32_t c) {
  const __m512i over256 = _mm512_broadcast_i32x4(_mm_set_epi64x(0x01322d1430, 0x011542778a));
  const __m512i over64 = _mm512_broadcast_i32x4(_mm_set_epi64x(0x01c6e41596, 0x0154442bd4));
  __m512i wide[4];
  for (int i = 0; i < 4; i++) wide[i] = _mm512_loadu_si512(p + 64 * i);
  wide[0] = _mm512_xor_si512(wide[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)c)));
  for (p += 256, n -= 256; n >= 256; p += 256, n -= 256)
    for (int i = 0; i < 4; i++) {
      const __m512i low = _mm512_clmulepi64_epi128(wide[i], over256, LOW_LOW);
      const __m512i high = _mm512_clmulepi64_epi128(wide[i], over256, HIGH_HIGH);
      wide[i] = _mm512_xor_si512(_mm512_xor_si512(low, high), _mm512_loadu_si512(p + 64 * i));
    }
  __m512i sum = wide[0];
  for (int i = 1; i < 4; i++) {
    const __m512i low = _mm512_clmulepi64_epi128(sum, over64, LOW_LOW);
    const __m512i high = _mm512_clmulepi64_epi128(sum, over64, HIGH_HIGH);
    sum = _mm512_xor_si512(_mm512_xor_si512(low, high), wide[i]);
  }
  __m128i lane[4];
  _mm512_storeu_si512(lane, sum);
  return folded(lane, p, n);
}

__attribute__((target("sse4.2"))) static uint32_t castagnoli(const uint8_t *p, size_t n, uint32_t c) {
  uint64_t wide = c;
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  c = (uint32_t)wide;
  while (n-- > 0) c = _mm_crc32_u8(c, *p++);
  return c;
}
#endif

uint32_t crc32_of(const uint8_t *p, size_t n, uint32_t crc) {
  uint32_t c = ~crc;
#if defined(__x86_64__)
  if (have_fold && n >= 64) {
    const size_t whole = n & ~(size_t)15;
    c = have_wide && n >= 256 ? fold_wide(p, whole, c) : fold(p, whole, c);
    p += whole;
    n -= whole;
  }
#endif
  return ~by_table(table32, p, n, c);
}

uint32_t crc32c_of(const uint8_t *p, size_t n, uint32_t crc) {
#if defined(__x86_64__)
  if (have_crc32c) return ~castagnoli(p, n, ~crc);
#endif
  return ~by_table(table32c, p, n, ~crc);
}

/* crc32c(bytes, from, to) */
napi_value sum_crc32c(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  size_t argc = 3, length;
  uint8_t *data;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 3 || !arg_bytes(env, argv[0], &data, &length)) return number(env, -EINVAL);
  const int64_t from = arg_int(env, argv[1], -1), to = arg_int(env, argv[2], -1);
  if (from < 0 || to < from || (uint64_t)to > length) return number(env, -EINVAL);
  return number(env, crc32c_of(data + from, (size_t)(to - from), 0));
}
