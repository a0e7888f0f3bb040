/** What `tidegate spool ls|verify|export` do. They only read, and may run beside a running instance. */
import { structuredJson } from '../event/envelope.ts';
import { decodeRecord, type EventRecord } from '../event/record.ts';
import { EVENT_CLASSES, EVENT_TYPES, type EventClass, type EventType } from '../event/types.ts';
import { realFs, type SpoolFs } from './fs.ts';
import { type FoundLog, listLogs } from './generations.ts';
import { type ReaderDamage, SpoolReader } from './reader.ts';
import { scanSegment } from './segment.ts';
import { listSegments, probeSegment, readWhole, segmentPath, withFile } from './segment-file.ts';
import type { Position } from './types.ts';

export interface SegmentListing {
  generation: number;
  worker: number;
  class: EventClass;
  segment: number;
  path: string;
  bytes: number;
  sealed: boolean;
  /** Absent where the header cannot be read. */
  boot?: number;
  first_seq?: number;
  /** Only of sealed segments. */
  last_seq?: number;
  records?: number;
}

/** Every segment; only headers and footers are read. Throws SpoolFormatError on a newer format. */
export function listSpool(spoolDir: string, fs: SpoolFs = realFs): SegmentListing[] {
  const out: SegmentListing[] = [];
  for (const log of listLogs(spoolDir, fs)) {
    for (const number of listSegments(fs, log.dir)) {
      const path = segmentPath(log.dir, number);
      const { opened, size } = withFile(fs, path, (fd) => probeSegment(fs, fd, path));
      const { generation, worker } = log;
      const base = { generation, worker, class: log.class, segment: number, path, bytes: size };
      if (opened.state !== 'ok') {
        out.push({ ...base, sealed: false });
        continue;
      }
      const { header, footer } = opened;
      out.push({
        ...base,
        sealed: footer !== undefined,
        boot: header.boot,
        first_seq: header.firstSeq,
        last_seq: footer?.lastSeq,
        records: footer?.count,
      });
    }
  }
  return out;
}

export interface VerifyProblem {
  path: string;
  offset: number;
  length: number;
  kind: 'torn' | 'damaged';
  /** Records gone with it, as far as the numbering tells. */
  records: number;
}

export interface VerifyResult {
  segments: number;
  records: number;
  /** Unfinished writes at the end of a segment: normal after a crash and while an instance runs, cut off at the next start. */
  torn: number;
  /** Places where bytes are not what was written. */
  damaged: number;
  problems: VerifyProblem[];
}

/** Reads every record of every segment. `damaged` above 0 is what the verb exits 1 for. */
export function verifySpool(spoolDir: string, fs: SpoolFs = realFs): VerifyResult {
  const out: VerifyResult = { segments: 0, records: 0, torn: 0, damaged: 0, problems: [] };
  for (const log of listLogs(spoolDir, fs)) verifyLog(log, fs, out);
  return out;
}

function verifyLog(log: FoundLog, fs: SpoolFs, out: VerifyResult): void {
  let next: { boot: number; firstSeq: number } | undefined;
  const damaged = (path: string, offset: number, length: number, records: number) => {
    out.damaged++;
    out.problems.push({ path, offset, length, kind: 'damaged', records });
  };
  const torn = (path: string, offset: number, length: number) => {
    out.torn++;
    out.problems.push({ path, offset, length, kind: 'torn', records: 0 });
  };
  for (const number of listSegments(fs, log.dir).reverse()) {
    const path = segmentPath(log.dir, number);
    const { opened } = withFile(fs, path, (fd) => probeSegment(fs, fd, path));
    const buf = readWhole(fs, path);
    out.segments++;
    const boot = opened.state === 'ok' ? opened.header.boot : undefined;
    const limit = next !== undefined && next.boot === boot ? next.firstSeq : Number.POSITIVE_INFINITY;
    const scan = scanSegment(buf, limit);
    if (typeof scan === 'string') {
      if (scan === 'torn') torn(path, 0, buf.length);
      else damaged(path, 0, buf.length, 0);
      continue;
    }
    next = scan.header;
    out.records += scan.count;
    for (const d of scan.damages) damaged(path, d.offset, d.length, d.records);
    const { footer } = scan;
    if (footer && scan.damages.length === 0 && (footer.count !== scan.count || footer.digest !== scan.digest))
      damaged(path, footer.body, 0, Math.max(0, footer.count - scan.count));
    // A header that only the footer made good.
    if (scan.header.created === 0) damaged(path, 0, scan.headerLength, 0);
    if (scan.torn > 0 && !footer) torn(path, scan.end, scan.torn);
  }
}

export interface ExportFilter {
  class?: EventClass;
  type?: EventType;
  /** The subject (device id). */
  device?: string;
  /** UTC seconds: from `since` on, before `until`. */
  since?: number;
  until?: number;
  /** At most so many. */
  limit?: number;
}

/** What stands in the spool and is not among the events. */
export interface LeftOut {
  path: string;
  offset: number;
  /** Bytes stepped over; 0 where records are missing without a trace. */
  length: number;
  /** Records gone with it, as far as the numbering tells. */
  records: number;
}

/**
 * Each record as one structured CloudEvent (event/envelope.ts), oldest first in each log. `node` where a header does not say it; `onLeftOut` is
 * told of each place that cannot be read: the others are printed all the same.
 */
export function* exportSpool(
  spoolDir: string,
  filter: ExportFilter = {},
  node = '',
  onLeftOut: (l: LeftOut) => void = () => {},
  fs: SpoolFs = realFs,
): Generator<string> {
  let left = filter.limit ?? Number.POSITIVE_INFINITY;
  const wanted = filter.type ? EVENT_TYPES.find((t) => t.type === filter.type)!.class : filter.class;
  for (const log of listLogs(spoolDir, fs)) {
    if (wanted && log.class !== wanted) continue;
    const leftOut = (at: Position, length: number, records: number): void =>
      onLeftOut({ path: segmentPath(log.dir, at.segment), offset: at.offset, length, records });
    const onDamage = (d: ReaderDamage): void => leftOut(d.position, d.length, d.records);
    const reader = new SpoolReader({ dir: log.dir, fs, end: 'all', onDamage });
    try {
      for (let records = reader.read(); records.length > 0; records = reader.read()) {
        for (const r of records) {
          if (left <= 0) return;
          const record = decodeRecord(r.payload);
          if (!record) {
            leftOut(r.position, r.next.offset - r.position.offset, 1);
            continue;
          }
          const line = matching(record, r.sec, r.nsec, filter, reader.node || node);
          if (line === undefined) continue;
          left--;
          yield line;
        }
      }
    } finally {
      reader.close();
    }
  }
}

function matching(record: EventRecord, sec: number, nsec: number, f: ExportFilter, node: string): string | undefined {
  if ((f.since !== undefined && sec < f.since) || (f.until !== undefined && sec >= f.until)) return undefined;
  if ((f.type && record.type !== f.type) || (f.device !== undefined && record.subject !== f.device)) return undefined;
  return structuredJson(record, sec, nsec, node);
}

/** True where `text` names a class: for argument checks. */
export function isEventClass(text: string): text is EventClass {
  return EVENT_CLASSES.some((cls) => cls === text);
}
