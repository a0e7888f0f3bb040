/** The contract of an exporter. It runs in the export thread of a worker, reads durable records and reports what was delivered. */

import type { EventClass, EventType } from '../event/types.ts';
import type { Position, SpooledRecord } from '../spool/types.ts';

/** Reads one class log in order (spool/reader.ts). */
export interface RecordSource {
  /** The next record to be read begins here, or behind it. */
  readonly position: Position;
  seek(to: Position | 'oldest'): void;
  /**
   * The next durable records, in order; payloads are views into `into`. None where all is read. `again`: the list and its objects may be used
   * again by the next such call.
   */
  read(maxBytes: number, into: Buffer, again?: boolean): SpooledRecord[];
  setDurableEnd(end: Position | 'all', seq?: number): void;
  /** What lies between `from` and the durable end. */
  lag(from?: Position): { records: number; bytes: number };
  close(): void;
}

/** The logs of one shard, as an exporter sees them. */
export interface ShardLogs {
  /** The boot being written; receipts are due only for its records. Undefined for a shard of an older generation. */
  boot: number | undefined;
  /** A new reader of a class log; each has its own position. */
  open(cls: EventClass): RecordSource;
  /** How far each log is durable now. */
  end(cls: EventClass): Position | 'all';
  /** Where each log ended when this process began; absent: nobody knows. `all` for a shard of an older generation. */
  begin?(cls: EventClass): Position | 'all';
  /** What this exporter saved with `ShardExport.state`; undefined at the first time. */
  state: unknown;
  /** These records of this boot are delivered; only those that asked for a receipt. */
  onExported(cls: EventClass, seqs: number[]): void;
}

/** One exporter at work on one shard. */
export interface ShardExport {
  /** The log is durable further than before. */
  durable(cls: EventClass, end: Position | 'all', seq: number | undefined): void;
  /** Nothing before this position is needed any more. */
  lowWater(cls: EventClass): Position;
  /** The cursors, as JSON. */
  state(): unknown;
  /** True when everything durable is delivered or set aside. */
  drained(): boolean;
  /** Events not delivered yet. */
  lag(): number;
  /** Stops reading and sending. What is in flight may still arrive. */
  close(): void;
}

/** Of `sasl`: the mechanism stays. */
export interface Credentials {
  username: string;
  password: string;
  token?: string;
}

export interface Exporter {
  readonly name: string;
  /** A durable exporter holds the spool until it has delivered; another one skips ahead. */
  readonly durable: boolean;
  /** False: a receipt does not wait for it. Default: as `durable`. */
  readonly confirms?: boolean;
  open(shard: ShardLogs): ShardExport;
  progress(): ExporterProgress;
  /** Called when what `progress` says may have changed what is waited for (`drained`). */
  onChange: () => void;
  /** Renewed credentials, where it has any: taken with new connections. */
  setCredentials?(c: Credentials): void;
  /** Its client library is in an unknown state: a new client, and what was in flight is sent again. */
  rebuild?(): void;
  close(): Promise<void>;
}

export interface ExporterProblem {
  /** '' for all. */
  topic: EventType | '';
  problem: string;
  fix: string;
  /** UTC milliseconds. */
  since: number;
}

export interface ExporterProgress {
  exporter: string;
  type: 'kafka' | 'stdout' | 'file' | 'relay';
  durable: boolean;
  acked: number;
  retried: number;
  quarantined: number;
  /** Quarantined events by collector: tidegate_lost_events_total{reason=quarantine}. */
  quarantinedBy: Record<string, number>;
  /** Of them, those whose quarantine file was deleted for its room. */
  quarantineDropped?: number;
  skipped: number;
  /** Of a relay: which receivers are away. */
  away?: Record<string, boolean>;
  /** Of a relay: by receiver and result. */
  relayed?: Record<string, Record<string, number>>;
  /** Events not delivered yet. */
  lag: number;
  up: boolean;
  /** What stands in the way now, in words for the operator: by topic, or '' for all. */
  problems: ExporterProblem[];
}
