/*
 * Many records of a spool segment in one call. Their format stands in src/spool/segment.ts, that of their payload in src/event/record.ts:
 *
 *    0  length u32 (bytes behind the CRC)   4  crc32 u32 over everything behind it, from the writer's seed
 *    8  seq u64    16  time u64             24  payload: type u8, flags u8, subject length u16, key length u16, id length u16,
 *                                               key, id, (raw length u16, raw: where bit 7 of the type is set), value
 */
#include "tidegate_net.h"

#define RECORD_HEAD 24
#define PAYLOAD_HEAD 8
#define HAS_RAW 0x80

uint32_t read_u32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint32_t read_u16(const uint8_t *p) {
  return (uint32_t)p[0] << 8 | p[1];
}

bool event_parts(const uint8_t *payload, size_t length, event_offsets *out) {
  if (length < PAYLOAD_HEAD) return false;
  out->subject_end = PAYLOAD_HEAD + read_u16(payload + 2);
  out->key_end = PAYLOAD_HEAD + read_u16(payload + 4);
  out->id_end = out->key_end + read_u16(payload + 6);
  out->value = out->id_end;
  if (out->id_end > length || out->subject_end > out->key_end) return false;
  if ((payload[0] & HAS_RAW) == 0) return true;
  if (out->id_end + 2 > length) return false;
  out->value = out->id_end + 2 + read_u16(payload + out->id_end);
  return out->value <= length;
}

/* The record at `at`: its end, or 0 where none fits before `to`. */
static size_t record_end(const uint8_t *data, size_t at, size_t to) {
  if (to - at < RECORD_HEAD) return 0;
  const uint64_t length = read_u32(data + at);
  if (length < RECORD_HEAD - 8 || length > to - at - 8) return 0;
  return at + 8 + (size_t)length;
}

/*
 * sealRecords(bytes, from, to, seed, sums): writes the CRC of each record in [from, to), and into `sums` (u32 each, of the machine's order) that
 * of its value alone: of the whole payload where it is no event. How many there were; they fill the range, and `sums` has room for them.
 */
napi_value seal_records(napi_env env, napi_callback_info info) {
  napi_value argv[5];
  size_t argc = 5, length, room;
  uint8_t *data, *sums;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 5 || !arg_bytes(env, argv[0], &data, &length) || !arg_bytes(env, argv[4], &sums, &room))
    return number(env, -EINVAL);
  const int64_t from = arg_int(env, argv[1], -1), to = arg_int(env, argv[2], -1);
  const uint32_t seed = (uint32_t)arg_int(env, argv[3], 0);
  if (from < 0 || to < from || (uint64_t)to > length) return number(env, -EINVAL);
  uint32_t count = 0;
  for (size_t at = (size_t)from; at < (size_t)to; count++) {
    const size_t end = record_end(data, at, (size_t)to);
    if (end == 0 || (count + 1) * sizeof(uint32_t) > room) return number(env, -EINVAL);
    const uint8_t *payload = data + at + RECORD_HEAD;
    const size_t size = end - at - RECORD_HEAD;
    event_offsets parts;
    const size_t value = event_parts(payload, size, &parts) ? parts.value : 0;
    const uint32_t sum = crc32_of(payload + value, size - value, 0);
    const uint32_t crc = crc32_of(data + at + 8, end - at - 8, seed);
    memcpy(sums + count * sizeof sum, &sum, sizeof sum);
    data[at + 4] = (uint8_t)(crc >> 24);
    data[at + 5] = (uint8_t)(crc >> 16);
    data[at + 6] = (uint8_t)(crc >> 8);
    data[at + 7] = (uint8_t)crc;
    at = end;
  }
  return number(env, count);
}

/* soundRecords(bytes, from, to, seed): where the first thing begins that is no record whose CRC is right, `to` where there is none;
 * minus an errno for a range that is none. */
napi_value sound_records(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  size_t argc = 4, length;
  uint8_t *data;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 4 || !arg_bytes(env, argv[0], &data, &length)) return number(env, -EINVAL);
  const int64_t from = arg_int(env, argv[1], -1), to = arg_int(env, argv[2], -1);
  const uint32_t seed = (uint32_t)arg_int(env, argv[3], 0);
  if (from < 0 || to < from || (uint64_t)to > length) return number(env, -EINVAL);
  size_t at = (size_t)from;
  while (at < (size_t)to) {
    const size_t end = record_end(data, at, (size_t)to);
    if (end == 0 || read_u32(data + at + 4) != crc32_of(data + at + 8, end - at - 8, seed)) break;
    at = end;
  }
  return number(env, (double)at);
}
