/** Names of BMP code points (IANA "BMP Parameters"). */

/** How the value of a statistic is made: u32 counter, u64 gauge, or u64 gauge behind AFI and SAFI. */
export type StatForm = 'counter' | 'gauge' | 'family-gauge';

/** RFC 7854 section 4.8, RFC 8671 section 6.2; the index is the type. */
export const STATS: readonly { name: string; form: StatForm }[] = [
  { name: 'rejected-inbound', form: 'counter' },
  { name: 'duplicate-prefix', form: 'counter' },
  { name: 'duplicate-withdraw', form: 'counter' },
  { name: 'invalidated-cluster-list-loop', form: 'counter' },
  { name: 'invalidated-as-path-loop', form: 'counter' },
  { name: 'invalidated-originator-id', form: 'counter' },
  { name: 'invalidated-as-confed-loop', form: 'counter' },
  { name: 'adj-rib-in-routes', form: 'gauge' },
  { name: 'loc-rib-routes', form: 'gauge' },
  { name: 'adj-rib-in-routes-per-family', form: 'family-gauge' },
  { name: 'loc-rib-routes-per-family', form: 'family-gauge' },
  { name: 'updates-treated-as-withdraw', form: 'counter' },
  { name: 'prefixes-treated-as-withdraw', form: 'counter' },
  { name: 'duplicate-updates', form: 'counter' },
  { name: 'adj-rib-out-pre-routes', form: 'gauge' },
  { name: 'adj-rib-out-post-routes', form: 'gauge' },
  { name: 'adj-rib-out-pre-routes-per-family', form: 'family-gauge' },
  { name: 'adj-rib-out-post-routes-per-family', form: 'family-gauge' },
];

const PEER_DOWN: Record<number, string> = {
  1: 'local-notification',
  2: 'local-fsm',
  3: 'remote-notification',
  4: 'remote-no-data',
  5: 'de-configured',
  6: 'local-information',
};

/** RFC 7854 section 4.9, RFC 9069 section 5.3. */
export function peerDownReason(reason: number): string {
  return PEER_DOWN[reason] ?? String(reason);
}

const TERMINATION = [
  'administratively-closed',
  'unspecified',
  'out-of-resources',
  'redundant',
  'permanently-administratively-closed',
];

/** RFC 7854 section 4.5. */
export function terminationReason(reason: number): string {
  return TERMINATION[reason] ?? String(reason);
}

/** Initiation TLVs (RFC 7854 4.4); 65531 is what OpenBMP exporters use for the router's BGP identifier. */
export const INIT_STRING = 0;
export const INIT_SYS_DESCR = 1;
export const INIT_SYS_NAME = 2;
export const INIT_BGP_ID = 65531;
/** Peer Up TLVs (RFC 9736; RFC 9069 section 5.2). */
export const PEER_UP_STRING = 0;
export const PEER_UP_VRF_NAME = 3;
export const PEER_UP_ADMIN_LABEL = 4;
export const TERM_STRING = 0;
export const TERM_REASON = 1;
/** Route Mirroring TLVs (RFC 7854 4.7). */
export const MIRROR_PDU = 0;
export const MIRROR_INFO = 1;

const MIRROR_INFOS = ['errored-pdu', 'messages-lost'];

/** RFC 7854 section 4.7. */
export function mirrorInformation(code: number): string {
  return MIRROR_INFOS[code] ?? String(code);
}
