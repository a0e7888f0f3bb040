/**
 * The memory that lanes read a log into.
 *
 * Records on their way are views of it, for some milliseconds each. Fresh memory for each read would be external memory of V8, which answers
 * megabytes of it a second with full collections, so a chunk is used again when all that was read into it is delivered:
 *
 *   chunk  | read 1 | read 2 | read 3 … | room |      live: records of these reads that are not delivered yet
 *
 * What is not delivered in order (it is copied out, left to another lane, given up) is never counted down: such a chunk is not used again
 * and goes when nobody refers to it any more. A mistake in counting would cost memory at the most on that side; on the other side
 * stands only `PartitionQueue.shift`, which drops what Kafka has or the quarantine.
 */
import { Buffer } from 'node:buffer';

export class Chunk {
  readonly buf: Buffer;
  /** [0, used) is taken. */
  used = 0;
  /** Records in it that wait for their delivery. */
  live = 0;

  constructor(size: number) {
    this.buf = Buffer.allocUnsafeSlow(size);
  }
}

/** Free chunks that are kept: what is on its way at 20,000 traps a second stands in some ten of them. */
const KEPT = 16;

export class Chunks {
  private readonly size: number;
  private current: Chunk | undefined;
  private free: Chunk[] = [];

  /** `size`: bytes of a chunk. */
  constructor(size: number) {
    this.size = size;
  }

  /** A chunk with room for `bytes` behind `used`. */
  take(bytes: number): Chunk {
    if (bytes > this.size) return new Chunk(bytes);
    if (this.current === undefined || this.size - this.current.used < bytes)
      this.current = this.free.pop() ?? new Chunk(this.size);
    return this.current;
  }

  /** `n` records in it are delivered. */
  release(c: Chunk, n: number): void {
    c.live -= n;
    if (c.live === 0) this.reuse(c);
  }

  /** Nobody refers to what was read into it. */
  reuse(c: Chunk): void {
    c.used = 0;
    if (c !== this.current && c.buf.length === this.size && this.free.length < KEPT) this.free.push(c);
  }
}
