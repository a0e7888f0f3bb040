/**
 * Varbinds that were decoded before, by the octets they were encoded as.
 *
 * Notifications repeat: the same interface, the same state, the same description. A direct-mapped table: bounded by its slots, and an
 * entry that is used survives a few others that want its place, so that values which never come again do not push out those that do. Only
 * what was decoded without refusal is in it, and all of what a varbind becomes follows from its octets.
 */
import { Buffer } from 'node:buffer';
import type { SmiType, VarBind } from './message.ts';

/** What a varbind is, wherever it stands. */
export interface KnownVarBind {
  readonly oid: string;
  readonly type: SmiType;
  /** Octets are a copy of its own. */
  readonly value: VarBind['value'];
  /** What a user of it made of it, and who: kept for the next time. */
  made: Uint8Array | undefined;
  by: object | undefined;
}

interface Slot extends KnownVarBind {
  readonly octets: Uint8Array;
  /** How many others that want this place it survives. */
  credit: number;
}

/** Longer ones are rare; keeping them would let a flood fill much memory. */
const KEPT_OCTETS = 160;
const MOST_CREDIT = 3;
const HASHED_OCTETS = 16;

/** Types whose values repeat. */
const REPEATS: Readonly<Record<SmiType, boolean>> = {
  integer32: true,
  'octet-string': true,
  oid: true,
  'ip-address': true,
  bits: true,
  opaque: true,
  null: true,
  unsigned32: false,
  gauge32: false,
  counter32: false,
  counter64: false,
  timeticks: false,
};

export class VarBindCache {
  private readonly slots: (Slot | undefined)[];
  private readonly mask: number;

  /** `sizeBits`: 2^sizeBits slots. */
  constructor(sizeBits = 12) {
    this.slots = new Array<Slot | undefined>(1 << sizeBits).fill(undefined);
    this.mask = (1 << sizeBits) - 1;
  }

  /** The varbind whose octets are b[start, end). */
  find(b: Uint8Array, start: number, end: number): KnownVarBind | undefined {
    const length = end - start;
    if (length > KEPT_OCTETS) return undefined;
    const slot = this.slots[this.index(b, start, end)];
    if (slot === undefined) return undefined;
    const { octets } = slot;
    if (octets.length !== length) return undefined;
    for (let i = 0; i < length; i++) if (octets[i] !== b[start + i]) return undefined;
    if (slot.credit < MOST_CREDIT) slot.credit++;
    return slot;
  }

  /** `v` was decoded from b[v.start, v.end). */
  keep(b: Uint8Array, v: VarBind): void {
    const { oid, type, start, end } = v;
    if (!REPEATS[type] || end - start > KEPT_OCTETS) return;
    const index = this.index(b, start, end);
    const slot = this.slots[index];
    if (slot !== undefined && slot.credit > 0) {
      slot.credit--;
      return;
    }
    const octets = Uint8Array.prototype.slice.call(b, start, end);
    const value = typeof v.value === 'object' ? Buffer.from(v.value) : v.value;
    this.slots[index] = { oid, type, value, octets, credit: 0, made: undefined, by: undefined };
  }

  /** By its length and its last octets: they hold the instance and the value, and varbinds of one object are alike before them. */
  private index(b: Uint8Array, start: number, end: number): number {
    let h = 0x811c9dc5 ^ (end - start);
    for (let i = Math.max(start, end - HASHED_OCTETS); i < end; i++) h = Math.imul(h ^ b[i], 0x01000193);
    return (h ^ (h >>> 15)) & this.mask;
  }
}
