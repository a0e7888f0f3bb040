import { crc32 } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import { TextWriter } from '../../src/core/text-writer.ts';
import { decodeRecord, FLAG_WANTS_EXPORTED } from '../../src/event/record.ts';
import type { Draft, EventClass, Receipt, ShedKind } from '../../src/event/types.ts';
import { EventPipeline } from '../../src/pipeline/pipeline.ts';
import type { Position, SpoolWriter } from '../../src/spool/types.ts';
import { Registry } from '../../src/telemetry/registry.ts';

/** A spool in memory whose syncs the test decides. */
class MemorySpool {
  readonly boot = 7;
  readonly records: { cls: EventClass; seq: number; payload: Buffer }[] = [];
  private readonly seqs = new Map<EventClass, number>();
  private readonly w = new TextWriter(16);
  onSynced: (cls: EventClass, seq: number, end: Position) => void = () => {};
  onSummed: (cls: EventClass, first: number, sums: Uint32Array, count: number) => void = () => {};
  unsyncedBytes = 0;
  nextSeq(cls: EventClass): number {
    return (this.seqs.get(cls) ?? 0) + 1;
  }
  /** Not at the beginning, as in a log. */
  beginRecord(): TextWriter {
    this.w.at = 5;
    return this.w;
  }
  endRecord(cls: EventClass): number {
    const seq = this.nextSeq(cls);
    const payload = this.w.buf.subarray(5, this.w.at);
    this.seqs.set(cls, seq);
    this.records.push({ cls, seq, payload: Buffer.from(payload) });
    this.unsyncedBytes += payload.length;
    this.onSummed(cls, seq, Uint32Array.of(crc32(decodeRecord(payload)!.value), 77), 1);
    return seq;
  }
  hurry(): void {}
  sync(cls: EventClass): void {
    this.unsyncedBytes = 0;
    this.onSynced(cls, this.seqs.get(cls) ?? 0, { segment: 1, offset: 1 });
  }
}

const DEVICE = { id: 'pe1', name: 'PE "1"' };
const draft = (over: Partial<Draft> = {}): Draft => ({
  type: 'snmp.trap.v1',
  sec: 1_700_000_000,
  nsec: 123_456_789,
  network: 'default',
  device: DEVICE,
  contentId: 'c1',
  shed: 'trap',
  data: { version: 'v2c', absent: undefined },
  ...over,
});

let spool: MemorySpool;
let registry: Registry;
let refused: Set<ShedKind>;
let crcs: [EventClass, number, number][];
let now = 0;

function pipeline(durable = true, maxUnsynced = 1e9): EventPipeline {
  return new EventPipeline({
    spool: spool as unknown as SpoolWriter,
    metrics: registry,
    site: 'dc1',
    node: 'edge-1',
    worker: 2,
    hasDurableExporter: durable,
    maxUnsyncedBytes: maxUnsynced,
    accepts: (kind) => !refused.has(kind),
    onRecord: (cls, seq, crc) => crcs.push([cls, seq, crc]),
    onDurable: () => {},
    nowMs: () => now,
  });
}

beforeEach(() => {
  spool = new MemorySpool();
  registry = new Registry();
  refused = new Set();
  crcs = [];
  now = 0;
});

describe('an event on its way into the spool', () => {
  it('gets rx coordinates, an id made of them, a key, and its data spliced in once', () => {
    const p = pipeline();
    expect(p.emit(draft())).toBe(true);
    expect(p.emit(draft({ keySuffix: '|192.0.2.9', type: 'bmp.update.v1' }))).toBe(true);
    const first = decodeRecord(spool.records[0].payload)!;
    expect(first).toMatchObject({ type: 'snmp.trap.v1', subject: 'pe1', id: 'dc1/edge-1/2/7/alarm/1', flags: 0 });
    expect(first.key.toString()).toBe('pe1');
    expect(JSON.parse(first.value.toString())).toEqual({
      network: 'default',
      device: DEVICE,
      rx: {
        site: 'dc1',
        node: 'edge-1',
        worker: 2,
        boot: 7,
        class: 'alarm',
        seq: 1,
        at: '2023-11-14T22:13:20.123456789Z',
      },
      content_id: 'c1',
      version: 'v2c',
    });
    const second = decodeRecord(spool.records[1].payload)!;
    expect(second.key.toString()).toBe('pe1|192.0.2.9');
    expect(second.subject).toBe('pe1');
    expect(second.id).toBe('dc1/edge-1/2/7/routing/1');
  });

  it('keeps an id that was given, and hashes what was written', () => {
    pipeline().emit(draft({ id: 'inform-1', data: {} }));
    const r = decodeRecord(spool.records[0].payload)!;
    expect(r.id).toBe('inform-1');
    expect(() => JSON.parse(r.value.toString())).not.toThrow();
    expect(crcs).toEqual([['alarm', 1, crc32(r.value)]]);
  });

  it('takes values of any length and script', () => {
    const text = 'Ωß漢😀'.repeat(50_000);
    pipeline().emit(draft({ data: { text } }));
    expect(JSON.parse(decodeRecord(spool.records[0].payload)!.value.toString()).text).toBe(text);
  });
});

describe('receipts', () => {
  it('are spooled after the sync that covers them, in order, and exported when the exporter says so', () => {
    const p = pipeline();
    const seen: string[] = [];
    for (const n of [1, 2, 3])
      p.emit(draft(), { spooled: () => seen.push(`s${n}`), exported: () => seen.push(`e${n}`) });
    expect(seen).toEqual([]);
    spool.sync('alarm');
    expect(seen).toEqual(['s1', 's2', 's3']);
    p.exported('alarm', [3, 1]);
    p.exported('alarm', [1]);
    expect(seen).toEqual(['s1', 's2', 's3', 'e3', 'e1']);
    expect(p.waiting()).toEqual({ spooled: 0, exported: 1 });
    expect(decodeRecord(spool.records[0].payload)!.flags).toBe(FLAG_WANTS_EXPORTED);
  });

  it('of another class wait for their own sync', () => {
    const p = pipeline();
    let spooled = 0;
    p.emit(draft({ type: 'gnmi.update.v1', shed: 'sample' }), { spooled: () => spooled++ });
    spool.sync('alarm');
    expect(spooled).toBe(0);
    spool.sync('metrics');
    expect(spooled).toBe(1);
  });

  it('wait for no exporter where none is durable', () => {
    const p = pipeline(false);
    p.emit(draft(), { exported: () => {} });
    spool.sync('alarm');
    expect(p.waiting()).toEqual({ spooled: 0, exported: 0 });
    expect(decodeRecord(spool.records[0].payload)!.flags).toBe(0);
  });
});

describe('a full spool', () => {
  it('sheds by kind, counted by collector, and never calls the receipt', () => {
    refused.add('inform');
    const p = pipeline();
    let called = 0;
    expect(p.emit(draft({ shed: 'inform' }), { spooled: () => called++ })).toBe(false);
    expect(p.emit(draft({ shed: 'trap' }))).toBe(true);
    spool.sync('alarm');
    expect(called).toBe(0);
    expect(spool.records.length).toBe(1);
    expect(registry.handle('tidegate_lost_events_total', { collector: 'snmp_trap', reason: 'shed' }).value).toBe(1);
  });
});

describe('a slow disk', () => {
  it('pauses streams while too much waits for fdatasync, and resumes them after', () => {
    const p = pipeline(true, 1000);
    let resumed = 0;
    p.onResume(() => resumed++);
    expect(p.paused).toBe(false);
    p.emit(draft({ data: { text: 'x'.repeat(2000) } }));
    expect(p.paused).toBe(true);
    spool.sync('alarm');
    expect([p.paused, resumed]).toEqual([false, 1]);
  });

  it('the time of a pause counts while it lasts, and once', () => {
    const p = pipeline(true, 1000);
    const seconds = () => registry.handle('tidegate_backpressure_seconds_total').value;
    p.measurePause();
    expect(seconds()).toBe(0);
    p.emit(draft({ data: { text: 'x'.repeat(2000) } }));
    now += 3000;
    p.measurePause();
    expect(seconds()).toBe(3);
    now += 2000;
    spool.sync('alarm');
    expect([p.paused, seconds()]).toEqual([false, 5]);
    now += 1000;
    p.measurePause();
    expect(seconds()).toBe(5);
  });
});

describe('receipts that nobody will call', () => {
  it('a record that the spool does not take is shed, and its receipt is never paid by the next one', () => {
    const p = pipeline();
    const calls: string[] = [];
    const end = spool.endRecord.bind(spool);
    spool.endRecord = () => -1;
    expect(p.emit(draft(), { spooled: () => calls.push('lost') })).toBe(false);
    spool.endRecord = end;
    expect(p.emit(draft(), { spooled: () => calls.push('kept') })).toBe(true);
    spool.sync('alarm');
    expect(calls).toEqual(['kept']);
    expect(crcs.map((c) => c[1])).toEqual([1]);
    expect(registry.handle('tidegate_lost_events_total', { collector: 'snmp_trap', reason: 'shed' }).value).toBe(1);
  });

  it('one whose owner no longer waits for Kafka is forgotten while Kafka is away', () => {
    const p = pipeline();
    const still: number[] = [];
    p.emit(draft(), { exported: () => still.push(1) });
    for (let i = 0; i < 10_000; i++) {
      const receipt: Receipt = { exported: () => {} };
      receipt.spooled = () => {
        receipt.exported = undefined;
      };
      p.emit(draft(), receipt);
      spool.sync('alarm');
    }
    expect(p.waiting().exported).toBeLessThan(2100);
    p.exported('alarm', [1, 10_000]);
    expect(still).toEqual([1]);
  });
});
