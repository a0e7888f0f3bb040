/** Synthetic records for the conformance of Kafka clients: spooled, and found again in a topic. */
import { expect } from 'vitest';
import { kafkaHeaders } from '../../src/event/envelope.ts';
import { decodeRecord } from '../../src/event/record.ts';
import type { EventType } from '../../src/event/types.ts';
import { partitionFor } from '../../src/export/kafka/partitioner.ts';
import type { MemoryShard } from '../export/memory-log.ts';
import type { LabRecord } from './kafka.ts';

const TRAP: EventType = 'snmp.trap.v1';

export async function until(condition: () => boolean, what: () => string, ms = 60_000): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function fill(shard: MemoryShard, n: number, keys = 50, from = 0): void {
  for (let i = from; i < from + n; i++)
    shard.logs.alarm.append(TRAP, `net|10.0.0.${i % keys}`, `id-${i}`, JSON.stringify({ i, text: 'ünïcode ☃' }), true);
}

/** Each id once: a repetition is allowed. */
export function firstDeliveries(records: LabRecord[]): LabRecord[] {
  const seen = new Set<string>();
  return records.filter((r) => {
    const id = r.headers.ce_id;
    if (seen.has(id)) return false;
    seen.add(id);
    return true;
  });
}

/** Everything that was spooled is there, byte by byte, and per key in the order in which it was spooled. */
export function complete(shard: MemoryShard, records: LabRecord[], partitions: number): void {
  const first = firstDeliveries(records);
  const byId = new Map(first.map((r) => [r.headers.ce_id, r]));
  const spooled = shard.logs.alarm.records.map((r) => ({ ...r, event: decodeRecord(r.payload)! }));
  expect(byId.size).toBe(spooled.length);
  for (const { event, sec, nsec } of spooled) {
    const got = byId.get(event.id)!;
    if (got.key !== event.key.toString() || !got.value.equals(event.value)) expect(got).toEqual(event);
    if (got.partition !== partitionFor(event.key, partitions)) expect(got.partition).toBe('another');
    expect(Object.entries(got.headers)).toEqual(kafkaHeaders(event, sec, nsec, 'edge-1'));
  }
  const order = (list: { key: string; id: string }[]) => {
    const out: Record<string, string[]> = {};
    for (const { key, id } of list) (out[key] ??= []).push(id);
    return out;
  };
  expect(order(first.map((r) => ({ key: r.key!, id: r.headers.ce_id })))).toEqual(
    order(spooled.map((r) => ({ key: r.event.key.toString(), id: r.event.id }))),
  );
}
