/** Opening and measuring segment files: what the log, its recovery, the reader and the tools have in common. */
import { Buffer } from 'node:buffer';
import { join } from 'node:path';
import { SpoolFormatError } from './errors.ts';
import { readFully, type SpoolFs } from './fs.ts';
import {
  FOOTER_LENGTH,
  MAX_HEADER,
  type OpenedSegment,
  openSegment,
  SEGMENT_VERSION,
  segmentName,
  segmentNumber,
} from './segment.ts';
import type { Position } from './types.ts';

/** Negative where `a` comes before `b`. */
export function comparePositions(a: Position, b: Position): number {
  return a.segment - b.segment || a.offset - b.offset;
}

/** The segment numbers of a log's directory, ascending. */
export function listSegments(fs: SpoolFs, dir: string): number[] {
  return fs
    .readdirSync(dir)
    .map(segmentNumber)
    .filter((n) => n !== undefined)
    .sort((a, b) => a - b);
}

export function segmentPath(dir: string, number: number): string {
  return join(dir, segmentName(number));
}

/** Reads header and footer of an open segment. Throws SpoolFormatError where a newer version wrote it. */
export function probeSegment(fs: SpoolFs, fd: number, path: string): { opened: OpenedSegment; size: number } {
  const size = fs.sizeSync(fd);
  const head = Buffer.alloc(Math.min(size, MAX_HEADER));
  const tail = Buffer.alloc(Math.min(size, FOOTER_LENGTH));
  const opened = openSegment(
    head.subarray(0, readFully(fs, fd, head, head.length, 0)),
    tail.subarray(0, readFully(fs, fd, tail, tail.length, size - tail.length)),
    size,
  );
  if (opened.state === 'newer') throw new SpoolFormatError(path, head.readUInt16BE(8), SEGMENT_VERSION);
  return { opened, size };
}

/** Runs `fn` with a segment opened for reading. */
export function withFile<T>(fs: SpoolFs, path: string, fn: (fd: number) => T): T {
  const fd = fs.openReadSync(path);
  try {
    return fn(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** The whole file in memory: recovery and tools, one segment at a time. */
export function readWhole(fs: SpoolFs, path: string): Buffer {
  return withFile(fs, path, (fd) => {
    const buf = Buffer.alloc(fs.sizeSync(fd));
    return buf.subarray(0, readFully(fs, fd, buf, buf.length, 0));
  });
}
