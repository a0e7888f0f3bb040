/** What stands between the VIPs and this node, from what the speaker says and what the kernel is set to. */
import { networkInterfaces } from 'node:os';
import type { LbConfig } from '../lb/config.ts';
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
    ...sessions(lb, view),
    ...addresses(view, nowMs),
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

function sessions(lb: LbConfig, view: LbView): VipFinding[] {
  const out: VipFinding[] = [];
  for (const p of view.peers ?? []) {
    if (p.state === 'Established') continue;
    const configured = lb.bgp?.peers.find((c) => c.address === p.peer) as Record<string, unknown> | undefined;
    const { words, fix } = whyDown(p.last_down, configured?.password !== undefined);
    out.push({
      at: 'vip',
      severity: 'problem',
      cause: `the BGP session to ${p.peer} is ${p.state}, not Established${words === '' ? '' : `: ${words}`}; that router has no route to this node`,
      fix: `${fix}; \`tidegate lb status\` follows it`,
    });
  }
  return out;
}

type Down = NonNullable<SpeakerStatus['peers'][number]['last_down']>;

/** The peer's own words where it said any, and what they ask for. */
function whyDown(down: Down | undefined, password: boolean): { words: string; fix: string } {
  const usual = 'compare AS numbers, addresses, multihop and filters (TCP 179) on both ends';
  if (!down) return { words: '', fix: usual };
  const said = down.received ?? down.sent;
  const words = [down.reason, said && `${down.received ? 'the peer says' : 'we said'} ${said.name}`, said?.text]
    .filter(Boolean)
    .join(': ');
  const { code, subcode } = said ?? { code: 0, subcode: 0 };
  if (code === 2 && subcode === 2) return { words, fix: 'the AS numbers do not agree: compare asn of both ends' };
  if (code === 2 && subcode === 3) return { words, fix: 'two speakers have one BGP identifier: set lb.bgp.router_id' };
  if (code === 6 && subcode === 7)
    return {
      words,
      fix: 'the router has a session with this address already, perhaps of another speaker on this node: peer with that one, or give tidegate a local_address of its own',
    };
  if (code === 6 && (subcode === 2 || subcode === 3 || subcode === 4 || subcode === 5))
    return { words, fix: 'somebody ended or refuses the session on the router: look there' };
  if (code === 6 && subcode === 10)
    return {
      words,
      fix: 'BFD says that the way to the router is broken: look at the link, and at bfd in `tidegate lb status`',
    };
  if (code === 4 || /hold timer/i.test(down.reason))
    return {
      words,
      fix: 'nothing was heard for the hold time: look for loss or a filter on the way, or a router that is overloaded',
    };
  if (/TCP-AO/.test(down.reason))
    return { words, fix: 'a kernel with CONFIG_TCP_AO, or `password` (TCP-MD5) on both ends' };
  if (/ECONNREFUSED/.test(down.reason))
    return { words, fix: 'the router refuses the connection: is BGP configured there for the address of this node?' };
  if (/ETIMEDOUT|timed? ?out|no answer/i.test(down.reason))
    return {
      words,
      fix: password
        ? 'no answer at all: with a password that is what another password looks like; TCPMD5Failure in /proc/net/netstat counts them; else a filter or no route'
        : 'no answer at all: a filter, no route, or a router that wants a password (lb.bgp.peers.password)',
    };
  if (/EHOSTUNREACH|ENETUNREACH/.test(down.reason)) return { words, fix: 'there is no route to the router from here' };
  if (/EADDRNOTAVAIL/.test(down.reason))
    return { words, fix: 'local_address of the peer is not an address of this node' };
  return { words, fix: usual };
}

function addresses(view: LbView, nowMs: number): VipFinding[] {
  const out: VipFinding[] = [];
  const dead = view.decision?.grade === 'dead';
  for (const v of view.vips ?? []) {
    const name = `${v.name} (${v.address})`;
    if (v.error !== undefined)
      out.push({
        at: 'vip',
        severity: 'problem',
        cause: `the VIP ${name} cannot be bound: ${v.error}`,
        fix: 'the speaker needs CAP_NET_ADMIN, and the interface must exist',
      });
    const obstacles = [v.obstacle, ...v.peers.map((p) => p.obstacle && `${p.peer}: ${p.obstacle}`)].filter(Boolean);
    for (const cause of obstacles)
      out.push({ at: 'vip', severity: 'problem', cause: `the VIP ${name} is not announced to all: ${cause}` });
    const silent = v.last_packet === undefined ? undefined : nowMs - v.last_packet;
    if (
      v.announced &&
      !dead &&
      (silent === undefined || silent > UNUSED_MS) &&
      v.mode === 'ecmp' &&
      v.back_end === 'bgp'
    )
      out.push({
        at: 'vip',
        severity: 'note',
        cause: `the VIP ${name} is announced, but ${silent === undefined ? 'no packet to it was ever seen here' : 'no packet to it was seen for more than five minutes'}`,
        fix: 'nobody sends, or routers do not use this node’s path: look for the VIP in the router’s table; for several nodes at once it needs multipath (maximum-paths, and as-path relax where AS paths differ)',
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
