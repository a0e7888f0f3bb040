/** The sum of update events, and routers' own tables, in one form: prefix → what is said of it. */
import type { Followed } from './kcat.ts';

/** Comparable text of a route: AS path, origin, next hop, MED, and communities where the table shows them. */
export type Table = Map<string, string>;

interface RouteEvent {
  peer: { address: string };
  view: string;
  attributes?: {
    as_path?: (number | number[])[];
    origin?: string;
    next_hop?: string;
    med?: number;
    communities?: string[];
    large_communities?: string[];
    ext_communities?: string[];
  };
  announce?: { family: string; prefix: string; next_hop?: string }[];
  withdraw?: { family: string; prefix: string }[];
}

export type Family = 'ipv4-unicast' | 'ipv6-unicast';

const said = (...parts: (string | number | undefined)[]) => parts.map((p) => p ?? '-').join(' | ');

/** Announces minus withdraws, in the order of the topic; `communities` adds the three kinds of them to the text. */
export function sumOf(records: readonly Followed[], family: Family, communities = false): Table {
  const table: Table = new Map();
  for (const r of records) {
    const { announce = [], withdraw = [], attributes: a } = r.data as RouteEvent;
    for (const w of withdraw) if (w.family === family) table.delete(w.prefix);
    for (const n of announce) {
      if (n.family !== family) continue;
      const path = a?.as_path?.map((x) => (Array.isArray(x) ? `{${x.join(',')}}` : x)).join(' ');
      const more = communities
        ? [a?.communities?.join(' '), a?.large_communities?.join(' '), a?.ext_communities?.join(' ')]
        : [];
      table.set(n.prefix, said(path, a?.origin?.toLowerCase(), n.next_hop ?? a?.next_hop, a?.med, ...more));
    }
  }
  return table;
}

/** `show bgp … neighbors X received-routes json` of FRR. */
export interface FrrReceived {
  receivedRoutes: Record<
    string,
    { nextHop?: string; nextHopGlobal?: string; metric?: number; path: string; bgpOriginCode: string }
  >;
}

const FRR_ORIGIN: Record<string, string> = { i: 'igp', e: 'egp', '?': 'incomplete' };

/**
 * `asn`: FRR's own. Up to 10 it encodes what BMP reports with the code that encodes for a neighbour, which puts its own AS in front of the path of
 * an eBGP neighbour (FRRouting pull request 21815). The events say what the router said.
 */
export function frrReceived(shown: FrrReceived, asn: number): Table {
  return new Map(
    Object.entries(shown.receivedRoutes).map(([prefix, r]) => [
      prefix,
      said(`${asn} ${r.path}`, FRR_ORIGIN[r.bgpOriginCode], r.nextHopGlobal ?? r.nextHop, r.metric),
    ]),
  );
}

/** One path of `show bgp … json` of FRR. */
export interface FrrRoute {
  bestpath?: boolean;
  path: string;
  origin: string;
  metric?: number;
  weight: number;
  nexthops: { ip: string; scope?: string }[];
}

/** `show bgp FAMILY neighbors X routes json`: what is left of a neighbour's routes after policy. */
export function frrRoutes(shown: { routes: Record<string, FrrRoute[]> }, asn: number): Table {
  return new Map(
    Object.entries(shown.routes).map(([prefix, [r]]) => [
      prefix,
      said(`${asn} ${r.path}`, r.origin.toLowerCase(), r.nexthops[0].ip, r.metric),
    ]),
  );
}

/** FRR's weight of what it originates itself. */
const LOCAL_WEIGHT = 32768;

/** `show bgp FAMILY json` as an eBGP neighbour must hear it: these ASes in front of the path, this next hop, no MED of others. */
export function frrAdvertised(shown: { routes: Record<string, FrrRoute[]> }, front: string, nextHop: string): Table {
  const table: Table = new Map();
  for (const [prefix, paths] of Object.entries(shown.routes)) {
    const best = paths.find((p) => p.bestpath);
    if (!best) continue;
    // RFC 4271 5.1.4: the MED of a neighbouring AS goes no further; that of an own route does.
    const med = best.weight === LOCAL_WEIGHT ? best.metric : undefined;
    table.set(prefix, said(`${front} ${best.path}`.trim(), best.origin.toLowerCase(), nextHop, med));
  }
  return table;
}

/** A table of `gobgp -j`: attributes by their number. */
export type GobgpTable = Record<
  string,
  {
    best?: boolean;
    attrs: {
      type: number;
      // biome-ignore lint/suspicious/noExplicitAny: each attribute has a value of its own form
      value?: any;
      as_paths?: { segment_type: number; asns: number[] }[];
      nexthop?: string;
      metric?: number;
      communities?: number[];
    }[];
  }[]
>;

export function gobgpTable(shown: GobgpTable): Table {
  const table: Table = new Map();
  for (const [prefix, paths] of Object.entries(shown)) {
    const attrs = new Map(paths[0].attrs.map((a) => [a.type, a]));
    const path = (attrs.get(2)?.as_paths ?? []).map((s) =>
      s.segment_type === 1 ? `{${s.asns.join(',')}}` : s.asns.join(' '),
    );
    table.set(
      prefix,
      said(
        attrs.has(2) ? path.join(' ') : undefined,
        ['igp', 'egp', 'incomplete'][attrs.get(1)?.value as number],
        attrs.get(14)?.nexthop ?? attrs.get(3)?.nexthop,
        attrs.get(4)?.metric,
        attrs
          .get(8)
          ?.communities?.map((c) => `${c >>> 16}:${c & 0xffff}`)
          .join(' '),
        (attrs.get(32)?.value as { ASN: number; LocalData1: number; LocalData2: number }[] | undefined)
          ?.map((c) => `${c.ASN}:${c.LocalData1}:${c.LocalData2}`)
          .join(' '),
        (attrs.get(16)?.value as { type: number; subtype: number; value: string }[] | undefined)
          ?.map((c) => (c.subtype === 2 ? `rt:${c.value}` : `${c.type}/${c.subtype}:${c.value}`))
          .join(' '),
      ),
    );
  }
  return table;
}

/** Throws with the first differences where two tables are not the same; `what` names them. */
export function assertSame(events: Table, router: Table, what: string): void {
  const missing = [...router].filter(([p]) => !events.has(p));
  const extra = [...events].filter(([p]) => !router.has(p));
  const other = [...router].filter(([p, r]) => events.has(p) && events.get(p) !== r);
  if (missing.length + extra.length + other.length === 0) return;
  const show = ([p, r]: [string, string]) => `${p}: router ${router.get(p) ?? r}; events ${events.get(p) ?? 'nothing'}`;
  throw new Error(
    `${what}: ${router.size} routes in the router, ${events.size} in the events; ` +
      `${missing.length} missing, ${extra.length} too many, ${other.length} different; ` +
      [...missing.slice(0, 2), ...extra.slice(0, 2), ...other.slice(0, 2)].map(show).join(' // '),
  );
}
