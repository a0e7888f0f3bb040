/**
 * What a route says to a peer, by how well this node can take the VIP's packets. Pure.
 *
 * | level    | eBGP                                                        | iBGP                                       |
 * | full     | AS_PATH own, MED `med`                                      | AS_PATH empty, LOCAL_PREF `local_pref`     |
 * | standby  | own once more, MED 100 more                                 | LOCAL_PREF half of it, MED 100 more        |
 * | degraded | own three times more, MED 1000 more, 65535:0                | LOCAL_PREF 0, MED 1000 more, 65535:0       |
 *
 * `standby`: a full node that is not the preferred one of a VIP in mode `owner`. 65535:0 is GRACEFUL_SHUTDOWN (RFC 8326). All nodes say the
 * same at the same level, or a router would not use their routes side by side.
 */
import type { PathAttributes } from '../../codec/bgp/index.ts';
import { addCommunity, type Communities } from './communities.ts';
import type { BgpPeerConfig } from './config.ts';

export type Level = 'full' | 'standby' | 'degraded';

export const GRACEFUL_SHUTDOWN = 0xffff0000;

const WORSE: Record<Level, { prepend: number; med: number }> = {
  full: { prepend: 0, med: 0 },
  standby: { prepend: 1, med: 100 },
  degraded: { prepend: 3, med: 1000 },
};

export interface Policy {
  asn: number;
  peerAsn: number;
  med: number;
  localPref: number;
  prepend: number;
  communities: Communities;
  /** RFC 9234 section 5: who is provider, peer or route server to the peer says Only to Customer with each route. */
  otc?: boolean;
}

const OTC_FROM: readonly string[] = ['provider', 'peer', 'rs'];

/** ONLY_TO_CUSTOMER: optional, transitive, four bytes. */
function onlyToCustomer(asn: number): { type: number; flags: number; value: string } {
  return { type: 35, flags: 0xc0, value: asn.toString(16).padStart(8, '0') };
}

/** `names`: lb.bgp.communities. */
export function policyOf(p: BgpPeerConfig, asn: number, names: Readonly<Record<string, string>>): Policy {
  const own = p.local_asn ?? asn;
  const communities: Communities = { standard: [], large: [], extended: [] };
  for (const c of p.communities) addCommunity(communities, c, own, names);
  return {
    asn: own,
    peerAsn: p.asn,
    med: p.med,
    localPref: p.local_pref,
    prepend: p.prepend,
    communities,
    otc: OTC_FROM.includes(p.role?.name ?? ''),
  };
}

export function attributesOf(p: Policy, level: Level): PathAttributes {
  const worse = WORSE[level];
  const external = p.asn !== p.peerAsn;
  const a: PathAttributes = {
    origin: 'igp',
    asPath: external ? [{ type: 'sequence', asns: new Array<number>(1 + p.prepend + worse.prepend).fill(p.asn) }] : [],
    med: p.med + worse.med,
  };
  if (!external) a.localPref = level === 'full' ? p.localPref : level === 'standby' ? p.localPref >> 1 : 0;
  const { standard, large, extended } = p.communities;
  const gone = level === 'degraded' && !standard.includes(GRACEFUL_SHUTDOWN) ? [GRACEFUL_SHUTDOWN] : [];
  if (standard.length + gone.length > 0) a.communities = [...standard, ...gone];
  if (large.length > 0) a.largeCommunities = large;
  if (extended.length > 0) a.extCommunities = extended;
  if (external && p.otc) a.others = [onlyToCustomer(p.asn)];
  return a;
}

/** Whether a node of that name is meant by one of `globs`, in which * stands for anything. */
export function nodeMatches(node: string, globs: readonly string[] | undefined): boolean {
  if (globs === undefined) return true;
  return globs.some((g) => {
    const parts = g.split('*').map((t) => t.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
    return new RegExp(`^${parts.join('.*')}$`).test(node);
  });
}
