/**
 * The parts of gNMI 0.10 that tidegate speaks, written from the wire contract (github.com/openconfig/reference, rpc/gnmi/gnmi-specification.md).
 * Field numbers are the protocol. Requests are encoded from this text; the hot path, SubscribeResponse, has its own bounded
 * reader (decode.ts) and is tested against this text.
 * Extensions (gnmi_ext.Extension) and google.protobuf.Any payloads are kept as bytes.
 */
import protobuf from 'protobufjs';

export const GNMI_PROTO = `
syntax = "proto3";
package gnmi;

message Any { string type_url = 1; bytes value = 2; }

message PathElem { string name = 1; map<string, string> key = 2; }
message Path { repeated string element = 1; string origin = 2; repeated PathElem elem = 3; string target = 4; }

enum Encoding { JSON = 0; BYTES = 1; PROTO = 2; ASCII = 3; JSON_IETF = 4; }
message Value { bytes value = 1; Encoding type = 2; }
message Decimal64 { int64 digits = 1; uint32 precision = 2; }
message ScalarArray { repeated TypedValue element = 1; }
message TypedValue {
  oneof value {
    string string_val = 1; int64 int_val = 2; uint64 uint_val = 3; bool bool_val = 4; bytes bytes_val = 5;
    float float_val = 6; Decimal64 decimal_val = 7; ScalarArray leaflist_val = 8; Any any_val = 9;
    bytes json_val = 10; bytes json_ietf_val = 11; string ascii_val = 12; bytes proto_bytes = 13; double double_val = 14;
  }
}
message Update { Path path = 1; Value value = 2; TypedValue val = 3; uint32 duplicates = 4; }
message Notification {
  int64 timestamp = 1; Path prefix = 2; repeated Update update = 4; repeated Path delete = 5; bool atomic = 6;
}
message Error { uint32 code = 1; string message = 2; Any data = 3; }

message Poll {}
message QOSMarking { uint32 marking = 1; }
message ModelData { string name = 1; string organization = 2; string version = 3; }
enum SubscriptionMode { TARGET_DEFINED = 0; ON_CHANGE = 1; SAMPLE = 2; }
message Subscription {
  Path path = 1; SubscriptionMode mode = 2; uint64 sample_interval = 3; bool suppress_redundant = 4; uint64 heartbeat_interval = 5;
}
message SubscriptionList {
  enum Mode { STREAM = 0; ONCE = 1; POLL = 2; }
  Path prefix = 1; repeated Subscription subscription = 2; QOSMarking qos = 4; Mode mode = 5; bool allow_aggregation = 6;
  repeated ModelData use_models = 7; Encoding encoding = 8; bool updates_only = 9;
}
message SubscribeRequest { oneof request { SubscriptionList subscribe = 1; Poll poll = 3; } repeated bytes extension = 5; }
message SubscribeResponse {
  oneof response { Notification update = 1; bool sync_response = 3; Error error = 4; } repeated bytes extension = 5;
}
message CapabilityRequest { repeated bytes extension = 1; }
message CapabilityResponse {
  repeated ModelData supported_models = 1; repeated Encoding supported_encodings = 2; string gNMI_version = 3; repeated bytes extension = 4;
}
`;

const types = new Map<string, protobuf.Type>();
let root: protobuf.Root | undefined;

/** A message type of the text above; parsed at first use. Throws on an unknown name (a programming error). */
export function gnmiType(name: string): protobuf.Type {
  let type = types.get(name);
  if (!type) {
    root ??= protobuf.parse(GNMI_PROTO, { keepCase: true }).root;
    type = root.lookupType(`gnmi.${name}`);
    types.set(name, type);
  }
  return type;
}
