/** A notification that was met before is what is decoded now, whatever stands in the datagram. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEnvelope, decodePdu } from '../../../src/codec/snmp/decode.ts';
import { buildTrap } from '../../../src/codec/snmp/describe.ts';
import { encodeMessage, type VarBindInput } from '../../../src/codec/snmp/encode.ts';
import { NotificationCache } from '../../../src/codec/snmp/notification-cache.ts';
import {
  type Notification,
  notificationOf,
  SNMP_TRAP_COMMUNITY,
  SNMP_TRAP_OID,
  SYS_UP_TIME,
} from '../../../src/codec/snmp/rfc3584.ts';
import { isDecodeError } from '../../../src/core/result.ts';

/** As a collector does it: what it takes, copied, and whether it was met before; a code where it is refused. */
function take(cache: NotificationCache, datagram: Buffer): { said: unknown; met: boolean } | string {
  const b = Buffer.from(datagram);
  const envelope = decodeEnvelope(b);
  if (isDecodeError(envelope)) return envelope.code;
  const { pduOffset } = envelope;
  const known = cache.find(b, pduOffset);
  const pdu = decodePdu(b, envelope);
  if (isDecodeError(pdu)) {
    expect(known).toBeUndefined();
    return pdu.code;
  }
  if (pdu.pdu !== 'trap' && pdu.pdu !== 'trap-v1') {
    expect(known).toBeUndefined();
    return pdu.pdu;
  }
  const n = notificationOf(pdu);
  if (n === undefined) {
    expect(known).toBeUndefined();
    return 'no trap oid';
  }
  const fresh = plain(n);
  if (known) expect(plain(known)).toEqual(fresh);
  else cache.keep(b, pduOffset, n);
  // The receiver's memory is used again for the next datagram.
  b.fill(0xdb);
  return { said: fresh, met: known !== undefined };
}

function plain({ memo, ...n }: Notification): unknown {
  return {
    ...n,
    varbinds: n.varbinds.map(({ oid, type, value, start, end }) => {
      return { oid, type, value: typeof value === 'object' ? value.toString('hex') : value, start, end };
    }),
  };
}

const trap = (uptime: number, varbinds: VarBindInput[], requestId = 1) =>
  buildTrap({ version: 'v2c', community: 'public', trapOid: '1.3.6.1.6.3.1.1.5.3', uptime, requestId, varbinds });
const port: VarBindInput[] = [
  { oid: '1.3.6.1.2.1.2.2.1.1.7', type: 'integer32', value: 7 },
  { oid: '1.3.6.1.2.1.31.1.1.1.18.7', type: 'octet-string', value: Buffer.from('uplink') },
];
const counted = (value: number): VarBindInput[] => [
  ...port,
  { oid: '1.3.6.1.4.1.32473.1.1', type: 'unsigned32', value },
];

const number = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(0, 127, 128, 0x7fffffff, 0xffffffff));
const oid = fc.constantFrom('1.3.6.1.2.1.2.2.1.7.1', SYS_UP_TIME, SNMP_TRAP_COMMUNITY, '1.3.6.1.4.1.32473.7');
const varbind: fc.Arbitrary<VarBindInput> = fc.oneof(
  fc.record({ oid, type: fc.constant('integer32' as const), value: fc.constantFrom(1, 2) }),
  fc.record({
    oid,
    type: fc.constantFrom('counter32' as const, 'gauge32' as const, 'timeticks' as const, 'unsigned32' as const),
    value: number,
  }),
  fc.record({
    oid,
    type: fc.constant('counter64' as const),
    value: fc.constantFrom('1', '18446744073709551615', '9007199254740993'),
  }),
  fc.record({
    oid,
    type: fc.constant('octet-string' as const),
    value: fc.constantFrom(Buffer.from('a'), Buffer.alloc(0)),
  }),
  fc.record({ oid, type: fc.constant('null' as const) }),
);

describe('notifications that were met before', () => {
  it('from the third time on, with the numbers of this time', () => {
    const cache = new NotificationCache();
    const met = [1, 2, 3, 4].map((i) => take(cache, trap(1000 + i, counted(2 ** 31 + i), i)));
    expect(met.map((m) => typeof m === 'object' && m.met)).toEqual([false, false, true, true]);
    const v1 = (uptime: number) =>
      encodeMessage({
        ...{ pdu: 'trap-v1', community: 'public', enterprise: '1.3.6.1.4.1.32473', agentAddress: '192.0.2.1' },
        ...{ genericTrap: 6, specificTrap: 5, timestamp: uptime, varbinds: counted(uptime) },
      } as Parameters<typeof encodeMessage>[0]);
    const old = [300, 301, 302].map((t) => take(cache, v1(t)));
    expect(old.map((m) => typeof m === 'object' && m.met)).toEqual([false, false, true]);
  });

  it('are equal to what is decoded anew, for any traps in any order', () => {
    fc.assert(
      fc.property(
        fc.array(varbind, { minLength: 0, maxLength: 5 }),
        fc.array(fc.tuple(number, fc.integer({ min: 0, max: 5 }), number), { minLength: 3, maxLength: 12 }),
        fc.boolean(),
        (varbinds, times, uptimeLater) => {
          const cache = new NotificationCache(2);
          for (const [uptime, which, value] of times) {
            const changed = varbinds.map((v, i) =>
              i === which && typeof v.value === 'number' && v.type !== 'integer32' ? { ...v, value } : v,
            );
            const head: VarBindInput[] = [
              { oid: SYS_UP_TIME, type: 'timeticks', value: uptime },
              { oid: SNMP_TRAP_OID, type: 'oid', value: '1.3.6.1.6.3.1.1.5.4' },
            ];
            const list = uptimeLater ? [head[1], ...changed, head[0]] : [...head, ...changed];
            take(cache, encodeMessage({ pdu: 'trap', community: 'c', requestId: uptime | 0, varbinds: list }));
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('one with any octet changed is decoded, or refused, as if none had been met', () => {
    const cache = new NotificationCache(4);
    const good = trap(70_000, counted(70_000));
    for (let i = 0; i < 3; i++) take(cache, good);
    for (let at = 0; at < good.length; at++)
      for (const to of [0, 1, 0x7f, 0x80, 0x81, 0x84, 0xff, good[at] ^ 1, good[at] ^ 0x80]) {
        const bad = Buffer.from(good);
        bad[at] = to;
        take(cache, bad);
        const again = take(cache, good);
        expect(typeof again === 'object' && again.met).toBe(true);
      }
  });

  it('random octets around a trap never make it throw', () => {
    const cache = new NotificationCache(4);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(0xa7, 0xa4), fc.nat(), (tail, tag, cut) => {
        const good = trap(1, counted(1));
        const at = cut % good.length;
        const b = Buffer.concat([good.subarray(0, at), Buffer.from([tag]), tail]);
        take(cache, b);
        expect(() => cache.find(b, Math.min(at, b.length))).not.toThrow();
      }),
      { numRuns: 3000 },
    );
  });

  it('what came once takes nobody’s place; what is used survives a few others, and not more', () => {
    const cache = new NotificationCache(0);
    const other = (n: number) => trap(5, [{ oid: '1.3.6.1.2.1.2.2.1.1.7', type: 'integer32', value: n }, ...port]);
    for (let i = 0; i < 8; i++) take(cache, trap(5, port));
    for (let i = 0; i < 8; i++) take(cache, trap(5, counted(5)));
    for (let n = 0; n < 50; n++) take(cache, other(n));
    expect(take(cache, trap(6, port))).toMatchObject({ met: true });
    expect(take(cache, trap(6, counted(6)))).toMatchObject({ met: true });
    for (let i = 0; i < 12; i++) take(cache, other(1));
    expect(take(cache, other(1))).toMatchObject({ met: true });
  });

  it('long ones are not kept', () => {
    const cache = new NotificationCache();
    const long = trap(1, [...port, { oid: '1.3.6.1.2.1.1.5.0', type: 'octet-string', value: Buffer.alloc(600, 65) }]);
    for (let i = 0; i < 4; i++) expect(take(cache, long)).toMatchObject({ met: false });
  });
});
