/** A speaker as a process of its own in a namespace, with the test as its only worker: see vip-node.ts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LbEvent } from '../../src/lb/announcer.ts';
import { connectUnix, type UnixPeer } from '../../src/net/unix.ts';
import type { SpeakerStatus } from '../../src/process/speaker.ts';
import type { Namespace } from './netns.ts';
import { NODE } from './peers.ts';
import type { Proc } from './proc.ts';

export class VipNode {
  readonly proc: Proc;
  readonly channel: UnixPeer;
  hard: string[] = [];
  soft: string[] = [];
  /** Last packets, UTC milliseconds, by name of the VIP. */
  vips: Record<string, number> = {};
  private counter = 0;
  private readonly timer: NodeJS.Timeout;
  private answered: ((s: SpeakerStatus) => void) | undefined;

  private constructor(proc: Proc, channel: UnixPeer) {
    this.proc = proc;
    this.channel = channel;
    channel.onMessage = (m) => this.answered?.(m as SpeakerStatus);
    channel.onClose = () => clearInterval(this.timer);
    this.timer = setInterval(() => this.renew(), 100);
  }

  private static readonly running = new Set<VipNode>();

  static async killAll(): Promise<void> {
    for (const n of VipNode.running) await n.kill();
    VipNode.running.clear();
  }

  /** `name`: of its files; `addresses`: the file of its addresses, which outlives it. */
  static async start(ns: Namespace, config: unknown, name: string, addresses = 'addresses.json'): Promise<VipNode> {
    const { dir } = ns.lab;
    const file = join(dir, `${name}.json`);
    const socket = join(dir, `${name}.sock`);
    writeFileSync(file, JSON.stringify(config));
    const script = fileURLToPath(new URL('vip-node.ts', import.meta.url));
    const proc = ns.spawn([NODE, script, file, socket, join(dir, addresses)]);
    await proc.waitForLine(/"ready":true/);
    const channel = await connectUnix(socket);
    if (!channel.ok) throw new Error(channel.text);
    const started = new VipNode(proc, channel.value);
    VipNode.running.add(started);
    return started;
  }

  /** Another configuration of lb, taken over live. */
  reload(lb: unknown): void {
    this.channel.send({ reload: lb });
  }

  drain(on: boolean): void {
    this.channel.send({ drain: on });
  }

  status(): Promise<SpeakerStatus> {
    return new Promise((resolve) => {
      this.answered = resolve;
      this.channel.send({ ask: true });
    });
  }

  events(): LbEvent[] {
    return this.proc.out.filter((l) => l.includes('"kind"')).map((l) => JSON.parse(l) as LbEvent);
  }

  async stop(reason: string): Promise<void> {
    this.channel.send({ stop: reason });
    await this.proc.exited;
    clearInterval(this.timer);
  }

  async kill(): Promise<void> {
    await this.proc.kill9();
    clearInterval(this.timer);
  }

  private renew(): void {
    const { hard, soft } = this;
    const { vips } = this;
    this.channel.send({ worker: 0, of: 1, counter: ++this.counter, hard, soft, vips });
  }
}
