/**
 * A bounded cursor over protobuf wire format (protobuf.dev/programming-guides/encoding).
 *
 *   message := (tag value)*     tag := varint of (field number << 3 | wire type)
 *   wire type 0 varint, 1 eight bytes, 2 varint length + bytes, 5 four bytes; 3 and 4 (groups) are no proto3
 *
 * Nothing throws: the first fault is kept in `error`, and from then on `more()` is false.
 */
import { type Buffer, isUtf8 } from 'node:buffer';
import { type DecodeCode, DecodeError } from '../../core/result.ts';

export const WIRE_VARINT = 0;
export const WIRE_64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_32 = 5;

export class Wire {
  readonly buf: Buffer;
  pos = 0;
  end: number;
  error: DecodeError | undefined;
  layer: string;
  /** The last varint, as two unsigned 32-bit halves. */
  lo = 0;
  hi = 0;

  constructor(buf: Buffer, layer: string) {
    this.buf = buf;
    this.end = buf.length;
    this.layer = layer;
  }

  fail(code: DecodeCode, at = this.pos): void {
    this.error ??= new DecodeError(code, at, this.layer);
    this.pos = this.end;
  }

  more(): boolean {
    return this.pos < this.end && this.error === undefined;
  }

  /** Field number << 3 | wire type; 0 after a fault. */
  tag(): number {
    const at = this.pos;
    const first = this.buf[at];
    if (first < 0x80) {
      this.pos = at + 1;
      if (first < 8) this.fail('tag', at);
      return first;
    }
    this.varint();
    if (this.hi !== 0 || this.lo < 8) this.fail('tag', at);
    return this.error ? 0 : this.lo;
  }

  /** Reads up to 10 bytes into `lo` and `hi`. */
  varint(): void {
    const { buf, end } = this;
    const start = this.pos;
    let pos = start;
    let lo = 0;
    let hi = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (pos >= end) {
        this.lo = this.hi = 0;
        this.fail('truncated', start);
        return;
      }
      const b = buf[pos++];
      const bits = b & 0x7f;
      if (shift < 28) lo |= bits << shift;
      else if (shift === 28) {
        lo |= bits << 28;
        hi |= bits >>> 4;
      } else hi |= bits << (shift - 32);
      if (b < 0x80) {
        if (shift === 63 && bits > 1) break;
        this.lo = lo >>> 0;
        this.hi = hi >>> 0;
        this.pos = pos;
        return;
      }
    }
    this.lo = this.hi = 0;
    this.fail('range', start);
  }

  /** uint32 and enums: what does not fit is cut, as protobuf does. */
  u32(): number {
    this.varint();
    return this.lo;
  }

  bool(): boolean {
    this.varint();
    return this.lo !== 0 || this.hi !== 0;
  }

  /** uint64 as decimal text. */
  u64(): string {
    this.varint();
    return this.hi < 0x200000 ? String(this.hi * 4294967296 + this.lo) : big(this.hi, this.lo).toString();
  }

  /** int64 (two's complement in ten bytes where negative) as decimal text. */
  i64(): string {
    this.varint();
    if (this.hi < 0x200000) return String(this.hi * 4294967296 + this.lo);
    return BigInt.asIntN(64, big(this.hi, this.lo)).toString();
  }

  float(): number {
    return this.fixed(4) ? this.buf.readFloatLE(this.pos - 4) : 0;
  }

  double(): number {
    return this.fixed(8) ? this.buf.readDoubleLE(this.pos - 8) : 0;
  }

  private fixed(n: number): boolean {
    if (this.pos + n > this.end) {
      this.fail('truncated');
      return false;
    }
    this.pos += n;
    return true;
  }

  /** The length of a length-delimited field, checked against what is left; 0 after a fault. */
  private length(): number {
    const at = this.pos;
    this.varint();
    if (this.hi !== 0 || this.lo > this.end - this.pos) {
      this.fail('truncated', at);
      return 0;
    }
    return this.lo;
  }

  /** Narrows the cursor to a nested message and returns what `leave` wants back. */
  enter(): number {
    const outer = this.end;
    const n = this.length();
    this.end = this.pos + n;
    return outer;
  }

  leave(outer: number): void {
    this.pos = this.end;
    this.end = outer;
  }

  /** A view. */
  bytes(): Buffer {
    const n = this.length();
    this.pos += n;
    return this.buf.subarray(this.pos - n, this.pos);
  }

  /** UTF-8; anything else is the fault `value` (proto3 allows nothing else in a string). */
  string(): string {
    const n = this.length();
    const at = this.pos;
    this.pos += n;
    const text = this.buf.toString('utf8', at, at + n);
    if (text.includes('\ufffd') && !isUtf8(this.buf.subarray(at, at + n))) this.fail('value', at);
    return text;
  }

  /** An unknown field. */
  skip(tag: number): void {
    switch (tag & 7) {
      case WIRE_VARINT:
        this.varint();
        return;
      case WIRE_64:
        this.fixed(8);
        return;
      case WIRE_BYTES:
        this.pos += this.length();
        return;
      case WIRE_32:
        this.fixed(4);
        return;
      default:
        this.fail('tag');
    }
  }
}

function big(hi: number, lo: number): bigint {
  return (BigInt(hi) << 32n) | BigInt(lo);
}
