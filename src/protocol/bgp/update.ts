/** A decoded UPDATE as the fields of bmp.update.v1 and bgp.update.v1. Pure; a field without a value is absent. */
import { attributeName, familyKey, IPV4_UNICAST, IPV6_UNICAST } from '../../codec/bgp/constants.ts';
import type { AsSegment, MpUnreach, Nlri, PathAttributes, UpdateMessage } from '../../codec/bgp/types.ts';
import { extendedCommunityText } from './extended-community.ts';

/** AS numbers in order; a set is a nested list. */
export type AsPathJson = (number | number[])[];

export interface AttributesJson {
  origin?: string;
  as_path?: AsPathJson;
  /** Confederation segments (RFC 5065), which are no part of the path's length. */
  confed_path?: AsPathJson;
  /** The last AS of the path; absent where the path is empty or ends in a set. */
  origin_asn?: number;
  /** Of the announced routes that do not say another. */
  next_hop?: string;
  link_local_next_hop?: string;
  med?: number;
  local_pref?: number;
  atomic_aggregate?: boolean;
  aggregator?: { asn: number; address: string };
  communities?: string[];
  large_communities?: string[];
  ext_communities?: string[];
  originator_id?: string;
  cluster_list?: string[];
  /** Attributes without a decoder here. */
  other?: { type: number; name: string; flags: number; value: string }[];
}

/** `prefix` for IPv4 and IPv6 unicast; other families keep their NLRI as octets (`0x…`). */
export interface RouteJson {
  family: string;
  prefix?: string;
  path_id?: number;
  /** Only where it is not the one of the attributes. */
  next_hop?: string;
  nlri?: string;
}

export interface ProblemJson {
  class: string;
  attribute?: string;
  reason: string;
  offset: number;
}

export interface UpdateFields {
  attributes?: AttributesJson;
  announce?: RouteJson[];
  withdraw?: RouteJson[];
  eor?: string;
  /** What RFC 7606 objects to, and what was done with it. */
  problems?: ProblemJson[];
}

/** `ipv4-unicast`, `ipv6-unicast`, else `afi/safi`. */
export function familyName(family: string): string {
  return family === IPV4_UNICAST ? 'ipv4-unicast' : family === IPV6_UNICAST ? 'ipv6-unicast' : family;
}

/**
 * What the UPDATE says of routes. With a treat-as-withdraw problem every announced route is a withdrawn one (RFC 7606 section 2).
 * With a session-reset problem no route of it can be trusted: there are none in the answer, only the problems.
 */
export function updateFields(u: UpdateMessage): UpdateFields {
  const out: UpdateFields = {};
  let withdrawAll = false;
  if (u.problems) {
    out.problems = u.problems.map((p) => ({
      class: p.class,
      ...(p.attribute === 0 ? {} : { attribute: attributeName(p.attribute) }),
      reason: p.reason,
      offset: p.offset,
    }));
    if (u.problems.some((p) => p.class === 'session-reset')) return out;
    withdrawAll = u.problems.some((p) => p.class === 'treat-as-withdraw');
  }
  if (u.eor !== undefined) {
    out.eor = familyName(u.eor);
    return out;
  }
  // RFC 4271 4.3: what one message both withdraws and announces is announced. Consumers apply `withdraw` first.
  const withdraw: RouteJson[] = [];
  addRoutes(withdraw, 'ipv4-unicast', u.withdrawn, undefined);
  for (const mp of u.mpUnreach) addMp(withdraw, mp, undefined);
  const announce: RouteJson[] = [];
  const common = u.attributes.nextHop ?? u.mpReach[0]?.nextHop[0];
  const target = withdrawAll ? withdraw : announce;
  addRoutes(target, 'ipv4-unicast', u.announced, undefined);
  for (const mp of u.mpReach) {
    const own = mp.nextHop[0];
    addMp(target, mp, withdrawAll || own === common ? undefined : own);
  }
  if (announce.length > 0) {
    out.attributes = attributesJson(u.attributes, common, u.mpReach.find((mp) => mp.nextHop.length > 1)?.nextHop[1]);
    out.announce = announce;
  }
  if (withdraw.length > 0) out.withdraw = withdraw;
  return out;
}

function addMp(out: RouteJson[], mp: MpUnreach, nextHop: string | undefined): void {
  const family = familyName(familyKey(mp.afi, mp.safi));
  if (mp.routes) addRoutes(out, family, mp.routes, nextHop);
  else if (mp.raw !== undefined && mp.raw !== '') {
    const nlri = `0x${mp.raw}`;
    out.push(nextHop === undefined ? { family, nlri } : { family, next_hop: nextHop, nlri });
  }
}

function addRoutes(out: RouteJson[], family: string, routes: readonly Nlri[], nextHop: string | undefined): void {
  for (const r of routes) {
    const route: RouteJson = { family, prefix: r.prefix };
    if (r.pathId !== undefined) route.path_id = r.pathId;
    if (nextHop !== undefined) route.next_hop = nextHop;
    out.push(route);
  }
}

function attributesJson(a: PathAttributes, nextHop: string | undefined, linkLocal: string | undefined): AttributesJson {
  const out: AttributesJson = {};
  if (a.origin !== undefined) out.origin = a.origin;
  if (a.asPath) {
    const path = pathJson(a.asPath, 'sequence', 'set');
    out.as_path = path;
    const last = path[path.length - 1];
    if (typeof last === 'number') out.origin_asn = last;
    const confed = pathJson(a.asPath, 'confed-sequence', 'confed-set');
    if (confed.length > 0) out.confed_path = confed;
  }
  if (nextHop !== undefined) out.next_hop = nextHop;
  if (linkLocal !== undefined) out.link_local_next_hop = linkLocal;
  if (a.med !== undefined) out.med = a.med;
  if (a.localPref !== undefined) out.local_pref = a.localPref;
  if (a.atomicAggregate) out.atomic_aggregate = true;
  if (a.aggregator) out.aggregator = a.aggregator;
  if (a.communities) out.communities = a.communities.map((c) => `${c >>> 16}:${c & 0xffff}`);
  if (a.largeCommunities) out.large_communities = a.largeCommunities.map((c) => `${c[0]}:${c[1]}:${c[2]}`);
  if (a.extCommunities) out.ext_communities = a.extCommunities.map(extendedCommunityText);
  if (a.originatorId !== undefined) out.originator_id = a.originatorId;
  if (a.clusterList) out.cluster_list = a.clusterList;
  if (a.others) {
    out.other = a.others.map((o) => ({
      type: o.type,
      name: attributeName(o.type),
      flags: o.flags,
      value: `0x${o.value}`,
    }));
  }
  return out;
}

function pathJson(path: readonly AsSegment[], sequence: AsSegment['type'], set: AsSegment['type']): AsPathJson {
  const out: AsPathJson = [];
  for (const s of path) {
    if (s.type === sequence) for (const asn of s.asns) out.push(asn);
    else if (s.type === set) out.push([...s.asns]);
  }
  return out;
}

/** Routes in one event at most: keeps a record of an extended message below what Kafka takes. */
export const MAX_ROUTES = 4000;

/** The fields as one event's, or as several with `part`, each with the attributes, so that every event can be read alone. */
export function splitUpdate(
  f: UpdateFields,
  max = MAX_ROUTES,
): (UpdateFields & { part?: { index: number; count: number } })[] {
  const announce = f.announce ?? [];
  const withdraw = f.withdraw ?? [];
  const total = announce.length + withdraw.length;
  if (total <= max) return [f];
  const count = Math.ceil(withdraw.length / max) + Math.ceil(announce.length / max);
  const { attributes, announce: _a, withdraw: _w, ...rest } = f;
  const parts: (UpdateFields & { part: { index: number; count: number } })[] = [];
  // Withdrawn routes first, as they are applied.
  for (let i = 0; i < withdraw.length; i += max) {
    parts.push({ ...rest, withdraw: withdraw.slice(i, i + max), part: { index: parts.length, count } });
  }
  for (let i = 0; i < announce.length; i += max) {
    parts.push({ ...rest, attributes, announce: announce.slice(i, i + max), part: { index: parts.length, count } });
  }
  return parts;
}
