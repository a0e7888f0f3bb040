/** When the owner of an address tells the neighbours. */
import type { Slot } from './slot.ts';

/** At once, and for caches that missed it. */
const ANNOUNCE_MS = [0, 200, 1100, 2200, 3300, 4400, 5500];
const SHADOW_ANNOUNCE_MS = 500;

export function announceFrom(s: Slot, from: number): void {
  s.announceAt = ANNOUNCE_MS.map((ms) => from + ms);
  if (s.shadow)
    for (let at = from + SHADOW_ANNOUNCE_MS; at < s.shadow.until; at += SHADOW_ANNOUNCE_MS) s.announceAt.push(at);
  s.announceAt.sort((a, b) => a - b);
}
