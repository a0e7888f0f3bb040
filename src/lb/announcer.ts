/**
 * The wanted VIPs and the grade on one side, the back ends and the addresses on the other.
 *
 *   configuration, grade ─► wanted ─► back end (BGP, VRRP, layer 2) ─► needed addresses ─► bound ─► wanted …
 *
 * It says what is, not what was meant: a VIP is announced when its back end drew its packets here.
 */
import { type Addresses, type AddressStore, VipAddresses } from './addresses.ts';
import type { BackEnd, BackEndEvents, NeededAddress, PeerFacts, VipFacts } from './back-end.ts';
import { BgpBackEnd, type BgpBackEndOptions } from './bgp/back-end.ts';
import type { SessionStatus } from './bgp/types.ts';
import type { LbConfig, LbVip } from './config.ts';
import type { Grade } from './grade.ts';
import type { L2Status } from './l2/types.ts';
import { deriveRouterId } from './router-id.ts';
import type { VrrpStatus } from './vrrp/session.ts';

export type VipState = 'announced' | 'degraded' | 'withdrawn';

/** The fields of a `system.v1` event. */
export type LbEvent =
  | { kind: 'grade'; reason: string; from: Grade; to: Grade; reasons: string[] }
  | { kind: 'vip'; reason: string; vip: string; addresses: string[]; from: VipState; to: VipState }
  /** Something is wrong with a VIP: two owners, a duplicate address. */
  | { kind: 'vip'; reason: string; facts: Record<string, unknown> }
  | { kind: 'session'; reason: string; protocol: string; peer: string; from: string; to: string };

type VipChange = Extract<LbEvent, { from: VipState }>;

export interface AnnouncerOptions extends Omit<BgpBackEndOptions, 'events'> {
  config: LbConfig;
  addresses: Addresses;
  store: AddressStore;
  /** Back ends beside BGP. */
  backEnds?(events: BackEndEvents): BackEnd[];
  /** Mode `owner`: this node is the preferred one for the VIP of that name. Absent: it is for all. */
  preferred?(vip: string): boolean;
  /** Why this address (`address/length`) must draw no packets yet; absent: none is held back. */
  held?(prefix: string): string | undefined;
  /** False while it is not known yet how good this node is, after a restart of the speaker; absent: it always is. */
  decided?(): boolean;
  onEvent(e: LbEvent): void;
}

export interface VipStatus {
  name: string;
  address: string;
  mode: 'ecmp' | 'owner';
  /** Mode `owner`: this node is the preferred one. */
  preferred: boolean;
  back_end: BackEnd['kind'];
  /** The interface that carries it; absent: it is not on this node. */
  interface?: string;
  /** Added by us. */
  ours: boolean;
  error?: string;
  /** UTC milliseconds of the last packet sent to this address. */
  last_packet?: number;
  /** This node draws its packets: a peer was sent it, VRRP is active, the layer-2 lease is ours. */
  announced: boolean;
  obstacle?: string;
  /** Who has it, where that is another node as it should be. */
  holder?: string;
  /** Somebody else on the LAN says that the address is at this MAC address. */
  duplicate?: VipFacts['duplicate'];
  /** BGP: what each peer has of it. */
  peers: PeerFacts[];
}

export interface AnnouncerStatus {
  router_id: string;
  vips: VipStatus[];
  /** BGP sessions. */
  peers: SessionStatus[];
  /** Addresses of lb.bgp.listen that are not open, and why. */
  listen_problems?: string[];
  vrrp?: VrrpStatus;
  l2?: L2Status;
}

export class Announcer {
  private readonly o: AnnouncerOptions;
  private config: LbConfig;
  private readonly vipAddresses: VipAddresses;
  private readonly bgp: BgpBackEnd;
  private readonly backEnds: BackEnd[];
  /** What was last said of each address that is not withdrawn. */
  private readonly said = new Map<string, { vip: string; state: VipState }>();
  private applying = false;
  private again = false;
  private needed = '';
  private grade: Grade = 'dead';
  private why = 'starting';
  private draining = false;
  private routerId = '';
  private ended = false;

  constructor(options: AnnouncerOptions) {
    this.o = options;
    this.config = options.config;
    this.vipAddresses = new VipAddresses({ ...options, onChange: () => this.apply() });
    const events: BackEndEvents = {
      onChange: (reason) => this.changed(reason),
      onSession: (protocol, peer, from, to, reason) =>
        options.onEvent({ kind: 'session', reason, protocol, peer, from, to }),
      onAlarm: (reason, facts) => {
        options.log.error({ ...facts }, reason);
        options.onEvent({ kind: 'vip', reason, facts });
      },
    };
    this.bgp = new BgpBackEnd({ ...options, events });
    this.backEnds = [this.bgp, ...(options.backEnds?.(events) ?? [])];
  }

  /** Binds the addresses and starts the back ends. */
  async start(): Promise<void> {
    await this.configure();
    await this.vipAddresses.start(this.collect());
    this.apply();
  }

  /** Only what differs is touched; a session is renewed only where its own settings changed. */
  async reload(config: LbConfig): Promise<void> {
    this.config = config;
    // Withdraw first what goes, so that no packet is routed here for an address that is not.
    this.apply();
    await this.configure();
    await this.vipAddresses.want(this.collect());
    this.apply();
  }

  /** `draining`: worse on purpose and for good, so that no peer is asked to keep our routes. */
  setGrade(grade: Grade, why: string, draining = false): void {
    this.grade = grade;
    this.why = why;
    this.draining = draining;
    this.apply();
  }

  /** What the options ask others for has changed: who is preferred, what is held back, what is decided. */
  refresh(why: string): void {
    this.apply(why);
  }

  /** True where this node draws packets of some VIP. */
  get announcing(): boolean {
    return this.said.size > 0;
  }

  /** Ends every session, with `text` where the protocol can say it. */
  async stopBackEnds(text: string): Promise<void> {
    await Promise.all(this.backEnds.map((b) => b.stop(text)));
  }

  /** Removes the addresses we added. */
  async removeAddresses(): Promise<void> {
    this.ended = true;
    await this.vipAddresses.stop();
  }

  /** `lastPacket`: by address. */
  status(lastPacket: ReadonlyMap<string, number>): AnnouncerStatus {
    const vips: VipStatus[] = [];
    for (const vip of this.config.vips) {
      const backEnd = this.backEndOf(vip);
      for (const address of vip.addresses) {
        const bound = this.vipAddresses.get(address);
        const facts: VipFacts = backEnd.facts(address) ?? { announced: false };
        vips.push({
          name: vip.name,
          address,
          mode: vip.mode,
          preferred: this.isPreferred(vip),
          back_end: backEnd.kind,
          interface: bound.interface,
          ours: bound.ours,
          error: bound.error,
          last_packet: lastPacket.get(address.split('/')[0]),
          announced: facts.announced,
          obstacle: this.o.held?.(address) ?? facts.obstacle,
          holder: facts.holder,
          duplicate: facts.duplicate,
          peers: facts.peers ?? [],
        });
      }
    }
    const out: AnnouncerStatus = { ...this.bgp.status(), vips };
    for (const b of this.backEnds) {
      if (b.kind === 'vrrp') out.vrrp = b.status() as VrrpStatus;
      else if (b.kind === 'l2') out.l2 = b.status() as L2Status;
    }
    return out;
  }

  private async configure(): Promise<void> {
    this.routerId = await this.chooseRouterId();
    for (const b of this.backEnds) b.configure({ lb: this.config, node: this.o.node, routerId: this.routerId });
    this.tell();
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
    return deriveRouterId(
      this.o.node,
      own,
      this.config.vips.flatMap((v) => v.addresses),
    );
  }

  private backEndOf(vip: LbVip): BackEnd {
    const kind = backEndKind(this.config, vip.name);
    return this.backEnds.find((b) => b.kind === kind) ?? this.bgp;
  }

  private isPreferred(vip: LbVip): boolean {
    return vip.mode !== 'owner' || (this.o.preferred?.(vip.name) ?? true);
  }

  /** All addresses that some back end needs now. */
  private collect(): NeededAddress[] {
    return this.backEnds.flatMap((b) => b.addresses());
  }

  /** Tells every back end what is wanted of it. */
  private tell(): void {
    const { grade, why: reason, draining } = this;
    for (const b of this.backEnds) {
      const vips = this.config.vips
        .filter((v) => this.backEndOf(v) === b)
        .flatMap((v) =>
          v.addresses.map((prefix) => {
            const bound = this.vipAddresses.get(prefix).interface !== undefined;
            const held = this.o.held?.(prefix) !== undefined;
            return { vip: v.name, prefix, mode: v.mode, preferred: this.isPreferred(v), bound, held };
          }),
        )
        // On a LAN who has the address has the packets: it is not asked for. BGP has it on the node and does not say so.
        .filter((v) => b.kind === 'bgp' || !v.held)
        .map(({ held, ...v }) => ({ ...v, bound: v.bound && !held }));
      b.want({ grade, reason, draining, decided: this.o.decided?.() ?? true, vips });
    }
  }

  /** One change is one event, however many back ends and sessions it goes through. */
  private apply(why = this.why): void {
    if (this.applying) {
      this.again = true;
      return;
    }
    this.applying = true;
    do {
      this.again = false;
      this.tell();
    } while (this.again);
    this.applying = false;
    this.bind();
    this.observe(why);
  }

  private changed(reason: string): void {
    if (this.applying) return;
    this.bind();
    this.observe(reason);
  }

  /** Has bound what the back ends need; `onChange` of the addresses leads back to `apply`. */
  private bind(): void {
    if (this.ended) return;
    const needed = this.collect();
    const print = JSON.stringify(needed);
    if (print === this.needed) return;
    this.needed = print;
    void this.vipAddresses.want(needed);
  }

  /** What is last known to be announced of each configured address, without a length. */
  states(): { vip: string; address: string; state: VipState }[] {
    return this.config.vips.flatMap((v) =>
      v.addresses.map((a) => ({
        vip: v.name,
        address: a.split('/')[0],
        state: this.said.get(a)?.state ?? 'withdrawn',
      })),
    );
  }

  /** Compares what is announced with what was: the metric and the events of VIPs. */
  private observe(reason: string): void {
    const changes = new Map<string, VipChange>();
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
      const backEnd = this.backEndOf(vip);
      let any = false;
      for (const address of vip.addresses) {
        configured.add(address);
        const there = backEnd.facts(address)?.announced === true;
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
}

/** One VIP, one back end: VRRP or layer 2 where it is named there, layer 2 also where there is no BGP peer; else BGP. */
export function backEndKind(lb: LbConfig, vip: string): BackEnd['kind'] {
  if (lb.vrrp.some((v) => v.vips.includes(vip))) return 'vrrp';
  if (!lb.l2) return 'bgp';
  const l2 = lb.l2.vips ? lb.l2.vips.includes(vip) : (lb.bgp?.peers.length ?? 0) === 0;
  return l2 ? 'l2' : 'bgp';
}
