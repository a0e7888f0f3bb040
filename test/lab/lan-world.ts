/**
 * One LAN without a router, and what is on it:
 *
 *   devices 10.9.1.101… ──┐            ┌── node a (10.9.1.1) ──┐
 *   (one kernel, whose    ├── switch ──┤                       ├── 10.8.0.0/24 ── Kafka
 *    ARP and ND caches    │            └── node b (10.9.1.2) ──┘
 *    decide)              └── keepalived 10.9.1.3, 10.9.1.4
 *
 * Each node has a VIP under VRRP (node a first) and one under layer 2 (whoever is first by the hash). A pair of keepalived nodes has a
 * third one, see lan-keepalived.ts. What is asked of each VIP: which node's kernel has it, and whose MAC address the devices have.
 */
import type { KafkaLab } from './kafka.ts';
import { type Namespace, setPort } from './netns.ts';
import { FAMILIES, type Family, type LabNode, LoadWorld } from './scenario-load.ts';
import { Script } from './scenario-script.ts';
import type { SenderConfig } from './scenario-sender.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

export type Vip = Record<Family, string>;

const vip = (host: number): Vip => ({ ipv4: `10.9.1.${host}`, ipv6: `2001:db8:9::${host}` });
export const VIPS = { vrrp: vip(50), l2: vip(51), keepalived: vip(52) } as const;
/** Of the nodes a and b, and of the two keepalived nodes, whose ports come next. */
export const HOSTS = { nodes: [1, 2], keepalived: [3, 4] } as const;
const SOURCES = { ipv4: 48, ipv6: 16 };
const KAFKA = '10.8.0.9';
export const TRAP_PORT = 162;
const BMP_PORT = 11019;

export interface LanOptions {
  /** `lb.lease.timeout`; default as in scenario-world.ts. */
  leaseTimeout?: string;
}

export class LanWorld extends LoadWorld {
  protected readonly workers = 1;
  private readonly options: LanOptions;
  devices!: Namespace;
  /** Namespaces for the two keepalived nodes. */
  readonly beside: Namespace[] = [];
  private switch!: Namespace;

  constructor(options: LanOptions = {}) {
    super();
    this.options = options;
  }

  /** Everything up, and each VIP at its home. Close it also where this rejects. */
  async start(): Promise<void> {
    const { lab } = this;
    const spaces = ['node-a', 'node-b'].map((name) => lab.namespace(name));
    // A receiver beside keepalived has its socket before it has the address.
    const early = { 'net.ipv4.ip_nonlocal_bind': 1, 'net.ipv6.ip_nonlocal_bind': 1 };
    this.beside.push(...['keep-a', 'keep-b'].map((name) => lab.namespace(name, { sysctl: early })));
    this.devices = lab.namespace('devices');
    const broker = lab.namespace('kafka');
    const v4 = Array.from({ length: SOURCES.ipv4 }, (_, i) => `10.9.1.${101 + i}`);
    const v6 = Array.from({ length: SOURCES.ipv6 }, (_, i) => `2001:db8:9::1:${(i + 1).toString(16)}`);
    const end = (ns: Namespace, host: number) => ({
      ...{ ns, dev: 'eth0' },
      addresses: [`10.9.1.${host}/24`, `2001:db8:9::${host}/64`],
    });
    this.switch = lab.lan('lan', [
      ...[...spaces, ...this.beside].map((ns, i) => end(ns, i + 1)),
      { ns: this.devices, dev: 'eth0', addresses: [...v4.map((a) => `${a}/24`), ...v6.map((a) => `${a}/64`)] },
    ]);
    lab.lan('back', [
      ...spaces.map((ns, i) => ({ ns, dev: 'eth1', addresses: [`10.8.0.${i + 1}/24`] })),
      { ns: broker, dev: 'eth0', addresses: [`${KAFKA}/24`] },
    ]);
    const kafka = await this.startBroker(broker, KAFKA);
    await this.startReader(broker, kafka);
    for (const [i, ns] of spaces.entries())
      this.nodes.push({
        ...{ name: 'ab'[i], ns },
        address: { ipv4: `10.9.1.${i + 1}`, ipv6: `2001:db8:9::${i + 1}` },
        tidegate: await Tidegate.start({ ns, config: this.config(i, kafka) }),
      });
    const config: SenderConfig = {
      sources: [...v4, ...v6].map((address) => ({
        address,
        target: VIPS.vrrp[address.includes(':') ? 'ipv6' : 'ipv4'],
      })),
      ...{ port: TRAP_PORT, retry: 500, tries: 60 },
    };
    this.sender = new Script(this.devices, 'scenario-sender.ts', config, undefined, true);
    await this.sender.ask('progress');
    await this.waitActive(VIPS.vrrp, this.nodes[0]);
  }

  /** The router of this LAN: its BMP session goes to the VIP, and is dialled again whenever it ends. */
  async bmpSession(to: Vip): Promise<Script> {
    const session = new Script(this.devices, 'lan-bmp.ts', { address: to.ipv4, port: BMP_PORT });
    await waitFor(() => session.ask<boolean>('connected'), 'the BMP session');
    return session;
  }

  private config(i: number, kafka: KafkaLab): Record<string, unknown> {
    const listen = (port: number) => (['vrrp', 'l2'] as const).map((name) => ({ vip: name, port }));
    const both = (v: Vip) => [`${v.ipv4}/32`, `${v.ipv6}/128`];
    return {
      ...{ site: 'lab', node: 'ab'[i], workers: 1 },
      collectors: {
        snmp_trap: {
          listen: listen(TRAP_PORT),
          communities: [{ name: 'public', from: ['10.9.1.0/24', '2001:db8:9::/64'] }],
        },
        bmp: { listen: listen(BMP_PORT) },
      },
      lb: {
        rise: '1s',
        lease: { timeout: this.options.leaseTimeout ?? '3s' },
        drain: { linger: '500ms', timeout: '10s' },
        vips: [
          { name: 'vrrp', addresses: both(VIPS.vrrp) },
          { name: 'l2', addresses: both(VIPS.l2) },
        ],
        vrrp: [{ vrid: 51, interface: 'eth0', vips: ['vrrp'], priority: [150, 100][i], advert_interval: '100ms' }],
        l2: { interfaces: ['eth0'], vips: ['l2'] },
      },
      cluster: {
        listen: `10.9.1.${i + 1}`,
        members: HOSTS.nodes.map((host) => `10.9.1.${host}`),
        secret: 'a secret of the lab, long enough',
      },
      export: { kafka: { brokers: kafka.bootstrap() }, stdout: { enabled: false } },
    };
  }

  /** The switch forwards nothing of this port any more, or does again; nobody's carrier goes. `host`: as in HOSTS. */
  silence(host: number, silent: boolean): void {
    setPort(this.switch, host - 1, !silent);
  }

  /** The kernel of the node has both addresses of the VIP, and the devices' caches have its MAC address for them. */
  isActive(v: Vip, ns: Namespace): boolean {
    const [link] = JSON.parse(ns.ip('-json', 'address', 'show', 'dev', 'eth0')) as {
      address: string;
      addr_info: { local: string }[];
    }[];
    const has = FAMILIES.every((f) => link.addr_info.some((a) => a.local === v[f]));
    return has && FAMILIES.every((f) => this.cached(v[f]) === link.address);
  }

  private cached(address: string): string | undefined {
    const text = this.devices.ip('-json', 'neigh', 'show', 'to', address);
    return text.trim() === '' ? undefined : (JSON.parse(text)[0] as { lladdr?: string } | undefined)?.lladdr;
  }

  /** Waits until it is so. An idle device has nothing in its cache: it is made to ask. */
  async waitActive(v: Vip, ...nodes: { name: string; ns: Namespace }[]): Promise<string> {
    return waitFor(
      async () => {
        for (const f of FAMILIES)
          if (this.cached(v[f]) === undefined)
            await this.devices.exec(['bash', '-c', `echo x > /dev/udp/${v[f]}/9`], { allowFailure: true });
        return nodes.find((n) => this.isActive(v, n.ns))?.name;
      },
      `${nodes.map((n) => n.name).join(' or ')} to have ${v.ipv4} and ${v.ipv6}, also for the devices`,
    );
  }

  /** Which of two nodes has the VIP. */
  async activeNode(v: Vip): Promise<LabNode> {
    const name = await this.waitActive(v, ...this.nodes);
    return this.nodes.find((n) => n.name === name)!;
  }
}
