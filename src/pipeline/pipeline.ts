/**
 * The middle of the way: a collector's draft becomes a numbered, encoded record in the spool, and receipts find their way back.
 *
 *   emit(draft) ─► quota ─► seq, id, JSON ─► spool.append ─► … fdatasync … ─► receipt.spooled ─► … Kafka acks=all … ─► receipt.exported
 */
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { rfc3339 } from '../core/time.ts';
import { encodeRecord, FLAG_WANTS_EXPORTED, recordBound, valueOffset } from '../event/record.ts';
import {
  type Device,
  type Draft,
  EVENT_CLASSES,
  EVENT_TYPES,
  type EventClass,
  type EventType,
  type Receipt,
  type ShedKind,
} from '../event/types.ts';
import type { Position, SpoolWriter } from '../spool/types.ts';
import type { Handle, Registry } from '../telemetry/registry.ts';
import { ReceiptLedger } from './receipts.ts';
import type { Pipeline } from './types.ts';

export interface PipelineOptions {
  spool: SpoolWriter;
  metrics: Registry;
  site: string;
  node: string;
  worker: number;
  hasDurableExporter: boolean;
  /** Spool datagrams beside their events: a relay wants them. */
  keepRaw?: boolean;
  maxUnsyncedBytes: number;
  /** The quota: is an event of this kind taken now? */
  accepts: (kind: ShedKind) => boolean;
  /** Every record, for the manifest of its class. */
  onRecord: (cls: EventClass, seq: number, valueCrc: number) => void;
  /** What became durable, for the exporters. */
  onDurable: (cls: EventClass, end: Position) => void;
  /** Monotonic milliseconds, for the time sockets were paused. */
  nowMs: () => number;
}

/** An event as the tap sees it; called only while somebody taps. */
export type TapListener = (e: { type: EventType; device: Device; id: string; at: string; json: string }) => void;

const CLASS_OF = new Map<EventType, EventClass>(EVENT_TYPES.map((t) => [t.type, t.class]));
const COLLECTOR_OF = new Map<EventType, string>(EVENT_TYPES.map((t) => [t.type, t.collector]));

export class EventPipeline implements Pipeline {
  readonly hasDurableExporter: boolean;
  private readonly o: PipelineOptions;
  private readonly ledger = new ReceiptLedger();
  private readonly rxHead: Record<EventClass, string>;
  private readonly idHead: Record<EventClass, string>;
  private readonly events = new Map<EventType, Handle>();
  private readonly shed = new Map<string, Handle>();
  private readonly deviceJson = new WeakMap<Device, string>();
  private readonly resumers: (() => void)[] = [];
  private readonly pausedTime: Handle;
  private readonly appended: Handle;
  private pausedAt: number | undefined;
  private scratch = Buffer.allocUnsafe(64 * 1024);
  private tap: TapListener | undefined;

  constructor(o: PipelineOptions) {
    this.o = o;
    this.hasDurableExporter = o.hasDurableExporter;
    this.appended = o.metrics.handle('tidegate_spool_appended_bytes_total');
    this.pausedTime = o.metrics.handle('tidegate_backpressure_seconds_total');
    const { site, node, worker } = o;
    const boot = o.spool.boot;
    const heads = EVENT_CLASSES.map((cls) => {
      const rx = JSON.stringify({ site, node, worker, boot, class: cls });
      return [cls, `${rx.slice(0, -1)},"seq":`, `${site}/${node}/${worker}/${boot}/${cls}/`] as const;
    });
    this.rxHead = Object.fromEntries(heads.map((h) => [h[0], h[1]])) as Record<EventClass, string>;
    this.idHead = Object.fromEntries(heads.map((h) => [h[0], h[2]])) as Record<EventClass, string>;
    o.spool.onSynced = (cls, seq, end) => this.synced(cls, seq, end);
  }

  get paused(): boolean {
    return this.pausedAt !== undefined;
  }

  /** Brings the time in which sockets are paused up to date, while they still are: call it with each renewal. */
  measurePause(): void {
    if (this.pausedAt === undefined) return;
    const now = this.o.nowMs();
    this.pausedTime.value += (now - this.pausedAt) / 1000;
    this.pausedAt = now;
  }

  onResume(fn: () => void): void {
    this.resumers.push(fn);
  }

  accepts(kind: ShedKind): boolean {
    return this.o.accepts(kind);
  }

  /** See Pipeline.emit. */
  emit(draft: Draft, receipt?: Receipt): boolean {
    if (!this.o.accepts(draft.shed)) {
      this.countShed(draft.type);
      return false;
    }
    const cls = CLASS_OF.get(draft.type)!;
    const seq = this.o.spool.nextSeq(cls);
    const id = draft.id ?? this.idHead[cls] + seq;
    const at = rfc3339(draft.sec, draft.nsec);
    const rest = JSON.stringify(draft.data);
    const json = `{"network":${quote(draft.network)},"device":${this.deviceText(draft.device)},"rx":${this.rxHead[cls]}${seq},"at":"${at}"},"content_id":"${draft.contentId}"${rest.length > 2 ? `,${rest.slice(1)}` : '}'}`;
    const subject = draft.device.id;
    const key = draft.keySuffix === undefined ? subject : subject + draft.keySuffix;
    const flags = receipt?.exported && this.hasDurableExporter ? FLAG_WANTS_EXPORTED : 0;
    const raw = this.o.keepRaw === true ? draft.raw : undefined;
    const bound = recordBound(key, id, json, raw);
    if (bound > this.scratch.length) this.scratch = Buffer.allocUnsafe(bound * 2);
    const length = encodeRecord(this.scratch, 0, draft.type, flags, subject, key, id, json, raw);
    const valueAt = valueOffset(this.scratch);
    const record = this.scratch.subarray(0, length);
    // A record the spool does not take has no seq: a receipt under this number would be paid out by the next record.
    if (this.o.spool.append(cls, draft.sec, draft.nsec, record) < 0) {
      this.countShed(draft.type);
      return false;
    }
    this.appended.value += length;
    this.o.onRecord(cls, seq, crc32(this.scratch.subarray(valueAt, length)));
    if (receipt) {
      this.ledger.add(cls, seq, receipt);
      this.o.spool.hurry(cls);
    }
    this.count(draft.type);
    if (this.tap) this.tap({ type: draft.type, device: draft.device, id, at, json });
    if (this.pausedAt === undefined && this.o.spool.unsyncedBytes > this.o.maxUnsyncedBytes)
      this.pausedAt = this.o.nowMs();
    return true;
  }

  batchDone(): boolean {
    return this.o.spool.writeOut();
  }

  /** The exporter has these: their receipts are complete. */
  exported(cls: EventClass, seqs: readonly number[]): void {
    this.ledger.exported(cls, seqs);
  }

  /** At most one listener; undefined ends it. */
  setTap(listener: TapListener | undefined): void {
    this.tap = listener;
  }

  /** Receipts that still wait: (not spooled, not exported). */
  waiting(): { spooled: number; exported: number } {
    return this.ledger.waiting();
  }

  private synced(cls: EventClass, seq: number, end: Position): void {
    this.o.onDurable(cls, end);
    this.ledger.spooled(cls, seq, this.hasDurableExporter);
    if (this.pausedAt !== undefined && this.o.spool.unsyncedBytes <= this.o.maxUnsyncedBytes / 2) {
      this.measurePause();
      this.pausedAt = undefined;
      for (const fn of this.resumers) fn();
    }
  }

  private deviceText(device: Device): string {
    let text = this.deviceJson.get(device);
    if (text === undefined) {
      text = JSON.stringify(device);
      this.deviceJson.set(device, text);
    }
    return text;
  }

  private count(type: EventType): void {
    let h = this.events.get(type);
    if (!h) this.events.set(type, (h = this.o.metrics.handle('tidegate_events_total', { type })));
    h.value++;
  }

  private countShed(type: EventType): void {
    const collector = COLLECTOR_OF.get(type)!;
    let h = this.shed.get(collector);
    if (!h)
      this.shed.set(
        collector,
        (h = this.o.metrics.handle('tidegate_lost_events_total', { collector, reason: 'shed' })),
      );
    h.value++;
  }
}

const quoted = new Map<string, string>();

/** JSON text of a network name: there are few of them. */
function quote(text: string): string {
  let q = quoted.get(text);
  if (q === undefined) {
    if (quoted.size > 1000) quoted.clear();
    q = JSON.stringify(text);
    quoted.set(text, q);
  }
  return q;
}
