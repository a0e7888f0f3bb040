import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EVENT_CLASSES } from '../../src/event/types.ts';
import {
  addDigest,
  decodeFooter,
  decodeSegmentHeader,
  encodeFooter,
  encodeSegmentHeader,
  FOOTER_LENGTH,
  newRecordView,
  parseRecord,
  RECORD_HEAD,
  recordSeed,
  type SegmentHeader,
  type SegmentScan,
  scanSegment,
  segmentName,
  segmentNumber,
} from '../../src/spool/segment.ts';
import { writeRecord } from './write-record.ts';

interface Vector {
  header: SegmentHeader;
  seed: number;
  headerLength: number;
  records: { seq: number; sec: number; nsec: number; payload: string }[];
  digest: number;
  body: number;
  segment: string;
}

const vector = JSON.parse(readFileSync(new URL('../vectors/spool/segment-v1.json', import.meta.url), 'utf8')) as Vector;
const golden = Buffer.from(vector.segment, 'hex');

const HEADER: SegmentHeader = {
  cls: 'alarm',
  worker: 1,
  boot: 1_700_000_000_000_000,
  firstSeq: 1,
  created: 1_700_000_000_000_001,
  site: 'dc1',
  node: 'edge-1',
};
const SEED = recordSeed(HEADER.boot, HEADER.cls, HEADER.worker);

/** A segment of `payloads`, and where each record begins. */
function build(payloads: Buffer[], sealed = true): { bytes: Buffer; starts: number[] } {
  const header = encodeSegmentHeader(HEADER);
  const parts = [header];
  const starts: number[] = [];
  let at = header.length;
  let digest = 0;
  payloads.forEach((p, i) => {
    const r = Buffer.alloc(RECORD_HEAD + p.length);
    writeRecord(r, 0, SEED, i + 1, 1_700_000_000 + i, i, p);
    digest = addDigest(digest, r.readUInt32BE(4));
    starts.push(at);
    at += r.length;
    parts.push(r);
  });
  if (sealed)
    parts.push(
      encodeFooter({
        cls: HEADER.cls,
        worker: HEADER.worker,
        headerLength: header.length,
        boot: HEADER.boot,
        firstSeq: 1,
        lastSeq: payloads.length,
        count: payloads.length,
        digest,
        body: at,
        damaged: 0,
      }),
    );
  return { bytes: Buffer.concat(parts), starts };
}

function scan(bytes: Buffer, limit?: number): SegmentScan & { seqs: number[] } {
  const seqs: number[] = [];
  const result = scanSegment(bytes, limit, (_, view) => seqs.push(view.seq));
  if (typeof result === 'string') throw new Error(`no header: ${result}`);
  return { ...result, seqs };
}

describe('the golden segment of version 1', () => {
  test('is written byte by byte', () => {
    const header = encodeSegmentHeader(vector.header);
    const out = Buffer.alloc(golden.length);
    let at = header.copy(out);
    expect(recordSeed(vector.header.boot, vector.header.cls, vector.header.worker)).toBe(vector.seed);
    for (const r of vector.records)
      at = writeRecord(out, at, vector.seed, r.seq, r.sec, r.nsec, Buffer.from(r.payload, 'hex'));
    const { cls, worker, boot, firstSeq } = vector.header;
    const { headerLength, digest, body } = vector;
    encodeFooter({
      ...{ cls, worker, headerLength, boot, firstSeq, lastSeq: 43, count: 3, digest, body, damaged: 0 },
    }).copy(out, at);
    expect(out.toString('hex')).toBe(vector.segment);
  });

  test('is read', () => {
    const found: unknown[] = [];
    const result = scanSegment(golden, undefined, (at, v) =>
      found.push({
        seq: v.seq,
        sec: v.sec,
        nsec: v.nsec,
        payload: golden.toString('hex', at + RECORD_HEAD, v.next),
      }),
    ) as SegmentScan;
    expect(found).toEqual(vector.records);
    expect(result.header).toEqual(vector.header);
    expect(result.footer).toMatchObject({ count: 3, lastSeq: 43, digest: vector.digest, body: vector.body });
    expect([result.digest, result.damages, result.torn]).toEqual([vector.digest, [], 0]);
  });
});

describe('header', () => {
  test('of any values comes back', () => {
    fc.assert(
      fc.property(
        fc.record({
          cls: fc.constantFrom(...EVENT_CLASSES),
          worker: fc.nat(65535),
          boot: fc.nat(Number.MAX_SAFE_INTEGER),
          firstSeq: fc.nat(Number.MAX_SAFE_INTEGER),
          created: fc.nat(Number.MAX_SAFE_INTEGER),
          site: fc.string({ unit: 'grapheme', maxLength: 20 }),
          node: fc.string({ unit: 'grapheme', maxLength: 20 }),
        }),
        (h) => {
          const b = encodeSegmentHeader(h);
          expect(decodeSegmentHeader(b)).toEqual({ state: 'ok', header: h, length: b.length });
        },
      ),
    );
  });

  test('of a newer version is refused as such, cut ones are torn, changed ones damaged', () => {
    const b = encodeSegmentHeader(HEADER);
    const newer = Buffer.from(b);
    newer.writeUInt16BE(2, 8);
    expect(decodeSegmentHeader(newer)).toEqual({ state: 'newer', version: 2 });
    for (let n = 0; n < b.length; n++) expect(decodeSegmentHeader(b.subarray(0, n)).state).toBe('torn');
    for (let i = 0; i < b.length; i++) {
      const bad = Buffer.from(b);
      bad[i] ^= 0x40;
      expect(decodeSegmentHeader(bad).state).not.toBe('ok');
    }
  });
});

describe('record', () => {
  test('of any values comes back', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        fc.nat(0xffffffff),
        fc.nat(999_999_999),
        fc.uint8Array({ maxLength: 300 }),
        (seq, sec, nsec, payload) => {
          const out = Buffer.alloc(RECORD_HEAD + payload.length + 3);
          const end = writeRecord(out, 3, SEED, seq, sec, nsec, Buffer.from(payload));
          const view = newRecordView();
          expect(parseRecord(out, 3, end, SEED, seq - 1, view)).toBe('record');
          expect(view).toMatchObject({ next: end, seq, sec, nsec });
          expect(out.readBigUInt64BE(19)).toBe(BigInt(sec) * 1_000_000_000n + BigInt(nsec));
          expect(parseRecord(out, 3, end, SEED ^ 1, seq - 1, view)).toBe('damaged');
        },
      ),
    );
  });
});

describe('scan', () => {
  const payloads = Array.from({ length: 20 }, (_, i) => Buffer.alloc(30 + 7 * i, i));

  test('of an unsealed segment cut anywhere gives the whole records before the cut', () => {
    const { bytes, starts } = build(payloads, false);
    for (let n = encodeSegmentHeader(HEADER).length; n <= bytes.length; n++) {
      const whole = starts.filter((s, i) => (starts[i + 1] ?? bytes.length) <= n && s < n).length;
      const r = scan(bytes.subarray(0, n));
      expect(r.count).toBe(whole);
      expect(r.damages).toEqual([]);
      expect(r.torn).toBe(n - (starts[whole] ?? bytes.length));
    }
  });

  test('steps over one changed byte, whichever it is, and says how many records are gone', () => {
    const { bytes, starts } = build(payloads);
    for (let i = starts[0]; i < bytes.length - FOOTER_LENGTH; i++) {
      const bad = Buffer.from(bytes);
      bad[i] ^= 0xff;
      const r = scan(bad);
      const hit = starts.findLastIndex((s) => s <= i) + 1;
      expect(r.seqs).toEqual(payloads.map((_, k) => k + 1).filter((s) => s !== hit));
      expect(r.damages).toEqual([
        { offset: starts[hit - 1], length: payloads[hit - 1].length + RECORD_HEAD, afterSeq: hit - 1, records: 1 },
      ]);
      expect(r.footer?.count).toBe(20);
    }
  });

  test('makes a damaged header good from the footer', () => {
    const { bytes } = build(payloads);
    bytes[20] ^= 1;
    const r = scan(bytes);
    expect(r.count).toBe(20);
    expect(r.header).toMatchObject({ boot: HEADER.boot, firstSeq: 1, cls: 'alarm' });
    const open = build(payloads, false).bytes;
    open[20] ^= 1;
    expect(scanSegment(open)).toBe('damaged');
  });

  test('ends before the first seq of the next segment', () => {
    const { bytes, starts } = build(payloads, false);
    const r = scan(bytes, 8);
    expect([r.lastSeq, r.end, r.torn]).toEqual([7, starts[7], bytes.length - starts[7]]);
  });

  test('does not take a record inside a payload for one', () => {
    const forged = Buffer.alloc(RECORD_HEAD + 10);
    writeRecord(forged, 0, recordSeed(1, 'alarm', 1), 3, 1, 1, Buffer.from('not a fact'));
    const { bytes, starts } = build([Buffer.alloc(9), Buffer.concat([Buffer.alloc(50), forged]), Buffer.alloc(9)]);
    bytes[starts[1]] ^= 1;
    expect(scan(bytes).seqs).toEqual([1, 3]);
    expect(scan(bytes).damages).toHaveLength(1);
  });

  test('never throws and never invents a record, whatever the bytes', () => {
    const { bytes } = build(payloads.slice(0, 5));
    fc.assert(
      fc.property(fc.nat(bytes.length), fc.uint8Array({ maxLength: 120 }), (at, noise) => {
        const bad = Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at + noise.length)]);
        const result = scanSegment(bad, undefined, (start, v) => {
          expect(bad.subarray(start + RECORD_HEAD, v.next).equals(payloads[v.seq - 1])).toBe(true);
        });
        if (typeof result !== 'string') expect(result.count).toBeLessThanOrEqual(5);
      }),
    );
  });
});

test('a footer belongs to its place', () => {
  const { bytes } = build([Buffer.alloc(5)]);
  const body = bytes.length - FOOTER_LENGTH;
  expect(decodeFooter(bytes, body, body)?.count).toBe(1);
  expect(decodeFooter(bytes, body, body + 1)).toBeUndefined();
});

test('file names', () => {
  expect(segmentName(7)).toBe('000000000007.seg');
  expect(segmentNumber('000000000007.seg')).toBe(7);
  expect(segmentNumber('000000000007.seg.new')).toBeUndefined();
});
