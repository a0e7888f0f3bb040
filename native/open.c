/* Sockets that are opened here and read, accepted from or connected elsewhere. */
#include "tidegate_net.h"

#include <netinet/ip.h>
#include <netinet/tcp.h>

#ifndef SO_REUSEPORT
#define SO_REUSEPORT 15
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

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

/* open({address, port, reusePort, freebind, device, receiveBuffer, backlog, hops}) for both kinds. */
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
      /* Each thing that is asked for costs something with every datagram. */
      step = "RECVTTL";
      if (flag(env, argv[0], "hops") &&
          set_int(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1) != 0)
        break;
      step = "SO_TIMESTAMPNS";
      if (set_int(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1) != 0) break;
    }
    struct sockaddr_storage at;
    socklen_t at_length = fill_address(&at, address, length, (int)port, 0);
    step = "bind";
    if (bind(fd, (struct sockaddr *)&at, at_length) != 0) break;
    /*
     * An answer leaves with the address that was asked, also where that has moved to another node since. Only after bind(2), which would take
     * any address else. Without CAP_NET_ADMIN or CAP_NET_RAW such an answer is refused by the kernel, and counted.
     */
    if (type == SOCK_DGRAM) (void)set_int(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1);
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

napi_value open_udp(napi_env env, napi_callback_info info) { return open_listening(env, info, SOCK_DGRAM); }
napi_value open_tcp(napi_env env, napi_callback_info info) { return open_listening(env, info, SOCK_STREAM); }

/* openTcpClient({family: 4 | 6, device, ttl}): a TCP socket that is neither bound nor connected. */
napi_value open_tcp_client(napi_env env, napi_callback_info info) {
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
napi_value local_address(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1], out;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  napi_create_object(env, &out);
  return argc < 1 ? NULL : local_of(env, arg_fd(env, argv[0]), out);
}

napi_value close_fd(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  int fd = argc < 1 ? -1 : arg_fd(env, argv[0]);
  return number(env, fd < 0 ? EBADF : close(fd) == 0 ? 0 : errno);
}

/* setTtl(fd, family, ttl): IP_TTL or IPV6_UNICAST_HOPS. */
napi_value set_ttl(napi_env env, napi_callback_info info) {
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
