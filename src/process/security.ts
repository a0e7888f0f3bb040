/**
 * `security.v1`: what this worker refused, once a minute. A flood makes no more events than its sources and codes, and those are bounded.
 * Rows that a full spool does not take go into the next minute.
 */
import type { Clock, TimerHandle } from '../core/clock.ts';
import { shortHash } from '../core/hash.ts';
import { parseIp } from '../core/ip.ts';
import { rfc3339Millis } from '../core/time.ts';
import type { Draft } from '../event/types.ts';
import type { Inventory } from '../inventory/types.ts';
import { REFUSAL_CODES } from '../telemetry/codes.ts';
import type { SecurityRow, SecurityTally } from '../telemetry/security.ts';

const MINUTE_MS = 60_000;

export interface SecurityOptions {
  clock: Clock;
  tally: SecurityTally;
  inventory: Inventory;
  worker: number;
  /** False: not taken. */
  emit: (draft: Draft) => boolean;
}

export class SecurityStream {
  private readonly o: SecurityOptions;
  private timer: TimerHandle | undefined;

  constructor(o: SecurityOptions) {
    this.o = o;
  }

  /** Says each minute of UTC what was refused in it. */
  start(): void {
    const wait = MINUTE_MS - (this.o.clock.wallMs() % MINUTE_MS);
    this.timer = this.o.clock.setTimeout(() => {
      this.say();
      this.start();
    }, wait);
  }

  /** Says what is unsaid, and ends. */
  stop(): void {
    if (this.timer) this.o.clock.clearTimeout(this.timer);
    this.timer = undefined;
    this.say();
  }

  private say(): void {
    const rows = this.o.tally.take();
    let full = false;
    for (const r of rows) {
      full ||= !this.o.emit(this.draft(r));
      if (full) this.o.tally.add(r, r.last, r.count, r.first);
    }
  }

  private draft(r: SecurityRow): Draft {
    const { network, source } = r;
    const isAddress = source !== undefined && parseIp(source) !== undefined;
    const device =
      source === undefined
        ? { id: `${network}|sources`, name: 'sources' }
        : this.o.inventory.resolve({ network, address: source, target: isAddress ? undefined : source });
    const wall = this.o.clock.wallMs();
    const data = {
      collector: r.collector,
      source: isAddress ? { address: source } : undefined,
      target: isAddress ? undefined : source,
      others: source === undefined ? true : undefined,
      code: r.code,
      reason: REFUSAL_CODES[r.code].reason,
      detail: r.detail,
      count: r.count,
      worker: this.o.worker,
      first: rfc3339Millis(r.first),
      last: rfc3339Millis(r.last),
    };
    return {
      type: 'security.v1',
      sec: Math.floor(wall / 1000),
      nsec: (wall % 1000) * 1_000_000,
      network,
      device,
      contentId: shortHash(JSON.stringify([network, data])),
      shed: 'system',
      data,
    };
  }
}
