/**
 * Rendezvous (highest random weight) hashing: everybody who knows the key and the number of slots names the same owner, and a
 * change from n to n+1 slots moves only what the new slot takes.
 */

/** The slot, 0..n−1, that owns `key`; n is at least 1. The same on every node and in every version. */
export function rendezvous(key: string, n: number): number {
  const hash = fnv1a(key);
  let best = 0;
  let bestWeight = -1;
  for (let slot = 0; slot < n; slot++) {
    const weight = mix(hash ^ mix(slot + 1));
    if (weight > bestWeight) {
      best = slot;
      bestWeight = weight;
    }
  }
  return best;
}

/** FNV-1a over UTF-16 code units, 32 bits. */
function fnv1a(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    h = Math.imul(h ^ (c & 0xff), 0x01000193);
    h = Math.imul(h ^ (c >>> 8), 0x01000193);
  }
  return h >>> 0;
}

/** The finaliser of MurmurHash3: every input bit reaches every output bit. */
function mix(h: number): number {
  let x = h;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
