import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32c } from '../../src/export/kafka/crc32c.ts';
import { murmur2, partitionFor } from '../../src/export/kafka/partitioner.ts';

const javaPartitioner = createRequire(import.meta.url)('kafkajs').Partitioners.JavaCompatiblePartitioner();

describe('partitioner', () => {
  // UtilsTest.testMurmur2 of apache/kafka.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('murmur2(%s) is what the Java client says', (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash);
  });

  it('agrees with kafkajs on any key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 300 }), (bytes, count) => {
        const key = Buffer.from(bytes);
        const partitionMetadata = Array.from({ length: count }, (_, partitionId) => ({ partitionId, leader: 1 }));
        expect(partitionFor(key, count)).toBe(javaPartitioner({ topic: 't', partitionMetadata, message: { key } }));
      }),
    );
  });
});

describe('crc32c', () => {
  // RFC 3720, appendix B.4.
  it.each([
    ['32 bytes of zeroes', Buffer.alloc(32), 0x8a9136aa],
    ['32 bytes of ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
    ['32 bytes rising', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
    ['32 bytes falling', Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c],
    ['the check value', Buffer.from('123456789'), 0xe3069283],
  ])('%s', (_name, bytes, crc) => {
    expect(crc32c(bytes)).toBe(crc);
  });
});
