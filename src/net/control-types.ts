/**
 * The sockets of the speaker: few packets, each of which matters, so each is an object of its own. The real drivers are in control.ts;
 * tests bring a segment of their own, with loss, delay and partition.
 */
import type { Buffer } from 'node:buffer';

/** A packet of a raw, packet or UDP socket; nothing in it is reused. */
export interface ControlPacket {
  /** What follows the IP header (raw, UDP), or the frame from the Ethernet header on (packet sockets). */
  data: Buffer;
  /** RFC 5952 text without a zone; empty for packet sockets. */
  source: string;
  sourcePort: number;
  destination: string;
  /** Received TTL or hop limit; 0: not known. */
  ttl: number;
  /** Index of the interface it came in on. */
  ifindex: number;
}

export interface ControlSocket {
  /** Port of a UDP socket, else 0. */
  readonly port: number;
  onPacket: (p: ControlPacket) => void;
  /** Reading stopped for good: the interface is gone, or the operating system said why. */
  onError: (error: string) => void;
  /**
   * Sends at once and never throws; the answer is what the operating system objected to, undefined where it took it. `address` is ignored by packet sockets, whose
   * `data` is the whole frame. `source`: the local address to send from.
   */
  send(data: Buffer, address: string, port?: number, source?: string): string | undefined;
  close(): void;
}

export type OpenResult = { ok: true; socket: ControlSocket } | { ok: false; code: string; error: string };

export interface UdpControlOptions {
  address: string;
  /** 0: a free one of `portRange`, or of the kernel's choice. */
  port: number;
  /** Inclusive; RFC 5881 wants 49152..65535 as source ports of BFD. */
  portRange?: [number, number];
  /** TTL or hop limit of what is sent. */
  ttl?: number;
  device?: string;
}

export interface RawOptions {
  family: 4 | 6;
  /** IP protocol: 112 VRRP, 58 ICMPv6. */
  protocol: number;
  /** Interface to bind to, and to join groups on. */
  device: string;
  /** Multicast groups to join. */
  groups?: string[];
  /** TTL or hop limit of what is sent, unicast and multicast; what we send is not heard by ourselves. */
  ttl?: number;
  /** The kernel computes the checksum at this offset (ICMPv6 always does). */
  checksumOffset?: number;
}

export interface LinkState {
  name: string;
  index: number;
  /** Six bytes; zeros where the link has none. */
  mac: Buffer;
  mtu: number;
  /** Administratively up and with a carrier (IFF_UP and IFF_RUNNING). */
  up: boolean;
  /** ADDRESS/LENGTH in RFC 5952 text. */
  addresses: string[];
}

export interface ControlNet {
  openUdp(options: UdpControlOptions): OpenResult;
  /** A raw IP socket; IPv4 packets come without their header. */
  openRaw(options: RawOptions): OpenResult;
  /** AF_PACKET for one EtherType (0x0806 ARP, 0x86dd IPv6) on one interface; `icmpType` lets only these ICMPv6 types through, in the kernel. Outgoing frames are not heard. */
  openPacket(options: { device: string; etherType: number; icmpTypes?: number[] }): OpenResult;
  /** undefined where there is no such interface. */
  link(name: string): LinkState | undefined;
  /** Calls back after a change of any link or address of this namespace, at most once a loop turn. Returns the way to stop. */
  watchLinks(onChange: () => void): () => void;
}
