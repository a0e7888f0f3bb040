/** A class log in memory with the reader's contract, and shards made of such logs. */
import { Buffer } from 'node:buffer';
import { encodeRecord, FLAG_WANTS_EXPORTED, recordBound } from '../../src/event/record.ts';
import { EVENT_CLASSES, type EventClass, type EventType } from '../../src/event/types.ts';
import type { RecordSource, ShardLogs } from '../../src/export/types.ts';
import { comparePositions } from '../../src/spool/segment-file.ts';
import type { Position, SpooledRecord } from '../../src/spool/types.ts';

export const BOOT = 1_700_000_000_000_000;

/** As it stands in the log: where it is read to, is the reader's. */
export interface LoggedRecord extends Omit<SpooledRecord, 'segment' | 'offset' | 'bytes' | 'at' | 'end' | 'payload'> {
  payload: Buffer;
}

export class MemoryLog {
  readonly records: LoggedRecord[] = [];
  private offset = 100;
  reads = 0;
  openReaders = 0;

  get end(): Position {
    return { segment: 1, offset: this.offset };
  }

  append(type: EventType, key: string, id: string, json: string, wants = false): number {
    const buf = Buffer.alloc(recordBound(key, id, json));
    const n = encodeRecord(buf, 0, type, wants ? FLAG_WANTS_EXPORTED : 0, key, key, id, json);
    const seq = this.records.length + 1;
    const position = this.end;
    this.offset += n + 24;
    this.records.push({
      position,
      next: this.end,
      boot: BOOT,
      seq,
      sec: 1_700_000_000 + seq,
      nsec: seq,
      payload: buf.subarray(0, n),
    });
    return seq;
  }

  open(): RecordSource {
    const log = this;
    let at: Position = { segment: 0, offset: 0 };
    let end: Position | 'all' = { segment: 0, offset: 0 };
    let index = 0;
    log.openReaders++;
    return {
      get position() {
        return at;
      },
      seek(to) {
        at = to === 'oldest' ? { segment: 0, offset: 0 } : to;
        index = lowerBound(log.records, at);
      },
      read(maxBytes, into) {
        log.reads++;
        const out: SpooledRecord[] = [];
        let bytes = 0;
        let used = 0;
        while (index < log.records.length) {
          const r = log.records[index];
          if (end !== 'all' && comparePositions(r.next, end) > 0) break;
          bytes += r.payload.length;
          if (bytes > maxBytes && out.length > 0) break;
          // As the real one: views into the caller's memory, or into memory of its own where the first does not fit.
          const { length } = r.payload;
          if (used + length > into.length && out.length > 0) break;
          const fits = used + length <= into.length;
          const memory = fits ? into : Buffer.from(r.payload);
          const from = fits ? used : 0;
          if (fits) r.payload.copy(into, used);
          used += length;
          const to = from + length;
          const payload = memory.subarray(from, to);
          out.push({ ...r, ...r.position, bytes: memory, at: from, end: to, payload });
          at = r.next;
          index++;
        }
        return out;
      },
      setDurableEnd(to) {
        end = to;
      },
      lag() {
        return { records: log.records.length - index, bytes: 0 };
      },
      close() {
        log.openReaders--;
      },
    };
  }
}

function lowerBound(records: readonly LoggedRecord[], at: Position): number {
  let lo = 0;
  let hi = records.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (comparePositions(records[mid].position, at) < 0) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

export interface MemoryShard extends ShardLogs {
  logs: Record<EventClass, MemoryLog>;
  exported: Record<EventClass, number[]>;
}

export function memoryShard(state?: unknown): MemoryShard {
  const logs = Object.fromEntries(EVENT_CLASSES.map((c) => [c, new MemoryLog()])) as MemoryShard['logs'];
  const exported = Object.fromEntries(EVENT_CLASSES.map((c) => [c, []])) as unknown as MemoryShard['exported'];
  return {
    logs,
    exported,
    boot: BOOT,
    state,
    open: (cls) => logs[cls].open(),
    end: (cls) => logs[cls].end,
    onExported: (cls, seqs) => {
      for (const s of seqs) exported[cls].push(s);
    },
  };
}
