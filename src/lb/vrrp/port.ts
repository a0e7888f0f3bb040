/** An interface as virtual routers use it: its sockets, opened when needed and again after a failure, and a queue of announcements. */
import type { Buffer } from 'node:buffer';
import { encodeArp, gratuitousReply, gratuitousRequest } from '../../codec/arp/arp.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV6, formatMac } from '../../codec/ethernet.ts';
import { encodeNdp, NEIGHBOR_ADVERTISEMENT, unsolicitedAdvertisement } from '../../codec/ndp/ndp.ts';
import { VRRP_GROUP_IPV4, VRRP_GROUP_IPV6, VRRP_PROTOCOL } from '../../codec/vrrp/vrrp.ts';
import type { Clock, TimerHandle } from '../../core/clock.ts';
import type { ControlNet, ControlPacket, ControlSocket, LinkState } from '../../net/control-types.ts';
import type { Family } from './config.ts';

/** Frames sent in one turn: a thousand addresses must not hold up the timers. */
const FRAMES_A_TURN = 256;
/** Turns that packets are waited for, at most. */
const TURNS = 64;
const REOPEN_MS = 1000;

export interface PortOptions {
  name: string;
  net: ControlNet;
  clock: Clock;
  /** An advertisement or what claims to be one. */
  onVrrp(family: Family, p: ControlPacket): void;
  onArp(p: ControlPacket): void;
  onNdp(p: ControlPacket): void;
  /** A socket was opened or lost. */
  onChange(): void;
}

interface Announcement {
  owner: string;
  frames: { family: Family; frame: Buffer }[];
  next: number;
}

export class Port {
  readonly name: string;
  /** Why a family cannot be spoken. */
  readonly errors = new Map<Family, string>();
  private readonly o: PortOptions;
  private readonly raw = new Map<Family, ControlSocket>();
  private readonly packet = new Map<Family, ControlSocket>();
  private readonly families = new Set<Family>();
  private index = 0;
  private received = 0;
  private queue: Announcement[] = [];
  private pumping: TimerHandle | undefined;
  private reopening: TimerHandle | undefined;
  private closed = false;

  constructor(options: PortOptions) {
    this.o = options;
    this.name = options.name;
  }

  /** The link, where it exists. */
  link(): LinkState | undefined {
    return this.o.net.link(this.name);
  }

  /** Opens what `families` need and closes the rest; called again after each change of a link. */
  refresh(families: ReadonlySet<Family>): void {
    if (this.closed) return;
    this.families.clear();
    for (const f of families) this.families.add(f);
    const link = this.link();
    // Another interface of the same name: the sockets are bound to one that is no more.
    if (link && link.index !== this.index) {
      this.closeSockets();
      this.index = link.index;
    }
    for (const f of ['ipv4', 'ipv6'] as const) {
      if (!families.has(f)) this.closeFamily(f);
      else if (link?.up) this.open(f);
    }
  }

  usable(family: Family): boolean {
    return this.raw.has(family) && this.packet.has(family);
  }

  /** What the operating system objected to, undefined where it took it. */
  send(family: Family, data: Buffer, destination: string, source: string): string | undefined {
    return this.raw.get(family)?.send(data, destination, 0, source) ?? (this.raw.has(family) ? undefined : 'no socket');
  }

  /**
   * Runs `fn` when the packets that wait in the kernel have been read: a timer that comes late comes before packets that were there long
   * before it. Returns the handle of the wait by way of `keep`.
   */
  afterPackets(fn: () => void, keep: (h: TimerHandle) => void, turns = TURNS): void {
    const seen = this.received;
    keep(
      this.o.clock.setTimeout(() => {
        if (this.received !== seen && turns > 1) this.afterPackets(fn, keep, turns - 1);
        else fn();
      }, 0),
    );
  }

  /**
   * Tells the neighbours where `addresses` are: gratuitous ARP in both forms, unsolicited Neighbor Advertisement with Override. Each address
   * once before any a second time.
   */
  announce(owner: string, addresses: readonly string[], rounds: number): void {
    const link = this.link();
    if (!link) return;
    const mac = formatMac(link.mac);
    const frames: Announcement['frames'] = [];
    for (const a of addresses) {
      if (a.includes(':')) frames.push({ family: 'ipv6', frame: encodeNdp(unsolicitedAdvertisement(mac, a)) });
      else
        for (const form of [gratuitousRequest, gratuitousReply])
          frames.push({ family: 'ipv4', frame: encodeArp(form(mac, a)) });
    }
    for (let i = 0; i < rounds; i++) this.queue.push({ owner, frames, next: 0 });
    if (!this.pumping) this.pump();
  }

  /** Nothing more is said for `owner`. */
  cancel(owner: string): void {
    this.queue = this.queue.filter((a) => a.owner !== owner);
  }

  close(): void {
    this.closed = true;
    for (const t of [this.pumping, this.reopening]) if (t) this.o.clock.clearTimeout(t);
    this.queue = [];
    this.closeSockets();
  }

  private pump(): void {
    this.pumping = undefined;
    let left = FRAMES_A_TURN;
    for (let a = this.queue[0]; a !== undefined; a = this.queue[0]) {
      for (; a.next < a.frames.length && left > 0; left--) {
        const { family, frame } = a.frames[a.next++];
        this.packet.get(family)?.send(frame, '');
      }
      if (a.next < a.frames.length) break;
      this.queue.shift();
    }
    if (this.queue.length > 0) this.pumping = this.o.clock.setTimeout(() => this.pump(), 1);
  }

  private open(family: Family): void {
    const { net } = this.o;
    if (this.usable(family)) return;
    const v4 = family === 'ipv4';
    if (!this.raw.has(family)) {
      const opened = net.openRaw({
        family: v4 ? 4 : 6,
        protocol: VRRP_PROTOCOL,
        device: this.name,
        groups: [v4 ? VRRP_GROUP_IPV4 : VRRP_GROUP_IPV6],
        ttl: 255,
      });
      if (!opened.ok) {
        this.failed(family, opened.error);
        return;
      }
      this.raw.set(
        family,
        this.watch(family, opened.socket, (p) => this.o.onVrrp(family, p)),
      );
    }
    const opened = net.openPacket(
      v4
        ? { device: this.name, etherType: ETHERTYPE_ARP }
        : { device: this.name, etherType: ETHERTYPE_IPV6, icmpTypes: [NEIGHBOR_ADVERTISEMENT] },
    );
    if (!opened.ok) {
      this.failed(family, opened.error);
      return;
    }
    this.packet.set(
      family,
      this.watch(family, opened.socket, (p) => (v4 ? this.o.onArp(p) : this.o.onNdp(p))),
    );
    this.errors.delete(family);
  }

  private watch(family: Family, socket: ControlSocket, onPacket: (p: ControlPacket) => void): ControlSocket {
    socket.onPacket = (p) => {
      this.received++;
      onPacket(p);
    };
    socket.onError = (error) => {
      if (this.closed || (this.raw.get(family) !== socket && this.packet.get(family) !== socket)) return;
      this.closeFamily(family);
      this.failed(family, error);
      this.o.onChange();
    };
    return socket;
  }

  private failed(family: Family, error: string): void {
    this.errors.set(family, error);
    this.reopening ??= this.o.clock.setTimeout(() => {
      this.reopening = undefined;
      if (this.closed) return;
      this.refresh(new Set(this.families));
      this.o.onChange();
    }, REOPEN_MS);
  }

  private closeFamily(family: Family): void {
    this.raw.get(family)?.close();
    this.raw.delete(family);
    this.packet.get(family)?.close();
    this.packet.delete(family);
    this.errors.delete(family);
  }

  private closeSockets(): void {
    this.closeFamily('ipv4');
    this.closeFamily('ipv6');
  }
}
