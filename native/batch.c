/*
 * The records of one Kafka batch, from spooled payloads, and their compression, in one call. The format stands in
 * src/export/kafka/record-batch.ts, whose TypeScript makes the same octets; compressed with zstd they are others, of the same content.
 *
 *   record = length varint, attributes i8 = 0, timestampDelta varlong, offsetDelta varint, keyLength varint, key, valueLength varint, value,
 *            headerCount varint, part 0, idLength varint, id, part 1, timeLength varint, time, part 2, subjectLength varint, subject, part 3
 *
 * zstd is the one that Node brings and exports; where it does not, what asks for it is refused, and node:zlib does it.
 */
#include "tidegate_net.h"
#include <dlfcn.h>

/* Lengths, deltas and time of one record, at most. */
#define RECORD_BOUND 96
#define TIME_BOUND 40
#define PARTS 4

/*
 * Besides the level. A batch is the same few hundred octets of JSON again and again, with some that differ in between: a match is long, and
 * near. So what is no match is passed in steps of two octets, as zstd's negative levels do it; but unlike them its literals are compressed
 * still, because half of them are hexadecimal digits. Window and table stay in the nearest cache. Of traps of 16 devices, 400 a batch, this
 * takes 0.35 us of a trap of a storm instead of 0.55 us, and 45 octets instead of 46; of traps of all kinds 134 octets instead of 126, in a
 * fifth less time. Level -2 as it is costs as much as this, and makes 67 and 177 octets of them.
 */
#define ZSTD_LEVEL 100    /* ZSTD_c_compressionLevel */
#define ZSTD_WINDOW 101   /* ZSTD_c_windowLog */
#define ZSTD_HASH 102     /* ZSTD_c_hashLog */
#define ZSTD_STEP 106     /* ZSTD_c_targetLength; of the strategy `fast` it is the step */
#define ZSTD_LITERALS 1002 /* ZSTD_c_literalCompressionMode; one of zstd's experimental parameters, but it has had this number since 1.3.8 */
#define ALWAYS 1

static struct {
  void *(*create)(void);
  size_t (*free)(void *);
  size_t (*set)(void *, int, int);
  size_t (*compress)(void *, void *, size_t, const void *, size_t);
  size_t (*bound)(size_t);
  unsigned (*failed)(size_t);
} zstd;

void batch_init(void) {
  zstd.create = (void *(*)(void))dlsym(RTLD_DEFAULT, "ZSTD_createCCtx");
  zstd.free = (size_t(*)(void *))dlsym(RTLD_DEFAULT, "ZSTD_freeCCtx");
  zstd.set = (size_t(*)(void *, int, int))dlsym(RTLD_DEFAULT, "ZSTD_CCtx_setParameter");
  zstd.compress = (size_t(*)(void *, void *, size_t, const void *, size_t))dlsym(RTLD_DEFAULT, "ZSTD_compress2");
  zstd.bound = (size_t(*)(size_t))dlsym(RTLD_DEFAULT, "ZSTD_compressBound");
  zstd.failed = (unsigned (*)(size_t))dlsym(RTLD_DEFAULT, "ZSTD_isError");
}

static bool has_zstd(void) {
  return zstd.create && zstd.free && zstd.set && zstd.compress && zstd.bound && zstd.failed;
}

static bool set(void *compressor, int parameter, int value) {
  return !zstd.failed(zstd.set(compressor, parameter, value));
}

/* The compressor of this thread, set up; NULL where that fails. */
static void *compressor(instance *self, int level) {
  if (self->zstd != NULL && self->zstd_level == level) return self->zstd;
  if (self->zstd == NULL) self->zstd = zstd.create();
  if (self->zstd == NULL || !set(self->zstd, ZSTD_LEVEL, level)) return NULL;
  set(self->zstd, ZSTD_WINDOW, 18);
  set(self->zstd, ZSTD_HASH, 13);
  /* Without the first, the second would leave the literals as they are. */
  if (set(self->zstd, ZSTD_LITERALS, ALWAYS)) set(self->zstd, ZSTD_STEP, 2);
  self->zstd_level = level;
  return self->zstd;
}

void batch_free(instance *self) {
  free(self->plain);
  if (self->zstd != NULL) zstd.free(self->zstd);
}

static uint8_t *varint(uint8_t *p, int64_t n) {
  uint64_t v = ((uint64_t)n << 1) ^ (uint64_t)(n >> 63);
  for (; v > 0x7f; v >>= 7) *p++ = (uint8_t)(v | 0x80);
  *p++ = (uint8_t)v;
  return p;
}

static uint8_t *bytes(uint8_t *p, const uint8_t *data, size_t length) {
  memcpy(p, data, length);
  return p + length;
}

static uint8_t *sized(uint8_t *p, const uint8_t *data, size_t length) {
  return bytes(varint(p, (int64_t)length), data, length);
}

static uint8_t *digits(uint8_t *p, uint32_t n, int width) {
  for (int i = width - 1; i >= 0; i--, n /= 10) p[i] = (uint8_t)('0' + n % 10);
  return p + width;
}

/* Up to the second; a batch shares few of them. */
typedef struct second {
  int64_t at;
  size_t length;
  uint8_t text[TIME_BOUND];
} second;

/* `2026-11-29T07:34:00`; false beyond the years of four digits. */
static bool second_text(second *s, int64_t sec) {
  if (s->at == sec) return true;
  const time_t t = (time_t)sec;
  struct tm utc;
  if (sec < 0 || gmtime_r(&t, &utc) == NULL || utc.tm_year > 9999 - 1900) return false;
  uint8_t *p = digits(s->text, (uint32_t)utc.tm_year + 1900, 4);
  *p++ = '-';
  p = digits(p, (uint32_t)utc.tm_mon + 1, 2);
  *p++ = '-';
  p = digits(p, (uint32_t)utc.tm_mday, 2);
  *p++ = 'T';
  p = digits(p, (uint32_t)utc.tm_hour, 2);
  *p++ = ':';
  p = digits(p, (uint32_t)utc.tm_min, 2);
  *p++ = ':';
  p = digits(p, (uint32_t)utc.tm_sec, 2);
  *p++ = '.';
  s->at = sec;
  s->length = (size_t)(p - s->text);
  return true;
}

/* As far as it is known: 3, 6 or 9 digits. */
static uint8_t *fraction(uint8_t *p, uint32_t nsec) {
  if (nsec % 1000000 == 0) p = digits(p, nsec / 1000000, 3);
  else if (nsec % 1000 == 0) p = digits(p, nsec / 1000, 6);
  else p = digits(p, nsec, 9);
  *p++ = 'Z';
  return p;
}

typedef struct span {
  uint8_t *data;
  size_t length;
} span;

/* One record at `p`, where there is room for it; NULL where the payload is no event. */
static uint8_t *record(
    uint8_t *p, span payload, double sec, double nsec, double base, uint32_t index, uint32_t headers, const span parts[PARTS], second *s) {
  event_offsets e;
  uint8_t time[TIME_BOUND];
  if (!event_parts(payload.data, payload.length, &e) || !second_text(s, (int64_t)sec)) return NULL;
  memcpy(time, s->text, s->length);
  const size_t time_length = (size_t)(fraction(time + s->length, (uint32_t)nsec) - time);
  const int64_t delta = (int64_t)(sec * 1000 + (double)((uint32_t)nsec / 1000000) - base);
  /* Nearly every length takes two octets: the body is written behind them, and moved where it does not. */
  uint8_t *const body = p + 2;
  uint8_t *q = body;
  *q++ = 0;
  q = varint(q, delta);
  q = varint(q, index);
  q = sized(q, payload.data + 8, e.key_end - 8);
  q = sized(q, payload.data + e.value, payload.length - e.value);
  q = varint(q, headers);
  q = bytes(q, parts[0].data, parts[0].length);
  q = sized(q, payload.data + e.key_end, e.id_end - e.key_end);
  q = bytes(q, parts[1].data, parts[1].length);
  q = sized(q, time, time_length);
  q = bytes(q, parts[2].data, parts[2].length);
  q = sized(q, payload.data + 8, e.subject_end - 8);
  q = bytes(q, parts[3].data, parts[3].length);
  const size_t length = (size_t)(q - body);
  uint8_t size[10];
  const size_t taken = (size_t)(varint(size, (int64_t)length) - size);
  if (taken != 2) memmove(p + taken, body, length);
  memcpy(p, size, taken);
  return p + taken + length;
}

/* Room for `n` bytes of uncompressed records; what stands there stays. */
static bool plain_room(instance *self, size_t n) {
  if (n <= self->plain_size) return true;
  size_t size = self->plain_size > 0 ? self->plain_size : 1 << 16;
  while (size < n) size *= 2;
  uint8_t *larger = realloc(self->plain, size);
  if (larger == NULL) return false;
  self->plain = larger;
  self->plain_size = size;
  return true;
}

/* Of a row: which piece of memory, where in it the payload begins and ends, seconds, nanoseconds. */
#define ROW 5
/* A batch of more pieces than this is looked up piece by piece. */
#define PIECES 64

/* A piece of memory by its number; those of lower numbers are kept in `known`, of which `*count` are. */
static bool piece(napi_env env, napi_value list, uint32_t index, span known[PIECES], uint32_t *count, span *out) {
  if (index < *count) {
    *out = known[index];
    return true;
  }
  napi_value element;
  if (napi_get_element(env, list, index, &element) != napi_ok || !arg_bytes(env, element, &out->data, &out->length))
    return false;
  if (index == *count && *count < PIECES) known[(*count)++] = *out;
  return true;
}

/*
 * packRecords(memory, rows, count, base, parts, headers, level, out, at): `rows` holds ROW doubles for each record, `base` milliseconds, `parts`
 * the four pieces of the headers, `level` is that of zstd or 0 for none. Writes the records into `out` from `at` on and returns their length;
 * -ENOSPC where `out` is too short, -ENOSYS without zstd, -EINVAL for what it cannot pack.
 */
napi_value pack_records(napi_env env, napi_callback_info info) {
  napi_value argv[9], element;
  size_t argc = 9, rows_length, out_length;
  uint8_t *rows, *out;
  instance *self;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 9 || napi_get_instance_data(env, (void **)&self) != napi_ok) return number(env, -EINVAL);
  const int64_t count = arg_int(env, argv[2], -1), at = arg_int(env, argv[8], -1), level = arg_int(env, argv[6], 0);
  double base;
  if (count < 1 || count > 1 << 24 || !arg_bytes(env, argv[1], &rows, &rows_length) ||
      rows_length < (size_t)count * ROW * sizeof(double) || napi_get_value_double(env, argv[3], &base) != napi_ok ||
      !arg_bytes(env, argv[7], &out, &out_length) || at < 0 || (uint64_t)at > out_length)
    return number(env, -EINVAL);
  if (level != 0 && !has_zstd()) return number(env, -ENOSYS);
  const uint32_t headers = (uint32_t)arg_int(env, argv[5], 0);
  span parts[PARTS];
  size_t fixed = RECORD_BOUND;
  for (uint32_t i = 0; i < PARTS; i++) {
    if (napi_get_element(env, argv[4], i, &element) != napi_ok ||
        !arg_bytes(env, element, &parts[i].data, &parts[i].length))
      return number(env, -EINVAL);
    fixed += parts[i].length;
  }
  span known[PIECES], memory = {.data = NULL};
  uint32_t pieces = 0;
  double current = -1;
  size_t used = 0;
  second s = {.at = -1};
  for (uint32_t i = 0; i < (uint32_t)count; i++) {
    double row[ROW];
    memcpy(row, rows + sizeof row * i, sizeof row);
    if (row[0] != current) {
      if (!(row[0] >= 0 && row[0] < (double)count) ||
          !piece(env, argv[0], (uint32_t)row[0], known, &pieces, &memory))
        return number(env, -EINVAL);
      current = row[0];
    }
    if (!(row[1] >= 0 && row[1] <= row[2] && row[2] <= (double)memory.length)) return number(env, -EINVAL);
    const span payload = {.data = memory.data + (size_t)row[1], .length = (size_t)row[2] - (size_t)row[1]};
    /* The subject stands in it twice: in the key and as a header. */
    if (!plain_room(self, used + fixed + 2 * payload.length)) return number(env, -ENOMEM);
    uint8_t *end = record(self->plain + used, payload, row[3], row[4], base, i, headers, parts, &s);
    if (end == NULL) return number(env, -EINVAL);
    used = (size_t)(end - self->plain);
  }
  const size_t room = out_length - (size_t)at;
  if (level == 0) {
    if (room < used) return number(env, -ENOSPC);
    memcpy(out + at, self->plain, used);
    return number(env, (double)used);
  }
  if (room < zstd.bound(used)) return number(env, -ENOSPC);
  void *const with = compressor(self, (int)level);
  if (with == NULL) return number(env, -ENOSYS);
  const size_t packed = zstd.compress(with, out + at, room, self->plain, used);
  if (zstd.failed(packed)) return number(env, -ENOSYS);
  return number(env, (double)packed);
}
