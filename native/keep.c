/*
 * The memory a UDP reader receives into. Mapped from a memfd that another process owns, it outlives the reader: recvmmsg(2) writes
 * data, source, control data and length straight into it, and SIGKILL takes effect only when the system call is over, so a datagram is
 * either still in the socket or described here.
 *
 *   header | mmsghdr[count] | iovec[count] | sockaddr_storage[count] | control[count] | attempts[count] | data[count * stride]
 *
 * count = areas * slots. Pointers in mmsghdr and iovec are of the process that wrote them; whoever attaches replaces them.
 */
#include "tidegate_net.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

typedef struct header {
  uint8_t magic[8];
  uint32_t version, slots, areas, stride, message_bytes, unused;
} header;

static const uint8_t MAGIC[8] = "tgkeep\r\n";
#define VERSION 1
#define HEADER_BYTES 64

static size_t part(size_t *at, size_t bytes) {
  size_t here = *at;
  *at = (here + bytes + 63) & ~(size_t)63;
  return here;
}

typedef struct layout {
  size_t messages, vectors, names, controls, attempts, data, end;
} layout;

static layout layout_of(size_t count, size_t stride) {
  layout l;
  size_t at = HEADER_BYTES;
  l.messages = part(&at, count * sizeof(struct mmsghdr));
  l.vectors = part(&at, count * sizeof(struct iovec));
  l.names = part(&at, count * sizeof(struct sockaddr_storage));
  l.controls = part(&at, count * CONTROL_BYTES);
  l.attempts = part(&at, count * sizeof(uint32_t));
  l.data = part(&at, count * stride);
  l.end = at;
  return l;
}

size_t keep_bytes(int64_t slots, int64_t areas, int64_t stride) {
  if (slots < 1 || slots > MAX_SLOTS || areas < 1 || areas > MAX_AREAS || stride < 1 || stride > 1 << 20) return 0;
  return layout_of((size_t)(slots * areas), (size_t)stride).end;
}

void keep_attach(keep *k, uint8_t *memory, uint32_t slots, uint32_t areas, uint32_t stride) {
  size_t count = (size_t)slots * areas;
  layout l = layout_of(count, stride);
  *k = (keep){
      .slots = slots,
      .areas = areas,
      .stride = stride,
      .count = (uint32_t)count,
      .messages = (struct mmsghdr *)(memory + l.messages),
      .vectors = (struct iovec *)(memory + l.vectors),
      .names = (struct sockaddr_storage *)(memory + l.names),
      .controls = memory + l.controls,
      .attempts = (uint32_t *)(memory + l.attempts),
      .data = memory + l.data,
  };
  header now = {.version = VERSION, .slots = slots, .areas = areas, .stride = stride, .message_bytes = sizeof(struct mmsghdr)};
  memcpy(now.magic, MAGIC, sizeof MAGIC);
  bool known = memcmp(memory, &now, sizeof now) == 0;
  for (size_t i = 0; i < count; i++) {
    struct mmsghdr *m = &k->messages[i];
    /* Memory of another layout, new memory, and lengths that cannot be: there is nothing to deliver. */
    if (!known || m->msg_len > stride) m->msg_len = FREE_SLOT;
    if (m->msg_len == FREE_SLOT) k->attempts[i] = 0;
    size_t named = m->msg_len == FREE_SLOT ? 0 : m->msg_hdr.msg_namelen;
    size_t control = m->msg_len == FREE_SLOT ? 0 : m->msg_hdr.msg_controllen;
    k->vectors[i] = (struct iovec){.iov_base = k->data + i * stride, .iov_len = stride};
    m->msg_hdr.msg_name = &k->names[i];
    m->msg_hdr.msg_namelen = named > sizeof *k->names ? sizeof *k->names : (socklen_t)named;
    m->msg_hdr.msg_iov = &k->vectors[i];
    m->msg_hdr.msg_iovlen = 1;
    m->msg_hdr.msg_control = k->controls + i * CONTROL_BYTES;
    m->msg_hdr.msg_controllen = control > CONTROL_BYTES ? 0 : control;
    /* The pages the first batches use are there before the first read: a killed process cannot wait for one. */
    if (i < slots)
      for (size_t at = 0; at < stride && at <= 4096; at += 4096) {
        volatile uint8_t *touched = k->data + i * stride + at;
        *touched = *touched;
      }
  }
  memcpy(memory, &now, sizeof now);
}

/* keepSize(slots, areas, stride): bytes, 0 for what cannot be. */
napi_value keep_size(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (argc < 3) return number(env, 0);
  return number(env, (double)keep_bytes(arg_int(env, argv[0], 0), arg_int(env, argv[1], 0), arg_int(env, argv[2], 0)));
}

/* keepOpen(bytes): a memfd of that size, which nobody can shrink; throws. */
napi_value keep_open(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  int64_t bytes = argc < 1 ? 0 : arg_int(env, argv[0], 0);
  if (bytes < 1) return throw_errno(env, "keepOpen", EINVAL);
  int fd = memfd_create("tidegate-receive", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return throw_errno(env, "memfd_create", errno);
  if (ftruncate(fd, bytes) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    int e = errno;
    close(fd);
    return throw_errno(env, "memfd", e);
  }
  return number(env, fd);
}

static void unmap(napi_env env, void *data, void *hint) {
  (void)env;
  munmap(data, (size_t)(uintptr_t)hint);
}

/* keepMap(fd): its memory as a Buffer, which stays valid after the descriptor is closed; throws. */
napi_value keep_map(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  int fd = argc < 1 ? -1 : arg_fd(env, argv[0]);
  struct stat s;
  if (fstat(fd, &s) != 0) return throw_errno(env, "keepMap", errno);
  if (!S_ISREG(s.st_mode) || s.st_size < 1) return throw_errno(env, "keepMap", EINVAL);
  size_t bytes = (size_t)s.st_size;
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return throw_errno(env, "mmap", errno);
  napi_value out;
  if (napi_create_external_buffer(env, bytes, memory, unmap, (void *)(uintptr_t)bytes, &out) == napi_ok) return out;
  munmap(memory, bytes);
  return throw_errno(env, "keepMap", ENOTSUP);
}
