/** Which sockets the configuration asks for: VIP names become addresses, networks become devices to bind to. */

import type { ListenerConfig } from '../config/fields.ts';
import type { Config } from '../config/schema.ts';
import { formatEndpoint, formatIp, parsePrefix } from '../core/ip.ts';
import type { ExpectedListens, Listen } from './messages.ts';

const KIND = { snmp_trap: 'udp', bmp: 'tcp', bgp: 'tcp' } as const;

/** One entry per address; a listener that names a VIP has one for each of its addresses. */
export function planListens(config: Config): Listen[] {
  const out: Listen[] = [];
  for (const collector of ['snmp_trap', 'bmp', 'bgp'] as const) {
    for (const l of config.collectors[collector]?.listen ?? []) out.push(...expand(config, collector, l));
  }
  return out;
}

function expand(config: Config, collector: Listen['collector'], l: ListenerConfig): Listen[] {
  const network = l.network ?? 'default';
  const device = config.networks[network]?.device;
  const vipOf = (address: string): string | undefined =>
    config.lb.vips.find((v) => addressesOf(v.addresses).includes(address))?.name;
  const addresses =
    l.vip === undefined ? [l.address!] : addressesOf(config.lb.vips.find((v) => v.name === l.vip)?.addresses ?? []);
  return addresses.map((address) => {
    const vip = l.vip ?? vipOf(address);
    return {
      key: `${collector} ${KIND[collector]} ${network} ${formatEndpoint(address, l.port)}`,
      collector,
      kind: KIND[collector],
      vip,
      ack: l.ack,
      acl: l.allow === undefined && l.deny === undefined ? undefined : { allow: l.allow, deny: l.deny },
      spec: { network, address, port: l.port, device, freebind: vip !== undefined },
    };
  });
}

function addressesOf(prefixes: readonly string[]): string[] {
  return prefixes.map((p) => formatIp(parsePrefix(p)!.bytes));
}

/**
 * What has to listen at each address of a VIP before it is announced. Of an address that is not in `known` that is also what `wanted` has
 * beyond `running`: a listener that waits for a restart. One that is announced already is not given up for such.
 */
export function expectedListens(running: Config, wanted: Config, known: ReadonlySet<string>): ExpectedListens {
  const out: ExpectedListens = {};
  for (const v of running.lb.vips) for (const a of addressesOf(v.addresses)) out[a] = [];
  const add = (config: Config, only: (address: string) => boolean) => {
    for (const { key, spec } of planListens(config)) {
      const keys = out[spec.address];
      if (keys !== undefined && only(spec.address) && !keys.includes(key)) keys.push(key);
    }
  };
  add(running, () => true);
  add(wanted, (address) => !known.has(address));
  return out;
}

/** What has to listen where, over changes of the configuration: an address whose listener waits for a restart waits with it. */
export class ListenPlan {
  expected: ExpectedListens = {};
  /** Addresses whose listeners are all of what runs; they are not given up for one that waits. */
  private known: ReadonlySet<string> = new Set();

  constructor(config: Config) {
    this.change(config, config);
  }

  change(running: Config, wanted: Config): void {
    const now = expectedListens(running, running, this.known);
    this.expected = expectedListens(running, wanted, this.known);
    this.known = new Set(Object.keys(now).filter((a) => now[a].length === this.expected[a].length));
  }
}

/** Addresses of VIPs at which no listener of the configuration is, nor one for every address of the family. */
export function unservedAddresses(config: Config): { vip: string; address: string }[] {
  const listens = planListens(config);
  const served = (address: string) =>
    listens.some((l) => l.spec.address === address || l.spec.address === (address.includes(':') ? '::' : '0.0.0.0'));
  return config.lb.vips.flatMap((v) =>
    addressesOf(v.addresses)
      .filter((a) => !served(a))
      .map((address) => ({ vip: v.name, address })),
  );
}

/** A listener as `status` shows it. */
export function listenView(l: Listen): { collector: string; address: string; network: string } {
  const { address, port, network } = l.spec;
  return { collector: l.collector, address: formatEndpoint(address, port), network };
}
