/**
 * What every world under load has, whatever draws the packets to a node: nodes, the devices that send, a broker, and what of the traffic
 * arrived in it.
 */
import { KafkaLab } from './kafka.ts';
import { Lab, type Namespace } from './netns.ts';
import type { ReaderConfig, Said, Seen, SessionUp } from './scenario-reader.ts';
import { Script } from './scenario-script.ts';
import type { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const TOPIC = 'tidegate.snmp.trap.v1';
const BMP_TOPICS = ['router', 'peer', 'update', 'stats', 'mirror'].map((t) => `bmp.${t}`);
const BGP_TOPICS = ['bgp.peer', 'bgp.update'];
/** Where a session says that it came up, and a node what is wrong with a VIP. */
const FOLLOWED = ['bmp.router', 'bgp.peer', 'system'];

/** A lag is measured once a second: over so many looks it was measured anew. */
const QUIET_LOOKS = 8;

export type Family = 'ipv4' | 'ipv6';
export const FAMILIES = ['ipv4', 'ipv6'] as const;

/** One node; `tidegate` is replaced when it is started again. */
export interface LabNode {
  name: string;
  address: Record<Family, string>;
  ns: Namespace;
  tidegate: Tidegate;
}

/** What arrived under one number. */
export interface Received {
  ids: Set<string>;
  /** Records: more than one is a repetition. */
  records: number;
  node: string;
  worker: number;
  /** When the kernel of the node had it, UTC milliseconds. */
  at: number;
  address: string;
  pdu: string;
}

export abstract class LoadWorld {
  readonly lab = new Lab();
  readonly nodes: LabNode[] = [];
  /** Everything in the topic, by the number it carries. */
  readonly received = new Map<number, Received>();
  /** Records that break their schema. */
  readonly wrong: string[] = [];
  /** Events of kind `vip`. */
  readonly said: Said[] = [];
  sender!: Script;
  private reader!: Script;
  /** Sessions that came up, by kind. */
  private readonly ups = new Map<string, SessionUp[]>();
  private movesTold = 0;

  /** How many workers each node has. */
  protected abstract readonly workers: number;

  close(): Promise<void> {
    return this.lab.close();
  }

  /** A broker in `ns`, and who reads from it. */
  protected async startBroker(ns: Namespace, address: string): Promise<KafkaLab> {
    const kafka = await KafkaLab.start({ address, prefix: ns.prefix, heap: '384m' });
    this.lab.defer(() => kafka.close());
    return kafka;
  }

  /** Makes the topics. */
  protected async startReader(ns: Namespace, kafka: KafkaLab): Promise<void> {
    const others = ['system', 'audit', 'dlq', 'security', ...BMP_TOPICS, ...BGP_TOPICS].map((t) => `tidegate.${t}.v1`);
    const config: ReaderConfig = {
      ...{ brokers: kafka.bootstrap(), topic: TOPIC, partitions: 4, others },
      followed: FOLLOWED.map((t) => `tidegate.${t}.v1`),
    };
    this.reader = new Script(ns, 'scenario-reader.ts', config, (line) => this.take(line));
    await this.reader.ask('ready');
  }

  private take(line: Record<string, unknown>): void {
    this.wrong.push(...(line.wrong as string[]));
    this.said.push(...(line.said as Said[]));
    for (const up of line.ups as SessionUp[]) this.ups.set(up[0], [...(this.ups.get(up[0]) ?? []), up]);
    for (const [number, id, node, worker, at, address, pdu] of line.seen as Seen[]) {
      const known = this.received.get(number);
      if (known) {
        known.ids.add(id);
        known.records++;
      } else this.received.set(number, { ids: new Set([id]), records: 1, node, worker, at, address, pdu });
    }
  }

  /** How often a session came up on another node than before, since the last call. One that moves away and back has moved twice. */
  moved(): number {
    let all = 0;
    for (const list of this.ups.values()) {
      // The same event may be published twice; a later session has a later epoch.
      const sorted = [...new Map(list.map((u) => [u[2], u])).values()].sort((a, b) => a[2] - b[2]);
      for (let i = 1; i < sorted.length; i++) if (sorted[i][1] !== sorted[i - 1][1]) all++;
    }
    const since = all - this.movesTold;
    this.movesTold = all;
    return since;
  }

  /** Waits until all nodes have delivered all they hold, and Kafka was read to its end. */
  async settle(): Promise<void> {
    for (const n of this.nodes) {
      // What a status says is a moment old, and a datagram may still wait in a socket: it has to say so several times.
      let quiet = 0;
      await waitFor(
        async () => {
          const status = await n.tidegate.api<{
            silent: string[];
            workers: {
              waiting: { spooled: number };
              unsynced_bytes: number;
              draining: string[];
              exporters: { exporter: string; lag: number }[];
            }[];
          }>('GET', '/status');
          const left = status.workers.map((w) => ({
            unspooled: w.waiting.spooled,
            unsynced: w.unsynced_bytes,
            older: w.draining.length,
            lag: w.exporters.find((e) => e.exporter === 'kafka')!.lag,
          }));
          const nothing =
            left.length === this.workers && left.every((l) => l.unspooled + l.unsynced + l.older + l.lag === 0);
          quiet = nothing ? quiet + 1 : 0;
          if (quiet > QUIET_LOOKS) return true;
          throw new Error(JSON.stringify({ left, silent: status.silent }));
        },
        `${n.name} to have delivered everything`,
        { every: 150 },
      );
    }
    await this.reader.ask('sync');
  }

  /** Records in a topic now. */
  records(type: string): Promise<number> {
    return this.reader.ask<number>('records', { topic: `tidegate.${type}` });
  }

  /** Counters of a node, by name and labels, as its `status` prints them. */
  async counters(node: LabNode): Promise<Record<string, number>> {
    return (await node.tidegate.api<{ counters: Record<string, number> }>('GET', '/status')).counters;
  }

  other(node: LabNode): LabNode {
    return this.nodes.find((n) => n !== node)!;
  }
}
