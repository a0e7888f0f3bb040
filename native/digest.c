/*
 * SHA-256 of what is short: the ids of events. For these the ways to it (a context, a digest looked up by name, a string of which half is cut off)
 * cost several times the hash. It is OpenSSL's, which Node brings and exports; where it does not, nothing is returned, and node:crypto does it.
 */
#include "tidegate_net.h"
#include <dlfcn.h>

/* SHA256_CTX is 112 octets. */
#define CONTEXT 256
#define DIGEST 32
/* 128 bits, as hex. */
#define ID_BYTES 16

static struct {
  int (*init)(void *);
  int (*update)(void *, const void *, size_t);
  int (*final)(unsigned char *, void *);
} sha256;

void digest_init(void) {
  sha256.init = (int (*)(void *))dlsym(RTLD_DEFAULT, "SHA256_Init");
  sha256.update = (int (*)(void *, const void *, size_t))dlsym(RTLD_DEFAULT, "SHA256_Update");
  sha256.final = (int (*)(unsigned char *, void *))dlsym(RTLD_DEFAULT, "SHA256_Final");
}

/* shortHash(bytes, length): the first 128 bits of SHA-256 over the first `length` bytes, as hex. */
napi_value short_hash(napi_env env, napi_callback_info info) {
  static const char hex[] = "0123456789abcdef";
  napi_value argv[2], out = NULL;
  size_t argc = 2, room;
  uint8_t *data;
  _Alignas(16) uint8_t context[CONTEXT];
  unsigned char digest[DIGEST];
  char text[2 * ID_BYTES];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 2 || sha256.init == NULL || sha256.update == NULL || sha256.final == NULL ||
      !arg_bytes(env, argv[0], &data, &room))
    return NULL;
  const int64_t length = arg_int(env, argv[1], -1);
  if (length < 0 || (uint64_t)length > room) return NULL;
  if (!sha256.init(context) || !sha256.update(context, data, (size_t)length) || !sha256.final(digest, context))
    return NULL;
  for (int i = 0; i < ID_BYTES; i++) {
    text[2 * i] = hex[digest[i] >> 4];
    text[2 * i + 1] = hex[digest[i] & 15];
  }
  napi_create_string_latin1(env, text, sizeof text, &out);
  return out;
}
