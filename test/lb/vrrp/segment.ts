/**
 * A LAN in memory with VRRP back ends on it: packets are lost, late or kept apart by partitions; processes crash, freeze and come back.
 * A frozen process finds on its return what libuv would give it: first every timer that is due, then the packets that waited.
 */
import { Buffer } from 'node:buffer';
import { decodeArp } from '../../../src/codec/arp/arp.ts';
import { formatMac } from '../../../src/codec/ethernet.ts';
import { decodeNdp } from '../../../src/codec/ndp/ndp.ts';
import { type Clock, ManualClock, type TimerHandle } from '../../../src/core/clock.ts';
import { silentLog } from '../../../src/core/log.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import type { NeededAddress } from '../../../src/lb/back-end.ts';
import { type LbConfig, lbConfig } from '../../../src/lb/config.ts';
import type { Grade } from '../../../src/lb/grade.ts';
import { VrrpBackEnd } from '../../../src/lb/vrrp/session.ts';
import type {
  ControlNet,
  ControlPacket,
  ControlSocket,
  LinkState,
  OpenResult,
} from '../../../src/net/control-types.ts';
import { Registry } from '../../../src/telemetry/registry.ts';

export class Segment {
  readonly clock = new ManualClock();
  readonly nodes: SimNode[] = [];
  loss = 0;
  /** Milliseconds a packet takes, at most. */
  delay = 2;
  random: () => number;
  /** Every frame of ARP and ND, in order of sending. */
  readonly frames: { from: SimNode; data: Buffer }[] = [];
  /** Every VRRP message sent: for tests that look at bytes. */
  readonly messages: { from: SimNode; data: Buffer; destination: string }[] = [];
  record = false;
  /** What a host beside each node believes: address to hardware address. */
  onFrame: (from: SimNode, data: Buffer) => void = () => {};

  constructor(random: () => number = () => 0.5) {
    this.random = random;
  }

  node(config: Record<string, unknown>, options: { address?: string; extra?: string[] } = {}): SimNode {
    const n = new SimNode(this, this.nodes.length, config, options.address, options.extra ?? []);
    this.nodes.push(n);
    return n;
  }

  /** Puts a message on the wire for everybody else of the same part. */
  carry(from: SimNode, family: 4 | 6, p: Omit<ControlPacket, 'ifindex' | 'sourcePort'>): void {
    if (this.record) this.messages.push({ from, data: p.data, destination: p.destination });
    for (const to of this.nodes) {
      if (to === from || to.part !== from.part || this.random() < this.loss) continue;
      this.clock.setTimeout(() => to.arrive(family, { ...p, ifindex: 1, sourcePort: 0 }), this.random() * this.delay);
    }
  }

  frame(from: SimNode, data: Buffer): void {
    if (this.record) this.frames.push({ from, data });
    this.onFrame(from, data);
    for (const to of this.nodes) {
      if (to === from || to.part !== from.part || this.random() < this.loss) continue;
      this.clock.setTimeout(() => to.hearFrame(data), this.random() * this.delay);
    }
  }

  /** Addresses that frames have told of, as `request|reply|advertisement ADDRESS`. */
  announcements(): string[] {
    return this.frames.map(({ data }) => {
      const f = data.readUInt16BE(12) === 0x0806 ? decodeArp(data) : decodeNdp(data);
      if (isDecodeError(f)) throw new Error(`a bad frame was sent: ${f.code} ${f.layer}`);
      return 'operation' in f ? `${f.operation} ${f.senderIp}` : `${f.kind} ${f.target}`;
    });
  }
}

type Handler = (p: ControlPacket) => void;

export class SimNode {
  readonly name: string;
  readonly segment: Segment;
  readonly mac: Buffer;
  readonly own: string[];
  part = 0;
  frozen = false;
  up = true;
  grade: Grade = 'full';
  draining = false;
  private config: Record<string, unknown>;
  private lb: LbConfig;
  backEnd: VrrpBackEnd | undefined;
  metrics = new Registry();
  /** State of each virtual router as last told. */
  states = new Map<string, string>();
  readonly events: string[] = [];
  readonly alarms: string[] = [];
  /** Addresses on the interface beside its own. */
  bound: string[] = [];
  /** The kernel refuses addresses. */
  cannotBind = false;
  onState: () => void = () => {};
  private life = 0;
  private late: { id: object; fn: () => void }[] = [];
  private waiting: (() => void)[] = [];
  private raw: { family: 4 | 6; handler: () => Handler }[] = [];
  private packets: { etherType: number; handler: () => Handler }[] = [];
  private watchers: (() => void)[] = [];

  constructor(
    segment: Segment,
    index: number,
    config: Record<string, unknown>,
    address?: string,
    extra: string[] = [],
  ) {
    this.segment = segment;
    this.name = `n${index}`;
    this.config = config;
    this.lb = lbConfig.parse(config);
    this.mac = Buffer.from([2, 0, 0, 0, 0, index + 1]);
    this.own = [
      `${address ?? `192.0.2.${index + 1}`}/24`,
      `2001:db8::${index + 1}/64`,
      `fe80::${index + 1}/64`,
      ...extra,
    ];
  }

  get alive(): boolean {
    return this.backEnd !== undefined;
  }

  get active(): boolean {
    return [...this.states.values()].includes('Active');
  }

  /** Could be active. */
  get fit(): boolean {
    return this.alive && !this.frozen && this.up && this.grade !== 'dead' && !this.cannotBind;
  }

  start(): void {
    const life = ++this.life;
    this.metrics = new Registry();
    const backEnd: VrrpBackEnd = new VrrpBackEnd({
      clock: this.clock(life),
      log: silentLog,
      metrics: this.metrics,
      net: this.net(life),
      events: {
        onChange: () => this.bind(life),
        onSession: (_protocol, peer, from, to, reason) => {
          if (life !== this.life) return;
          this.states.set(peer, to);
          this.events.push(`${peer} ${from}>${to}: ${reason}`);
          this.onState();
        },
        onAlarm: (reason) => this.alarms.push(reason),
      },
    });
    this.backEnd = backEnd;
    this.configure();
    this.tell();
  }

  configure(config = this.config): void {
    this.config = config;
    this.lb = lbConfig.parse(config);
    this.backEnd?.configure({ lb: this.lb, node: this.name, routerId: '192.0.2.1' });
  }

  /** As the announcer does after each change. */
  tell(): void {
    this.backEnd?.want({
      grade: this.grade,
      reason: 'test',
      draining: this.draining,
      vips: this.lb.vips.flatMap((v) =>
        v.addresses.map((prefix) => ({
          ...{ vip: v.name, prefix, mode: v.mode, preferred: true, bound: this.bound.includes(prefix) },
        })),
      ),
    });
  }

  setGrade(grade: Grade): void {
    this.grade = grade;
    this.tell();
  }

  needed(): NeededAddress[] {
    return this.backEnd?.addresses() ?? [];
  }

  /** The process ends without a word; the kernel removes its addresses later (here: at once). */
  crash(): void {
    this.life++;
    this.backEnd = undefined;
    this.frozen = false;
    this.late = [];
    this.waiting = [];
    this.raw = [];
    this.packets = [];
    this.watchers = [];
    this.bound = [];
    this.states.clear();
    this.onState();
  }

  freeze(): void {
    this.frozen = true;
    this.onState();
  }

  thaw(): void {
    this.frozen = false;
    const late = this.late.splice(0);
    for (const t of late) t.fn();
    for (const deliver of this.waiting.splice(0)) deliver();
    this.onState();
  }

  setLink(up: boolean): void {
    this.up = up;
    for (const w of [...this.watchers]) this.soon(w);
  }

  arrive(family: 4 | 6, p: ControlPacket): void {
    if (!this.up) return;
    this.soon(() => {
      for (const s of [...this.raw]) if (s.family === family) s.handler()(p);
    });
  }

  hearFrame(data: Buffer): void {
    if (!this.up) return;
    const etherType = data.readUInt16BE(12);
    this.soon(() => {
      const p: ControlPacket = { data, source: '', sourcePort: 0, destination: '', ttl: 0, ifindex: 1 };
      for (const s of [...this.packets]) if (s.etherType === etherType) s.handler()(p);
    });
  }

  private soon(fn: () => void): void {
    if (this.frozen) this.waiting.push(fn);
    else fn();
  }

  /** The announcer binds what is needed a moment later, then tells it. */
  private bind(life: number): void {
    this.segment.clock.setTimeout(() => {
      if (life !== this.life) return;
      this.soon(() => {
        const next = this.cannotBind ? [] : this.needed().map((n) => n.prefix);
        if (JSON.stringify(next) === JSON.stringify(this.bound)) return;
        this.bound = next;
        this.tell();
      });
    }, 1);
  }

  /** Time goes on while the process is frozen, but nothing is called. */
  private clock(life: number): Clock {
    const { clock } = this.segment;
    const real = new Map<object, TimerHandle>();
    return {
      nowMs: () => clock.nowMs(),
      wallMs: () => clock.wallMs(),
      wallMicros: () => clock.wallMicros(),
      setTimeout: (fn, ms) => {
        const id = {};
        const handle = clock.setTimeout(() => {
          real.delete(id);
          if (life !== this.life) return;
          if (this.frozen) this.late.push({ id, fn });
          else fn();
        }, ms);
        real.set(id, handle);
        return { id };
      },
      clearTimeout: (h) => {
        const handle = real.get(h.id as object);
        if (handle) clock.clearTimeout(handle);
        real.delete(h.id as object);
        this.late = this.late.filter((t) => t.id !== h.id);
      },
    };
  }

  private net(life: number): ControlNet {
    const gone = () => life !== this.life || !this.up;
    const opened = (send: ControlSocket['send'], close: (s: ControlSocket) => void): ControlSocket => {
      const s: ControlSocket = { port: 0, onPacket: () => {}, onError: () => {}, send, close: () => close(s) };
      return s;
    };
    return {
      openUdp: (): OpenResult => ({ ok: false, code: 'ENOSYS', error: 'no UDP here' }),
      openRaw: ({ family, ttl }) => {
        const s = opened(
          (data, destination, _port, source) => {
            if (gone()) return 'network is down (ENETDOWN)';
            const p = { data: Buffer.from(data), source: source ?? '', destination, ttl: ttl ?? 64 };
            const multicast = /^(224|ff)/.test(destination);
            if (multicast) this.segment.carry(this, family, p);
            else {
              const to = this.segment.nodes.find((n) => n.own.some((a) => a.split('/')[0] === destination));
              if (this.segment.record) this.segment.messages.push({ from: this, data: p.data, destination });
              if (to && to.part === this.part && this.segment.random() >= this.segment.loss)
                this.segment.clock.setTimeout(
                  () => to.arrive(family, { ...p, ifindex: 1, sourcePort: 0 }),
                  this.segment.random() * this.segment.delay,
                );
            }
            return undefined;
          },
          (me) => {
            this.raw = this.raw.filter((x) => x.handler() !== me.onPacket);
          },
        );
        this.raw.push({ family, handler: () => s.onPacket });
        return { ok: true, socket: s };
      },
      openPacket: ({ etherType }) => {
        const s = opened(
          (data) => {
            if (gone()) return 'network is down (ENETDOWN)';
            this.segment.frame(this, Buffer.from(data));
            return undefined;
          },
          (me) => {
            this.packets = this.packets.filter((x) => x.handler() !== me.onPacket);
          },
        );
        this.packets.push({ etherType, handler: () => s.onPacket });
        return { ok: true, socket: s };
      },
      link: (name): LinkState | undefined =>
        name === 'eth0'
          ? { name, index: 1, mac: this.mac, mtu: 1500, up: this.up, addresses: [...this.own, ...this.bound] }
          : undefined,
      watchLinks: (onChange) => {
        this.watchers.push(onChange);
        return () => {
          this.watchers = this.watchers.filter((w) => w !== onChange);
        };
      },
    };
  }
}

export function macOf(n: SimNode): string {
  return formatMac(n.mac);
}
