/*
 * Hashes of what is short: the ids of events and the digests of SNMPv3. For these the ways to a hash (a context, a digest looked up by name, a
 * result as text) cost several times the hash itself. They are OpenSSL's, which Node brings and exports; where it does not, nothing is
 * returned, and node:crypto does it.
 */
#include "tidegate_net.h"
#include <dlfcn.h>

/* The largest context, SHA512_CTX, is 216 octets. */
#define CONTEXT 512
#define MAX_DIGEST 64
/* 128 bits, as hex. */
#define ID_BYTES 16

typedef struct hash {
  const char *name;
  size_t length;
  int (*init)(void *);
  int (*update)(void *, const void *, size_t);
  int (*final)(unsigned char *, void *);
} hash;

/* In the order of AUTH in src/protocol/usm/algorithms.ts. */
static hash hashes[] = {
    {"MD5", 16, NULL, NULL, NULL},    {"SHA1", 20, NULL, NULL, NULL},   {"SHA224", 28, NULL, NULL, NULL},
    {"SHA256", 32, NULL, NULL, NULL}, {"SHA384", 48, NULL, NULL, NULL}, {"SHA512", 64, NULL, NULL, NULL},
};
#define HASHES (sizeof hashes / sizeof hashes[0])
#define SHA256 3

static void *function(const char *name, const char *part) {
  char symbol[32];
  snprintf(symbol, sizeof symbol, "%s_%s", name, part);
  return dlsym(RTLD_DEFAULT, symbol);
}

void digest_init(void) {
  for (size_t i = 0; i < HASHES; i++) {
    hash *h = &hashes[i];
    h->init = (int (*)(void *))function(h->name, "Init");
    h->update = (int (*)(void *, const void *, size_t))function(h->name, "Update");
    h->final = (int (*)(unsigned char *, void *))function(h->name, "Final");
  }
}

static bool lent(const hash *h) {
  return h->init != NULL && h->update != NULL && h->final != NULL;
}

/*
 * shortHash(bytes, length, tail, from, to): writes the first 128 bits of SHA-256 over the first `length` bytes and tail[from, to) as hex behind
 * the first `length` bytes. True; false where it has to be done in TypeScript.
 */
napi_value short_hash(napi_env env, napi_callback_info info) {
  static const char hex[] = "0123456789abcdef";
  napi_value argv[5], out = NULL;
  size_t argc = 5, room, tail_room;
  uint8_t *data, *tail;
  _Alignas(16) uint8_t context[CONTEXT];
  unsigned char digest[MAX_DIGEST];
  const hash *h = &hashes[SHA256];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  napi_get_boolean(env, false, &out);
  if (argc < 5 || !lent(h) || !arg_bytes(env, argv[0], &data, &room) || !arg_bytes(env, argv[2], &tail, &tail_room))
    return out;
  const int64_t length = arg_int(env, argv[1], -1), from = arg_int(env, argv[3], -1), to = arg_int(env, argv[4], -1);
  if (length < 0 || (uint64_t)length + 2 * ID_BYTES > room || from < 0 || to < from || (uint64_t)to > tail_room) return out;
  if (!h->init(context) || !h->update(context, data, (size_t)length) ||
      !h->update(context, tail + from, (size_t)(to - from)) || !h->final(digest, context))
    return out;
  for (int i = 0; i < ID_BYTES; i++) {
    data[length + 2 * i] = (uint8_t)hex[digest[i] >> 4];
    data[length + 2 * i + 1] = (uint8_t)hex[digest[i] & 15];
  }
  napi_get_boolean(env, true, &out);
  return out;
}

/*
 * hmac(hash, inner, outer, message, at, cut, out): RFC 2104 with the key as it is XORed already, over a message whose octets [at, at + cut) count
 * as zeros (RFC 3414 section 6.3.1). Writes the whole into `out` and returns its length, or minus an errno.
 */
napi_value hmac(napi_env env, napi_callback_info info) {
  static const uint8_t zeros[MAX_DIGEST];
  napi_value argv[7];
  size_t argc = 7, inner_length, outer_length, length, room;
  uint8_t *inner, *outer, *message, *out;
  _Alignas(16) uint8_t context[CONTEXT];
  unsigned char digest[MAX_DIGEST];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 7) return number(env, -EINVAL);
  const int64_t which = arg_int(env, argv[0], -1), at = arg_int(env, argv[4], -1), cut = arg_int(env, argv[5], -1);
  if (which < 0 || which >= (int64_t)HASHES || !arg_bytes(env, argv[1], &inner, &inner_length) ||
      !arg_bytes(env, argv[2], &outer, &outer_length) || !arg_bytes(env, argv[3], &message, &length) ||
      !arg_bytes(env, argv[6], &out, &room) || at < 0 || cut < 0 || cut > MAX_DIGEST || (uint64_t)at > length ||
      (uint64_t)cut > length - (uint64_t)at)
    return number(env, -EINVAL);
  const hash *h = &hashes[which];
  if (!lent(h)) return number(env, -ENOSYS);
  if (room < h->length) return number(env, -ENOSPC);
  const size_t behind = (size_t)(at + cut);
  if (!h->init(context) || !h->update(context, inner, inner_length) || !h->update(context, message, (size_t)at) ||
      !h->update(context, zeros, (size_t)cut) || !h->update(context, message + behind, length - behind) ||
      !h->final(digest, context) || !h->init(context) || !h->update(context, outer, outer_length) ||
      !h->update(context, digest, h->length) || !h->final(out, context))
    return number(env, -ENOSYS);
  return number(env, (double)h->length);
}
