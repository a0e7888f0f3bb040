/**
 * What the announcer asks of each way of announcing (BGP, VRRP, layer 2), and what it gets to know. A back end owns its sockets and timers;
 * the addresses on the node are bound and removed by the announcer, after the answers of `addresses`.
 */
import type { LbConfig } from './config.ts';
import type { Grade } from './grade.ts';

/** One address of a VIP that this back end is to announce. */
export interface WantedVip {
  /** Name of the VIP. */
  vip: string;
  /** `address/length` in RFC 5952 text. */
  prefix: string;
  mode: 'ecmp' | 'owner';
  /** In mode `owner`: this node is the preferred one now. In mode `ecmp`: true. */
  preferred: boolean;
  /** The address is on this node. Only BGP needs it before it announces; VRRP and layer 2 ask for it when they own the VIP. */
  bound: boolean;
}

/** All that is wanted, never a difference. A back end sends only what differs. */
export interface Wanted {
  grade: Grade;
  /** Why the grade is what it is; goes into NOTIFICATION and log. */
  reason: string;
  /** False while it is not known yet how good this node is, after a restart of the speaker. Absent: true. */
  decided?: boolean;
  /** True while the node drains or stops: worse, and never as a restart (RFC 4724). */
  draining: boolean;
  vips: WantedVip[];
}

/** An address that a back end needs on the node now. */
export interface NeededAddress {
  prefix: string;
  interface: string;
  /** `host`: of no use to others (BGP, on lo). `link`: the LAN interface of the owner. */
  scope: 'host' | 'link';
  /** Milliseconds: the kernel removes it by itself when it is not renewed. Absent: for ever. */
  lifetime?: number;
}

/** What is true of one VIP address in one back end. JSON, part of `lb status`. */
export interface VipFacts {
  /** This node draws the VIP's packets: an Established session was sent it, VRRP is active, the layer-2 lease is ours. */
  announced: boolean;
  /** Why it is not, or not as well as wanted, in words for an operator. */
  obstacle?: string;
  /** Who has it, where that is another node as it should be. */
  holder?: string;
  /** Somebody else on the LAN says that the address is at this MAC address. */
  duplicate?: { mac: string; node?: string; ago_ms: number };
  /** BGP: what each peer has of it. */
  peers?: PeerFacts[];
}

export interface PeerFacts {
  peer: string;
  /** The Established session was sent it. */
  announced: boolean;
  /** UTC milliseconds. */
  established_since?: number;
  end_of_rib: boolean;
  obstacle?: string;
}

/** Told after each change. Names of `protocol`: bgp, bfd, vrrp, l2, cluster. */
export interface BackEndEvents {
  /** What `addresses()`, `facts()` or `status()` say has changed. */
  onChange(reason: string): void;
  /** A session or instance changed its state; becomes a `system.v1` event of kind session. */
  onSession(protocol: string, peer: string, from: string, to: string, reason: string): void;
  /** Something an operator must know, such as two owners or a duplicate address; becomes a `system.v1` event of kind vip. */
  onAlarm(reason: string, facts: Record<string, unknown>): void;
}

export interface BackEndConfig {
  lb: LbConfig;
  /** Name of this node. */
  node: string;
  /** BGP identifier, dotted text. */
  routerId: string;
}

export interface BackEnd {
  readonly kind: 'bgp' | 'vrrp' | 'l2';
  /** At start and after a change of the configuration. Only what differs is touched: what did not change keeps its sessions and states. */
  configure(c: BackEndConfig): void;
  want(w: Wanted): void;
  addresses(): NeededAddress[];
  facts(prefix: string): VipFacts | undefined;
  /** JSON for `lb status`. */
  status(): object;
  /** For good: withdraws, says `text` where the protocol can, closes. Resolves when nothing more is sent. */
  stop(text: string): Promise<void>;
}
