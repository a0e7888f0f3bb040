/*
 * The UDP reader. It receives into a keep (keep.c), one area of slots a batch, and a slot is free again when JavaScript says that what
 * its datagram became is out of the process' own memory. A reader that finds slots which are not free has a predecessor that died in
 * between: their datagrams come first, one a call, so that one that kills its reader is known by its count and given up in the end.
 */
#include "tidegate_net.h"

/*
 * One metadata record a slot, 64 bytes: eight 32-bit words of the host's order, then the two addresses.
 *   0 offset in the receive buffer   1 length   2 source port   3 UTC seconds   4 nanoseconds
 *   5 received TTL or hop limit (0: unknown)    6 interface index
 *   7 source address length | destination address length << 8 | truncated << 16
 *   bytes 32..47 source, 48..63 destination
 */
#define META_BYTES 64

/* The second argument of the callback. */
enum { NEW_DATAGRAMS, LEFT_DATAGRAM, GIVEN_UP };

/* A datagram that was handed to so many successors, all of which died of it, is not handed to another. */
#define MAX_ATTEMPTS 2

/* While JavaScript says "not out yet" it is asked again after so many milliseconds; with all areas used, so many times at most. */
#define SETTLE_MS 5
#define SETTLE_TRIES 100

/*
 * A drain that found so many datagrams finds the socket busy: the next batch may form for longer. A batch of a hundred costs a third less for
 * each than ten of ten, because what runs between them (and whoever else has the processor) turns our code and data out of its caches.
 */
#define BUSY_DATAGRAMS 24

/* Only where the buffer, as the kernel counts it, holds what comes in meanwhile at any rate a link has. */
#define BUSY_BUFFER (32 * 1024 * 1024)

typedef struct reader {
  struct reader *next;
  instance *owner;
  napi_env env;
  uint32_t id;
  int fd;
  uv_poll_t poll;
  uv_timer_t timer;
  int open_handles;
  bool closing;
  bool hurry; /* the last drain stopped at its limit: do not wait before the next one */
  int errors; /* poll errors in a row without a datagram */
  napi_ref callback, buffer, meta;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  uint8_t *memory;
  uint8_t *records;
  uint32_t wait_ms, busy_ms, limit;
  bool busy;   /* see BUSY_DATAGRAMS */
  bool prompt; /* somebody waits for an answer: not this time */
  keep kept;
  uint32_t area; /* the one to receive into; those before it are not out yet */
  uint32_t tries;
  bool left; /* a predecessor's slots, first delivered, then not out yet */
  bool left_said;
} reader;

static void reader_free(reader *r) {
  for (reader **at = &r->owner->readers; *at != NULL; at = &(*at)->next)
    if (*at == r) {
      *at = r->next;
      break;
    }
  free(r);
}

static void reader_closed(uv_handle_t *handle) {
  reader *r = handle->data;
  if (--r->open_handles > 0) return;
  napi_handle_scope scope;
  if (napi_open_handle_scope(r->env, &scope) == napi_ok) {
    napi_delete_reference(r->env, r->callback);
    napi_delete_reference(r->env, r->buffer);
    napi_delete_reference(r->env, r->meta);
    napi_async_destroy(r->env, r->context);
    napi_close_handle_scope(r->env, scope);
  }
  napi_async_cleanup_hook_handle hook = r->hook;
  reader_free(r);
  if (hook != NULL) napi_remove_async_cleanup_hook(hook);
}

static void reader_close(reader *r) {
  if (r->closing) return;
  r->closing = true;
  uv_close((uv_handle_t *)&r->poll, reader_closed);
  uv_close((uv_handle_t *)&r->timer, reader_closed);
}

static void reader_cleanup(napi_async_cleanup_hook_handle hook, void *arg) {
  (void)hook;
  reader_close(arg);
}

/*
 * Tells JavaScript: `count` records are filled (0: it is asked only), or minus an errno: the socket cannot be read any more.
 * False where it says so, or throws: what it was given is in memory alone.
 */
static bool reader_call(reader *r, int count, int kind) {
  napi_handle_scope scope;
  napi_value callback, global, argument[2], result = NULL;
  bool out = true;
  if (napi_open_handle_scope(r->env, &scope) != napi_ok) return false;
  napi_get_reference_value(r->env, r->callback, &callback);
  napi_get_global(r->env, &global);
  napi_create_int32(r->env, count, &argument[0]);
  napi_create_int32(r->env, kind, &argument[1]);
  napi_status status = napi_make_callback(r->env, r->context, global, callback, 2, argument, &result);
  if (status == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(r->env, &error);
    napi_fatal_exception(r->env, error);
    out = false;
  } else if (status != napi_ok || (napi_get_value_bool(r->env, result, &out) != napi_ok)) {
    /* Undefined: it has no opinion. */
    out = status == napi_ok;
  }
  napi_close_handle_scope(r->env, scope);
  return out;
}

/* Fills record `at` with what slot `slot` of the keep holds. */
static void reader_record(reader *r, uint32_t at, uint32_t slot, const struct timespec *now) {
  const keep *k = &r->kept;
  struct msghdr *h = &k->messages[slot].msg_hdr;
  uint8_t *record = r->records + (size_t)at * META_BYTES;
  uint32_t *word = (uint32_t *)record;
  uint32_t destination = 0;
  word[0] = (uint32_t)(k->data - r->memory) + slot * k->stride;
  word[1] = k->messages[slot].msg_len;
  word[3] = (uint32_t)now->tv_sec;
  word[4] = (uint32_t)now->tv_nsec;
  word[5] = 0;
  word[6] = 0;
  uint32_t source = address_bytes(&k->names[slot], record + 32, &word[2]);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo p;
      memcpy(&p, CMSG_DATA(c), sizeof p);
      memcpy(record + 48, &p.ipi_addr, 4);
      destination = 4;
      word[6] = (uint32_t)p.ipi_ifindex;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo p;
      memcpy(&p, CMSG_DATA(c), sizeof p);
      if (IN6_IS_ADDR_V4MAPPED(&p.ipi6_addr)) {
        memcpy(record + 48, p.ipi6_addr.s6_addr + 12, 4);
        destination = 4;
      } else {
        memcpy(record + 48, &p.ipi6_addr, 16);
        destination = 16;
      }
      word[6] = p.ipi6_ifindex;
    } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
               (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
      int ttl;
      memcpy(&ttl, CMSG_DATA(c), sizeof ttl);
      word[5] = (uint32_t)ttl;
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
      struct timespec t;
      memcpy(&t, CMSG_DATA(c), sizeof t);
      word[3] = (uint32_t)t.tv_sec;
      word[4] = (uint32_t)t.tv_nsec;
    }
  }
  word[7] = source | destination << 8 | ((h->msg_flags & MSG_TRUNC) != 0 ? 1u << 16 : 0);
}

static void reader_on_poll(uv_poll_t *poll, int status, int events);

static void reader_on_timer(uv_timer_t *timer);

static void reader_release(reader *r, uint32_t from, uint32_t count) {
  struct mmsghdr *m = r->kept.messages + from;
  for (uint32_t i = 0; i < count; i++) m[i].msg_len = FREE_SLOT;
}

/* All that was delivered is out, or given up on. */
static void reader_settled(reader *r) {
  reader_release(r, 0, r->left ? r->kept.count : r->area * r->kept.slots);
  r->area = 0;
  r->tries = 0;
  r->left = false;
}

/* Delivers what a predecessor left; true when all of it is out. */
static bool reader_deliver_left(reader *r) {
  const keep *k = &r->kept;
  struct timespec now;
  bool out = true;
  clock_gettime(CLOCK_REALTIME, &now);
  r->left_said = true;
  for (uint32_t i = 0; i < k->count; i++) {
    if (k->messages[i].msg_len == FREE_SLOT) continue;
    int kind = k->attempts[i] >= MAX_ATTEMPTS ? GIVEN_UP : LEFT_DATAGRAM;
    k->attempts[i]++;
    reader_record(r, 0, i, &now);
    if (kind == GIVEN_UP) reader_release(r, i, 1);
    bool done = reader_call(r, 1, kind);
    if (done && kind != GIVEN_UP) reader_release(r, i, 1);
    out = done && out;
    if (r->closing) return false;
  }
  return out;
}

/*
 * Before anything is received: slots that wait become free where JavaScript says that all is out. False: not yet, and there is no area
 * to receive into, or what a predecessor left has to be out first. A disk that goes on refusing does not stop the reader: the kernel's
 * buffer would run over, which is certain loss, and here it is one only where the process is killed meanwhile.
 */
static bool reader_settle(reader *r) {
  if (r->left && !r->left_said) {
    if (reader_deliver_left(r)) reader_settled(r);
  } else if (r->left || r->area > 0) {
    if (reader_call(r, 0, NEW_DATAGRAMS)) reader_settled(r);
  }
  if (r->closing) return false;
  if (!r->left && r->area < r->kept.areas) return true;
  if (++r->tries <= SETTLE_TRIES) return false;
  reader_settled(r);
  return true;
}

/* Reads at most `limit` batches, so that timers and other sockets get their turn, then waits for the socket again. */
static void reader_drain(reader *r) {
  const keep *k = &r->kept;
  bool empty = false;
  uint32_t taken = 0;
  r->prompt = false;
  bool blocked = (r->left || r->area > 0) && !reader_settle(r);
  if (r->closing) return;
  for (uint32_t round = 0; round < r->limit && !empty && !blocked; round++) {
    uint32_t first = r->area * k->slots;
    for (uint32_t i = first; i < first + k->slots; i++) {
      struct msghdr *h = &k->messages[i].msg_hdr;
      h->msg_namelen = sizeof(struct sockaddr_storage);
      h->msg_controllen = CONTROL_BYTES;
      h->msg_flags = 0;
      k->attempts[i] = 0;
    }
    int count;
    do count = recvmmsg(r->fd, k->messages + first, k->slots, MSG_DONTWAIT, NULL);
    while (count < 0 && errno == EINTR);
    if (count <= 0) {
      empty = true;
      break;
    }
    r->errors = 0;
    taken += (uint32_t)count;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (int i = 0; i < count; i++) reader_record(r, (uint32_t)i, first + (uint32_t)i, &now);
    bool out = reader_call(r, count, NEW_DATAGRAMS);
    r->area++;
    if (out) {
      reader_release(r, first, (uint32_t)count);
      if (r->area > 1) reader_settled(r);
      r->area = 0;
    }
    if (r->closing) return;
    empty = (uint32_t)count < k->slots;
    blocked = r->area == k->areas;
  }
  r->hurry = !empty && !blocked;
  r->busy = taken >= BUSY_DATAGRAMS && !r->prompt;
  if (blocked || r->area > 0) uv_timer_start(&r->timer, reader_on_timer, SETTLE_MS, 0);
  if (blocked) return;
  int rc = uv_poll_start(&r->poll, UV_READABLE, reader_on_poll);
  if (rc != 0) reader_call(r, rc, NEW_DATAGRAMS);
}

static void reader_on_timer(uv_timer_t *timer) {
  reader *r = timer->data;
  if (r->closing) return;
  uv_poll_stop(&r->poll);
  reader_drain(r);
}

/*
 * A fast reader finds short queues: calls would be made for two or three datagrams each. So the first readiness only starts a
 * short wait; the drain behind it finds a real batch. libuv reports POLLERR as an error and stops the handle: reading takes the
 * pending error off the socket, so that is tried before giving up.
 */
static void reader_on_poll(uv_poll_t *poll, int status, int events) {
  reader *r = poll->data;
  (void)events;
  if (r->closing) return;
  uv_poll_stop(poll);
  if (status < 0 && ++r->errors > 16) {
    reader_call(r, status, NEW_DATAGRAMS);
    return;
  }
  if (r->hurry || r->wait_ms == 0) reader_drain(r);
  else uv_timer_start(&r->timer, reader_on_timer, r->busy ? r->busy_ms : r->wait_ms, 0);
}

/*
 * readerStart(fd, memory, meta, slots, areas, stride, waitMs, limit, onBatch): the reader's id; throws.
 * `memory` is keepSize(slots, areas, stride) bytes, a mapped keep or any other Buffer that begins at a multiple of eight.
 */
napi_value reader_start(napi_env env, napi_callback_info info) {
  size_t argc = 9;
  napi_value argv[9];
  instance *self;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  napi_get_instance_data(env, (void **)&self);
  uint8_t *memory, *records;
  size_t memory_length, records_length;
  napi_valuetype type = napi_undefined;
  if (argc < 9) return throw_errno(env, "readerStart", EINVAL);
  int fd = arg_fd(env, argv[0]);
  int64_t slots = arg_int(env, argv[3], 0), areas = arg_int(env, argv[4], 0), stride = arg_int(env, argv[5], 0);
  int64_t wait_ms = arg_int(env, argv[6], 1), limit = arg_int(env, argv[7], 8);
  size_t needed = keep_bytes(slots, areas, stride);
  napi_typeof(env, argv[8], &type);
  if (fd < 0 || !arg_bytes(env, argv[1], &memory, &memory_length) || !arg_bytes(env, argv[2], &records, &records_length) ||
      type != napi_function || needed == 0 || needed > UINT32_MAX || memory_length < needed || wait_ms < 0 ||
      wait_ms > 1000 || limit < 1 || limit > 1000 || records_length < (size_t)slots * META_BYTES ||
      ((uintptr_t)memory & 7) != 0 || ((uintptr_t)records & 3) != 0)
    return throw_errno(env, "readerStart", EINVAL);
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return throw_errno(env, "readerStart", ENOSYS);

  reader *r = calloc(1, sizeof *r);
  if (r == NULL) return throw_errno(env, "readerStart", ENOMEM);
  r->owner = self;
  r->env = env;
  r->fd = fd;
  r->memory = memory;
  r->records = records;
  r->wait_ms = (uint32_t)wait_ms;
  r->busy_ms = r->wait_ms;
  r->limit = (uint32_t)limit;
  int rc = uv_poll_init(loop, &r->poll, fd);
  if (rc != 0) {
    reader_free(r);
    return throw_errno(env, "uv_poll_init", -rc);
  }
  uv_timer_init(loop, &r->timer);
  r->poll.data = r;
  r->timer.data = r;
  r->open_handles = 2;
  napi_value name;
  napi_create_string_utf8(env, "tidegate_udp", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, NULL, name, &r->context);
  napi_create_reference(env, argv[8], 1, &r->callback);
  napi_create_reference(env, argv[1], 1, &r->buffer);
  napi_create_reference(env, argv[2], 1, &r->meta);
  napi_add_async_cleanup_hook(env, reader_cleanup, r, &r->hook);
  r->id = ++self->next_id;
  r->next = self->readers;
  self->readers = r;
  keep_attach(&r->kept, memory, (uint32_t)slots, (uint32_t)areas, (uint32_t)stride);
  for (uint32_t i = 0; i < r->kept.count && !r->left; i++) r->left = r->kept.messages[i].msg_len != FREE_SLOT;
  rc = r->left ? uv_timer_start(&r->timer, reader_on_timer, 0, 0) : uv_poll_start(&r->poll, UV_READABLE, reader_on_poll);
  if (rc != 0) {
    reader_close(r);
    return throw_errno(env, "uv_poll_start", -rc);
  }
  return number(env, r->id);
}

/*
 * readerFinish(id): reads what the kernel holds now, without waiting for a batch to form. True: nothing is left, or nothing reads it;
 * false: `limit` batches were read and there is more, or slots have to become free first.
 */
napi_value reader_finish(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1], out;
  instance *self;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  napi_get_instance_data(env, (void **)&self);
  int64_t id = argc < 1 ? 0 : arg_int(env, argv[0], 0);
  bool done = true;
  for (reader *r = self->readers; r != NULL; r = r->next)
    if (r->id == id && !r->closing) {
      uv_poll_stop(&r->poll);
      uv_timer_stop(&r->timer);
      reader_drain(r);
      done = r->closing || (!r->hurry && !r->left && r->area < r->kept.areas);
      break;
    }
  napi_get_boolean(env, done, &out);
  return out;
}

static reader *reader_of(napi_env env, napi_value id) {
  instance *self;
  napi_get_instance_data(env, (void **)&self);
  const int64_t wanted = arg_int(env, id, 0);
  for (reader *r = self->readers; r != NULL; r = r->next)
    if (r->id == wanted && !r->closing) return r;
  return NULL;
}

/* readerPace(id, busyMs): how long a batch may form while the socket is busy; an errno, ENOBUFS where its buffer is too small for that. */
napi_value reader_pace(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  reader *r = argc < 2 ? NULL : reader_of(env, argv[0]);
  const int64_t busy_ms = argc < 2 ? -1 : arg_int(env, argv[1], -1);
  if (r == NULL) return number(env, EBADF);
  if (busy_ms < 0 || busy_ms > 1000) return number(env, EINVAL);
  int buffer = 0;
  socklen_t size = sizeof buffer;
  if (getsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &buffer, &size) != 0) return number(env, errno);
  if (buffer < BUSY_BUFFER) return number(env, ENOBUFS);
  r->busy_ms = (uint32_t)busy_ms > r->wait_ms ? (uint32_t)busy_ms : r->wait_ms;
  return number(env, 0);
}

/* readerPrompt(id): called while a batch is delivered; the next one forms for `waitMs` only. */
napi_value reader_prompt(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  reader *r = argc < 1 ? NULL : reader_of(env, argv[0]);
  if (r == NULL) return number(env, EBADF);
  r->prompt = true;
  return number(env, 0);
}

/* readerClose(id): no call is made after it; the descriptor is the caller's to close. */
napi_value reader_stop(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  instance *self;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  napi_get_instance_data(env, (void **)&self);
  int64_t id = argc < 1 ? 0 : arg_int(env, argv[0], 0);
  for (reader *r = self->readers; r != NULL; r = r->next)
    if (r->id == id && !r->closing) {
      reader_close(r);
      return number(env, 0);
    }
  return number(env, EBADF);
}
