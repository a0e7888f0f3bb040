/** When the owner of an address tells the neighbours. */
import type { Slot } from './slot.ts';

/** At once, and for caches that missed it. */
const ANNOUNCE_MS = [0, 200, 1100, 2200, 3300, 4400, 5500];
const SHADOW_ANNOUNCE_MS = 500;
/**
 * However many members are heard again and however often, what that makes us say of one address begins anew only so often (ANNOUNCE_INTERVAL of
 * RFC 5227): three announcements in 2 s, as many as a take-over has in its first two. A return in between has the next one of them 0.9 s later at
 * most, and all of them when the 2 s are over.
 */
const AGAIN_MS = 2000;

/** `from`: not before now. What is to be said before it stays. */
export function announceFrom(s: Slot, from: number): void {
  s.announceAt = s.announceAt.filter((at) => at < from);
  for (const ms of ANNOUNCE_MS) s.announceAt.push(from + ms);
  if (s.shadow)
    for (let at = from + SHADOW_ANNOUNCE_MS; at < s.shadow.until; at += SHADOW_ANNOUNCE_MS) s.announceAt.push(at);
  s.announceAt.sort((a, b) => a - b);
}

/** At once, or as soon as it may be. */
export function announceAgain(s: Slot, now: number): void {
  // Still to come: it serves for this one too.
  if (s.againAt !== undefined && s.againAt > now) return;
  s.againAt = s.againAt === undefined ? now : Math.max(now, s.againAt + AGAIN_MS);
  announceFrom(s, s.againAt);
}
