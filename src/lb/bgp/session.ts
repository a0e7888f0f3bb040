/**
 * One configured peer: dials it, or waits for it, or both (then RFC 4271 section 6.8 decides), and keeps its Adj-RIB-Out equal to what is
 * wanted. What the peer sends us as routes is counted and dropped unread: the announcer needs none, so it parses none.
 */
import {
  type Capability,
  encodeEndOfRib,
  encodeRouteRefresh,
  encodeUpdate,
  IPV4_UNICAST,
  type UpdateParts,
} from '../../codec/bgp/index.ts';
import type { Clock } from '../../core/clock.ts';
import { parseIp } from '../../core/ip.ts';
import type { Logger } from '../../core/log.ts';
import type { Connection, Dial } from '../../net/types.ts';
import type { DownFacts } from '../../protocol/bgp/machine.ts';
import { BgpPeer, type Established } from '../../protocol/bgp/peer.ts';
import type { Handle, Registry } from '../../telemetry/registry.ts';
import type { BfdManager, BfdSession, BfdStatus } from '../bfd/session.ts';
import type { Grade } from '../grade.ts';
import type { BgpConfig, BgpPeerConfig } from './config.ts';
import { AdjOut, type AdjOutEffect, type AdjOutInput, type AdjOutSettings, nlri } from './machine.ts';
import { policyOf } from './policy.ts';

/** What sessions share. */
export interface SessionContext {
  clock: Clock;
  log: Logger;
  metrics: Registry;
  dial: Dial;
  random?: () => number;
  /** The address of an interface in a family; undefined: it has none. */
  addressOf?(iface: string, family: 4 | 6): string | undefined;
  /** The interface or VRF of a network. */
  deviceOf?(network: string): string | undefined;
  /** This speaker died and is back while what it announced lived on (RFC 4724). */
  restarted?(): boolean;
  /** Absent: no BFD. */
  bfd?: BfdManager;
}

export interface SessionOptions extends SessionContext {
  peer: BgpPeerConfig;
  bgp: BgpConfig;
  routerId: string;
  /** After anything that changes what the status says; `down` where a session ended. */
  onChange(
    change:
      | { state: 'up' }
      | { state: 'down'; facts: DownFacts }
      | { state: 'sent' }
      | { state: 'bfd'; from: string; to: string },
  ): void;
}

export interface SessionStatus {
  peer: string;
  port: number;
  asn: number;
  state: string;
  /** UTC milliseconds since when Established. */
  established_since?: number;
  /** Who opened the connection. */
  dialled_by?: 'us' | 'peer';
  local_address?: string;
  hold_time?: number;
  families?: string[];
  /** Of the peer's OPEN. */
  capabilities?: Capability[];
  md5: boolean;
  tcp_ao: boolean;
  gtsm: boolean;
  end_of_rib: string[];
  prefixes_sent: number;
  updates_sent: number;
  updates_dropped: number;
  bfd?: BfdStatus;
  /** Configured, and in force from the next session on. */
  pending?: string[];
  last_down?: DownFacts & { at: number };
}

export class BgpSession {
  readonly address: string;
  /** What decides whether a changed configuration needs a new session. */
  readonly fingerprint: string;
  private readonly o: SessionOptions;
  private p: BgpPeerConfig;
  private bgp: BgpConfig;
  /** The way out, absent with `passive`; and the way in, where anybody listens. */
  private readonly out: BgpPeer | undefined;
  private readonly in: BgpPeer | undefined;
  private readonly adjOut: AdjOut;
  private readonly up: Handle;
  private readonly updates: Handle;
  private readonly connections = new Map<BgpPeer, Connection>();
  /** The one that is Established. */
  private active: BgpPeer | undefined;
  private facts: Established | undefined;
  private abort: (() => void) | undefined;
  private since: number | undefined;
  private lastDown: (DownFacts & { at: number }) | undefined;
  private bfd: BfdSession | undefined;
  private stopping = false;
  private onClosed: () => void = () => {};

  constructor(options: SessionOptions) {
    const { peer: p, bgp, routerId, metrics } = options;
    this.o = options;
    this.p = p;
    this.bgp = bgp;
    this.address = p.address;
    this.fingerprint = sessionFingerprint(p, bgp, routerId);
    this.adjOut = new AdjOut(adjOutSettings(p, bgp));
    this.up = metrics.handle('tidegate_lb_bgp_session_up', { peer: p.address });
    this.updates = metrics.handle('tidegate_lb_bgp_updates_total', { peer: p.address });
    this.up.value = 0;
    if (!p.passive) this.out = this.makePeer('dial');
    if (bgp.listen.length > 0) this.in = this.makePeer('passive');
  }

  start(): void {
    this.in?.start();
    this.out?.start();
  }

  /** What needs no new session: what routes say, and from the next session on the hold time. */
  configure(p: BgpPeerConfig, bgp: BgpConfig): void {
    const bfdBefore = JSON.stringify(this.p.bfd);
    if (p.password !== undefined && p.password !== this.p.password) this.rekey(p.password);
    this.p = p;
    this.bgp = bgp;
    if (JSON.stringify(p.bfd) !== bfdBefore) {
      this.endBfd();
      if (this.localAddress !== undefined) this.watchPath(this.localAddress);
    }
    for (const peer of this.peers()) peer.machine.setHoldTime(p.hold_time / 1000);
    this.act({ type: 'settings', settings: adjOutSettings(p, bgp) });
  }

  /**
   * The running connection goes on under the new key: what the other side sends under the old one is dropped by the kernel and sent again,
   * so the session lives where that side changes its key within the hold time.
   */
  private rekey(password: string): void {
    for (const [peer, c] of this.connections) {
      const problem = c.rekey ? c.rekey(password) : 'not possible on this connection';
      if (problem === undefined) continue;
      this.o.log.warn({ peer: this.p.address, problem }, 'a new password needs a new session');
      peer.reset(6, 6, 'new password');
    }
  }

  /** All prefixes to announce. Only the difference is sent. */
  want(prefixes: string[], grade: Grade, standby: string[] = []): void {
    this.act({ type: 'wanted', prefixes, grade, standby });
  }

  /** The peer dialled us. */
  accept(c: Connection): void {
    // A listener has one least TTL for all of its peers: where not all have gtsm, those that have it are dialled only.
    const unguarded = this.p.gtsm !== false && this.bgp.peers.some((x) => x.gtsm === false);
    // A running session is not given up for one that may be anybody's; a dead one ends with its hold timer.
    if (unguarded || !this.in || this.stopping || this.active || this.in.machine.state !== 'Active') {
      c.destroy();
      return;
    }
    this.attach(this.in, c);
  }

  /** Ends the session and lets it come back: Cease with this subcode. */
  reset(subcode: number, text: string): void {
    this.active?.reset(6, subcode, text);
  }

  /** For good, with a NOTIFICATION: Cease/Administrative Shutdown with `text` (RFC 9003), or Peer De-configured. Resolves when the connection is closed. */
  stop(text: string, deconfigured = false): Promise<void> {
    this.stopping = true;
    const closed = new Promise<void>((resolve) => {
      if (this.connections.size === 0) resolve();
      else this.onClosed = resolve;
    });
    for (const peer of this.peers()) {
      if (deconfigured) peer.stop(undefined, 6, 3);
      else peer.stop(text);
    }
    this.abort?.();
    this.abort = undefined;
    this.endBfd();
    return closed;
  }

  get established(): boolean {
    return this.active !== undefined;
  }

  /** Our end of the Established session. */
  get localAddress(): string | undefined {
    return this.active && this.connections.get(this.active)?.localAddress;
  }

  /** True where the Established session was sent this prefix. */
  announced(prefix: string): boolean {
    return this.adjOut.sent.has(prefix);
  }

  obstacle(prefix: string): string | undefined {
    return this.adjOut.obstacle(prefix);
  }

  status(): SessionStatus {
    const { p } = this;
    const shown = this.active ?? this.out ?? this.in!;
    const s: SessionStatus = {
      peer: p.address,
      port: p.port,
      asn: p.asn,
      state: shown.machine.state,
      md5: p.password !== undefined,
      tcp_ao: p.tcp_ao !== undefined,
      gtsm: p.gtsm !== false,
      end_of_rib: [...this.adjOut.endOfRibSent],
      prefixes_sent: this.adjOut.sent.size,
      updates_sent: this.updates.value,
      updates_dropped: this.peers().reduce((n, peer) => n + peer.updatesReceived, 0),
    };
    if (this.active) {
      s.established_since = this.since;
      s.dialled_by = this.active === this.in ? 'peer' : 'us';
      s.local_address = this.localAddress;
      s.hold_time = this.active.machine.holdTime;
      s.families = this.facts?.negotiated.families;
      s.capabilities = this.facts?.received.capabilities;
      if (this.facts && this.facts.sent.holdTime !== p.hold_time / 1000) s.pending = ['hold_time'];
    }
    if (this.bfd) s.bfd = this.bfd.status();
    if (this.lastDown) s.last_down = this.lastDown;
    return s;
  }

  private peers(): BgpPeer[] {
    return [this.out, this.in].filter((x) => x !== undefined);
  }

  private makePeer(role: 'dial' | 'passive'): BgpPeer {
    const { p, bgp, o } = this;
    const peer: BgpPeer = new BgpPeer({
      role,
      asn: p.local_asn ?? bgp.asn,
      bgpId: o.routerId,
      peerAsn: p.asn,
      holdTime: p.hold_time / 1000,
      connectRetry: p.connect_retry,
      random: o.random,
      capabilities: this.capabilities(o.restarted?.() ?? false),
      clock: o.clock,
      onConnect: () => this.dial(peer),
      onOpenConfirm: (open) => this.collide(peer, open.bgpId),
      onEstablished: (e) => this.onUp(peer, e),
      onDown: (facts) => this.onDown(peer, facts),
      onRouteRefresh: (f) => this.act({ type: 'route-refresh', ...f }),
      onNotification: (direction) => {
        o.metrics.handle('tidegate_lb_bgp_notifications_total', { peer: p.address, direction }).value++;
      },
    });
    return peer;
  }

  /** `restarted`: of the first session after a restart only. */
  private capabilities(restarted: boolean): Capability[] {
    const { p, bgp } = this;
    const families = p.families.map((f) => ({ afi: f === 'ipv4' ? 1 : 2, safi: 1 }));
    const out: Capability[] = families.map((f) => ({ name: 'multiprotocol', ...f }));
    out.push({ name: 'route-refresh' }, { name: 'enhanced-route-refresh' }, { name: 'extended-message' });
    if (p.families.includes('ipv4') && p.address.includes(':'))
      out.push({ name: 'extended-next-hop', entries: [{ afi: 1, safi: 1, nextHopAfi: 2 }] });
    if (bgp.graceful_restart) {
      out.push({
        name: 'graceful-restart',
        restarted,
        notification: true,
        time: Math.ceil(bgp.graceful_restart.restart_time / 1000),
        families: families.map((f) => ({ ...f, forwarding: restarted })),
      });
    }
    return out;
  }

  private dial(peer: BgpPeer): void {
    const { p, o } = this;
    this.abort?.();
    let current = true;
    const refuse = (reason: string) => o.clock.setTimeout(() => peer.closed(undefined, reason), 0);
    const family = p.address.includes(':') ? 6 : 4;
    let local = p.local_address;
    if (local !== undefined && parseIp(local) === undefined) {
      const iface = local;
      local = o.addressOf?.(iface, family);
      if (local === undefined) {
        refuse(`local_address: ${iface} has no IPv${family} address`);
        return;
      }
    }
    const hops = p.gtsm === true ? 1 : p.gtsm;
    const cancel = o.dial(
      {
        address: p.address,
        port: p.port,
        localAddress: local,
        device: p.network === undefined ? undefined : o.deviceOf?.(p.network),
        ttl: hops === false ? p.multihop : 255,
        minTtl: hops === false ? undefined : 256 - hops,
        password: p.password,
        ao: p.tcp_ao,
        timeoutMs: p.connect_retry,
      },
      (result) => {
        if (!current) {
          if (result.ok) result.connection.destroy();
          return;
        }
        current = false;
        this.abort = undefined;
        if (result.ok) this.attach(peer, result.connection);
        else peer.closed(undefined, result.error);
      },
    );
    this.abort = () => {
      current = false;
      cancel();
    };
  }

  private attach(peer: BgpPeer, c: Connection): void {
    this.connections.set(peer, c);
    c.onData = (chunk) => peer.received(c, chunk);
    c.onClose = (error) => {
      peer.closed(c, error);
      if (this.connections.get(peer) === c) this.connections.delete(peer);
      if (this.stopping && this.connections.size === 0) this.onClosed();
    };
    peer.attach(c);
  }

  /** RFC 4271 section 6.8: an Established one stays; else the one that the side with the higher BGP identifier opened. */
  private collide(peer: BgpPeer, theirs: string): void {
    const other = peer === this.out ? this.in : this.out;
    if (!other) return;
    if (this.active === other) {
      peer.dump();
      return;
    }
    const { state } = other.machine;
    if (state !== 'OpenConfirm' && state !== 'OpenSent') return;
    const ours = parseIp(this.o.routerId)!.compare(parseIp(theirs)!) > 0;
    const loser = ours ? this.in : this.out;
    loser?.dump();
  }

  private onUp(peer: BgpPeer, e: Established): void {
    const { o, p } = this;
    this.active = peer;
    this.facts = e;
    this.since = o.clock.wallMs();
    this.up.value = 1;
    for (const x of this.peers()) x.machine.setCapabilities(this.capabilities(false));
    // The other way rests while this one stands.
    if (peer === this.in && this.out) {
      this.out.stop();
      this.abort?.();
      this.abort = undefined;
    }
    o.log.info({ peer: p.address, asn: p.asn, hold_time: e.negotiated.holdTime }, 'BGP session Established');
    o.onChange({ state: 'up' });
    this.watchPath(this.localAddress ?? '');
    const theirs = e.received.capabilities;
    const extendedNextHop =
      e.sent.capabilities.some((c) => c.name === 'extended-next-hop') &&
      theirs.some(
        (c) =>
          c.name === 'extended-next-hop' && c.entries.some((x) => x.afi === 1 && x.safi === 1 && x.nextHopAfi === 2),
      );
    this.act({
      type: 'established',
      families: e.negotiated.families,
      localAddress: this.connections.get(peer)?.localAddress ?? '',
      extendedNextHop,
      enhancedRefresh: e.negotiated.enhancedRouteRefresh,
    });
  }

  /** RFC 5882: the path is watched from the first session on; when it breaks, the session ends at once (RFC 9384) and not with its hold timer. */
  private watchPath(local: string): void {
    const { bfd: manager } = this.o;
    const config = this.p.bfd;
    if (!config || !manager || local === '') return;
    if (this.bfd?.peer.local === local) return;
    this.endBfd();
    this.bfd = manager.watch({
      peer: this.p.address,
      local,
      multihop: config.multihop ?? (this.p.multihop ?? 1) > 1,
      config,
      onState: (to, from, admin) => {
        this.o.onChange({ state: 'bfd', from, to });
        // RFC 5882 section 3.2: switched off on purpose says nothing about the path.
        if (from === 'Up' && !admin) this.reset(10, 'BFD session down');
      },
    });
  }

  private endBfd(): void {
    this.bfd?.stop();
    this.bfd = undefined;
  }

  private onDown(peer: BgpPeer, facts: DownFacts): void {
    if (peer === this.out) {
      this.abort?.();
      this.abort = undefined;
    }
    const was = this.active === peer;
    if (!was && this.active) return;
    this.active = undefined;
    this.facts = undefined;
    this.since = undefined;
    this.up.value = 0;
    const last = this.lastDown;
    const again = last !== undefined && !facts.established && last.reason === facts.reason && !facts.received;
    this.lastDown = { ...facts, at: this.o.clock.wallMs() };
    this.act({ type: 'down' });
    // A peer that stays away is said once, not with each attempt.
    const say = again ? this.o.log.debug : this.o.log.warn;
    say.call(this.o.log, { peer: this.address, ...facts }, 'BGP session down');
    this.o.onChange({ state: 'down', facts });
    if (was && peer === this.in && !this.stopping) this.out?.start();
  }

  private act(input: AdjOutInput): void {
    const out: AdjOutEffect[] = [];
    this.adjOut.handle(input, out);
    for (const e of out) this.send(e);
    if (out.length > 0) this.o.onChange({ state: 'sent' });
  }

  private send(e: AdjOutEffect): void {
    const peer = this.active;
    if (!peer) return;
    if (e.type === 'refresh-mark') {
      const [afi, safi] = e.family.split('/').map(Number);
      peer.send(encodeRouteRefresh({ afi, safi, subtype: e.mark === 'begin' ? 1 : 2 }));
      return;
    }
    this.updates.value++;
    if (e.type === 'end-of-rib') peer.send(encodeEndOfRib(e.family));
    else peer.send(encodeUpdate(updateParts(e), peer.sendContext));
  }
}

type Route = Extract<AdjOutEffect, { prefixes: string[] }>;

/** IPv4 unicast goes into the fields of RFC 4271 unless its next hop is IPv6 (RFC 8950), IPv6 into the attributes of RFC 4760. */
function updateParts(e: Route): UpdateParts {
  const routes = nlri(e.prefixes);
  const v4 = e.family === IPV4_UNICAST;
  if (e.type === 'withdraw') return v4 ? { withdrawn: routes } : { mpUnreach: [{ afi: 2, safi: 1, routes }] };
  if (v4 && !e.nextHop.includes(':')) return { announced: routes, attributes: { ...e.attributes, nextHop: e.nextHop } };
  return { mpReach: [{ afi: v4 ? 1 : 2, safi: 1, nextHop: [e.nextHop], routes }], attributes: e.attributes };
}

function adjOutSettings(p: BgpPeerConfig, bgp: BgpConfig): AdjOutSettings {
  const explicit = p.next_hop === 'self' ? [] : [p.next_hop].flat();
  return {
    policy: policyOf(p, bgp.asn, bgp.communities),
    nextHop: { ipv4: explicit.find((a) => !a.includes(':')), ipv6: explicit.find((a) => a.includes(':')) },
  };
}

/** What is left out is taken over by a running session. */
export function sessionFingerprint(p: BgpPeerConfig, bgp: BgpConfig, routerId: string): string {
  const { hold_time, next_hop, bfd, vips, nodes, communities, med, local_pref, prepend, password, ...identity } = p;
  return JSON.stringify([
    identity,
    password !== undefined,
    bgp.asn,
    bgp.listen.length > 0,
    bgp.graceful_restart,
    routerId,
  ]);
}
