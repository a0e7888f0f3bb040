/**
 * The VIPs' addresses on the interfaces. Which of them are ours is written down before they are added, so that a crash leaves none
 * behind for ever, and an address somebody else put there is never removed. With a lifetime the kernel removes it by itself when we hang.
 */
import type { Clock, TimerHandle } from '../core/clock.ts';
import { normaliseIp } from '../core/ip.ts';
import type { Logger } from '../core/log.ts';
import type { NeededAddress } from './back-end.ts';

/** `prefix` is `address/length` in RFC 5952 text. */
export interface InterfaceAddress {
  prefix: string;
  interface: string;
}

/** The kernel's addresses (net/, or a twin in memory). */
export interface Addresses {
  /** Every address of every interface of this network namespace. */
  list(): Promise<InterfaceAddress[]>;
  /**
   * Without duplicate address detection, of no use to others where its scope is `host`. One that is there gets the new lifetime.
   * Rejects with a message for the operator.
   */
  add(address: NeededAddress): Promise<void>;
  remove(prefix: string, iface: string): Promise<void>;
}

/** Where the record of our addresses is kept (data_dir). */
export interface AddressStore {
  /** Empty where there is none. */
  load(): Promise<InterfaceAddress[]>;
  /** Durable when it resolves. */
  save(ours: InterfaceAddress[]): Promise<void>;
}

export interface BoundAddress {
  prefix: string;
  /** The interface that carries it; absent: none does. */
  interface?: string;
  /** Added by us, so removed by us. */
  ours: boolean;
  error?: string;
}

export interface VipAddressesOptions {
  addresses: Addresses;
  store: AddressStore;
  clock: Clock;
  log: Logger;
  /** After a check that changed what is bound. */
  onChange(): void;
  /** Milliseconds between two checks that the addresses are still there. */
  checkInterval?: number;
}

const CHECK_MS = 5000;

export class VipAddresses {
  private readonly o: VipAddressesOptions;
  private ours: InterfaceAddress[] = [];
  private wanted: NeededAddress[] = [];
  private bound = new Map<string, BoundAddress>();
  /** Monotonic milliseconds at which an address with a lifetime is added again. */
  private readonly renewAt = new Map<string, number>();
  private timer: TimerHandle | undefined;
  private running: Promise<void> = Promise.resolve();
  private queued = false;
  private stopped = false;

  constructor(options: VipAddressesOptions) {
    this.o = options;
  }

  /** Takes back what an earlier run left, then binds `wanted`. Never rejects: what failed is in `get`. */
  async start(wanted: NeededAddress[]): Promise<void> {
    try {
      this.ours = await this.o.store.load();
    } catch (e) {
      this.o.log.error({ error: message(e) }, 'the record of our addresses cannot be read');
    }
    await this.want(wanted);
    this.schedule();
  }

  /** Binds what is new, unbinds what is no longer wanted and ours. Resolves when that is done. */
  want(wanted: NeededAddress[]): Promise<void> {
    const shorter = leastLifetime(wanted) < leastLifetime(this.wanted);
    this.wanted = wanted;
    if (shorter && this.timer) this.schedule();
    return this.enqueue();
  }

  /** Removes every address we added. */
  async stop(): Promise<void> {
    this.stopped = true;
    if (this.timer) this.o.clock.clearTimeout(this.timer);
    this.timer = undefined;
    this.wanted = [];
    await this.enqueue();
  }

  get(prefix: string): BoundAddress {
    return this.bound.get(prefix) ?? { prefix, ours: false };
  }

  private schedule(): void {
    if (this.timer) this.o.clock.clearTimeout(this.timer);
    if (this.stopped) return;
    const ms = Math.min(this.o.checkInterval ?? CHECK_MS, leastLifetime(this.wanted) / 4);
    this.timer = this.o.clock.setTimeout(() => {
      void this.enqueue().then(() => this.schedule());
    }, ms);
  }

  /** One reconciliation at a time; whoever asks while one waits to begin shares it. */
  private enqueue(): Promise<void> {
    if (this.queued) return this.running;
    this.queued = true;
    this.running = this.running.then(() => {
      this.queued = false;
      return this.reconcile();
    });
    return this.running;
  }

  private async reconcile(): Promise<void> {
    const { addresses, log } = this.o;
    // Whatever the node has, none of it is ours or is to be.
    if (this.wanted.length === 0 && this.ours.length === 0 && this.bound.size === 0) return;
    let present: InterfaceAddress[];
    try {
      present = await addresses.list();
    } catch (e) {
      log.error({ error: message(e) }, 'the addresses of this node cannot be read');
      return;
    }
    const wanted = this.wanted;
    const needed = new Map(wanted.map((w) => [key(w), w]));
    for (const a of [...this.ours]) if (!needed.has(key(a))) await this.removeOurs(a, present);
    const there = new Map<string, InterfaceAddress>();
    const anywhere = new Map<string, InterfaceAddress>();
    for (const p of present) {
      const address = host(p.prefix);
      there.set(`${address} ${p.interface}`, p);
      if (!anywhere.has(address)) anywhere.set(address, p);
    }
    const find = (w: NeededAddress) => there.get(`${host(w.prefix)} ${w.interface}`) ?? anywhere.get(host(w.prefix));
    const problem = await this.recordNew(wanted.filter((w) => !find(w) && !this.isOurs(w)));
    const next = new Map<string, BoundAddress>();
    for (const w of wanted) next.set(w.prefix, await this.bind(w, find(w), problem));
    await this.forget(this.ours.filter((a) => next.get(a.prefix)?.error !== undefined));
    const changed = JSON.stringify([...next]) !== JSON.stringify([...this.bound]);
    this.bound = next;
    if (changed) this.o.onChange();
  }

  /** What is new goes into the record in one write, before any of it is added. */
  private async recordNew(fresh: NeededAddress[]): Promise<string | undefined> {
    if (fresh.length === 0) return undefined;
    try {
      await this.record([...this.ours, ...fresh.map((w) => ({ prefix: w.prefix, interface: w.interface }))]);
      return undefined;
    } catch (e) {
      return message(e);
    }
  }

  private async bind(
    w: NeededAddress,
    present: InterfaceAddress | undefined,
    problem: string | undefined,
  ): Promise<BoundAddress> {
    const mine = this.isOurs(w);
    const now = this.o.clock.nowMs();
    if (present) {
      const ours = mine && present.interface === w.interface;
      if (!ours || w.lifetime === undefined || now < (this.renewAt.get(w.prefix) ?? 0))
        return { prefix: w.prefix, interface: present.interface, ours };
    }
    try {
      if (!mine) throw new Error(problem ?? 'the record of our addresses cannot be written');
      await this.o.addresses.add(w);
      if (w.lifetime !== undefined) this.renewAt.set(w.prefix, now + w.lifetime / 4);
      return { prefix: w.prefix, interface: w.interface, ours: true };
    } catch (e) {
      const error = message(e);
      if (this.get(w.prefix).error !== error)
        this.o.log.error({ address: w.prefix, interface: w.interface, error }, 'the VIP cannot be bound');
      return { prefix: w.prefix, ours: false, error };
    }
  }

  private async removeOurs(a: InterfaceAddress, present: InterfaceAddress[]): Promise<void> {
    try {
      if (present.some((p) => p.interface === a.interface && host(p.prefix) === host(a.prefix)))
        await this.o.addresses.remove(a.prefix, a.interface);
      this.renewAt.delete(a.prefix);
      await this.forget([a]);
    } catch (e) {
      // It stays in the record and is tried again.
      this.o.log.error({ address: a.prefix, interface: a.interface, error: message(e) }, 'a VIP cannot be removed');
    }
  }

  private isOurs(w: InterfaceAddress): boolean {
    return this.ours.some((a) => a.prefix === w.prefix && a.interface === w.interface);
  }

  private async forget(gone: InterfaceAddress[]): Promise<void> {
    if (gone.length === 0) return;
    const keys = new Set(gone.map(key));
    try {
      await this.record(this.ours.filter((x) => !keys.has(key(x))));
    } catch (e) {
      this.o.log.error({ error: message(e) }, 'the record of our addresses cannot be written');
    }
  }

  private async record(ours: InterfaceAddress[]): Promise<void> {
    await this.o.store.save(ours);
    this.ours = ours;
  }
}

function leastLifetime(wanted: readonly NeededAddress[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (const w of wanted) if (w.lifetime !== undefined && w.lifetime < least) least = w.lifetime;
  return least;
}

function key(a: InterfaceAddress): string {
  return `${a.prefix} ${a.interface}`;
}

function host(prefix: string): string {
  const text = prefix.split('/')[0];
  return normaliseIp(text) ?? text;
}

function message(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}
