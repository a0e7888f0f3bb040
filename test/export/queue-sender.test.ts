import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { Backoff } from '../../src/core/backoff.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { FLAG_WANTS_EXPORTED } from '../../src/event/record.ts';
import { Chunks } from '../../src/export/kafka/chunks.ts';
import { DEFAULT_LIMITS, Lane, type LanesOptions } from '../../src/export/kafka/lane.ts';
import type { OutBatch } from '../../src/export/kafka/producer.ts';
import { PartitionQueue } from '../../src/export/kafka/queue.ts';
import { QueueSender } from '../../src/export/kafka/queue-sender.ts';
import type { RecordSource } from '../../src/export/types.ts';

const TYPE = 'snmp.trap.v1';
const AT = { segment: 1, offset: 0 };

function setUp() {
  const clock = new ManualClock();
  const sent: OutBatch[] = [];
  const options = {
    clock,
    limits: { ...DEFAULT_LIMITS, lingerMs: 20 },
    producer: { send: (b: OutBatch) => sent.push(b) },
    onAcked: () => {},
  } as unknown as LanesOptions;
  const lane = new Lane({ position: AT } as RecordSource, undefined, new Chunks(4096));
  const queues = [0, 1].map((p) => new PartitionQueue(TYPE, 't', p, 1000, new Backoff(50, 1000)));
  for (const q of queues) lane.queues.set(`t ${q.partition}`, q);
  const host = { lanes: () => [lane], laneOf: () => lane, kick: () => {}, considerStraggling: () => false };
  const sender = new QueueSender(options, host);
  const event = (partition: number, flags = 0) => {
    const empty = Buffer.alloc(0);
    const record = { type: TYPE, flags, subject: 's', key: empty, id: 'i', value: empty } as const;
    queues[partition].push({ record, sec: 0, nsec: 0, seq: 1, boot: 1, position: AT, size: 10, chunk: undefined });
    sender.armLinger(flags !== 0);
  };
  const answer = () => {
    for (const b of sent.splice(0)) b.done({ outcome: 'ok', code: 0, message: undefined, failure: undefined });
  };
  return { clock, sent, event, answer };
}

test('an event after a quiet time is sent at once; those of a stream go together, the linger time apart', () => {
  const { clock, sent, event, answer } = setUp();
  event(0);
  clock.advance(0);
  expect(sent.map((b) => b.partition)).toEqual([0]);
  answer();
  event(0);
  event(1);
  clock.advance(19);
  event(0);
  expect(sent).toEqual([]);
  clock.advance(1);
  expect(sent.map((b) => [b.partition, b.records.length])).toEqual([
    [0, 2],
    [1, 1],
  ]);
  answer();
  clock.advance(1000);
  event(1);
  clock.advance(0);
  expect(sent.map((b) => b.partition)).toEqual([1]);
});

test('what comes while a batch is in flight follows after its answer', () => {
  const { clock, sent, event, answer } = setUp();
  event(0);
  clock.advance(0);
  event(0);
  clock.advance(20);
  expect(sent.length).toBe(1);
  answer();
  clock.advance(20);
  expect(sent.map((b) => b.records.length)).toEqual([1]);
});

test('an event that somebody waits for does not wait for the linger time, nor what is in flight before it', () => {
  const { clock, sent, event, answer } = setUp();
  event(0);
  clock.advance(0);
  answer();
  event(0);
  clock.advance(4);
  event(0, FLAG_WANTS_EXPORTED);
  expect(sent).toEqual([]);
  clock.advance(1);
  expect(sent.map((b) => b.records.length)).toEqual([2]);
  event(0, FLAG_WANTS_EXPORTED);
  clock.advance(5);
  expect(sent.length).toBe(1);
  answer();
  clock.advance(5);
  expect(sent.map((b) => b.records.length)).toEqual([1]);
});
