/** A speaker with everything around it in memory: time, network, addresses, record, and a router that speaks BGP. */
import type { Capability, UpdateMessage } from '../../src/codec/bgp/index.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import type { Addresses, AddressStore, InterfaceAddress } from '../../src/lb/addresses.ts';
import type { LbEvent } from '../../src/lb/announcer.ts';
import type { NeededAddress } from '../../src/lb/back-end.ts';
import { lbConfig } from '../../src/lb/config.ts';
import type { Renewal } from '../../src/lb/lease.ts';
import { MemoryNetwork } from '../../src/net/memory.ts';
import type { Connection } from '../../src/net/types.ts';
import { Speaker, type SpeakerOptions } from '../../src/process/speaker.ts';
import type { BgpSettings, DownFacts } from '../../src/protocol/bgp/machine.ts';
import { BgpPeer, type Established } from '../../src/protocol/bgp/peer.ts';
import { Registry } from '../../src/telemetry/registry.ts';

/** Counts its timers, so that a test sees what was left behind. */
export class CountingClock extends ManualClock {
  live = 0;
  override setTimeout(fn: () => void, ms: number) {
    this.live++;
    return super.setTimeout(() => {
      this.live--;
      fn();
    }, ms);
  }
  private readonly cleared = new Set<unknown>();
  override clearTimeout(handle: { readonly id: unknown }) {
    if (this.pending(handle.id)) this.live--;
    super.clearTimeout(handle);
  }
  private pending(id: unknown): boolean {
    if (this.cleared.has(id)) return false;
    const timers = (this as unknown as { timers: Map<unknown, unknown> }).timers;
    return timers.has(id);
  }
}

export class MemoryAddresses implements Addresses {
  present: InterfaceAddress[];
  /** Every add and remove, in order. */
  readonly calls: string[] = [];
  refuse: string | undefined;
  constructor(present: InterfaceAddress[] = [{ prefix: '10.0.0.1/24', interface: 'eth0' }]) {
    this.present = present;
  }
  async list() {
    return [...this.present];
  }
  async add({ prefix, interface: iface }: NeededAddress) {
    if (this.refuse !== undefined) throw new Error(this.refuse);
    this.calls.push(`add ${prefix} ${iface}`);
    if (!this.present.some((p) => p.prefix === prefix && p.interface === iface))
      this.present.push({ prefix, interface: iface });
  }
  async remove(prefix: string, iface: string) {
    this.calls.push(`remove ${prefix} ${iface}`);
    this.present = this.present.filter((p) => p.prefix !== prefix || p.interface !== iface);
  }
}

export class MemoryStore implements AddressStore {
  ours: InterfaceAddress[] = [];
  async load() {
    return this.ours;
  }
  async save(ours: InterfaceAddress[]) {
    this.ours = ours;
  }
}

/** A router that waits for connections on an address and keeps a table. */
export class Router {
  readonly updates: UpdateMessage[] = [];
  readonly table = new Map<string, UpdateMessage>();
  readonly endOfRib: string[] = [];
  readonly downs: DownFacts[] = [];
  established: Established | undefined;
  sessions = 0;
  connections: Connection[] = [];
  peer: BgpPeer;
  /** Bytes are swallowed: the router is dead, but its kernel is not. */
  deaf = false;

  constructor(network: MemoryNetwork, clock: ManualClock, address: string, settings: Partial<BgpSettings> = {}) {
    this.peer = new BgpPeer({
      role: 'passive',
      asn: 64500,
      bgpId: '192.0.2.254',
      holdTime: 90,
      capabilities: UNICAST,
      connectRetry: 1000,
      random: () => 0.5,
      ...settings,
      clock,
      onEstablished: (e) => {
        this.established = e;
        this.sessions++;
      },
      onDown: (d) => {
        this.downs.push(d);
        this.established = undefined;
        this.table.clear();
      },
      onUpdate: (u) => this.update(u),
    });
    network.listen(address, 179).start((c) => {
      this.connections.push(c);
      c.onData = (chunk) => {
        if (!this.deaf) this.peer.received(c, chunk);
      };
      c.onClose = (error) => this.peer.closed(c, error);
      this.peer.attach(c);
    });
    this.peer.start();
  }

  private update(u: UpdateMessage): void {
    if (u.problems) throw new Error(JSON.stringify(u.problems));
    this.updates.push(u);
    if (u.eor !== undefined) this.endOfRib.push(u.eor);
    for (const { prefix } of [...u.withdrawn, ...u.mpUnreach.flatMap((m) => m.routes ?? [])]) this.table.delete(prefix);
    for (const { prefix } of [...u.announced, ...u.mpReach.flatMap((m) => m.routes ?? [])]) this.table.set(prefix, u);
  }

  get last(): Connection {
    return this.connections[this.connections.length - 1];
  }
}

export const UNICAST: Capability[] = [
  { name: 'multiprotocol', afi: 1, safi: 1 },
  { name: 'multiprotocol', afi: 2, safi: 1 },
  { name: 'route-refresh' },
];

/** Lets everything that is under way in memory arrive. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 30; i++) await new Promise((r) => setImmediate(r));
}

export class World {
  readonly clock = new CountingClock();
  readonly network = new MemoryNetwork();
  readonly metrics = new Registry();
  readonly addresses = new MemoryAddresses();
  readonly store = new MemoryStore();
  readonly events: LbEvent[] = [];
  readonly speaker: Speaker;
  onCloseSessions: (spreadMs: number) => void = () => {};
  private counter = 0;
  private readonly workers: number;

  /** `more`: options of the speaker. */
  constructor(config: Record<string, unknown>, workers = 1, more: Partial<SpeakerOptions> = {}) {
    this.workers = workers;
    this.speaker = new Speaker({
      config: lbConfig.parse(config),
      node: 'edge-1',
      workers,
      clock: this.clock,
      log: silentLog,
      metrics: this.metrics,
      dial: this.network.dial,
      addresses: this.addresses,
      store: this.store,
      random: () => 0.5,
      onEvent: (e) => this.events.push(e),
      onCloseSessions: (ms) => this.onCloseSessions(ms),
      listen: (_bgp, accept) => {
        const listener = this.listening === undefined ? undefined : this.network.listen(this.listening, 179);
        listener?.start(accept);
        return { problems: [], close: () => listener?.close() };
      },
      ...more,
    });
  }

  private listening: string | undefined;

  /** Where lb.bgp.listen is in this world; before `start`. */
  listenAt(address: string): void {
    this.listening = address;
  }

  router(address: string, settings: Partial<BgpSettings> = {}): Router {
    return new Router(this.network, this.clock, address, settings);
  }

  renew(over: Partial<Renewal> = {}): void {
    this.counter++;
    for (let worker = 0; worker < this.workers; worker++) {
      const r: Renewal = { worker, of: this.workers, counter: this.counter, hard: [], soft: [], vips: {}, ...over };
      this.speaker.renewal(JSON.parse(JSON.stringify(r)));
    }
  }

  /** Lets time pass in steps of 100 ms, each with a renewal unless `over` is null. */
  async run(ms: number, over: Partial<Renewal> | null = {}): Promise<void> {
    for (let t = 0; t < ms; t += 100) {
      if (over) this.renew(over);
      await settle();
      this.clock.advance(100);
      await settle();
    }
  }

  metric(name: string, labels: Record<string, string> = {}): number {
    return this.metrics.handle(name as never, labels).value;
  }
}
