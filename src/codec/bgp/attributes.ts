/**
 * Path attributes, RFC 4271 section 4.3; errors are classified as RFC 7606 says.
 *
 *  +----------+---------+------------------+-------+
 *  | flags u8 | type u8 | length u8 or u16 | value |   u16 where the Extended Length flag is set
 *  +----------+---------+------------------+-------+
 */
import type { Reader } from '../../core/bytes.ts';
import { formatIp } from '../../core/ip.ts';
import { mergeAs4Path, readAsPath } from './as-path.ts';
import * as c from './constants.ts';
import { readMpReach, readMpUnreach } from './mp.ts';
import type {
  AsSegment,
  BgpContext,
  MpReach,
  MpUnreach,
  PathAttributes,
  ProblemClass,
  UpdateProblem,
} from './types.ts';

const ORIGINS = ['igp', 'egp', 'incomplete'] as const;

/** The Optional and Transitive bits each known attribute must have. */
export const ATTRIBUTE_FLAGS: Readonly<Record<number, number>> = {
  [c.ATTR_ORIGIN]: 0x40,
  [c.ATTR_AS_PATH]: 0x40,
  [c.ATTR_NEXT_HOP]: 0x40,
  [c.ATTR_MED]: 0x80,
  [c.ATTR_LOCAL_PREF]: 0x40,
  [c.ATTR_ATOMIC_AGGREGATE]: 0x40,
  [c.ATTR_AGGREGATOR]: 0xc0,
  [c.ATTR_COMMUNITIES]: 0xc0,
  [c.ATTR_ORIGINATOR_ID]: 0x80,
  [c.ATTR_CLUSTER_LIST]: 0x80,
  [c.ATTR_MP_REACH]: 0x80,
  [c.ATTR_MP_UNREACH]: 0x80,
  [c.ATTR_EXT_COMMUNITIES]: 0xc0,
  [c.ATTR_AS4_PATH]: 0xc0,
  [c.ATTR_AS4_AGGREGATOR]: 0xc0,
  [c.ATTR_LARGE_COMMUNITIES]: 0xc0,
};

/** Everything the path attribute field said. */
export interface AttributeBlock {
  attributes: PathAttributes;
  mpReach: MpReach[];
  mpUnreach: MpUnreach[];
  problems: UpdateProblem[];
  /** Types that were there, malformed ones included. */
  seen: Set<number>;
}

/** Reads the path attribute field that is the rest of `r`. Never fails as a whole: what is wrong is in `problems`. */
export function readAttributes(r: Reader, ctx: BgpContext): AttributeBlock {
  const block: AttributeBlock = { attributes: {}, mpReach: [], mpUnreach: [], problems: [], seen: new Set() };
  const as4: As4 = {};
  while (r.left > 0) {
    const offset = r.pos;
    const flags = r.u8();
    const type = r.u8();
    const length = flags & c.FLAG_EXTENDED_LENGTH ? r.u16() : r.u8();
    const problem = (cls: ProblemClass, subcode: number, reason: string) => {
      block.problems.push({ class: cls, attribute: type, subcode, reason, offset });
    };
    if (r.failed || length > r.left) {
      // RFC 7606 section 4: the field's own length says where the NLRI begins, so the rest of the message is still readable.
      problem('treat-as-withdraw', 1, 'attribute overruns the path attribute field');
      r.pos = r.end;
      break;
    }
    const value = r.sub(length);
    const mp = type === c.ATTR_MP_REACH || type === c.ATTR_MP_UNREACH;
    if (block.seen.has(type)) {
      // RFC 7606 3 g. Every MP attribute is read all the same: a monitoring station wants what the router said.
      if (mp) problem('session-reset', 1, 'more than one multiprotocol attribute of a kind');
      else {
        problem('attribute-discard', 1, 'attribute repeated');
        continue;
      }
    }
    block.seen.add(type);
    const expected = ATTRIBUTE_FLAGS[type];
    if (expected !== undefined && (flags & 0xc0) !== expected) {
      problem('treat-as-withdraw', 4, 'Optional or Transitive flag is wrong');
      if (!mp) continue;
    }
    readAttribute(block, as4, type, flags, value, ctx, problem);
  }
  if (!ctx.as4) mergeAs4(block.attributes, as4);
  return block;
}

/** What a two-byte session carries beside AS_PATH and AGGREGATOR. */
interface As4 {
  path?: AsSegment[];
  aggregator?: { asn: number; address: string };
}

type Report = (cls: ProblemClass, subcode: number, reason: string) => void;

function readAttribute(
  block: AttributeBlock,
  as4: As4,
  type: number,
  flags: number,
  v: Reader,
  ctx: BgpContext,
  problem: Report,
): void {
  const a = block.attributes;
  const length = v.left;
  const at = v.pos;
  const withdraw = () => problem('treat-as-withdraw', 5, 'wrong length');
  switch (type) {
    case c.ATTR_ORIGIN: {
      const origin = ORIGINS[v.u8()];
      if (length !== 1) withdraw();
      else if (origin === undefined) problem('treat-as-withdraw', 6, 'undefined ORIGIN');
      else a.origin = origin;
      return;
    }
    case c.ATTR_AS_PATH: {
      const path = readAsPath(v, ctx.as4);
      if (path) a.asPath = path;
      else problem('treat-as-withdraw', 11, 'malformed AS_PATH');
      return;
    }
    case c.ATTR_NEXT_HOP:
      if (length !== 4) withdraw();
      else a.nextHop = formatIp(v.buf, at, 4);
      return;
    case c.ATTR_MED:
      if (length !== 4) withdraw();
      else a.med = v.u32();
      return;
    case c.ATTR_LOCAL_PREF:
      if (length !== 4) withdraw();
      else a.localPref = v.u32();
      return;
    case c.ATTR_ATOMIC_AGGREGATE:
      if (length !== 0) problem('attribute-discard', 5, 'wrong length');
      else a.atomicAggregate = true;
      return;
    case c.ATTR_AGGREGATOR:
      if (length !== (ctx.as4 ? 8 : 6)) problem('attribute-discard', 5, 'wrong length');
      else a.aggregator = { asn: ctx.as4 ? v.u32() : v.u16(), address: formatIp(v.buf, v.pos, 4) };
      return;
    case c.ATTR_COMMUNITIES: {
      if (length === 0 || length % 4 !== 0) {
        withdraw();
        return;
      }
      const list: number[] = [];
      while (v.left > 0) list.push(v.u32());
      a.communities = list;
      return;
    }
    case c.ATTR_ORIGINATOR_ID:
      if (length !== 4) withdraw();
      else a.originatorId = formatIp(v.buf, at, 4);
      return;
    case c.ATTR_CLUSTER_LIST: {
      if (length === 0 || length % 4 !== 0) {
        withdraw();
        return;
      }
      const list: string[] = [];
      for (let p = at; p < v.end; p += 4) list.push(formatIp(v.buf, p, 4));
      a.clusterList = list;
      return;
    }
    case c.ATTR_MP_REACH: {
      const { value, fault } = readMpReach(v, ctx);
      if (fault === undefined) block.mpReach.push(value);
      else problem('session-reset', 9, fault);
      return;
    }
    case c.ATTR_MP_UNREACH: {
      const { value, fault } = readMpUnreach(v, ctx);
      if (fault === undefined) block.mpUnreach.push(value);
      else problem('session-reset', 9, fault);
      return;
    }
    case c.ATTR_EXT_COMMUNITIES: {
      if (length === 0 || length % 8 !== 0) {
        withdraw();
        return;
      }
      const list: string[] = [];
      for (let p = at; p < v.end; p += 8) list.push(v.buf.toString('hex', p, p + 8));
      a.extCommunities = list;
      return;
    }
    case c.ATTR_AS4_PATH: {
      const path = readAsPath(v, true);
      if (!path) problem('attribute-discard', 5, 'malformed AS4_PATH');
      else as4.path = path;
      return;
    }
    case c.ATTR_AS4_AGGREGATOR:
      if (length !== 8) problem('attribute-discard', 5, 'wrong length');
      else as4.aggregator = { asn: v.u32(), address: formatIp(v.buf, at + 4, 4) };
      return;
    case c.ATTR_LARGE_COMMUNITIES: {
      if (length === 0 || length % 12 !== 0) {
        withdraw();
        return;
      }
      const list: [number, number, number][] = [];
      while (v.left > 0) list.push([v.u32(), v.u32(), v.u32()]);
      a.largeCommunities = list;
      return;
    }
    default:
      // RFC 4271 6.3: a well-known attribute that is not recognised.
      if ((flags & c.FLAG_OPTIONAL) === 0) problem('session-reset', 2, 'unrecognized well-known attribute');
      (a.others ??= []).push({ type, flags, value: v.buf.toString('hex', at, v.end) });
  }
}

/** RFC 6793 4.2.3. */
function mergeAs4(a: PathAttributes, as4: As4): void {
  if (a.aggregator && as4.aggregator) {
    // Another speaker aggregated since: both AS4 attributes are out of date.
    if (a.aggregator.asn !== c.AS_TRANS) return;
    a.aggregator = as4.aggregator;
  }
  if (a.asPath && as4.path) a.asPath = mergeAs4Path(a.asPath, as4.path);
}
