/** What every collector is given and what it owes. One instance of each per worker. */
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Inventory } from '../inventory/types.ts';
import type { ListenSpec, TcpListener, UdpSocket } from '../net/types.ts';
import type { Pipeline } from '../pipeline/types.ts';
import type { Refusals } from '../telemetry/refusals.ts';
import type { Registry } from '../telemetry/registry.ts';

export interface CollectorContext {
  clock: Clock;
  log: Logger;
  metrics: Registry;
  refusals: Refusals;
  pipeline: Pipeline;
  inventory: Inventory;
  /** This worker's index and how many there are: a dialled target belongs to one of them. */
  worker: number;
  workers: number;
  /** Of this instance; absent in tests. */
  site?: string;
  node?: string;
  /** What tells the salts of this node from those of others (protocol/usm/salts.ts); absent: made of site and node. */
  saltNode?: number;
  /** Where the time is kept over restarts, for an engine that answers by the clock; absent: nowhere. */
  engineClock?: EngineClockStore;
}

/** The latest UTC (milliseconds) that was seen, and the engineBoots it belongs to. */
export interface EngineClockStore {
  load(): { boots: number; ms: number } | undefined;
  /** Writes in the background; errors are logged, not thrown. */
  save(mark: { boots: number; ms: number }): void;
}

/** A socket the edge opened for a collector, and the listener it came from. */
export interface BoundUdp {
  spec: ListenSpec;
  socket: UdpSocket;
  /** The listener's own acknowledgement mode; absent: the collector's. */
  ack?: 'auto' | 'spool' | 'export';
}
export interface BoundTcp {
  spec: ListenSpec;
  listener: TcpListener;
}

export interface Collector {
  /** Begins to read. */
  start(): void;
  /** No new sessions or work; what is in flight goes on (drain). */
  quiesce(): void;
  /** Closes sessions properly (NOTIFICATION, Termination) and stops. */
  stop(): Promise<void>;
  /** Long-lived sessions that routers opened. */
  readonly sessionCount?: number;
  /** How to close each of them so that its router dials again; closing one that has ended does nothing. */
  openSessions?(): (() => void)[];
  /** For `status`: sessions, targets, in-flight; JSON-able. */
  status(): Record<string, unknown>;
  /** Reasons for which this node should not take events by itself (hard) or only as a last resort (soft). */
  health?(): { hard: string[]; soft: string[] };
}
