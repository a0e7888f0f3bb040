/** The BGP sessions of this node as one back end: every session is told all that is wanted, and sends only what differs. */
import type { Connection } from '../../net/types.ts';
import type { DownFacts } from '../../protocol/bgp/machine.ts';
import type { BackEnd, BackEndConfig, BackEndEvents, NeededAddress, VipFacts, Wanted } from '../back-end.ts';
import type { BgpConfig, BgpPeerConfig } from './config.ts';
import { sessionFingerprint } from './open.ts';
import { nodeMatches } from './policy.ts';
import { BgpSession } from './session.ts';
import type { SessionContext, SessionStatus } from './types.ts';

export interface BgpBackEndOptions extends SessionContext {
  node: string;
  events: BackEndEvents;
  /** Opens the listeners of lb.bgp.listen; absent: nobody can dial us. */
  listen?(bgp: BgpConfig, accept: (c: Connection) => void): BgpListeners;
}

/** Open until `close`. `problems`: those that could not be opened. */
export interface BgpListeners {
  readonly problems: string[];
  close(): void;
}

/** Subcodes of Cease (RFC 4486). */
const DECONFIGURED = 3;
const CHANGED = 6;

export class BgpBackEnd implements BackEnd {
  readonly kind = 'bgp';
  private readonly o: BgpBackEndOptions;
  private readonly sessions = new Map<string, BgpSession>();
  private readonly selectors = new Map<string, BgpPeerConfig>();
  private listeners: BgpListeners | undefined;
  private listening: string | undefined;
  private routerId = '';
  private iface = 'lo';
  private wanted: Wanted = { grade: 'dead', reason: 'starting', draining: false, decided: false, vips: [] };
  private applying = false;

  constructor(options: BgpBackEndOptions) {
    this.o = options;
  }

  /** A session is renewed only where its own settings changed. */
  configure({ lb, routerId }: BackEndConfig): void {
    const { bgp } = lb;
    this.routerId = routerId;
    this.iface = lb.interface;
    const mine = (bgp?.peers ?? []).filter((p) => nodeMatches(this.o.node, p.nodes));
    const peers = new Map(mine.map((p) => [p.address, p]));
    for (const [address, session] of this.sessions) {
      const p = peers.get(address);
      if (p && bgp && sessionFingerprint(p, bgp, routerId) === session.fingerprint) {
        this.selectors.set(address, p);
        session.configure(p, bgp);
        continue;
      }
      void session.stop(undefined, p ? CHANGED : DECONFIGURED);
      this.sessions.delete(address);
    }
    this.listen(bgp);
    for (const peer of peers.values()) {
      if (!bgp || this.sessions.has(peer.address)) continue;
      this.selectors.set(peer.address, peer);
      const session: BgpSession = new BgpSession({
        ...this.o,
        peer,
        bgp,
        routerId,
        onChange: (change) => {
          const { events } = this.o;
          if (change.state === 'up') events.onSession('bgp', peer.address, 'down', 'up', 'Established');
          else if (change.state === 'down' && change.facts.established)
            events.onSession('bgp', peer.address, 'up', 'down', describeDown(change.facts));
          else if (change.state === 'bfd' && (change.from === 'Up' || change.to === 'Up'))
            events.onSession('bfd', peer.address, change.from, change.to, `BFD ${change.to}`);
          // One change of what is wanted is one event, however many sessions it goes through.
          if (!this.applying)
            events.onChange(change.state === 'down' ? describeDown(change.facts) : this.wanted.reason);
        },
      });
      this.sessions.set(peer.address, session);
      session.start();
      this.tell(session);
    }
  }

  want(w: Wanted): void {
    this.wanted = w;
    this.applying = true;
    for (const s of this.sessions.values()) this.tell(s);
    this.applying = false;
  }

  /** On the node from start to exit: packets that are still on their way are taken whatever was announced. */
  addresses(): NeededAddress[] {
    return this.wanted.vips.map((v) => ({ prefix: v.prefix, interface: this.iface, scope: 'host' }));
  }

  facts(prefix: string): VipFacts {
    const sessions = [...this.sessions.values()];
    const family = prefix.includes(':') ? '2/1' : '1/1';
    return {
      announced: sessions.some((s) => s.announced(prefix)),
      peers: sessions.map((s) => {
        const { established_since, end_of_rib } = s.status();
        return {
          peer: s.address,
          announced: s.announced(prefix),
          established_since,
          end_of_rib: end_of_rib.includes(family),
          obstacle: s.obstacle(prefix),
        };
      }),
    };
  }

  status(): { router_id: string; peers: SessionStatus[]; listen_problems?: string[] } {
    const problems = this.listeners?.problems ?? [];
    const peers = [...this.sessions.values()].map((s) => s.status());
    return { router_id: this.routerId, peers, ...(problems.length > 0 && { listen_problems: problems }) };
  }

  /** Ends the sessions with `text` in the NOTIFICATION (RFC 9003). */
  async stop(text: string): Promise<void> {
    this.listeners?.close();
    await Promise.all([...this.sessions.values()].map((s) => s.stop(text)));
  }

  private tell(s: BgpSession): void {
    const only = this.selectors.get(s.address)?.vips;
    const bound = this.wanted.vips.filter((v) => v.bound && (only === undefined || only.includes(v.vip)));
    const standby = bound.filter((v) => !v.preferred).map((v) => v.prefix);
    s.want(
      bound.map((v) => v.prefix),
      this.wanted.grade,
      standby,
      this.wanted.decided,
    );
  }

  /** Listeners are opened again where their addresses or the passwords of peers changed. */
  private listen(bgp: BgpConfig | undefined): void {
    const print = JSON.stringify(bgp && [bgp.listen, bgp.peers.map((p) => [p.address, p.password, p.tcp_ao, p.gtsm])]);
    if (print === this.listening) return;
    this.listening = print;
    this.listeners?.close();
    this.listeners = undefined;
    if (!bgp || bgp.listen.length === 0 || !this.o.listen) return;
    this.listeners = this.o.listen(bgp, (c) => {
      const session = this.sessions.get(c.remoteAddress);
      // Not a byte to strangers.
      if (session) session.accept(c);
      else c.destroy();
    });
  }
}

/** One line for people: reason, NOTIFICATION and its text. */
function describeDown(facts: DownFacts): string {
  const n = facts.received ?? facts.sent;
  const parts = [facts.reason];
  if (n) parts.push(`${facts.received ? 'received' : 'sent'} ${n.name}${n.hard ? ' (Hard Reset)' : ''}`);
  if (n?.text) parts.push(n.text);
  return parts.join(': ');
}
