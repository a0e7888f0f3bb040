/** One receiver of one shard: its reader of the log, its machine, its cursor. */
import { Buffer } from 'node:buffer';
import type { Clock, TimerHandle } from '../../core/clock.ts';
import { type TrapEvent, trapEvent } from '../../event/projections/trap.ts';
import { decodeRecord } from '../../event/record.ts';
import { comparePositions } from '../../spool/segment-file.ts';
import type { Position, SpooledRecord } from '../../spool/types.ts';
import type { RecordSource } from '../types.ts';
import { type Outcome, type TargetEffect, type TargetInput, type TargetLimits, TargetMachine } from './machine.ts';
import { type TrapLimits, TrapMachine } from './trap-machine.ts';

/** Why a notification is not sent. */
export type Skip = 'looped' | 'no-raw' | 'not-encodable';

export interface TargetOptions {
  clock: Clock;
  source: RecordSource;
  inform: boolean;
  limits: TargetLimits & TrapLimits;
  /** The datagrams are wanted as they came. */
  raw: boolean;
  /** Begins to skip to the present where it is further behind; absent: never. */
  maxLagBytes: number | undefined;
  /** The first id; ids are request-ids, so that a repetition is recognised. */
  firstId: number;
  /** Does this notification go to this receiver? `raw` is a view. */
  admit: (e: TrapEvent, raw: Buffer | undefined) => Skip | undefined;
  /** False: it cannot be sent at all, and was counted. */
  send: (id: number, attempt: number, e: TrapEvent, raw: Buffer | undefined) => boolean;
  onDone: (outcome: Outcome | Skip, count: number) => void;
  onRetried: () => void;
  /** Traps that were sent shortly before the receiver was found to be away; they are sent again. */
  onRepeated: (count: number) => void;
  onAway: (away: boolean) => void;
  /** Events passed over to be at the present again. */
  onSkipped: (events: number) => void;
  onIdle: () => void;
}

interface Pending {
  position: Position;
  event: TrapEvent;
  raw: Buffer | undefined;
  /** The kernel took it. */
  handed: boolean;
}

/** Traps sent that may not have arrived. */
interface Doubt {
  position: Position;
  sent: number;
}

/** Events held in memory. */
const MAX_PENDING = 512;
const READ_BYTES = 64 * 1024;

export class RelayTarget {
  private readonly o: TargetOptions;
  private readonly machine: TargetMachine | TrapMachine;
  private readonly pending = new Map<number, Pending>();
  private doubts: Doubt[] = [];
  /** Before this all was admitted or skipped once: to read it again is no news to those who count or remember. */
  private seen: Position | undefined;
  /** What was skipped and may be read again, in order. */
  private readonly skipped = new Map<string, Position>();
  private nextId: number;
  private more = true;
  private scheduled = false;
  private timer: TimerHandle | undefined;
  private closed = false;
  private end: Position | 'all' = 'all';

  constructor(o: TargetOptions) {
    this.o = o;
    this.nextId = o.firstId;
    this.machine = o.inform ? new TargetMachine(o.limits) : new TrapMachine(o.limits);
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

  /** The first event that is not done, or of which it is not sure that it arrived; else where reading goes on. */
  position(): Position {
    if (this.doubts.length > 0) return this.doubts[0].position;
    for (const p of this.pending.values()) return p.position;
    return this.o.source.position;
  }

  drained(): boolean {
    return !this.more && this.pending.size === 0 && this.doubts.length === 0;
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

  /** The network said that something did not arrive. */
  error(): void {
    this.tell({ kind: 'error' });
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
      this.idle();
      return;
    }
    for (const r of records) {
      const record = decodeRecord(r.payload);
      const event = record && trapEvent(record, r.sec, r.nsec);
      if (!event) continue;
      const raw = this.o.raw ? record.raw : undefined;
      if (this.skips(r, event, raw)) continue;
      const id = this.nextId;
      this.nextId = (this.nextId + 1) & 0x7fffffff;
      this.pending.set(id, { position: r.position, event, raw: raw && Buffer.from(raw), handed: false });
      this.tell({ kind: 'offer', id, key: record.subject });
    }
    this.schedule();
  }

  /** Is this one not for the receiver? Asked once of each, however often it is read. */
  private skips({ position, next }: SpooledRecord, event: TrapEvent, raw: Buffer | undefined): boolean {
    const name = `${position.segment}:${position.offset}`;
    if (this.seen && comparePositions(position, this.seen) < 0) return this.skipped.has(name);
    this.seen = next;
    const skip = this.o.admit(event, raw);
    if (skip === undefined) return false;
    if (!this.o.inform && this.doubts.length + this.pending.size > 0) this.skipped.set(name, position);
    this.o.onDone(skip, 1);
    return true;
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
        p.handed = this.o.send(e.id, e.attempt, p.event, p.raw);
        return;
      }
      case 'done': {
        const p = this.pending.get(e.id);
        if (!p) return;
        this.pending.delete(e.id);
        this.done(e.outcome, p.handed);
        this.schedule();
        this.idle();
        return;
      }
      case 'doubt':
        this.doubts.push({ position: this.pending.get(e.id)!.position, sent: 0 });
        return;
      case 'sure': {
        const { sent } = this.doubts.shift()!;
        if (sent > 0) this.o.onDone('sent', sent);
        this.forget();
        this.idle();
        return;
      }
      case 'back':
        this.back();
        return;
      case 'away':
        this.o.onAway(e.away);
        return;
      default: {
        const { clock } = this.o;
        if (this.timer) clock.clearTimeout(this.timer);
        this.timer = clock.setTimeout(
          () => {
            this.timer = undefined;
            // What the sockets have to say comes first: time alone must not decide after a pause of this process.
            setImmediate(() => this.tell({ kind: 'tick' }));
          },
          Math.max(0, e.at - clock.nowMs()),
        );
      }
    }
  }

  private done(outcome: Outcome, handed: boolean): void {
    const doubt = this.doubts.at(-1);
    if (outcome !== 'sent') this.o.onDone(outcome, 1);
    else if (!handed) return;
    else if (doubt) doubt.sent++;
    else this.o.onDone('sent', 1);
  }

  /** Reads and sends again from the first that may not have arrived. */
  private back(): void {
    const position = this.position();
    const sent = this.doubts.reduce((n, d) => n + d.sent, 0);
    this.doubts = [];
    this.pending.clear();
    this.o.source.seek(position);
    this.more = true;
    if (sent > 0) this.o.onRepeated(sent);
    this.schedule();
  }

  private forget(): void {
    const from = this.position();
    for (const [name, at] of this.skipped) {
      if (comparePositions(at, from) >= 0) return;
      this.skipped.delete(name);
    }
  }

  private idle(): void {
    if (this.drained()) this.o.onIdle();
  }
}
