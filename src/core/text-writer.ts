/**
 * Text as UTF-8 bytes, put together in a buffer that grows. What is said again and again is held as bytes and copied; numbers and short texts are
 * written digit by digit. So an event becomes bytes without a string of it ever being made.
 */
import { Buffer } from 'node:buffer';

/** Up to here a loop is cheaper than a call into native code. */
const SHORT = 48;
/** Of an integer below 2^53, and its sign. */
const MOST_DIGITS = 17;
/** `00` to `99`. */
const PAIRS = new Uint8Array(200).map((_, i) => 0x30 + (i % 2 === 0 ? Math.floor(i / 20) : (i >> 1) % 10));

/** How many decimal digits v >= 0 has. */
function digits(v: number): number {
  if (v < 1e5) return v < 100 ? (v < 10 ? 1 : 2) : v < 1000 ? 3 : v < 1e4 ? 4 : 5;
  if (v < 1e10) return v < 1e7 ? (v < 1e6 ? 6 : 7) : v < 1e8 ? 8 : v < 1e9 ? 9 : 10;
  let n = 11;
  for (let limit = 1e11; v >= limit; limit *= 10) n++;
  return n;
}

export class TextWriter {
  /** [0, at) is written. */
  buf: Buffer;
  at = 0;

  /** `size`: bytes there is room for before it grows. */
  constructor(size = 64 * 1024) {
    this.buf = Buffer.allocUnsafeSlow(size);
  }

  /** Room for `n` more bytes. */
  room(n: number): void {
    if (this.at + n <= this.buf.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.buf.length, this.at + n));
    larger.set(this.buf.subarray(0, this.at));
    this.buf = larger;
  }

  bytes(b: Uint8Array): void {
    const { length } = b;
    if (this.at + length > this.buf.length) this.room(length);
    this.buf.set(b, this.at);
    this.at += length;
  }

  /** b[from, from + length), which are few. */
  copy(b: Uint8Array, from: number, length: number): void {
    this.room(length);
    const { buf, at } = this;
    for (let i = 0; i < length; i++) buf[at + i] = b[from + i];
    this.at = at + length;
  }

  /** One ASCII character. */
  char(code: number): void {
    if (this.at === this.buf.length) this.room(1);
    this.buf[this.at++] = code;
  }

  /** Any text. */
  text(s: string): void {
    const { length } = s;
    this.room(3 * length);
    const { buf } = this;
    let { at } = this;
    if (length <= SHORT) {
      let i = 0;
      for (; i < length; i++) {
        const c = s.charCodeAt(i);
        if (c > 0x7f) break;
        buf[at++] = c;
      }
      if (i === length) {
        this.at = at;
        return;
      }
    }
    this.at += buf.write(s, this.at, 'utf8');
  }

  /** A JSON string: `JSON.stringify(s)`. */
  quoted(s: string): void {
    const { length } = s;
    this.room(3 * length + 2);
    const { buf } = this;
    let { at } = this;
    buf[at++] = 0x22;
    for (let i = 0; i < length; i++) {
      const c = s.charCodeAt(i);
      if (c < 0x20 || c > 0x7e || c === 0x22 || c === 0x5c) {
        this.text(JSON.stringify(s));
        return;
      }
      buf[at++] = c;
    }
    buf[at++] = 0x22;
    this.at = at;
  }

  /** Decimal digits of an integer, |n| < 2^53. */
  integer(n: number): void {
    this.room(MOST_DIGITS);
    const { buf } = this;
    let v = n;
    if (v < 0) {
      buf[this.at++] = 0x2d;
      v = -v;
    }
    let at = this.at + digits(v);
    this.at = at;
    // Doubles are divided only as long as they have to be.
    while (v > 0x3fffffff) {
      const q = Math.floor(v / 10);
      buf[--at] = 0x30 + (v - 10 * q);
      v = q;
    }
    let w = v | 0;
    while (w >= 100) {
      const q = (w / 100) | 0;
      const pair = 2 * (w - 100 * q);
      buf[--at] = PAIRS[pair + 1];
      buf[--at] = PAIRS[pair];
      w = q;
    }
    if (w >= 10) {
      buf[--at] = PAIRS[2 * w + 1];
      buf[--at] = PAIRS[2 * w];
    } else buf[--at] = 0x30 + w;
  }

  /** `n` with `width` digits, zeros in front. */
  padded(n: number, width: number): void {
    this.room(width);
    const { buf, at: begin } = this;
    let v = n;
    let at = begin + width;
    while (at - begin >= 2) {
      const q = (v / 100) | 0;
      const pair = 2 * (v - 100 * q);
      buf[--at] = PAIRS[pair + 1];
      buf[--at] = PAIRS[pair];
      v = q;
    }
    if (at > begin) buf[begin] = 0x30 + (v % 10);
    this.at = begin + width;
  }

  /** What was written from `from` on, as a string. */
  toString(from = 0): string {
    return this.buf.toString('utf8', from, this.at);
  }
}
