/**
 * Every reason for which something received is not accepted: what it means, and what to do. docs/errors.md is generated from here.
 * The codes are label values of tidegate_refused_total, so they never change their meaning.
 */
export interface CodeText {
  reason: string;
  fix: string;
}

export const REFUSAL_CODES = {
  // Any decoder (core/result.ts)
  truncated: {
    reason: 'the message ends before what it announces',
    fix: 'look for fragments lost on the way or a broken sender',
  },
  trailing: {
    reason: 'bytes follow a complete message',
    fix: 'the sender is broken: report it to its vendor with a capture',
  },
  length: {
    reason: 'a length field contradicts its container',
    fix: 'the sender is broken: report it to its vendor with a capture',
  },
  tag: {
    reason: 'another type stands where this one must',
    fix: 'the sender is broken: report it to its vendor with a capture',
  },
  value: {
    reason: 'a value is not legal for its type',
    fix: 'the sender is broken: report it to its vendor with a capture',
  },
  range: { reason: 'a number does not fit', fix: 'the sender is broken: report it to its vendor with a capture' },
  depth: { reason: 'nested deeper than allowed', fix: 'the sender is broken or hostile' },
  limit: { reason: 'more elements or bytes than allowed', fix: 'the sender is broken or hostile' },
  version: {
    reason: 'a protocol version that is not spoken here',
    fix: 'configure the sender for a version listed in the collector’s documentation',
  },
  unsupported: {
    reason: 'legal, but not accepted by this collector',
    fix: 'see the collector’s documentation for what it accepts',
  },
  marker: { reason: 'a fixed pattern is missing', fix: 'another protocol may be talking to this port' },
  // SNMP
  'no-access-configured': {
    reason: 'no community and no user is configured, so nothing is accepted',
    fix: 'add collectors.snmp_trap.communities: [{name: …, from: [PREFIX]}]',
  },
  'unknown-community': {
    reason: 'the community is not configured',
    fix: 'configure the same community on the device and under collectors.snmp_trap.communities',
  },
  'source-not-allowed': {
    reason: 'the community is known, but not from this source address',
    fix: 'add the source’s prefix to `from` of the community',
  },
  'pdu-type': {
    reason: 'an SNMP message that is neither a trap nor an inform',
    fix: 'point only notifications at this port',
  },
  'too-many-informs': {
    reason: 'too many informs wait for their receipt',
    fix: 'see why Kafka or the disk is slow; the device retries',
  },
  // Streams
  'unknown-peer': {
    reason: 'a message for a peer that was never announced by Peer Up',
    fix: 'reset the BMP session on the router',
  },
  'peer-not-configured': { reason: 'no configured peer has this address', fix: 'add it under collectors.bgp.peers' },
  'bad-peer-as': {
    reason: 'the peer’s OPEN has another AS than configured',
    fix: 'correct `asn` of the peer, or the router’s local AS',
  },
  // gNMI targets
  'target-credentials': {
    reason: 'the target refused the user or its password, or gives it no right to subscribe',
    fix: 'correct `username` and `password` of the target under collectors.gnmi.targets, or the user’s role on the device',
  },
  'target-tls': {
    reason: 'no TLS session with the target: a certificate, a name or the plaintext/TLS choice does not fit',
    fix: 'see `tls` of the target: ca, server_name, cert and key; false where the target speaks plaintext',
  },
  'target-unreachable': {
    reason: 'no connection to the target',
    fix: 'check `address` of the target, the route to it, and that its gNMI server is on',
  },
  'target-subscription': {
    reason: 'the target does not accept the subscription',
    fix: 'compare `paths`, `stream_mode` and `encoding` of the subscription with what the target supports',
  },
  'target-limit': {
    reason: 'the target has no room for another session, or its message is larger than max_message',
    fix: 'free sessions on the target, or raise collectors.gnmi.max_message',
  },
  'target-closed': {
    reason: 'the target ended the subscription',
    fix: 'see the target’s own log; the subscription is opened again after a back-off',
  },
  'session-refused': {
    reason: 'new sessions are refused while the spool is full',
    fix: 'restore Kafka or enlarge spool.max_bytes',
  },
  shed: { reason: 'dropped because the spool is full', fix: 'restore Kafka or enlarge spool.max_bytes' },
} as const satisfies Record<string, CodeText>;

export type RefusalCode = keyof typeof REFUSAL_CODES;
