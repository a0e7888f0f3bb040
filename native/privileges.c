/* capabilities(7): what a process that was started as root keeps. */
#include "tidegate_net.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/*
 * limitCapabilities(mask): of the capabilities of this thread, and of threads and programs it starts from here on, only those of `mask`
 * stay (bit n: capability n); 0 or errno. The kernel has capabilities by thread: call it before others are started that act on files
 * or sockets. Where the bounding set may not be changed (no CAP_SETPCAP) it stays as it is.
 */
napi_value limit_capabilities(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  int64_t wanted = argc < 1 ? -1 : arg_int(env, argv[0], -1);
  if (wanted < 0) return number(env, EINVAL);
  uint64_t mask = (uint64_t)wanted;
  for (int i = 0; i < 63; i++) {
    if ((mask >> i & 1) != 0) continue;
    int there = prctl(PR_CAPBSET_READ, i, 0, 0, 0);
    if (there < 0) break;
    if (there == 1 && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0 && errno != EPERM) return number(env, errno);
  }
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct have[2];
  memset(have, 0, sizeof have);
  if (syscall(SYS_capget, &head, have) != 0) return number(env, errno);
  for (int i = 0; i < 2; i++) {
    uint32_t part = (uint32_t)(mask >> (32 * i));
    have[i].permitted &= part;
    have[i].effective = have[i].permitted;
    have[i].inheritable &= part;
  }
  return number(env, syscall(SYS_capset, &head, have) == 0 ? 0 : errno);
}
