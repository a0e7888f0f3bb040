import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeKeepalive, encodeNotification, frameBgp } from '../../src/codec/bgp/index.ts';
import { bmpFramer, encodeInitiation } from '../../src/codec/bmp/index.ts';
import { StreamCutter } from '../../src/codec/stream.ts';
import { isDecodeError } from '../../src/core/result.ts';

const bgp = (buf: Buffer, pos: number, end: number) => frameBgp(buf, pos, end);

describe('a stream is cut into the same messages however it arrives', () => {
  it('and no byte is read after its chunk was reused', () => {
    const length = fc.integer({ min: 0, max: 300 });
    fc.assert(
      fc.property(fc.array(length, { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 400 })), (lengths, cuts) => {
        const messages = lengths.map((n) => encodeInitiation({ sysName: 'x'.repeat(n) }));
        const stream = Buffer.concat(messages);
        const cutter = new StreamCutter();
        const frame = bmpFramer();
        const seen: string[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = cuts.length === 0 ? stream.length : cuts[i % cuts.length];
          const chunk = Buffer.from(stream.subarray(at, at + size));
          at += size;
          cutter.push(chunk);
          for (let m = cutter.next(frame); m !== undefined; m = cutter.next(frame)) {
            if (isDecodeError(m)) throw new Error(m.code);
            seen.push(m.toString('hex'));
          }
          cutter.retain();
          chunk.fill(0xdb);
        }
        expect(seen).toEqual(messages.map((m) => m.toString('hex')));
        expect(cutter.pending).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('reads a whole message where it lies', () => {
    const chunk = encodeKeepalive();
    const cutter = new StreamCutter();
    cutter.push(chunk);
    const message = cutter.next(bgp);
    expect(!isDecodeError(message) && message?.buffer === chunk.buffer).toBe(true);
  });

  it('holds no more than one unfinished message and what came with it', () => {
    const cutter = new StreamCutter();
    const one = encodeInitiation({ sysName: 'x'.repeat(60_000) });
    let most = 0;
    for (let i = 0; i < 200; i++) {
      for (let at = 0; at < one.length; at += 1000) {
        cutter.push(one.subarray(at, at + 1000));
        while (cutter.next(bmpFramer()) !== undefined);
        cutter.retain();
        most = Math.max(most, cutter.pending);
      }
    }
    expect(most).toBeLessThanOrEqual(one.length);
  });
});

describe('framing is lost for good', () => {
  it.each([
    ['a wrong marker, at its first byte', Buffer.from('ffffffff00', 'hex'), 'marker', 4],
    ['a length below the header', Buffer.concat([Buffer.alloc(16, 0xff), Buffer.from('001204', 'hex')]), 'length', 16],
    ['a KEEPALIVE with a body', Buffer.concat([Buffer.alloc(16, 0xff), Buffer.from('00140400', 'hex')]), 'length', 16],
    ['more than 4096 bytes', Buffer.concat([Buffer.alloc(16, 0xff), Buffer.from('100102', 'hex')]), 'length', 16],
    ['an unknown type', Buffer.concat([Buffer.alloc(16, 0xff), Buffer.from('001706', 'hex')]), 'unsupported', 18],
  ])('BGP: %s', (_name, bytes, code, offset) => {
    const cutter = new StreamCutter();
    cutter.push(bytes);
    expect(cutter.next(bgp)).toMatchObject({ ok: false, code, offset });
    cutter.push(encodeKeepalive());
    expect(cutter.next(bgp)).toMatchObject({ ok: false, code, offset });
  });

  it.each([
    ['version 4', '04', 'version'],
    ['a length below the header', '030000000504', 'length'],
    ['a length above the maximum', '030010000104', 'limit'],
  ])('BMP: %s', (_name, hex, code) => {
    const b = Buffer.from(hex, 'hex');
    expect(bmpFramer()(b, 0, b.length)).toMatchObject({ ok: false, code });
  });

  it('65535 bytes are fine where RFC 8654 was agreed on, but never for OPEN', () => {
    const head = Buffer.concat([Buffer.alloc(16, 0xff), Buffer.from('ffff02', 'hex')]);
    expect(frameBgp(head, 0, 19, true)).toBe(65535);
    head[18] = 1;
    expect(frameBgp(head, 0, 19, true)).toMatchObject({ ok: false, code: 'length' });
    expect(frameBgp(encodeNotification({ code: 6, subcode: 2 }), 0, 21)).toBe(21);
  });
});
