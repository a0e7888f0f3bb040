/** The writing half of attributes.ts. */
import { Buffer } from 'node:buffer';
import { Writer } from '../../core/bytes.ts';
import { writeAsPath } from './as-path.ts';
import { ATTRIBUTE_FLAGS } from './attributes.ts';
import * as c from './constants.ts';
import { addressBytes, writeMpReach, writeMpUnreach } from './mp.ts';
import type { BgpContext, MpReach, MpUnreach, PathAttributes } from './types.ts';

const ORIGINS = ['igp', 'egp', 'incomplete'];

/**
 * Writes the path attribute field: multiprotocol attributes first (RFC 7606 5.1), then in the order of their types.
 * Throws RangeError where an address or a value is none: the caller's mistake.
 */
export function writeAttributes(
  w: Writer,
  a: PathAttributes,
  mpReach: readonly MpReach[],
  mpUnreach: readonly MpUnreach[],
  ctx: BgpContext,
): void {
  for (const mp of mpReach) attribute(w, c.ATTR_MP_REACH, (v) => writeMpReach(v, mp, ctx));
  for (const mp of mpUnreach) attribute(w, c.ATTR_MP_UNREACH, (v) => writeMpUnreach(v, mp, ctx));
  const { origin, asPath, nextHop, med, localPref, aggregator, originatorId } = a;
  if (origin !== undefined) attribute(w, c.ATTR_ORIGIN, (v) => v.u8(ORIGINS.indexOf(origin)));
  if (asPath) attribute(w, c.ATTR_AS_PATH, (v) => writeAsPath(v, asPath, ctx.as4));
  if (nextHop !== undefined) attribute(w, c.ATTR_NEXT_HOP, (v) => v.bytes(addressBytes(nextHop)));
  if (med !== undefined) attribute(w, c.ATTR_MED, (v) => v.u32(med));
  if (localPref !== undefined) attribute(w, c.ATTR_LOCAL_PREF, (v) => v.u32(localPref));
  if (a.atomicAggregate) attribute(w, c.ATTR_ATOMIC_AGGREGATE, () => {});
  if (aggregator) {
    attribute(w, c.ATTR_AGGREGATOR, (v) => {
      if (ctx.as4) v.u32(aggregator.asn);
      else v.u16(aggregator.asn > 0xffff ? c.AS_TRANS : aggregator.asn);
      v.bytes(addressBytes(aggregator.address));
    });
  }
  list(w, c.ATTR_COMMUNITIES, a.communities, (v, x) => v.u32(x));
  if (originatorId !== undefined) attribute(w, c.ATTR_ORIGINATOR_ID, (v) => v.bytes(addressBytes(originatorId)));
  list(w, c.ATTR_CLUSTER_LIST, a.clusterList, (v, x) => v.bytes(addressBytes(x)));
  list(w, c.ATTR_EXT_COMMUNITIES, a.extCommunities, (v, x) => v.bytes(Buffer.from(x, 'hex')));
  if (!ctx.as4) writeAs4(w, a);
  list(w, c.ATTR_LARGE_COMMUNITIES, a.largeCommunities, (v, x) => v.u32(x[0]).u32(x[1]).u32(x[2]));
  for (const o of a.others ?? []) attribute(w, o.type, (v) => v.bytes(Buffer.from(o.value, 'hex')), o.flags);
}

/** RFC 6793 4.2.2: only where a number was replaced by AS_TRANS; AS4_PATH carries no confederation segment. */
function writeAs4(w: Writer, a: PathAttributes): void {
  const path = a.asPath?.filter((s) => s.type === 'sequence' || s.type === 'set') ?? [];
  if (path.some((s) => s.asns.some((n) => n > 0xffff))) {
    attribute(w, c.ATTR_AS4_PATH, (v) => writeAsPath(v, path, true));
  }
  const aggregator = a.aggregator;
  if (aggregator && aggregator.asn > 0xffff) {
    attribute(w, c.ATTR_AS4_AGGREGATOR, (v) => v.u32(aggregator.asn).bytes(addressBytes(aggregator.address)));
  }
}

/** A list attribute; an empty list is malformed (RFC 7606 7.8), so it is left out. */
function list<T>(w: Writer, type: number, values: readonly T[] | undefined, each: (v: Writer, x: T) => void): void {
  if (!values || values.length === 0) return;
  attribute(w, type, (v) => {
    for (const x of values) each(v, x);
  });
}

function attribute(w: Writer, type: number, write: (v: Writer) => void, flags = ATTRIBUTE_FLAGS[type]): void {
  const v = new Writer(64);
  write(v);
  const value = v.view();
  if (value.length > 255) {
    w.u8(flags | c.FLAG_EXTENDED_LENGTH)
      .u8(type)
      .u16(value.length);
  } else
    w.u8(flags & ~c.FLAG_EXTENDED_LENGTH)
      .u8(type)
      .u8(value.length);
  w.bytes(value);
}
