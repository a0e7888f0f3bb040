/* Interface addresses by rtnetlink(7). */
#include "tidegate_net.h"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/time.h>

static int netlink_open(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return -1;
  /* The kernel answers at once; the limit is against a hang only. */
  struct timeval limit = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return fd;
}

#define ANSWER 4096

/* Sends a request and receives the one message that answers it into `answer`, ANSWER octets; 0 or an errno. */
static int netlink_ask(const struct nlmsghdr *request, uint8_t *answer) {
  int fd = netlink_open();
  if (fd < 0) return errno;
  int result = EPROTO;
  ssize_t n;
  if (send(fd, request, request->nlmsg_len, 0) < 0 || (n = recv(fd, answer, ANSWER, 0)) < 0) result = errno;
  else if (NLMSG_OK((struct nlmsghdr *)answer, (uint32_t)n)) result = 0;
  close(fd);
  return result;
}

static void attribute(struct nlmsghdr *h, unsigned short type, const void *data, size_t length) {
  struct rtattr *a = (struct rtattr *)((uint8_t *)h + NLMSG_ALIGN(h->nlmsg_len));
  a->rta_type = type;
  a->rta_len = (unsigned short)RTA_LENGTH(length);
  memcpy(RTA_DATA(a), data, length);
  h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + (uint32_t)RTA_ALIGN(a->rta_len);
}

/*
 * addressChange(add, ifindex, address, prefixLength, hostScope, noDad, lifetime): 0 or errno (EEXIST, EADDRNOTAVAIL: nothing to do).
 * `lifetime`: seconds after which the kernel removes it; then one that is there gets the new lifetime. 0: for ever.
 */
napi_value address_change(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  bool add = false, host = false, nodad = false;
  uint8_t *address;
  size_t length;
  if (argc < 6 || !arg_bytes(env, argv[2], &address, &length) || (length != 4 && length != 16)) return number(env, EINVAL);
  napi_get_value_bool(env, argv[0], &add);
  napi_get_value_bool(env, argv[4], &host);
  napi_get_value_bool(env, argv[5], &nodad);
  int64_t ifindex = arg_int(env, argv[1], 0), prefix = arg_int(env, argv[3], -1);
  int64_t lifetime = argc < 7 ? 0 : arg_int(env, argv[6], 0);
  if (lifetime < 0 || lifetime > INT32_MAX) return number(env, EINVAL);
  if (ifindex < 1 || prefix < 0 || prefix > (int64_t)length * 8) return number(env, EINVAL);

  struct {
    struct nlmsghdr h;
    struct ifaddrmsg a;
    uint8_t room[128];
  } request;
  memset(&request, 0, sizeof request);
  request.h.nlmsg_len = NLMSG_LENGTH(sizeof request.a);
  request.h.nlmsg_type = add ? RTM_NEWADDR : RTM_DELADDR;
  request.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (add ? NLM_F_CREATE | (lifetime > 0 ? NLM_F_REPLACE : NLM_F_EXCL) : 0);
  request.h.nlmsg_seq = 1;
  request.a.ifa_family = length == 4 ? AF_INET : AF_INET6;
  request.a.ifa_prefixlen = (uint8_t)prefix;
  request.a.ifa_scope = host ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  request.a.ifa_flags = nodad && length == 16 ? IFA_F_NODAD : 0;
  request.a.ifa_index = (uint32_t)ifindex;
  attribute(&request.h, IFA_LOCAL, address, length);
  attribute(&request.h, IFA_ADDRESS, address, length);
  if (add && (lifetime > 0 || length == 16)) {
    /*
     * Of IPv6 deprecated from the start: RFC 6724 rule 8 would make a /128 in the LAN's prefix the source of whatever this node dials, and
     * its connections would go with the VIP. What is sent from it by name, as answers are, goes out all the same.
     */
    uint32_t valid = lifetime > 0 ? (uint32_t)lifetime : UINT32_MAX;
    struct ifa_cacheinfo cache = {.ifa_valid = valid, .ifa_prefered = length == 16 ? 0 : valid};
    attribute(&request.h, IFA_CACHEINFO, &cache, sizeof cache);
  }

  uint8_t answer[ANSWER] __attribute__((aligned(4)));
  struct nlmsghdr *h = (struct nlmsghdr *)answer;
  int result = netlink_ask(&request.h, answer);
  if (result == 0) result = h->nlmsg_type == NLMSG_ERROR ? -((struct nlmsgerr *)NLMSG_DATA(h))->error : EPROTO;
  return number(env, result);
}

/*
 * addressServes(address, ifindex): whether the kernel delivers here what is sent to it; or an errno, where it does not say. Of IPv6 the local route of
 * an address comes a moment after the address, from a work queue of the kernel, also without duplicate address detection.
 */
napi_value address_serves(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2], out;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  uint8_t *address;
  size_t length;
  if (argc < 2 || !arg_bytes(env, argv[0], &address, &length) || (length != 4 && length != 16)) return number(env, EINVAL);
  uint32_t ifindex = (uint32_t)arg_int(env, argv[1], 0);
  struct {
    struct nlmsghdr h;
    struct rtmsg r;
    uint8_t room[64];
  } request;
  memset(&request, 0, sizeof request);
  request.h.nlmsg_len = NLMSG_LENGTH(sizeof request.r);
  request.h.nlmsg_type = RTM_GETROUTE;
  request.h.nlmsg_flags = NLM_F_REQUEST;
  request.h.nlmsg_seq = 1;
  request.r.rtm_family = length == 4 ? AF_INET : AF_INET6;
  request.r.rtm_dst_len = (uint8_t)(length * 8);
  attribute(&request.h, RTA_DST, address, length);
  /* In a VRF it has a routing table of its own. */
  attribute(&request.h, RTA_OIF, &ifindex, sizeof ifindex);
  uint8_t answer[ANSWER] __attribute__((aligned(4)));
  struct nlmsghdr *h = (struct nlmsghdr *)answer;
  bool local = false;
  int result = netlink_ask(&request.h, answer);
  if (result == 0 && h->nlmsg_type == RTM_NEWROUTE) local = ((struct rtmsg *)NLMSG_DATA(h))->rtm_type == RTN_LOCAL;
  else if (result == 0) result = h->nlmsg_type == NLMSG_ERROR ? -((struct nlmsgerr *)NLMSG_DATA(h))->error : EPROTO;
  /* No route at all is an answer, too. */
  if (result != 0 && result != ENETUNREACH && result != EHOSTUNREACH) return number(env, result);
  napi_get_boolean(env, local, &out);
  return out;
}

/* addressList(ifindex): [{address, length, scope}], or an errno number. */
napi_value address_list(napi_env env, napi_callback_info info) {
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
napi_value interface_index(napi_env env, napi_callback_info info) {
  size_t argc = 1, n = 0;
  napi_value argv[1];
  char name[IFNAMSIZ + 1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 1 || napi_get_value_string_utf8(env, argv[0], name, sizeof name, &n) != napi_ok || n >= IFNAMSIZ)
    return number(env, 0);
  return number(env, if_nametoindex(name));
}
