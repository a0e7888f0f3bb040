/* Descriptors for a process that runs already: SCM_RIGHTS over a pair of Unix sockets, one message for one listener. */
#include "tidegate_net.h"

#define MAX_FDS 8

/* socketPair(): [ours, theirs], which keep messages apart; throws. */
napi_value socket_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
    return throw_errno(env, "socketpair", errno);
  napi_value out;
  napi_create_array_with_length(env, 2, &out);
  for (uint32_t i = 0; i < 2; i++) napi_set_element(env, out, i, number(env, pair[i]));
  return out;
}

/* sendFds(fd, fds): an errno; EAGAIN where the other side has to read first. */
napi_value send_fds(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  uint32_t count = 0;
  if (argc < 2 || napi_get_array_length(env, argv[1], &count) != napi_ok || count < 1 || count > MAX_FDS)
    return number(env, EINVAL);
  int fds[MAX_FDS];
  for (uint32_t i = 0; i < count; i++) {
    napi_value element;
    napi_get_element(env, argv[1], i, &element);
    fds[i] = arg_fd(env, element);
  }
  union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof fds)];
  } control;
  memset(&control, 0, sizeof control);
  uint8_t byte = (uint8_t)count;
  struct iovec data = {.iov_base = &byte, .iov_len = 1};
  struct msghdr m = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(c), fds, count * sizeof(int));
  return number(env, sendmsg(arg_fd(env, argv[0]), &m, MSG_NOSIGNAL) == 1 ? 0 : errno);
}

/* receiveFds(fd): the descriptors of the next message (close-on-exec), or minus an errno. */
napi_value receive_fds(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  int fds[MAX_FDS];
  union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof fds)];
  } control;
  uint8_t byte = 0;
  struct iovec data = {.iov_base = &byte, .iov_len = 1};
  struct msghdr m = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t n = recvmsg(argc < 1 ? -1 : arg_fd(env, argv[0]), &m, MSG_CMSG_CLOEXEC);
  if (n < 0) return number(env, -errno);
  if (n == 0) return number(env, -EPIPE);
  uint32_t count = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    count = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(c), count * sizeof(int));
  }
  /* What did not arrive whole (too many open files) is of no use. */
  if (count != byte || (m.msg_flags & MSG_CTRUNC) != 0) {
    for (uint32_t i = 0; i < count; i++) close(fds[i]);
    return number(env, -EMFILE);
  }
  napi_value out;
  napi_create_array_with_length(env, count, &out);
  for (uint32_t i = 0; i < count; i++) napi_set_element(env, out, i, number(env, fds[i]));
  return out;
}
