/**
 * What Kafka can never accept: one JSON object a line in `<data_dir>/quarantine/<exporter>-<worker>.jsonl`, durable before the event counts as
 * dealt with. `event` is the structured CloudEvent as it would have been published.
 */
import { Buffer } from 'node:buffer';
import { closeSync, fdatasyncSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
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
  close(): void;
}

export class QuarantineFile implements Quarantine {
  readonly file: string;
  private readonly path: string;
  private readonly node: string;
  private fd: number | undefined;

  constructor(dir: string, exporter: string, worker: number, node: string) {
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
    const fd = this.open();
    const bytes = Buffer.from(text);
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    fdatasyncSync(fd);
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  private open(): number {
    if (this.fd !== undefined) return this.fd;
    const dir = dirname(this.path);
    mkdirSync(dir, { recursive: true, mode: 0o750 });
    this.fd = openSync(this.path, 'a', 0o640);
    const dirFd = openSync(dir, 'r');
    try {
      fsyncSync(dirFd);
    } finally {
      closeSync(dirFd);
    }
    return this.fd;
  }
}
