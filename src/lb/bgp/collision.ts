/** Two connections with one peer at once: which of them goes (RFC 4271 section 6.8, RFC 6286 section 2.3). Pure. */
import { parseIp } from '../../core/ip.ts';
import type { BgpState } from '../../protocol/bgp/machine.ts';

/** The connection we opened, or the one the peer opened. */
export type Way = 'out' | 'in';

export interface Collision {
  /** On this one the peer's OPEN was accepted now. */
  opened: Way;
  /** State of the other one. */
  other: BgpState;
  ours: { bgpId: string; asn: number };
  theirs: { bgpId: string; asn: number };
}

/**
 * An Established one stays; of two that are being opened, the one that the side with the higher BGP identifier opened, and where both have
 * the same, the one of the higher AS number. Undefined: nothing is known of the other yet, so both go on.
 */
export function loserOf(c: Collision): Way | undefined {
  if (c.other === 'Established') return c.opened;
  if (c.other !== 'OpenConfirm' && c.other !== 'OpenSent') return undefined;
  const higher = parseIp(c.ours.bgpId)!.compare(parseIp(c.theirs.bgpId)!) || c.ours.asn - c.theirs.asn;
  return higher > 0 ? 'in' : 'out';
}
