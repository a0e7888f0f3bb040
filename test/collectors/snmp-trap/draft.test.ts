/** A notification's JSON from kept pieces is the JSON of its objects, whatever the pieces were kept for before. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEnvelope, decodePdu } from '../../../src/codec/snmp/decode.ts';
import { buildTrap } from '../../../src/codec/snmp/describe.ts';
import type { VarBindInput } from '../../../src/codec/snmp/encode.ts';
import { NotificationCache } from '../../../src/codec/snmp/notification-cache.ts';
import { notificationOf } from '../../../src/codec/snmp/rfc3584.ts';
import { meaningOf } from '../../../src/collectors/snmp-trap/meaning.ts';
import {
  normalise,
  type Origin,
  type Spoken,
  type TrapDraft,
  V1,
  V2C,
} from '../../../src/collectors/snmp-trap/normalise.ts';
import type { Source } from '../../../src/collectors/snmp-trap/sources.ts';
import { loadAlarms } from '../../../src/config/alarms-file.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import { TextWriter } from '../../../src/core/text-writer.ts';

const meaning = meaningOf(loadAlarms(undefined).rules);
const met = new NotificationCache();
let hits = 0;

function draft(
  version: 'v1' | 'v2c',
  trapOid: string,
  varbinds: VarBindInput[],
  spoken: Spoken,
  origin: Origin,
  uptime = 4711,
) {
  const datagram = buildTrap({
    version,
    community: 'public',
    trapOid,
    uptime,
    agentAddress: '192.0.2.9',
    varbinds,
  });
  const envelope = decodeEnvelope(datagram);
  if (isDecodeError(envelope)) throw new Error(envelope.code);
  const { pduOffset } = envelope;
  let n = met.find(datagram, pduOffset);
  if (n === undefined) {
    const pdu = decodePdu(datagram, envelope);
    if (isDecodeError(pdu)) throw new Error(pdu.code);
    n = notificationOf(pdu)!;
    met.keep(datagram, pduOffset, n);
  } else hits++;
  return normalise(datagram, spoken, 'trap', n, origin, meaning);
}

function written(d: TrapDraft): string {
  const w = new TextWriter(16);
  d.write(w);
  return `{${w.toString()}}`;
}

const device = fc.constantFrom('r1', 'r2', 'q"uote\\', 'ü').map((id) => ({ id, name: id }));
/** They keep what their events begin with. */
const sources: Record<string, Source> = {};
for (const address of ['192.0.2.1', '2001:db8::1']) sources[address] = { address, device: { id: 'r', name: 'r' } };
const origin: fc.Arbitrary<Origin> = fc
  .record({
    network: fc.constant('default'),
    address: fc.constantFrom('192.0.2.1', '2001:db8::1'),
    port: fc.oneof(fc.constantFrom(161, 162), fc.nat(65_535)),
    sec: fc.constant(1_700_000_000),
    nsec: fc.constant(0),
    device,
    addressFrom: fc.constantFrom(undefined, 'agent_address' as const),
  })
  .map((o) => ({ ...o, source: sources[o.address] }));
const spoken: fc.Arbitrary<Spoken> = fc.oneof(
  fc.constant(V2C),
  fc.record({
    version: fc.constant('v3' as const),
    security: fc.record({ user: fc.string(), level: fc.constant('authPriv' as const) }),
    engineId: fc.constantFrom(undefined, '80001f8803'),
    context: fc.constantFrom(undefined, 'c"1', '\u{1f980}'),
  }),
);

const columns = ['2.2.1.1', '2.2.1.2', '2.2.1.6', '2.2.1.7', '2.2.1.8', '2.2.1.10', '31.1.1.1.18', '2.2.1.99'];
const oid = fc.oneof(
  fc.tuple(fc.constantFrom(...columns), fc.nat(3)).map(([c, i]) => `1.3.6.1.2.1.${c}.${i}`),
  fc.constantFrom('1.3.6.1.4.1.99999.1', '1.3.6.1.6.3.18.1.3.0', '1.3.6.1.6.3.1.1.4.3.0', '0.0'),
);
/** Few values, so that the same octets come again, beside some that never do. */
const value: fc.Arbitrary<Omit<VarBindInput, 'oid'>> = fc.oneof(
  fc.record({
    type: fc.constant('integer32' as const),
    value: fc.oneof(fc.integer({ min: -2, max: 8 }), fc.integer()),
  }),
  ...(['unsigned32', 'gauge32', 'counter32', 'timeticks'] as const).map((type) =>
    fc.record({ type: fc.constant(type), value: fc.oneof(fc.nat(3), fc.nat()) }),
  ),
  fc.record({
    type: fc.constantFrom('octet-string' as const, 'opaque' as const),
    value: fc.oneof(
      fc.constantFrom('', 'uplink "a"\\b', 'tab\there', '0x12', 'häßlich', '\u2028').map((t) => Buffer.from(t)),
      fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.from(b)),
    ),
  }),
  fc.record({ type: fc.constant('ip-address' as const), value: fc.constantFrom('10.0.0.1', '0.0.0.0') }),
  fc.record({ type: fc.constant('oid' as const), value: fc.constantFrom('1.3.6.1.6.3.1.1.5.3', '0.0') }),
  fc.constant({ type: 'null' as const }),
);

describe('the JSON of a notification', () => {
  it('from kept pieces equals that of its objects', () => {
    const one = fc.tuple(
      fc.constantFrom('v1' as const, 'v2c' as const),
      fc.constantFrom('1.3.6.1.6.3.1.1.5.3', '1.3.6.1.6.3.1.1.5.4', '1.3.6.1.4.1.99999.0.7'),
      fc.array(
        fc.tuple(oid, value).map(([o, v]) => ({ oid: o, ...v })),
        { maxLength: 12 },
      ),
      spoken,
      origin,
    );
    fc.assert(
      fc.property(one, ([version, trap, varbinds, said, from]) => {
        // From the third time on it is one that was met before.
        for (let i = 0; i < 3; i++) {
          const d = draft(version, trap, varbinds, version === 'v1' ? V1 : said, from, 4711 + i);
          expect(written(d)).toBe(JSON.stringify(d.data));
        }
      }),
      { numRuns: 3000 },
    );
    expect(hits).toBeGreaterThan(1000);
  });

  it('an address beside its type is rendered anew each time', () => {
    // OSPFV3/IP-MIB style: InetAddressType in a varbind of its own, the same octets of the address.
    const from: Origin = {
      network: 'default',
      address: '192.0.2.1',
      port: 1,
      sec: 0,
      nsec: 0,
      device: { id: 'r', name: 'r' },
    };
    for (let i = 0; i < 2; i++)
      for (const kind of [1, 2, 16]) {
        const d = draft(
          'v2c',
          '1.3.6.1.6.3.1.1.5.3',
          [
            { oid: '1.3.6.1.2.1.14.16.1.4.0', type: 'integer32', value: kind },
            { oid: '1.3.6.1.2.1.4.34.1.2.1.4.10.0.0.1', type: 'octet-string', value: Buffer.from([10, 0, 0, 1]) },
          ],
          V2C,
          from,
        );
        expect(written(d)).toBe(JSON.stringify(d.data));
      }
  });

  it('what is kept has no datagram', () => {
    const from: Origin = {
      network: 'n',
      address: '192.0.2.1',
      port: 1,
      sec: 7,
      nsec: 8,
      device: { id: 'r', name: 'r' },
    };
    const d = draft('v2c', '1.3.6.1.6.3.1.1.5.3', [], V2C, from);
    d.raw = Buffer.from('x');
    d.id = 'i';
    expect(d.kept()).toEqual({
      type: 'snmp.trap.v1',
      sec: 7,
      nsec: 8,
      network: 'n',
      device: from.device,
      id: 'i',
      contentId: d.contentId,
      shed: 'trap',
      data: d.data,
    });
  });
});
