/** Hints → device. Rebuilt as a whole when the file changes; `resolve` is one map look-up for a source seen before. */
import type { Device } from '../event/types.ts';
import type { DeviceHints, Inventory } from './types.ts';

/** One thing a device is recognised by. */
export interface Match {
  network?: string;
  address?: string;
  engine_id?: string;
  bgp_id?: string;
  sys_name?: string;
  target?: string;
}

export interface InventoryEntry extends Device {
  match: Match[];
}

const HINTS = ['address', 'engine_id', 'bgp_id', 'sys_name', 'target'] as const;
const UNKNOWN_LIMIT = 100_000;

export class DeviceTable implements Inventory {
  version = 0;
  private byHint = new Map<string, Device>();
  private unknown = new Map<string, Device>();
  private others = false;
  private count = 0;

  constructor(entries: readonly InventoryEntry[] = []) {
    this.replace(entries);
  }

  get size(): number {
    return this.count;
  }

  /** Puts a new inventory in place of the old one. */
  replace(entries: readonly InventoryEntry[]): void {
    const byHint = new Map<string, Device>();
    this.others = false;
    for (const { match, ...device } of entries) {
      const kept = Object.freeze({ ...device });
      for (const m of match) {
        for (const hint of HINTS) {
          if (m[hint] === undefined) continue;
          byHint.set(key(hint, m.network ?? 'default', m[hint]), kept);
          if (hint !== 'address') this.others = true;
        }
      }
    }
    this.byHint = byHint;
    this.unknown = new Map();
    this.count = entries.length;
    this.version++;
  }

  /** The more specific hint wins: what the device says of itself before the address a packet came from. */
  resolve(h: DeviceHints): Device {
    if (this.others) {
      const said =
        (h.target !== undefined && this.byHint.get(key('target', h.network, h.target))) ||
        (h.engineId !== undefined && this.byHint.get(key('engine_id', h.network, h.engineId))) ||
        (h.bgpId !== undefined && this.byHint.get(key('bgp_id', h.network, h.bgpId))) ||
        (h.sysName !== undefined && this.byHint.get(key('sys_name', h.network, h.sysName)));
      if (said) return said;
    }
    const known = this.byHint.get(key('address', h.network, h.address));
    if (known) return known;
    const id = `${h.network}|${h.address}`;
    let device = this.unknown.get(id);
    if (!device) {
      if (this.unknown.size >= UNKNOWN_LIMIT) this.unknown.clear();
      device = Object.freeze({ id, name: h.address });
      this.unknown.set(id, device);
    }
    return device;
  }

  /** The devices an operator may mean by `text`: an id, a name or an address. */
  find(text: string): Device[] {
    const out = new Set<Device>();
    for (const [k, d] of this.byHint) if (d.id === text || d.name === text || k.endsWith(`\0${text}`)) out.add(d);
    return [...out];
  }

  /** The addresses by which a device is recognised, as [network, address]. */
  addressesOf(id: string): [string, string][] {
    const out: [string, string][] = [];
    for (const [k, d] of this.byHint) {
      const [hint, network, value] = k.split('\0');
      if (d.id === id && hint === 'address') out.push([network, value]);
    }
    return out;
  }
}

function key(hint: string, network: string, value: string): string {
  return `${hint}\0${network}\0${value}`;
}
