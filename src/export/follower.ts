/**
 * What the exporters that are not durable have in common: one begins with what comes after it was opened, hands over one piece at a time, and
 * where whoever takes them is slower than what comes, it skips to the present and counts.
 */
import { Buffer } from 'node:buffer';
import { decodeRecord, type EventRecord } from '../event/record.ts';
import { EVENT_CLASSES, type EventClass } from '../event/types.ts';
import type { Position } from '../spool/types.ts';
import type { RecordSource, ShardExport, ShardLogs } from './types.ts';

export interface FollowerOptions {
  /** One event as text; undefined: it has no form here, and is not shown. */
  render: (r: EventRecord, sec: number, nsec: number) => string | undefined;
  /** Takes lines, each ended by a line feed. True: they are out. False: no more are given until `written`. */
  take: (text: string, events: number) => boolean;
  onIdle: () => void;
  /** Bytes in the spool from which on it skips ahead; default 4 MiB. */
  maxLagBytes?: number;
}

const CHUNK = 64 * 1024;

export class Follower {
  private readonly o: FollowerOptions;
  private readonly sources = new Map<EventClass, { source: RecordSource; more: boolean; end: Position | 'all' }>();
  private busy = false;
  private scheduled = false;
  shown = 0;
  skipped = 0;

  constructor(o: FollowerOptions) {
    this.o = o;
  }

  open(logs: ShardLogs): ShardExport {
    for (const cls of EVENT_CLASSES) {
      const source = logs.open(cls);
      const end = logs.end(cls);
      source.setDurableEnd(end);
      if (end !== 'all') source.seek(end);
      this.sources.set(cls, { source, more: end === 'all', end });
    }
    return {
      durable: (cls, end, seq) => {
        const s = this.sources.get(cls);
        if (!s) return;
        s.source.setDurableEnd(end, seq);
        s.end = end;
        s.more = true;
        this.schedule();
      },
      lowWater: (cls) => this.sources.get(cls)!.source.position,
      state: () => undefined,
      drained: () => !this.busy && [...this.sources.values()].every((s) => !s.more),
      lag: () => 0,
      close: () => this.close(),
    };
  }

  /** What `take` was given is out. */
  written(): void {
    this.busy = false;
    this.schedule();
  }

  close(): void {
    for (const { source } of this.sources.values()) source.close();
    this.sources.clear();
  }

  private schedule(): void {
    if (this.busy || this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.pump();
    });
  }

  private pump(): void {
    if (this.busy) return;
    const lines: string[] = [];
    let read = 0;
    for (const s of this.sources.values()) {
      if (!s.more) continue;
      this.skipWhereSlow(s);
      const records = s.source.read(CHUNK, Buffer.allocUnsafeSlow(CHUNK));
      s.more = records.length > 0;
      read += records.length;
      for (const r of records) {
        const record = decodeRecord(r.payload);
        const line = record && this.o.render(record, r.sec, r.nsec);
        if (line !== undefined) lines.push(line);
      }
    }
    if (lines.length > 0) {
      this.shown += lines.length;
      lines.push('');
      this.busy = !this.o.take(lines.join('\n'), lines.length - 1);
    } else if (read === 0) {
      this.o.onIdle();
      return;
    }
    if (!this.busy) this.schedule();
  }

  private skipWhereSlow(s: { source: RecordSource; end: Position | 'all' }): void {
    if (s.end === 'all') return;
    const { segment, offset } = s.source.position;
    const limit = this.o.maxLagBytes ?? 4 * 1024 * 1024;
    if (segment === s.end.segment && s.end.offset - offset <= limit) return;
    const lag = s.source.lag();
    if (lag.bytes <= limit) return;
    this.skipped += lag.records;
    s.source.seek(s.end);
  }
}
