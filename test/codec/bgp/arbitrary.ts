/** Random BGP messages in canonical form: what the encoder writes and the decoder gives back unchanged. */
import fc from 'fast-check';
import type {
  AsSegment,
  BgpContext,
  Capability,
  MpReach,
  MpUnreach,
  Nlri,
  PathAttributes,
} from '../../../src/codec/bgp/index.ts';
import { formatIp, formatPrefix, parsePrefix } from '../../../src/core/ip.ts';

const u8 = fc.integer({ min: 0, max: 255 });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });

export const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((b) => formatIp(b));
export const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((b) => formatIp(b));
const hex = (min: number, max: number) =>
  fc.uint8Array({ minLength: min, maxLength: max }).map((b) => Buffer.from(b).toString('hex'));

export const context: fc.Arbitrary<BgpContext> = fc.record({
  as4: fc.boolean(),
  addPath: fc.subarray(['1/1', '2/1']).map((l) => new Set(l)),
  extendedMessage: fc.constant(true),
});

function nlri(v6: boolean, addPath: boolean): fc.Arbitrary<Nlri> {
  const prefix = fc
    .tuple(v6 ? ipv6 : ipv4, fc.integer({ min: 0, max: v6 ? 128 : 32 }))
    .map(([a, l]) => formatPrefix(parsePrefix(`${a}/${l}`)!));
  return addPath ? fc.record({ prefix, pathId: u32 }) : fc.record({ prefix });
}

const routes = (v6: boolean, ctx: BgpContext) =>
  fc.array(nlri(v6, ctx.addPath.has(v6 ? '2/1' : '1/1')), { minLength: 1, maxLength: 8 });

const asn = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 65536, max: 0xffffffff }));

const asPath: fc.Arbitrary<AsSegment[]> = fc
  .array(
    fc.record({
      type: fc.constantFrom('sequence' as const, 'set' as const),
      asns: fc.array(asn, { minLength: 1, maxLength: 6 }),
    }),
    { maxLength: 3 },
  )
  // Two sequences side by side are one: that is how a merged AS4_PATH reads.
  .map((path) => path.filter((s, i) => i === 0 || s.type !== 'sequence' || path[i - 1].type !== 'sequence'))
  .map((path) => path.filter((s, i) => i === 0 || !(s.type === 'sequence' && path[i - 1].type === 'sequence')));

export const attributes: fc.Arbitrary<PathAttributes> = fc
  .record(
    {
      med: u32,
      localPref: u32,
      atomicAggregate: fc.constant(true),
      aggregator: fc.record({ asn, address: ipv4 }),
      communities: fc.array(u32, { minLength: 1, maxLength: 80 }),
      originatorId: ipv4,
      clusterList: fc.array(ipv4, { minLength: 1, maxLength: 4 }),
      extCommunities: fc.array(hex(8, 8), { minLength: 1, maxLength: 4 }),
      largeCommunities: fc.array(fc.tuple(u32, u32, u32), { minLength: 1, maxLength: 4 }),
      others: fc.array(fc.record({ type: fc.constant(35), flags: fc.constant(0xc0), value: hex(0, 8) }), {
        minLength: 1,
        maxLength: 1,
      }),
    },
    { requiredKeys: [] },
  )
  .chain((rest) =>
    fc
      .record({
        origin: fc.constantFrom('igp' as const, 'egp' as const, 'incomplete' as const),
        asPath,
        nextHop: ipv4,
      })
      .map((must) => ({ ...must, ...rest })),
  );

export const update = context.chain((ctx) =>
  fc.record({
    ctx: fc.constant(ctx),
    attributes,
    withdrawn: fc.oneof(fc.constant<Nlri[]>([]), routes(false, ctx)),
    announced: routes(false, ctx),
    mpReach: fc.oneof<fc.Arbitrary<MpReach[]>[]>(
      fc.constant<MpReach[]>([]),
      fc
        .record({ nextHop: fc.array(ipv6, { minLength: 1, maxLength: 2 }), routes: routes(true, ctx) })
        .map((m) => [{ afi: 2, safi: 1, ...m }]),
      fc.record({ nextHop: fc.tuple(ipv4), routes: routes(false, ctx) }).map((m) => [{ afi: 1, safi: 1, ...m }]),
      hex(1, 40).map((raw) => [{ afi: 25, safi: 70, nextHop: ['192.0.2.1'], nextHopRaw: 'c0000201', raw }]),
    ),
    mpUnreach: fc.oneof<fc.Arbitrary<MpUnreach[]>[]>(
      fc.constant<MpUnreach[]>([]),
      routes(true, ctx).map((list) => [{ afi: 2, safi: 1, routes: list }]),
      hex(1, 40).map((raw) => [{ afi: 1, safi: 128, raw }]),
    ),
  }),
);

const family = { afi: u16, safi: u8 };
const capability: fc.Arbitrary<Capability> = fc.oneof(
  fc.record({ name: fc.constant('multiprotocol' as const), ...family }),
  fc.constant({ name: 'route-refresh' as const }),
  fc.constant({ name: 'extended-message' as const }),
  fc.constant({ name: 'enhanced-route-refresh' as const }),
  fc.record({
    name: fc.constant('extended-next-hop' as const),
    entries: fc.array(fc.record({ ...family, nextHopAfi: u16 }), { maxLength: 3 }),
  }),
  fc.record({
    name: fc.constant('graceful-restart' as const),
    restarted: fc.boolean(),
    notification: fc.boolean(),
    time: fc.integer({ min: 0, max: 4095 }),
    families: fc.array(fc.record({ ...family, forwarding: fc.boolean() }), { maxLength: 3 }),
  }),
  fc.record({
    name: fc.constant('add-path' as const),
    entries: fc.array(fc.record({ ...family, mode: fc.constantFrom('receive', 'send', 'both') }), {
      minLength: 1,
      maxLength: 3,
    }),
  }),
  fc.record({ name: fc.constant('raw' as const), code: fc.constantFrom(9, 71, 73, 200), value: hex(0, 120) }),
);

export const open = fc
  .record({
    asn,
    holdTime: u16,
    bgpId: ipv4,
    capabilities: fc.oneof(
      fc.array(capability, { maxLength: 12 }),
      fc.array(fc.record({ name: fc.constant('raw' as const), code: fc.constant(200), value: hex(60, 120) }), {
        minLength: 3,
        maxLength: 6,
      }),
    ),
  })
  .map((o) => ({ ...o, capabilities: [...o.capabilities, { name: 'as4' as const, asn: o.asn }] }));
