/**
 * Writes BER from the end to the beginning: contents first, then length and identifier, so that no length is patched and all are
 * minimal. Elements are therefore given in reverse order. Throws RangeError on programmer error only (a number out of range).
 */
import { Buffer } from 'node:buffer';
import { oidBytes } from './oid.ts';
import { COUNTER64, INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING } from './tags.ts';

export class BerWriter {
  private buf: Buffer;
  private at: number;

  constructor(size = 512) {
    this.buf = Buffer.allocUnsafe(size);
    this.at = size;
  }

  /** Bytes written. */
  get length(): number {
    return this.buf.length - this.at;
  }

  private octet(v: number): void {
    if (this.at === 0) this.grow(1);
    this.buf[--this.at] = v;
  }

  private grow(n: number): void {
    const used = this.length;
    const next = Buffer.allocUnsafe(Math.max(2 * this.buf.length, used + n));
    this.buf.copy(next, next.length - used, this.at);
    this.at = next.length - used;
    this.buf = next;
  }

  /** Octets as they are, in front of what is there. */
  raw(b: Uint8Array): this {
    if (this.at < b.length) this.grow(b.length);
    this.at -= b.length;
    this.buf.set(b, this.at);
    return this;
  }

  /** Length and identifier in front of all that was written since `length` was `mark`. */
  wrap(tag: number, mark: number): this {
    const n = this.length - mark;
    if (n < 0x80) this.octet(n);
    else {
      let octets = 0;
      for (let rest = n; rest > 0; rest = Math.floor(rest / 256)) {
        this.octet(rest & 0xff);
        octets++;
      }
      this.octet(0x80 | octets);
    }
    this.octet(tag);
    return this;
  }

  octets(tag: number, b: Uint8Array): this {
    const mark = this.length;
    return this.raw(b).wrap(tag, mark);
  }

  octetString(b: Uint8Array): this {
    return this.octets(OCTET_STRING, b);
  }

  /** INTEGER in the fewest octets. */
  integer32(v: number): this {
    if (!Number.isInteger(v) || v < -0x80000000 || v > 0x7fffffff) throw new RangeError(`${v} is no Integer32`);
    const mark = this.length;
    let rest = v;
    do {
      this.octet(rest & 0xff);
      rest >>= 8;
    } while (rest !== 0 && rest !== -1);
    // The sign must show in the first octet.
    const negative = this.buf[this.at] > 0x7f;
    if (negative !== v < 0) this.octet(v < 0 ? 0xff : 0);
    return this.wrap(INTEGER, mark);
  }

  /** A 32-bit unsigned type, with a leading zero where the first bit is set. */
  unsigned32(tag: number, v: number): this {
    if (!Number.isInteger(v) || v < 0 || v > 0xffffffff) throw new RangeError(`${v} is not 0..4294967295`);
    return this.unsigned(tag, BigInt(v));
  }

  /** Counter64. */
  counter64(v: bigint): this {
    if (v < 0n || v > 0xffffffffffffffffn) throw new RangeError(`${v} is no Counter64`);
    return this.unsigned(COUNTER64, v);
  }

  private unsigned(tag: number, v: bigint): this {
    const mark = this.length;
    let rest = v;
    do {
      this.octet(Number(rest & 0xffn));
      rest >>= 8n;
    } while (rest > 0n);
    if (this.buf[this.at] > 0x7f) this.octet(0);
    return this.wrap(tag, mark);
  }

  /** OBJECT IDENTIFIER of dotted text. */
  oid(text: string): this {
    const b = oidBytes(text);
    if (!b) throw new RangeError(`${text} is no object identifier`);
    return this.octets(OBJECT_IDENTIFIER, b);
  }

  null(tag: number = NULL): this {
    return this.wrap(tag, this.length);
  }

  /** A copy of what was written. */
  done(): Buffer {
    return Buffer.from(this.buf.subarray(this.at));
  }
}
