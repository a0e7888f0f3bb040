/* The sockets of the speaker: raw IP, AF_PACKET, and what a TCP socket of BGP needs before it connects or listens. */
#include "tidegate_net.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/tcp.h>
#include <netinet/ip.h>
#include <sched.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif
#ifndef SOL_TCP
#define SOL_TCP 6
#endif
#ifndef TCP_MD5SIG_EXT
#define TCP_MD5SIG_EXT 32
#endif
#ifndef SCHED_RESET_ON_FORK
#define SCHED_RESET_ON_FORK 0x40000000
#endif

/* Joins one group of 4 or 16 bytes. */
static int join(int fd, bool v6, const uint8_t *group, uint32_t ifindex) {
  if (v6) {
    struct ipv6_mreq m = {.ipv6mr_interface = ifindex};
    memcpy(&m.ipv6mr_multiaddr, group, 16);
    return setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof m);
  }
  struct ip_mreqn m = {.imr_ifindex = (int)ifindex};
  memcpy(&m.imr_multiaddr, group, 4);
  return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m);
}

static const char *prepare_raw(int fd, bool v6, const char *device, uint32_t ifindex, int ttl, const uint8_t *groups,
                               size_t groups_length) {
  int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  size_t size = v6 ? 16 : 4;
  if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1) != 0) return "SO_BINDTODEVICE";
  if (set_int(fd, level, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1) != 0) return "PKTINFO";
  if (set_int(fd, level, v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1) != 0) return "RECVTTL";
  if (ttl > 0) {
    if (set_int(fd, level, v6 ? IPV6_UNICAST_HOPS : IP_TTL, ttl) != 0) return "TTL";
    if (set_int(fd, level, v6 ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL, ttl) != 0) return "MULTICAST_TTL";
  }
  if (set_int(fd, level, v6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, 0) != 0) return "MULTICAST_LOOP";
  if (v6) {
    if (set_int(fd, level, IPV6_MULTICAST_IF, (int)ifindex) != 0) return "IPV6_MULTICAST_IF";
  } else {
    struct ip_mreqn m = {.imr_ifindex = (int)ifindex};
    if (setsockopt(fd, level, IP_MULTICAST_IF, &m, sizeof m) != 0) return "IP_MULTICAST_IF";
  }
  for (size_t at = 0; at + size <= groups_length; at += size)
    if (join(fd, v6, groups + at, ifindex) != 0) return "ADD_MEMBERSHIP";
  return NULL;
}

/* openRaw({family: 4 | 6, protocol, device, ttl, groups: Buffer of addresses}): the descriptor; throws. */
napi_value open_raw(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 1) return throw_errno(env, "options", EINVAL);
  bool v6 = arg_int(env, property(env, argv[0], "family"), 4) == 6;
  int64_t protocol = arg_int(env, property(env, argv[0], "protocol"), -1);
  int64_t ttl = arg_int(env, property(env, argv[0], "ttl"), 0);
  uint8_t *groups = NULL;
  size_t groups_length = 0;
  char device[IFNAMSIZ];
  device_name(env, argv[0], "device", device);
  arg_bytes(env, property(env, argv[0], "groups"), &groups, &groups_length);
  if (protocol < 1 || protocol > 254 || ttl < 0 || ttl > 255 || device[0] == 0) return throw_errno(env, "options", EINVAL);
  uint32_t ifindex = if_nametoindex(device);
  if (ifindex == 0) return throw_errno(env, device, ENODEV);
  int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, (int)protocol);
  if (fd < 0) return throw_errno(env, "socket", errno);
  const char *step = prepare_raw(fd, v6, device, ifindex, (int)ttl, groups, groups_length);
  if (step != NULL) {
    int e = errno;
    close(fd);
    return throw_errno(env, step, e);
  }
  return number(env, fd);
}

/* Only ICMPv6 of these types, by the fixed IPv6 header behind Ethernet: next header at 20, type at 54. */
static int filter_icmpv6(int fd, const uint8_t *types, size_t count) {
  struct sock_filter code[24];
  size_t n = 0;
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20);
  code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, (uint8_t)(count + 1));
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 54);
  for (size_t i = 0; i < count; i++)
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, types[i], (uint8_t)(count - i), 0);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0xffff);
  struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* openPacket({device, etherType, icmpTypes: Buffer, one byte each}): the descriptor; throws. */
napi_value open_packet(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 1) return throw_errno(env, "options", EINVAL);
  int64_t type = arg_int(env, property(env, argv[0], "etherType"), -1);
  uint8_t *types = NULL;
  size_t count = 0;
  char device[IFNAMSIZ];
  device_name(env, argv[0], "device", device);
  bool filtered = arg_bytes(env, property(env, argv[0], "icmpTypes"), &types, &count);
  if (type < 0x600 || type > 0xffff || device[0] == 0 || count > 16) return throw_errno(env, "options", EINVAL);
  uint32_t ifindex = if_nametoindex(device);
  if (ifindex == 0) return throw_errno(env, device, ENODEV);
  /* Protocol 0: nothing is received before the filter is there. */
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return throw_errno(env, "socket", errno);
  const char *step = NULL;
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)type), .sll_ifindex = (int)ifindex};
  set_int(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  if (filtered && count > 0 && filter_icmpv6(fd, types, count) != 0) step = "SO_ATTACH_FILTER";
  else if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0) step = "bind";
  if (step != NULL) {
    int e = errno;
    close(fd);
    return throw_errno(env, step, e);
  }
  return number(env, fd);
}

/* packetSend(fd, frame): 0 or errno. The socket knows its interface. */
napi_value packet_send(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  uint8_t *data;
  size_t length;
  if (argc < 2 || !arg_bytes(env, argv[1], &data, &length)) return number(env, EINVAL);
  ssize_t sent;
  do sent = send(arg_fd(env, argv[0]), data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return number(env, sent < 0 ? errno : 0);
}

/* setMinTtl(fd, family, ttl): what comes with less is dropped by the kernel (RFC 5082). TCP only. */
napi_value set_min_ttl(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 3) return number(env, EINVAL);
  bool v6 = arg_int(env, argv[1], 4) == 6;
  int ttl = (int)arg_int(env, argv[2], -1);
  if (ttl < 0 || ttl > 255) return number(env, EINVAL);
  int rc = set_int(arg_fd(env, argv[0]), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MINHOPCOUNT : IP_MINTTL, ttl);
  return number(env, rc == 0 ? 0 : errno);
}

/*
 * setMd5(fd, address, prefixLength, key): the RFC 2385 key for segments from and to that prefix; an empty key removes it. On a socket of
 * IPv6 an IPv4 peer is given IPv4-mapped, as the kernel wants it.
 */
napi_value set_md5(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  uint8_t *address, *key;
  size_t length, key_length;
  if (argc < 4 || !arg_bytes(env, argv[1], &address, &length) || !arg_bytes(env, argv[3], &key, &key_length) ||
      key_length > TCP_MD5SIG_MAXKEYLEN)
    return number(env, EINVAL);
  int64_t prefix = arg_int(env, argv[2], -1);
  int fd = arg_fd(env, argv[0]);
  int domain = 0;
  socklen_t size = sizeof domain;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return number(env, errno);
  uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (domain == AF_INET6 && length == 4) {
    memcpy(mapped + 12, address, 4);
    address = mapped;
    length = 16;
    prefix += 96;
  }
  if (prefix < 0 || prefix > (int64_t)length * 8) return number(env, EINVAL);
  struct tcp_md5sig sig;
  memset(&sig, 0, sizeof sig);
  struct sockaddr_storage peer;
  if (fill_address(&peer, address, length, 0, 0) == 0) return number(env, EINVAL);
  memcpy(&sig.tcpm_addr, &peer, sizeof sig.tcpm_addr < sizeof peer ? sizeof sig.tcpm_addr : sizeof peer);
  sig.tcpm_keylen = (uint16_t)key_length;
  memcpy(sig.tcpm_key, key, key_length);
  bool whole = prefix == (int64_t)length * 8;
  if (!whole) {
    sig.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
    sig.tcpm_prefixlen = (uint8_t)prefix;
  }
  int rc = setsockopt(fd, SOL_TCP, whole ? TCP_MD5SIG : TCP_MD5SIG_EXT, &sig, sizeof sig);
  return number(env, rc == 0 ? 0 : errno);
}

/*
 * struct tcp_ao_add of linux/tcp.h since Linux 6.7, which the headers of a build machine may not have: the same octets. TCP_AO_ADD_KEY
 * is the socket option; the MAC is cut to 12 octets (RFC 5926, section 3.2), and an address prefix picks the peer.
 */
#define AO_ADD_KEY 38
#define AO_MAC_BYTES 12
#define AO_MAX_KEY 80
struct ao_add {
  struct sockaddr_storage addr;
  char alg_name[64];
  int32_t ifindex;
  uint32_t flags; /* bit 0: the current key, bit 1: the next one to be received */
  uint16_t reserved;
  uint8_t prefix, sndid, rcvid, maclen, keyflags, keylen;
  uint8_t key[AO_MAX_KEY];
} __attribute__((aligned(8)));

/* setAo(fd, address, sendId, recvId, algorithm, key): a TCP-AO key (RFC 5925) for that peer; 0 or errno. */
napi_value set_ao(napi_env env, napi_callback_info info) {
  size_t argc = 6;
  napi_value argv[6];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  uint8_t *address, *key;
  size_t length, key_length, n = 0;
  struct ao_add ao;
  memset(&ao, 0, sizeof ao);
  if (argc < 6 || !arg_bytes(env, argv[1], &address, &length) || !arg_bytes(env, argv[5], &key, &key_length) ||
      key_length > AO_MAX_KEY || key_length == 0 ||
      napi_get_value_string_utf8(env, argv[4], ao.alg_name, sizeof ao.alg_name, &n) != napi_ok)
    return number(env, EINVAL);
  int64_t send_id = arg_int(env, argv[2], -1), recv_id = arg_int(env, argv[3], -1);
  if (send_id < 0 || send_id > 255 || recv_id < 0 || recv_id > 255) return number(env, EINVAL);
  if (fill_address(&ao.addr, address, length, 0, 0) == 0) return number(env, EINVAL);
  ao.prefix = (uint8_t)(length * 8);
  ao.sndid = (uint8_t)send_id;
  ao.rcvid = (uint8_t)recv_id;
  ao.maclen = AO_MAC_BYTES;
  ao.keylen = (uint8_t)key_length;
  memcpy(ao.key, key, key_length);
  int rc = setsockopt(arg_fd(env, argv[0]), IPPROTO_TCP, AO_ADD_KEY, &ao, sizeof ao);
  return number(env, rc == 0 ? 0 : errno);
}

/* realtime(priority): SCHED_RR for this thread, not for children; 0 or errno. */
napi_value realtime(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  struct sched_param p = {.sched_priority = (int)(argc < 1 ? 0 : arg_int(env, argv[0], 0))};
  return number(env, sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &p) == 0 ? 0 : errno);
}
