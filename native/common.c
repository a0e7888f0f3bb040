/* What the functions of the add-on share: arguments and results of Node-API, addresses, socket options. */
#include "tidegate_net.h"

static const char *errno_code(int e) {
  const char *name = uv_err_name(uv_translate_sys_error(e));
  return name != NULL ? name : "UNKNOWN";
}

napi_value throw_errno(napi_env env, const char *what, int e) {
  char text[160];
  snprintf(text, sizeof text, "%s: %s", what, strerror(e));
  napi_throw_error(env, errno_code(e), text);
  return NULL;
}

napi_value number(napi_env env, double v) {
  napi_value out = NULL;
  napi_create_double(env, v, &out);
  return out;
}

int64_t arg_int(napi_env env, napi_value v, int64_t otherwise) {
  napi_valuetype type;
  int64_t n;
  if (v == NULL || napi_typeof(env, v, &type) != napi_ok || type != napi_number) return otherwise;
  return napi_get_value_int64(env, v, &n) == napi_ok ? n : otherwise;
}

/* Standard input, output and error are never ours to touch. */
int arg_fd(napi_env env, napi_value v) {
  int64_t n = arg_int(env, v, -1);
  return n < 3 || n > INT32_MAX ? -1 : (int)n;
}

/* The bytes of a Buffer; false where it is none. */
bool arg_bytes(napi_env env, napi_value v, uint8_t **data, size_t *length) {
  bool is = false;
  void *p = NULL;
  *data = NULL;
  *length = 0;
  if (v == NULL || napi_is_buffer(env, v, &is) != napi_ok || !is) return false;
  if (napi_get_buffer_info(env, v, &p, length) != napi_ok) return false;
  *data = p;
  return true;
}

napi_value property(napi_env env, napi_value object, const char *name) {
  napi_value v = NULL;
  napi_valuetype type;
  if (napi_typeof(env, object, &type) != napi_ok || type != napi_object) return NULL;
  return napi_get_named_property(env, object, name, &v) == napi_ok ? v : NULL;
}

bool flag(napi_env env, napi_value object, const char *name) {
  bool v = false;
  napi_value p = property(env, object, name);
  return p != NULL && napi_get_value_bool(env, p, &v) == napi_ok && v;
}

/* An interface name of `object[name]`; empty where there is none. */
void device_name(napi_env env, napi_value object, const char *name, char out[IFNAMSIZ]) {
  size_t n = 0;
  napi_value p = property(env, object, name);
  out[0] = 0;
  if (p == NULL || napi_get_value_string_utf8(env, p, out, IFNAMSIZ, &n) != napi_ok) out[0] = 0;
}

socklen_t fill_address(struct sockaddr_storage *out, const uint8_t *address, size_t length, int port, uint32_t scope) {
  memset(out, 0, sizeof *out);
  if (length == 4) {
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    memcpy(&in->sin_addr, address, 4);
    return sizeof *in;
  }
  if (length == 16) {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    in6->sin6_scope_id = scope;
    memcpy(&in6->sin6_addr, address, 16);
    return sizeof *in6;
  }
  return 0;
}

/* Copies address bytes: 4, or 16, an IPv4-mapped one as 4. The length, 0 for another family. */
uint32_t address_bytes(const struct sockaddr_storage *from, uint8_t *out, uint32_t *port) {
  if (from->ss_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)from;
    memcpy(out, &in->sin_addr, 4);
    *port = ntohs(in->sin_port);
    return 4;
  }
  if (from->ss_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
    *port = ntohs(in6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
      memcpy(out, in6->sin6_addr.s6_addr + 12, 4);
      return 4;
    }
    memcpy(out, &in6->sin6_addr, 16);
    return 16;
  }
  *port = 0;
  return 0;
}

int set_int(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

napi_value buffer_copy(napi_env env, const void *data, size_t length) {
  napi_value out = NULL;
  napi_create_buffer_copy(env, length, data, NULL, &out);
  return out;
}
