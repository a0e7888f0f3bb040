/**
 * Two nodes behind one router, and what belongs to them:
 *
 *                                    ┌── node a (10.1.1.2) ──┐
 *   sources ── 10.3.0.0/24 ── router ┤    VIP on both        ├─(via the router)─ Kafka 10.9.0.2
 *   10.3.1.1…, 2001:db8:3:1::1…      └── node b (10.1.2.2) ──┘
 *
 * FRR takes the VIP from both nodes by eBGP and spreads it by the addresses of a packet (layer 3), so that a device stays on a node.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { Frr } from './frr.ts';
import type { Goal } from './goals.ts';
import type { KafkaLab } from './kafka.ts';
import { type Namespace, setPort } from './netns.ts';
import { RouteMonitor } from './route-monitor.ts';
import { FAMILIES, type Family, type LabNode, LoadWorld } from './scenario-load.ts';
import { APART, Script } from './scenario-script.ts';
import type { SenderConfig } from './scenario-sender.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

export const VIP = { ipv4: '203.0.113.10', ipv6: '2001:db8:ff::10' } as const;
export const PREFIX = { ipv4: `${VIP.ipv4}/32`, ipv6: `${VIP.ipv6}/128` } as const;

/** What the router has of a node: nothing, a path, or a path that is worse than a full one. */
export type PathState = 'absent' | 'degraded' | 'full';

const PORT = 162;
const SOURCES = { ipv4: 64, ipv6: 32 };
export const KAFKA = '10.9.0.2';
const NODE_AS = 64512;

interface Detail {
  aspath: { string: string };
  nexthops: { ip: string }[];
}

export interface WorldOptions {
  /** How many nodes; default 2. */
  nodes?: number;
  /** Workers of each; default 2. */
  workers?: number;
  /** BFD between nodes and router: `{interval, multiplier}` of both sides; absent: none. */
  bfd?: { intervalMs: number; multiplier: number };
  /** The router's reverse-path filter: 1 drops what a node that it does not route to answers (RFC 3704, strict), 2 does not. */
  rpFilter?: 0 | 1 | 2;
  /** Of each node; default 10GiB. */
  spoolBytes?: string;
  /** The router has a BMP and a BGP session with the VIP too. */
  sessions?: boolean;
  /** A switch between router and each node, so that a path can go silent without an end that loses its carrier. */
  switches?: boolean;
  /**
   * `lb.lease.timeout` by node; the default of this lab is 3s: two cores carry nodes, router, broker and devices, and a worker that waits
   * for its turn is not frozen.
   */
  leaseTimeout?: Record<string, string>;
}

export class World extends LoadWorld {
  protected readonly workers: number;
  private readonly options: WorldOptions;
  private readonly names: string[];
  router!: Namespace;
  /** Where the devices are. */
  sources!: Namespace;
  frr!: Frr;
  /** The router's routes of IPv4. */
  routes!: RouteMonitor;
  /** What the cases saw of the goals. */
  readonly goals: Goal[] = [];
  private readonly switches = new Map<string, Namespace>();

  constructor(options: WorldOptions = {}) {
    super();
    this.workers = options.workers ?? 2;
    this.options = options;
    this.names = [...'abcdefgh'.slice(0, options.nodes ?? 2)];
  }

  /** Everything up: the router has all paths, full, of both families. Close it also where this rejects. */
  async start(): Promise<void> {
    const { lab } = this;
    // By addresses only, as docs/routers.md recommends.
    this.router = lab.namespace('router', {
      sysctl: {
        ...{ 'net.ipv4.fib_multipath_hash_policy': 0, 'net.ipv6.fib_multipath_hash_policy': 0 },
        // A link that was down has its addresses again.
        ...{ 'net.ipv6.conf.all.keep_addr_on_down': 1, 'net.ipv6.conf.default.keep_addr_on_down': 1 },
        'net.ipv4.conf.default.rp_filter': this.options.rpFilter ?? 0,
        'net.ipv4.conf.all.rp_filter': this.options.rpFilter ?? 0,
      },
    });
    this.routes = new RouteMonitor(this.router);
    const sources = this.connectSources();
    const broker = lab.namespace('kafka');
    lab.link(
      { ns: this.router, dev: 'kafka', addresses: ['10.9.0.1/24'] },
      { ns: broker, dev: 'eth0', addresses: [`${KAFKA}/24`] },
    );
    broker.ip('route', 'add', 'default', 'via', '10.9.0.1');
    const starting = this.startBroker(broker, KAFKA);
    const spaces = this.names.map((name, i) => this.connectNode(name, i + 1));
    const [kafka, frr] = await Promise.all([
      starting,
      Frr.start(this.router, {
        config: this.frrConfig(),
        // The kernel takes a member whose link goes down out of a next-hop group, and this FRR (8.4) does not put it back.
        zebra: 'no zebra nexthop kernel enable',
        bfd: this.options.bfd !== undefined,
        bmp: this.options.sessions,
        // A router has a machine of its own, and does not wait for a turn of this one.
        wrap: APART,
      }),
    ]);
    this.frr = frr;
    await this.startReader(broker, kafka);
    for (const [i, ns] of spaces.entries())
      this.nodes.push({
        name: this.names[i],
        ns,
        address: addressesOf(i + 1),
        tidegate: await this.boot(this.names[i], i + 1, ns, kafka),
      });
    const senderConfig: SenderConfig = { sources, port: PORT, retry: 500, tries: 60 };
    this.sender = new Script(this.sources, 'scenario-sender.ts', senderConfig, undefined, true);
    await this.sender.ask('progress');
    for (const n of this.nodes) await this.waitPath(n, 'full');
    // Sessions that moved while the nodes came are nobody's.
    await this.settle();
    this.moved();
  }

  private connectSources(): SenderConfig['sources'] {
    const { lab, router } = this;
    const ns = lab.namespace('sources');
    this.sources = ns;
    lab.link(
      { ns: router, dev: 'sources', addresses: ['10.3.0.1/24', '2001:db8:3::1/64'] },
      { ns, dev: 'eth0', addresses: ['10.3.0.2/24', '2001:db8:3::2/64'] },
    );
    const v4 = Array.from({ length: SOURCES.ipv4 }, (_, i) => `10.3.1.${i + 1}`);
    const v6 = Array.from({ length: SOURCES.ipv6 }, (_, i) => `2001:db8:3:1::${(i + 1).toString(16)}`);
    ns.sh(
      [
        ...v4.map((a) => `ip address add ${a}/32 dev lo`),
        ...v6.map((a) => `ip address add ${a}/128 dev lo nodad`),
        'ip route add default via 10.3.0.1',
        'ip -6 route add default via 2001:db8:3::1',
      ].join('\n'),
    );
    router.ip('route', 'add', '10.3.1.0/24', 'via', '10.3.0.2');
    router.ip('-6', 'route', 'add', '2001:db8:3:1::/64', 'via', '2001:db8:3::2');
    return [
      ...v4.map((address) => ({ address, target: VIP.ipv4 as string })),
      ...v6.map((address) => ({ address, target: VIP.ipv6 as string })),
    ];
  }

  private connectNode(name: string, i: number): Namespace {
    const ns = this.lab.namespace(`node-${name}`);
    const mine = addressesOf(i);
    const router = { ns: this.router, dev: `node-${name}`, addresses: [`10.1.${i}.1/24`, `2001:db8:1:${i}::1/64`] };
    const node = { ns, dev: 'eth0', addresses: [`${mine.ipv4}/24`, `${mine.ipv6}/64`] };
    if (this.options.switches) this.switches.set(name, this.lab.lan(`sw-${name}`, [router, node]));
    else this.lab.link(router, node);
    ns.ip('route', 'add', 'default', 'via', `10.1.${i}.1`);
    ns.ip('-6', 'route', 'add', 'default', 'via', `2001:db8:1:${i}::1`);
    return ns;
  }

  /** The switch forwards nothing any more between router and node, or does again; both ends keep their carrier. */
  silence(node: LabNode, silent: boolean): void {
    setPort(this.switches.get(node.name)!, 1, !silent);
  }

  /** Takes BFD off all sessions, while everything runs: the sessions stay. */
  async withoutBfd(): Promise<void> {
    const all = this.names.flatMap((_, i) => Object.values(addressesOf(i + 1)));
    await this.frr.configure('router bgp 64500', ...all.map((a) => `no neighbor ${a} bfd`));
    for (const { tidegate } of this.nodes) {
      const config = parse(readFileSync(tidegate.configFile, 'utf8')) as { lb: { bgp: { peers: { bfd?: object }[] } } };
      for (const p of config.lb.bgp.peers) delete p.bfd;
      writeFileSync(tidegate.configFile, stringify(config));
      await waitFor(async () => {
        const { peers } = await tidegate.api<{ peers: { state: string; bfd?: object }[] }>('GET', '/lb');
        return peers.every((p) => p.state === 'Established' && p.bfd === undefined);
      }, `${tidegate.dir} to have its sessions without BFD`);
    }
  }

  /** The router's reverse-path filter from now on. */
  setRpFilter(mode: 0 | 1 | 2): void {
    // The kernel takes the greater one of `all` and the interface's own, so both are set, and the default for what comes.
    this.router.sh(`for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo ${mode} > $f; done`);
  }

  private frrConfig(): string {
    const { bfd, sessions } = this.options;
    const all = this.names.map((_, i) => addressesOf(i + 1));
    const each = (a: string): string[] => [
      ` neighbor ${a} remote-as ${NODE_AS}`,
      ...(bfd ? [` neighbor ${a} bfd ${bfd.multiplier} ${bfd.intervalMs} ${bfd.intervalMs}`] : []),
    ];
    return [
      'router bgp 64500',
      ' bgp router-id 10.9.0.1',
      ' no bgp ebgp-requires-policy',
      ' bgp bestpath as-path multipath-relax',
      ...all.flatMap((a) => [a.ipv4, a.ipv6]).flatMap(each),
      ...(sessions
        ? ['remote-as 64512', 'ebgp-multihop 3', 'update-source 10.9.0.1', 'timers 1 3', 'timers connect 1'].map(
            (t) => ` neighbor ${VIP.ipv4} ${t}`,
          )
        : []),
      ' address-family ipv4 unicast',
      '  maximum-paths 16',
      ...all.map((a) => `  no neighbor ${a.ipv6} activate`),
      ' exit-address-family',
      ' address-family ipv6 unicast',
      '  maximum-paths 16',
      ...all.map((a) => `  neighbor ${a.ipv6} activate`),
      ' exit-address-family',
      ...(sessions
        ? [
            ' bmp targets tidegate',
            '  bmp monitor ipv4 unicast pre-policy',
            `  bmp connect ${VIP.ipv4} port 11019 min-retry 200 max-retry 500`,
            ' exit',
          ]
        : []),
    ].join('\n');
  }

  private boot(name: string, i: number, ns: Namespace, kafka: KafkaLab): Promise<Tidegate> {
    return Tidegate.start({ ns, config: this.nodeConfig(name, i, kafka) });
  }

  /** The configuration of a node; `more`: of its part `lb`. */
  nodeConfig(name: string, i: number, kafka: KafkaLab): Record<string, unknown> {
    const { bfd, sessions, spoolBytes } = this.options;
    const mine = addressesOf(i);
    const peer = (address: string) => ({
      ...{ address, asn: 64500, hold_time: '9s', connect_retry: '1s' },
      ...(bfd && { bfd: { interval: `${bfd.intervalMs}ms`, multiplier: bfd.multiplier } }),
    });
    return {
      site: 'lab',
      node: name,
      workers: this.workers,
      ...(spoolBytes && { spool: { max_bytes: spoolBytes, retain: spoolBytes } }),
      collectors: {
        snmp_trap: {
          listen: [{ vip: 'ingress', port: PORT }],
          communities: [{ name: 'public', from: ['10.3.1.0/24', '2001:db8:3:1::/64'] }],
        },
        ...(sessions && {
          bmp: { listen: [{ vip: 'ingress', port: 11019 }] },
          bgp: {
            ...{ listen: [{ vip: 'ingress', port: 179 }], asn: NODE_AS, router_id: mine.ipv4 },
            peers: [{ address: '10.9.0.1', asn: 64500 }],
          },
        }),
      },
      lb: {
        rise: '2s',
        lease: { timeout: this.leaseTimeout({ name }) },
        drain: { linger: '2s', timeout: '15s' },
        vips: [{ name: 'ingress', addresses: [PREFIX.ipv4, PREFIX.ipv6] }],
        bgp: { asn: NODE_AS, peers: [peer(`10.1.${i}.1`), peer(`2001:db8:1:${i}::1`)] },
      },
      export: { kafka: { brokers: kafka.bootstrap() }, stdout: { enabled: false } },
    };
  }

  /** What the router's BGP table has of this node. */
  async pathState(node: LabNode, family: Family): Promise<PathState> {
    const shown = await this.frr.json<{ paths?: Detail[] }>(`show bgp ${family} unicast ${PREFIX[family]} json`);
    const path = shown.paths?.find((p) => p.nexthops.some((h) => h.ip === node.address[family]));
    if (!path) return 'absent';
    return path.aspath.string === String(NODE_AS) ? 'full' : 'degraded';
  }

  /**
   * Waits until the router has the node so, in both families, and its kernel forwards accordingly: to all full nodes, or, without one,
   * to the degraded ones.
   */
  async waitPath(node: LabNode, state: PathState): Promise<void> {
    for (const family of FAMILIES) {
      await waitFor(
        async () => {
          const is = await this.pathState(node, family);
          if (is === state) return true;
          throw new Error(is);
        },
        `the router to have ${node.name} ${state}, ${family}`,
        { every: 100 },
      );
      await waitFor(() => {
        const hops = this.nextHops(family);
        if (hops.includes(node.address[family]) === (state === 'full')) return true;
        throw new Error(hops.join(' '));
      }, `the router’s kernel to have ${node.name} ${state}, ${family}`);
    }
  }

  /** Milliseconds from `since` (UTC) until the router's kernel sent nothing more of IPv4 to the node. */
  async leftAfter(node: LabNode, since: number): Promise<number> {
    return (await this.routes.when(VIP.ipv4, since, (hops) => !hops.includes(node.address.ipv4))) - since;
  }

  leaseTimeout({ name }: Pick<LabNode, 'name'>): string {
    return this.options.leaseTimeout?.[name] ?? '3s';
  }

  /** Notes a goal in milliseconds. */
  goal(what: string, limit: number, seen: number): void {
    this.goals.push({ what, goal: `≤ ${limit} ms`, seen: `${Math.round(seen)} ms`, met: seen <= limit });
  }

  /** Where the router's kernel sends what is for the VIP. */
  nextHops(family: Family): string[] {
    const routes = this.router.routes<{ gateway?: string; nexthops?: { gateway: string }[] }>(
      family === 'ipv4' ? 4 : 6,
      VIP[family],
    );
    return routes.flatMap((r) => (r.nexthops ?? [r]).map((h) => h.gateway ?? '')).sort();
  }
}

function addressesOf(i: number): Record<Family, string> {
  return { ipv4: `10.1.${i}.2`, ipv6: `2001:db8:1:${i}::2` };
}
