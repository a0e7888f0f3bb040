/**
 * The last refusals by source, so that `explain` can say why a device is not heard. Bounded: the least recently refused source goes first.
 * Counting is one map look-up; the text is looked up in `codes.ts` only when somebody asks.
 */
import type { Clock } from '../core/clock.ts';
import type { CollectorName } from '../event/types.ts';
import { type CodeText, REFUSAL_CODES, type RefusalCode } from './codes.ts';
import type { Handle, Registry } from './registry.ts';
import { SecurityTally } from './security.ts';

export interface Refusal {
  collector: CollectorName;
  network: string;
  source: string;
  code: RefusalCode;
  count: number;
  /** UTC milliseconds. */
  first: number;
  last: number;
  /** What makes it findable: a user name, an offset. Never a community or key. */
  detail?: string;
}

export class Refusals {
  private readonly bySource = new Map<string, Refusal>();
  private readonly counters = new Map<string, Handle>();
  private readonly registry: Registry;
  private readonly clock: Clock;
  private readonly limit: number;
  /** The same, by the minute, for security.v1. */
  readonly tally = new SecurityTally();
  /** Called the first time a source is refused for a reason: the log line. */
  onFirst: (r: Refusal) => void = () => {};

  constructor(registry: Registry, clock: Clock, limit = 10_000) {
    this.registry = registry;
    this.clock = clock;
    this.limit = limit;
  }

  /** Counts only: for what we were refused, where nobody sent anything here. */
  count(collector: CollectorName, code: RefusalCode): void {
    const counterKey = `${collector} ${code}`;
    let counter = this.counters.get(counterKey);
    if (!counter) {
      counter = this.registry.handle('tidegate_refused_total', { collector, code });
      this.counters.set(counterKey, counter);
    }
    counter.value++;
  }

  /** Counts one refused datagram, message or session. */
  refuse(collector: CollectorName, network: string, source: string, code: RefusalCode, detail?: string): void {
    this.count(collector, code);
    const key = `${network} ${source} ${collector} ${code}`;
    const now = this.clock.wallMs();
    if ((REFUSAL_CODES[code] as CodeText).ordinary !== true)
      this.tally.add({ network, collector, source, code, detail }, now);
    const known = this.bySource.get(key);
    if (known) {
      known.count++;
      known.last = now;
      if (detail !== undefined) known.detail = detail;
      // Keep the map in order of last use, so that the oldest is the first.
      this.bySource.delete(key);
      this.bySource.set(key, known);
      return;
    }
    if (this.bySource.size >= this.limit) this.bySource.delete(this.bySource.keys().next().value!);
    const fresh: Refusal = { collector, network, source, code, count: 1, first: now, last: now, detail };
    this.bySource.set(key, fresh);
    this.onFirst(fresh);
  }

  /** The refusals of one source address, or all; newest last. */
  list(source?: string): Refusal[] {
    const all = [...this.bySource.values()];
    return source === undefined ? all : all.filter((r) => r.source === source);
  }
}
