/** What a worker knows of itself: hard reasons withdraw the node, soft ones make it a last resort (design: lease and grade). */
import type { Collector } from '../collectors/collector.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
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
}

/** A record that waits longer than this for its fdatasync is a disk that does not work. */
const SYNC_LIMIT_MS = 1000;

export class HealthMeter {
  last: Health = { hard: ['starting'], soft: [] };
  private readonly o: HealthOptions;

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
}
