/**
 * One configured peer: dials it, keeps it, and keeps its Adj-RIB-Out equal to what is wanted. What the peer sends us as routes is
 * counted and dropped unread: the announcer needs none, so it parses none.
 */
import { encodeEndOfRib, encodeUpdate, IPV4_UNICAST, type UpdateParts } from '../../codec/bgp/index.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { Connection, Dial } from '../../net/types.ts';
import type { DownFacts } from '../../protocol/bgp/machine.ts';
import { BgpPeer } from '../../protocol/bgp/peer.ts';
import type { Handle, Registry } from '../../telemetry/registry.ts';
import type { LbBgpPeer } from '../config.ts';
import type { Grade } from '../grade.ts';
import { AdjOut, type AdjOutEffect, nlri } from './machine.ts';

export interface SessionOptions {
  peer: LbBgpPeer;
  asn: number;
  routerId: string;
  clock: Clock;
  log: Logger;
  metrics: Registry;
  dial: Dial;
  random?: () => number;
  /** After anything that changes what the status says; `down` where a session ended. */
  onChange(change: { state: 'up' } | { state: 'down'; facts: DownFacts } | { state: 'sent' }): void;
}

export interface SessionStatus {
  peer: string;
  port: number;
  asn: number;
  state: string;
  /** UTC milliseconds since when Established. */
  established_since?: number;
  local_address?: string;
  hold_time?: number;
  families?: string[];
  end_of_rib: string[];
  prefixes_sent: number;
  updates_sent: number;
  updates_dropped: number;
  last_down?: DownFacts & { at: number };
}

export class BgpSession {
  readonly address: string;
  /** What decides whether a changed configuration needs a new session. */
  readonly fingerprint: string;
  private readonly o: SessionOptions;
  private readonly peer: BgpPeer;
  private readonly adjOut: AdjOut;
  private readonly up: Handle;
  private readonly updates: Handle;
  private connection: Connection | undefined;
  private abort: (() => void) | undefined;
  private since: number | undefined;
  private lastDown: (DownFacts & { at: number }) | undefined;
  private stopping = false;
  private onClosed: () => void = () => {};

  constructor(options: SessionOptions) {
    const { peer: p, asn, routerId, metrics } = options;
    this.o = options;
    this.address = p.address;
    this.fingerprint = sessionFingerprint(p, asn, routerId);
    const explicit = p.next_hop === 'self' ? [] : [p.next_hop].flat();
    this.adjOut = new AdjOut({
      asn,
      peerAsn: p.asn,
      nextHop: { ipv4: explicit.find((a) => !a.includes(':')), ipv6: explicit.find((a) => a.includes(':')) },
    });
    this.up = metrics.handle('tidegate_lb_bgp_session_up', { peer: p.address });
    this.updates = metrics.handle('tidegate_lb_bgp_updates_total', { peer: p.address });
    this.up.value = 0;
    this.peer = new BgpPeer({
      role: 'dial',
      asn,
      bgpId: routerId,
      peerAsn: p.asn,
      holdTime: p.hold_time / 1000,
      connectRetry: p.connect_retry,
      random: options.random,
      capabilities: [
        { name: 'multiprotocol', afi: 1, safi: 1 },
        { name: 'multiprotocol', afi: 2, safi: 1 },
        { name: 'route-refresh' },
        { name: 'extended-message' },
      ],
      clock: options.clock,
      onConnect: () => this.dial(),
      onEstablished: (e) => {
        this.since = options.clock.wallMs();
        this.up.value = 1;
        const localAddress = this.connection?.localAddress ?? '';
        options.log.info({ peer: p.address, asn: p.asn, hold_time: e.negotiated.holdTime }, 'BGP session Established');
        options.onChange({ state: 'up' });
        this.act((out) =>
          this.adjOut.handle({ type: 'established', families: e.negotiated.families, localAddress }, out),
        );
      },
      onDown: (facts) => this.down(facts),
      onRouteRefresh: (f) => this.act((out) => this.adjOut.handle({ type: 'route-refresh', ...f }, out)),
      onNotification: (direction) => {
        metrics.handle('tidegate_lb_bgp_notifications_total', { peer: p.address, direction }).value++;
      },
    });
  }

  start(): void {
    this.peer.start();
  }

  /** All prefixes to announce. Only the difference is sent. */
  want(prefixes: string[], grade: Grade): void {
    this.act((out) => this.adjOut.handle({ type: 'wanted', prefixes, grade }, out));
  }

  /** For good, with a NOTIFICATION: Cease/Administrative Shutdown with `text` (RFC 9003), or Peer De-configured. Resolves when the connection is closed. */
  stop(text: string, deconfigured = false): Promise<void> {
    this.stopping = true;
    const connection = this.connection;
    const closed = new Promise<void>((resolve) => {
      if (connection === undefined) resolve();
      else this.onClosed = resolve;
    });
    if (deconfigured) this.peer.stop(undefined, 6, 3);
    else this.peer.stop(text);
    this.abort?.();
    this.abort = undefined;
    return closed;
  }

  get established(): boolean {
    return this.peer.machine.state === 'Established';
  }

  /** True where the Established session was sent this prefix. */
  announced(prefix: string): boolean {
    return this.adjOut.sent.has(prefix);
  }

  obstacle(prefix: string): string | undefined {
    return this.adjOut.obstacle(prefix);
  }

  status(): SessionStatus {
    const { peer: p } = this.o;
    const s: SessionStatus = {
      peer: p.address,
      port: p.port,
      asn: p.asn,
      state: this.peer.machine.state,
      end_of_rib: [...this.adjOut.endOfRibSent],
      prefixes_sent: this.adjOut.sent.size,
      updates_sent: this.updates.value,
      updates_dropped: this.peer.updatesReceived,
    };
    if (this.established) {
      s.established_since = this.since;
      s.local_address = this.connection?.localAddress;
      s.hold_time = this.peer.machine.holdTime;
      s.families = this.peer.machine.negotiated?.families;
    }
    if (this.lastDown) s.last_down = this.lastDown;
    return s;
  }

  private dial(): void {
    const { peer: p, dial } = this.o;
    this.abort?.();
    let current = true;
    const cancel = dial(
      { address: p.address, port: p.port, localAddress: p.local_address, ttl: p.multihop, timeoutMs: p.connect_retry },
      (result) => {
        if (!current) {
          if (result.ok) result.connection.destroy();
          return;
        }
        current = false;
        this.abort = undefined;
        if (result.ok) this.attach(result.connection);
        else this.peer.closed(undefined, result.error);
      },
    );
    this.abort = () => {
      current = false;
      cancel();
    };
  }

  private attach(c: Connection): void {
    this.connection = c;
    c.onData = (chunk) => this.peer.received(c, chunk);
    c.onClose = (error) => {
      this.peer.closed(c, error);
      if (this.stopping) this.onClosed();
    };
    this.peer.attach(c);
  }

  private down(facts: DownFacts): void {
    this.abort?.();
    this.abort = undefined;
    this.connection = undefined;
    this.since = undefined;
    this.up.value = 0;
    const again =
      this.lastDown !== undefined && !facts.established && this.lastDown.reason === facts.reason && !facts.received;
    this.lastDown = { ...facts, at: this.o.clock.wallMs() };
    this.act((out) => this.adjOut.handle({ type: 'down' }, out));
    // A peer that stays away is said once, not with each attempt.
    const say = again ? this.o.log.debug : this.o.log.warn;
    say.call(this.o.log, { peer: this.address, ...facts }, 'BGP session down');
    this.o.onChange({ state: 'down', facts });
  }

  private act(handle: (out: AdjOutEffect[]) => void): void {
    const out: AdjOutEffect[] = [];
    handle(out);
    for (const e of out) this.send(e);
    if (out.length > 0) this.o.onChange({ state: 'sent' });
  }

  private send(e: AdjOutEffect): void {
    this.updates.value++;
    if (e.type === 'end-of-rib') this.peer.send(encodeEndOfRib(e.family));
    else this.peer.send(encodeUpdate(updateParts(e), this.peer.sendContext));
  }
}

/** IPv4 unicast goes into the fields of RFC 4271, IPv6 into the attributes of RFC 4760. */
function updateParts(e: Exclude<AdjOutEffect, { type: 'end-of-rib' }>): UpdateParts {
  const routes = nlri(e.prefixes);
  const classic = e.family === IPV4_UNICAST;
  if (e.type === 'withdraw') return classic ? { withdrawn: routes } : { mpUnreach: [{ afi: 2, safi: 1, routes }] };
  if (classic) return { announced: routes, attributes: { ...e.attributes, nextHop: e.nextHop } };
  return { mpReach: [{ afi: 2, safi: 1, nextHop: [e.nextHop], routes }], attributes: e.attributes };
}

export function sessionFingerprint(peer: LbBgpPeer, asn: number, routerId: string): string {
  return JSON.stringify([peer, asn, routerId]);
}
