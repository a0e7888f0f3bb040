/** What two OPENs agree on, seen from the side that sent the first. */
import { familyKey, IPV4_UNICAST } from './constants.ts';
import type { BgpContext, OpenMessage } from './types.ts';

export interface Negotiated {
  /** `afi/safi` both speak. */
  families: string[];
  as4: boolean;
  /** Families in which what we receive carries path identifiers: they may send, we may receive (RFC 7911 section 4). */
  addPathReceive: Set<string>;
  addPathSend: Set<string>;
  /** We may ask them for a refresh. */
  routeRefresh: boolean;
  enhancedRouteRefresh: boolean;
  extendedMessage: boolean;
  /** Seconds; 0: no keepalives, no hold timer. */
  holdTime: number;
  /** The AS and BGP identifier of the other side. */
  peerAsn: number;
  peerBgpId: string;
}

type Opened = Pick<OpenMessage, 'asn' | 'holdTime' | 'bgpId' | 'capabilities'>;

export function negotiate(sent: Opened, received: Opened): Negotiated {
  const theirs = new Set(families(received));
  return {
    families: families(sent).filter((f) => theirs.has(f)),
    as4: has(sent, 'as4') && has(received, 'as4'),
    addPathReceive: addPath(received, sent),
    addPathSend: addPath(sent, received),
    routeRefresh: has(sent, 'route-refresh') && has(received, 'route-refresh'),
    enhancedRouteRefresh: has(sent, 'enhanced-route-refresh') && has(received, 'enhanced-route-refresh'),
    extendedMessage: has(sent, 'extended-message') && has(received, 'extended-message'),
    holdTime: Math.min(sent.holdTime, received.holdTime),
    peerAsn: received.asn,
    peerBgpId: received.bgpId,
  };
}

/** How to read what the other side sends. */
export function receiveContext(n: Negotiated): BgpContext {
  return { as4: n.as4, addPath: n.addPathReceive, extendedMessage: n.extendedMessage };
}

/** How to write what it reads. */
export function sendContext(n: Negotiated): BgpContext {
  return { as4: n.as4, addPath: n.addPathSend, extendedMessage: n.extendedMessage };
}

function has(open: Opened, name: string): boolean {
  return open.capabilities.some((cap) => cap.name === name);
}

/** RFC 4760 section 8: without the capability the session is for IPv4 unicast. */
function families(open: Opened): string[] {
  const list = new Set<string>();
  for (const cap of open.capabilities) if (cap.name === 'multiprotocol') list.add(familyKey(cap.afi, cap.safi));
  return list.size === 0 ? [IPV4_UNICAST] : [...list];
}

/** Families `sender` may send and `receiver` may receive with path identifiers. */
function addPath(sender: Opened, receiver: Opened): Set<string> {
  const receives = addPathFamilies(receiver, 'receive');
  const out = new Set<string>();
  for (const f of addPathFamilies(sender, 'send')) if (receives.has(f)) out.add(f);
  return out;
}

/** Families this OPEN declares for a direction. Of a repeated capability or family the last counts, as RFC 7911 section 4 has it for families. */
export function addPathFamilies(open: Pick<OpenMessage, 'capabilities'>, direction: 'send' | 'receive'): Set<string> {
  const modes = new Map<string, boolean>();
  for (const cap of open.capabilities) {
    if (cap.name !== 'add-path') continue;
    for (const e of cap.entries) modes.set(familyKey(e.afi, e.safi), e.mode === 'both' || e.mode === direction);
  }
  return new Set([...modes].filter(([, on]) => on).map(([f]) => f));
}
