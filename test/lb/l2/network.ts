/**
 * A simulated LAN: nodes with a kernel, a process of the two machines (cluster and layer 2), heartbeats that are lost and late, and faults.
 * Time is a queue of events; everything follows from the seed.
 */
import { type ClusterEffect, type ClusterInput, ClusterMachine } from '../../../src/cluster/machine.ts';
import type { HeartbeatPart } from '../../../src/cluster/message.ts';
import type { Grade } from '../../../src/lb/grade.ts';
import { L2Machine } from '../../../src/lb/l2/machine.ts';
import type { L2Claim, L2Effect, L2Input } from '../../../src/lb/l2/types.ts';

export const TIMEOUT = 1000;
export const LIFETIME = 5000;

export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Event {
  at: number;
  order: number;
  run(): void;
}

export interface NetworkOptions {
  seed: number;
  nodes: number;
  vips: string[];
  loss?: number;
  /** Milliseconds, at most. */
  delay?: number;
  weights?: number[];
}

export class Network {
  now = 0;
  readonly random: () => number;
  readonly nodes: SimNode[] = [];
  readonly o: NetworkOptions;
  readonly alarms: string[] = [];
  /** A host beside each node, and whom it believes to have an address: who announced it last where it hears. None ever asks. */
  private readonly hosts: Map<string, SimNode>[];
  private events: Event[] = [];
  private order = 0;
  /** Which nodes hear each other: heartbeats, and frames of the LAN. */
  private readonly groups = { beat: new Map<number, number>(), lan: new Map<number, number>() };
  private readonly muted = new Set<number>();

  constructor(o: NetworkOptions) {
    this.o = o;
    this.random = seeded(o.seed);
    this.hosts = Array.from({ length: o.nodes }, () => new Map());
    for (let i = 0; i < o.nodes; i++) this.nodes.push(new SimNode(this, i));
    for (const n of this.nodes) this.after(this.random() * 300, () => n.start());
  }

  after(ms: number, run: () => void): Event {
    const e = { at: this.now + ms, order: this.order++, run };
    const later = (a: Event, b: Event) => a.at > b.at || (a.at === b.at && a.order > b.order);
    let lo = 0;
    let hi = this.events.length;
    // Latest first, so that the next one is popped.
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (later(this.events[mid], e)) lo = mid + 1;
      else hi = mid;
    }
    this.events.splice(lo, 0, e);
    return e;
  }

  cancel(e: Event): void {
    e.run = () => {};
  }

  /** Whom the hosts send to that have heard of the address. */
  believe(address: string): SimNode[] {
    return this.hosts.flatMap((h) => h.get(address) ?? []);
  }

  /** Runs until `until`, with `look` after each event. */
  run(until: number, look?: () => void): void {
    for (;;) {
      const e = this.events[this.events.length - 1];
      if (!e || e.at > until) break;
      this.events.pop();
      this.now = e.at;
      e.run();
      look?.();
    }
    this.now = until;
    look?.();
  }

  /** Splits what is named; without groups all hear each other again. */
  split(what: ('beat' | 'lan')[], group: (i: number) => number = () => 0): void {
    for (const w of what) for (const n of this.nodes) this.groups[w].set(n.index, group(n.index));
  }

  /** Nothing that this node sends arrives anywhere, though it hears the others; or it does again. */
  mute(i: number, on: boolean): void {
    if (on) this.muted.add(i);
    else this.muted.delete(i);
  }

  joined(what: 'beat' | 'lan', a: number, b: number): boolean {
    return this.hears(what, a, b) && this.hears(what, b, a);
  }

  private hears(what: 'beat' | 'lan', from: number, to: number): boolean {
    if (from !== to && this.muted.has(from)) return false;
    return (this.groups[what].get(from) ?? 0) === (this.groups[what].get(to) ?? 0);
  }

  /** Heartbeats. */
  send(from: SimNode, to: SimNode, m: HeartbeatPart): void {
    if (!this.hears('beat', from.index, to.index) || this.random() < (this.o.loss ?? 0)) return;
    this.after(0.1 + this.random() * (this.o.delay ?? 1), () => to.receive(from, m));
  }

  /** A frame to all on the LAN. */
  frame(from: SimNode, f: { type: 'probe' | 'announce'; address: string }): void {
    if (f.type === 'announce')
      for (const [i, host] of this.hosts.entries())
        if (this.hears('lan', from.index, i) && !this.muted.has(from.index)) host.set(f.address, from);
    for (const to of this.nodes)
      if (to !== from && this.hears('lan', from.index, to.index)) this.after(0.1, () => to.frame(from, f));
  }

  /** The kernel of `from` answers a probe of `to`. */
  answer(from: SimNode, to: SimNode, address: string): void {
    if (this.hears('lan', from.index, to.index)) this.after(0.1, () => to.answered(from, address, false));
  }
}

interface Kernel {
  /** Address → when it ends. */
  addresses: Map<string, number>;
}

export class SimNode {
  readonly index: number;
  readonly name: string;
  readonly mac: string;
  readonly net: Network;
  readonly kernel: Kernel = { addresses: new Map() };
  grade: Grade = 'full';
  linkUp = true;
  running = false;
  frozen = false;
  cluster!: ClusterMachine;
  l2!: L2Machine;
  private boot = 0;
  private life = 0;
  /** What reaches a frozen process waits. */
  private waiting: (() => void)[] = [];
  private timers: { cluster?: Event; l2?: Event } = {};
  private claims: L2Claim[] = [];
  private readonly l2Queue: L2Input[] = [];
  private busy = false;

  constructor(net: Network, index: number) {
    this.net = net;
    this.index = index;
    this.name = `node-${index}`;
    this.mac = `02:00:00:00:00:${(index + 1).toString(16).padStart(2, '0')}`;
  }

  /** Others hear it. */
  get there(): boolean {
    return this.running && !this.frozen && this.linkUp;
  }

  get able(): boolean {
    return this.there && this.grade !== 'dead';
  }

  /** It draws the packets of the address and takes them. */
  serves(address: string): boolean {
    const state = this.running ? this.l2.at(address)?.state : undefined;
    return this.able && (state === 'owner' || state === 'releasing') && this.has(address);
  }

  owns(address: string): boolean {
    const state = this.running ? this.l2.at(address)?.state : undefined;
    return state === 'owner';
  }

  /** For a log of what happened; * where the kernel has it. */
  text(address: string): string {
    const how = this.running ? (this.frozen ? 'frozen ' : '') : 'down ';
    return `${how}${this.l2?.at(address)?.state}${this.has(address) ? '*' : ''}`;
  }

  has(address: string): boolean {
    return (this.kernel.addresses.get(address) ?? 0) > this.net.now;
  }

  start(): void {
    const { net, name } = this;
    this.life++;
    this.running = true;
    this.frozen = false;
    this.waiting = [];
    this.boot = 1_700_000_000_000_000 + Math.floor(net.now * 1000) + this.index;
    // What an earlier run left is taken back.
    this.kernel.addresses.clear();
    this.claims = [];
    const weight = net.o.weights?.[this.index] ?? 1;
    const members = net.nodes.filter((n) => n !== this).map((n) => ({ address: n.name }));
    this.cluster = new ClusterMachine({
      ...{ node: name, site: 's', boot: this.boot, weight, interval: 200, timeout: TIMEOUT, members },
    });
    this.l2 = new L2Machine({
      ...{ node: name, boot: this.boot, timeout: TIMEOUT, lifetime: LIFETIME, probe: { count: 2, interval: 100 } },
    });
    this.want();
    this.toCluster({ type: 'timer' });
    const life = this.life;
    const renew = (): void => {
      if (this.life !== life) return;
      this.do(() => {
        for (const [a, until] of this.kernel.addresses)
          if (until > net.now && this.needs(a)) this.kernel.addresses.set(a, net.now + LIFETIME);
      });
      net.after(LIFETIME / 4, renew);
    };
    renew();
  }

  /** kill -9: the kernel keeps what it has, until its lifetime ends. */
  kill(): void {
    this.life++;
    this.running = false;
    this.frozen = false;
    this.waiting = [];
  }

  /** An orderly end. */
  stop(): void {
    if (!this.running || this.frozen) return;
    this.toL2({ type: 'stop' });
    this.toCluster({ type: 'leave' });
    this.kernel.addresses.clear();
    this.kill();
  }

  freeze(): void {
    if (this.running) this.frozen = true;
  }

  thaw(): void {
    if (!this.frozen) return;
    this.frozen = false;
    // In the order in which a loop would find them: timers that are due, then what waits in the sockets.
    for (const run of this.waiting.splice(0)) this.do(run);
  }

  setGrade(grade: Grade): void {
    this.grade = grade;
    this.do(() => this.want());
  }

  setLink(up: boolean): void {
    this.linkUp = up;
    this.do(() => this.want());
  }

  receive(from: SimNode, message: HeartbeatPart): void {
    const life = this.life;
    this.do(() => {
      if (this.life === life) this.toCluster({ type: 'message', from: from.name, wall: this.net.now, message });
    });
  }

  frame(from: SimNode, f: { type: 'probe' | 'announce'; address: string }): void {
    if (!this.linkUp) return;
    const { address } = f;
    if (f.type === 'probe') {
      // The kernel answers, whatever the process does.
      if (this.has(address)) this.net.answer(this, from, address);
      this.do(() => this.toL2({ type: 'probe-seen', address, mac: from.mac }));
    } else this.answered(from, address, true);
  }

  answered(from: SimNode, address: string, alive: boolean): void {
    if (this.linkUp) this.do(() => this.toL2({ type: 'answer', address, mac: from.mac, alive }));
  }

  private needs(address: string): boolean {
    return this.l2.needed.some((n) => n.prefix.startsWith(`${address}/`));
  }

  private do(run: () => void): void {
    if (!this.running) return;
    if (this.frozen) this.waiting.push(run);
    else run();
  }

  private want(): void {
    if (!this.running) return;
    const vips = this.net.o.vips.map((address) => ({
      ...{ vip: `vip-${address}`, prefix: `${address}/32`, interface: this.linkUp ? 'eth0' : undefined },
      ...{ mac: this.mac, bound: this.has(address) },
    }));
    this.toL2({ type: 'want', grade: this.grade, weight: this.net.o.weights?.[this.index] ?? 1, vips });
    this.say();
  }

  private say(): void {
    const weight = this.net.o.weights?.[this.index] ?? 1;
    this.toCluster({ type: 'say', grade: this.grade, fit: this.linkUp, claims: this.claims, weight });
  }

  private toCluster(input: ClusterInput): void {
    if (!this.running) return;
    const out: ClusterEffect[] = [];
    this.cluster.handle(this.net.now, input, out);
    for (const e of out) this.clusterEffect(e);
    if (out.some((e) => e.type === 'changed')) {
      const members = this.cluster.members.map((m) => ({ ...m, node: m.node || m.address, alive: m.state !== 'dead' }));
      this.toL2({ type: 'members', settled: this.cluster.settled, members });
    }
  }

  private clusterEffect(e: ClusterEffect): void {
    const { net } = this;
    if (e.type === 'send') {
      const m: HeartbeatPart = { ...e.heartbeat, time: net.now, part: 0, parts: 1 };
      for (const to of e.to) if (this.linkUp) this.sendTo(net.nodes.find((n) => n.name === to)!, m);
    } else if (e.type === 'set-timer') this.timer('cluster', e.ms, () => this.toCluster({ type: 'timer' }));
    else if (e.type === 'frozen') this.claims = [];
  }

  private sendTo(to: SimNode, m: HeartbeatPart): void {
    if (to.linkUp) this.net.send(this, to, m);
  }

  private toL2(input: L2Input): void {
    if (!this.running) return;
    this.l2Queue.push(input);
    if (this.busy) return;
    this.busy = true;
    for (let next = this.l2Queue.shift(); next; next = this.l2Queue.shift()) {
      const out: L2Effect[] = [];
      this.l2.handle(this.net.now, next, out);
      for (const e of out) this.l2Effect(e);
    }
    this.busy = false;
  }

  private l2Effect(e: L2Effect): void {
    const { net } = this;
    switch (e.type) {
      case 'probe':
      case 'announce':
        if (this.linkUp) net.frame(this, e);
        return;
      case 'claims':
        this.claims = e.claims;
        this.say();
        return;
      case 'addresses': {
        const life = this.life;
        // The kernel is told, and we are told that it was.
        net.after(1 + net.random() * 20, () => {
          if (this.life === life) this.do(() => this.bind());
        });
        return;
      }
      case 'set-timer':
        this.timer('l2', e.ms, () => this.toL2({ type: 'timer' }));
        return;
      case 'alarm':
        net.alarms.push(e.reason);
        return;
      default:
        return;
    }
  }

  private bind(): void {
    const { addresses } = this.kernel;
    for (const a of addresses.keys()) if (!this.needs(a)) addresses.delete(a);
    for (const a of this.net.o.vips) if (this.needs(a) && !this.has(a)) addresses.set(a, this.net.now + LIFETIME);
    this.want();
  }

  private timer(name: 'cluster' | 'l2', ms: number, run: () => void): void {
    const { net, life } = this;
    const old = this.timers[name];
    if (old) net.cancel(old);
    const e = net.after(ms, () => {
      if (this.life === life) this.do(run);
    });
    this.timers[name] = e;
  }
}
