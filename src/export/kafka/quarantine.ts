/**
 * What Kafka can never accept: one JSON object a line in `<data_dir>/quarantine/<exporter>-<worker>.jsonl`, durable before the event counts as
 * dealt with. `event` is the structured CloudEvent as it would have been published.
 *
 * Bounded: a file that has MAX_BYTES is put aside as `<exporter>-<worker>.1.jsonl`, the one before as `.2`, and so on; the oldest of KEPT such
 * files goes. What goes with it was counted when it was set aside, and is counted and told once more.
 */
import { Buffer } from 'node:buffer';
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { structuredJson } from '../../event/envelope.ts';
import type { EventRecord } from '../../event/record.ts';
import type { Position } from '../../spool/types.ts';

export interface Quarantined {
  record: EventRecord;
  sec: number;
  nsec: number;
  topic: string;
  partition: number;
  error: string;
  /** RFC 3339. */
  at: string;
}

export interface Quarantine {
  /** The file's name. */
  readonly file: string;
  /** Durable when it returns. Throws the operating system's error: then nothing counts as set aside. */
  put(entries: readonly Quarantined[]): void;
  /** The same for bytes that are no event known here. */
  putRaw(payload: Buffer, position: Position, error: string, at: string): void;
  /** Events that went with the oldest file. */
  onDropped?: (file: string, events: number) => void;
  close(): void;
}

const MAX_BYTES = 16 * 1024 * 1024;
const KEPT = 7;

export interface QuarantineLimits {
  /** A file that has so many bytes is put aside before the next write. */
  maxBytes: number;
  /** Files that are kept besides the one that is written. */
  kept: number;
}

export class QuarantineFile implements Quarantine {
  readonly file: string;
  private readonly path: string;
  private readonly node: string;
  onDropped: (file: string, events: number) => void = () => {};
  private readonly limits: QuarantineLimits;
  private fd: number | undefined;
  private size = 0;

  constructor(
    dir: string,
    exporter: string,
    worker: number,
    node: string,
    limits: QuarantineLimits = { maxBytes: MAX_BYTES, kept: KEPT },
  ) {
    this.limits = limits;
    this.file = `${exporter}-${worker}.jsonl`;
    this.path = join(dir, this.file);
    this.node = node;
  }

  put(entries: readonly Quarantined[]): void {
    const lines = entries.map((e) => {
      const head = JSON.stringify({ at: e.at, topic: e.topic, partition: e.partition, error: e.error });
      return `${head.slice(0, -1)},"event":${structuredJson(e.record, e.sec, e.nsec, this.node)}}\n`;
    });
    this.append(lines.join(''));
  }

  putRaw(payload: Buffer, position: Position, error: string, at: string): void {
    const { segment, offset } = position;
    this.append(`${JSON.stringify({ at, error, segment, offset, payload: payload.toString('base64') })}\n`);
  }

  private append(text: string): void {
    let fd = this.open();
    if (this.size >= this.limits.maxBytes) {
      this.rotate();
      fd = this.open();
    }
    const bytes = Buffer.from(text);
    for (let done = 0; done < bytes.length; ) {
      const n = writeSync(fd, bytes, done);
      done += n;
      this.size += n;
    }
    fdatasyncSync(fd);
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  /** The file's name with a number, 1 for the one put aside last. */
  private aside(n: number): string {
    return this.path.replace(/\.jsonl$/, `.${n}.jsonl`);
  }

  /** From the oldest on, so that an interruption leaves a gap in the numbers and no file overwritten. */
  private rotate(): void {
    this.close();
    const oldest = this.aside(this.limits.kept);
    if (existsSync(oldest)) {
      const events = countLines(oldest);
      unlinkSync(oldest);
      this.onDropped(basename(oldest), events);
    }
    for (let n = this.limits.kept - 1; n >= 1; n--)
      if (existsSync(this.aside(n))) renameSync(this.aside(n), this.aside(n + 1));
    renameSync(this.path, this.aside(1));
  }

  private open(): number {
    if (this.fd !== undefined) return this.fd;
    const dir = dirname(this.path);
    mkdirSync(dir, { recursive: true, mode: 0o750 });
    this.fd = openSync(this.path, 'a', 0o640);
    this.size = fstatSync(this.fd).size;
    const dirFd = openSync(dir, 'r');
    try {
      fsyncSync(dirFd);
    } finally {
      closeSync(dirFd);
    }
    return this.fd;
  }
}

function countLines(path: string): number {
  const fd = openSync(path, 'r');
  try {
    const chunk = Buffer.alloc(1 << 16);
    let lines = 0;
    for (let n = readSync(fd, chunk); n > 0; n = readSync(fd, chunk))
      for (let at = chunk.indexOf(10); at >= 0 && at < n; at = chunk.indexOf(10, at + 1)) lines++;
    return lines;
  } finally {
    closeSync(fd);
  }
}
