/**
 * Events as lines for standard output. Not durable: it begins with what comes after it was opened, hands over one piece at a time, and where
 * whoever reads is slower than what comes, it skips to the present and counts.
 */
import { Buffer } from 'node:buffer';
import { decodeRecord } from '../../event/record.ts';
import { EVENT_CLASSES, type EventClass } from '../../event/types.ts';
import type { Position } from '../../spool/types.ts';
import type { Exporter, ExporterProgress, RecordSource, ShardExport, ShardLogs } from '../types.ts';
import { formatJson, formatReadable } from './format.ts';

export interface StdoutOptions {
  name: string;
  node: string;
  readable: boolean;
  /** Takes lines; the next ones are given after `written`. */
  write: (text: string) => void;
  /** Bytes in the spool from which on it skips ahead. */
  maxLagBytes?: number;
}

const CHUNK = 64 * 1024;

export class StdoutExporter implements Exporter {
  readonly name: string;
  readonly durable = false;
  onChange: () => void = () => {};
  private readonly o: StdoutOptions;
  private readonly sources = new Map<EventClass, { source: RecordSource; more: boolean; end: Position | 'all' }>();
  private busy = false;
  private scheduled = false;
  private shown = 0;
  private skipped = 0;

  constructor(o: StdoutOptions) {
    this.o = o;
    this.name = o.name;
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
      close: () => this.end(),
    };
  }

  /** What was handed to `write` is out. */
  written(): void {
    this.busy = false;
    this.schedule();
  }

  progress(): ExporterProgress {
    return {
      exporter: this.name,
      type: 'stdout',
      durable: false,
      acked: this.shown,
      retried: 0,
      quarantined: 0,
      quarantinedBy: {},
      skipped: this.skipped,
      lag: 0,
      up: true,
      problems: [],
    };
  }

  async close(): Promise<void> {
    this.end();
  }

  private end(): void {
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
    for (const s of this.sources.values()) {
      if (!s.more) continue;
      this.skipWhereSlow(s);
      const records = s.source.read(CHUNK, Buffer.allocUnsafeSlow(CHUNK));
      s.more = records.length > 0;
      for (const r of records) {
        const record = decodeRecord(r.payload);
        if (!record) continue;
        lines.push(
          this.o.readable ? formatReadable(record, r.sec, r.nsec) : formatJson(record, r.sec, r.nsec, this.o.node),
        );
      }
    }
    if (lines.length === 0) {
      this.onChange();
      return;
    }
    this.shown += lines.length;
    this.busy = true;
    lines.push('');
    this.o.write(lines.join('\n'));
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
