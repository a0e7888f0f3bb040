/** Live events for `tidegate tap`: formatted only while somebody follows, sent in small batches, never waited for. */
import type { Clock } from '../core/clock.ts';
import { structuredText } from '../event/envelope.ts';
import type { EventPipeline } from '../pipeline/pipeline.ts';
import type { TapFilter, TappedEvent } from './messages.ts';
import { matchesTap } from './tap.ts';

const BATCH = 500;
const EVERY_MS = 50;
/** Events waiting to be sent; beyond that the tap skips. */
const LIMIT = 10_000;

export class TapPump {
  private readonly clock: Clock;
  private readonly out: (events: TappedEvent[], written: () => void) => void;
  private waiting: TappedEvent[] = [];
  private armed = false;

  constructor(clock: Clock, out: (events: TappedEvent[], written: () => void) => void) {
    this.clock = clock;
    this.out = out;
  }

  /** Follows what passes the filter; undefined ends it. */
  follow(filter: TapFilter | undefined, pipeline: EventPipeline, node: string): void {
    if (!filter) {
      pipeline.setTap(undefined);
      this.waiting = [];
      return;
    }
    pipeline.setTap((e) => {
      if (this.waiting.length >= LIMIT || !matchesTap(filter, e.type, e.device.id, e.device.name)) return;
      const { id, type, device } = e;
      this.waiting.push({
        type,
        deviceId: device.id,
        deviceName: device.name,
        line: structuredText({ id, type, subject: device.id }, e.at, node, e.json),
      });
      if (!this.armed) {
        this.armed = true;
        this.clock.setTimeout(() => this.flush(), EVERY_MS);
      }
    });
  }

  private flush(): void {
    if (this.waiting.length === 0) {
      this.armed = false;
      return;
    }
    // The next batch goes when this one is out of the process: behind a slow supervisor the tap skips, memory does not grow.
    this.out(this.waiting.splice(0, BATCH), () => {
      this.clock.setTimeout(() => this.flush(), this.waiting.length > 0 ? 1 : EVERY_MS);
    });
  }
}
