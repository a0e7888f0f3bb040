/* A classic BPF program that picks a socket of a SO_REUSEPORT group by source address alone. */
#include "tidegate_net.h"

#include <linux/filter.h>

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

/*
 * attachReuseportCbpf(fd, workers, family): socket number = mix(source address) mod workers, for the whole group of `fd`.
 * Sockets are numbered in the order of bind(2) (UDP) or listen(2) (TCP). The source address stands at offset 12 of the IPv4
 * header and 8 of the IPv6 header; SKF_NET_OFF counts from there. The mix (multiply, fold the high half down) spreads addresses
 * that differ in one bit or one octet; classic BPF arithmetic is unsigned 32 bit.
 */
napi_value attach_cbpf(napi_env env, napi_callback_info info) {
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
