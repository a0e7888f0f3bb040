/**
 * The VIP's addresses on the interface. Which of them are ours is written down before they are added, so that a crash leaves none
 * behind for ever, and an address somebody else put there is never removed.
 */
import type { Clock, TimerHandle } from '../core/clock.ts';
import { normaliseIp } from '../core/ip.ts';
import type { Logger } from '../core/log.ts';

/** `prefix` is `address/length` in RFC 5952 text. */
export interface InterfaceAddress {
  prefix: string;
  interface: string;
}

/** The kernel's addresses (net/, or a twin in memory). */
export interface Addresses {
  /** Every address of every interface of this network namespace. */
  list(): Promise<InterfaceAddress[]>;
  /** Scope host, without duplicate address detection. Rejects with a message for the operator. */
  add(prefix: string, iface: string): Promise<void>;
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
  private wanted: string[] = [];
  private iface = 'lo';
  private bound = new Map<string, BoundAddress>();
  private timer: TimerHandle | undefined;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(options: VipAddressesOptions) {
    this.o = options;
  }

  /** Takes back what an earlier run left, then binds `prefixes`. Never rejects: what failed is in `get`. */
  async start(prefixes: string[], iface: string): Promise<void> {
    try {
      this.ours = await this.o.store.load();
    } catch (e) {
      this.o.log.error({ error: message(e) }, 'the record of our addresses cannot be read');
    }
    await this.want(prefixes, iface);
    this.schedule();
  }

  /** Binds what is new, unbinds what is no longer wanted and ours. */
  want(prefixes: string[], iface: string): Promise<void> {
    this.wanted = prefixes;
    this.iface = iface;
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
    if (this.stopped) return;
    this.timer = this.o.clock.setTimeout(() => {
      void this.enqueue().then(() => this.schedule());
    }, this.o.checkInterval ?? CHECK_MS);
  }

  /** One reconciliation at a time. */
  private enqueue(): Promise<void> {
    this.running = this.running.then(() => this.reconcile());
    return this.running;
  }

  private async reconcile(): Promise<void> {
    const { addresses, log } = this.o;
    let present: InterfaceAddress[];
    try {
      present = await addresses.list();
    } catch (e) {
      log.error({ error: message(e) }, 'the addresses of this node cannot be read');
      return;
    }
    for (const a of [...this.ours]) {
      if (a.interface === this.iface && this.wanted.includes(a.prefix)) continue;
      await this.removeOurs(a, present);
    }
    const next = new Map<string, BoundAddress>();
    for (const prefix of this.wanted) next.set(prefix, await this.bind(prefix, present));
    const changed = JSON.stringify([...next]) !== JSON.stringify([...this.bound]);
    this.bound = next;
    if (changed) this.o.onChange();
  }

  private async bind(prefix: string, present: InterfaceAddress[]): Promise<BoundAddress> {
    const address = host(prefix);
    const mine = this.isOurs(prefix, this.iface);
    const there =
      present.find((p) => host(p.prefix) === address && p.interface === this.iface) ??
      present.find((p) => host(p.prefix) === address);
    if (there) return { prefix, interface: there.interface, ours: mine && there.interface === this.iface };
    try {
      if (!mine) await this.record([...this.ours, { prefix, interface: this.iface }]);
      await this.o.addresses.add(prefix, this.iface);
      return { prefix, interface: this.iface, ours: true };
    } catch (e) {
      const error = message(e);
      if (this.get(prefix).error !== error)
        this.o.log.error({ address: prefix, interface: this.iface, error }, 'the VIP cannot be bound');
      await this.forget({ prefix, interface: this.iface });
      return { prefix, ours: false, error };
    }
  }

  private async removeOurs(a: InterfaceAddress, present: InterfaceAddress[]): Promise<void> {
    try {
      if (present.some((p) => p.interface === a.interface && host(p.prefix) === host(a.prefix)))
        await this.o.addresses.remove(a.prefix, a.interface);
      await this.forget(a);
    } catch (e) {
      // It stays in the record and is tried again.
      this.o.log.error({ address: a.prefix, interface: a.interface, error: message(e) }, 'a VIP cannot be removed');
    }
  }

  private isOurs(prefix: string, iface: string): boolean {
    return this.ours.some((a) => a.prefix === prefix && a.interface === iface);
  }

  private async forget(a: InterfaceAddress): Promise<void> {
    try {
      await this.record(this.ours.filter((x) => x.prefix !== a.prefix || x.interface !== a.interface));
    } catch (e) {
      this.o.log.error({ error: message(e) }, 'the record of our addresses cannot be written');
    }
  }

  private async record(ours: InterfaceAddress[]): Promise<void> {
    await this.o.store.save(ours);
    this.ours = ours;
  }
}

function host(prefix: string): string {
  const text = prefix.split('/')[0];
  return normaliseIp(text) ?? text;
}

function message(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}
