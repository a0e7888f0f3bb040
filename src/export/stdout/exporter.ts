/**
 * Standard output: begins with what arrives after the start, waits for nobody. While the reader is slow, at most one chunk is on its way and
 * the log is read on only so far; what lies further back than that is skipped and counted.
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
  tty: boolean;
  /** Hands a chunk to whoever writes; `written` is called when it is out. */
  write: (text: string) => void;
}

const READ_BYTES = 256 * 1024;
/** Further behind than this, the reader is too slow. */
const MAX_BEHIND = 16 * 1024 * 1024;

export class StdoutExporter implements Exporter {
  readonly name: string;
  readonly durable = false;
  onChange: () => void = () => {};
  private readonly o: StdoutOptions;
  private readonly buffer: Buffer = Buffer.allocUnsafe(READ_BYTES);
  private readonly sources = new Map<EventClass, RecordSource>();
  private busy = false;
  private acked = 0;
  private skipped = 0;

  constructor(o: StdoutOptions) {
    this.o = o;
    this.name = o.name;
  }

  open(shard: ShardLogs): ShardExport {
    for (const cls of EVENT_CLASSES) {
      const source = shard.open(cls);
      const end = shard.end(cls);
      if (end !== 'all') {
        source.setDurableEnd(end);
        source.seek(end);
      }
      this.sources.set(cls, source);
    }
    return {
      durable: (cls, end, seq) => {
        this.sources.get(cls)!.setDurableEnd(end, seq);
        this.pump();
      },
      lowWater: (): Position => ({ segment: Number.MAX_SAFE_INTEGER, offset: 0 }),
      state: () => undefined,
      drained: () => !this.busy,
      lag: () => 0,
      close: () => {
        for (const s of this.sources.values()) s.close();
        this.sources.clear();
      },
    };
  }

  /** The last chunk is out. */
  written(): void {
    this.busy = false;
    this.pump();
    this.onChange();
  }

  progress(): ExporterProgress {
    return {
      exporter: this.name,
      type: 'stdout',
      durable: false,
      acked: this.acked,
      retried: 0,
      quarantined: 0,
      quarantinedBy: {},
      skipped: this.skipped,
      lag: 0,
      up: true,
      problems: [],
    };
  }

  async close(): Promise<void> {}

  private pump(): void {
    if (this.busy) return;
    let text = '';
    let events = 0;
    for (const source of this.sources.values()) {
      this.catchUp(source);
      for (const r of source.read(READ_BYTES, this.buffer)) {
        const record = decodeRecord(r.payload);
        if (!record) continue;
        events++;
        text += this.o.tty ? formatReadable(record, r.sec, r.nsec) : formatJson(record, r.sec, r.nsec, this.o.node);
      }
    }
    this.acked += events;
    if (text === '') return;
    this.busy = true;
    this.o.write(text);
  }

  private catchUp(source: RecordSource): void {
    const lag = source.lag();
    if (lag.bytes <= MAX_BEHIND) return;
    while (source.lag().bytes > MAX_BEHIND / 2) {
      const passed = source.read(READ_BYTES, this.buffer).length;
      if (passed === 0) return;
      this.skipped += passed;
    }
  }
}
