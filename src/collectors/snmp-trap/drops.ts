/** What the kernel did not give to us, or did not send for us: looked at once a second, counted, and drops said in an event. */

import type { TimerHandle } from '../../core/clock.ts';
import { shortHash } from '../../core/hash.ts';
import { formatEndpoint } from '../../core/ip.ts';
import { rfc3339 } from '../../core/time.ts';
import type { Handle } from '../../telemetry/registry.ts';
import type { CollectorContext } from '../collector.ts';
import type { Listener } from './listener.ts';

const NAME = 'snmp_trap';
const POLL_MS = 1000;
/** How long drops count as a reason to prefer another node. */
const MEMORY_MS = 5000;

export class Drops {
  private readonly ctx: CollectorContext;
  private readonly listeners: readonly Listener[];
  private readonly lost: Handle;
  private readonly unsent: Handle;
  private timer: TimerHandle | undefined;
  private droppedAt = Number.NEGATIVE_INFINITY;

  /** `listeners`: may grow. */
  constructor(listeners: readonly Listener[], ctx: CollectorContext) {
    this.listeners = listeners;
    this.ctx = ctx;
    this.lost = ctx.metrics.handle('tidegate_lost_events_total', { collector: NAME, reason: 'kernel' });
    this.unsent = ctx.metrics.handle('tidegate_unsent_total', { collector: NAME });
  }

  start(): void {
    this.count(false);
    this.timer = this.ctx.clock.setTimeout(() => this.start(), POLL_MS);
  }

  /** Says what is unsaid, and ends. */
  stop(): void {
    if (this.timer) this.ctx.clock.clearTimeout(this.timer);
    this.count(true);
  }

  /** Were there any a moment ago? */
  get recent(): boolean {
    return this.ctx.clock.nowMs() - this.droppedAt < MEMORY_MS;
  }

  /** Brings the counters up to date. An event of a listener comes at most once a poll; `last`: now. */
  count(last: boolean): void {
    for (const l of this.listeners) {
      const { sendErrors, kernelDrops } = l.bound.socket;
      this.unsent.value += sendErrors - l.unsentSeen;
      l.unsentSeen = sendErrors;
      const fresh = kernelDrops - l.dropsSeen;
      if (fresh > 0) {
        l.dropsSeen += fresh;
        l.dropsUnsaid += fresh;
        this.lost.value += fresh;
        this.droppedAt = this.ctx.clock.nowMs();
      }
      const now = this.ctx.clock.wallMs();
      if (l.dropsUnsaid > 0 && (last || now - l.saidAt >= POLL_MS || now < l.saidAt)) this.say(l, now);
      if (l.dropsUnsaid === 0) l.saidAt = now;
    }
  }

  private say(l: Listener, now: number): void {
    const { address, port } = l.bound.socket;
    const from = rfc3339(Math.floor(l.saidAt / 1000), (l.saidAt % 1000) * 1_000_000);
    const sec = Math.floor(now / 1000);
    const nsec = (now % 1000) * 1_000_000;
    const said = this.ctx.pipeline.emit({
      type: 'system.v1',
      sec,
      nsec,
      network: l.network,
      // The kernel does not say whose datagrams they were: the event is about the listener.
      device: { id: `${l.network}|${address}`, name: address },
      contentId: shortHash(`drop\n${l.network}\n${address}\n${port}\n${from}\n${l.dropsUnsaid}`),
      shed: 'system',
      data: {
        kind: 'drop',
        reason: 'kernel',
        count: l.dropsUnsaid,
        worker: this.ctx.worker,
        collector: NAME,
        listener: formatEndpoint(address, port),
        from,
        to: rfc3339(sec, nsec),
      },
    });
    if (said) l.dropsUnsaid = 0;
  }
}
