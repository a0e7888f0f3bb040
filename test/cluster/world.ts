/** Nodes with the real sessions (heartbeat, layer 2) on a segment in memory; the addresses are bound at once. */
import { type ClusterConfig, clusterConfig } from '../../src/cluster/config.ts';
import { ClusterSession } from '../../src/cluster/session.ts';
import type { Clock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { lbConfig } from '../../src/lb/config.ts';
import type { Grade } from '../../src/lb/grade.ts';
import { L2BackEnd } from '../../src/lb/l2/session.ts';
import { Registry } from '../../src/telemetry/registry.ts';
import { CountingClock } from '../lb/world.ts';
import { type Host, Segment } from './segment.ts';

export const SECRET = 'a secret of the tests';
export const VIP4 = '192.0.2.100/32';
export const VIP6 = '2001:db8::100/128';

export class World {
  readonly clock = new CountingClock(0, 1_700_000_000_000);
  readonly segment = new Segment(this.clock);
  readonly nodes: TestNode[] = [];

  /** Time passes in small steps, so that nobody seems to have stood still. */
  run(ms: number): void {
    for (let t = 0; t < ms; t += 20) this.clock.advance(20);
  }

  add(options: NodeOptions = {}): TestNode {
    const n = new TestNode(this, this.nodes.length + 1, options);
    this.nodes.push(n);
    return n;
  }

  owners(prefix = VIP4): TestNode[] {
    return this.nodes.filter((n) => n.l2.facts(prefix)?.announced);
  }
}

export interface NodeOptions {
  cluster?: Partial<Record<keyof ClusterConfig, unknown>>;
  l2?: object;
  vips?: { name: string; addresses: string[] }[];
  links?: string[];
  site?: string;
  node?: string;
  /** Milliseconds by which its wall clock is ahead. */
  wallOffset?: number;
}

export class TestNode {
  readonly name: string;
  readonly host: Host;
  readonly metrics = new Registry();
  readonly cluster: ClusterSession;
  readonly l2: L2BackEnd;
  readonly alarms: string[] = [];
  readonly sessions: string[] = [];
  wallOffset: number;
  private grade: Grade = 'full';
  private readonly prefixes: { vip: string; prefix: string }[];
  private telling = false;

  constructor(world: World, n: number, o: NodeOptions) {
    this.wallOffset = o.wallOffset ?? 0;
    this.name = o.node ?? `edge-${n}`;
    this.host = world.segment.host(`192.0.2.${n}`, o.links);
    const vips = o.vips ?? [{ name: 'ingress', addresses: [VIP4, VIP6] }];
    this.prefixes = vips.flatMap((v) => v.addresses.map((prefix) => ({ vip: v.name, prefix })));
    const members = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
    const config = clusterConfig.parse({ listen: `192.0.2.${n}`, members, secret: SECRET, ...o.cluster });
    const { clock } = world;
    const own: Clock = {
      nowMs: () => clock.nowMs(),
      wallMs: () => clock.wallMs() + this.wallOffset,
      wallMicros: () => clock.wallMicros(),
      setTimeout: (fn, ms) => clock.setTimeout(fn, ms),
      clearTimeout: (h) => clock.clearTimeout(h),
    };
    const events = {
      onChange: () => this.tell(),
      onSession: (protocol: string, peer: string, from: string, to: string) =>
        void this.sessions.push(`${protocol} ${peer} ${from}>${to}`),
      onAlarm: (reason: string) => void this.alarms.push(reason),
    };
    const common = { clock: own, log: silentLog, metrics: this.metrics, net: this.host, events };
    const { name: node } = this;
    this.cluster = new ClusterSession({ ...common, config, node, site: o.site ?? 'dc1' });
    const lb = lbConfig.parse({ vips, l2: { interfaces: o.links ?? ['eth0'], ...o.l2 } });
    this.l2 = new L2BackEnd({
      ...common,
      membership: this.cluster,
      timeout: config.timeout,
      defaultInterfaces: () => [],
    });
    this.cluster.start();
    this.l2.configure({ lb, node, routerId: '192.0.2.1' });
    this.tell();
  }

  setGrade(grade: Grade): void {
    this.grade = grade;
    this.tell();
  }

  metric(name: string, labels: Record<string, string> = {}): number {
    return this.metrics.handle(name as never, labels).value;
  }

  async stop(): Promise<void> {
    await this.l2.stop('stopping');
    this.cluster.stop();
  }

  /** What the announcer does, with addresses that are bound as soon as they are needed. */
  private tell(): void {
    if (this.telling) return;
    this.telling = true;
    for (let i = 0; i < 3; i++) {
      const bound = new Set(this.l2?.addresses().map((a) => a.prefix));
      this.l2?.want({
        ...{ grade: this.grade, reason: '', draining: false },
        vips: this.prefixes.map((v) => ({ ...v, mode: 'ecmp', preferred: true, bound: bound.has(v.prefix) })),
      });
    }
    this.telling = false;
  }
}
