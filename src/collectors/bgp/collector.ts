/**
 * Passive BGP: routers peer with tidegate as with a route collector. It accepts, never dials, and announces nothing. The finite state machine is
 * protocol/bgp/machine.ts, in its passive role; here are admission, back-pressure and events.
 */
import { Buffer } from 'node:buffer';
import { type Capability, encodeNotification } from '../../codec/bgp/index.ts';
import { sha256 } from '../../core/hash.ts';
import { formatIp, type Prefix, parseIp, parsePrefix, prefixContains } from '../../core/ip.ts';
import type { Device, EventType } from '../../event/types.ts';
import type { Connection, TcpListener } from '../../net/types.ts';
import type { DownFacts } from '../../protocol/bgp/machine.ts';
import { BgpPeer, type Established } from '../../protocol/bgp/peer.ts';
import type { RefusalCode } from '../../telemetry/codes.ts';
import type { Handle } from '../../telemetry/registry.ts';
import type { BoundTcp, Collector, CollectorContext } from '../collector.ts';
import type { BgpCollectorConfig } from './config.ts';
import { peerDown, peerUp, type Said, type SessionFacts, unreadable, update } from './normalise.ts';

const CAPABILITIES: Capability[] = [
  { name: 'multiprotocol', afi: 1, safi: 1 },
  { name: 'multiprotocol', afi: 2, safi: 1 },
  { name: 'route-refresh' },
  { name: 'extended-message' },
  // RFC 4724 section 3: without a family it says only that we know End-of-RIB, which routers send to no other neighbour.
  { name: 'graceful-restart', restarted: false, notification: false, time: 0, families: [] },
];

/** A peer connects to us; how long its attempts are apart is its affair. Only the machine wants a number. */
const UNUSED_CONNECT_RETRY = 5000;

interface AllowedPeer {
  network: string;
  prefix: Prefix;
  asn: number;
}

interface Session {
  network: string;
  connection: Connection;
  peer: BgpPeer;
  /** UTC microsecond of the accept. */
  epoch: number;
  facts?: SessionFacts;
  up: boolean;
  device?: Device;
  deviceVersion: number;
  announced: number;
  withdrawn: number;
  updates: number;
}

export class BgpCollector implements Collector {
  private readonly context: CollectorContext;
  private readonly config: BgpCollectorConfig;
  private readonly listeners: BoundTcp[];
  private readonly allowed: AllowedPeer[];
  /** By network and address. */
  private readonly sessions = new Map<string, Session>();
  /** Every connection that is not closed yet, with what runs on it. */
  private readonly open = new Map<Connection, Session>();
  private readonly paused = new Set<Session>();
  private readonly upCount: Handle;
  private readonly received: Handle;
  private started = false;
  private quiet = false;
  private onAllClosed: (() => void) | undefined;

  constructor(context: CollectorContext, config: BgpCollectorConfig, listeners: BoundTcp[]) {
    this.context = context;
    this.config = config;
    this.listeners = [...listeners];
    this.allowed = config.peers.map((p) => ({
      network: p.network,
      prefix: parsePrefix(p.address ?? p.prefix!)!,
      asn: p.asn,
    }));
    // The longest prefix decides, so that one router of a range may have another AS.
    this.allowed.sort((a, b) => b.prefix.length - a.prefix.length);
    this.upCount = context.metrics.handle('tidegate_sessions', { collector: 'bgp' });
    this.received = context.metrics.handle('tidegate_received_total', { collector: 'bgp' });
    context.pipeline.onResume(() => this.resume());
  }

  start(): void {
    this.started = true;
    for (const b of this.listeners) this.listenTo(b);
  }

  private listenTo({ spec, listener }: BoundTcp): void {
    listener.start((c) => this.accept(c, spec.network));
  }

  /** One more listener, accepted from at once where the others are. */
  listen(b: BoundTcp): void {
    this.listeners.push(b);
    if (this.started) this.listenTo(b);
  }

  /** No more of this listener; its sessions are the caller's to end. */
  unlisten(listener: TcpListener): void {
    const at = this.listeners.findIndex((b) => b.listener === listener);
    if (at >= 0) this.listeners.splice(at, 1);
    listener.close();
  }

  quiesce(): void {
    this.quiet = true;
  }

  async stop(): Promise<void> {
    this.quiet = true;
    for (const { listener } of this.listeners) listener.close();
    const closed = new Promise<void>((resolve) => {
      this.onAllClosed = resolve;
    });
    for (const s of [...this.sessions.values()]) s.peer.stop('the collector stops');
    if (this.open.size > 0) await closed;
  }

  get sessionCount(): number {
    return this.sessions.size;
  }

  /** Cease/Administrative Reset: the router may come back at once, to whichever node has the VIP. */
  openSessions(): (() => void)[] {
    return [...this.sessions].map(([key, s]) => () => {
      if (this.sessions.get(key) === s) s.peer.reset(6, 4, 'the collector is drained');
    });
  }

  status(): Record<string, unknown> {
    const sessions = [...this.sessions.values()].map((s) => ({
      peer: s.connection.remoteAddress,
      network: s.network,
      device: s.device?.id,
      state: s.peer.machine.state,
      asn: s.facts?.peer.asn,
      bgp_id: s.facts?.peer.bgp_id,
      hold_time: s.up ? s.peer.machine.holdTime : undefined,
      epoch: s.epoch,
      updates: s.updates,
      announced: s.announced,
      withdrawn: s.withdrawn,
      paused: this.paused.has(s) || undefined,
    }));
    return { configured: this.allowed.length, sessions };
  }

  private accept(c: Connection, network: string): void {
    const { pipeline, refusals } = this.context;
    const source = c.remoteAddress;
    const peer = this.find(network, source);
    if (!peer) {
      // Not a byte to strangers.
      refusals.refuse('bgp', network, source, 'peer-not-configured');
      c.destroy();
      return;
    }
    if (this.quiet || this.sessions.size >= this.config.max_sessions || !pipeline.accepts('session')) {
      if (!this.quiet) refusals.refuse('bgp', network, source, 'session-refused');
      this.turnAway(c, 8);
      return;
    }
    const key = `${network}|${source}`;
    const other = this.sessions.get(key);
    // RFC 4271 6.8. Both connections are the peer's, so there are no identifiers to compare: an Established one stays, else the newer one does.
    if (other?.up) {
      this.turnAway(c, 7);
      return;
    }
    other?.peer.reset(6, 7);
    this.run(c, network, key, peer.asn);
  }

  /** Cease with this subcode. */
  private turnAway(c: Connection, subcode: number): void {
    c.onClose = () => {};
    c.onData = () => {};
    c.write(encodeNotification({ code: 6, subcode }));
    c.end();
  }

  private find(network: string, address: string): AllowedPeer | undefined {
    const bytes = parseIp(address);
    return bytes && this.allowed.find((a) => a.network === network && prefixContains(a.prefix, bytes));
  }

  private run(c: Connection, network: string, key: string, peerAsn: number): void {
    const { clock } = this.context;
    const session: Session = {
      network,
      connection: c,
      epoch: clock.wallMicros(),
      up: false,
      deviceVersion: -1,
      announced: 0,
      withdrawn: 0,
      updates: 0,
      peer: new BgpPeer({
        role: 'passive',
        asn: this.config.asn,
        bgpId: this.config.router_id ?? bgpIdOf(c.localAddress),
        peerAsn,
        holdTime: this.config.hold_time / 1000,
        capabilities: CAPABILITIES,
        connectRetry: UNUSED_CONNECT_RETRY,
        clock,
        onEstablished: (e) => this.established(session, e),
        onDown: (d) => this.down(session, key, d),
        onDecodeError: (e, bytes) => {
          this.context.refusals.refuse('bgp', network, c.remoteAddress, e.code, e.layer);
          if (session.facts && bytes && e.layer === 'bgp.update')
            this.emit(session, 'bgp.update.v1', unreadable(session.facts, e, bytes));
        },
        onUpdate: (u, bytes) => {
          this.received.value++;
          session.updates++;
          // RFC 7606: its routes cannot be trusted, and the session ends.
          const fatal = u.problems?.find((p) => p.class === 'session-reset');
          if (fatal)
            this.context.refusals.refuse('bgp', network, c.remoteAddress, 'value', `bgp.update: ${fatal.reason}`);
          for (const said of update(session.facts!, u, bytes)) {
            session.announced += said.data.announce?.length ?? 0;
            session.withdrawn += said.data.withdraw?.length ?? 0;
            if (!this.emit(session, 'bgp.update.v1', said)) return;
          }
        },
      }),
    };
    this.sessions.set(key, session);
    this.open.set(c, session);
    c.onClose = (error) => {
      this.open.delete(c);
      session.peer.closed(c, error);
      if (this.open.size === 0) this.onAllClosed?.();
    };
    session.peer.start();
    session.peer.attach(c);
    c.onData = (chunk) => {
      session.peer.received(c, chunk);
      if (this.context.pipeline.paused && this.sessions.get(key) === session) this.pause(session);
    };
  }

  private established(s: Session, e: Established): void {
    const { connection: c } = s;
    const address = c.remoteAddress;
    const bgpId = e.received.bgpId;
    s.facts = {
      router: { name: '', address, bgp_id: bgpId },
      peer: { address, asn: e.received.asn, bgp_id: bgpId },
      epoch: s.epoch,
    };
    s.facts.router.name = this.device(s).name;
    s.up = true;
    this.upCount.value++;
    this.context.log.info({ peer: address, asn: e.received.asn, network: s.network }, 'BGP peer up');
    const local = { address: c.localAddress, port: c.localPort, asn: e.sent.asn, bgp_id: e.sent.bgpId };
    this.emit(s, 'bgp.peer.v1', peerUp(s.facts, local, e.sent, e.received, e.negotiated.holdTime));
  }

  private down(s: Session, key: string, d: DownFacts): void {
    if (this.sessions.get(key) === s) this.sessions.delete(key);
    this.paused.delete(s);
    const { log, refusals } = this.context;
    const address = s.connection.remoteAddress;
    const code = refusalOf(d);
    if (code !== undefined) refusals.refuse('bgp', s.network, address, code, d.reason);
    if (s.up) {
      s.up = false;
      this.upCount.value--;
      log.warn({ peer: address, network: s.network, ...d }, 'BGP peer down');
      this.emit(s, 'bgp.peer.v1', peerDown(s.facts!, d));
    } else log.debug({ peer: address, network: s.network, ...d }, 'BGP session did not come up');
    // The next connection has a machine of its own.
    s.peer.stop();
  }

  private device(s: Session): Device {
    const { inventory } = this.context;
    if (s.device === undefined || s.deviceVersion !== inventory.version) {
      const address = s.connection.remoteAddress;
      s.device = inventory.resolve({ network: s.network, address, bgpId: s.facts?.peer.bgp_id });
      s.deviceVersion = inventory.version;
      if (s.facts) s.facts.router.name = s.device.name;
    }
    return s.device;
  }

  /** False where the spool is full: the session is closed, so that the peer dumps afresh later, or elsewhere. */
  private emit(s: Session, type: EventType, said: Said<object>): boolean {
    const { clock, pipeline } = this.context;
    const micros = clock.wallMicros();
    const sec = Math.floor(micros / 1_000_000);
    const taken = pipeline.emit({
      type,
      sec,
      nsec: (micros - sec * 1_000_000) * 1000,
      network: s.network,
      device: this.device(s),
      keySuffix: `|${s.connection.remoteAddress}`,
      contentId: said.contentId,
      shed: 'session',
      data: said.data,
    });
    if (!taken && s.up) s.peer.reset(6, 8);
    return taken;
  }

  /** Too much waits for the disk: the peer is not read until it is written. */
  private pause(s: Session): void {
    if (this.paused.has(s)) return;
    this.paused.add(s);
    s.peer.setPaused(true);
    s.connection.pause();
  }

  private resume(): void {
    for (const s of this.paused) {
      s.peer.setPaused(false);
      s.connection.resume();
    }
    this.paused.clear();
  }
}

/** An IPv4 address is its own identifier; of an IPv6 one it is a hash. */
function bgpIdOf(address: string): string {
  if (!address.includes(':') && address !== '') return address;
  const id = formatIp(Buffer.from(sha256(address).slice(0, 8), 'hex'), 0, 4);
  return id === '0.0.0.0' ? '0.0.0.1' : id;
}

/** What we refused with the NOTIFICATION that ended a session; what could not be decoded is counted where it was found. */
function refusalOf(d: DownFacts): RefusalCode | undefined {
  const { code, subcode } = d.sent ?? { code: 0, subcode: 0 };
  if (code === 2 && subcode === 2) return 'bad-peer-as';
  if (code === 2 && (subcode === 3 || subcode === 4 || subcode === 6)) return 'open-refused';
  return code === 5 ? 'unexpected-message' : undefined;
}
