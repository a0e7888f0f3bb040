/**
 * OBJECT IDENTIFIER contents (X.690 section 8.19) as dotted text without a leading dot.
 *
 * Each sub-identifier is a run of octets, 7 bits each, most significant first; bit 8 is set in all but the last. The first
 * sub-identifier is 40 × arc1 + arc2, where arc1 is 0 or 1 (then arc2 < 40) or 2 (then arc2 has no such bound: 2.999 is 0x88 0x37).
 * SMI (RFC 2578 section 7.1.3): at most 128 sub-identifiers, each at most 2^32 − 1.
 */
import { Buffer } from 'node:buffer';

export const MAX_SUB_IDS = 128;
const MAX_SUB_ID = 0xffffffff;

/** The text of the contents at [from, to), or undefined where they are no legal OID. */
export function oidText(b: Uint8Array, from: number, to: number): string | undefined {
  if (to <= from || (b[to - 1] & 0x80) !== 0) return undefined;
  let text = '';
  let count = 0;
  let n = 0;
  let fresh = true;
  for (let i = from; i < to; i++) {
    const c = b[i];
    if (fresh && c === 0x80) return undefined;
    // Not a shift: 2^32 and more must be seen, not wrapped.
    n = n * 128 + (c & 0x7f);
    if (n > MAX_SUB_ID + 80) return undefined;
    fresh = c < 0x80;
    if (!fresh) continue;
    if (count === 0) {
      text = n < 40 ? `0.${n}` : n < 80 ? `1.${n - 40}` : `2.${n - 80}`;
      count = 2;
    } else {
      if (n > MAX_SUB_ID || ++count > MAX_SUB_IDS) return undefined;
      text += `.${n}`;
    }
    n = 0;
  }
  return text;
}

/** The contents of a dotted OID (a leading dot is allowed), or undefined where the text is none. */
export function oidBytes(text: string): Buffer | undefined {
  const parts = (text.startsWith('.') ? text.slice(1) : text).split('.');
  if (parts.length < 2 || parts.length > MAX_SUB_IDS) return undefined;
  const ids: number[] = [];
  for (const p of parts) {
    if (!/^\d{1,10}$/.test(p)) return undefined;
    const n = Number(p);
    if (n > MAX_SUB_ID) return undefined;
    ids.push(n);
  }
  if (ids[0] > 2 || (ids[0] < 2 && ids[1] > 39)) return undefined;
  const out: number[] = [];
  for (let i = 1; i < ids.length; i++) {
    let n = i === 1 ? ids[0] * 40 + ids[1] : ids[i];
    const at = out.length;
    out.push(n % 128);
    for (n = Math.floor(n / 128); n > 0; n = Math.floor(n / 128)) out.splice(at, 0, (n % 128) | 0x80);
  }
  return Buffer.from(out);
}

interface Slot {
  bytes: Uint8Array;
  text: string;
}

/**
 * OIDs repeat: the same few hundred byte strings make up nearly all traffic. A direct-mapped table from bytes to text saves
 * making the text again, and gives equal OIDs the same string. It is bounded by its slots; a flood of made-up OIDs only misses.
 */
export class OidCache {
  private readonly slots: (Slot | undefined)[];
  private readonly mask: number;

  /** `sizeBits`: 2^sizeBits slots. */
  constructor(sizeBits = 13) {
    this.slots = new Array<Slot | undefined>(1 << sizeBits).fill(undefined);
    this.mask = (1 << sizeBits) - 1;
  }

  /** As `oidText`. */
  text(b: Uint8Array, from: number, to: number): string | undefined {
    // Longer ones are rare; keeping them would let one packet fill much memory.
    if (to - from > 64) return oidText(b, from, to);
    let h = 0x811c9dc5;
    for (let i = from; i < to; i++) h = Math.imul(h ^ b[i], 0x01000193);
    const index = (h ^ (h >>> 15)) & this.mask;
    const slot = this.slots[index];
    if (slot !== undefined && same(slot.bytes, b, from, to)) return slot.text;
    const text = oidText(b, from, to);
    if (text !== undefined) this.slots[index] = { bytes: Uint8Array.prototype.slice.call(b, from, to), text };
    return text;
  }
}

function same(known: Uint8Array, b: Uint8Array, from: number, to: number): boolean {
  if (known.length !== to - from) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== b[from + i]) return false;
  return true;
}
