/** Layer 2 as a back end: drives the machine with ARP and NDP frames, the links of this node, the members of the cluster, and time. */

import type { Membership } from '../../cluster/members.ts';
import {
  arpProbe,
  decodeArp,
  encodeArp,
  gratuitousReply,
  gratuitousRequest,
  isGratuitous,
  isProbe,
} from '../../codec/arp/arp.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV6, formatMac, ZERO_MAC } from '../../codec/ethernet.ts';
import {
  decodeNdp,
  encodeNdp,
  NEIGHBOR_ADVERTISEMENT,
  NEIGHBOR_SOLICITATION,
  neighborProbe,
  unsolicitedAdvertisement,
} from '../../codec/ndp/ndp.ts';
import type { Clock, TimerHandle } from '../../core/clock.ts';
import { parseIp, parsePrefix, prefixContains } from '../../core/ip.ts';
import type { Logger } from '../../core/log.ts';
import { isDecodeError } from '../../core/result.ts';
import type { ControlNet, ControlPacket, ControlSocket, LinkState } from '../../net/control-types.ts';
import type { Registry } from '../../telemetry/registry.ts';
import type { BackEnd, BackEndConfig, BackEndEvents, NeededAddress, VipFacts, Wanted } from '../back-end.ts';
import { type L2Config, l2Config } from './config.ts';
import { L2Machine } from './machine.ts';
import type { L2Effect, L2Input, L2Settings, L2Slot, L2Status, L2Vip } from './types.ts';

export interface L2Options {
  clock: Clock;
  log: Logger;
  metrics: Registry;
  net: ControlNet;
  membership: Membership;
  /** `cluster.timeout`, milliseconds. */
  timeout: number;
  events: BackEndEvents;
  /** Where addresses may be when `lb.l2.interfaces` is absent. */
  defaultInterfaces(): string[];
}

/** An interface with its two sockets. */
interface Port {
  name: string;
  index: number;
  arp?: ControlSocket;
  ndp?: ControlSocket;
  error?: string;
}

const REOPEN_MS = 1000;
/** A stranger who was not heard for so long is nothing to report any more. */
const REMEMBERED_MS = 600_000;

export class L2BackEnd implements BackEnd {
  readonly kind = 'l2';
  private readonly o: L2Options;
  private readonly machine: L2Machine;
  private config: L2Config | undefined;
  private node: string;
  private wanted: Wanted = { grade: 'dead', reason: 'starting', draining: false, vips: [] };
  private readonly ports = new Map<string, Port>();
  private readonly queue: L2Input[] = [];
  private running = false;
  private told = false;
  private timer: TimerHandle | undefined;
  private reopen: TimerHandle | undefined;
  private readonly endings: (() => void)[] = [];
  private stopped = false;

  constructor(options: L2Options) {
    this.o = options;
    this.node = options.membership.self.node;
    this.machine = new L2Machine(this.settings());
    this.endings.push(options.membership.onChange(() => this.members()));
    this.endings.push(options.net.watchLinks(() => this.refresh()));
  }

  configure({ lb, node }: BackEndConfig): void {
    this.config = lb.l2;
    this.node = node;
    this.machine.configure(this.settings());
    this.refresh();
    this.members();
  }

  want(w: Wanted): void {
    this.wanted = w;
    this.push(this.wantInput());
  }

  addresses(): NeededAddress[] {
    const lifetime = this.config?.lifetime;
    return this.machine.needed.map((n) => ({ ...n, scope: 'link', lifetime }));
  }

  facts(prefix: string): VipFacts | undefined {
    const slot = this.machine.get(prefix);
    if (!slot) return undefined;
    const announced = slot.bound && (slot.state === 'owner' || slot.state === 'releasing');
    const { duplicate: d } = slot;
    const ago = d && Math.round(this.o.clock.nowMs() - d.at);
    return {
      announced,
      obstacle: this.obstacle(slot, announced),
      holder: slot.state === 'idle' && slot.obstacle === undefined ? (slot.holder ?? slot.leader) : undefined,
      duplicate: d && ago! <= REMEMBERED_MS ? { mac: d.mac, node: d.node, ago_ms: ago! } : undefined,
    };
  }

  status(): L2Status {
    return {
      node: this.node,
      interfaces: this.names().map((name) => ({
        name,
        up: this.usable(name) !== undefined,
        error: this.ports.get(name)?.error,
      })),
      settled: this.o.membership.settled,
      vips: this.machine.list.map((s) => ({
        ...{ vip: s.vip, address: s.address, state: s.state, interface: s.interface, bound: s.bound },
        ...{ leader: s.leader, holder: s.holder, epoch: s.epoch, obstacle: s.obstacle },
      })),
    };
  }

  async stop(text: string): Promise<void> {
    if (this.stopped) return;
    this.o.log.info({ reason: text }, 'layer 2 ends');
    this.push({ type: 'stop' });
    this.stopped = true;
    for (const end of this.endings.splice(0)) end();
    for (const t of [this.timer, this.reopen]) if (t) this.o.clock.clearTimeout(t);
    for (const p of this.ports.values()) close(p);
    this.ports.clear();
    this.o.membership.say({ fit: false, claims: [] });
  }

  private settings(): L2Settings {
    const { membership, timeout } = this.o;
    const { lifetime, probe } = this.config ?? l2Config.parse({});
    return { node: this.node, boot: membership.self.boot, timeout, lifetime, probe };
  }

  private names(): string[] {
    if (!this.config) return [];
    return this.config.interfaces ?? this.o.defaultInterfaces();
  }

  /** Links or configuration have changed. */
  private refresh(): void {
    if (this.stopped) return;
    const names = new Set(this.names());
    for (const [name, p] of this.ports) {
      const link = this.o.net.link(name);
      if (names.has(name) && link?.up && link.index === p.index) continue;
      close(p);
      this.ports.delete(name);
    }
    for (const name of names) this.open(name);
    this.push(this.wantInput());
  }

  private open(name: string): void {
    const { net, clock } = this.o;
    const link = net.link(name);
    const known = this.ports.get(name);
    if (!link?.up || (known && known.error === undefined)) return;
    const port: Port = known ?? { name, index: link.index };
    this.ports.set(name, port);
    const before = port.error;
    port.error = undefined;
    port.arp ??= this.socket(port, { device: name, etherType: ETHERTYPE_ARP }, (p) => this.onArp(p));
    const icmpTypes = [NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT];
    port.ndp ??= this.socket(port, { device: name, etherType: ETHERTYPE_IPV6, icmpTypes }, (p) => this.onNdp(p));
    if (port.error === undefined) return;
    if (port.error !== before) this.o.log.error({ interface: name, error: port.error }, 'no layer 2 on this interface');
    this.reopen ??= clock.setTimeout(() => {
      this.reopen = undefined;
      this.refresh();
    }, REOPEN_MS);
  }

  private socket(
    port: Port,
    options: Parameters<ControlNet['openPacket']>[0],
    onPacket: (p: ControlPacket) => void,
  ): ControlSocket | undefined {
    const opened = this.o.net.openPacket(options);
    if (!opened.ok) {
      port.error = opened.error;
      return undefined;
    }
    const { socket } = opened;
    socket.onPacket = onPacket;
    socket.onError = (error) => {
      if (this.ports.get(port.name) !== port) return;
      close(port);
      this.ports.delete(port.name);
      this.o.log.warn({ interface: port.name, error }, 'the interface cannot be read');
      this.reopen ??= this.o.clock.setTimeout(() => {
        this.reopen = undefined;
        this.refresh();
      }, REOPEN_MS);
      this.push(this.wantInput());
    };
    return socket;
  }

  /** The link of an interface that is up and has its sockets. */
  private usable(name: string): LinkState | undefined {
    const port = this.ports.get(name);
    if (!port || port.error !== undefined) return undefined;
    const link = this.o.net.link(name);
    return link?.up ? link : undefined;
  }

  private wantInput(): L2Input {
    const links: LinkState[] = [];
    for (const name of this.names()) {
      const link = this.usable(name);
      if (link) links.push(link);
    }
    const { grade, vips } = this.wanted;
    const weight = this.config?.weight ?? this.o.membership.self.weight;
    return {
      ...{ type: 'want', grade, weight },
      vips: vips.map(({ vip, prefix, bound }): L2Vip => {
        const link = choose(links, prefix);
        const mac = link ? formatMac(link.mac) : ZERO_MAC;
        return { vip, prefix, interface: link?.name, mac, bound };
      }),
    };
  }

  private members(): void {
    const { membership } = this.o;
    const members = membership.members();
    this.push({
      type: 'members',
      settled: membership.settled,
      members: members.map((m) => ({
        // One that was never heard has no name yet.
        ...{ node: m.node || m.address, boot: m.boot, alive: m.state !== 'dead', grade: m.grade, weight: m.weight },
        ...{ fit: m.fit, hearsUs: m.hearsUs, claims: m.claims },
      })),
    });
  }

  private refused(code: 'arp-malformed' | 'ndp-malformed'): void {
    this.o.metrics.handle('tidegate_lb_l2_refused_total', { code }).value++;
  }

  private onArp(p: ControlPacket): void {
    const f = decodeArp(p.data);
    if (isDecodeError(f)) {
      this.refused('arp-malformed');
      return;
    }
    const mac = f.senderMac;
    if (isProbe(f)) this.push({ type: 'probe-seen', address: f.targetIp, mac }, f.targetIp, mac);
    // A kernel answers whoever asked; what says the same address twice was sent by a process.
    else this.push({ type: 'answer', address: f.senderIp, mac, alive: isGratuitous(f) }, f.senderIp, mac);
  }

  private onNdp(p: ControlPacket): void {
    const f = decodeNdp(p.data);
    if (isDecodeError(f)) {
      this.refused('ndp-malformed');
      return;
    }
    if (f.kind === 'solicitation') {
      const mac = f.ethernetSource;
      if (f.source === '::') this.push({ type: 'probe-seen', address: f.target, mac }, f.target, mac);
      return;
    }
    const mac = f.targetMac ?? f.ethernetSource;
    // A kernel answers from the address itself, we from the link-local one.
    this.push({ type: 'answer', address: f.target, mac, alive: f.source !== f.target }, f.target, mac);
  }

  /** One input after the other, whatever they cause. Frames about addresses that are not ours, and our own, are no inputs. */
  private push(input: L2Input, address?: string, mac?: string): void {
    if (this.stopped) return;
    if (address !== undefined) {
      const slot = this.machine.at(address);
      if (!slot || slot.state === 'idle' || slot.mac === mac) return;
    }
    this.queue.push(input);
    if (this.running) return;
    this.running = true;
    for (let next = this.queue.shift(); next; next = this.queue.shift()) this.step(next);
    this.running = false;
    this.measure();
    if (!this.told) return;
    this.told = false;
    this.o.events.onChange(this.wanted.reason);
  }

  private step(input: L2Input): void {
    const out: L2Effect[] = [];
    this.machine.handle(this.o.clock.nowMs(), input, out);
    let claims: Extract<L2Effect, { type: 'claims' }>['claims'] | undefined;
    for (const e of out) {
      if (e.type === 'claims') claims = e.claims;
      else this.apply(e);
    }
    // The announcement has gone before the claim does: who lets go then loses nothing.
    if (input.type !== 'want' && claims === undefined) return;
    const { grade } = this.wanted;
    const fit = this.names().some((name) => this.usable(name) !== undefined);
    const weight = this.config?.weight;
    const say = { grade, fit, ...(weight === undefined ? {} : { weight }) };
    this.o.membership.say(claims ? { ...say, claims } : say);
  }

  private apply(e: Exclude<L2Effect, { type: 'claims' }>): void {
    const { clock, events, log, metrics } = this.o;
    switch (e.type) {
      case 'probe':
      case 'announce':
        this.send(e);
        break;
      case 'addresses':
        this.told = true;
        break;
      case 'set-timer':
        if (this.timer) clock.clearTimeout(this.timer);
        this.timer = clock.setTimeout(() => this.push({ type: 'timer' }), e.ms);
        break;
      case 'alarm':
        events.onAlarm(e.reason, e.facts);
        break;
      case 'state': {
        const { vip, prefix, from, to, reason } = e;
        log.info({ vip, address: prefix, from, to, reason }, 'layer 2');
        this.told = true;
        const owned = from === 'owner' || from === 'releasing';
        if (to !== 'owner' && !owned) break;
        events.onSession('l2', `${vip} ${prefix}`, from, to, reason);
        if (owned !== (to === 'owner' || to === 'releasing'))
          metrics.handle('tidegate_lb_l2_transitions_total').value++;
        break;
      }
    }
  }

  private send({ type, address, interface: name }: Extract<L2Effect, { type: 'probe' | 'announce' }>): void {
    const link = this.usable(name);
    const port = this.ports.get(name);
    if (!link || !port) return;
    const mac = formatMac(link.mac);
    if (address.includes(':')) {
      // The link-local address tells our word from that of a kernel.
      const source = link.addresses.find((a) => /^fe[89ab]/.test(a))?.split('/')[0];
      const frame = type === 'probe' ? neighborProbe(mac, address) : unsolicitedAdvertisement(mac, address, { source });
      port.ndp?.send(encodeNdp(frame), '');
    } else if (type === 'probe') port.arp?.send(encodeArp(arpProbe(mac, address)), '');
    else for (const form of [gratuitousRequest, gratuitousReply]) port.arp?.send(encodeArp(form(mac, address)), '');
  }

  private obstacle(s: L2Slot, announced: boolean): string | undefined {
    if (announced) return s.obstacle;
    if (s.interface === undefined) {
      const errors = this.names().map((n) => this.ports.get(n)?.error ?? 'is not up');
      return `no interface for it: ${
        this.names()
          .map((n, i) => `${n} ${errors[i]}`)
          .join(', ') || 'none is configured'
      }`;
    }
    if (s.obstacle !== undefined) return s.obstacle;
    if (s.state !== 'idle') return `${s.state}`;
    if (this.wanted.grade === 'dead') return 'this node is dead';
    if (s.holder !== undefined) return `${s.holder} owns it`;
    if (!this.o.membership.settled) return 'waiting for the members of the cluster';
    return s.leader === undefined ? 'no member is fit' : `${s.leader} comes first`;
  }

  private measure(): void {
    const owned = new Map<string, number>();
    for (const s of this.machine.list) {
      const mine = s.bound && (s.state === 'owner' || s.state === 'releasing');
      if (mine || !owned.has(s.vip)) owned.set(s.vip, mine ? 1 : 0);
    }
    for (const [vip, n] of owned) this.o.metrics.handle('tidegate_lb_l2_owner', { vip }).value = n;
  }
}

/** The first link with a prefix that has the address in it, else the first. */
function choose(links: readonly LinkState[], prefix: string): LinkState | undefined {
  const address = parseIp(prefix.split('/')[0])!;
  const on = links.find((l) =>
    l.addresses.some((a) => {
      const p = parsePrefix(a);
      return p !== undefined && p.length < p.bytes.length * 8 && prefixContains(p, address);
    }),
  );
  return on ?? links[0];
}

function close(p: Port): void {
  p.arp?.close();
  p.ndp?.close();
}
