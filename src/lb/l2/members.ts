/** What a new view of the members says of the addresses, beside the one before it. */
import type { L2Claim, L2Member } from './types.ts';

/** An address a member says it has. */
export interface Held {
  member: L2Member;
  claim: L2Claim;
}

export interface MemberNews {
  /** Live claims, by address. */
  held: Map<string, Held[]>;
  /** Of members that fell silent, or began anew: they may still have it in their kernels. */
  shadows: Held[];
  /** Addresses that a live member has let go of by itself. */
  givenUp: string[];
}

export function compareMembers(before: readonly L2Member[], members: readonly L2Member[]): MemberNews {
  const known = new Map(before.map((m) => [m.node, m]));
  const held = new Map<string, Held[]>();
  const shadows: Held[] = [];
  const givenUp: string[] = [];
  for (const m of members) {
    const old = known.get(m.node);
    known.delete(m.node);
    if (m.alive)
      for (const claim of m.claims) {
        const others = held.get(claim.address);
        if (others) others.push({ member: m, claim });
        else held.set(claim.address, [{ member: m, claim }]);
      }
    if (!old?.alive) continue;
    const claims = new Set(m.claims.map((c) => c.address));
    for (const claim of old.claims) {
      if (m.alive && m.boot === old.boot && claims.has(claim.address)) continue;
      // Who left, or gave it up, says so by no longer claiming it. Who fell silent still claims it, who began anew cannot know.
      const byItself = m.boot === old.boot && !claims.has(claim.address);
      if (byItself) givenUp.push(claim.address);
      else shadows.push({ member: old, claim });
    }
  }
  // A member that is no longer configured.
  for (const old of known.values()) if (old.alive) for (const claim of old.claims) shadows.push({ member: old, claim });
  return { held, shadows, givenUp };
}
