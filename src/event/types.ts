/**
 * The event: what leaves tidegate. `Draft` is what a collector says; the pipeline adds the rx coordinates, the id and the
 * envelope and hands the encoded record to the spool. Contract: docs/events.md.
 */

import type { TextWriter } from '../core/text-writer.ts';

/** Classes have their own log, quota and sequence. `system` is what tidegate says of itself (and security, audit, dlq). */
export const EVENT_CLASSES = ['alarm', 'routing', 'metrics', 'system'] as const;
export type EventClass = (typeof EVENT_CLASSES)[number];

/** Every type: its class, and the collector named in `source`. The index in this list is the type byte of a spooled record: append only. */
export const EVENT_TYPES = [
  { type: 'system.v1', class: 'system', collector: 'system' },
  { type: 'security.v1', class: 'system', collector: 'security' },
  { type: 'audit.v1', class: 'system', collector: 'audit' },
  { type: 'dlq.v1', class: 'system', collector: 'dlq' },
  { type: 'snmp.trap.v1', class: 'alarm', collector: 'snmp_trap' },
  { type: 'bmp.router.v1', class: 'routing', collector: 'bmp' },
  { type: 'bmp.peer.v1', class: 'routing', collector: 'bmp' },
  { type: 'bmp.update.v1', class: 'routing', collector: 'bmp' },
  { type: 'bmp.stats.v1', class: 'routing', collector: 'bmp' },
  { type: 'bmp.mirror.v1', class: 'routing', collector: 'bmp' },
  { type: 'bgp.peer.v1', class: 'routing', collector: 'bgp' },
  { type: 'bgp.update.v1', class: 'routing', collector: 'bgp' },
  { type: 'gnmi.update.v1', class: 'metrics', collector: 'gnmi' },
  { type: 'gnmi.target.v1', class: 'metrics', collector: 'gnmi' },
] as const satisfies readonly { type: string; class: EventClass; collector: string }[];

export type EventType = (typeof EVENT_TYPES)[number]['type'];
export type CollectorName = (typeof EVENT_TYPES)[number]['collector'];

/** A network element, as the inventory knows it; an unknown one has the id `network|address` and its address as name. */
export interface Device {
  id: string;
  name: string;
  site?: string;
  vendor?: string;
  role?: string;
  tenant?: string;
  tags?: Record<string, string>;
}

/** Where and in which order an event was received. Gapless per (node, worker, boot, class): consumers order and find gaps with it. */
export interface Rx {
  site: string;
  node: string;
  worker: number;
  /** UTC microseconds at which this worker process began: a later one compares greater. */
  boot: number;
  class: EventClass;
  seq: number;
  /** RFC 3339 receive time. */
  at: string;
}

/** What a full spool sheds first comes first. */
export const SHED_ORDER = ['sample', 'session', 'on-change', 'inform', 'trap', 'system'] as const;
export type ShedKind = (typeof SHED_ORDER)[number];

/** What a collector says. The type's own fields are in `data`; a field without a value is left undefined, never null. */
export interface Draft {
  type: EventType;
  /** Receive time: UTC seconds and nanoseconds. */
  sec: number;
  nsec: number;
  network: string;
  device: Device;
  /** BMP and BGP: the peer's part of the key, after the device id. */
  keySuffix?: string;
  /** Only where a retransmission must have the same id (informs); else the rx coordinates are the id. */
  id?: string | undefined;
  /** Hash of what was said, without request-id, destination and receive facts. */
  readonly contentId: string;
  /** Writes `contentId`, of a collector that can do it cheaper. */
  writeContentId?(w: TextWriter): void;
  /** Which quota this counts against. */
  shed: ShedKind;
  data: object;
  /** Writes `JSON.stringify(data)` without its braces, of a collector that can do it cheaper; never nothing. */
  write?(w: TextWriter): void;
  /** The datagram; spooled only where a relay wants the bytes as they came. A view: `emit` copies it. */
  raw?: Uint8Array | undefined;
}

/** The way back. Each is called at most once, in order; `spooled` after the fdatasync that covers the event returned, `exported` after Kafka acks=all. */
export interface Receipt {
  spooled?(): void;
  exported?(): void;
}
