/** What a worker knows of itself: hard reasons withdraw the node, soft ones make it a last resort (design: lease and grade). */
import type { Collector } from '../collectors/collector.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import type { ExporterProgress } from '../export/types.ts';
import type { Quota } from '../spool/quota.ts';
import type { SpoolWriter } from '../spool/types.ts';

export interface Health {
  hard: string[];
  soft: string[];
}

export interface HealthOptions {
  clock: Clock;
  config: Config;
  spool: SpoolWriter;
  quota: Quota;
  /** As last reported by the export thread. */
  exporters: () => readonly ExporterProgress[];
}

/** A record that waits longer than this for its fdatasync is a disk that does not work. */
const SYNC_LIMIT_MS = 1000;
/** An exporter with something to deliver that delivers nothing for so long lags. */
const LAG_LIMIT_MS = 10_000;

export class HealthMeter {
  last: Health = { hard: ['starting'], soft: [] };
  private readonly o: HealthOptions;
  /** By exporter: what it had delivered, and since when it is no more. */
  private readonly delivered = new Map<string, { acked: number; at: number }>();

  constructor(o: HealthOptions) {
    this.o = o;
  }

  measure(collectors: readonly Collector[], socketProblems: readonly string[], draining: boolean): Health {
    const { clock, spool, quota } = this.o;
    const now = clock.nowMs();
    const hard: string[] = [...socketProblems];
    const soft: string[] = [];
    const since = spool.waitingSince;
    if (since !== undefined && now - since > SYNC_LIMIT_MS)
      hard.push('disk: a record waits over 1 s for its fdatasync');
    if (spool.failure !== undefined) hard.push(`disk not writable: ${spool.failure}`);
    // A full spool is soft: where all nodes are full a route that sheds is as good as none, and any other node is preferred.
    if (!quota.accepts('trap')) soft.push('spool full: traps are shed');
    else if (quota.overHighWater)
      soft.push(`spool ${Math.round(quota.fill * 100)} % full of events that are not exported`);
    soft.push(...this.exportLag(now));
    if (draining) soft.push('draining');
    for (const c of collectors) {
      const h = c.health?.();
      if (h) {
        hard.push(...h.hard);
        soft.push(...h.soft);
      }
    }
    this.last = { hard, soft };
    return this.last;
  }

  /** Exporters that have something to deliver and delivered nothing for a while: other nodes may reach Kafka where this one does not. */
  private exportLag(now: number): string[] {
    const out: string[] = [];
    for (const p of this.o.exporters()) {
      // A receiver that is away is away for every node.
      if (!p.durable || p.type === 'relay') continue;
      const seen = this.delivered.get(p.exporter);
      if (!seen || seen.acked !== p.acked || p.lag === 0) this.delivered.set(p.exporter, { acked: p.acked, at: now });
      else if (now - seen.at > LAG_LIMIT_MS) out.push(`exporter ${p.exporter} delivers nothing`);
    }
    return out;
  }
}
