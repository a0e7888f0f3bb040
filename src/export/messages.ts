/** Ingest thread ⇄ export thread of one worker. */
import type { EventClass } from '../event/types.ts';
import type { Position } from '../spool/types.ts';
import type { ExportConfig } from './config.ts';
import type { ExporterProgress } from './types.ts';

export interface ExportInit {
  kind: 'init';
  config: ExportConfig;
  site: string;
  node: string;
  worker: number;
  /** Of the current shard's writer. */
  boot: number;
  /** Directories relative to data_dir: the spool, the current shard, the shards of older generations this worker drains. */
  spool: string;
  shard: string;
  generation: number;
  older: string[];
  /** How far each class of the current shard is durable. */
  ends: Record<EventClass, Position>;
  /** Standard output is a terminal: lines for people. */
  tty: boolean;
}

export type ToExport =
  | ExportInit
  | { kind: 'durable'; cls: EventClass; end: Position; seq: number }
  | { kind: 'lines-written' }
  /** Deliver what is left for at most so many milliseconds, save the cursors, end. */
  | { kind: 'stop'; deadlineMs: number };

export type FromExport =
  | { kind: 'loaded' }
  | { kind: 'exported'; cls: EventClass; seqs: number[] }
  /** Durable exporters need nothing before this position any more; their checkpoints say so, too. */
  | { kind: 'low-water'; cls: EventClass; position: Position }
  | { kind: 'progress'; progress: ExporterProgress[]; older: string[] }
  | { kind: 'lines'; text: string }
  | { kind: 'log'; level: 'debug' | 'info' | 'warn' | 'error'; fields: Record<string, unknown>; msg: string }
  | { kind: 'stopped' };
