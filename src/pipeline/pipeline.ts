/**
 * The middle of the way: a collector's draft becomes a numbered, encoded record in the spool, and receipts find their way back.
 *
 *   emit(draft) ─► quota ─► seq, id, JSON ─► spool record ─► … fdatasync … ─► receipt.spooled ─► … Kafka acks=all … ─► receipt.exported
 */
import { Buffer } from 'node:buffer';
import { rfc3339, writeRfc3339 } from '../core/time.ts';
import { FLAG_WANTS_EXPORTED, MAX_RAW, RECORD_HEADER, writeRecordHead } from '../event/record.ts';
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

/** A device as it stands in every event of it. */
interface DeviceBytes {
  id: Buffer;
  /** In which it was last met. */
  network: string;
  /** The value up to its seq, by class. */
  heads: Partial<Record<EventClass, Buffer>>;
}

/** What is asked of a type with each event. */
interface Kind {
  /** In EVENT_TYPES. */
  index: number;
  cls: EventClass;
  /** Made with its first event. */
  counted: Handle | undefined;
}

const AT = Buffer.from(',"at":"');
const CONTENT_ID = Buffer.from('"},"content_id":"');

const COLLECTOR_OF = new Map<EventType, string>(EVENT_TYPES.map((t) => [t.type, t.collector]));

export class EventPipeline implements Pipeline {
  readonly hasDurableExporter: boolean;
  private readonly o: PipelineOptions;
  private readonly ledger = new ReceiptLedger();
  private readonly rxHead: Record<EventClass, string>;
  private readonly idHead: Record<EventClass, Buffer>;
  private readonly kinds = new Map(
    EVENT_TYPES.map((t, index): [EventType, Kind] => [t.type, { index, cls: t.class, counted: undefined }]),
  );
  private readonly shed = new Map<string, Handle>();
  private readonly devices = new WeakMap<Device, DeviceBytes>();
  private readonly resumers: (() => void)[] = [];
  private readonly pausedTime: Handle;
  private readonly appended: Handle;
  private pausedAt: number | undefined;
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
      return [cls, `,"rx":${rx.slice(0, -1)},"seq":`, `${site}/${node}/${worker}/${boot}/${cls}/`] as const;
    });
    this.rxHead = Object.fromEntries(heads) as Record<EventClass, string>;
    this.idHead = Object.fromEntries(heads.map((h) => [h[0], Buffer.from(h[2])])) as Record<EventClass, Buffer>;
    o.spool.onSummed = (cls, first, sums, count) => {
      for (let i = 0; i < count; i++) o.onRecord(cls, first + i, sums[i]);
    };
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
    const kind = this.kinds.get(draft.type)!;
    const { cls } = kind;
    const seq = this.o.spool.nextSeq(cls);
    const device = this.known(draft.device, draft.network);
    const raw = this.o.keepRaw === true && draft.raw && draft.raw.length <= MAX_RAW ? draft.raw : undefined;
    // The record is made where it will stand in the spool.
    const w = this.o.spool.beginRecord(cls);
    const start = w.at;
    w.room(RECORD_HEADER);
    w.at += RECORD_HEADER;
    w.bytes(device.id);
    const subjectLength = device.id.length;
    if (draft.keySuffix !== undefined) w.text(draft.keySuffix);
    const keyEnd = w.at;
    if (draft.id !== undefined) w.text(draft.id);
    else {
      w.bytes(this.idHead[cls]);
      w.integer(seq);
    }
    const idEnd = w.at;
    if (raw !== undefined) {
      w.char(raw.length >> 8);
      w.char(raw.length & 0xff);
      w.bytes(raw);
    }
    const valueAt = w.at;
    w.bytes(device.heads[cls] ?? this.head(device, draft.device, cls));
    w.integer(seq);
    w.bytes(AT);
    writeRfc3339(w, draft.sec, draft.nsec);
    w.bytes(CONTENT_ID);
    if (draft.writeContentId !== undefined) draft.writeContentId(w);
    else w.text(draft.contentId);
    w.char(0x22);
    if (draft.write !== undefined) {
      w.char(0x2c);
      draft.write(w);
    } else {
      const fields = JSON.stringify(draft.data);
      if (fields.length > 2) {
        w.char(0x2c);
        w.text(fields.slice(1, -1));
      }
    }
    w.char(0x7d);
    const flags = receipt?.exported && this.hasDurableExporter ? FLAG_WANTS_EXPORTED : 0;
    const { buf, at: end } = w;
    const idLength = idEnd - keyEnd;
    const keyLength = keyEnd - start - RECORD_HEADER;
    writeRecordHead(buf, start, kind.index, flags, subjectLength, keyLength, idLength, raw !== undefined);
    // A record the spool does not take has no seq: a receipt under this number would be paid out by the next record.
    if (this.o.spool.endRecord(cls, draft.sec, draft.nsec) < 0) {
      this.countShed(draft.type);
      return false;
    }
    this.appended.value += end - start;
    if (receipt) {
      this.ledger.add(cls, seq, receipt);
      this.o.spool.hurry(cls);
    }
    kind.counted ??= this.o.metrics.handle('tidegate_events_total', { type: draft.type });
    kind.counted.value++;
    if (this.tap)
      this.tap({
        type: draft.type,
        device: draft.device,
        id: buf.toString('utf8', keyEnd, idEnd),
        at: rfc3339(draft.sec, draft.nsec),
        json: buf.toString('utf8', valueAt, end),
      });
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

  private known(device: Device, network: string): DeviceBytes {
    let bytes = this.devices.get(device);
    if (bytes === undefined || bytes.network !== network) {
      bytes = { id: Buffer.from(device.id), network, heads: {} };
      this.devices.set(device, bytes);
    }
    return bytes;
  }

  private head(bytes: DeviceBytes, device: Device, cls: EventClass): Buffer {
    const said = `{"network":${JSON.stringify(bytes.network)},"device":${JSON.stringify(device)}`;
    const head = Buffer.from(`${said}${this.rxHead[cls]}`);
    bytes.heads[cls] = head;
    return head;
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
