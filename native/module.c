/* What the add-on exports. */
#include "tidegate_net.h"

static void instance_free(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  batch_free(data);
  free(data);
}

NAPI_MODULE_INIT() {
  instance *self = calloc(1, sizeof *self);
  if (self == NULL) return throw_errno(env, "load", ENOMEM);
  napi_set_instance_data(env, self, instance_free, NULL);
  sums_init();
  batch_init();
  digest_init();
  static const struct {
    const char *name;
    napi_callback call;
  } functions[] = {
      {"openUdp", open_udp},
      {"openTcp", open_tcp},
      {"openTcpClient", open_tcp_client},
      {"localAddress", local_address},
      {"closeFd", close_fd},
      {"setTtl", set_ttl},
      {"attachReuseportCbpf", attach_cbpf},
      {"keepSize", keep_size},
      {"keepOpen", keep_open},
      {"keepMap", keep_map},
      {"readerStart", reader_start},
      {"readerClose", reader_stop},
      {"sendFrom", send_from},
      {"socketDrops", socket_drops},
      {"heedErrors", heed_errors},
      {"takeErrors", take_errors},
      {"interfaceIndex", interface_index},
      {"addressChange", address_change},
      {"addressList", address_list},
      {"addressServes", address_serves},
      {"openRaw", open_raw},
      {"openPacket", open_packet},
      {"packetSend", packet_send},
      {"setMinTtl", set_min_ttl},
      {"setMd5", set_md5},
      {"setAo", set_ao},
      {"realtime", realtime},
      {"limitCapabilities", limit_capabilities},
      {"readerFinish", reader_finish},
      {"readerPace", reader_pace},
      {"readerPrompt", reader_prompt},
      {"linkState", link_state},
      {"openLinkEvents", open_link_events},
      {"socketPair", socket_pair},
      {"sendFds", send_fds},
      {"receiveFds", receive_fds},
      {"sealRecords", seal_records},
      {"soundRecords", sound_records},
      {"packRecords", pack_records},
      {"crc32c", sum_crc32c},
      {"shortHash", short_hash},
      {"hmac", hmac},
  };
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    napi_value f;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, NULL, &f);
    napi_set_named_property(env, exports, functions[i].name, f);
  }
  napi_set_named_property(env, exports, "abi", number(env, TIDEGATE_NET_ABI));
  return exports;
}
