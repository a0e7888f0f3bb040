/** What the BGP codec gives and takes. Addresses are RFC 5952 text, octet strings are lower-case hex; everything is JSON-able. */

/** What the two OPENs agreed on, as far as it changes how bytes are read and written. */
export interface BgpContext {
  /** AS_PATH and AGGREGATOR carry four-byte AS numbers (RFC 6793). */
  as4: boolean;
  /** Families (`afi/safi`) whose NLRI carry a path identifier in this direction (RFC 7911). */
  addPath: ReadonlySet<string>;
  /** Messages up to 65535 bytes (RFC 8654). */
  extendedMessage: boolean;
}

export type BgpMessage = OpenMessage | UpdateMessage | NotificationMessage | KeepaliveMessage | RouteRefreshMessage;

export interface OpenMessage {
  kind: 'open';
  version: number;
  /** The AS of the AS4 capability where there is one, else My Autonomous System. */
  asn: number;
  /** Seconds. */
  holdTime: number;
  bgpId: string;
  capabilities: Capability[];
  /** Optional parameters other than capabilities: RFC 4271 6.2 makes them 2/4. Absent where there are none. */
  unknownParameters?: { type: number; value: string }[];
}

export interface Family {
  afi: number;
  safi: number;
}

/** RFC 5492. What is not decoded, or is malformed, keeps its value as hex under `raw`. */
export type Capability =
  | ({ name: 'multiprotocol' } & Family)
  | { name: 'route-refresh' }
  | { name: 'extended-next-hop'; entries: (Family & { nextHopAfi: number })[] }
  | { name: 'extended-message' }
  | {
      name: 'graceful-restart';
      /** The R bit. */
      restarted: boolean;
      /** The N bit (RFC 8538). */
      notification: boolean;
      /** Seconds, 0..4095. */
      time: number;
      families: (Family & { forwarding: boolean })[];
    }
  | { name: 'as4'; asn: number }
  | { name: 'add-path'; entries: (Family & { mode: AddPathMode })[] }
  | { name: 'enhanced-route-refresh' }
  | { name: 'raw'; code: number; value: string };

export type AddPathMode = 'receive' | 'send' | 'both';

export interface KeepaliveMessage {
  kind: 'keepalive';
}

export interface NotificationMessage {
  kind: 'notification';
  code: number;
  subcode: number;
  /** Hex; empty where there is none. */
  data: string;
  /** RFC 9003: what the operator of the other side wrote. */
  text?: string;
  /** RFC 8538 section 3: of a Hard Reset (Cease, 9) the reason it carries. Sent where `data` is empty. */
  wrapped?: { code: number; subcode: number; data: string; text?: string };
}

export interface RouteRefreshMessage extends Family {
  kind: 'route-refresh';
  /** RFC 7313: 0 a request, 1 BoRR, 2 EoRR. */
  subtype: number;
  /** Outbound route filters (RFC 5291) as hex, not decoded. */
  orf?: string;
}

/** One IPv4 or IPv6 prefix, host bits cleared. */
export interface Nlri {
  prefix: string;
  pathId?: number;
}

export type AsSegmentType = 'set' | 'sequence' | 'confed-sequence' | 'confed-set';

export interface AsSegment {
  type: AsSegmentType;
  asns: number[];
}

export interface RawAttribute {
  type: number;
  flags: number;
  value: string;
}

export interface PathAttributes {
  origin?: 'igp' | 'egp' | 'incomplete';
  /** Of two-byte sessions already merged with AS4_PATH. Empty for a route that originates in the sender's AS. */
  asPath?: AsSegment[];
  nextHop?: string;
  med?: number;
  localPref?: number;
  atomicAggregate?: boolean;
  aggregator?: { asn: number; address: string };
  /** 32-bit values. */
  communities?: number[];
  originatorId?: string;
  clusterList?: string[];
  /** 16 hex digits each (RFC 4360). */
  extCommunities?: string[];
  largeCommunities?: [number, number, number][];
  /** Attributes without a decoder here, as they were received. */
  others?: RawAttribute[];
}

export interface MpReach extends Family {
  /** One address, or a global and a link-local one; behind a route distinguisher where the family has one. Empty where none is readable. */
  nextHop: string[];
  /** The field as received, where `nextHop` does not say all of it (families other than IPv4 and IPv6 unicast). */
  nextHopRaw?: string;
  /** IPv4 and IPv6 unicast. */
  routes?: Nlri[];
  /** Every other family: the NLRI bytes as hex. */
  raw?: string;
}

export interface MpUnreach extends Family {
  routes?: Nlri[];
  raw?: string;
}

/** RFC 7606 section 2. `session-reset` includes what could be an AFI/SAFI disable. */
export type ProblemClass = 'attribute-discard' | 'treat-as-withdraw' | 'session-reset';

export interface UpdateProblem {
  class: ProblemClass;
  /** The attribute type; 0 for the classic withdrawn routes and NLRI fields. */
  attribute: number;
  /** UPDATE Message Error subcode, for a NOTIFICATION. */
  subcode: number;
  reason: string;
  /** From the start of the message. */
  offset: number;
}

export interface UpdateMessage {
  kind: 'update';
  /** Classic IPv4 unicast fields. */
  withdrawn: Nlri[];
  announced: Nlri[];
  attributes: PathAttributes;
  /** At most one each in a correct message; all are read. */
  mpReach: MpReach[];
  mpUnreach: MpUnreach[];
  /** RFC 4724: the family whose End-of-RIB this message is. */
  eor?: string;
  /** What RFC 7606 objects to; absent in a correct message. */
  problems?: UpdateProblem[];
}
