/** From which addresses a raw datagram may come back that this node relayed: its targets, the other members of the cluster, and itself. */
import { networkInterfaces } from 'node:os';
import type { Clock } from '../../core/clock.ts';
import type { ExportConfig } from '../config.ts';

/** Addresses come and go with the VIPs. */
const LOOK_MS = 10_000;

export class LoopPeers {
  private readonly clock: Clock;
  private readonly targets: readonly string[];
  private others: readonly string[];
  private known = new Set<string>();
  private lookedAt = Number.NEGATIVE_INFINITY;

  /** `others`: members of the cluster and VIPs. All as RFC 5952 text. */
  constructor(config: ExportConfig, others: readonly string[], clock: Clock) {
    this.clock = clock;
    this.others = others;
    this.targets = Object.values(config.exporters).flatMap((e) =>
      e.type === 'relay' ? e.targets.map((t) => t.address) : [],
    );
  }

  replace(others: readonly string[]): void {
    this.others = others;
    this.lookedAt = Number.NEGATIVE_INFINITY;
  }

  has(address: string): boolean {
    const now = this.clock.nowMs();
    if (now - this.lookedAt >= LOOK_MS) {
      this.lookedAt = now;
      const own = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map((a) => a.address));
      this.known = new Set([...this.targets, ...this.others, ...own]);
    }
    return this.known.has(address);
  }
}
