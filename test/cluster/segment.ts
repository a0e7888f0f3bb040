/** The speaker's sockets in memory: hosts on one segment, UDP between their addresses, frames to all. Nothing is lost unless a test says so. */
import type { Clock } from '../../src/core/clock.ts';
import type {
  ControlNet,
  ControlPacket,
  ControlSocket,
  LinkState,
  OpenResult,
  UdpControlOptions,
} from '../../src/net/control-types.ts';

interface Open extends ControlSocket {
  host: Host;
  /** `udp ADDRESS PORT` or `DEVICE ETHERTYPE`. */
  key: string;
}

export class Segment {
  readonly clock: Clock;
  readonly hosts: Host[] = [];
  /** Frames and datagrams that do not arrive. */
  lost: (from: Host, to: Host, kind: 'udp' | 'frame') => boolean = () => false;
  /** Every frame, in order. */
  readonly frames: { from: Host; data: Buffer }[] = [];

  constructor(clock: Clock) {
    this.clock = clock;
  }

  host(address: string, links: string[] = ['eth0']): Host {
    const h = new Host(this, this.hosts.length + 1, address, links);
    this.hosts.push(h);
    return h;
  }
}

export class Host implements ControlNet {
  readonly segment: Segment;
  readonly address: string;
  readonly links = new Map<string, LinkState>();
  readonly sockets = new Set<Open>();
  /** Opening fails so. */
  refuse: string | undefined;
  private readonly watchers = new Set<() => void>();

  constructor(segment: Segment, n: number, address: string, links: string[]) {
    this.segment = segment;
    this.address = address;
    for (const [i, name] of links.entries())
      this.links.set(name, {
        ...{ name, index: i + 1, mac: Buffer.from([2, 0, 0, 0, i, n]), mtu: 1500, up: true },
        addresses: [`${address}/24`, `fe80::${n}:${i + 1}/64`],
      });
  }

  set(name: string, change: Partial<LinkState>): void {
    this.links.set(name, { ...this.links.get(name)!, ...change });
    for (const w of this.watchers) w();
  }

  openUdp(o: UdpControlOptions): OpenResult {
    return this.open(`udp ${this.address} ${o.port}`, o.port, (data, address, port) => {
      for (const to of this.segment.hosts)
        if (to.address === address)
          to.deliver(this, 'udp', `udp ${address} ${port}`, {
            ...{ data, source: this.address, sourcePort: o.port, destination: address, ttl: 64, ifindex: 1 },
          });
    });
  }

  openRaw(): OpenResult {
    return { ok: false, code: 'ENOSYS', error: 'no raw sockets here' };
  }

  openPacket(o: { device: string; etherType: number }): OpenResult {
    return this.open(`${o.device} ${o.etherType}`, 0, (data) => {
      this.segment.frames.push({ from: this, data });
      for (const to of this.segment.hosts)
        if (to !== this)
          to.deliver(this, 'frame', `${o.device} ${o.etherType}`, {
            ...{ data, source: '', sourcePort: 0, destination: '', ttl: 0, ifindex: 1 },
          });
    });
  }

  link(name: string): LinkState | undefined {
    return this.links.get(name);
  }

  watchLinks(onChange: () => void): () => void {
    this.watchers.add(onChange);
    return () => this.watchers.delete(onChange);
  }

  /** Hands something to the sockets that wait for it. */
  deliver(from: Host, kind: 'udp' | 'frame', key: string, p: ControlPacket): void {
    const up = (h: Host) => [...h.links.values()].some((l) => l.up);
    if (this.segment.lost(from, this, kind) || !up(this) || !up(from)) return;
    const packet = { ...p, data: Buffer.from(p.data) };
    this.segment.clock.setTimeout(() => {
      for (const s of [...this.sockets]) if (s.key === key) s.onPacket(packet);
    }, 1);
  }

  private open(key: string, port: number, send: (data: Buffer, address: string, port: number) => void): OpenResult {
    if (this.refuse !== undefined) return { ok: false, code: 'EPERM', error: this.refuse };
    const socket: Open = {
      ...{ host: this, key, port, onPacket: () => {}, onError: () => {} },
      send: (data, address, to) => {
        send(data, address, to ?? 0);
        return undefined;
      },
      close: () => this.sockets.delete(socket),
    };
    this.sockets.add(socket);
    return { ok: true, socket };
  }
}
