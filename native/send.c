/* sendmsg(2) from a chosen local address, and what a socket dropped. */
#include "tidegate_net.h"

#include <linux/sock_diag.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

/* sendFrom(fd, data, address, port, local, ifindex): 0 or errno. `local` is empty where the kernel shall choose. */
napi_value send_from(napi_env env, napi_callback_info info) {
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
  /* Port 0: a raw socket. */
  if (port < 0 || port > 65535 || (local_length != 0 && local_length != address_length)) return number(env, EINVAL);
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
 * The counter is the one that SO_RXQ_OVFL would deliver with the next datagram; SO_MEMINFO is true now.
 */
napi_value socket_drops(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  uint32_t values[SK_MEMINFO_VARS] = {0};
  socklen_t size = sizeof values;
  if (argc < 1 || getsockopt(arg_fd(env, argv[0]), SOL_SOCKET, SO_MEMINFO, values, &size) != 0)
    return number(env, argc < 1 ? -EINVAL : -errno);
  return number(env, size > SK_MEMINFO_DROPS * sizeof(uint32_t) ? values[SK_MEMINFO_DROPS] : 0);
}
