/** What `tidegate check` looks at for the VIPs: what nobody would learn of, what this machine lacks, and with `connect` the BGP peers. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Config } from '../config/schema.ts';
import { formatEndpoint, parseEndpoint, parseIp } from '../core/ip.ts';
import { backEndKind } from '../lb/announcer.ts';
import type { BgpPeerConfig } from '../lb/bgp/config.ts';
import { dialOptions } from '../lb/bgp/open.ts';
import { nodeMatches } from '../lb/bgp/policy.ts';
import { loadNative, type Native } from '../net/native.ts';
import { createDial, tcpAoProblem } from '../net/tcp.ts';
import type { Dial } from '../net/types.ts';
import type { CheckFinding } from './check.ts';
import { unservedAddresses } from './listens.ts';
import { CAP, type Capability } from './privileges.ts';
import { interfaceAddress } from './speaker-bgp.ts';

/** This machine, as far as VIPs need it. */
export interface VipHost {
  native: Native | undefined;
  /** Why there is no add-on; undefined: there is one. */
  nativeProblem: string | undefined;
  has(capability: Capability): boolean;
  interfaces: readonly string[];
}

export function thisHost(native: Native | undefined, nativeProblem: string | undefined): VipHost {
  let effective = process.getuid?.() === 0 ? -1n : 0n;
  let interfaces = Object.keys(networkInterfaces());
  try {
    const status = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (status) effective = BigInt(`0x${status[1]}`);
    // Those that are down, too.
    interfaces = [...readFileSync('/proc/net/dev', 'utf8').matchAll(/^\s*([^\s:]+):/gm)].map((m) => m[1]);
  } catch {
    // What Node knows has to do.
  }
  return { native, nativeProblem, interfaces, has: (c) => ((effective >> BigInt(CAP[c])) & 1n) === 1n };
}

export function checkVips(config: Config, host: VipHost): CheckFinding[] {
  if (config.lb.vips.length === 0 && (config.lb.bgp?.peers.length ?? 0) === 0) return [];
  return [...announced(config), ...addOn(config, host), ...privileges(config, host), ...interfaces(config, host)];
}

/** VIPs that nobody would learn of, reach, or that all nodes would take for themselves. */
function announced(config: Config): CheckFinding[] {
  const { lb, cluster } = config;
  const out: CheckFinding[] = [];
  const named = (fits: (v: (typeof lb.vips)[number]) => boolean) =>
    lb.vips
      .filter(fits)
      .map((v) => v.name)
      .join(', ');
  const alone = named((v) => backEndKind(lb, v.name) === 'bgp');
  if (alone !== '' && (lb.bgp?.peers.length ?? 0) === 0)
    out.push({
      severity: 'problem',
      what: `nobody would learn of the VIPs ${alone}: lb.bgp has no peer, and neither lb.vrrp nor lb.l2 has them`,
      fix: 'configure lb.bgp: {asn, peers: [{address, asn}]}, or where no router speaks BGP lb.vrrp or lb.l2',
    });
  for (const { vip, address } of unservedAddresses(config))
    out.push({
      severity: 'note',
      what: `no listener serves the VIP ${vip} (${address}): what is sent there meets no socket of tidegate`,
      fix: `listen: [{vip: ${vip}, port: N}] of a collector, unless another program listens there`,
    });
  const others = cluster?.members.length ?? 0;
  const owned = named((v) => v.mode === 'owner' && backEndKind(lb, v.name) === 'bgp');
  if (owned !== '' && others === 0)
    out.push({
      severity: 'note',
      what: `mode: owner of the VIPs ${owned} has no effect: without cluster.members each node takes itself for the preferred one`,
      fix: 'configure cluster: {members: [ADDRESS of each node], secret}, the same on all nodes, or mode: ecmp',
    });
  const lan = named((v) => backEndKind(lb, v.name) === 'l2');
  if (lan !== '' && others === 0)
    out.push({
      severity: 'note',
      what: `layer 2 of the VIPs ${lan} knows no other node: without cluster.members every node would take them`,
      fix: 'configure cluster: {members: [ADDRESS of each node], secret}, the same on all nodes; one node alone needs none',
    });
  return out;
}

/** What needs the add-on, by name. */
function addOn(config: Config, { native, nativeProblem }: VipHost): CheckFinding[] {
  const { lb, cluster } = config;
  const peers = lb.bgp?.peers ?? [];
  const keyed = peers.filter((p) => p.tcp_ao !== undefined).map((p) => p.address);
  if (native) {
    const problem = keyed.length === 0 ? undefined : tcpAoProblem(native);
    if (problem === undefined) return [];
    return [
      {
        severity: 'problem',
        what: `lb.bgp.peers ${keyed.join(', ')}: ${problem}`,
        fix: 'a kernel with CONFIG_TCP_AO, or `password` (TCP-MD5) on both ends',
      },
    ];
  }
  const out: CheckFinding[] = [];
  const missing = (what: string, consequence: string) =>
    out.push({
      severity: 'problem',
      what: `${what} needs the native add-on, and ${consequence}: ${nativeProblem}`,
      fix: 'install a C compiler and run: npm rebuild',
    });
  const of = (has: (p: BgpPeerConfig) => boolean) => {
    const found = peers.filter(has).map((p) => p.address);
    return found.length === 0 ? undefined : found.join(', ');
  };
  const needs: [string, (p: BgpPeerConfig) => boolean, string][] = [
    ['password', (p) => p.password !== undefined, 'no session is attempted without it'],
    ['tcp_ao', (p) => p.tcp_ao !== undefined, 'no session is attempted without it'],
    ['gtsm', (p) => p.gtsm !== false, 'no session is attempted without it'],
    ['multihop', (p) => p.multihop !== undefined, 'no session is attempted without it'],
    ['network', (p) => p.network !== undefined, 'no session is attempted without it'],
    ['bfd', (p) => p.bfd !== undefined, 'the path is not watched: a dead one is noticed by the hold time'],
  ];
  for (const [key, has, consequence] of needs) {
    const found = of(has);
    if (found !== undefined) missing(`\`${key}\` of lb.bgp.peers ${found}`, consequence);
  }
  if (lb.vrrp.length > 0) missing('lb.vrrp', 'its VIPs are not announced');
  if (lb.vips.some((v) => backEndKind(lb, v.name) === 'l2')) missing('lb.l2', 'its VIPs are not announced');
  if ((cluster?.members.length ?? 0) > 0) missing('cluster', 'no member is heard, nor hears this node');
  return out;
}

function privileges(config: Config, { has }: VipHost): CheckFinding[] {
  const { lb } = config;
  const out: CheckFinding[] = [];
  if (lb.vips.length > 0 && !has('NET_ADMIN'))
    out.push({
      severity: 'note',
      what: `without CAP_NET_ADMIN the VIPs cannot be put on ${lb.interface}${lb.vrrp.length > 0 || lb.l2 ? ' or a LAN interface' : ''}`,
      fix: 'start as root, or give the speaker CAP_NET_ADMIN; on lo you may put the address there yourself',
    });
  const raw = [lb.vrrp.length > 0 && 'lb.vrrp', lb.vips.some((v) => backEndKind(lb, v.name) === 'l2') && 'lb.l2'];
  const sockets = raw.filter(Boolean).join(' and ');
  if (sockets !== '' && !has('NET_RAW'))
    out.push({
      severity: 'note',
      what: `${sockets} needs CAP_NET_RAW: VRRP, ARP and Neighbor Discovery are raw and packet sockets`,
      fix: 'start as root, or give the speaker CAP_NET_RAW and CAP_NET_ADMIN',
    });
  const low = (lb.bgp?.listen ?? []).filter((l) => parseEndpoint(l)!.port < 1024);
  if (low.length > 0 && !has('NET_BIND_SERVICE'))
    out.push({
      severity: 'note',
      what: `lb.bgp.listen ${low.join(', ')} is below 1024 and this process has no CAP_NET_BIND_SERVICE`,
      fix: 'start as root, give it CAP_NET_BIND_SERVICE, or set net.ipv4.ip_unprivileged_port_start',
    });
  return out;
}

function interfaces(config: Config, host: VipHost): CheckFinding[] {
  const { lb } = config;
  const wanted = new Map<string, string>();
  const want = (name: string, of: string) => void (wanted.has(name) || wanted.set(name, of));
  if (lb.vips.some((v) => backEndKind(lb, v.name) === 'bgp')) want(lb.interface, 'lb.interface');
  for (const v of lb.vrrp) want(v.interface, `lb.vrrp (vrid ${v.vrid})`);
  if (lb.vips.some((v) => backEndKind(lb, v.name) === 'l2'))
    for (const name of lb.l2?.interfaces ?? []) want(name, 'lb.l2.interfaces');
  for (const p of lb.bgp?.peers ?? []) {
    if (!nodeMatches(config.node, p.nodes)) continue;
    if (p.local_address !== undefined && parseIp(p.local_address) === undefined)
      want(p.local_address, `local_address of the BGP peer ${p.address}`);
  }
  return [...wanted].flatMap(([name, of]) =>
    host.interfaces.includes(name)
      ? []
      : [
          {
            // It may be another machine's configuration, or an interface that comes later.
            severity: 'note' as const,
            what: `${of}: there is no interface ${name} here`,
            fix: `one of ${host.interfaces.join(', ')}`,
          },
        ],
  );
}

const DIAL_MS = 3000;

/** Dials each peer as the speaker would. `dial`: absent in production. */
export async function checkPeers(
  config: Config,
  dial: Dial = createDial({ native: loadNative() }),
): Promise<CheckFinding[]> {
  return Promise.all((config.lb.bgp?.peers ?? []).map((p) => checkPeer(config, p, dial)));
}

function checkPeer(config: Config, p: BgpPeerConfig, dial: Dial): CheckFinding | Promise<CheckFinding> {
  const where = formatEndpoint(p.address, p.port);
  const ok = (what: string): CheckFinding => ({ severity: 'ok', what: `BGP peer ${where} ${what}` });
  if (!nodeMatches(config.node, p.nodes))
    return ok(`is for the nodes ${p.nodes!.join(', ')}, not for ${config.node}: not tried`);
  if (p.passive) return ok('is waited for (passive): not dialled');
  const problem = (text: string, fix: string): CheckFinding => ({
    severity: 'problem',
    what: `BGP peer ${where}: ${text}`,
    fix,
  });
  let local = p.local_address;
  if (local !== undefined && parseIp(local) === undefined) {
    local = interfaceAddress(local, p.address.includes(':') ? 6 : 4);
    if (local === undefined)
      return problem(
        `local_address: ${p.local_address} has no IPv${p.address.includes(':') ? 6 : 4} address`,
        'give the interface one, or name another',
      );
  }
  const device = p.network === undefined ? undefined : config.networks[p.network]?.device;
  return new Promise((done) => {
    dial({ ...dialOptions(p, local, device), timeoutMs: DIAL_MS }, (r) => {
      if (r.ok) {
        r.connection.destroy();
        done(ok('accepts connections'));
        return;
      }
      const keyed = (p.password ?? p.tcp_ao) !== undefined && /no answer|ETIMEDOUT/.test(r.error);
      done(
        problem(
          r.error,
          keyed
            ? 'no answer at all: with a key that is what another key looks like; else is TCP 179 open between?'
            : 'is BGP enabled there for this node’s address, and is TCP 179 open between?',
        ),
      );
    });
  });
}
