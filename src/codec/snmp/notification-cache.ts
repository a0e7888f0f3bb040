/**
 * Notifications that were decoded before, by the octets of their PDU.
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
  /** Its varbinds as JSON, and who made it: text, and the indices of the varying ones between it. */
  texts: { by: object; pieces: readonly (Uint8Array | number)[] } | undefined = undefined;
  /** The alarm it means, apart from the device, and who says so. */
  alarm: { by: object; said: unknown } | undefined = undefined;

  constructor(varying: readonly boolean[]) {
    this.varying = varying;
  }
}

/** A number among octets that are known: the contents [from, to) of an element, counted from the PDU. */
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
  /** Where the PDU stands in its message: the places of the varbinds count from there. */
  readonly offset: number;
  readonly octets: Uint8Array;
  /** Ascending. */
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
   * The notification whose PDU is b[offset, end), with `memo`; undefined where it was not met before. It is good until the next call: its
   * numbers are changed in place.
   */
  find(b: Buffer, offset: number, end: number): Notification | undefined {
    const key = end - offset > KEPT_OCTETS ? NO_KEY : keyOf(b, offset, end);
    this.key = key;
    if (key === NO_KEY) return undefined;
    const first = ((key ^ (key >>> 15)) & this.mask) * WAYS;
    for (let i = first; i < first + WAYS; i++) {
      const met = this.met[i];
      if (met === undefined || met.offset !== offset || !same(met, b, end - offset)) continue;
      if (!readNumbers(met, b)) return undefined;
      if (met.credit < MOST_CREDIT) met.credit++;
      return met.notification;
    }
    return undefined;
  }

  /** `n` was decoded from the trap whose PDU is b[offset, end), after `find` did not have it. */
  keep(b: Buffer, offset: number, end: number, n: Notification): void {
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
    this.met[at] = meet(b, offset, end, n);
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

function same(met: Met, b: Buffer, length: number): boolean {
  const { octets, gaps, offset } = met;
  if (octets.length !== length) return false;
  let at = 0;
  for (let g = 0; g <= gaps.length; g++) {
    const to = g < gaps.length ? gaps[g].from : length;
    for (; at < to; at++) if (octets[at] !== b[offset + at]) return false;
    if (g < gaps.length) at = gaps[g].to;
  }
  return true;
}

/** False where one of them is none: the decoder says why. */
function readNumbers(met: Met, b: Buffer): boolean {
  const { gaps, offset, notification } = met;
  const { varbinds } = notification;
  const r = new BerReader(b, 'pdu', offset);
  for (let g = 0; g < gaps.length; g++) {
    const { from, to, tag, of } = gaps[g];
    if (of === REQUEST_ID) continue;
    r.pos = offset + from;
    r.end = offset + to;
    const value = tag === COUNTER64 ? r.unsigned64Contents(r.end) : r.unsigned32Contents(r.end);
    if (r.error) return false;
    if (of === UPTIME) notification.uptime = value as number;
    else varbinds[of].value = value;
  }
  return true;
}

/** What was decoded without refusal is walked once more, to find where its numbers stand. Undefined where a length has a rare form. */
function meet(b: Buffer, offset: number, end: number, n: Notification): Met | undefined {
  const gaps: Gap[] = [];
  const gap = (at: number, of: number): void => {
    gaps.push({ from: contents(b, at) - offset, to: after(b, at, end) - offset, tag: b[at], of });
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
  const octets = Uint8Array.prototype.slice.call(b, offset, end);
  const notification = { ...n, varbinds, memo: new NotificationMemo(varying) };
  return { offset, octets, gaps, notification, credit: 0 };
}

/** A copy whose octets are its own. */
function owned(v: VarBind): VarBind {
  const copy = new DecodedVarBind(v.oid, v.start, v.end, DecodedVarBind.known(v));
  copy.type = v.type;
  copy.value = typeof v.value === 'object' ? Buffer.from(v.value) : v.value;
  return copy;
}
