import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeBgp,
  encodeEndOfRib,
  encodeKeepalive,
  encodeNotification,
  encodeOpen,
  encodeRouteRefresh,
  encodeUpdate,
  INITIAL_CONTEXT,
} from '../../../src/codec/bgp/index.ts';
import * as arbitrary from './arbitrary.ts';

describe('what is encoded is decoded unchanged', () => {
  it('UPDATE, with two- and four-byte AS numbers, with and without path identifiers', () => {
    fc.assert(
      fc.property(arbitrary.update, ({ ctx, ...parts }) => {
        expect(decodeBgp(encodeUpdate(parts, ctx), ctx)).toEqual({ kind: 'update', ...parts });
      }),
      { numRuns: 400 },
    );
  });

  it('OPEN, also with more than 255 bytes of parameters (RFC 9072)', () => {
    let extended = 0;
    fc.assert(
      fc.property(arbitrary.open, (open) => {
        const bytes = encodeOpen(open);
        if (bytes[28] === 255 && bytes[29] === 255) extended++;
        expect(decodeBgp(bytes, INITIAL_CONTEXT)).toEqual({ kind: 'open', version: 4, ...open });
      }),
      { numRuns: 400, seed: 7 },
    );
    expect(extended).toBeGreaterThan(0);
  });

  it('the small messages', () => {
    expect(decodeBgp(encodeKeepalive(), INITIAL_CONTEXT)).toEqual({ kind: 'keepalive' });
    expect(decodeBgp(encodeRouteRefresh({ afi: 2, safi: 1 }), INITIAL_CONTEXT)).toEqual({
      kind: 'route-refresh',
      afi: 2,
      safi: 1,
      subtype: 0,
    });
    expect(decodeBgp(encodeNotification({ code: 6, subcode: 2, text: 'bye ☃' }), INITIAL_CONTEXT)).toEqual({
      kind: 'notification',
      code: 6,
      subcode: 2,
      data: '07627965' + '20e29883',
      text: 'bye ☃',
    });
    for (const eor of ['1/1', '2/1', '1/128']) {
      expect(decodeBgp(encodeEndOfRib(eor), INITIAL_CONTEXT)).toMatchObject({ kind: 'update', eor });
    }
  });

  it('a Hard Reset carries its reason (RFC 8538)', () => {
    const reason = { code: 6, subcode: 2, data: '', text: 'bye' };
    const message = decodeBgp(encodeNotification({ code: 6, subcode: 9, wrapped: reason }), INITIAL_CONTEXT);
    expect(message).toEqual({
      kind: 'notification',
      code: 6,
      subcode: 9,
      data: '060203627965',
      wrapped: { code: 6, subcode: 2, data: '03627965', text: 'bye' },
    });
    // What was received goes out as it came.
    expect(decodeBgp(encodeNotification(message as never), INITIAL_CONTEXT)).toEqual(message);
    const bare = { kind: 'notification', code: 6, subcode: 9, data: '06' };
    expect(decodeBgp(encodeNotification({ code: 6, subcode: 9, data: '06' }), INITIAL_CONTEXT)).toEqual(bare);
  });

  it('a Shutdown Communication is cut between characters', () => {
    const message = decodeBgp(encodeNotification({ code: 6, subcode: 4, text: '☃'.repeat(100) }), INITIAL_CONTEXT);
    expect(message).toMatchObject({ kind: 'notification', text: '☃'.repeat(85) });
  });
});
