/**
 * The body of a Produce request of versions 9 to 11 (kafka.apache.org/protocol), in one piece: the library's writer keeps a buffer for each field
 * and joins them afterwards, which costs more than what stands in them.
 *
 *   transactional_id COMPACT_NULLABLE_STRING = null, acks i16, timeout_ms i32,
 *   topic_data COMPACT_ARRAY of (name COMPACT_STRING, partition_data COMPACT_ARRAY of (index i32, records COMPACT_BYTES, tags), tags), tags
 *
 * A compact length is an unsigned varint of one more than it; `tags` is 0: there are none.
 */
import { Buffer } from 'node:buffer';
import type { ProduceBatch } from './client.ts';

const ACKS_ALL = -1;
/** A varint of 32 bits, at most. */
const VARINT = 5;
const FIXED = 1 + 2 + 4 + VARINT + 1;

/** `batches` with acks=all; the broker answers within `timeoutMs`. */
export function produceBody(batches: readonly ProduceBatch[], timeoutMs: number): Buffer {
  const topics = new Map<string, ProduceBatch[]>();
  let bound = FIXED;
  for (const b of batches) {
    const list = topics.get(b.topic);
    if (list) list.push(b);
    else {
      topics.set(b.topic, [b]);
      bound += 3 * b.topic.length + 2 * VARINT + 1;
    }
    bound += 4 + VARINT + b.records.length + 1;
  }
  const out = Buffer.allocUnsafe(bound);
  out[0] = 0;
  out.writeInt16BE(ACKS_ALL, 1);
  out.writeInt32BE(timeoutMs, 3);
  let at = compact(out, 7, topics.size);
  for (const [topic, list] of topics) {
    at = compact(out, at, Buffer.byteLength(topic));
    at += out.write(topic, at, 'utf8');
    at = compact(out, at, list.length);
    for (const { partition, records } of list) {
      out.writeInt32BE(partition, at);
      at = compact(out, at + 4, records.length);
      out.set(records, at);
      at += records.length;
      out[at++] = 0;
    }
    out[at++] = 0;
  }
  out[at++] = 0;
  return out.subarray(0, at);
}

/** Writes `length` as a compact one, and returns where it ends. */
function compact(out: Buffer, at: number, length: number): number {
  let v = length + 1;
  while (v > 0x7f) {
    out[at++] = (v & 0x7f) | 0x80;
    v >>>= 7;
  }
  out[at++] = v;
  return at;
}
