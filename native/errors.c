/* What the network says of datagrams that were sent: ip(7), IP_RECVERR. */
#include "tidegate_net.h"

/*
 * heedErrors(fd, family): 0 or errno. A connected UDP socket hears by itself only that a port is closed; with this any one hears also that
 * there is no way to the host (ICMP, or nobody answers for the neighbour). Not for a socket of libuv, which would turn on it until the
 * errors are taken, and whose own way of taking them Node does not survive.
 */
napi_value heed_errors(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 2) return number(env, EINVAL);
  bool v6 = arg_int(env, argv[1], 4) == 6;
  int rc = set_int(arg_fd(env, argv[0]), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, 1);
  return number(env, rc == 0 ? 0 : errno);
}

/* Room for nothing: what does not fit is cut. */
static ssize_t drop_one(int fd, int flags) {
  struct msghdr h;
  memset(&h, 0, sizeof h);
  return recvmsg(fd, &h, flags | MSG_DONTWAIT);
}

/* takeErrors(fd): the errno of the last one, 0 where there was none. What came in besides is dropped: nobody else reads this socket. */
napi_value take_errors(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  int fd = argc < 1 ? -1 : arg_fd(env, argv[0]);
  if (fd < 0) return number(env, EBADF);
  int found = 0;
  /* Bounded: who floods us is read on at the next time. */
  for (int i = 0; i < 1024; i++) {
    /* The error of the socket is that of the first in its queue, and with each that is dropped that of the next. */
    if (drop_one(fd, 0) >= 0 || errno == EINTR) continue;
    if (errno == EAGAIN) {
      if (drop_one(fd, MSG_ERRQUEUE) < 0 && errno == EAGAIN) break;
    } else {
      found = errno;
      if (found == EBADF || found == ENOTSOCK) break;
    }
  }
  return number(env, found);
}
