/** gNMI dial-in: the targets that belong to this worker. */
import { rendezvous } from '../../core/rendezvous.ts';
import type { GrpcDialer } from '../../net/grpc.ts';
import type { Collector, CollectorContext } from '../collector.ts';
import type { GnmiConfig } from './config.ts';
import { Target } from './target.ts';

export class GnmiCollector implements Collector {
  private readonly ctx: CollectorContext;
  private readonly targets: Target[] = [];
  private readonly elsewhere: number;
  private paused = false;

  /** `dialer` is `dialGrpc` of net/grpc.ts; `random` gives 0 to 1 for the jitter. */
  constructor(ctx: CollectorContext, config: GnmiConfig, dialer: GrpcDialer, random: () => number = Math.random) {
    this.ctx = ctx;
    const counters = {
      received: ctx.metrics.handle('tidegate_received_total', { collector: 'gnmi' }),
      sessions: ctx.metrics.handle('tidegate_sessions', { collector: 'gnmi' }),
    };
    for (const t of config.targets) {
      if (rendezvous(t.name, ctx.workers) !== ctx.worker) continue;
      const target = new Target(ctx, config, t, dialer, counters, random);
      target.onEmitted = () => {
        if (ctx.pipeline.paused) this.pause();
      };
      this.targets.push(target);
      const plain = t.tls === false || !t.tls.enabled;
      if (plain && t.password !== undefined) {
        ctx.log.warn({ target: t.name }, 'the password of this gNMI target travels in plaintext: configure tls');
      }
    }
    this.elsewhere = config.targets.length - this.targets.length;
  }

  start(): void {
    this.ctx.pipeline.onResume(() => this.resume());
    for (const t of this.targets) t.input({ kind: 'start' });
  }

  quiesce(): void {
    for (const t of this.targets) t.input({ kind: 'quiesce' });
  }

  async stop(): Promise<void> {
    for (const t of this.targets) t.input({ kind: 'stop' });
  }

  status(): Record<string, unknown> {
    return {
      targets: this.targets.map((t) => t.status()),
      up: this.targets.filter((t) => t.up).length,
      elsewhere: this.elsewhere,
    };
  }

  private pause(): void {
    if (this.paused) return;
    this.paused = true;
    for (const t of this.targets) t.pause();
  }

  private resume(): void {
    if (!this.paused) return;
    this.paused = false;
    for (const t of this.targets) t.resume();
  }
}
