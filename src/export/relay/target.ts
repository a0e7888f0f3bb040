/** One receiver of one shard: its reader of the log, its machine, its cursor. */
import { Buffer } from 'node:buffer';
import type { Clock, TimerHandle } from '../../core/clock.ts';
import { type TrapEvent, trapEvent } from '../../event/projections/trap.ts';
import { decodeRecord } from '../../event/record.ts';
import type { Position } from '../../spool/types.ts';
import type { RecordSource } from '../types.ts';
import { type Outcome, type TargetEffect, type TargetInput, type TargetLimits, TargetMachine } from './machine.ts';

/** Why a notification is not sent. */
export type Skip = 'looped' | 'no-raw' | 'not-encodable';

export interface TargetOptions {
  clock: Clock;
  source: RecordSource;
  limits: TargetLimits;
  /** The datagrams are wanted as they came. */
  raw: boolean;
  /** Begins to skip to the present where it is further behind; absent: never. */
  maxLagBytes: number | undefined;
  /** The first id; ids are request-ids, so that a repetition is recognised. */
  firstId: number;
  /** Does this notification go to this receiver? `raw` is a view. */
  admit: (e: TrapEvent, raw: Buffer | undefined) => Skip | undefined;
  send: (id: number, attempt: number, e: TrapEvent, raw: Buffer | undefined) => void;
  onDone: (outcome: Outcome | Skip) => void;
  onRetried: () => void;
  onAway: (away: boolean) => void;
  /** Events passed over to be at the present again. */
  onSkipped: (events: number) => void;
  onIdle: () => void;
}

interface Pending {
  position: Position;
  event: TrapEvent;
  raw: Buffer | undefined;
}

/** Events held in memory. */
const MAX_PENDING = 512;
const READ_BYTES = 64 * 1024;

export class RelayTarget {
  private readonly o: TargetOptions;
  private readonly machine: TargetMachine;
  private readonly pending = new Map<number, Pending>();
  private nextId: number;
  private more = true;
  private scheduled = false;
  private timer: TimerHandle | undefined;
  private closed = false;
  private end: Position | 'all' = 'all';

  constructor(o: TargetOptions) {
    this.o = o;
    this.nextId = o.firstId;
    this.machine = new TargetMachine(o.limits);
  }

  durable(end: Position | 'all', seq: number | undefined): void {
    this.o.source.setDurableEnd(end, seq);
    this.more = true;
    this.end = end;
    this.schedule();
  }

  /** Reads from here on. */
  begin(at: Position): void {
    this.o.source.seek(at);
  }

  waitsFor(id: number): boolean {
    return this.pending.has(id);
  }

  /** The first event that is not done, or where reading goes on. */
  position(): Position {
    for (const p of this.pending.values()) return p.position;
    return this.o.source.position;
  }

  drained(): boolean {
    return !this.more && this.pending.size === 0;
  }

  lag(): number {
    return this.pending.size + this.o.source.lag().records;
  }

  get away(): boolean {
    return this.machine.away;
  }

  answer(id: number, error: number): void {
    this.tell({ kind: 'answer', id, error });
  }

  again(): void {
    this.tell({ kind: 'again' });
  }

  close(): void {
    this.closed = true;
    if (this.timer) this.o.clock.clearTimeout(this.timer);
    this.o.source.close();
  }

  schedule(): void {
    if (this.scheduled || this.closed) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      if (!this.closed) this.pump();
    });
  }

  private pump(): void {
    const { source } = this.o;
    if (!this.more || this.pending.size >= MAX_PENDING) return;
    this.skipWhereSlow();
    const records = source.read(READ_BYTES, Buffer.allocUnsafeSlow(READ_BYTES));
    if (records.length === 0) {
      this.more = false;
      if (this.pending.size === 0) this.o.onIdle();
      return;
    }
    for (const r of records) {
      const record = decodeRecord(r.payload);
      const event = record && trapEvent(record, r.sec, r.nsec);
      if (!event) continue;
      const raw = this.o.raw ? record.raw : undefined;
      const skip = this.o.admit(event, raw);
      if (skip !== undefined) {
        this.o.onDone(skip);
        continue;
      }
      const id = this.nextId;
      this.nextId = (this.nextId + 1) & 0x7fffffff;
      this.pending.set(id, { position: r.position, event, raw: raw && Buffer.from(raw) });
      this.tell({ kind: 'offer', id, key: record.subject });
    }
    this.schedule();
  }

  private skipWhereSlow(): void {
    const limit = this.o.maxLagBytes;
    const { source } = this.o;
    if (limit === undefined || this.end === 'all') return;
    const { segment, offset } = source.position;
    if (segment === this.end.segment && this.end.offset - offset <= limit) return;
    const lag = source.lag();
    if (lag.bytes <= limit) return;
    this.o.onSkipped(lag.records);
    source.seek(this.end);
  }

  private tell(input: TargetInput): void {
    if (this.closed) return;
    const out: TargetEffect[] = [];
    this.machine.handle(this.o.clock.nowMs(), input, out);
    for (const e of out) this.apply(e);
  }

  private apply(e: TargetEffect): void {
    switch (e.kind) {
      case 'send': {
        const p = this.pending.get(e.id);
        if (!p) return;
        if (e.attempt > 1) this.o.onRetried();
        this.o.send(e.id, e.attempt, p.event, p.raw);
        return;
      }
      case 'done': {
        const p = this.pending.get(e.id);
        if (!p) return;
        this.pending.delete(e.id);
        this.o.onDone(e.outcome);
        this.schedule();
        if (this.pending.size === 0 && !this.more) this.o.onIdle();
        return;
      }
      case 'away':
        this.o.onAway(e.away);
        return;
      default: {
        const { clock } = this.o;
        if (this.timer) clock.clearTimeout(this.timer);
        this.timer = clock.setTimeout(
          () => {
            this.timer = undefined;
            this.tell({ kind: 'tick' });
          },
          Math.max(0, e.at - clock.nowMs()),
        );
      }
    }
  }
}
