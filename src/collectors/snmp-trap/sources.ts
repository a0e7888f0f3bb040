import type { Buffer } from 'node:buffer';
import { formatIp } from '../../core/ip.ts';
import type { Device } from '../../event/types.ts';
import type { Inventory } from '../../inventory/types.ts';

export interface Source {
  address: string;
  device: Device;
  /** What its events begin with, for a version and the port it sent from the last time; made when a port comes again. */
  begin?: { of: Buffer; port: number; json: Buffer | undefined };
  /** The device by the engine id it proved, in hex; absent while there was none. */
  engines?: Map<string, Device>;
}

/** Engines of one source that are remembered; a trusted relay has more of them than others. */
const ENGINES = 1024;

/** Source bytes → text and device. Bounded: cleared when full, and when the inventory changes. */
export class SourceTable {
  private static readonly limit = 65_536;
  private readonly network: string;
  private readonly inventory: Inventory;
  private readonly v4 = new Map<number, Source>();
  private readonly v6 = new Map<string, Source>();
  private version = -1;

  constructor(network: string, inventory: Inventory) {
    this.network = network;
    this.inventory = inventory;
  }

  find(address: Buffer): Source {
    if (this.version !== this.inventory.version || this.v4.size + this.v6.size >= SourceTable.limit) {
      this.v4.clear();
      this.v6.clear();
      this.version = this.inventory.version;
    }
    if (address.length === 4) {
      const key = (address[0] << 24) | (address[1] << 16) | (address[2] << 8) | address[3];
      const known = this.v4.get(key);
      if (known) return known;
      const fresh = this.make(address);
      this.v4.set(key, fresh);
      return fresh;
    }
    const key = address.toString('latin1');
    const known = this.v6.get(key);
    if (known) return known;
    const fresh = this.make(address);
    this.v6.set(key, fresh);
    return fresh;
  }

  /** The device of a notification whose engine id, in hex, was proved. `at`: the source it came from. */
  engine(at: Source, engineId: string): Device {
    at.engines ??= new Map();
    let device = at.engines.get(engineId);
    if (device === undefined) {
      device = this.inventory.resolve({ network: this.network, address: at.address, engineId });
      if (at.engines.size >= ENGINES) at.engines.clear();
      at.engines.set(engineId, device);
    }
    return device;
  }

  private make(bytes: Buffer): Source {
    const address = formatIp(bytes);
    return { address, device: this.inventory.resolve({ network: this.network, address }) };
  }
}
