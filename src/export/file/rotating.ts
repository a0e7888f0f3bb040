/**
 * A file of lines that is put aside when it is full or old: `events-0.jsonl`, then `events-0.1.jsonl`, the one before as `.2`, up to `keep`. A piece
 * is written whole into one file, so that no line is cut.
 */
import { Buffer } from 'node:buffer';
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, extname } from 'node:path';

export interface RotateLimits {
  /** Bytes. */
  size: number;
  /** Milliseconds since the first line of a file. */
  age: number;
  keep: number;
}

export class RotatingFile {
  readonly path: string;
  private readonly limits: RotateLimits;
  private fd: number | undefined;
  private size = 0;
  private since = 0;
  rotated = 0;

  constructor(path: string, limits: RotateLimits) {
    this.path = path;
    this.limits = limits;
  }

  /** Throws the operating system's error; then the file is opened again at the next write. `now`: UTC milliseconds. */
  write(text: string, now: number): void {
    const bytes = Buffer.from(text, 'utf8');
    try {
      if (this.fd === undefined) this.open(now);
      const full = this.size > 0 && this.size + bytes.length > this.limits.size;
      if (full || (this.size > 0 && now - this.since >= this.limits.age)) {
        this.rotate();
        this.open(now);
      }
      if (this.size === 0) this.since = now;
      for (let at = 0; at < bytes.length; ) {
        const n = writeSync(this.fd!, bytes, at);
        at += n;
        this.size += n;
      }
    } catch (e) {
      this.close();
      throw e;
    }
  }

  close(): void {
    if (this.fd === undefined) return;
    closeSync(this.fd);
    this.fd = undefined;
  }

  private open(now: number): void {
    mkdirSync(dirname(this.path), { recursive: true });
    this.fd = openSync(this.path, 'a', 0o640);
    const stat = fstatSync(this.fd);
    this.size = stat.size;
    this.since = this.size > 0 ? Math.min(now, stat.birthtimeMs || stat.mtimeMs) : now;
  }

  private rotate(): void {
    this.close();
    this.rotated++;
    const { keep } = this.limits;
    if (keep === 0) {
      rmSync(this.path, { force: true });
      return;
    }
    rmSync(this.numbered(keep), { force: true });
    for (let i = keep - 1; i >= 0; i--) {
      try {
        renameSync(i === 0 ? this.path : this.numbered(i), this.numbered(i + 1));
      } catch (e) {
        if ((e as NodeJS.ErrnoException).code !== 'ENOENT') throw e;
      }
    }
  }

  private numbered(i: number): string {
    return insert(this.path, `.${i}`);
  }
}

/** `dir/events.jsonl` and `-0` → `dir/events-0.jsonl`. */
export function insert(path: string, what: string): string {
  const ext = extname(path);
  return `${path.slice(0, path.length - ext.length)}${what}${ext}`;
}
