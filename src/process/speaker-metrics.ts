/** What the speaker says of itself as metrics. */
import type { Grade } from '../lb/grade.ts';
import { LB_REASONS, lbReason } from '../telemetry/lb-reasons.ts';
import type { Handle, Registry } from '../telemetry/registry.ts';

const LAST_PACKET = 'tidegate_lb_vip_last_packet_seconds';

export class SpeakerMetrics {
  private readonly metrics: Registry;
  private readonly gradeHandle: Handle;
  private readonly freshHandle: Handle;
  /** The series of last packets that are shown. */
  private shown: ReadonlyMap<string, { vip: string; address: string }> = new Map();

  constructor(metrics: Registry) {
    this.metrics = metrics;
    this.gradeHandle = metrics.handle('tidegate_lb_grade');
    this.freshHandle = metrics.handle('tidegate_lb_lease_fresh');
  }

  grade(g: Grade): void {
    this.gradeHandle.value = g === 'full' ? 2 : g === 'degraded' ? 1 : 0;
  }

  fresh(fresh: boolean): void {
    this.freshHandle.value = fresh ? 1 : 0;
  }

  /** All that hold. */
  reasons(texts: readonly string[]): void {
    const holding = new Set(texts.map(lbReason));
    for (const reason of LB_REASONS)
      this.metrics.handle('tidegate_lb_reason', { reason }).value = holding.has(reason) ? 1 : 0;
  }

  /** `last`: UTC milliseconds by address; one that is no longer a VIP's is a series no more. */
  lastPackets(
    vips: readonly { vip: string; address: string }[],
    last: ReadonlyMap<string, number>,
    wallMs: number,
  ): void {
    const shown = new Map<string, { vip: string; address: string }>();
    for (const { vip, address } of vips) {
      const at = last.get(address);
      if (at === undefined) continue;
      const labels = { vip, address };
      shown.set(`${vip} ${address}`, labels);
      this.metrics.handle(LAST_PACKET, labels).value = Math.round(Math.max(0, wallMs - at) / 1000);
    }
    for (const [key, labels] of this.shown) if (!shown.has(key)) this.metrics.forget(LAST_PACKET, labels);
    this.shown = shown;
  }
}
