/**
 * The subset of BER (X.690) that SNMP uses (RFC 3417 section 8):
 *
 *   identifier octet | length octets | contents octets
 *   length: 0LLLLLLL (0..127), or 1NNNNNNN and N = 1..4 octets, most significant first
 *
 * Definite lengths only, low tag numbers only, strings in primitive form only. A long-form length need not be minimal: RFC 3417
 * does not ask for DER, and common agents write 0x82 always.
 */
import type { Buffer } from 'node:buffer';
import { type DecodeCode, DecodeError } from '../../core/result.ts';
import { OidCache } from './oid.ts';
import { COUNTER64, INTEGER, OBJECT_IDENTIFIER } from './tags.ts';

/** Constructed elements inside each other. A notification needs 4. */
export const MAX_DEPTH = 8;

const oids = new OidCache();

/**
 * A cursor over one message. The first refusal sticks: later reads return empty values at once, so a decoder asks `error` where it
 * must know. Offsets are from the start of `buf`.
 */
export class BerReader {
  readonly buf: Buffer;
  pos: number;
  /** The end of the element that is being read. */
  end: number;
  error: DecodeError | undefined;
  /** The part of the message, for errors. */
  layer: string;
  private depth = 0;

  constructor(buf: Buffer, layer: string, pos = 0, end = buf.length) {
    this.buf = buf;
    this.pos = pos;
    this.end = end;
    this.layer = layer;
  }

  /** Refuses; the first refusal is kept. */
  fail(code: DecodeCode, offset: number): void {
    this.error ??= new DecodeError(code, offset, this.layer);
    this.pos = this.end;
  }

  /** The identifier octet that comes next; -1 at the end of the element. */
  peek(): number {
    return this.pos < this.end ? this.buf[this.pos] : -1;
  }

  /** Reads identifier and length of an element of type `tag`; `pos` is then at its contents. Returns their end; on refusal `pos`. */
  header(tag: number): number {
    const at = this.pos;
    if (at >= this.end) {
      this.fail('truncated', at);
      return this.pos;
    }
    if (this.buf[at] !== tag) {
      this.fail('tag', at);
      return this.pos;
    }
    return this.length();
  }

  /** As `header`, whatever the identifier; it is read before with `peek`. */
  length(): number {
    const buf = this.buf;
    const end = this.end;
    let at = this.pos + 1;
    if (at >= end) {
      this.fail('truncated', at);
      return this.pos;
    }
    let n = buf[at++];
    if (n > 0x7f) {
      const octets = n & 0x7f;
      // 0x80 is the indefinite form.
      if (octets === 0 || octets > 4) {
        this.fail('length', at - 1);
        return this.pos;
      }
      if (at + octets > end) {
        this.fail('truncated', end);
        return this.pos;
      }
      n = 0;
      for (let i = 0; i < octets; i++) n = n * 256 + buf[at++];
    }
    if (n > end - at) {
      // Of the outermost element: the datagram was cut. Of an inner one: its length contradicts its container.
      this.fail(this.depth === 0 ? 'truncated' : 'length', at - 1);
      return this.pos;
    }
    this.pos = at;
    return at + n;
  }

  /** Enters a constructed element; returns the end of the one around it, to be given to `leave`. */
  enter(tag: number): number {
    const outer = this.end;
    const end = this.header(tag);
    if (this.error) return outer;
    if (++this.depth > MAX_DEPTH) this.fail('depth', this.pos);
    else this.end = end;
    return outer;
  }

  /** Leaves a constructed element, all of which must have been read. */
  leave(outer: number): void {
    if (this.error) return;
    if (this.pos !== this.end) this.fail('trailing', this.pos);
    this.depth--;
    this.end = outer;
  }

  /** INTEGER, −2^31..2^31−1. */
  integer32(): number {
    const end = this.header(INTEGER);
    return this.error ? 0 : this.integer32Contents(end);
  }

  /** The contents of an INTEGER up to `end`. */
  integer32Contents(end: number): number {
    const n = end - this.pos;
    if (n === 0 || n > 4) {
      this.fail(n === 0 ? 'length' : 'range', this.pos);
      return 0;
    }
    const buf = this.buf;
    // The first octet carries the sign.
    let v = (buf[this.pos] << 24) >> 24;
    for (let i = this.pos + 1; i < end; i++) v = (v << 8) | buf[i];
    this.pos = end;
    return v;
  }

  /**
   * The contents of a 32-bit unsigned type up to `end`: up to 4 octets, or 5 of which the first is 0. Four octets with the sign
   * bit set are read as unsigned: many agents leave out the leading zero.
   */
  unsigned32Contents(end: number): number {
    const buf = this.buf;
    const n = end - this.pos;
    if (n === 0 || n > 5 || (n === 5 && buf[this.pos] !== 0)) {
      this.fail(n === 0 ? 'length' : 'range', this.pos);
      return 0;
    }
    let v = 0;
    for (let i = this.pos; i < end; i++) v = (v << 8) | buf[i];
    this.pos = end;
    return v >>> 0;
  }

  /** The contents of a Counter64 up to `end` as decimal digits: up to 8 octets, or 9 of which the first is 0; unsigned as above. */
  unsigned64Contents(end: number): string {
    const buf = this.buf;
    let at = this.pos;
    const n = end - at;
    if (n === 0 || n > 9 || (n === 9 && buf[at] !== 0)) {
      this.fail(n === 0 ? 'length' : 'range', at);
      return '0';
    }
    let high = 0;
    let low = 0;
    for (const split = end - 4; at < end; at++) {
      if (at < split) high = ((high << 8) | buf[at]) >>> 0;
      else low = ((low << 8) | buf[at]) >>> 0;
    }
    this.pos = end;
    if (high < 0x200000) return String(high * 0x100000000 + low);
    return ((BigInt(high) << 32n) | BigInt(low)).toString();
  }

  /** A whole element of type `tag` as a view of its contents. */
  octets(tag: number): Buffer {
    const end = this.header(tag);
    const view = this.buf.subarray(this.pos, end);
    this.pos = end;
    return view;
  }

  /** OBJECT IDENTIFIER as dotted text. */
  oid(): string {
    const end = this.header(OBJECT_IDENTIFIER);
    return this.error ? '' : this.oidContents(end);
  }

  oidContents(end: number): string {
    const text = oids.text(this.buf, this.pos, end);
    if (text === undefined) {
      this.fail('value', this.pos);
      return '';
    }
    this.pos = end;
    return text;
  }

  /** A whole 32-bit unsigned element of type `tag`. */
  unsigned32(tag: number): number {
    const end = this.header(tag);
    return this.error ? 0 : this.unsigned32Contents(end);
  }

  /** A whole Counter64 as decimal digits. */
  counter64(): string {
    const end = this.header(COUNTER64);
    return this.error ? '0' : this.unsigned64Contents(end);
  }
}
