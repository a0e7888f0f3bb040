/**
 * One configured peer: dials it, or waits for it, or both (then RFC 4271 section 6.8 decides), and keeps its Adj-RIB-Out equal to what is
 * wanted. What the peer sends us as routes is counted and dropped unread: the announcer needs none, so it parses none.
 */
import { encodeEndOfRib, encodeRouteRefresh } from '../../codec/bgp/index.ts';
import { parseIp } from '../../core/ip.ts';
import type { Connection } from '../../net/types.ts';
import type { DownFacts } from '../../protocol/bgp/machine.ts';
import { BgpPeer, type Established } from '../../protocol/bgp/peer.ts';
import { rolesOf } from '../../protocol/bgp/role.ts';
import type { Handle } from '../../telemetry/registry.ts';
import type { Grade } from '../grade.ts';
import { loserOf } from './collision.ts';
import type { BgpConfig, BgpPeerConfig } from './config.ts';
import { AdjOut, type AdjOutEffect, type AdjOutInput } from './machine.ts';
import { adjOutSettings, dialOptions, ourCapabilities, sessionFingerprint } from './open.ts';
import { PathWatch } from './path-watch.ts';
import type { SessionOptions, SessionStatus } from './types.ts';
import { encodeRoutes } from './wire.ts';

/** The kernel's own. */
const KERNEL_TTL = 64;

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
  private lastDown: SessionStatus['last_down'];
  private lastNotification: SessionStatus['last_notification'];
  /** Of this process no session stood yet. */
  private first = true;
  private readonly path: PathWatch;
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
    this.path = new PathWatch({
      manager: options.bfd,
      device: () => this.device,
      onState: (from, to) => options.onChange({ state: 'bfd', from, to }),
      // The peer must not keep routes over a path that is broken.
      onDown: () => this.active?.reset(6, 10, 'BFD session down', true),
    });
    if (!p.passive) this.out = this.makePeer('dial');
    if (bgp.listen.length > 0) this.in = this.makePeer('passive');
  }

  start(): void {
    this.in?.start();
    this.out?.start();
  }

  /** What needs no new session: what routes say, and from the next session on the hold time. */
  configure(p: BgpPeerConfig, bgp: BgpConfig): void {
    if (p.password !== undefined && p.password !== this.p.password) this.rekey(p.password);
    this.p = p;
    this.bgp = bgp;
    this.path.watch(p, this.localAddress);
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

  /** All prefixes to announce. Only the difference is sent. `decided`: false while it is not known yet how good this node is. */
  want(prefixes: string[], grade: Grade, standby: string[] = [], decided = true): void {
    this.act({ type: 'wanted', prefixes, grade, standby, decided });
  }

  /** The peer dialled us. */
  accept(c: Connection): void {
    // A running session is not given up for one that may be anybody's; a dead one ends with its hold timer.
    if (!this.in || this.stopping || this.active || this.in.machine.state !== 'Active') {
      c.destroy();
      return;
    }
    const problem = this.guard(c);
    if (problem !== undefined) {
      this.o.log.warn(
        { peer: this.p.address, problem },
        'a connection of the peer is refused: its TTL cannot be guarded',
      );
      c.destroy();
      return;
    }
    this.attach(this.in, c);
  }

  /** The listener sends with a TTL of 255 where one of its peers has gtsm, and may have no least one: what this peer is to have is set here. */
  private guard(c: Connection): string | undefined {
    const hops = this.p.gtsm === true ? 1 : this.p.gtsm;
    if (hops !== false) return c.setHops ? c.setHops(255, 256 - hops) : 'not possible on this connection';
    if (this.p.multihop !== undefined || this.bgp.peers.some((p) => p.gtsm !== false))
      c.setHops?.(this.p.multihop ?? KERNEL_TTL, undefined);
    return undefined;
  }

  /**
   * For good, with a NOTIFICATION: Cease/Administrative Shutdown with `text` (RFC 9003), or the subcode that is given. What was announced is
   * withdrawn before, and the reason goes as a Hard Reset where that is spoken: a peer with graceful restart would keep the routes else.
   * Resolves when the connection is closed.
   */
  stop(text: string | undefined, subcode = 2): Promise<void> {
    this.act({ type: 'wanted', prefixes: [], grade: 'dead', decided: true });
    this.stopping = true;
    const closed = new Promise<void>((resolve) => {
      if (this.connections.size === 0) resolve();
      else this.onClosed = resolve;
    });
    for (const peer of this.peers()) peer.stop(text, 6, subcode, true);
    this.abort?.();
    this.abort = undefined;
    this.path.end();
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
    const bfd = this.path.status();
    if (bfd) s.bfd = bfd;
    if (p.role) s.role = p.role.name;
    const theirs = this.facts && rolesOf(this.facts.received.capabilities).join(' and ');
    if (theirs) s.peer_role = theirs;
    if (this.lastDown) s.last_down = this.lastDown;
    if (this.lastNotification) s.last_notification = this.lastNotification;
    return s;
  }

  /** The interface or VRF the peer is reached over. */
  private get device(): string | undefined {
    return this.p.network === undefined ? undefined : this.o.deviceOf?.(this.p.network);
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
      capabilities: ourCapabilities(p, bgp, false),
      bgpRole: p.role,
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
    const cancel = o.dial(dialOptions(p, local, this.device), (result) => {
      if (!current) {
        if (result.ok) result.connection.destroy();
        return;
      }
      current = false;
      this.abort = undefined;
      if (result.ok) this.attach(peer, result.connection);
      else peer.closed(undefined, result.error);
    });
    this.abort = () => {
      current = false;
      cancel();
    };
  }

  private attach(peer: BgpPeer, c: Connection): void {
    this.connections.set(peer, c);
    const restarted = this.first && (this.o.restarted?.() ?? false);
    peer.machine.setCapabilities(ourCapabilities(this.p, this.bgp, restarted));
    c.onData = (chunk) => peer.received(c, chunk);
    c.onClose = (error) => {
      peer.closed(c, error);
      if (this.connections.get(peer) === c) this.connections.delete(peer);
      if (this.stopping && this.connections.size === 0) this.onClosed();
    };
    peer.attach(c);
  }

  private collide(peer: BgpPeer, theirs: string): void {
    const other = peer === this.out ? this.in : this.out;
    if (!other) return;
    const loser = loserOf({
      opened: peer === this.out ? 'out' : 'in',
      other: this.active === other ? 'Established' : other.machine.state,
      ours: { bgpId: this.o.routerId, asn: this.p.local_asn ?? this.bgp.asn },
      theirs: { bgpId: theirs, asn: this.p.asn },
    });
    if (loser) this[loser]?.dump();
  }

  private onUp(peer: BgpPeer, e: Established): void {
    const { o, p } = this;
    this.active = peer;
    this.facts = e;
    this.since = o.clock.wallMs();
    this.up.value = 1;
    this.first = false;
    // The other way rests while this one stands.
    if (peer === this.in && this.out) {
      this.out.stop();
      this.abort?.();
      this.abort = undefined;
    }
    o.log.info({ peer: p.address, asn: p.asn, hold_time: e.negotiated.holdTime }, 'BGP session Established');
    o.onChange({ state: 'up' });
    this.path.watch(p, this.localAddress);
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
    const at = this.o.clock.wallMs();
    this.lastDown = { ...facts, at };
    const { sent, received } = facts;
    // Which of two connections stays is nothing to remember.
    const said = received ?? (sent?.code === 6 && sent.subcode === 7 ? undefined : sent);
    if (said) this.lastNotification = { ...said, from: received ? 'peer' : 'us', at };
    this.path.sessionDown();
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
    const messages = e.type === 'end-of-rib' ? [encodeEndOfRib(e.family)] : encodeRoutes(e, peer.sendContext);
    for (const m of messages) peer.send(m);
    this.updates.value += messages.length;
  }
}
