import type { TapFilter, TappedEvent } from './messages.ts';

/** Does an event pass? `type` may end in `*`; `device` is an id or a name. */
export function matchesTap(f: TapFilter, type: string, deviceId: string, deviceName: string): boolean {
  if (f.type !== undefined && (f.type.endsWith('*') ? !type.startsWith(f.type.slice(0, -1)) : type !== f.type))
    return false;
  return (
    f.device === undefined || f.device === deviceId || f.device === deviceName || deviceId.endsWith(`|${f.device}`)
  );
}

/** Everybody who follows live events of this instance. */
export class Taps {
  private readonly taps = new Map<number, { filter: TapFilter; sink: (lines: string[]) => boolean }>();
  private nextId = 1;
  private readonly changed: (filter: TapFilter | undefined) => void;

  /** `changed` is told what the workers have to send from now on: undefined for nothing. */
  constructor(changed: (filter: TapFilter | undefined) => void) {
    this.changed = changed;
  }

  /** Adds one; `sink` says whether it took the lines, and what it did not take is gone. Returns how to end it. */
  add(filter: TapFilter, sink: (lines: string[]) => boolean): () => void {
    const id = this.nextId++;
    this.taps.set(id, { filter, sink });
    this.changed(this.union());
    return () => {
      this.taps.delete(id);
      this.changed(this.union());
    };
  }

  /** The narrowest filter that lets through what anybody wants; undefined where nobody follows. */
  union(): TapFilter | undefined {
    const filters = [...this.taps.values()].map((t) => t.filter);
    if (filters.length === 0) return undefined;
    const same = (k: keyof TapFilter): string | undefined =>
      filters.every((f) => f[k] === filters[0][k]) ? filters[0][k] : undefined;
    return { type: same('type'), device: same('device') };
  }

  deliver(events: readonly TappedEvent[]): void {
    for (const tap of this.taps.values()) {
      const lines = events.filter((e) => matchesTap(tap.filter, e.type, e.deviceId, e.deviceName)).map((e) => e.line);
      if (lines.length > 0) tap.sink(lines);
    }
  }
}
