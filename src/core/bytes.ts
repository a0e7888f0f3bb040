import { Buffer } from 'node:buffer';

/** Octets as events say them: `0x` and lower-case digits. */
export function octetText(b: Buffer): string {
  return `0x${b.toString('hex')}`;
}

/**
 * A bounded cursor over received bytes, network byte order. It never throws: a read past the end sets `failed` and returns 0
 * (or an empty view), so a decoder reads a whole fixed part and asks once. `end` bounds a nested part without copying.
 */
export class Reader {
  readonly buf: Buffer;
  pos: number;
  end: number;
  failed = false;

  constructor(buf: Buffer, pos = 0, end = buf.length) {
    this.buf = buf;
    this.pos = pos;
    this.end = end;
  }

  get left(): number {
    return this.end - this.pos;
  }

  private take(n: number): number {
    const at = this.pos;
    if (n < 0 || at + n > this.end) {
      this.failed = true;
      this.pos = this.end;
      return -1;
    }
    this.pos = at + n;
    return at;
  }

  u8(): number {
    const at = this.take(1);
    return at < 0 ? 0 : this.buf[at];
  }

  u16(): number {
    const at = this.take(2);
    return at < 0 ? 0 : (this.buf[at] << 8) | this.buf[at + 1];
  }

  u24(): number {
    const at = this.take(3);
    return at < 0 ? 0 : (this.buf[at] << 16) | (this.buf[at + 1] << 8) | this.buf[at + 2];
  }

  u32(): number {
    const at = this.take(4);
    return at < 0 ? 0 : this.buf.readUInt32BE(at);
  }

  u64(): bigint {
    const at = this.take(8);
    return at < 0 ? 0n : this.buf.readBigUInt64BE(at);
  }

  /** A view of the next `n` bytes, not a copy: copy it before the datagram's buffer is reused. */
  bytes(n: number): Buffer {
    const at = this.take(n);
    return at < 0 ? EMPTY : this.buf.subarray(at, at + n);
  }

  skip(n: number): void {
    this.take(n);
  }

  /** A reader of the next `n` bytes; this one moves behind them. */
  sub(n: number): Reader {
    const at = this.take(n);
    if (at < 0) {
      const r = new Reader(this.buf, this.end, this.end);
      r.failed = true;
      return r;
    }
    return new Reader(this.buf, at, at + n);
  }
}

const EMPTY = Buffer.alloc(0);

/** A growing buffer for encoders, network byte order. Throws RangeError only on programmer error (a number out of range). */
export class Writer {
  private buf: Buffer;
  pos = 0;

  constructor(size = 256) {
    this.buf = Buffer.allocUnsafe(size);
  }

  private room(n: number): number {
    const at = this.pos;
    if (at + n > this.buf.length) {
      const next = Buffer.allocUnsafe(Math.max(this.buf.length * 2, at + n));
      this.buf.copy(next, 0, 0, at);
      this.buf = next;
    }
    this.pos = at + n;
    return at;
  }

  u8(v: number): this {
    // `room` may replace `buf`, so it must come first.
    const at = this.room(1);
    this.buf[at] = v;
    return this;
  }

  u16(v: number): this {
    const at = this.room(2);
    this.buf.writeUInt16BE(v, at);
    return this;
  }

  u24(v: number): this {
    const at = this.room(3);
    this.buf.writeUIntBE(v, at, 3);
    return this;
  }

  u32(v: number): this {
    const at = this.room(4);
    this.buf.writeUInt32BE(v >>> 0, at);
    return this;
  }

  u64(v: bigint): this {
    const at = this.room(8);
    this.buf.writeBigUInt64BE(v, at);
    return this;
  }

  bytes(b: Uint8Array): this {
    const at = this.room(b.length);
    this.buf.set(b, at);
    return this;
  }

  /** Overwrites two bytes at `at`: a length that is known only after its content. */
  patchU16(at: number, v: number): this {
    this.buf.writeUInt16BE(v, at);
    return this;
  }

  patchU8(at: number, v: number): this {
    this.buf[at] = v;
    return this;
  }

  patchU32(at: number, v: number): this {
    this.buf.writeUInt32BE(v >>> 0, at);
    return this;
  }

  reset(): this {
    this.pos = 0;
    return this;
  }

  /** A copy of what was written. */
  done(): Buffer {
    return Buffer.from(this.buf.subarray(0, this.pos));
  }

  /** A view of what was written, valid until the next write. */
  view(): Buffer {
    return this.buf.subarray(0, this.pos);
  }
}
