/** What our OPEN says to a peer, and which of its settings a running session takes over. Pure. */
import type { Capability } from '../../codec/bgp/index.ts';
import type { DialOptions } from '../../net/types.ts';
import type { BgpConfig, BgpPeerConfig } from './config.ts';
import type { AdjOutSettings } from './machine.ts';
import { policyOf } from './policy.ts';

/** `restarted`: of the first session after a restart of the speaker: R bit, and F bits, because what the routes lead to lived on. */
export function ourCapabilities(p: BgpPeerConfig, bgp: BgpConfig, restarted: boolean): Capability[] {
  const families = p.families.map((f) => ({ afi: f === 'ipv4' ? 1 : 2, safi: 1 }));
  const out: Capability[] = families.map((f) => ({ name: 'multiprotocol', ...f }));
  out.push({ name: 'route-refresh' }, { name: 'enhanced-route-refresh' }, { name: 'extended-message' });
  if (p.families.includes('ipv4') && p.address.includes(':'))
    out.push({ name: 'extended-next-hop', entries: [{ afi: 1, safi: 1, nextHopAfi: 2 }] });
  if (bgp.graceful_restart) {
    out.push({
      name: 'graceful-restart',
      restarted,
      notification: true,
      time: Math.ceil(bgp.graceful_restart.restart_time / 1000),
      families: families.map((f) => ({ ...f, forwarding: restarted })),
    });
  }
  return out;
}

/** How the peer is dialled. `local`: our address, `device`: of its network; absent: the kernel's choice. */
export function dialOptions(p: BgpPeerConfig, local: string | undefined, device: string | undefined): DialOptions {
  const hops = p.gtsm === true ? 1 : p.gtsm;
  return {
    address: p.address,
    port: p.port,
    localAddress: local,
    device,
    ttl: hops === false ? p.multihop : 255,
    minTtl: hops === false ? undefined : 256 - hops,
    password: p.password,
    ao: p.tcp_ao,
    timeoutMs: p.connect_retry,
  };
}

export function adjOutSettings(p: BgpPeerConfig, bgp: BgpConfig): AdjOutSettings {
  const explicit = p.next_hop === 'self' ? [] : [p.next_hop].flat();
  return {
    policy: policyOf(p, bgp.asn, bgp.communities),
    nextHop: { ipv4: explicit.find((a) => !a.includes(':')), ipv6: explicit.find((a) => a.includes(':')) },
  };
}

/** What is left out is taken over by a running session. */
export function sessionFingerprint(p: BgpPeerConfig, bgp: BgpConfig, routerId: string): string {
  const { hold_time, next_hop, bfd, vips, nodes, communities, med, local_pref, prepend, password, ...identity } = p;
  return JSON.stringify([
    identity,
    password !== undefined,
    bgp.asn,
    bgp.listen.length > 0,
    bgp.graceful_restart,
    routerId,
  ]);
}
