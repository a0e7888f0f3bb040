/*
 * What Node's sockets lack, over Node-API and libuv, Linux only:
 *   open.c     listening sockets opened without being read, so that they can be handed to other processes;
 *   steer.c    a classic BPF program for a SO_REUSEPORT group that picks a socket by source address alone;
 *   reader.c   a UDP reader by recvmmsg(2): one JavaScript call a batch, no object a datagram, with the address each was sent to;
 *   handover.c descriptors for a process that runs already;
 *   keep.c     the memory that reader receives into, which another process can read on in after its death;
 *   send.c     sendmsg(2) from a chosen local address;
 *   errors.c   what the network says of datagrams that were sent;
 *   netlink.c  interface addresses by rtnetlink(7);
 *   link.c     links, and word of their changes;
 *   raw.c      raw IP and packet sockets, TCP-MD5, TCP-AO, the least TTL, real-time priority;
 *   privileges.c  what a process that was started as root keeps;
 *   sums.c     CRC-32 and CRC-32C with the instructions of the processor;
 *   records.c  the records of a spool segment, many in one call;
 *   batch.c    the records of a Kafka batch;
 *   digest.c   hashes without the ways around them.
 *
 * Opening throws an Error with a `code`. Everything that runs later returns an errno number (0: done) and never throws.
 * Loaded by src/net/native.ts only, which describes each function for its callers.
 */
#ifndef TIDEGATE_NET_H
#define TIDEGATE_NET_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define NAPI_VERSION 8
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* Raised with every change of what JavaScript sees; src/net/native.ts refuses another number. */
#define TIDEGATE_NET_ABI 10

/* ---- common.c ---- */

napi_value throw_errno(napi_env env, const char *what, int e);
napi_value number(napi_env env, double v);
napi_value buffer_copy(napi_env env, const void *data, size_t length);
int64_t arg_int(napi_env env, napi_value v, int64_t otherwise);
/* Standard input, output and error are never ours to touch: -1. */
int arg_fd(napi_env env, napi_value v);
/* The bytes of a Buffer; false where it is none. */
bool arg_bytes(napi_env env, napi_value v, uint8_t **data, size_t *length);
napi_value property(napi_env env, napi_value object, const char *name);
bool flag(napi_env env, napi_value object, const char *name);
void device_name(napi_env env, napi_value object, const char *name, char out[IFNAMSIZ]);
socklen_t fill_address(struct sockaddr_storage *out, const uint8_t *address, size_t length, int port, uint32_t scope);
uint32_t address_bytes(const struct sockaddr_storage *from, uint8_t *out, uint32_t *port);
int set_int(int fd, int level, int option, int value);

/* ---- keep.c ---- */

#define CONTROL_BYTES 256
#define MAX_SLOTS 1024
#define MAX_AREAS 64
/* `msg_len` of a slot that holds nothing (an empty datagram has 0). */
#define FREE_SLOT UINT32_MAX

/* The parts of the memory a reader receives into; each has `count` entries: `areas` batches of `slots`. */
typedef struct keep {
  uint32_t slots, areas, stride, count;
  struct mmsghdr *messages;
  struct iovec *vectors;
  struct sockaddr_storage *names;
  uint8_t *controls;
  /* How often the datagram of a slot was handed to a successor. */
  uint32_t *attempts;
  uint8_t *data;
} keep;

/* Bytes of such memory; 0 for figures that are out of range. */
size_t keep_bytes(int64_t slots, int64_t areas, int64_t stride);
/* Finds the parts in `memory` and points each message to its own; what a dead reader left stays. */
void keep_attach(keep *k, uint8_t *memory, uint32_t slots, uint32_t areas, uint32_t stride);

/* ---- sums.c ---- */

void sums_init(void);
/* Both go on with `crc`, 0 at the start. */
uint32_t crc32_of(const uint8_t *p, size_t n, uint32_t crc);
uint32_t crc32c_of(const uint8_t *p, size_t n, uint32_t crc);

/* ---- records.c ---- */

/* Where the parts of a spooled payload end, and its value begins. */
typedef struct event_offsets {
  size_t subject_end, key_end, id_end, value;
} event_offsets;

uint32_t read_u32(const uint8_t *p);
uint32_t read_u16(const uint8_t *p);
/* False where the bytes are no event. */
bool event_parts(const uint8_t *payload, size_t length, event_offsets *out);

/* ---- what JavaScript calls ---- */

typedef struct instance {
  struct reader *readers;
  uint32_t next_id;
  /* batch.c: uncompressed records, and the compressor that is kept. */
  uint8_t *plain;
  size_t plain_size;
  void *zstd;
  int zstd_level;
} instance;

void batch_init(void);
void batch_free(instance *self);
void digest_init(void);
napi_value seal_records(napi_env env, napi_callback_info info);
napi_value sound_records(napi_env env, napi_callback_info info);
napi_value pack_records(napi_env env, napi_callback_info info);
napi_value sum_crc32c(napi_env env, napi_callback_info info);
napi_value short_hash(napi_env env, napi_callback_info info);
napi_value hmac(napi_env env, napi_callback_info info);

napi_value open_udp(napi_env env, napi_callback_info info);
napi_value open_tcp(napi_env env, napi_callback_info info);
napi_value open_tcp_client(napi_env env, napi_callback_info info);
napi_value local_address(napi_env env, napi_callback_info info);
napi_value close_fd(napi_env env, napi_callback_info info);
napi_value set_ttl(napi_env env, napi_callback_info info);
napi_value attach_cbpf(napi_env env, napi_callback_info info);
napi_value keep_size(napi_env env, napi_callback_info info);
napi_value keep_open(napi_env env, napi_callback_info info);
napi_value keep_map(napi_env env, napi_callback_info info);
napi_value reader_start(napi_env env, napi_callback_info info);
napi_value reader_stop(napi_env env, napi_callback_info info);
napi_value send_from(napi_env env, napi_callback_info info);
napi_value socket_drops(napi_env env, napi_callback_info info);
napi_value interface_index(napi_env env, napi_callback_info info);
napi_value address_change(napi_env env, napi_callback_info info);
napi_value address_serves(napi_env env, napi_callback_info info);
napi_value address_list(napi_env env, napi_callback_info info);
napi_value open_raw(napi_env env, napi_callback_info info);
napi_value open_packet(napi_env env, napi_callback_info info);
napi_value packet_send(napi_env env, napi_callback_info info);
napi_value set_min_ttl(napi_env env, napi_callback_info info);
napi_value set_md5(napi_env env, napi_callback_info info);
napi_value realtime(napi_env env, napi_callback_info info);
napi_value set_ao(napi_env env, napi_callback_info info);
napi_value limit_capabilities(napi_env env, napi_callback_info info);
napi_value reader_finish(napi_env env, napi_callback_info info);
napi_value reader_pace(napi_env env, napi_callback_info info);
napi_value reader_prompt(napi_env env, napi_callback_info info);
napi_value link_state(napi_env env, napi_callback_info info);
napi_value heed_errors(napi_env env, napi_callback_info info);
napi_value take_errors(napi_env env, napi_callback_info info);
napi_value open_link_events(napi_env env, napi_callback_info info);
napi_value socket_pair(napi_env env, napi_callback_info info);
napi_value send_fds(napi_env env, napi_callback_info info);
napi_value receive_fds(napi_env env, napi_callback_info info);

#endif
