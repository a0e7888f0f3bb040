/** Whole messages out of a byte stream, for protocols whose header carries the length (BGP, BMP). */
import { Buffer } from 'node:buffer';
import { type DecodeError, isDecodeError } from '../core/result.ts';

/** The length of the message at `pos`; 0 where more bytes are needed to know it; or why the framing is lost. */
export type FrameResult = number | DecodeError;
export type Framer = (buf: Buffer, pos: number, end: number) => FrameResult;

/**
 * Cuts a stream into messages. While nothing is left over, a chunk is read where it lies; only an unfinished message is copied,
 * into one buffer that grows to the announced length at once. Holds at most one unfinished message and one chunk.
 */
export class StreamCutter {
  private buf: Buffer = EMPTY;
  private pos = 0;
  private end = 0;
  /** `buf` is ours, not the caller's chunk. */
  private owned = false;
  private wanted = 0;
  private failure: DecodeError | undefined;

  /** Adds what was received. Call `next` until it has no message, then `retain` before the chunk's memory is used again. */
  push(chunk: Buffer): void {
    const left = this.end - this.pos;
    if (left === 0) {
      this.buf = chunk;
      this.pos = 0;
      this.end = chunk.length;
      this.owned = false;
      return;
    }
    this.reserve(left + chunk.length);
    chunk.copy(this.buf, this.end);
    this.end += chunk.length;
  }

  /** The next whole message as a view (valid until the next `push` or `retain`), undefined where none is complete, or the error that lost the framing: final. */
  next(frame: Framer): Buffer | DecodeError | undefined {
    if (this.failure) return this.failure;
    if (this.end === this.pos) return undefined;
    const length = frame(this.buf, this.pos, this.end);
    if (isDecodeError(length)) {
      this.failure = length;
      return length;
    }
    if (length === 0 || length > this.end - this.pos) {
      this.wanted = length;
      return undefined;
    }
    this.wanted = 0;
    const message = this.buf.subarray(this.pos, this.pos + length);
    this.pos += length;
    return message;
  }

  /** Copies what is left over, so that the last chunk's memory may be used again. */
  retain(): void {
    const left = this.end - this.pos;
    if (left === 0) {
      this.buf = EMPTY;
      this.pos = 0;
      this.end = 0;
      this.owned = false;
    } else if (!this.owned) this.reserve(Math.max(left, this.wanted));
  }

  /** Bytes that are held and not yet given out. */
  get pending(): number {
    return this.end - this.pos;
  }

  /** Makes `buf` ours with room for `total` bytes from the unread part on. */
  private reserve(total: number): void {
    const left = this.end - this.pos;
    const need = Math.max(total, this.wanted);
    if (this.owned && this.buf.length >= need) {
      if (this.buf.length - this.pos >= need) return;
      this.buf.copyWithin(0, this.pos, this.end);
    } else {
      const next = Buffer.allocUnsafe(Math.max(need, 4096));
      this.buf.copy(next, 0, this.pos, this.end);
      this.buf = next;
      this.owned = true;
    }
    this.pos = 0;
    this.end = left;
  }
}

const EMPTY = Buffer.alloc(0);
