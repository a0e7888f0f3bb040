/* Links: what an interface is, and word of any change of links and addresses by rtnetlink(7). */
#include "tidegate_net.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>

/* linkState(name): {index, mac, mtu, up}, or undefined where there is none. */
napi_value link_state(napi_env env, napi_callback_info info) {
  size_t argc = 1, n = 0;
  napi_value argv[1], out, up;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  struct ifreq r;
  memset(&r, 0, sizeof r);
  if (argc < 1 || napi_get_value_string_utf8(env, argv[0], r.ifr_name, IFNAMSIZ, &n) != napi_ok) return NULL;
  uint32_t index = if_nametoindex(r.ifr_name);
  int fd = index == 0 ? -1 : socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (index != 0 && fd < 0) fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return NULL;
  uint8_t mac[6] = {0};
  int mtu = 0, flags = 0;
  if (ioctl(fd, SIOCGIFFLAGS, &r) == 0) flags = (uint16_t)r.ifr_flags;
  if (ioctl(fd, SIOCGIFMTU, &r) == 0) mtu = r.ifr_mtu;
  if (ioctl(fd, SIOCGIFHWADDR, &r) == 0) memcpy(mac, r.ifr_hwaddr.sa_data, sizeof mac);
  close(fd);
  napi_create_object(env, &out);
  napi_set_named_property(env, out, "index", number(env, index));
  napi_set_named_property(env, out, "mac", buffer_copy(env, mac, sizeof mac));
  napi_set_named_property(env, out, "mtu", number(env, mtu));
  napi_get_boolean(env, (flags & IFF_UP) != 0 && (flags & IFF_RUNNING) != 0, &up);
  napi_set_named_property(env, out, "up", up);
  return out;
}

/* openLinkEvents(): a netlink socket that becomes readable with every change of a link or address; throws. */
napi_value open_link_events(napi_env env, napi_callback_info info) {
  (void)info;
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return throw_errno(env, "socket", errno);
  struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
  if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
    int e = errno;
    close(fd);
    return throw_errno(env, "bind", e);
  }
  return number(env, fd);
}
