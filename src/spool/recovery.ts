/**
 * What happens to a log before it is written again: every segment without a footer is read whole, its torn tail is cut off, damaged
 * places are copied to the quarantine, and it is sealed. Sealed segments are taken by their footer. Damaged bytes stay in the file
 * (readers step over them), so nothing that was durable is ever rewritten.
 */
import { Buffer } from 'node:buffer';
import { basename, join } from 'node:path';
import type { EventClass } from '../event/types.ts';
import { mkdirDurable, type SpoolFs, writeAll, writeFileDurable } from './fs.ts';
import { type Damage, encodeFooter, encodeSegmentHeader, type SegmentHeader, scanSegment } from './segment.ts';
import { listSegments, probeSegment, readWhole, segmentPath, withFile } from './segment-file.ts';

/** A segment as the writer keeps it in mind. */
export interface SegmentInfo {
  number: number;
  boot: number;
  firstSeq: number;
  /** The last durable seq; firstSeq - 1 where there is none. */
  lastSeq: number;
  /** Offset behind the last durable record. */
  end: number;
  /** Bytes of the file. */
  bytes: number;
  /** UTC microseconds. */
  created: number;
}

export interface LogRecovery {
  segments: SegmentInfo[];
  /** Every number below it may have been used. */
  nextNumber: number;
  tornBytes: number;
  /** Damaged places. */
  damaged: number;
  /** Records that are gone with them, as far as the numbering tells. */
  lostRecords: number;
}

export interface QuarantineNote {
  file: string;
  segment: string;
  class: EventClass;
  offset: number;
  length: number;
  afterSeq: number;
  records: number;
  reason: 'damaged record' | 'no readable header';
}

/** Refuses a log of a newer format. Called for every class before any is touched. */
export function inspectLog(fs: SpoolFs, dir: string): void {
  for (const number of listSegments(fs, dir)) {
    const path = segmentPath(dir, number);
    withFile(fs, path, (fd) => probeSegment(fs, fd, path));
  }
}

/** Copies damaged bytes to the quarantine, with a note of where they were. The same place gives the same file names. */
export async function quarantine(fs: SpoolFs, dir: string, bytes: Buffer, note: QuarantineNote): Promise<void> {
  await mkdirDurable(fs, dir);
  await writeFileDurable(fs, join(dir, note.file), bytes);
  await writeFileDurable(fs, join(dir, `${note.file}.json`), Buffer.from(`${JSON.stringify(note, null, 2)}\n`));
}

/** `empty` is the header of the writer that is starting: it stands in for a segment whose own header cannot be read. */
export async function recoverLog(
  fs: SpoolFs,
  dir: string,
  quarantineDir: string,
  label: string,
  empty: SegmentHeader,
): Promise<LogRecovery> {
  const numbers = listSegments(fs, dir);
  const out: LogRecovery = {
    segments: [],
    nextNumber: (numbers.at(-1) ?? 0) + 1,
    tornBytes: 0,
    damaged: 0,
    lostRecords: 0,
  };
  let touched = false;
  // Backwards: where a segment ends may be said by the next one's first seq.
  let next: SegmentInfo | undefined;
  for (const number of numbers.reverse()) {
    const path = segmentPath(dir, number);
    const { opened, size } = withFile(fs, path, (fd) => probeSegment(fs, fd, path));
    if (opened.state === 'ok' && opened.footer) {
      const { header, footer } = opened;
      next = {
        number,
        boot: header.boot,
        firstSeq: header.firstSeq,
        lastSeq: footer.lastSeq,
        end: footer.body,
        bytes: size,
        created: header.created,
      };
      out.segments.unshift(next);
      continue;
    }
    touched = true;
    const buf = readWhole(fs, path);
    if (opened.state !== 'ok') {
      // Its header never became durable, or was damaged later: then no record in it can be told from noise.
      out.tornBytes += buf.length;
      if (buf.every((b) => b === 0)) {
        await fs.unlink(path);
        continue;
      }
      const note = noteOf(label, empty.cls, path, { offset: 0, length: buf.length, afterSeq: 0, records: 0 });
      await quarantine(fs, quarantineDir, buf, { ...note, reason: 'no readable header' });
      // An empty segment keeps the number in use: a cursor may have pointed into the old one.
      next = await replaceByEmpty(fs, path, number, empty);
      out.segments.unshift(next);
      continue;
    }
    const limit = next?.boot === opened.header.boot ? next.firstSeq : Number.POSITIVE_INFINITY;
    const scan = scanSegment(buf, limit);
    if (typeof scan === 'string') continue;
    for (const d of scan.damages) {
      out.damaged++;
      out.lostRecords += d.records;
      const bytes = buf.subarray(d.offset, d.offset + d.length);
      await quarantine(fs, quarantineDir, bytes, noteOf(label, empty.cls, path, d));
    }
    out.tornBytes += scan.torn;
    next = {
      number,
      boot: scan.header.boot,
      firstSeq: scan.header.firstSeq,
      lastSeq: scan.lastSeq,
      end: scan.end,
      bytes: scan.end,
      created: scan.header.created,
    };
    out.segments.unshift(next);
    const fd = await fs.openWrite(path);
    try {
      if (scan.torn > 0) {
        await fs.truncate(fd, scan.end);
        await fs.fdatasync(fd);
      }
      const footer = encodeFooter({
        cls: scan.header.cls,
        worker: scan.header.worker,
        headerLength: scan.headerLength,
        boot: scan.header.boot,
        firstSeq: scan.header.firstSeq,
        lastSeq: scan.lastSeq,
        count: scan.count,
        digest: scan.digest,
        body: scan.end,
        damaged: scan.damages.length,
      });
      try {
        await writeAll(fs, fd, footer, footer.length, scan.end);
        await fs.fdatasync(fd);
        next.bytes += footer.length;
      } catch {
        // A full disk: the footer only spares the next start a scan.
      }
    } finally {
      await fs.close(fd);
    }
  }
  if (touched) await fs.fsyncDir(dir);
  return out;
}

function noteOf(label: string, cls: EventClass, path: string, d: Damage): QuarantineNote {
  const segment = basename(path);
  return {
    file: `${label}-${segment.replace('.seg', '')}-${d.offset}.bin`,
    segment: path,
    class: cls,
    offset: d.offset,
    length: d.length,
    afterSeq: d.afterSeq,
    records: d.records,
    reason: 'damaged record',
  };
}

async function replaceByEmpty(fs: SpoolFs, path: string, number: number, h: SegmentHeader): Promise<SegmentInfo> {
  const header = encodeSegmentHeader(h);
  const lastSeq = h.firstSeq - 1;
  const footer = encodeFooter({
    cls: h.cls,
    worker: h.worker,
    headerLength: header.length,
    boot: h.boot,
    firstSeq: h.firstSeq,
    lastSeq,
    count: 0,
    digest: 0,
    body: header.length,
    damaged: 0,
  });
  const bytes = Buffer.concat([header, footer]);
  await writeFileDurable(fs, path, bytes);
  return {
    number,
    boot: h.boot,
    firstSeq: h.firstSeq,
    lastSeq,
    end: header.length,
    bytes: bytes.length,
    created: h.created,
  };
}
