/** How the UPDATEs of one peer and view are to be read: RFC 7854 4.2 (A flag), RFC 8671 and RFC 9069 (ADD-PATH direction). */
import { addPathFamilies } from '../bgp/negotiate.ts';
import type { BgpContext, OpenMessage } from '../bgp/types.ts';
import { FLAG_A, FLAG_O, PEER_LOC_RIB } from './types.ts';

/**
 * `sent` and `received` are the OPENs of the Peer Up as the router sent and received them; absent where one could not be read.
 * Adj-RIB-In has path identifiers where the peer may send and the router may receive them, Adj-RIB-Out the other way round.
 * The OPENs of a Loc-RIB are made up by the router: what the sent one declares in any direction is in use.
 */
export function monitoringContext(
  type: number,
  flags: number,
  sent: OpenMessage | undefined,
  received: OpenMessage | undefined,
): BgpContext {
  // The monitored session may have agreed on long messages; reading one costs nothing where it has not.
  const extendedMessage = true;
  if (type === PEER_LOC_RIB) {
    const addPath = new Set<string>();
    if (sent) for (const d of ['send', 'receive'] as const) for (const f of addPathFamilies(sent, d)) addPath.add(f);
    return { as4: true, addPath, extendedMessage };
  }
  const as4 = (flags & FLAG_A) === 0;
  if (!sent || !received) return { as4, addPath: new Set(), extendedMessage };
  const [from, to] = (flags & FLAG_O) !== 0 ? [sent, received] : [received, sent];
  const readable = addPathFamilies(to, 'receive');
  const addPath = new Set([...addPathFamilies(from, 'send')].filter((f) => readable.has(f)));
  return { as4, addPath, extendedMessage };
}

/**
 * Some exporters negotiate ADD-PATH with their peers and yet leave the path identifiers out of Route Monitoring (FRRouting says so
 * in its documentation). Their NLRI would often parse with identifiers too, as other routes, so this is decided by who speaks.
 */
export function omitsPathIds(sysDescr: string | undefined): boolean {
  return sysDescr?.startsWith('FRRouting') ?? false;
}

/** The same context for messages without path identifiers. */
export function withoutPathIds(ctx: BgpContext): BgpContext {
  return { ...ctx, addPath: new Set() };
}
