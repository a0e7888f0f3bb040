/** Reading for the audit: what cannot be read is named, and the rest is read. */
import { Buffer } from 'node:buffer';
import { expect, it } from 'vitest';
import { Audit, formatAudit } from '../../src/export/audit.ts';
import type { KafkaFetcher } from '../../src/export/kafka/client.ts';
import { kafkaConfig } from '../../src/export/kafka/config.ts';
import { ClientError } from '../../src/export/kafka/errors.ts';
import { readTopics } from '../../src/export/kafka/reader.ts';

const BROKER = { id: 1, host: '127.0.0.1', port: 1 };
const part = (id: number, leader = 1) => ({ id, leader, error: 0, replicas: [1], isr: [1] });
const record = (offset: number) => ({ offset, value: Buffer.from(`v${offset}`), type: 'snmp.trap.v1' });

/** a: 0 good with records 2..6 (and one more that comes later), 1 without a leader, 2 whose connection breaks, 3 that stalls. b is denied; c does not exist. */
function fetcher(): KafkaFetcher {
  return {
    metadata: async () => ({
      brokers: [BROKER],
      topics: [
        { name: 'a', error: 0, partitions: [part(0), part(1, -1), part(2), part(3)] },
        { name: 'b', error: 29, partitions: [] },
        { name: 'c', error: 3, partitions: [] },
      ],
    }),
    bounds: async (_b, _t, partition) => {
      if (partition === 2) throw new ClientError('network', 'connection reset');
      return { error: 0, low: 2, high: 7 };
    },
    fetch: async (_b, _t, partition, offset) => ({
      error: 0,
      records: partition === 3 ? [] : [offset, offset + 1, offset + 2, offset + 3].filter((o) => o <= 7).map(record),
    }),
    initProducerId: () => Promise.reject(new Error('not asked')),
    produce: () => Promise.reject(new Error('not asked')),
    reconnect() {},
    async close() {},
  };
}

it('reads what it can, once and to the end, and says what it could not', async () => {
  const got: string[] = [];
  const config = kafkaConfig.parse({ brokers: ['127.0.0.1:1'] });
  const { unread, absent } = await readTopics(
    config,
    ['a', 'b', 'c'],
    (r) => got.push(`${r.topic}${r.partition}@${r.offset}`),
    fetcher(),
  );
  expect(got).toEqual(['a0@2', 'a0@3', 'a0@4', 'a0@5', 'a0@6']);
  expect(unread).toEqual([
    { topic: 'a', partition: 1, reason: expect.stringContaining('no leader') },
    { topic: 'a', partition: 2, reason: 'connection reset' },
    { topic: 'a', partition: 3, reason: expect.stringContaining('no more records') },
    { topic: 'b', reason: expect.stringContaining('ACLs Read and Describe') },
  ]);
  expect(absent).toEqual(['c']);
  const report = new Audit().report({ unread, absent, nowMs: 0 });
  expect(report.clean).toBe(false);
  expect(formatAudit(report)).toContain('NOT READ: a partition 1: it has no leader');
  expect(formatAudit(report)).toContain('partial:');
});
