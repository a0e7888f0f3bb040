import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { kernels } from '../../src/core/kernels.ts';
import { kafkaHeaders } from '../../src/event/envelope.ts';
import { decodeRecord, encodeRecord } from '../../src/event/record.ts';
import { EVENT_TYPES } from '../../src/event/types.ts';
import { HeaderTemplates } from '../../src/export/kafka/headers.ts';
import '../../src/export/kafka/kafkajs.ts';
import { BatchEncoder, COMPRESSIONS } from '../../src/export/kafka/record-batch.ts';
import { loadNative } from '../../src/net/native.ts';

// The independent reader: kafkajs's decoder of record batches.
const require = createRequire(import.meta.url);
const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder');
const Decoder = require('kafkajs/src/protocol/decoder');

const text = fc.string({ unit: 'grapheme', maxLength: 60 });
/** A key begins with its subject. */
const event = fc
  .record({
    type: fc.constantFrom(...EVENT_TYPES.map((t) => t.type)),
    subject: text,
    suffix: text,
    id: text,
    value: fc.string({ maxLength: 400 }),
    sec: fc.integer({ min: 0, max: 4_000_000_000 }),
    nsec: fc.integer({ min: 0, max: 999_999_999 }),
  })
  .map(({ suffix, ...e }) => ({ ...e, key: e.subject + suffix }));

const native = loadNative();
const ways = COMPRESSIONS.flatMap((c) =>
  native ? [[c, 'typescript'] as const, [c, 'add-on'] as const] : [[c, 'typescript'] as const],
);
/** Of one type, as the records of a topic are. */
const topic = fc
  .tuple(fc.constantFrom(...EVENT_TYPES.map((t) => t.type)), fc.array(event, { minLength: 1, maxLength: 30 }))
  .map(([type, events]) => events.map((e) => ({ ...e, type })));

afterEach(() => {
  kernels.native = native;
});

describe('record batch', () => {
  it.each(ways)('%s by %s: what is written is what an independent decoder reads', async (compression, by) => {
    kernels.native = by === 'add-on' ? native : undefined;
    const encoder = new BatchEncoder(new HeaderTemplates('edge-1'), compression);
    await fc.assert(
      fc.asyncProperty(fc.oneof(topic, fc.array(event, { minLength: 1, maxLength: 30 })), async (events) => {
        const records = events.map(({ sec, nsec, ...e }) => ({
          record: { ...e, flags: 0, key: Buffer.from(e.key), value: Buffer.from(e.value) },
          sec,
          nsec,
        }));
        const bytes = encoder.encode(records, { id: 77n, epoch: 3, sequence: 1234 });
        // Its decoder is handed the batch without the base offset, as in a fetch response.
        const d = await decodeBatch(new Decoder(bytes));
        expect(d.records).toHaveLength(records.length);
        expect([d.producerId, d.producerEpoch, d.firstSequence]).toEqual(['77', 3, 1234]);
        d.records.forEach(
          (r: { key: Buffer; value: Buffer; headers: Record<string, Buffer>; timestamp: string }, i: number) => {
            const e = records[i];
            expect(r.key).toEqual(e.record.key);
            expect(r.value).toEqual(e.record.value);
            expect(Number(r.timestamp)).toBe(e.sec * 1000 + Math.floor(e.nsec / 1e6));
            const headers = Object.entries(r.headers).map(([k, v]) => [k, v.toString('utf8')]);
            expect(headers).toEqual(kafkaHeaders(e.record, e.sec, e.nsec, 'edge-1'));
          },
        );
      }),
      { numRuns: 60 },
    );
  });

  it.runIf(native)('the add-on packs as TypeScript does, records of a megabyte too', () => {
    const encoder = new BatchEncoder(new HeaderTemplates('edge-1'), 'none');
    const long = topic.map((t) =>
      t.map((e, i) => (i === 0 ? { ...e, value: e.value.padEnd(1 << 20, e.value || 'x') } : e)),
    );
    fc.assert(
      fc.property(fc.oneof({ weight: 20, arbitrary: topic }, long), (events) => {
        const records = events.map(({ sec, nsec, ...e }) => ({
          record: { ...e, flags: 0, key: Buffer.from(e.key), value: Buffer.from(e.value) },
          sec,
          nsec: e.value.length % 3 === 0 ? nsec - (nsec % 1000) : e.value.length % 3 === 1 ? nsec - (nsec % 1e6) : nsec,
        }));
        const state = { id: 1n, epoch: 0, sequence: 0 };
        kernels.native = undefined;
        const one = encoder.encode(records, state);
        kernels.native = native;
        expect(encoder.encode(records, state).equals(one)).toBe(true);
      }),
    );
  });

  it.runIf(native).each(['none', 'zstd'] as const)(
    '%s: a large batch out of many pieces of memory',
    async (compression) => {
      const encoder = new BatchEncoder(new HeaderTemplates('edge-1'), compression);
      // Three records a piece, as neighbours are read; as many pieces as need more than one block of zstd.
      const records = Array.from({ length: 100 }, (_, piece) => {
        const memory = Buffer.alloc(10_000, 0xee);
        return Array.from({ length: 3 }, (_, i) => {
          const n = 3 * piece + i;
          const key = `default|10.0.0.${n % 16}`;
          const id = `id-${n}`;
          const value = JSON.stringify({ n, hash: crc32(String(n)).toString(16), text: 'uplink to core '.repeat(60) });
          const at = 7 + 3000 * i;
          const end = at + encodeRecord(memory, at, 'snmp.trap.v1', 0, key, key, id, value);
          return { n, key, id, value, record: decodeRecord(memory, at, end)!, sec: 1_700_000_000 + n, nsec: n };
        });
      }).flat();
      const d = await decodeBatch(new Decoder(encoder.encode(records, { id: 77n, epoch: 3, sequence: 1234 })));
      expect(d.records).toHaveLength(records.length);
      d.records.forEach((r: { key: Buffer; value: Buffer; headers: Record<string, Buffer> }, i: number) => {
        const { key, value, id } = records[i];
        expect([r.key.toString(), r.value.toString(), r.headers.ce_id.toString()]).toEqual([key, value, id]);
      });
    },
  );

  it('never counts a record smaller than it is', () => {
    const encoder = new BatchEncoder(new HeaderTemplates('edge-1'), 'none');
    fc.assert(
      fc.property(event, ({ sec, nsec, ...e }) => {
        const record = { ...e, flags: 0, key: Buffer.from(e.key), value: Buffer.from(e.value) };
        const bytes = encoder.encode([{ record, sec, nsec }], { id: -1n, epoch: -1, sequence: -1 });
        expect(
          encoder.sizeOf(record) + 2 * (Buffer.byteLength(e.id) + Buffer.byteLength(e.subject)),
        ).toBeGreaterThanOrEqual(bytes.length - 61);
      }),
    );
  });
});
