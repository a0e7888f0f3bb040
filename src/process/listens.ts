/** Which sockets the configuration asks for: VIP names become addresses, networks become devices to bind to. */

import type { ListenerConfig } from '../config/fields.ts';
import type { Config } from '../config/schema.ts';
import { formatEndpoint, formatIp, parsePrefix } from '../core/ip.ts';
import type { Listen } from './messages.ts';

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

/** A listener as `status` shows it. */
export function listenView(l: Listen): { collector: string; address: string; network: string } {
  const { address, port, network } = l.spec;
  return { collector: l.collector, address: formatEndpoint(address, port), network };
}
