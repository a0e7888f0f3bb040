/**
 * Every reason for which something received is not accepted: what it means, and what to do. docs/errors.md is generated from here.
 * The codes are label values of tidegate_refused_total, so they never change their meaning.
 */
export interface CodeText {
  reason: string;
  fix: string;
  /** Part of a protocol's ordinary course: counted, but nobody is warned. */
  ordinary?: true;
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
    fix: 'add collectors.snmp_trap.communities: [{name: …, from: [PREFIX]}], or collectors.snmp_trap.users for v3',
  },
  'unknown-community': {
    reason: 'the community is not configured',
    fix: 'configure the same community on the device and under collectors.snmp_trap.communities',
  },
  'source-not-allowed': {
    reason: 'the community is known, but not from this source address',
    fix: 'add the source’s prefix to `from` of the community',
  },
  'source-denied': {
    reason: 'the source address may not send here: nothing of it was decoded',
    fix: 'correct `allow` and `deny` of the collector, and of the listener: the longest prefix decides',
  },
  'rate-limit': {
    reason:
      'this source sends more than collectors.snmp_trap.rate_limit.per_source; system.v1 (kind gap) says how many and of what',
    fix: 'find out what the device repeats; raise per_source or burst where it is meant',
  },
  'rate-limit-total': {
    reason: 'all sources together send more than collectors.snmp_trap.rate_limit.total',
    fix: 'see security.v1 and system.v1 for who sends most; raise total where the node can take it',
  },
  'pdu-type': {
    reason: 'an SNMP message that is neither a trap nor an inform',
    fix: 'point only notifications at this port',
  },
  poison: {
    reason: 'three workers in a row died of this datagram, so it was given up',
    fix: 'report it with a capture of what the device sends and the log of the workers',
  },
  'too-many-informs': {
    reason: 'too many informs wait for their receipt',
    fix: 'see why Kafka or the disk is slow; the device retries',
  },
  // SNMPv3
  'security-model': {
    reason: 'a security model other than USM (3)',
    fix: 'configure the device for SNMPv3 with USM users',
  },
  'security-flags': {
    reason: 'msgFlags ask for privacy without authentication, which does not exist',
    fix: 'the sender is broken or hostile: report it to its vendor with a capture',
  },
  'engine-discovery': {
    reason: 'a sender asked for our engine id and was answered with a Report',
    fix: 'nothing to do: each sender of informs asks once',
    ordinary: true,
  },
  'time-sync': {
    reason: 'a sender asked for our boots and time and was answered with a Report',
    fix: 'nothing to do: each sender of informs asks once',
    ordinary: true,
  },
  'engine-query': {
    reason: 'a Get of snmpEngineID.0, answered (RFC 5343)',
    fix: 'nothing to do',
    ordinary: true,
  },
  'unknown-engine': {
    reason: 'a message that wants an answer names another engine than ours as authoritative',
    fix: 'give the device the engine id that `tidegate status` shows (collectors.snmp_trap.engine.id), or let it discover it',
  },
  'new-engine-budget': {
    reason: 'too many engines that were never heard before, from this source or from all together',
    fix: 'list the engines under collectors.snmp_trap.engines, or raise collectors.snmp_trap.new_engines',
  },
  'user-keys-pending': {
    reason: 'the keys of the user are still being made of its passphrases',
    fix: 'it is a moment after a start or a change with many users; the node says how many and takes no VIP before its first are made; master_key or localized_key in place of passphrase needs none of it',
  },
  'unknown-user': {
    reason: 'no user of this name is configured for this engine',
    fix: 'configure the same user on the device and under collectors.snmp_trap.users; leave out engine_id for a user of any engine',
  },
  'unsupported-level': {
    reason: 'the message is authenticated or encrypted, and the user has no key for it',
    fix: 'add `auth` and `priv` of the user under collectors.snmp_trap.users, as on the device',
  },
  'level-too-low': {
    reason: 'the user is configured with more protection than the message has',
    fix: 'raise the security level on the device, or set `level` of the user, the least that is accepted',
  },
  'wrong-digest': {
    reason: 'the digest is not right: another authentication key or protocol, or not from who it says',
    fix: 'compare `auth` (protocol and passphrase) of the user with the device; a localised key belongs to one engine id',
  },
  'not-in-time-window': {
    reason: 'boots and time of an inform are not ours within 150 s; it was answered with our own',
    fix: 'the device asks again by itself; where it goes on, compare engine.boots and engine.epoch of all nodes and their clocks',
  },
  replay: {
    reason:
      'boots and time are behind what this engine said before: recorded and sent again, or an agent that does not keep its clock',
    fix: 'for an agent that forgets boots or time: {id: ENGINE, timeliness: monotonic} (or off) under collectors.snmp_trap.engines',
  },
  'decryption-error': {
    reason: 'authentic, and not decipherable: another privacy key or protocol',
    fix: 'compare `priv` (protocol and passphrase) of the user with the device; for AES-192 and AES-256 there are two key extensions: aes256 and aes256c',
  },
  'clock-behind': {
    reason: 'the clock of this node is wrong, so it may not answer for the engine that all nodes share',
    fix: 'correct the clock (NTP); the device is answered by another node, or when the clock is right',
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
  'open-refused': {
    reason:
      'the peer’s OPEN cannot be accepted: its BGP identifier, an unknown optional parameter, or a hold time of 1 or 2 s',
    fix: 'the detail says which; give the router an identifier of its own, and a hold time of 3 s or more (0: none)',
  },
  'unexpected-message': {
    reason: 'a BGP message that has no place in the state of the session, as an UPDATE before the OPEN',
    fix: 'look at what really speaks from this address; a router that does so is broken',
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
  // VRRP
  'vrrp-mode': {
    reason: 'a unicast advertisement where multicast is configured, or the reverse',
    fix: 'configure unicast_peers on all nodes of the VRID, or on none',
  },
  'bfd-malformed': {
    reason: 'not a BFD control packet of RFC 5880, or one with authentication',
    fix: 'see what sends to UDP 3784 or 4784; switch BFD authentication off on the router',
  },
  'bfd-unknown': {
    reason: 'a BFD packet of nobody who has a session here',
    fix: 'add bfd: to the peer under lb.bgp.peers, or switch BFD off on the router',
  },
  'bfd-ttl': {
    reason: 'a BFD packet came over more hops than its session allows',
    fix: 'one hop needs a TTL of 255; over several hops set multihop, and min_ttl of bfd:',
  },
  'vrrp-ttl': {
    reason: 'a multicast advertisement whose TTL or hop limit is not 255: it came through a router',
    fix: 'look for a router or tunnel that forwards it, or a forger',
  },
  'vrrp-peer': {
    reason: 'a unicast advertisement from an address that is not among unicast_peers',
    fix: 'add the address to unicast_peers, or give the other virtual router another VRID',
  },
  'vrrp-version': {
    reason: 'an advertisement of the other VRRP version',
    fix: 'configure the same `version` on all nodes of the VRID',
  },
  'vrrp-interval': {
    reason: 'a version 2 advertisement with another interval',
    fix: 'configure the same advert_interval on all nodes of the VRID',
  },
  'vrrp-checksum': {
    reason: 'the checksum of the advertisement is wrong in every dialect',
    fix: 'look for a device that translates addresses on the way, or a broken sender',
  },
  'vrrp-authentication': {
    reason: 'the advertisement carries an authentication type of RFC 2338, which RFC 3768 took out',
    fix: 'remove the authentication (auth_type, auth_pass) of the other nodes',
  },
  'vrrp-addresses': {
    reason: 'accepted, but its list of addresses is not ours',
    fix: 'configure the same addresses on all nodes of the VRID, or another VRID',
  },
  'arp-malformed': {
    reason: 'an ARP frame that could not be read',
    fix: 'look for a broken sender on the LAN of the VIP; frames for other protocols than IPv4 over Ethernet count too',
  },
  'ndp-malformed': {
    reason: 'a neighbour solicitation or advertisement that could not be read, or whose hop limit is not 255',
    fix: 'look for a broken sender, or a forger behind a router, on the LAN of the VIP',
  },
  'unknown-member': {
    reason: 'a heartbeat from an address that is no configured member of the cluster',
    fix: 'add it to cluster.members on every node, or look for who sends it',
  },
  'other-site': {
    reason: 'a heartbeat of a node of another site',
    fix: 'give all members one `site`, or leave the address out of cluster.members',
  },
  'own-name': {
    reason: 'a heartbeat under the name of this node from another address',
    fix: 'give every node a name of its own (`node`)',
  },
  'wrong-name': {
    reason: 'a heartbeat under another name than cluster.members has for its address',
    fix: 'correct `node` of the member, or its name under cluster.members',
  },
  'duplicate-name': {
    reason: 'a heartbeat under the name of another living member',
    fix: 'give every node a name of its own (`node`)',
  },
  replayed: {
    reason: 'a heartbeat that is older than one already heard',
    fix: 'look for a forger who repeats what was recorded; one now and then is a reordered packet',
  },
  'time-window': {
    reason: 'a heartbeat whose time is too far from ours',
    fix: 'set the clock of both nodes (NTP)',
  },
  shed: { reason: 'dropped because the spool is full', fix: 'restore Kafka or enlarge spool.max_bytes' },
} as const satisfies Record<string, CodeText>;

export type RefusalCode = keyof typeof REFUSAL_CODES;
