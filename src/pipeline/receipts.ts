import { EVENT_CLASSES, type EventClass, type Receipt } from '../event/types.ts';

/** From so many on, those whose owner no longer waits are looked for. */
const SWEEP_FROM = 1024;

/**
 * Who waits for what. `spooled` comes in seq order with every fdatasync, so a queue is enough; `exported` comes in any order
 * (partitions advance on their own), so it is a map. An owner that no longer waits takes its `exported` away: while Kafka is away for
 * hours, what was answered at `spooled` is forgotten.
 */
export class ReceiptLedger {
  private readonly queues = new Map<EventClass, { seqs: number[]; receipts: Receipt[]; head: number }>();
  private readonly exports = new Map<EventClass, Map<number, Receipt>>();
  private sweepAt = SWEEP_FROM;

  constructor() {
    for (const cls of EVENT_CLASSES) {
      this.queues.set(cls, { seqs: [], receipts: [], head: 0 });
      this.exports.set(cls, new Map());
    }
  }

  add(cls: EventClass, seq: number, receipt: Receipt): void {
    const q = this.queues.get(cls)!;
    q.seqs.push(seq);
    q.receipts.push(receipt);
  }

  /** Everything up to `seq` is durable. `awaitExport`: those with an `exported` stage go on waiting. */
  spooled(cls: EventClass, seq: number, awaitExport: boolean): void {
    const q = this.queues.get(cls)!;
    const waiting = this.exports.get(cls)!;
    while (q.head < q.seqs.length && q.seqs[q.head] <= seq) {
      const receipt = q.receipts[q.head];
      if (receipt.exported && awaitExport) waiting.set(q.seqs[q.head], receipt);
      q.head++;
      receipt.spooled?.();
    }
    if (waiting.size >= this.sweepAt) this.sweep();
    if (q.head > 1024 && q.head * 2 > q.seqs.length) {
      q.seqs.splice(0, q.head);
      q.receipts.splice(0, q.head);
      q.head = 0;
    }
  }

  exported(cls: EventClass, seqs: readonly number[]): void {
    const waiting = this.exports.get(cls)!;
    for (const seq of seqs) {
      const receipt = waiting.get(seq);
      if (receipt) {
        waiting.delete(seq);
        receipt.exported?.();
      }
    }
  }

  private sweep(): void {
    let left = 0;
    for (const waiting of this.exports.values()) {
      for (const [seq, receipt] of waiting) if (!receipt.exported) waiting.delete(seq);
      left = Math.max(left, waiting.size);
    }
    this.sweepAt = Math.max(SWEEP_FROM, 2 * left);
  }

  waiting(): { spooled: number; exported: number } {
    let spooled = 0;
    let exported = 0;
    for (const cls of EVENT_CLASSES) {
      const q = this.queues.get(cls)!;
      spooled += q.seqs.length - q.head;
      exported += this.exports.get(cls)!.size;
    }
    return { spooled, exported };
  }
}
