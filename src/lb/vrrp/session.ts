/**
 * VRRP as a back end: the virtual routers of the configuration, the interfaces they are on, and which advertisement is for whom.
 *
 *   ControlNet ─► Port (an interface) ─► VRID ─► VirtualRouterSession ─► VrrpMachine
 */
import { decodeArp } from '../../codec/arp/arp.ts';
import { formatMac } from '../../codec/ethernet.ts';
import { decodeNdp } from '../../codec/ndp/ndp.ts';
import { decodeVrrp } from '../../codec/vrrp/vrrp.ts';
import type { Clock } from '../../core/clock.ts';
import { parseIp } from '../../core/ip.ts';
import type { Logger } from '../../core/log.ts';
import { isDecodeError } from '../../core/result.ts';
import type { ControlNet, ControlPacket } from '../../net/control-types.ts';
import type { Registry } from '../../telemetry/registry.ts';
import type { BackEnd, BackEndConfig, BackEndEvents, NeededAddress, VipFacts, Wanted } from '../back-end.ts';
import type { Grade } from '../grade.ts';
import { type Family, familyOf, type VirtualRouter, virtualRouters } from './config.ts';
import { Port } from './port.ts';
import { VirtualRouterSession, type VirtualRouterStatus } from './router.ts';

export interface VrrpOptions {
  clock: Clock;
  log: Logger;
  metrics: Registry;
  net: ControlNet;
  events: BackEndEvents;
}

/** A VRID that is spoken on one of our interfaces and is none of ours. */
export interface ForeignRouter {
  interface: string;
  family: Family;
  vrid: number;
  source: string;
  priority: number;
  addresses: string[];
  /** UTC milliseconds. */
  last_seen: number;
}

export interface VrrpStatus {
  routers: VirtualRouterStatus[];
  foreign: ForeignRouter[];
}

/** Beyond the longest time that a virtual router asks for when it gives up. */
const STOP_MS = 3000;

export class VrrpBackEnd implements BackEnd {
  readonly kind = 'vrrp';
  private readonly o: VrrpOptions;
  private readonly routers = new Map<string, VirtualRouterSession>();
  private readonly ports = new Map<string, Port>();
  private readonly foreign = new Map<string, ForeignRouter>();
  private wanted: Wanted = { grade: 'dead', reason: 'starting', draining: false, vips: [] };
  /** Addresses of all VIPs of this node, which are nobody's own. */
  private vips = new Set<string>();
  private readonly unwatch: () => void;
  private busy = 0;
  private changed = '';
  private stopping: (() => void) | undefined;
  private stopped = false;

  constructor(options: VrrpOptions) {
    this.o = options;
    this.unwatch = options.net.watchLinks(() => this.batch(() => this.refresh()));
  }

  /** Only what differs is touched: a virtual router keeps its state unless its interface, VRID or family is another. */
  configure({ lb }: BackEndConfig): void {
    if (this.stopped) return;
    this.vips = new Set(lb.vips.flatMap((v) => v.addresses.map(host)));
    const wanted = new Map(virtualRouters(lb.vrrp, lb.vips).map((r) => [r.name, r]));
    this.batch(() => {
      for (const [name, session] of this.routers) {
        const next = wanted.get(name);
        if (next && next.interface === session.router.interface && next.vrid === session.router.vrid) {
          if (JSON.stringify(next) !== JSON.stringify(session.router)) session.reconfigure(next);
          continue;
        }
        session.stop('no longer configured');
        session.close();
        this.routers.delete(name);
        this.note('configuration');
      }
      for (const r of wanted.values()) if (!this.routers.has(r.name)) this.routers.set(r.name, this.session(r));
      for (const [name, port] of this.ports) {
        if ([...this.routers.values()].some((s) => s.port === port)) continue;
        port.close();
        this.ports.delete(name);
      }
      this.refresh();
      this.tell();
    });
  }

  want(w: Wanted): void {
    this.wanted = w;
    if (this.stopped) return;
    this.batch(() => this.tell());
  }

  addresses(): NeededAddress[] {
    const out: NeededAddress[] = [];
    for (const { session, prefixes } of this.assigned()) {
      if (!session.needsAddresses) continue;
      const { interface: iface, lifetime } = session.router;
      for (const prefix of prefixes)
        out.push({ prefix, interface: iface, scope: 'link', ...(lifetime > 0 ? { lifetime } : {}) });
    }
    return out;
  }

  facts(prefix: string): VipFacts | undefined {
    const vip = this.wanted.vips.find((v) => v.prefix === prefix);
    if (!vip) return undefined;
    const address = host(prefix);
    const session = this.routerOf(vip.vip, address);
    if (!session)
      return { announced: false, obstacle: `no virtual router has ${familyOf(address)} addresses of this VIP` };
    return {
      announced: session.announced(address),
      obstacle: session.obstacle(address),
      holder: session.holder,
      duplicate: session.duplicate(address),
    };
  }

  status(): VrrpStatus {
    return { routers: [...this.routers.values()].map((s) => s.status()), foreign: [...this.foreign.values()] };
  }

  /** Priority 0 for every active virtual router; resolves when another has taken over, or nobody can be there to do it. */
  async stop(text: string): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    this.unwatch();
    for (const s of this.routers.values()) s.stop(text || 'stopped');
    if ([...this.routers.values()].some((s) => s.needsAddresses)) {
      await new Promise<void>((resolve) => {
        const limit = this.o.clock.setTimeout(resolve, STOP_MS);
        this.stopping = () => {
          this.o.clock.clearTimeout(limit);
          resolve();
        };
      });
    }
    for (const s of this.routers.values()) s.close();
    for (const p of this.ports.values()) p.close();
    this.ports.clear();
  }

  private session(r: VirtualRouter): VirtualRouterSession {
    let port = this.ports.get(r.interface);
    if (!port) {
      const { net, clock } = this.o;
      const opened: Port = new Port({
        ...{ name: r.interface, net, clock },
        onVrrp: (family, p) => this.batch(() => this.onVrrp(opened, family, p)),
        onArp: (p) => this.onArp(opened, p),
        onNdp: (p) => this.onNdp(opened, p),
        onChange: () => this.batch(() => this.refresh()),
      });
      port = opened;
      this.ports.set(r.interface, port);
    }
    return new VirtualRouterSession(r, port, { ...this.o, onChange: (reason) => this.note(reason) });
  }

  /** Links, addresses or sockets may have changed. */
  private refresh(): void {
    for (const port of this.ports.values()) {
      const mine = [...this.routers.values()].filter((s) => s.port === port);
      port.refresh(new Set(mine.map((s) => s.router.family)));
      for (const s of mine) s.refresh(this.vips);
    }
  }

  private tell(): void {
    const { grade: g, draining, vips } = this.wanted;
    // One that drains is still there for what comes, but anybody else is better.
    const grade: Grade = draining && g === 'full' ? 'degraded' : g;
    const bound = new Set(vips.filter((v) => v.bound).map((v) => host(v.prefix)));
    for (const { session, prefixes } of this.assigned()) {
      const addresses = prefixes.map(host);
      session.want(
        grade,
        addresses,
        addresses.filter((a) => bound.has(a)),
      );
    }
  }

  /** Each virtual router with the wanted addresses that are its own. */
  private assigned(): { session: VirtualRouterSession; prefixes: string[] }[] {
    const out = [...this.routers.values()].map((session) => ({ session, prefixes: [] as string[] }));
    for (const v of this.wanted.vips) {
      const session = this.routerOf(v.vip, v.prefix);
      out.find((x) => x.session === session)?.prefixes.push(v.prefix);
    }
    return out;
  }

  private routerOf(vip: string, address: string): VirtualRouterSession | undefined {
    const family = familyOf(address);
    for (const s of this.routers.values()) if (s.router.family === family && s.router.vips.includes(vip)) return s;
    return undefined;
  }

  private onVrrp(port: Port, family: Family, p: ControlPacket): void {
    const source = parseIp(p.source);
    const destination = parseIp(p.destination);
    if (!source || !destination || source.length !== destination.length) return;
    const vrid = p.data[1];
    const session = [...this.routers.values()].find(
      (s) => s.port === port && s.router.family === family && s.router.vrid === vrid,
    );
    const a = decodeVrrp(p.data, source, destination);
    if (isDecodeError(a)) {
      session?.refuse(
        a.layer === 'vrrp.authentication'
          ? 'vrrp-authentication'
          : a.layer === 'vrrp.checksum'
            ? 'vrrp-checksum'
            : a.code,
        p.source,
      );
      return;
    }
    if (session) session.advert(a, p);
    else
      this.foreign.set(`${port.name} ${family} ${a.vrid}`, {
        ...{ interface: port.name, family, vrid: a.vrid, source: p.source, priority: a.priority },
        ...{ addresses: a.addresses, last_seen: this.o.clock.wallMs() },
      });
  }

  private onArp(port: Port, p: ControlPacket): void {
    const f = decodeArp(p.data);
    // Most frames are about other addresses.
    if (isDecodeError(f) || !this.vips.has(f.senderIp)) return;
    this.claimed(port, f.senderIp, f.senderMac);
  }

  private onNdp(port: Port, p: ControlPacket): void {
    const f = decodeNdp(p.data);
    if (isDecodeError(f) || f.kind !== 'advertisement' || !this.vips.has(f.target)) return;
    this.claimed(port, f.target, f.targetMac ?? f.ethernetSource);
  }

  private claimed(port: Port, address: string, mac: string): void {
    const link = port.link();
    if (!link) return;
    for (const s of this.routers.values()) if (s.port === port) s.claimed(address, mac, formatMac(link.mac));
  }

  /** Whatever happens inside is told once, when all of it has happened. */
  private batch(fn: () => void): void {
    this.busy++;
    fn();
    this.busy--;
    this.flush();
  }

  private note(reason: string): void {
    this.changed ||= reason;
    this.flush();
  }

  private flush(): void {
    if (this.busy > 0 || this.changed === '') return;
    const reason = this.changed;
    this.changed = '';
    if (this.stopped) {
      if (![...this.routers.values()].some((s) => s.needsAddresses)) this.stopping?.();
      return;
    }
    this.o.events.onChange(reason);
  }
}

function host(prefix: string): string {
  return prefix.split('/')[0];
}
