/**
 * A router that balances packet by packet, as per-packet ECMP does, which Linux has not (its ECMP keeps a flow on a path): every datagram
 * for the VIP is marked with a random number in the prerouting hook (nftables, stateless: there is no connection tracking that could pin
 * a flow), and each mark has a routing table of its own with one node as next hop. Which nodes take part is what the routing daemon put
 * into the main table: the rule is renewed with each change of it, in one transaction.
 */
import type { Namespace } from './netns.ts';
import { labBin } from './peers.ts';
import { exec, lines, type Proc } from './proc.ts';
import { waitFor } from './wait.ts';

export type Hops = Record<4 | 6, string>;

const FAMILIES = [4, 6] as const;

export class SprayRouter {
  private readonly ns: Namespace;
  private readonly vip: Hops;
  /** Of node `i`: where its datagrams go. */
  private readonly nodes: Hops[];
  private readonly port: number;
  private readonly monitor: Proc;
  private installed: string | undefined;
  private installing: Promise<void> | undefined;
  private again = false;
  /** What was wrong with the last renewal. */
  problem = '';

  /** `vip`: the addresses of both families, without a length. */
  constructor(ns: Namespace, vip: Hops, port: number, nodes: Hops[]) {
    this.ns = ns;
    this.vip = vip;
    this.port = port;
    this.nodes = nodes;
    for (const [i, hops] of nodes.entries())
      for (const f of FAMILIES) {
        ns.ip(`-${f}`, 'route', 'add', 'default', 'via', hops[f], 'table', `${101 + i}`);
        ns.ip(`-${f}`, 'rule', 'add', 'fwmark', `${1 + i}`, 'table', `${101 + i}`);
      }
    this.monitor = ns.spawn([labBin('ip'), 'monitor', 'route']);
    lines(this.monitor.child.stdout!, () => this.renew());
    this.renew();
  }

  /** The nodes that take part now, by number: those the main table has, of a family. */
  private members(f: 4 | 6): number[] {
    const routes = this.ns.routes<{ gateway?: string; nexthops?: { gateway: string }[] }>(f, this.vip[f]);
    const gateways = routes.flatMap((r) => (r.nexthops ?? [r]).map((h) => h.gateway));
    return this.nodes.flatMap((hops, i) => (gateways.includes(hops[f]) ? [i] : []));
  }

  /** Waits until exactly these nodes take part, in both families. */
  async takePart(...nodes: number[]): Promise<void> {
    const wanted = this.rules([nodes, nodes]);
    await waitFor(
      () => {
        if (this.installed === wanted) return true;
        throw new Error(`${this.problem} ${this.installed}`);
      },
      `the router to send to node ${nodes.join(', ')}`,
      { every: 20 },
    );
  }

  private rules([four, six]: number[][]): string {
    const rule = (daddr: string, members: number[]): string => {
      if (members.length === 0) return '';
      const marks = members.map((node, i) => `${i} : ${node + 1}`).join(', ');
      return `    ${daddr} udp dport ${this.port} meta mark set numgen random mod ${members.length} map { ${marks} }\n`;
    };
    return [
      'table inet spray { }',
      'delete table inet spray',
      'table inet spray {',
      '  chain prerouting {',
      '    type filter hook prerouting priority mangle',
      rule(`ip daddr ${this.vip[4]}`, four) + rule(`ip6 daddr ${this.vip[6]}`, six),
      '  }',
      '}',
      '',
    ].join('\n');
  }

  private renew(): void {
    this.again = true;
    this.installing ??= this.install().finally(() => {
      this.installing = undefined;
      if (this.again) this.renew();
    });
  }

  private async install(): Promise<void> {
    this.again = false;
    try {
      const text = this.rules(FAMILIES.map((f) => this.members(f)));
      if (text === this.installed) return;
      await exec([...this.ns.prefix, labBin('nft'), '-f', '-'], { input: text });
      this.installed = text;
    } catch (e) {
      // The namespace goes with the lab; else the wait for the members says it.
      this.problem = String(e);
    }
  }
}
