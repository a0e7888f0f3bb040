/**
 * `tidegate audit --kafka`: proves from the topics alone that nothing is missing, or names what is. Manifests (system.v1, kind manifest) say
 * which seqs a worker spooled in a boot and class, and the hash of them; every other event says its seq in `rx`. Pure but for the reading,
 * which is handed in (kafka/reader.ts).
 *
 * Memory: 16 bytes an event, in arrays by (node, worker, boot, class).
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { EventClass } from '../event/types.ts';
import { EVENT_CLASSES } from '../event/types.ts';
import type { Manifest } from '../spool/manifest.ts';

export interface AuditedRecord {
  type: string;
  /** Header ce_tidegatenode; `rx.node` of a record that has none. */
  value: Buffer;
}

export interface StreamId {
  node: string;
  worker: number;
  boot: number;
  class: EventClass;
}

export interface AuditFinding extends StreamId {
  /**
   * missing: no topic has these seqs. changed: all are there, and not as they were spooled. gap: seqs that are not there and of which no manifest
   * speaks, though it is time: behind them stands one that is older than a manifest's minute, or their boot has ended.
   */
  kind: 'missing' | 'changed' | 'gap';
  /** Inclusive. */
  ranges: [number, number][];
  count: number;
}

/** What could not be read; `partition` absent: the whole topic. */
export interface Unread {
  topic: string;
  partition?: number;
  reason: string;
}

export interface AuditReport {
  /** Nothing is missing, all of it was read, and there was something to judge by: a manifest. */
  clean: boolean;
  /** Where there is any, the verdict is partial: what is missing may be there. */
  unread: Unread[];
  /** Topics of the configuration that the cluster does not have. */
  absent: string[];
  /** Records read, repetitions included. */
  records: number;
  events: number;
  repeated: number;
  manifests: number;
  /** Events that no manifest speaks of (yet): of the last minute, or of a process that was killed. */
  uncovered: number;
  /** Seqs below the highest one read that are not there and of which no manifest speaks yet: on their way, or missing. Audit again later. */
  open: number;
  /** Events known to be in the quarantine file instead of their topic. */
  quarantined: number;
  /** Records without coordinates: not ours. */
  foreign: number;
  findings: AuditFinding[];
}

interface Rx {
  node?: unknown;
  worker?: unknown;
  boot?: unknown;
  class?: unknown;
  seq?: unknown;
  at?: unknown;
}

/** A manifest is written each minute; it gets another one to arrive. */
const OPEN_SECONDS = 120;

/** Seqs, CRCs and times of one stream, as they come; sorted when it is judged. */
class Stream {
  readonly id: StreamId;
  private seqs = new Float64Array(1024);
  private crcs = new Uint32Array(1024);
  /** Received, UTC seconds; 0: not said. */
  private times = new Uint32Array(1024);
  private length = 0;
  readonly manifests: Manifest[] = [];
  readonly quarantined = new Set<number>();
  repeated = 0;

  constructor(id: StreamId) {
    this.id = id;
  }

  add(seq: number, crc: number, at: number): void {
    if (this.length === this.seqs.length) {
      const seqs = new Float64Array(this.length * 2);
      const crcs = new Uint32Array(this.length * 2);
      const times = new Uint32Array(this.length * 2);
      seqs.set(this.seqs);
      crcs.set(this.crcs);
      times.set(this.times);
      this.seqs = seqs;
      this.crcs = crcs;
      this.times = times;
    }
    this.seqs[this.length] = seq;
    this.times[this.length] = at;
    this.crcs[this.length++] = crc;
  }

  /** In order of seq, each once. */
  sorted(): Sorted {
    const order = new Uint32Array(this.length).map((_, i) => i).sort((a, b) => this.seqs[a] - this.seqs[b]);
    const seqs = new Float64Array(this.length);
    const crcs = new Uint32Array(this.length);
    const times = new Uint32Array(this.length);
    let n = 0;
    for (const i of order) {
      if (n > 0 && seqs[n - 1] === this.seqs[i]) {
        this.repeated++;
        continue;
      }
      seqs[n] = this.seqs[i];
      times[n] = this.times[i];
      crcs[n++] = this.crcs[i];
    }
    return { seqs: seqs.subarray(0, n), crcs: crcs.subarray(0, n), times: times.subarray(0, n) };
  }
}

interface Sorted {
  seqs: Float64Array;
  crcs: Uint32Array;
  times: Uint32Array;
}

/** What is known besides the records. */
export interface AuditContext {
  unread?: Unread[];
  absent?: string[];
  /** UTC milliseconds. */
  nowMs: number;
}

export class Audit {
  private readonly streams = new Map<string, Stream>();
  private records = 0;
  private foreign = 0;

  /** One record of any topic. The same record twice is a repetition, which at-least-once allows. */
  add(r: AuditedRecord): void {
    this.records++;
    const data = parse(r.value);
    const id = coordinates(data?.rx);
    if (!data || !id) {
      this.foreign++;
      return;
    }
    const stream = this.stream(id);
    if (r.type === 'dlq.v1') {
      // A notice keeps the coordinates of the event it speaks of.
      stream.quarantined.add(id.seq);
      return;
    }
    stream.add(id.seq, crc32(r.value), secondsOf(data.rx));
    if (r.type === 'system.v1' && data.kind === 'manifest') {
      const m = manifestOf(data);
      if (!m) return;
      const worker = typeof data.worker === 'number' ? data.worker : id.worker;
      this.stream({ node: id.node, worker, boot: m.boot, class: m.class }).manifests.push(m);
    }
  }

  report({ unread = [], absent = [], nowMs }: AuditContext): AuditReport {
    const out: AuditReport = {
      clean: true,
      unread,
      absent,
      records: this.records,
      events: 0,
      repeated: 0,
      manifests: 0,
      uncovered: 0,
      open: 0,
      quarantined: 0,
      foreign: this.foreign,
      findings: [],
    };
    const newest = new Map<string, number>();
    for (const { id } of this.streams.values()) {
      const of = `${id.node} ${id.worker}`;
      newest.set(of, Math.max(newest.get(of) ?? 0, id.boot));
    }
    for (const s of this.streams.values()) {
      const ended = newest.get(`${s.id.node} ${s.id.worker}`)! > s.id.boot;
      this.judge(s, out, (at) => ended || (at > 0 && nowMs / 1000 - at > OPEN_SECONDS));
    }
    out.findings.sort((a, b) => a.node.localeCompare(b.node) || a.worker - b.worker || a.boot - b.boot);
    out.clean = out.findings.length === 0 && unread.length === 0 && out.manifests > 0;
    return out;
  }

  private stream(id: StreamId): Stream {
    const key = `${id.node} ${id.worker} ${id.boot} ${id.class}`;
    let s = this.streams.get(key);
    if (!s) {
      const { node, worker, boot, class: cls } = id;
      s = new Stream({ node, worker, boot, class: cls });
      this.streams.set(key, s);
    }
    return s;
  }

  /** `due`: should a manifest speak of what was received at this time (UTC seconds)? */
  private judge(s: Stream, out: AuditReport, due: (at: number) => boolean): void {
    const { seqs, crcs, times } = s.sorted();
    out.events += seqs.length;
    out.repeated += s.repeated;
    let covered = 0;
    const done = new Set<string>();
    for (const m of s.manifests) {
      // A manifest may be delivered twice.
      const key = `${m.first} ${m.last} ${m.count} ${m.hash}`;
      if (done.has(key)) continue;
      done.add(key);
      out.manifests++;
      const from = lowerBound(seqs, m.first);
      const to = lowerBound(seqs, m.last + 1);
      covered += to - from;
      if (to - from === m.count && hashOf(seqs, crcs, from, to) === m.hash) continue;
      const absent = gaps(seqs, from, to, m.first, m.last);
      const missing = without(absent, s.quarantined);
      out.quarantined += size(absent) - size(missing);
      // What was damaged on disk before it could be sent is in no manifest's count: such gaps are not missing here.
      const expected = m.count - (to - from) - (size(absent) - size(missing));
      if (expected > 0)
        out.findings.push({ ...s.id, kind: 'missing', ranges: missing, count: Math.min(expected, size(missing)) });
      else if (size(absent) === size(missing)) {
        out.findings.push({ ...s.id, kind: 'changed', ranges: [[m.first, m.last]], count: to - from });
      }
    }
    out.uncovered += Math.max(0, seqs.length - covered);
    if (seqs.length === 0) return;
    const spoken = s.manifests.map((m): [number, number] => [m.first, m.last]).sort((a, b) => a[0] - b[0]);
    const late: [number, number][] = [];
    for (const [a, b] of without(gaps(seqs, 0, seqs.length, seqs[0], seqs[seqs.length - 1]), s.quarantined)) {
      const open = unspoken(a, b, spoken);
      // What stands behind the gap was received after what is missing.
      if (due(times[lowerBound(seqs, b + 1)])) late.push(...open);
      else out.open += size(open);
    }
    if (late.length > 0) out.findings.push({ ...s.id, kind: 'gap', ranges: late, count: size(late) });
  }
}

/** The parts of a..b that are in none of the ranges, which are sorted. */
function unspoken(a: number, b: number, ranges: readonly [number, number][]): [number, number][] {
  const out: [number, number][] = [];
  let next = a;
  for (const [first, last] of ranges) {
    if (last < next || first > b) continue;
    if (first > next) out.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= b) out.push([next, b]);
  return out;
}

/** UTC seconds of `rx.at`; 0 where it is no time. */
function secondsOf(rx: unknown): number {
  const { at } = (rx ?? {}) as Rx;
  const ms = typeof at === 'string' ? Date.parse(at) : Number.NaN;
  return Number.isNaN(ms) ? 0 : Math.floor(ms / 1000);
}

function parse(value: Buffer): Record<string, unknown> | undefined {
  try {
    const v: unknown = JSON.parse(value.toString('utf8'));
    return typeof v === 'object' && v !== null ? (v as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function coordinates(v: unknown): (StreamId & { seq: number }) | undefined {
  const { node, worker, boot, class: cls, seq } = (v ?? {}) as Rx;
  if (typeof node !== 'string' || typeof worker !== 'number' || typeof boot !== 'number' || typeof seq !== 'number')
    return undefined;
  const known = EVENT_CLASSES.find((c) => c === cls);
  return known && { node, worker, boot, class: known, seq };
}

function manifestOf(d: Record<string, unknown>): Manifest | undefined {
  const { boot, first, last, count, hash } = d;
  const cls = EVENT_CLASSES.find((c) => c === d.class);
  if (!cls || typeof hash !== 'string') return undefined;
  for (const n of [boot, first, last, count]) if (typeof n !== 'number') return undefined;
  return { boot, class: cls, first, last, count, hash } as Manifest;
}

function lowerBound(a: Float64Array, value: number): number {
  let lo = 0;
  let hi = a.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (a[mid] < value) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

/** `sha256:` over (seq u64, crc32 of the value u32), big-endian, in order of seq: as spool/manifest.ts makes it. */
function hashOf(seqs: Float64Array, crcs: Uint32Array, from: number, to: number): string {
  const h = createHash('sha256');
  const entry = Buffer.alloc(12 * Math.min(4096, Math.max(1, to - from)));
  let used = 0;
  for (let i = from; i < to; i++) {
    entry.writeUInt32BE(Math.floor(seqs[i] / 2 ** 32), used);
    entry.writeUInt32BE(seqs[i] % 2 ** 32, used + 4);
    entry.writeUInt32BE(crcs[i], used + 8);
    used += 12;
    if (used === entry.length) {
      h.update(entry);
      used = 0;
    }
  }
  return `sha256:${h.update(entry.subarray(0, used)).digest('hex')}`;
}

/** Inclusive ranges of first..last that are not in seqs[from..to). */
function gaps(seqs: Float64Array, from: number, to: number, first: number, last: number): [number, number][] {
  const out: [number, number][] = [];
  let next = first;
  for (let i = from; i < to; i++) {
    if (seqs[i] > next) out.push([next, seqs[i] - 1]);
    next = seqs[i] + 1;
  }
  if (next <= last) out.push([next, last]);
  return out;
}

function without(ranges: [number, number][], known: Set<number>): [number, number][] {
  if (known.size === 0) return ranges;
  const out: [number, number][] = [];
  const sorted = [...known].sort((a, b) => a - b);
  for (let [a, b] of ranges) {
    for (const k of sorted) {
      if (k < a || k > b) continue;
      if (k > a) out.push([a, k - 1]);
      a = k + 1;
    }
    if (a <= b) out.push([a, b]);
  }
  return out;
}

function size(ranges: [number, number][]): number {
  return ranges.reduce((n, [a, b]) => n + b - a + 1, 0);
}

/** For people. */
export function formatAudit(r: AuditReport): string {
  const lines = [
    `${r.records} records read: ${r.events} events, ${r.repeated} repeated, ${r.quarantined} in quarantine, ${r.foreign} not ours`,
    `${r.manifests} manifests; ${r.uncovered} events are not covered by one yet`,
  ];
  for (const f of r.findings) {
    const where = `node ${f.node}, worker ${f.worker}, boot ${f.boot}, class ${f.class}`;
    const shown = f.ranges.slice(0, 20).map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`));
    const more = f.ranges.length > 20 ? ` and ${f.ranges.length - 20} more ranges` : '';
    const seqs = `${where}, seq ${shown.join(', ')}${more}`;
    if (f.kind === 'missing') lines.push(`MISSING ${f.count} events: ${seqs}`);
    else if (f.kind === 'changed') lines.push(`CHANGED: ${seqs}: all are there, but not as they were spooled`);
    else
      lines.push(
        `GAP of ${f.count} events: ${seqs}: no manifest speaks of them, though it should by now: lost, or still in the spool of a node that cannot publish them`,
      );
  }
  if (r.absent.length > 0) lines.push(`topics that do not exist: ${r.absent.join(', ')}`);
  for (const u of r.unread)
    lines.push(`NOT READ: ${u.topic}${u.partition === undefined ? '' : ` partition ${u.partition}`}: ${u.reason}`);
  if (r.open > 0)
    lines.push(`${r.open} seqs are not there, and no manifest speaks of them yet: audit again in a minute`);
  if (r.unread.length > 0)
    lines.push('partial: of what could not be read nothing is known, and what is missing above may be there');
  if (r.manifests === 0)
    lines.push(
      'nothing to judge: no manifest was read; they are in system.v1, a minute after the first event at the latest',
    );
  lines.push(r.clean ? 'clean: nothing that a manifest speaks of is missing' : 'not clean');
  return lines.join('\n');
}
