/**
 * What the processes say to each other. Supervisor and child: Node's IPC channel, one object a message. Worker and speaker:
 * a Unix socket with one JSON object a line, so that the lease does not depend on the supervisor's loop and works across containers.
 */
import type { Config } from '../config/schema.ts';
import type { AclConfig } from '../core/source-acl.ts';
import type { EventClass } from '../event/types.ts';
import type { ExporterProgress } from '../export/types.ts';
import type { InventoryEntry } from '../inventory/inventory.ts';
import type { ListenSpec } from '../net/types.ts';
import type { SpoolUsage } from '../spool/types.ts';
import type { Refusal } from '../telemetry/refusals.ts';
import type { Sample } from '../telemetry/registry.ts';
import type { MeaningSource } from './meaning.ts';
import type { UserChanges } from './user-changes.ts';

/** A listening socket of one collector. */
export interface Listen {
  /** Names it, whoever opens it: collector, protocol, network, address and the port that was asked for. */
  key: string;
  collector: 'snmp_trap' | 'bmp' | 'bgp';
  kind: 'udp' | 'tcp';
  spec: ListenSpec;
  /** The VIP this listener belongs to, for "last packet on the VIP". */
  vip?: string;
  /** Per-listener acknowledgement mode. */
  ack?: 'auto' | 'spool' | 'export';
  /** Who may send or connect to this listener; absent: any source. */
  acl?: AclConfig;
  /** Kernel drops of this worker's socket that an earlier worker of the same index counted. */
  countedDrops?: number;
}

export interface WorkerInit {
  kind: 'init';
  index: number;
  of: number;
  config: Config;
  listens: Listen[];
  /** The inherited channel through which descriptors come; absent: sockets are bound here. */
  handover?: number;
  /** This worker's shard, relative to data_dir. */
  shard: string;
  /** Shards of older generations this worker drains. */
  olderShards: string[];
  inventory: InventoryEntry[];
  meaning: MeaningSource;
  /** Absolute; the worker's working directory, so that it needs no search permission above it. */
  dataDir: string;
  /** To drop to before anything is read; absent: stay. */
  uid?: number;
  gid?: number;
  /** Where the speaker listens, relative to data_dir; absent: no speaker. */
  speakerSocket?: string;
  logTty: boolean;
  /** Standard output is a terminal: events as lines for people. */
  outTty: boolean;
  /** Why the add-on is not there; absent: it is. */
  nativeProblem?: string;
}

/** Questions the supervisor scatters over the workers. */
export type Question = { what: 'status' } | { what: 'refusals'; source?: string };

export interface WorkerStatus {
  index: number;
  boot: number;
  pid: number;
  collectors: Record<string, Record<string, unknown>>;
  exporters: ExporterProgress[];
  spool: SpoolUsage;
  hard: string[];
  soft: string[];
  /** Receipts, of informs. */
  waiting: { spooled: number; exported: number };
  /** What fdatasync has not made durable yet. */
  unsynced_bytes: number;
  draining: string[];
  /** Why the lease cannot be renewed with the speaker; absent: it is. */
  lease?: string;
}

export type ToWorker =
  | WorkerInit
  | { kind: 'start' }
  | { kind: 'node-usage'; others: Record<EventClass, { bytes: number; unexported: number }> }
  | { kind: 'ask'; id: number; question: Question }
  | { kind: 'inventory'; entries: InventoryEntry[] }
  /** MIBs or alarm rules have changed. */
  | { kind: 'meaning'; source: MeaningSource }
  /** The configuration has no SNMPv3 users: they are those before, and `users`. */
  | { kind: 'reconfigure'; config: Config; users: UserChanges }
  /** One more listener; its descriptors, where there are any, wait in the hand-over channel. */
  | { kind: 'listen'; listen: Listen; fds: number }
  | { kind: 'unlisten'; key: string }
  /** Other settings of a listener whose socket stays. */
  | { kind: 'adjust'; listen: Listen }
  /** Confirmed with `emitted`. */
  | { kind: 'emit'; id: number; event: SystemEvent }
  | { kind: 'tap'; filter: TapFilter | undefined }
  | { kind: 'lines-written' }
  | { kind: 'draining'; on: boolean }
  /** The node ends: hard reason from here on, while the sockets are still read. */
  | { kind: 'leaving' }
  | { kind: 'stop'; deadlineMs: number };

export interface TapFilter {
  type?: string;
  device?: string;
}

export interface TappedEvent {
  type: string;
  deviceId: string;
  deviceName: string;
  /** Structured CloudEvent, one line. */
  line: string;
}

/** `data` of a system.v1 event said by a process that has no spool of its own. */
export type SystemEvent = { type: 'system.v1' | 'audit.v1'; data: Record<string, unknown> };

/** One lease renewal: sent from the loop that reads the sockets, with what was measured since the last one. */
export interface Renewal {
  kind: 'renewal';
  worker: number;
  of: number;
  boot: number;
  counter: number;
  hard: string[];
  soft: string[];
  /** Address of a VIP → UTC milliseconds of the last packet to it. */
  vips: Record<string, number>;
  /** Long-lived sessions (BMP, BGP) of this worker. */
  sessions: number;
  /** Informs that were repeated after this worker had answered them. */
  retried: number;
}

/** Which listeners a worker has open; said whenever the lease channel is, and with each change. */
export interface Listening {
  kind: 'listening';
  worker: number;
  /** Keys. */
  listens: string[];
  /** Key → why it could not be opened. */
  failed: Record<string, string>;
}

export type FromWorker =
  /** Still recovering: not silent. */
  | { kind: 'opening' }
  | { kind: 'bound'; boot: number }
  /** Nothing is read any more: the supervisor may close the sockets. */
  | { kind: 'closed' }
  | (Renewal & { samples: Sample[]; usage: SpoolUsage; drops: Record<string, number> })
  | { kind: 'answer'; id: number; value: unknown }
  | { kind: 'emitted'; id: number }
  | { kind: 'lines'; text: string }
  | { kind: 'tapped'; events: TappedEvent[] }
  | { kind: 'stopped' }
  | { kind: 'fatal'; message: string };

export interface RefusalAnswer {
  refusals: Refusal[];
}

export interface SpeakerInit {
  kind: 'init';
  config: Config;
  dataDir: string;
  workers: number;
  socket: string;
  logTty: boolean;
  /** The group whose members may connect to the lease channel. */
  gid?: number;
  /** Why the add-on is not there; absent: it is, or nobody has looked. */
  nativeProblem?: string;
  listens: ExpectedListens;
  /** The speaker before this one died, and the workers lived on. */
  resumes: boolean;
}

/** Address of a VIP → keys of the listeners that are to be open there before it is announced. */
export type ExpectedListens = Record<string, string[]>;

export type ToSpeaker =
  | SpeakerInit
  | { kind: 'ask'; id: number }
  | { kind: 'drain'; reason: string }
  | { kind: 'undrain' }
  | { kind: 'reconfigure'; config: Config; listens: ExpectedListens }
  | { kind: 'stop'; reason: string };

export interface SpeakerDecision {
  /** 200 full, 429 degraded, 503 dead. */
  code: number;
  grade: string;
  reasons: string[];
}

/** What comes back over the lease channel. */
export type FromSpeakerToWorker =
  /** `clockSkew`: milliseconds our clock is behind the cluster members'; absent: nobody to compare with. */
  | { kind: 'decision'; decision: SpeakerDecision; clockSkew?: number }
  /** The node is drained: long-lived sessions go, one after the other. */
  | { kind: 'close-sessions'; spreadMs: number }
  /** Confirmed with `said`. */
  | { kind: 'event'; id: number; event: SystemEvent }
  /** To an ingest instance that asked. */
  | { kind: 'answer'; id: number; value: unknown }
  /** To an ingest instance: somebody drained, or undrained, this node at the speaker's own door. */
  | { kind: 'draining'; on: boolean }
  /** To an ingest instance that leaves: nothing comes to the VIPs any more. */
  | { kind: 'left' };

/** What an ingest instance says to a speaker in another container. The first thing is `ingest`. */
export type FromIngest =
  | { kind: 'ingest'; draining: boolean }
  | { kind: 'ask'; id: number }
  | { kind: 'drain'; reason: string }
  | { kind: 'undrain' }
  /** The instance ends; it goes on reading until it is told `left`. */
  | { kind: 'leave'; reason: string };

export type FromSpeaker =
  | { kind: 'up' }
  | { kind: 'beat'; decision: SpeakerDecision; samples: Sample[] }
  | { kind: 'answer'; id: number; value: unknown }
  /** An ingest instance drained, or undrained, this node. */
  | { kind: 'draining'; on: boolean }
  | { kind: 'stopped' }
  | { kind: 'fatal'; message: string };
