/** One virtual router: drives its machine with advertisements, time and the state of its interface, and counts. */
import type { Buffer } from 'node:buffer';
import { encodeVrrp, type ReceivedAdvert, VRRP_GROUP_IPV4, VRRP_GROUP_IPV6 } from '../../codec/vrrp/vrrp.ts';
import type { Clock, TimerHandle } from '../../core/clock.ts';
import { parseIp } from '../../core/ip.ts';
import type { Logger } from '../../core/log.ts';
import type { ControlPacket } from '../../net/control-types.ts';
import type { RefusalCode } from '../../telemetry/codes.ts';
import type { Registry } from '../../telemetry/registry.ts';
import type { BackEndEvents, VipFacts } from '../back-end.ts';
import type { Grade } from '../grade.ts';
import { familyOf, type VirtualRouter } from './config.ts';
import {
  refuseAdvert,
  sameSet,
  type VrrpEffect,
  type VrrpInput,
  VrrpMachine,
  type VrrpState,
  type VrrpTimer,
} from './machine.ts';
import type { Port } from './port.ts';

export interface RouterOptions {
  clock: Clock;
  log: Logger;
  metrics: Registry;
  events: BackEndEvents;
  /** State or need of addresses has changed. */
  onChange(reason: string): void;
}

/** Part of `lb status`. */
export interface VirtualRouterStatus {
  name: string;
  interface: string;
  family: string;
  vrid: number;
  version: 2 | 3;
  state: VrrpState;
  /** Why it is in this state. */
  reason: string;
  /** UTC milliseconds. */
  since: number;
  /** 0: it stays out. */
  priority: number;
  /** The active router. */
  active?: { address: string; priority: number; self: boolean };
  /** Milliseconds. */
  advert_interval: number;
  /** Of the active router, milliseconds. */
  active_advert_interval: number;
  mode: 'multicast' | 'unicast';
  source: string;
  vips: { address: string; bound: boolean }[];
  adverts: { sent: number; received: number };
  refused: Record<string, number>;
  /** Active routers beside us that do not give way. */
  rivals: { source: string; priority: number; last_seen: number }[];
  error?: string;
}

const STATE_VALUE: Record<VrrpState, number> = { Initialize: 0, Backup: 1, Active: 2 };
/** Adverts of one rival while we are active that mean it does not hear us, or refuses what it hears. */
const RIVAL_ADVERTS = 5;
const COMPLAINT_MS = 30_000;
/** A former owner may still say what was true a moment ago. */
const SETTLE_MS = 1000;
const REMEMBERED = 256;
/** A stranger who was not heard for so long is nothing to report any more. */
const DUPLICATE_MS = 600_000;

export class VirtualRouterSession {
  router: VirtualRouter;
  readonly port: Port;
  private readonly o: RouterOptions;
  private readonly machine: VrrpMachine;
  private readonly timers = new Map<VrrpTimer, TimerHandle>();
  private addresses: string[] = [];
  private bound: string[] = [];
  private primary = '';
  private since: number;
  /** Monotonic. */
  private changedAt: number;
  private readonly adverts = { sent: 0, received: 0 };
  private readonly refused: Record<string, number> = {};
  private readonly said = new Set<string>();
  private readonly complained = new Map<string, number>();
  private readonly rivals = new Map<string, { count: number; priority: number; at: number }>();
  /** Who else says that he has an address of ours; monotonic. */
  private readonly duplicates = new Map<string, { mac: string; at: number }>();
  private error: string | undefined;
  private closed = false;

  constructor(router: VirtualRouter, port: Port, options: RouterOptions) {
    this.router = router;
    this.port = port;
    this.o = options;
    this.machine = new VrrpMachine(router.settings);
    this.since = options.clock.wallMs();
    this.changedAt = options.clock.nowMs();
    this.measure();
  }

  get state(): VrrpState {
    return this.machine.state;
  }

  get needsAddresses(): boolean {
    return this.machine.needsAddresses;
  }

  /** Settings changed; interface, VRID and family did not. */
  reconfigure(router: VirtualRouter): void {
    this.router = router;
    this.said.clear();
    const out: VrrpEffect[] = [];
    this.machine.reconfigure(this.o.clock.nowMs(), router.settings, out);
    this.apply(out);
  }

  /** `addresses` without length, in the order of the configuration; `bound`: those on this node; `vips`: all VIPs of the node. */
  want(grade: Grade, addresses: string[], bound: string[]): void {
    this.addresses = this.router.family === 'ipv4' ? addresses : linkLocalFirst(addresses);
    this.bound = bound;
    this.input({ type: 'addresses', addresses: this.addresses });
    this.input({ type: 'bound', addresses: bound });
    this.input({ type: 'grade', grade });
  }

  /** The interface or its addresses may have changed. `vips`: addresses that are none of this node's own. */
  refresh(vips: ReadonlySet<string>): void {
    const { family } = this.router;
    const link = this.port.link();
    let obstacle = '';
    this.primary = '';
    if (!link) obstacle = `there is no interface ${this.port.name}`;
    else if (!link.up) obstacle = `interface ${this.port.name} is down`;
    else if (!this.port.usable(family)) obstacle = this.port.errors.get(family) ?? 'no socket';
    else {
      const own = link.addresses.map((a) => a.split('/')[0]).filter((a) => familyOf(a) === family && !vips.has(a));
      this.primary = this.choose(own) ?? '';
      if (this.primary === '')
        obstacle =
          this.router.source !== undefined
            ? `${this.router.source} is not an address of ${this.port.name}`
            : `${this.port.name} has no ${family} address to send from`;
    }
    this.input({ type: 'link', obstacle, primary: this.primary });
  }

  /** An advertisement for our VRID that could be decoded. */
  advert(a: ReceivedAdvert, p: ControlPacket): void {
    const { settings, peers } = this.router;
    const toGroup = p.destination === VRRP_GROUP_IPV4 || p.destination === VRRP_GROUP_IPV6;
    const interval = a.interval * 10;
    const facts = { version: a.version, source: p.source, toGroup, ttl: p.ttl, interval };
    const code = refuseAdvert(facts, { ...settings, primary: this.primary, peers });
    if (code !== undefined) {
      // Our own packets come back from some switches; that says nothing.
      if (code !== 'vrrp-own') this.refuse(code as RefusalCode, p.source);
      return;
    }
    this.adverts.received++;
    this.handle('tidegate_lb_vrrp_adverts_total', { direction: 'received' }).value++;
    if (!sameSet(a.addresses, this.addresses)) this.otherAddresses(a, p.source);
    if (this.state === 'Active' && a.priority > 0) this.rival(p.source, a.priority);
    this.input({
      type: 'advert',
      advert: { source: p.source, priority: a.priority, interval, addresses: a.addresses },
    });
  }

  /** Counts what was not accepted; said once for each sender. */
  refuse(code: RefusalCode, source: string): void {
    this.refused[code] = (this.refused[code] ?? 0) + 1;
    this.handle('tidegate_lb_vrrp_refused_total', { code }).value++;
    this.once(`${code} ${source}`, () =>
      this.o.log.warn({ instance: this.router.name, source, code }, 'VRRP advertisement refused'),
    );
  }

  /** Somebody else says that `address` is at `mac`. */
  claimed(address: string, mac: string, ownMac: string): void {
    if (mac === ownMac || !this.bound.includes(address)) return;
    if (this.state !== 'Active') {
      this.input({ type: 'claimed', address });
      return;
    }
    const now = this.o.clock.nowMs();
    if (now - this.changedAt < SETTLE_MS) return;
    this.duplicates.set(address, { mac, at: now });
    if (!this.mayComplain(`address ${address}`, now)) return;
    this.o.events.onAlarm(`${address} is also at ${mac}: two hosts have this address`, {
      ...{ protocol: 'vrrp', instance: this.router.name, address, mac },
    });
    this.port.announce(this.router.name, [address], 1);
  }

  /** Gives up; `needsAddresses` says when the addresses may go. */
  stop(reason: string): void {
    this.input({ type: 'stop', reason });
  }

  close(): void {
    this.closed = true;
    for (const h of this.timers.values()) this.o.clock.clearTimeout(h);
    this.timers.clear();
    this.port.cancel(this.router.name);
    this.handle('tidegate_lb_vrrp_state').value = 0;
  }

  obstacle(address: string): string | undefined {
    const { machine } = this;
    if (machine.state === 'Active') return this.bound.includes(address) ? this.error : 'the address is not bound yet';
    if (machine.state === 'Initialize') return machine.reason;
    const a = machine.active;
    return a ? `${a.source} is active with priority ${a.priority}` : 'waiting for an active router to be heard';
  }

  /** Somebody else on the LAN has it. */
  duplicate(address: string): VipFacts['duplicate'] {
    const d = this.duplicates.get(address);
    const ago = d && Math.round(this.o.clock.nowMs() - d.at);
    return d && ago! <= DUPLICATE_MS ? { mac: d.mac, ago_ms: ago! } : undefined;
  }

  /** The active router, where that is another one. */
  get holder(): string | undefined {
    return this.state === 'Backup' ? this.machine.active?.source : undefined;
  }

  announced(address: string): boolean {
    return this.state === 'Active' && this.bound.includes(address);
  }

  status(): VirtualRouterStatus {
    const { router, machine } = this;
    const heard = machine.active && { address: machine.active.source, priority: machine.active.priority, self: false };
    const self = { address: this.primary, priority: machine.priority, self: true };
    return {
      name: router.name,
      interface: router.interface,
      family: router.family,
      vrid: router.vrid,
      version: router.settings.version,
      state: machine.state,
      reason: machine.reason,
      since: this.since,
      priority: machine.unfit === '' ? machine.priority : 0,
      active: machine.state === 'Active' ? self : heard,
      advert_interval: router.settings.advertInterval,
      active_advert_interval: machine.activeInterval,
      mode: router.peers ? 'unicast' : 'multicast',
      source: this.primary,
      vips: this.addresses.map((address) => ({ address, bound: this.bound.includes(address) })),
      adverts: { ...this.adverts },
      refused: { ...this.refused },
      rivals: [...this.rivals].flatMap(([source, { count, priority, at }]) =>
        count < RIVAL_ADVERTS ? [] : [{ source, priority, last_seen: at }],
      ),
      error: this.error,
    };
  }

  private input(input: VrrpInput): void {
    if (this.closed) return;
    const out: VrrpEffect[] = [];
    this.machine.handle(this.o.clock.nowMs(), input, out);
    this.apply(out);
  }

  private apply(out: readonly VrrpEffect[]): void {
    let changed = '';
    for (const e of out) {
      switch (e.type) {
        case 'send':
          this.send(e.priority, e.interval);
          break;
        case 'set-timer':
          this.setTimer(e.timer, e.ms);
          break;
        case 'clear-timer':
          this.clearTimer(e.timer);
          break;
        case 'announce':
          this.port.announce(this.router.name, e.addresses, e.rounds);
          break;
        case 'released':
          changed ||= 'released';
          break;
        case 'unbound':
          this.o.events.onAlarm('given up: an address could not be bound', {
            ...{ protocol: 'vrrp', instance: this.router.name, addresses: e.addresses },
          });
          break;
        case 'state':
          this.moved(e.from, e.to, e.reason);
          changed = e.reason;
      }
    }
    if (changed !== '') this.o.onChange(changed);
  }

  private moved(from: VrrpState, to: VrrpState, reason: string): void {
    const { clock, events, log } = this.o;
    this.since = clock.wallMs();
    this.changedAt = clock.nowMs();
    this.rivals.clear();
    this.duplicates.clear();
    if (to !== 'Active') this.port.cancel(this.router.name);
    this.handle('tidegate_lb_vrrp_transitions_total').value++;
    this.measure();
    log.info({ instance: this.router.name, from, to, reason }, 'VRRP');
    events.onSession('vrrp', this.router.name, from, to, reason);
  }

  private send(priority: number, interval = this.router.settings.advertInterval): void {
    const { router } = this;
    const { version } = router.settings;
    const source = parseIp(this.primary);
    if (!source) return;
    const advert = { version, vrid: router.vrid, priority, interval: interval / 10, addresses: this.addresses };
    const group = router.family === 'ipv4' ? VRRP_GROUP_IPV4 : VRRP_GROUP_IPV6;
    let error: string | undefined;
    let encoded: Buffer | undefined;
    for (const to of router.peers ?? [group]) {
      const destination = parseIp(to);
      if (destination?.length !== source.length) continue;
      encoded = encodeVrrp(advert, source, destination, router.checksum);
      error = this.port.send(router.family, encoded, to, this.primary) ?? error;
      this.adverts.sent++;
      this.handle('tidegate_lb_vrrp_adverts_total', { direction: 'sent' }).value++;
    }
    if (error !== undefined && error !== this.error)
      this.o.log.warn({ instance: router.name, error }, 'a VRRP advertisement could not be sent');
    this.error = error;
  }

  private setTimer(timer: VrrpTimer, ms: number): void {
    this.clearTimer(timer);
    const { clock } = this.o;
    const due = clock.nowMs() + ms;
    const run = () => {
      this.timers.delete(timer);
      this.input({ type: 'timer', timer });
    };
    const fire = () => {
      // Held up ourselves? Then others may have spoken meanwhile, and it must not seem that they were silent.
      const late = clock.nowMs() - due;
      if (timer === 'active-down' || (timer === 'advert' && late > this.router.settings.advertInterval))
        this.port.afterPackets(run, (h) => this.timers.set(timer, h));
      else run();
    };
    this.timers.set(timer, clock.setTimeout(fire, ms));
  }

  private clearTimer(timer: VrrpTimer): void {
    const h = this.timers.get(timer);
    if (h) this.o.clock.clearTimeout(h);
    this.timers.delete(timer);
  }

  private choose(own: readonly string[]): string | undefined {
    const { source, peers, family } = this.router;
    if (source !== undefined) return own.find((a) => a === source);
    if (family === 'ipv4') return own[0];
    // RFC 9568 section 5.1.2.1: link-local; between hosts whatever the peers have.
    const global = peers?.some((a) => !isLinkLocal(a)) ?? false;
    return own.find((a) => isLinkLocal(a) !== global);
  }

  private otherAddresses(a: ReceivedAdvert, source: string): void {
    const code = 'vrrp-addresses';
    this.refused[code] = (this.refused[code] ?? 0) + 1;
    this.handle('tidegate_lb_vrrp_refused_total', { code }).value++;
    this.once(`${code} ${source}`, () => {
      const facts = { protocol: 'vrrp', instance: this.router.name, source, theirs: a.addresses, ours: this.addresses };
      if (a.addresses.some((x) => this.addresses.includes(x)))
        this.o.log.warn(facts, 'a virtual router of the same VRID has other addresses');
      else this.o.events.onAlarm(`${source} uses VRID ${this.router.vrid} for other addresses`, facts);
    });
  }

  /** Two active routers for more than a moment: it does not hear us, or refuses what it hears. */
  private rival(source: string, priority: number): void {
    const count = (this.rivals.get(source)?.count ?? 0) + 1;
    const at = this.o.clock.wallMs();
    if (this.rivals.size < REMEMBERED) this.rivals.set(source, { count, priority, at });
    if (count < RIVAL_ADVERTS || !this.mayComplain(`rival ${source}`, this.o.clock.nowMs())) return;
    this.o.events.onAlarm(`${source} is active as well and does not give way`, {
      ...{ protocol: 'vrrp', instance: this.router.name, source, priority, own_priority: this.machine.priority },
    });
  }

  private mayComplain(key: string, now: number): boolean {
    if (now - (this.complained.get(key) ?? Number.NEGATIVE_INFINITY) < COMPLAINT_MS) return false;
    if (this.complained.size >= REMEMBERED) this.complained.clear();
    this.complained.set(key, now);
    return true;
  }

  private once(key: string, say: () => void): void {
    if (this.said.has(key)) return;
    if (this.said.size >= REMEMBERED) this.said.clear();
    this.said.add(key);
    say();
  }

  private measure(): void {
    this.handle('tidegate_lb_vrrp_state').value = STATE_VALUE[this.machine.state];
  }

  private handle(name: Parameters<Registry['handle']>[0], labels: Record<string, string> = {}) {
    return this.o.metrics.handle(name, { instance: this.router.name, ...labels });
  }
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/.test(address);
}

/** RFC 9568 section 5.2.9: the link-local address stands first. */
function linkLocalFirst(addresses: string[]): string[] {
  return [...addresses.filter(isLinkLocal), ...addresses.filter((a) => !isLinkLocal(a))];
}
