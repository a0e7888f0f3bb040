/** A socket of the notification receiver, and what belongs to it alone. */
import { formatEndpoint } from '../../core/ip.ts';
import { type AclConfig, aclOf, type SourceAcl } from '../../core/source-acl.ts';
import type { Histogram } from '../../telemetry/registry.ts';
import type { BoundUdp, CollectorContext } from '../collector.ts';
import type { AckMode } from './config.ts';
import { SourceTable } from './sources.ts';

/** A socket and what its listener says for itself. */
export interface BoundTrapSocket extends BoundUdp {
  /** Overrides `ack` of the collector. */
  ack?: AckMode;
  /** Kernel drops of this socket that were counted before (by a worker that had it earlier). Default 0. */
  countedDrops?: number;
  /** Who may send to this listener; absent: any source. */
  acl?: AclConfig;
}

export interface Listener {
  bound: BoundTrapSocket;
  network: string;
  sources: SourceTable;
  acl: SourceAcl | undefined;
  dropsSeen: number;
  /** Drops not yet said in an event, and since when (UTC ms). */
  dropsUnsaid: number;
  saidAt: number;
  /** Refused sends that are counted already. */
  unsentSeen: number;
  /** How long informs of it waited for their answer. */
  ackSeconds: Record<'spooled' | 'exported', Histogram>;
}

/** `tables`: the sources of each network, shared by its listeners. */
export function listenerOf(
  bound: BoundTrapSocket,
  tables: Map<string, SourceTable>,
  ctx: Pick<CollectorContext, 'clock' | 'inventory' | 'metrics'>,
): Listener {
  const { network } = bound.spec;
  const sources = tables.get(network) ?? new SourceTable(network, ctx.inventory);
  tables.set(network, sources);
  const listener = formatEndpoint(bound.socket.address, bound.socket.port);
  const waited = (stage: string) => ctx.metrics.histogram('tidegate_inform_ack_seconds', { listener, stage });
  return {
    bound,
    network,
    sources,
    acl: aclOf(bound.acl),
    dropsSeen: bound.countedDrops ?? 0,
    dropsUnsaid: 0,
    saidAt: ctx.clock.wallMs(),
    unsentSeen: 0,
    ackSeconds: { spooled: waited('spooled'), exported: waited('exported') },
  };
}
