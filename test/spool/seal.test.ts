/** CRCs of many records at once, in TypeScript and with the add-on, against those of node:zlib. */
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { kernels } from '../../src/core/kernels.ts';
import { encodeRecord, recordBound } from '../../src/event/record.ts';
import { loadNative } from '../../src/net/native.ts';
import { sealInTypeScript, sealRecords, soundRecords } from '../../src/spool/seal.ts';
import { newRecordView, parseRecord, RECORD_HEAD } from '../../src/spool/segment.ts';
import { placeRecord } from './write-record.ts';

const SEED = 0x1234abcd;
const native = loadNative();

afterEach(() => {
  kernels.native = native;
});

function event(key: string, id: string, json: string, raw: Uint8Array | undefined): Buffer {
  const out = Buffer.alloc(recordBound(key, id, json, raw));
  return out.subarray(0, encodeRecord(out, 0, 'snmp.trap.v1', 0, key, key, id, json, raw));
}

const payloads = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((b) => ({ payload: Buffer.from(b), value: undefined as string | undefined })),
    fc
      .record({
        key: fc.string({ maxLength: 40 }),
        id: fc.string({ maxLength: 40 }),
        json: fc.string({ maxLength: 900 }),
        raw: fc.option(fc.uint8Array({ maxLength: 200 }), { nil: undefined }),
      })
      .map((e) => ({ payload: event(e.key, e.id, e.json, e.raw), value: e.json as string | undefined })),
  ),
  { minLength: 1, maxLength: 20 },
);

function place(list: readonly { payload: Buffer }[]): Buffer {
  const out = Buffer.alloc(5 + list.reduce((n, p) => n + RECORD_HEAD + p.payload.length, 0));
  let at = 5;
  list.forEach((p, i) => {
    at = placeRecord(out, at, i + 1, 1_700_000_000, i, p.payload);
  });
  return out;
}

describe.each(native ? ['typescript', 'add-on'] : ['typescript'])('sealed by %s', (by) => {
  test('every record is one that is read, and the sum of its value is that of node:zlib', () => {
    kernels.native = by === 'add-on' ? native : undefined;
    fc.assert(
      fc.property(payloads, (list) => {
        const bytes = place(list);
        const sums = new Uint32Array(list.length + 1);
        expect(sealRecords(bytes, 5, bytes.length, SEED, sums)).toBe(list.length);
        const view = newRecordView();
        let at = 5;
        list.forEach(({ payload, value }, i) => {
          expect(parseRecord(bytes, at, bytes.length, SEED, i, view)).toBe('record');
          expect(bytes.readUInt32BE(at + 4)).toBe(crc32(bytes.subarray(at + 8, view.next), SEED));
          if (value !== undefined) expect(sums[i]).toBe(crc32(Buffer.from(value, 'utf8')));
          expect(view.next - at).toBe(RECORD_HEAD + payload.length);
          at = view.next;
        });
      }),
    );
  });
});

describe.runIf(native)('the add-on', () => {
  test('seals as TypeScript does', () => {
    fc.assert(
      fc.property(payloads, (list) => {
        const one = place(list);
        const other = Buffer.from(one);
        const sums = [new Uint32Array(list.length), new Uint32Array(list.length)];
        kernels.native = native;
        sealRecords(one, 5, one.length, SEED, sums[0]);
        sealInTypeScript(other, 5, other.length, SEED, sums[1]);
        expect(one).toEqual(other);
        // Of random bytes that are no event of a known type the two may see a value or none: nobody asks for it.
        list.forEach((p, i) => {
          if (p.value !== undefined) expect(sums[0][i]).toBe(sums[1][i]);
        });
      }),
    );
  });

  test('of every length: each way of folding begins and ends somewhere', () => {
    kernels.native = native;
    const list = Array.from({ length: 1200 }, (_, n) => ({
      payload: Buffer.from(Array.from({ length: n }, (_, i) => (Math.imul(i + 1, 2654435761) + n) >>> 24)),
    }));
    const bytes = place(list);
    sealRecords(bytes, 5, bytes.length, SEED, new Uint32Array(list.length));
    for (let at = 5; at < bytes.length; ) {
      const end = at + 8 + bytes.readUInt32BE(at);
      expect(bytes.readUInt32BE(at + 4)).toBe(crc32(bytes.subarray(at + 8, end), SEED));
      at = end;
    }
  });

  test('finds the first record that is not sound, and a torn end', () => {
    fc.assert(
      fc.property(payloads, fc.nat(), fc.nat(7), (list, where, bit) => {
        kernels.native = native;
        const bytes = place(list);
        sealRecords(bytes, 5, bytes.length, SEED, new Uint32Array(list.length));
        expect(soundRecords(bytes, 5, bytes.length, SEED)).toBe(bytes.length);
        const starts: number[] = [];
        for (let at = 5; at < bytes.length; at += 8 + bytes.readUInt32BE(at)) starts.push(at);
        const cut = 5 + (where % (bytes.length - 5));
        const whole = starts.findLast((s) => s <= cut) ?? 5;
        expect(soundRecords(bytes, 5, cut, SEED)).toBe(whole);
        bytes[cut] ^= 1 << bit;
        expect(soundRecords(bytes, 5, bytes.length, SEED)).toBeLessThanOrEqual(whole);
      }),
    );
  });

  test('refuses ranges that are none, and a list that is too short', () => {
    const bytes = place([{ payload: Buffer.from('abc') }, { payload: Buffer.from('def') }]);
    const sums = new Uint32Array(1);
    expect(native!.sealRecords(bytes, 5, bytes.length, SEED, sums)).toBeLessThan(0);
    expect(native!.sealRecords(bytes, 5, bytes.length + 1, SEED, new Uint32Array(9))).toBeLessThan(0);
    expect(native!.sealRecords(bytes, 9, 5, SEED, new Uint32Array(9))).toBeLessThan(0);
    expect(native!.sealRecords(Buffer.alloc(30), 0, 30, SEED, new Uint32Array(9))).toBeLessThan(0);
    expect(native!.soundRecords(bytes, -1, 5, SEED)).toBeLessThan(0);
    expect(native!.soundRecords(bytes, 5, bytes.length + 1, SEED)).toBeLessThan(0);
  });
});

test('records of any length have the CRC of node:zlib, whatever instructions the processor has', () => {
  for (let length = 0; length < 700; length++) {
    const payload = Buffer.from(Array.from({ length }, (_, i) => (i * 31 + length) & 255));
    const bytes = place([{ payload }]);
    sealRecords(bytes, 5, bytes.length, SEED, new Uint32Array(1));
    expect(bytes.readUInt32BE(9)).toBe(crc32(bytes.subarray(13), SEED));
  }
});
