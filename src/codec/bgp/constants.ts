/** Code points of BGP-4 (IANA "Border Gateway Protocol (BGP) Parameters"), as far as they are spoken or named here. */

export const BGP_HEADER_LENGTH = 19;
/** RFC 4271 section 4.1. */
export const BGP_MAX_LENGTH = 4096;
/** RFC 8654. OPEN and KEEPALIVE stay within 4096. */
export const BGP_EXTENDED_MAX_LENGTH = 65535;

export const MESSAGE_OPEN = 1;
export const MESSAGE_UPDATE = 2;
export const MESSAGE_NOTIFICATION = 3;
export const MESSAGE_KEEPALIVE = 4;
export const MESSAGE_ROUTE_REFRESH = 5;

/** RFC 6793: stands for an AS number that does not fit in two bytes. */
export const AS_TRANS = 23456;

export const ATTR_ORIGIN = 1;
export const ATTR_AS_PATH = 2;
export const ATTR_NEXT_HOP = 3;
export const ATTR_MED = 4;
export const ATTR_LOCAL_PREF = 5;
export const ATTR_ATOMIC_AGGREGATE = 6;
export const ATTR_AGGREGATOR = 7;
export const ATTR_COMMUNITIES = 8;
export const ATTR_ORIGINATOR_ID = 9;
export const ATTR_CLUSTER_LIST = 10;
export const ATTR_MP_REACH = 14;
export const ATTR_MP_UNREACH = 15;
export const ATTR_EXT_COMMUNITIES = 16;
export const ATTR_AS4_PATH = 17;
export const ATTR_AS4_AGGREGATOR = 18;
export const ATTR_LARGE_COMMUNITIES = 32;

export const FLAG_OPTIONAL = 0x80;
export const FLAG_TRANSITIVE = 0x40;
export const FLAG_PARTIAL = 0x20;
export const FLAG_EXTENDED_LENGTH = 0x10;

const ATTRIBUTE_NAMES: Record<number, string> = {
  1: 'ORIGIN',
  2: 'AS_PATH',
  3: 'NEXT_HOP',
  4: 'MULTI_EXIT_DISC',
  5: 'LOCAL_PREF',
  6: 'ATOMIC_AGGREGATE',
  7: 'AGGREGATOR',
  8: 'COMMUNITIES',
  9: 'ORIGINATOR_ID',
  10: 'CLUSTER_LIST',
  14: 'MP_REACH_NLRI',
  15: 'MP_UNREACH_NLRI',
  16: 'EXTENDED_COMMUNITIES',
  17: 'AS4_PATH',
  18: 'AS4_AGGREGATOR',
  22: 'PMSI_TUNNEL',
  23: 'TUNNEL_ENCAPSULATION',
  25: 'IPV6_EXTENDED_COMMUNITIES',
  26: 'AIGP',
  29: 'BGP_LS',
  32: 'LARGE_COMMUNITY',
  35: 'ONLY_TO_CUSTOMER',
  40: 'BGP_PREFIX_SID',
  128: 'ATTR_SET',
};

/** The registry's name of an attribute type, or its number. */
export function attributeName(type: number): string {
  return ATTRIBUTE_NAMES[type] ?? String(type);
}

/** `afi/safi`, the key of a family everywhere in the codec. */
export function familyKey(afi: number, safi: number): string {
  if (safi === 1) {
    if (afi === 1) return '1/1';
    if (afi === 2) return '2/1';
  }
  return `${afi}/${safi}`;
}

export const IPV4_UNICAST = '1/1';
export const IPV6_UNICAST = '2/1';

/** NOTIFICATION: [name, subcode names from 1]. RFC 4271 4.5 and 6, RFC 4486, RFC 6608, RFC 7313, RFC 8538, RFC 9003, RFC 9384. */
const NOTIFICATIONS: Record<number, readonly [string, readonly string[]]> = {
  1: ['Message Header Error', ['Connection Not Synchronized', 'Bad Message Length', 'Bad Message Type']],
  2: [
    'OPEN Message Error',
    [
      'Unsupported Version Number',
      'Bad Peer AS',
      'Bad BGP Identifier',
      'Unsupported Optional Parameter',
      'Authentication Failure',
      'Unacceptable Hold Time',
      'Unsupported Capability',
      '',
      '',
      '',
      'Role Mismatch',
    ],
  ],
  3: [
    'UPDATE Message Error',
    [
      'Malformed Attribute List',
      'Unrecognized Well-known Attribute',
      'Missing Well-known Attribute',
      'Attribute Flags Error',
      'Attribute Length Error',
      'Invalid ORIGIN Attribute',
      'AS Routing Loop',
      'Invalid NEXT_HOP Attribute',
      'Optional Attribute Error',
      'Invalid Network Field',
      'Malformed AS_PATH',
    ],
  ],
  4: ['Hold Timer Expired', []],
  5: [
    'Finite State Machine Error',
    [
      'Receive Unexpected Message in OpenSent State',
      'Receive Unexpected Message in OpenConfirm State',
      'Receive Unexpected Message in Established State',
    ],
  ],
  6: [
    'Cease',
    [
      'Maximum Number of Prefixes Reached',
      'Administrative Shutdown',
      'Peer De-configured',
      'Administrative Reset',
      'Connection Rejected',
      'Other Configuration Change',
      'Connection Collision Resolution',
      'Out of Resources',
      'Hard Reset',
      'BFD Down',
    ],
  ],
  7: ['ROUTE-REFRESH Message Error', ['Invalid Message Length']],
  8: ['Send Hold Timer Expired', []],
};

/** The registry's name of a NOTIFICATION code; its number where it has none. */
export function notificationCodeName(code: number): string {
  return NOTIFICATIONS[code]?.[0] ?? String(code);
}

/** The registry's name of a subcode; undefined for 0 (unspecific) and for unassigned ones. */
export function notificationSubcodeName(code: number, subcode: number): string | undefined {
  return NOTIFICATIONS[code]?.[1][subcode - 1] || undefined;
}
