/*
 * What Node's sockets lack, over Node-API and libuv, Linux only:
 *   - listening sockets opened without being read, so that they can be handed to other processes;
 *   - a classic BPF program for a SO_REUSEPORT group that picks a socket by source address alone;
 *   - a UDP reader by recvmmsg(2): one JavaScript call a batch, no object a datagram, with the address each datagram was sent to;
 *   - sendmsg(2) from a chosen local address;
 *   - interface addresses by rtnetlink(7).
 *
 * Opening throws an Error with a `code`. Everything that runs later returns an errno number (0: done) and never throws.
 * Loaded by src/net/native.ts only, which describes each function for its callers.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* Raised with every change of what JavaScript sees; src/net/native.ts refuses another number. */
#define TIDEGATE_NET_ABI 1

#ifndef SO_REUSEPORT
#define SO_REUSEPORT 15
#endif
#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

/* ---- small helpers ---------------------------------------------------------------------------------------------- */

static const char *errno_code(int e) {
  const char *name = uv_err_name(uv_translate_sys_error(e));
  return name != NULL ? name : "UNKNOWN";
}

static napi_value throw_errno(napi_env env, const char *what, int e) {
  char text[160];
  snprintf(text, sizeof text, "%s: %s", what, strerror(e));
  napi_throw_error(env, errno_code(e), text);
  return NULL;
}

static napi_value number(napi_env env, double v) {
  napi_value out = NULL;
  napi_create_double(env, v, &out);
  return out;
}

static int64_t arg_int(napi_env env, napi_value v, int64_t otherwise) {
  napi_valuetype type;
  int64_t n;
  if (v == NULL || napi_typeof(env, v, &type) != napi_ok || type != napi_number) return otherwise;
  return napi_get_value_int64(env, v, &n) == napi_ok ? n : otherwise;
}

/* Standard input, output and error are never ours to touch. */
static int arg_fd(napi_env env, napi_value v) {
  int64_t n = arg_int(env, v, -1);
  return n < 3 || n > INT32_MAX ? -1 : (int)n;
}

/* The bytes of a Buffer; false where it is none. */
static bool arg_bytes(napi_env env, napi_value v, uint8_t **data, size_t *length) {
  bool is = false;
  void *p = NULL;
  *data = NULL;
  *length = 0;
  if (v == NULL || napi_is_buffer(env, v, &is) != napi_ok || !is) return false;
  if (napi_get_buffer_info(env, v, &p, length) != napi_ok) return false;
  *data = p;
  return true;
}

static napi_value property(napi_env env, napi_value object, const char *name) {
  napi_value v = NULL;
  napi_valuetype type;
  if (napi_typeof(env, object, &type) != napi_ok || type != napi_object) return NULL;
  return napi_get_named_property(env, object, name, &v) == napi_ok ? v : NULL;
}

static bool flag(napi_env env, napi_value object, const char *name) {
  bool v = false;
  napi_value p = property(env, object, name);
  return p != NULL && napi_get_value_bool(env, p, &v) == napi_ok && v;
}

/* An interface name of `object[name]`; empty where there is none. */
static void device_name(napi_env env, napi_value object, const char *name, char out[IFNAMSIZ]) {
  size_t n = 0;
  napi_value p = property(env, object, name);
  out[0] = 0;
  if (p == NULL || napi_get_value_string_utf8(env, p, out, IFNAMSIZ, &n) != napi_ok) out[0] = 0;
}

static socklen_t fill_address(struct sockaddr_storage *out, const uint8_t *address, size_t length, int port, uint32_t scope) {
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
static uint32_t address_bytes(const struct sockaddr_storage *from, uint8_t *out, uint32_t *port) {
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

static int set_int(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static napi_value buffer_copy(napi_env env, const void *data, size_t length) {
  napi_value out = NULL;
  napi_create_buffer_copy(env, length, data, NULL, &out);
  return out;
}

static napi_value local_of(napi_env env, int fd, napi_value object) {
  struct sockaddr_storage own;
  socklen_t length = sizeof own;
  uint8_t bytes[16];
  uint32_t port = 0;
  if (getsockname(fd, (struct sockaddr *)&own, &length) != 0) return NULL;
  uint32_t n = address_bytes(&own, bytes, &port);
  napi_set_named_property(env, object, "address", buffer_copy(env, bytes, n));
  napi_set_named_property(env, object, "port", number(env, port));
  return object;
}

/* open({address, port, reusePort, freebind, device, receiveBuffer, backlog}) for both kinds. */
static napi_value open_listening(napi_env env, napi_callback_info info, int type) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  uint8_t *address;
  size_t length;
  if (argc < 1 || !arg_bytes(env, property(env, argv[0], "address"), &address, &length) || (length != 4 && length != 16))
    return throw_errno(env, "address", EINVAL);
  int64_t port = arg_int(env, property(env, argv[0], "port"), -1);
  if (port < 0 || port > 65535) return throw_errno(env, "port", EINVAL);
  int64_t receive = arg_int(env, property(env, argv[0], "receiveBuffer"), 0);
  int64_t backlog = arg_int(env, property(env, argv[0], "backlog"), 1024);
  bool v6 = length == 16;
  char device[IFNAMSIZ];
  device_name(env, argv[0], "device", device);

  int fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return throw_errno(env, "socket", errno);
  const char *step = NULL;
  do {
    /* A restarted TCP listener must not wait for TIME_WAIT; on UDP SO_REUSEADDR would let a second socket steal the port. */
    step = "SO_REUSEADDR";
    if (type == SOCK_STREAM && set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0) break;
    step = "SO_REUSEPORT";
    if (flag(env, argv[0], "reusePort") && set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0) break;
    step = "IPV6_V6ONLY";
    if (v6 && set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) != 0) break;
    step = "FREEBIND";
    if (flag(env, argv[0], "freebind") &&
        set_int(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, 1) != 0)
      break;
    step = "SO_BINDTODEVICE";
    if (device[0] != 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1) != 0) break;
    step = "SO_RCVBUF";
    if (receive > 0) {
      int bytes = receive > INT32_MAX / 2 ? INT32_MAX / 2 : (int)receive;
      if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes) != 0 && set_int(fd, SOL_SOCKET, SO_RCVBUF, bytes) != 0) break;
    }
    if (type == SOCK_DGRAM) {
      step = "PKTINFO";
      if (set_int(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1) != 0) break;
      step = "RECVTTL";
      if (set_int(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1) != 0) break;
      step = "SO_RXQ_OVFL";
      if (set_int(fd, SOL_SOCKET, SO_RXQ_OVFL, 1) != 0) break;
      step = "SO_TIMESTAMPNS";
      if (set_int(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1) != 0) break;
    }
    struct sockaddr_storage at;
    socklen_t at_length = fill_address(&at, address, length, (int)port, 0);
    step = "bind";
    if (bind(fd, (struct sockaddr *)&at, at_length) != 0) break;
    /* Without listen(2) a TCP socket only proves that the port is free: backlog 0 asks for that. */
    step = "listen";
    if (type == SOCK_STREAM && backlog > 0 && listen(fd, (int)backlog) != 0) break;
    step = NULL;
  } while (false);
  if (step != NULL) {
    int e = errno;
    close(fd);
    return throw_errno(env, step, e);
  }
  int effective = 0;
  socklen_t size = sizeof effective;
  getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &effective, &size);
  napi_value out;
  napi_create_object(env, &out);
  napi_set_named_property(env, out, "fd", number(env, fd));
  napi_set_named_property(env, out, "receiveBuffer", number(env, effective));
  local_of(env, fd, out);
  return out;
}

static napi_value open_udp(napi_env env, napi_callback_info info) { return open_listening(env, info, SOCK_DGRAM); }
static napi_value open_tcp(napi_env env, napi_callback_info info) { return open_listening(env, info, SOCK_STREAM); }

/* openTcpClient({family: 4 | 6, device, ttl}): a TCP socket that is neither bound nor connected. */
static napi_value open_tcp_client(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 1) return throw_errno(env, "options", EINVAL);
  bool v6 = arg_int(env, property(env, argv[0], "family"), 4) == 6;
  int64_t ttl = arg_int(env, property(env, argv[0], "ttl"), 0);
  char device[IFNAMSIZ];
  device_name(env, argv[0], "device", device);
  int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return throw_errno(env, "socket", errno);
  const char *step = NULL;
  if (device[0] != 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1) != 0)
    step = "SO_BINDTODEVICE";
  else if (ttl > 0 && set_int(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_UNICAST_HOPS : IP_TTL, (int)ttl) != 0)
    step = v6 ? "IPV6_UNICAST_HOPS" : "IP_TTL";
  if (step != NULL) {
    int e = errno;
    close(fd);
    return throw_errno(env, step, e);
  }
  return number(env, fd);
}

/* localAddress(fd): {address, port}, or undefined. */
static napi_value local_address(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1], out;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  napi_create_object(env, &out);
  return argc < 1 ? NULL : local_of(env, arg_fd(env, argv[0]), out);
}

static napi_value close_fd(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  int fd = argc < 1 ? -1 : arg_fd(env, argv[0]);
  return number(env, fd < 0 ? EBADF : close(fd) == 0 ? 0 : errno);
}

/* setTtl(fd, family, ttl): IP_TTL or IPV6_UNICAST_HOPS. */
static napi_value set_ttl(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 3) return number(env, EINVAL);
  bool v6 = arg_int(env, argv[1], 4) == 6;
  int ttl = (int)arg_int(env, argv[2], -1);
  if (ttl < 1 || ttl > 255) return number(env, EINVAL);
  int rc = set_int(arg_fd(env, argv[0]), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_UNICAST_HOPS : IP_TTL, ttl);
  return number(env, rc == 0 ? 0 : errno);
}

/*
 * attachReuseportCbpf(fd, workers, family): socket number = mix(source address) mod workers, for the whole group of `fd`.
 * Sockets are numbered in the order of bind(2) (UDP) or listen(2) (TCP). The source address stands at offset 12 of the IPv4
 * header and 8 of the IPv6 header; SKF_NET_OFF counts from there. The mix (multiply, fold the high half down) spreads addresses
 * that differ in one bit or one octet; classic BPF arithmetic is unsigned 32 bit.
 */
static napi_value attach_cbpf(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 3) return number(env, EINVAL);
  int fd = arg_fd(env, argv[0]);
  int64_t workers = arg_int(env, argv[1], 0);
  bool v6 = arg_int(env, argv[2], 4) == 6;
  if (workers < 1 || workers > 65535) return number(env, EINVAL);

  struct sock_filter code[32];
  unsigned short n = 0;
#define OP(c, v) code[n++] = (struct sock_filter)BPF_STMT((c), (uint32_t)(v))
  if (v6) {
    OP(BPF_LD | BPF_W | BPF_ABS, SKF_NET_OFF + 8);
    for (int word = 1; word < 4; word++) {
      OP(BPF_ALU | BPF_MUL | BPF_K, 0x9e3779b1u);
      OP(BPF_MISC | BPF_TAX, 0);
      OP(BPF_LD | BPF_W | BPF_ABS, SKF_NET_OFF + 8 + 4 * word);
      OP(BPF_ALU | BPF_XOR | BPF_X, 0);
    }
  } else {
    OP(BPF_LD | BPF_W | BPF_ABS, SKF_NET_OFF + 12);
  }
  OP(BPF_MISC | BPF_TAX, 0);
  OP(BPF_ALU | BPF_RSH | BPF_K, 16);
  OP(BPF_ALU | BPF_XOR | BPF_X, 0);
  OP(BPF_ALU | BPF_MUL | BPF_K, 0x85ebca6bu);
  OP(BPF_MISC | BPF_TAX, 0);
  OP(BPF_ALU | BPF_RSH | BPF_K, 13);
  OP(BPF_ALU | BPF_XOR | BPF_X, 0);
  OP(BPF_ALU | BPF_MUL | BPF_K, 0xc2b2ae35u);
  OP(BPF_MISC | BPF_TAX, 0);
  OP(BPF_ALU | BPF_RSH | BPF_K, 16);
  OP(BPF_ALU | BPF_XOR | BPF_X, 0);
  OP(BPF_ALU | BPF_MOD | BPF_K, workers);
  OP(BPF_RET | BPF_A, 0);
#undef OP
  struct sock_fprog program = {.len = n, .filter = code};
  int rc = setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
  return number(env, rc == 0 ? 0 : errno);
}

/* ---- the UDP reader --------------------------------------------------------------------------------------------- */

/*
 * One metadata record a slot, 64 bytes: eight 32-bit words of the host's order, then the two addresses.
 *   0 offset in the receive buffer   1 length   2 source port   3 UTC seconds   4 nanoseconds
 *   5 received TTL or hop limit (0: unknown)    6 interface index
 *   7 source address length | destination address length << 8 | truncated << 16
 *   bytes 32..47 source, 48..63 destination
 */
#define META_BYTES 64
#define CONTROL_BYTES 256
#define MAX_SLOTS 1024

typedef struct instance instance;

typedef struct reader {
  struct reader *next;
  instance *owner;
  napi_env env;
  uint32_t id;
  int fd;
  uv_poll_t poll;
  uv_timer_t timer;
  int open_handles;
  bool closing;
  bool hurry; /* the last drain stopped at its limit: do not wait before the next one */
  int errors; /* poll errors in a row without a datagram */
  napi_ref callback, buffer, meta;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  uint8_t *data;
  uint8_t *records;
  uint32_t slots, stride, wait_ms, limit;
  struct mmsghdr *messages;
  struct iovec *vectors;
  struct sockaddr_storage *names;
  uint8_t *controls;
} reader;

struct instance {
  reader *readers;
  uint32_t next_id;
};

static void reader_free(reader *r) {
  for (reader **at = &r->owner->readers; *at != NULL; at = &(*at)->next)
    if (*at == r) {
      *at = r->next;
      break;
    }
  free(r->messages);
  free(r->vectors);
  free(r->names);
  free(r->controls);
  free(r);
}

static void reader_closed(uv_handle_t *handle) {
  reader *r = handle->data;
  if (--r->open_handles > 0) return;
  napi_handle_scope scope;
  if (napi_open_handle_scope(r->env, &scope) == napi_ok) {
    napi_delete_reference(r->env, r->callback);
    napi_delete_reference(r->env, r->buffer);
    napi_delete_reference(r->env, r->meta);
    napi_async_destroy(r->env, r->context);
    napi_close_handle_scope(r->env, scope);
  }
  napi_async_cleanup_hook_handle hook = r->hook;
  reader_free(r);
  if (hook != NULL) napi_remove_async_cleanup_hook(hook);
}

static void reader_close(reader *r) {
  if (r->closing) return;
  r->closing = true;
  uv_close((uv_handle_t *)&r->poll, reader_closed);
  uv_close((uv_handle_t *)&r->timer, reader_closed);
}

static void reader_cleanup(napi_async_cleanup_hook_handle hook, void *arg) {
  (void)hook;
  reader_close(arg);
}

/* Tells JavaScript: `count` records are filled, or minus an errno: the socket cannot be read any more. */
static void reader_call(reader *r, int count) {
  napi_handle_scope scope;
  napi_value callback, global, argument, result;
  if (napi_open_handle_scope(r->env, &scope) != napi_ok) return;
  napi_get_reference_value(r->env, r->callback, &callback);
  napi_get_global(r->env, &global);
  napi_create_int32(r->env, count, &argument);
  if (napi_make_callback(r->env, r->context, global, callback, 1, &argument, &result) == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(r->env, &error);
    napi_fatal_exception(r->env, error);
  }
  napi_close_handle_scope(r->env, scope);
}

static void reader_record(reader *r, uint32_t slot, const struct timespec *now) {
  struct msghdr *h = &r->messages[slot].msg_hdr;
  uint8_t *record = r->records + (size_t)slot * META_BYTES;
  uint32_t *word = (uint32_t *)record;
  uint32_t destination = 0;
  word[0] = slot * r->stride;
  word[1] = r->messages[slot].msg_len;
  word[3] = (uint32_t)now->tv_sec;
  word[4] = (uint32_t)now->tv_nsec;
  word[5] = 0;
  word[6] = 0;
  uint32_t source = address_bytes(&r->names[slot], record + 32, &word[2]);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo p;
      memcpy(&p, CMSG_DATA(c), sizeof p);
      memcpy(record + 48, &p.ipi_addr, 4);
      destination = 4;
      word[6] = (uint32_t)p.ipi_ifindex;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo p;
      memcpy(&p, CMSG_DATA(c), sizeof p);
      if (IN6_IS_ADDR_V4MAPPED(&p.ipi6_addr)) {
        memcpy(record + 48, p.ipi6_addr.s6_addr + 12, 4);
        destination = 4;
      } else {
        memcpy(record + 48, &p.ipi6_addr, 16);
        destination = 16;
      }
      word[6] = p.ipi6_ifindex;
    } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
               (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
      int ttl;
      memcpy(&ttl, CMSG_DATA(c), sizeof ttl);
      word[5] = (uint32_t)ttl;
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
      struct timespec t;
      memcpy(&t, CMSG_DATA(c), sizeof t);
      word[3] = (uint32_t)t.tv_sec;
      word[4] = (uint32_t)t.tv_nsec;
    }
  }
  word[7] = source | destination << 8 | ((h->msg_flags & MSG_TRUNC) != 0 ? 1u << 16 : 0);
}

static void reader_on_poll(uv_poll_t *poll, int status, int events);

/* Reads at most `limit` batches, so that timers and other sockets get their turn, then waits for the socket again. */
static void reader_drain(reader *r) {
  bool empty = false;
  for (uint32_t round = 0; round < r->limit && !empty; round++) {
    for (uint32_t i = 0; i < r->slots; i++) {
      struct msghdr *h = &r->messages[i].msg_hdr;
      h->msg_namelen = sizeof(struct sockaddr_storage);
      h->msg_controllen = CONTROL_BYTES;
      h->msg_flags = 0;
    }
    int count;
    do count = recvmmsg(r->fd, r->messages, r->slots, MSG_DONTWAIT, NULL);
    while (count < 0 && errno == EINTR);
    if (count <= 0) {
      empty = true;
      break;
    }
    r->errors = 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (int i = 0; i < count; i++) reader_record(r, (uint32_t)i, &now);
    reader_call(r, count);
    if (r->closing) return;
    empty = (uint32_t)count < r->slots;
  }
  r->hurry = !empty;
  int rc = uv_poll_start(&r->poll, UV_READABLE, reader_on_poll);
  if (rc != 0) reader_call(r, rc);
}

static void reader_on_timer(uv_timer_t *timer) {
  reader *r = timer->data;
  if (!r->closing) reader_drain(r);
}

/*
 * A fast reader finds short queues: calls would be made for two or three datagrams each. So the first readiness only starts a
 * short wait; the drain behind it finds a real batch. libuv reports POLLERR as an error and stops the handle: reading takes the
 * pending error off the socket, so that is tried before giving up.
 */
static void reader_on_poll(uv_poll_t *poll, int status, int events) {
  reader *r = poll->data;
  (void)events;
  if (r->closing) return;
  uv_poll_stop(poll);
  if (status < 0 && ++r->errors > 16) {
    reader_call(r, status);
    return;
  }
  if (r->hurry || r->wait_ms == 0) reader_drain(r);
  else uv_timer_start(&r->timer, reader_on_timer, r->wait_ms, 0);
}

/* readerStart(fd, buffer, meta, slots, stride, waitMs, limit, onBatch): the reader's id; throws. */
static napi_value reader_start(napi_env env, napi_callback_info info) {
  size_t argc = 8;
  napi_value argv[8];
  instance *self;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  napi_get_instance_data(env, (void **)&self);
  uint8_t *data, *records;
  size_t data_length, records_length;
  napi_valuetype type = napi_undefined;
  if (argc < 8) return throw_errno(env, "readerStart", EINVAL);
  int fd = arg_fd(env, argv[0]);
  int64_t slots = arg_int(env, argv[3], 0), stride = arg_int(env, argv[4], 0);
  int64_t wait_ms = arg_int(env, argv[5], 1), limit = arg_int(env, argv[6], 8);
  napi_typeof(env, argv[7], &type);
  if (fd < 0 || !arg_bytes(env, argv[1], &data, &data_length) || !arg_bytes(env, argv[2], &records, &records_length) ||
      type != napi_function || slots < 1 || slots > MAX_SLOTS || stride < 1 || stride > 1 << 20 || wait_ms < 0 ||
      wait_ms > 1000 || limit < 1 || limit > 1000 || data_length < (size_t)(slots * stride) ||
      records_length < (size_t)slots * META_BYTES || ((uintptr_t)records & 3) != 0)
    return throw_errno(env, "readerStart", EINVAL);
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return throw_errno(env, "readerStart", ENOSYS);

  reader *r = calloc(1, sizeof *r);
  if (r == NULL) return throw_errno(env, "readerStart", ENOMEM);
  r->owner = self;
  r->env = env;
  r->fd = fd;
  r->data = data;
  r->records = records;
  r->slots = (uint32_t)slots;
  r->stride = (uint32_t)stride;
  r->wait_ms = (uint32_t)wait_ms;
  r->limit = (uint32_t)limit;
  r->messages = calloc((size_t)slots, sizeof *r->messages);
  r->vectors = calloc((size_t)slots, sizeof *r->vectors);
  r->names = calloc((size_t)slots, sizeof *r->names);
  r->controls = calloc((size_t)slots, CONTROL_BYTES);
  if (r->messages == NULL || r->vectors == NULL || r->names == NULL || r->controls == NULL) {
    reader_free(r);
    return throw_errno(env, "readerStart", ENOMEM);
  }
  for (uint32_t i = 0; i < r->slots; i++) {
    r->vectors[i] = (struct iovec){.iov_base = data + (size_t)i * r->stride, .iov_len = r->stride};
    r->messages[i].msg_hdr = (struct msghdr){.msg_name = &r->names[i],
                                             .msg_iov = &r->vectors[i],
                                             .msg_iovlen = 1,
                                             .msg_control = r->controls + (size_t)i * CONTROL_BYTES};
  }
  int rc = uv_poll_init(loop, &r->poll, fd);
  if (rc != 0) {
    reader_free(r);
    return throw_errno(env, "uv_poll_init", -rc);
  }
  uv_timer_init(loop, &r->timer);
  r->poll.data = r;
  r->timer.data = r;
  r->open_handles = 2;
  napi_value name;
  napi_create_string_utf8(env, "tidegate_udp", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, NULL, name, &r->context);
  napi_create_reference(env, argv[7], 1, &r->callback);
  napi_create_reference(env, argv[1], 1, &r->buffer);
  napi_create_reference(env, argv[2], 1, &r->meta);
  napi_add_async_cleanup_hook(env, reader_cleanup, r, &r->hook);
  r->id = ++self->next_id;
  r->next = self->readers;
  self->readers = r;
  rc = uv_poll_start(&r->poll, UV_READABLE, reader_on_poll);
  if (rc != 0) {
    reader_close(r);
    return throw_errno(env, "uv_poll_start", -rc);
  }
  return number(env, r->id);
}

/* readerClose(id): no call is made after it; the descriptor is the caller's to close. */
static napi_value reader_stop(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  instance *self;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  napi_get_instance_data(env, (void **)&self);
  int64_t id = argc < 1 ? 0 : arg_int(env, argv[0], 0);
  for (reader *r = self->readers; r != NULL; r = r->next)
    if (r->id == id && !r->closing) {
      reader_close(r);
      return number(env, 0);
    }
  return number(env, EBADF);
}

/* sendFrom(fd, data, address, port, local, ifindex): 0 or errno. `local` is empty where the kernel shall choose. */
static napi_value send_from(napi_env env, napi_callback_info info) {
  size_t argc = 6;
  napi_value argv[6];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  uint8_t *data, *address, *local;
  size_t data_length, address_length, local_length;
  if (argc < 6 || !arg_bytes(env, argv[1], &data, &data_length) ||
      !arg_bytes(env, argv[2], &address, &address_length) || !arg_bytes(env, argv[4], &local, &local_length))
    return number(env, EINVAL);
  int64_t port = arg_int(env, argv[3], -1);
  uint32_t scope = (uint32_t)arg_int(env, argv[5], 0);
  if (port < 1 || port > 65535 || (local_length != 0 && local_length != address_length)) return number(env, EINVAL);
  struct sockaddr_storage to;
  socklen_t to_length = fill_address(&to, address, address_length, (int)port, scope);
  if (to_length == 0) return number(env, EINVAL);
  struct iovec vector = {.iov_base = data, .iov_len = data_length};
  union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr h = {.msg_name = &to, .msg_namelen = to_length, .msg_iov = &vector, .msg_iovlen = 1};
  if (local_length == 4) {
    struct in_pktinfo p = {.ipi_ifindex = 0};
    memcpy(&p.ipi_spec_dst, local, 4);
    h.msg_control = control.bytes;
    h.msg_controllen = CMSG_SPACE(sizeof p);
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof p);
    memcpy(CMSG_DATA(c), &p, sizeof p);
  } else if (local_length == 16) {
    struct in6_pktinfo p = {.ipi6_ifindex = scope};
    memcpy(&p.ipi6_addr, local, 16);
    h.msg_control = control.bytes;
    h.msg_controllen = CMSG_SPACE(sizeof p);
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = IPPROTO_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof p);
    memcpy(CMSG_DATA(c), &p, sizeof p);
  }
  ssize_t sent;
  do sent = sendmsg(arg_fd(env, argv[0]), &h, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return number(env, sent < 0 ? errno : 0);
}

/*
 * socketDrops(fd): datagrams this socket dropped since it was opened, whichever process reads it; minus an errno.
 * The counter is the one SO_RXQ_OVFL delivers, but that arrives with the next datagram only; SO_MEMINFO is true now.
 */
static napi_value socket_drops(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  uint32_t values[SK_MEMINFO_VARS] = {0};
  socklen_t size = sizeof values;
  if (argc < 1 || getsockopt(arg_fd(env, argv[0]), SOL_SOCKET, SO_MEMINFO, values, &size) != 0)
    return number(env, argc < 1 ? -EINVAL : -errno);
  return number(env, size > SK_MEMINFO_DROPS * sizeof(uint32_t) ? values[SK_MEMINFO_DROPS] : 0);
}

/* ---- interface addresses (rtnetlink) ---------------------------------------------------------------------------- */

static int netlink_open(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return -1;
  /* The kernel answers at once; the limit is against a hang only. */
  struct timeval limit = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return fd;
}

static void attribute(struct nlmsghdr *h, unsigned short type, const void *data, size_t length) {
  struct rtattr *a = (struct rtattr *)((uint8_t *)h + NLMSG_ALIGN(h->nlmsg_len));
  a->rta_type = type;
  a->rta_len = (unsigned short)RTA_LENGTH(length);
  memcpy(RTA_DATA(a), data, length);
  h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + (uint32_t)RTA_ALIGN(a->rta_len);
}

/* addressChange(add, ifindex, address, prefixLength, hostScope, noDad): 0 or errno (EEXIST, EADDRNOTAVAIL: nothing to do). */
static napi_value address_change(napi_env env, napi_callback_info info) {
  size_t argc = 6;
  napi_value argv[6];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  bool add = false, host = false, nodad = false;
  uint8_t *address;
  size_t length;
  if (argc < 6 || !arg_bytes(env, argv[2], &address, &length) || (length != 4 && length != 16)) return number(env, EINVAL);
  napi_get_value_bool(env, argv[0], &add);
  napi_get_value_bool(env, argv[4], &host);
  napi_get_value_bool(env, argv[5], &nodad);
  int64_t ifindex = arg_int(env, argv[1], 0), prefix = arg_int(env, argv[3], -1);
  if (ifindex < 1 || prefix < 0 || prefix > (int64_t)length * 8) return number(env, EINVAL);

  struct {
    struct nlmsghdr h;
    struct ifaddrmsg a;
    uint8_t room[96];
  } request;
  memset(&request, 0, sizeof request);
  request.h.nlmsg_len = NLMSG_LENGTH(sizeof request.a);
  request.h.nlmsg_type = add ? RTM_NEWADDR : RTM_DELADDR;
  request.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0);
  request.h.nlmsg_seq = 1;
  request.a.ifa_family = length == 4 ? AF_INET : AF_INET6;
  request.a.ifa_prefixlen = (uint8_t)prefix;
  request.a.ifa_scope = host ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  request.a.ifa_flags = nodad && length == 16 ? IFA_F_NODAD : 0;
  request.a.ifa_index = (uint32_t)ifindex;
  attribute(&request.h, IFA_LOCAL, address, length);
  attribute(&request.h, IFA_ADDRESS, address, length);

  int fd = netlink_open();
  if (fd < 0) return number(env, errno);
  int result = EPROTO;
  uint8_t answer[4096] __attribute__((aligned(4)));
  ssize_t n;
  if (send(fd, &request, request.h.nlmsg_len, 0) < 0) result = errno;
  else if ((n = recv(fd, answer, sizeof answer, 0)) < 0) result = errno;
  else {
    struct nlmsghdr *h = (struct nlmsghdr *)answer;
    if (NLMSG_OK(h, (uint32_t)n) && h->nlmsg_type == NLMSG_ERROR)
      result = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
  }
  close(fd);
  return number(env, result);
}

/* addressList(ifindex): [{address, length, scope}], or an errno number. */
static napi_value address_list(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  int64_t ifindex = argc < 1 ? 0 : arg_int(env, argv[0], 0);
  int fd = netlink_open();
  if (fd < 0) return number(env, errno);
  struct {
    struct nlmsghdr h;
    struct ifaddrmsg a;
  } request;
  memset(&request, 0, sizeof request);
  request.h.nlmsg_len = NLMSG_LENGTH(sizeof request.a);
  request.h.nlmsg_type = RTM_GETADDR;
  request.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.h.nlmsg_seq = 1;
  request.a.ifa_family = AF_UNSPEC;
  napi_value out;
  uint32_t count = 0;
  int result = 0;
  bool done = false;
  napi_create_array(env, &out);
  if (send(fd, &request, request.h.nlmsg_len, 0) < 0) result = errno;
  static const size_t ROOM = 64 * 1024;
  uint8_t *room = malloc(ROOM);
  if (room == NULL) result = ENOMEM;
  while (result == 0 && !done) {
    ssize_t n = recv(fd, room, ROOM, 0);
    if (n < 0) {
      result = errno;
      break;
    }
    uint32_t left = (uint32_t)n;
    for (struct nlmsghdr *h = (struct nlmsghdr *)room; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_flags & NLM_F_DUMP_INTR) result = EAGAIN;
      if (h->nlmsg_type == NLMSG_DONE) {
        done = true;
        break;
      }
      if (h->nlmsg_type == NLMSG_ERROR) {
        result = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
        break;
      }
      if (h->nlmsg_type != RTM_NEWADDR) continue;
      struct ifaddrmsg *a = NLMSG_DATA(h);
      if (a->ifa_index != ifindex || (a->ifa_family != AF_INET && a->ifa_family != AF_INET6)) continue;
      size_t size = a->ifa_family == AF_INET ? 4 : 16;
      const void *address = NULL;
      uint32_t rest = (uint32_t)IFA_PAYLOAD(h);
      for (struct rtattr *t = IFA_RTA(a); RTA_OK(t, rest); t = RTA_NEXT(t, rest)) {
        if (RTA_PAYLOAD(t) != size) continue;
        /* A point-to-point address has both; the local one is ours. */
        if (t->rta_type == IFA_LOCAL || (t->rta_type == IFA_ADDRESS && address == NULL)) address = RTA_DATA(t);
      }
      if (address == NULL) continue;
      napi_value item;
      napi_create_object(env, &item);
      napi_set_named_property(env, item, "address", buffer_copy(env, address, size));
      napi_set_named_property(env, item, "length", number(env, a->ifa_prefixlen));
      napi_set_named_property(env, item, "scope", number(env, a->ifa_scope));
      napi_set_element(env, out, count++, item);
    }
  }
  free(room);
  close(fd);
  return result != 0 ? number(env, result) : out;
}

/* interfaceIndex(name): 0 where there is none. */
static napi_value interface_index(napi_env env, napi_callback_info info) {
  size_t argc = 1, n = 0;
  napi_value argv[1];
  char name[IFNAMSIZ + 1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 1 || napi_get_value_string_utf8(env, argv[0], name, sizeof name, &n) != napi_ok || n >= IFNAMSIZ)
    return number(env, 0);
  return number(env, if_nametoindex(name));
}

/* ---- module ----------------------------------------------------------------------------------------------------- */

static void instance_free(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
}

NAPI_MODULE_INIT() {
  instance *self = calloc(1, sizeof *self);
  if (self == NULL) return throw_errno(env, "load", ENOMEM);
  napi_set_instance_data(env, self, instance_free, NULL);
  static const struct {
    const char *name;
    napi_callback call;
  } functions[] = {
      {"openUdp", open_udp},
      {"openTcp", open_tcp},
      {"openTcpClient", open_tcp_client},
      {"localAddress", local_address},
      {"closeFd", close_fd},
      {"setTtl", set_ttl},
      {"attachReuseportCbpf", attach_cbpf},
      {"readerStart", reader_start},
      {"readerClose", reader_stop},
      {"sendFrom", send_from},
      {"socketDrops", socket_drops},
      {"interfaceIndex", interface_index},
      {"addressChange", address_change},
      {"addressList", address_list},
  };
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    napi_value f;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, NULL, &f);
    napi_set_named_property(env, exports, functions[i].name, f);
  }
  napi_set_named_property(env, exports, "abi", number(env, TIDEGATE_NET_ABI));
  return exports;
}
