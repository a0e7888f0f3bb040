/**
 * Notifications that were decoded before, by the octets of their message.
 *
 * A storm is the same few notifications again and again; what changes is the request-id, the uptime, and a counter among the varbinds. So a PDU
 * that equals one met before in all octets but the contents of those numbers, which have to be as long as they were, is that notification with
 * other numbers: nothing else of it is decoded again, and what its users made of the rest (`NotificationMemo`) is still good. There is no second
 * decoder: the first one decides what is in the table, and reads the numbers.
 *
 *   30 .. | version | community | a7 .. | request-id | error-status | error-index | 30 .. | 30 .. sysUpTime.0 | 30 .. snmpTrapOID.0 | 30 .. …
 *                                         ^^^^^^^^^^                                                  ^^^^^           and Counter32/64, Gauge32,
 *   30 .. | version | community | a4 .. | enterprise | agent-addr | generic | specific | time-stamp | 30 .. …           TimeTicks of the rest
 *                                                                                        ^^^^^^^^^^
 *
 * Bounded: a fixed number of places, in which only what came twice stands, and nothing that is long. What is used survives some others that
 * want its place.
 */
import { Buffer } from 'node:buffer';
import { BerReader } from '../ber/reader.ts';
import { COUNTER32, COUNTER64, GAUGE32, TIME_TICKS, UINTEGER32 } from '../ber/tags.ts';
import { DecodedVarBind, type SmiType, type VarBind } from './message.ts';
import type { Notification } from './rfc3584.ts';

/** What was made of a notification and is good for all that differ from it in numbers only; who made it looks after it. */
export class NotificationMemo {
  /** Of each varbind, whether its value is one of those numbers. */
  readonly varying: readonly boolean[];
  /** JSON of the trap's name and of its varbinds, and who made it: text, and the indices of the varying ones between it. */
  texts: { by: object; trap: Uint8Array; pieces: readonly (Uint8Array | number)[] } | undefined = undefined;
  /** The alarm it means, who says so, and what that is for each device. */
  alarm: { by: object; said: unknown; devices: Map<string, unknown> } | undefined = undefined;

  constructor(varying: readonly boolean[]) {
    this.varying = varying;
  }
}

/** A number among octets that are known: the contents [from, to) of an element. */
interface Gap {
  from: number;
  to: number;
  tag: number;
  /** Which varbind has it as value, or one of the following. */
  of: number;
}
const REQUEST_ID = -1;
const UPTIME = -2;

interface Met {
  /** Where the PDU stands in its message. */
  readonly offset: number;
  /** Octets of the whole message, and the message in words; of each word, which of its bits do not vary. */
  readonly length: number;
  readonly words: Uint32Array;
  readonly masks: Uint32Array;
  readonly gaps: readonly Gap[];
  readonly notification: Notification;
  credit: number;
}

const VARIES: Readonly<Record<SmiType, boolean>> = {
  integer32: false,
  'octet-string': false,
  oid: false,
  'ip-address': false,
  bits: false,
  opaque: false,
  null: false,
  unsigned32: true,
  gauge32: true,
  counter32: true,
  counter64: true,
  timeticks: true,
};

const TRAP_V1 = 0xa4;
const TRAP_V2 = 0xa7;
/** Longer ones are rare; keeping them would let a flood fill much memory. */
const KEPT_OCTETS = 512;
const KEPT_VARBINDS = 32;
/** Places for what has the same key: a port that flaps beside another one. */
const WAYS = 2;
const MOST_CREDIT = 3;
const NO_KEY = -1;
/** sysUpTime.0 as it is encoded. */
const SYS_UP_TIME_NAME = Buffer.from([0x06, 0x08, 0x2b, 6, 1, 2, 1, 1, 3, 0]);

export class NotificationCache {
  private readonly met: (Met | undefined)[];
  /** The key that was missed at this set the last time. */
  private readonly missed: Int32Array;
  private readonly mask: number;
  /** Of the last `find`. */
  private key = NO_KEY;

  /** `sizeBits`: 2^sizeBits sets of WAYS places. */
  constructor(sizeBits = 11) {
    this.met = new Array<Met | undefined>(WAYS << sizeBits).fill(undefined);
    this.missed = new Int32Array(1 << sizeBits).fill(NO_KEY);
    this.mask = (1 << sizeBits) - 1;
  }

  /**
   * The notification of message `b`, whose PDU begins at `offset` and is the rest of it, with `memo`; undefined where it was not met before.
   * It is good until the next call: its numbers are changed in place.
   */
  find(b: Buffer, offset: number): Notification | undefined {
    const key = b.length > KEPT_OCTETS ? NO_KEY : keyOf(b, offset, b.length);
    this.key = key;
    if (key === NO_KEY) return undefined;
    const first = ((key ^ (key >>> 15)) & this.mask) * WAYS;
    for (let i = first; i < first + WAYS; i++) {
      const met = this.met[i];
      if (met === undefined || met.offset !== offset || !same(met, b)) continue;
      if (!readNumbers(met, b)) return undefined;
      if (met.credit < MOST_CREDIT) met.credit++;
      return met.notification;
    }
    return undefined;
  }

  /** `n` was decoded from the trap `b`, after `find` did not have it. */
  keep(b: Buffer, offset: number, n: Notification): void {
    const { key } = this;
    if (key === NO_KEY || n.varbinds.length > KEPT_VARBINDS) return;
    const set = (key ^ (key >>> 15)) & this.mask;
    if (this.missed[set] !== key) {
      this.missed[set] = key;
      return;
    }
    let at = set * WAYS;
    for (let i = at + 1; i < (set + 1) * WAYS; i++) {
      const [a, c] = [this.met[at], this.met[i]];
      if (a !== undefined && (c === undefined || c.credit < a.credit)) at = i;
    }
    const there = this.met[at];
    if (there !== undefined && there.credit > 0) {
      there.credit--;
      return;
    }
    this.met[at] = meet(b, offset, n);
  }
}

/** The end of the element at `at`; beyond `end` where it is none. */
function after(b: Buffer, at: number, end: number): number {
  if (at + 2 > end) return end + 1;
  const n = b[at + 1];
  if (n < 0x80) return at + 2 + n;
  let length = 0;
  const octets = n & 0x7f;
  if (octets > 3 || at + 2 + octets > end) return end + 1;
  for (let i = 0; i < octets; i++) length = length * 256 + b[at + 2 + i];
  return at + 2 + octets + length;
}

/** Where the contents of the element at `at` begin. */
function contents(b: Buffer, at: number): number {
  const n = b[at + 1];
  return at + 2 + (n < 0x80 ? 0 : n & 0x7f);
}

/**
 * Of octets that do not change: which notification it is, and the first varbind behind that, which names the port or the peer. NO_KEY where it
 * is no trap or has another form than nearly all.
 */
function keyOf(b: Buffer, offset: number, end: number): number {
  if (offset + 2 > end) return NO_KEY;
  const tag = b[offset];
  let h = Math.imul(0x811c9dc5 ^ (end - offset), 0x01000193);
  let at = contents(b, offset);
  let from: number;
  if (tag === TRAP_V2) {
    for (let i = 0; i < 3; i++) at = after(b, at, end);
    if (at + 2 > end) return NO_KEY;
    at = contents(b, at);
    from = after(b, at, end);
    at = after(b, from, end);
  } else if (tag === TRAP_V1) {
    from = at;
    for (let i = 0; i < 4; i++) at = after(b, at, end);
    if (at > end) return NO_KEY;
    for (let i = from; i < at; i++) h = Math.imul(h ^ b[i], 0x01000193);
    // Over the time-stamp, to the first varbind.
    from = after(b, at, end);
    if (from + 2 > end) return NO_KEY;
    from = contents(b, from);
    at = from;
  } else return NO_KEY;
  if (at > end) return NO_KEY;
  if (at + 4 < end) {
    const name = contents(b, at);
    const value = after(b, name, end);
    if (value >= end) return NO_KEY;
    at = isNumber(b[value]) ? value : after(b, value, end);
    if (at > end) return NO_KEY;
  }
  for (let i = from; i < at; i++) h = Math.imul(h ^ b[i], 0x01000193);
  return h & 0x7fffffff;
}

function isNumber(tag: number): boolean {
  return tag === COUNTER32 || tag === GAUGE32 || tag === TIME_TICKS || tag === COUNTER64 || tag === UINTEGER32;
}

/** The memory that was looked at last, in words: a receiver has one. */
let memory: ArrayBufferLike | undefined;
let memoryWords: Uint32Array = new Uint32Array(0);

function wordsOf(buffer: ArrayBufferLike): Uint32Array {
  if (buffer !== memory) {
    memory = buffer;
    memoryWords = new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
  }
  return memoryWords;
}

/** Four octets at a time: this is what a storm's traps cost most. */
function same(met: Met, b: Buffer): boolean {
  if (met.length !== b.length) return false;
  const { words, masks } = met;
  const all = wordsOf(b.buffer);
  const base = b.byteOffset >>> 2;
  // The last word may go beyond the message, and a message may begin anywhere.
  if ((b.byteOffset & 3) !== 0 || base + words.length > all.length) return sameAs(met, inWords(b));
  for (let i = 0; i < words.length; i++) if (((words[i] ^ all[base + i]) & masks[i]) !== 0) return false;
  return true;
}

function sameAs({ words, masks }: Met, other: Uint32Array): boolean {
  return words.every((word, i) => ((word ^ other[i]) & masks[i]) === 0);
}

/** A copy, filled up with zeros. */
function inWords(b: Uint8Array): Uint32Array {
  const words = new Uint32Array(Math.ceil(b.length / 4));
  new Uint8Array(words.buffer).set(b);
  return words;
}

/** False where one of them is none: the decoder says why. */
function readNumbers(met: Met, b: Buffer): boolean {
  const { gaps, notification } = met;
  const { varbinds } = notification;
  const r = new BerReader(b, 'pdu');
  for (let g = 0; g < gaps.length; g++) {
    const { from, to, tag, of } = gaps[g];
    if (of === REQUEST_ID) continue;
    r.pos = from;
    r.end = to;
    const value = tag === COUNTER64 ? r.unsigned64Contents(r.end) : r.unsigned32Contents(r.end);
    if (r.error) return false;
    if (of === UPTIME) notification.uptime = value as number;
    else varbinds[of].value = value;
  }
  return true;
}

/** What was decoded without refusal is walked once more, to find where its numbers stand. Undefined where a length has a rare form. */
function meet(b: Buffer, offset: number, n: Notification): Met | undefined {
  const end = b.length;
  const gaps: Gap[] = [];
  const gap = (at: number, of: number): void => {
    gaps.push({ from: contents(b, at), to: after(b, at, end), tag: b[at], of });
  };
  let at = contents(b, offset);
  const v1 = b[offset] === TRAP_V1;
  if (v1) for (let i = 0; i < 4; i++) at = after(b, at, end);
  gap(at, v1 ? UPTIME : REQUEST_ID);
  for (let i = v1 ? 2 : 0; i < 3; i++) at = after(b, at, end);
  const varying = n.varbinds.map((v) => VARIES[v.type]);
  // The uptime of v2 stands among the varbinds and is none of the notification's own.
  let uptime = !v1 && n.uptime !== undefined;
  for (at = contents(b, at); at < end; at = after(b, at, end)) {
    const start = at;
    const of = n.varbinds.findIndex((v) => v.start === start);
    const name = contents(b, at);
    const value = after(b, name, end);
    if (of >= 0) {
      if (varying[of]) gap(value, of);
    } else if (uptime && b[value] === TIME_TICKS && b.subarray(name, value).equals(SYS_UP_TIME_NAME)) {
      gap(value, UPTIME);
      uptime = false;
    }
  }
  if (at !== end) return undefined;
  const varbinds = n.varbinds.map(owned);
  const steady = new Uint8Array(end).fill(0xff);
  for (const { from, to } of gaps) steady.fill(0, from, to);
  const notification = { ...n, varbinds, memo: new NotificationMemo(varying) };
  return { offset, length: end, words: inWords(b), masks: inWords(steady), gaps, notification, credit: 0 };
}

/** A copy whose octets are its own. */
function owned(v: VarBind): VarBind {
  const copy = new DecodedVarBind(v.oid, v.start, v.end, DecodedVarBind.known(v));
  copy.type = v.type;
  copy.value = typeof v.value === 'object' ? Buffer.from(v.value) : v.value;
  return copy;
}
