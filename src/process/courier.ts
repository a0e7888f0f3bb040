/**
 * Brings events of a process that has no spool to a worker that has one. What was handed over is kept until the worker says that it has it: one that
 * dies with it in hand is not heard of again, so it goes to another, and waits while there is none. After such a death an event may be there twice.
 */
import type { SystemEvent } from './messages.ts';

export interface Carrier<K> {
  key: K;
  /** False where nothing was sent. */
  send(id: number, event: SystemEvent): boolean;
}

/** Beyond, the newest are dropped: these are the words of tidegate, not those of devices. */
const LIMIT = 1000;

export class Courier<K> {
  private readonly choose: () => Carrier<K> | undefined;
  private readonly waiting: SystemEvent[] = [];
  /** By id, in the order in which they were handed over. */
  private readonly handed = new Map<number, { key: K; event: SystemEvent }>();
  private nextId = 1;

  /** `choose` says who is live; undefined: nobody. */
  constructor(choose: () => Carrier<K> | undefined) {
    this.choose = choose;
  }

  say(event: SystemEvent): void {
    if (this.waiting.length + this.handed.size >= LIMIT) return;
    this.waiting.push(event);
    this.flush();
  }

  /** Somebody may be live now. */
  flush(): void {
    while (this.waiting.length > 0) {
      const carrier = this.choose();
      if (!carrier?.send(this.nextId, this.waiting[0])) return;
      this.handed.set(this.nextId++, { key: carrier.key, event: this.waiting.shift()! });
    }
  }

  /** `key` has the event. */
  confirmed(key: K, id: unknown): void {
    if (this.handed.get(id as number)?.key === key) this.handed.delete(id as number);
  }

  /** `key` ended: what it had not confirmed goes to others, before what came later. */
  gone(key: K): void {
    const back: SystemEvent[] = [];
    for (const [id, h] of this.handed) {
      if (h.key !== key) continue;
      this.handed.delete(id);
      back.push(h.event);
    }
    this.waiting.unshift(...back);
    this.flush();
  }
}
