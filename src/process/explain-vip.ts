/** What stands between the VIPs and this node, from what the speaker says and what the kernel is set to. */
import { networkInterfaces } from 'node:os';
import { formatDuration } from '../core/units.ts';
import type { LbConfig } from '../lb/config.ts';
import { explainPeers } from './explain-bgp.ts';
import { ADD_ON } from './fixes.ts';
import type { SpeakerStatus } from './speaker.ts';

export interface VipFinding {
  at: 'vip';
  severity: 'note' | 'problem';
  cause: string;
  fix?: string;
}

/** Settings of the kernel that decide whether packets to a VIP are taken; by interface. */
export interface KernelFacts {
  /** net.ipv4.conf.X.rp_filter in effect: 0 off, 1 strict, 2 loose. */
  rpFilter: Record<string, number>;
  /** net.ipv4.conf.X.arp_ignore in effect. */
  arpIgnore: Record<string, number>;
}

/** All but loopback. */
export function lanInterfaces(): string[] {
  return Object.entries(networkInterfaces()).flatMap(([name, a]) => (a?.some((x) => !x.internal) ? [name] : []));
}

/** `read` as in kernel-losses.ts. The kernel takes the greater of `all` and the interface's own. */
export function readKernelFacts(
  read: (path: string) => string | undefined,
  interfaces: readonly string[],
): KernelFacts {
  const value = (iface: string, name: string) => Number(read(`/proc/sys/net/ipv4/conf/${iface}/${name}`) ?? 0);
  const facts: KernelFacts = { rpFilter: {}, arpIgnore: {} };
  for (const i of interfaces) {
    facts.rpFilter[i] = Math.max(value('all', 'rp_filter'), value(i, 'rp_filter'));
    facts.arpIgnore[i] = Math.max(value('all', 'arp_ignore'), value(i, 'arp_ignore'));
  }
  return facts;
}

/** What the speaker answers, and what is added to it. It may be silent or not there, so every field may be missing. */
export type LbView = Partial<SpeakerStatus> & { decision?: { grade?: string; reasons?: string[] }; silent?: unknown };

/** No packet for so long although announced, in milliseconds, is worth a word. */
const UNUSED_MS = 300_000;

export function explainVips(lb: LbConfig, view: LbView, kernel: KernelFacts, nowMs: number): VipFinding[] {
  if (lb.vips.length === 0) return [];
  return [
    ...grade(view),
    ...drain(view),
    ...explainPeers(lb, view),
    ...addresses(view, nowMs),
    ...vrrp(view),
    ...settings(lb, view, kernel),
  ];
}

function grade({ decision }: LbView): VipFinding[] {
  if (decision?.grade === undefined || decision.grade === 'full') return [];
  return [
    {
      at: 'vip',
      severity: 'problem',
      cause: `this node is ${decision.grade} for its VIPs: ${(decision.reasons ?? []).join('; ') || 'no reason given'}`,
      fix: 'remove the reason; the VIP comes back by itself after lb.rise',
    },
  ];
}

function drain({ drain: d }: LbView): VipFinding[] {
  if (!d) return [];
  const out: VipFinding[] = [];
  if (d.limit_reached)
    out.push({
      at: 'vip',
      severity: 'problem',
      cause:
        'the VIPs were still in use when the drain reached its limit: routers did not move to another node in time',
      fix: 'is there another full node, and do routers compare AS path, MED and GRACEFUL_SHUTDOWN (65535:0)? lb.drain.timeout is the limit',
    });
  if (d.answers_lost > 0)
    out.push({
      at: 'vip',
      severity: 'problem',
      cause: `${d.answers_lost} informs were repeated although this node answered them since the drain began: its answers are dropped on the way`,
      fix: 'strict reverse-path filtering on the router drops what a node sends that it has no route to: set it to loose there',
    });
  return out;
}

function addresses(view: LbView, nowMs: number): VipFinding[] {
  const out: VipFinding[] = [];
  for (const v of view.vips ?? []) {
    const name = `${v.name} (${v.address})`;
    if (v.error !== undefined)
      out.push({
        at: 'vip',
        severity: 'problem',
        cause: `the VIP ${name} cannot be bound: ${v.error}`,
        fix: 'the speaker needs CAP_NET_ADMIN, and the interface must exist',
      });
    if (v.duplicate) out.push(duplicate(name, v.announced, v.duplicate));
    // On a LAN one node has it and the others do not.
    else if (v.obstacle !== undefined && v.holder === undefined && view.decision?.grade !== 'dead')
      out.push({
        at: 'vip',
        severity: 'problem',
        cause: `the VIP ${name} is not announced by this node: ${v.obstacle}`,
        fix: remedy(v.obstacle),
      });
    for (const p of v.peers)
      if (p.obstacle !== undefined)
        out.push({
          at: 'vip',
          severity: 'problem',
          cause: `the VIP ${name} is not announced to ${p.peer}: ${p.obstacle}`,
        });
  }
  return [...out, ...unused(view, nowMs)];
}

function remedy(obstacle: string): string {
  if (/nothing listens/.test(obstacle))
    return 'see why the listener is not open: `tidegate status`, and the log of the worker';
  if (/add-on/.test(obstacle)) return ADD_ON;
  if (/no interface|is down|not up/.test(obstacle)) return 'bring the interface up, or name another one';
  return '`tidegate lb status` follows it';
}

function duplicate(
  name: string,
  announced: boolean,
  d: NonNullable<SpeakerStatus['vips'][number]['duplicate']>,
): VipFinding {
  const who = d.node === undefined ? `a host at ${d.mac}` : `${d.node} (${d.mac})`;
  return {
    at: 'vip',
    severity: 'problem',
    cause: `the address of the VIP ${name} is used by somebody else on the LAN: ${who} has it too, last heard ${formatDuration(d.ago_ms)} ago${announced ? '; neighbours reach one or the other' : ', so this node does not take it'}`,
    fix:
      d.node === undefined
        ? 'find the host by its MAC address (the tables of the switches) and give it another address, or the VIP'
        : 'its heartbeats do not arrive here: look at the cluster’s UDP port between the nodes, and at cluster.secret',
  };
}

/** A member’s word on an address that is younger than this says that packets come to it. */
const IN_USE_MS = 60_000;

function unused(view: LbView, nowMs: number): VipFinding[] {
  if (view.decision?.grade === 'dead') return [];
  const out: VipFinding[] = [];
  for (const v of view.vips ?? []) {
    const silent = v.last_packet === undefined ? undefined : nowMs - v.last_packet;
    if (!v.announced || v.mode !== 'ecmp' || v.back_end !== 'bgp') continue;
    const name = `${v.name} (${v.address})`;
    const since = silent === undefined ? 'no packet to it was ever seen here' : `none for ${formatDuration(silent)}`;
    const others = (view.cluster?.members ?? []).flatMap((m) =>
      (m.vips ?? [])
        .filter((o) => o.address === v.address.split('/')[0] && o.state === 'announced')
        .map((o) => ({ node: m.node, last: o.last_packet })),
    );
    const used = others.filter((o) => o.last !== undefined && nowMs - o.last <= IN_USE_MS);
    if (used.length > 0 && (silent === undefined || silent > IN_USE_MS)) {
      const who = used.map((o) => `${o.node} (${formatDuration(Math.max(0, nowMs - o.last!))} ago)`).join(', ');
      out.push({
        at: 'vip',
        severity: 'problem',
        cause: `the VIP ${name} is announced here as well, but packets come only to ${who}: ${since}. The router does not use several paths at once, or its hash sends all that is sent now to the others`,
        fix: 'look for the VIP in the router’s table: several paths need multipath (maximum-paths, and as-path relax where AS paths differ), and each node the same AS path, origin and MED; few senders may really all hash elsewhere',
      });
    } else if (silent === undefined || silent > UNUSED_MS) {
      const nobody = others.length > 0 && others.every((o) => o.last === undefined || nowMs - o.last > UNUSED_MS);
      const beside = nobody ? `, nor at ${others.map((o) => o.node).join(', ')}, which announce it too` : '';
      out.push({
        at: 'vip',
        severity: 'note',
        cause: `the VIP ${name} is announced, but ${silent === undefined ? 'no packet to it was ever seen here' : 'no packet to it was seen for more than five minutes'}${beside}`,
        fix: nobody
          ? 'nobody sends, or the router has another route: look for the VIP in the router’s table, and at what devices are configured with'
          : 'nobody sends, or routers do not use this node’s path: look for the VIP in the router’s table; for several nodes at once it needs multipath (maximum-paths, and as-path relax where AS paths differ)',
      });
    }
  }
  return out;
}

/** What the virtual routers of this node hear beside each other. */
function vrrp(view: LbView): VipFinding[] {
  const status = view.vrrp;
  if (!status) return [];
  const out: VipFinding[] = [];
  const ours = new Set((view.vips ?? []).map((v) => v.address.split('/')[0]));
  for (const r of status.routers)
    for (const rival of r.rivals ?? [])
      out.push({
        at: 'vip',
        severity: 'problem',
        cause: `${rival.source} is active for VRID ${r.vrid} on ${r.interface} beside this node (priority ${rival.priority}, ours ${r.priority}) and does not give way: it does not hear our advertisements, or refuses them`,
        fix: 'compare version, checksum, advert_interval, authentication and multicast or unicast of both; see docs/vrrp.md',
      });
  for (const f of status.foreign) {
    const shared = f.addresses.filter((a) => ours.has(a));
    const who = `${f.source} speaks VRRP on ${f.interface} with VRID ${f.vrid} (${f.family}), which is none of this node’s`;
    if (shared.length > 0)
      out.push({
        at: 'vip',
        severity: 'problem',
        cause: `${who}, for our VIP ${shared.join(', ')}: both would have the address`,
        fix: 'give both the same VRID, so that they agree who is active, or another address',
      });
    else
      out.push({
        at: 'vip',
        severity: 'note',
        cause: `${who}, for ${f.addresses.join(', ') || 'no address'}`,
        fix: 'nothing, where that is somebody else’s; where it is to be a node of ours, give it the same VRID',
      });
  }
  return out;
}

function settings(lb: LbConfig, view: LbView, kernel: KernelFacts): VipFinding[] {
  const out: VipFinding[] = [];
  const v4 = (view.vips ?? []).some((v) => !v.address.includes(':'));
  if (!v4) return out;
  for (const [iface, mode] of Object.entries(kernel.rpFilter))
    if (mode === 1)
      out.push({
        at: 'vip',
        severity: 'note',
        cause: `${iface} filters by reverse path, strictly: packets of a device to which this node has a route over another interface are dropped before the socket`,
        fix: `sysctl net.ipv4.conf.${iface}.rp_filter=2, if packets may come in on one interface and be answered on another`,
      });
  for (const v of view.vips ?? []) {
    if (v.back_end === 'bgp' || v.interface === undefined) continue;
    if ((kernel.arpIgnore[v.interface] ?? 0) === 8)
      out.push({
        at: 'vip',
        severity: 'problem',
        cause: `${v.interface} answers no ARP at all (arp_ignore 8): neighbours cannot find ${v.address}`,
        fix: `sysctl net.ipv4.conf.${v.interface}.arp_ignore=1`,
      });
  }
  if (lb.interface === 'lo' && (view.vips ?? []).some((v) => v.back_end === 'bgp'))
    for (const [iface, ignore] of Object.entries(kernel.arpIgnore))
      if (ignore === 0)
        out.push({
          at: 'vip',
          severity: 'note',
          cause: `${iface} answers ARP for addresses of other interfaces (arp_ignore 0): where a VIP lies in the network of ${iface}, every node answers for it`,
          fix: `sysctl net.ipv4.conf.${iface}.arp_ignore=1, or take VIPs out of the networks of the nodes`,
        });
  return out;
}
