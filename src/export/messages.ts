/** What a worker and its export thread say to each other. Plain objects, one a message. */
import type { EventClass } from '../event/types.ts';
import type { Position } from '../spool/types.ts';
import type { ExportConfig } from './config.ts';
import type { Credentials, ExporterProgress } from './types.ts';

/** What the thread is started with. */
export interface ExportThreadData {
  /** Why there is no add-on; absent where there is one. */
  nativeProblem: string | undefined;
}

export interface ExportInit {
  kind: 'init';
  config: ExportConfig;
  networks: Readonly<Record<string, { device?: string }>>;
  /** Addresses from which a relayed datagram may come back: members of the cluster and VIPs. */
  peers: string[];
  /** As `saltNode` makes it. */
  saltNode: number;
  node: string;
  site: string;
  worker: number;
  /** The boot of the worker: receipts are reported for its records only. */
  boot: number;
  /** `spool/<generation>/<worker>`; the shard the worker writes. */
  shard: string;
  /** Shards of older generations that this worker drains and removes, oldest first. */
  olderShards: string[];
  quarantineDir: string;
  /** spool.max_bytes: the size of the ring that the spool is without a durable exporter. */
  maxBytes: number;
  /** How far each log of `shard` is durable. */
  ends: Record<EventClass, Position>;
  /** Readable lines instead of JSON on stdout. */
  tty: boolean;
}

export type ToExport =
  | ExportInit
  | { kind: 'durable'; cls: EventClass; end: Position; seq: number }
  /** The cluster or the VIPs have changed. */
  | { kind: 'peers'; peers: string[]; saltNode: number }
  /** Credentials of exporters, by name, may be others now. */
  | { kind: 'credentials'; of: Record<string, Credentials> }
  /** One of `olderShards` is recovered and read for its manifests: not before may it be drained and removed. */
  | { kind: 'scanned'; shard: string }
  /** What was last handed over as `lines` is written. */
  | { kind: 'lines-written' }
  /** Deliver what is left for so long, then end. */
  | { kind: 'stop'; deadlineMs: number };

export type FromExport =
  /** First: everything is loaded, so the process may give up the right to read its own files. */
  | { kind: 'loaded' }
  /** These records have reached every durable exporter; only those that asked for it. */
  | { kind: 'exported'; cls: EventClass; seqs: number[] }
  | { kind: 'low-water'; cls: EventClass; position: Position }
  /** A few times a second. `olderShards`: what is still to be drained. */
  | { kind: 'progress'; exporters: ExporterProgress[]; olderShards: string[] }
  /** Damaged places met while reading, with the records gone with them. */
  | { kind: 'damage'; cls: EventClass; records: number }
  /** For stdout; no more comes until `lines-written`. */
  | { kind: 'lines'; text: string }
  | { kind: 'log'; level: 'debug' | 'info' | 'warn' | 'error'; fields: Record<string, unknown>; msg: string }
  /** `clean`: nothing durable was left undelivered. */
  | { kind: 'stopped'; clean: boolean }
  /** A client library let an error fall; its client was built again. */
  | { kind: 'contained'; message: string }
  | { kind: 'fatal'; message: string };
