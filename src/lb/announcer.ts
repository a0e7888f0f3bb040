/**
 * The wanted VIPs and the grade on one side, the back ends (BGP sessions) and the addresses on the other. It says what is, not what was meant:
 * a VIP is announced to a peer when its route was handed to an Established session.
 */
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Dial } from '../net/types.ts';
import type { DownFacts } from '../protocol/bgp/machine.ts';
import type { Registry } from '../telemetry/registry.ts';
import { type Addresses, type AddressStore, VipAddresses } from './addresses.ts';
import { BgpSession, type SessionStatus, sessionFingerprint } from './bgp/session.ts';
import type { LbConfig } from './config.ts';
import type { Grade } from './grade.ts';
import { deriveRouterId } from './router-id.ts';

export type VipState = 'announced' | 'degraded' | 'withdrawn';

/** The fields of a `system.v1` event. */
export type LbEvent =
  | { kind: 'grade'; reason: string; from: Grade; to: Grade; reasons: string[] }
  | { kind: 'vip'; reason: string; vip: string; addresses: string[]; from: VipState; to: VipState }
  | { kind: 'session'; reason: string; protocol: 'bgp'; peer: string; from: string; to: string };

export interface AnnouncerOptions {
  config: LbConfig;
  node: string;
  clock: Clock;
  log: Logger;
  metrics: Registry;
  dial: Dial;
  addresses: Addresses;
  store: AddressStore;
  random?: () => number;
  onEvent(e: LbEvent): void;
}

export interface VipStatus {
  name: string;
  address: string;
  /** The interface that carries it; absent: it is not bound and therefore not announced. */
  interface?: string;
  /** Added by us. */
  ours: boolean;
  error?: string;
  /** UTC milliseconds of the last packet sent to the VIP, over all its addresses. */
  last_packet?: number;
  /** True where at least one peer has it. */
  announced: boolean;
  peers: { peer: string; announced: boolean; established_since?: number; end_of_rib: boolean; obstacle?: string }[];
}

export class Announcer {
  private readonly o: AnnouncerOptions;
  private config: LbConfig;
  private readonly vipAddresses: VipAddresses;
  private readonly sessions = new Map<string, BgpSession>();
  /** What was last said of each address that is not withdrawn. */
  private readonly said = new Map<string, { vip: string; state: VipState }>();
  private applying = false;
  private grade: Grade = 'dead';
  private why = 'starting';
  private routerId = '';

  constructor(options: AnnouncerOptions) {
    this.o = options;
    this.config = options.config;
    this.vipAddresses = new VipAddresses({ ...options, onChange: () => this.apply() });
  }

  /** Binds the addresses and starts the sessions. */
  async start(): Promise<void> {
    this.routerId = await this.chooseRouterId();
    await this.vipAddresses.start(this.prefixes(), this.config.interface);
    this.syncSessions();
    this.apply();
  }

  /** Only what differs is touched; a session is renewed only where its own settings changed. */
  async reload(config: LbConfig): Promise<void> {
    this.config = config;
    this.routerId = await this.chooseRouterId();
    // Withdraw first what goes, so that no packet is routed here for an address that is not.
    this.apply();
    await this.vipAddresses.want(this.prefixes(), config.interface);
    this.syncSessions();
    this.apply();
  }

  setGrade(grade: Grade, why: string): void {
    this.grade = grade;
    this.why = why;
    this.apply();
  }

  /** True where some Established session was sent a VIP. */
  get announcing(): boolean {
    return this.said.size > 0;
  }

  /** Ends the sessions with `text` in the NOTIFICATION. */
  async closeSessions(text: string): Promise<void> {
    const all = [...this.sessions.values()];
    await Promise.all(all.map((s) => s.stop(text)));
  }

  /** Removes the addresses we added. */
  async removeAddresses(): Promise<void> {
    await this.vipAddresses.stop();
  }

  /** `lastPacket`: by name of the VIP. */
  status(lastPacket: ReadonlyMap<string, number>): { router_id: string; vips: VipStatus[]; peers: SessionStatus[] } {
    const sessions = [...this.sessions.values()];
    const vips: VipStatus[] = [];
    for (const vip of this.config.vips) {
      for (const address of vip.addresses) {
        const bound = this.vipAddresses.get(address);
        vips.push({
          name: vip.name,
          address,
          interface: bound.interface,
          ours: bound.ours,
          error: bound.error,
          last_packet: lastPacket.get(vip.name),
          announced: sessions.some((s) => s.announced(address)),
          peers: sessions.map((s) => {
            const { established_since, end_of_rib } = s.status();
            const family = address.includes(':') ? '2/1' : '1/1';
            return {
              peer: s.address,
              announced: s.announced(address),
              established_since,
              end_of_rib: end_of_rib.includes(family),
              obstacle: s.obstacle(address),
            };
          }),
        });
      }
    }
    return { router_id: this.routerId, vips, peers: sessions.map((s) => s.status()) };
  }

  private prefixes(): string[] {
    return this.config.vips.flatMap((v) => v.addresses);
  }

  private async chooseRouterId(): Promise<string> {
    const configured = this.config.bgp?.router_id;
    if (configured !== undefined) return configured;
    // A derived one stays: another would reset every session.
    if (this.routerId !== '') return this.routerId;
    let own: string[] = [];
    try {
      own = (await this.o.addresses.list()).map((a) => a.prefix);
    } catch {
      // The hash of the name serves as well.
    }
    return deriveRouterId(this.o.node, own, this.prefixes());
  }

  private syncSessions(): void {
    const bgp = this.config.bgp;
    const peers = new Map((bgp?.peers ?? []).map((p) => [p.address, p]));
    for (const [address, session] of this.sessions) {
      const p = peers.get(address);
      if (p && bgp && sessionFingerprint(p, bgp.asn, this.routerId) === session.fingerprint) continue;
      void session.stop('', true);
      this.sessions.delete(address);
    }
    for (const peer of peers.values()) {
      if (!bgp || this.sessions.has(peer.address)) continue;
      const session: BgpSession = new BgpSession({
        ...this.o,
        peer,
        asn: bgp.asn,
        routerId: this.routerId,
        onChange: (change) => {
          if (change.state === 'up') this.sessionEvent(peer.address, 'down', 'up', 'Established');
          else if (change.state === 'down' && change.facts.established)
            this.sessionEvent(peer.address, 'up', 'down', describeDown(change.facts));
          this.observe(change.state === 'down' ? describeDown(change.facts) : this.why);
        },
      });
      this.sessions.set(peer.address, session);
      session.start();
    }
  }

  /** Tells every session what is wanted: the bound VIPs, at this grade. */
  private apply(): void {
    const bound = this.prefixes().filter((p) => this.vipAddresses.get(p).interface !== undefined);
    // One change is one event, however many sessions it goes through.
    this.applying = true;
    for (const s of this.sessions.values()) s.want(bound, this.grade);
    this.applying = false;
    this.observe(this.why);
  }

  /** Compares what the peers have with what they had: the metric and the events of VIPs. */
  private observe(reason: string): void {
    if (this.applying) return;
    const sessions = [...this.sessions.values()];
    const changes = new Map<string, Extract<LbEvent, { kind: 'vip' }>>();
    const change = (vip: string, address: string, to: VipState, why: string) => {
      const from = this.said.get(address)?.state ?? 'withdrawn';
      if (from === to) return;
      if (to === 'withdrawn') this.said.delete(address);
      else this.said.set(address, { vip, state: to });
      const key = `${vip} ${from} ${to}`;
      const known = changes.get(key);
      if (known) known.addresses.push(address);
      else changes.set(key, { kind: 'vip', reason: why, vip, addresses: [address], from, to });
    };
    const configured = new Set<string>();
    for (const vip of this.config.vips) {
      let any = false;
      for (const address of vip.addresses) {
        configured.add(address);
        const there = sessions.some((s) => s.announced(address));
        any ||= there;
        change(vip.name, address, there ? (this.grade === 'degraded' ? 'degraded' : 'announced') : 'withdrawn', reason);
      }
      this.o.metrics.handle('tidegate_lb_vip_announced', { vip: vip.name }).value = any ? 1 : 0;
    }
    for (const [address, { vip }] of this.said) {
      if (configured.has(address)) continue;
      change(vip, address, 'withdrawn', 'no longer configured');
      if (!this.config.vips.some((v) => v.name === vip))
        this.o.metrics.handle('tidegate_lb_vip_announced', { vip }).value = 0;
    }
    for (const e of changes.values()) this.o.onEvent(e);
  }

  private sessionEvent(peer: string, from: string, to: string, reason: string): void {
    this.o.onEvent({ kind: 'session', reason, protocol: 'bgp', peer, from, to });
  }
}

/** One line for people: reason, NOTIFICATION and its text. */
function describeDown(facts: DownFacts): string {
  const n = facts.received ?? facts.sent;
  const parts = [facts.reason];
  if (n) parts.push(`${facts.received ? 'received' : 'sent'} ${n.name}`);
  if (n?.text) parts.push(n.text);
  return parts.join(': ');
}
