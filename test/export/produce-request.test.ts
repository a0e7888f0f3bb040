/** The library's own writer as the second opinion. */
import { Buffer } from 'node:buffer';
import { Writer } from '@platformatic/kafka';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ProduceBatch } from '../../src/export/kafka/client.ts';
import { produceBody } from '../../src/export/kafka/produce-request.ts';

const batch = fc.record({
  topic: fc.constantFrom('t', 'tidegate.snmp.trap.v1', 'ü'.repeat(70)),
  partition: fc.nat({ max: 300 }),
  records: fc.nat({ max: 40_000 }).map((n) => Buffer.alloc(n, n & 0xff)),
});

function written(batches: readonly ProduceBatch[], timeoutMs: number): Buffer {
  const byTopic = Map.groupBy(batches, (b) => b.topic);
  return Writer.create()
    .appendString(null)
    .appendInt16(-1)
    .appendInt32(timeoutMs)
    .appendArray([...byTopic], (w, [topic, list]) =>
      w.appendString(topic).appendArray(list, (x, b) => {
        x.appendInt32(b.partition).appendUnsignedVarInt(b.records.length + 1);
        if (b.records.length > 0) x.append(b.records);
      }),
    )
    .appendTaggedFields().buffer;
}

it('is what the library would write', () => {
  fc.assert(
    fc.property(fc.array(batch, { minLength: 1, maxLength: 8 }), fc.nat({ max: 1e6 }), (batches, timeoutMs) => {
      expect(produceBody(batches, timeoutMs).equals(written(batches, timeoutMs))).toBe(true);
    }),
  );
});
