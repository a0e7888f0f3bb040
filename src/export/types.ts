/** The contract of an exporter. It runs in the export thread of a worker, reads durable records and reports what was delivered. */

import type { EventRecord } from '../event/record.ts';
import type { EventClass, EventType } from '../event/types.ts';
import type { Position } from '../spool/types.ts';

/** One event on its way out. `record.value` and `record.key` are views into the read buffer: valid until the batch is settled. */
export interface OutboundEvent {
  record: EventRecord;
  cls: EventClass;
  boot: number;
  seq: number;
  sec: number;
  nsec: number;
  position: Position;
  next: Position;
}

export interface ExporterProgress {
  exporter: string;
  acked: number;
  retried: number;
  quarantined: number;
  skipped: number;
  up: boolean;
  /** What stands in the way now, in words for the operator: by topic, or '' for all. */
  problems: { topic: EventType | ''; problem: string; fix: string; since: number }[];
}
