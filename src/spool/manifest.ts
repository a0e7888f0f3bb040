/**
 * Manifests: what a worker says it spooled, so that an audit of the topics can prove that nothing is missing. The hash is SHA-256
 * over one entry a record, in order: seq (u64, big-endian) and the CRC-32 of the record's value (u32, big-endian).
 */
import { Buffer } from 'node:buffer';
import { createHash, type Hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { decodeRecord } from '../event/record.ts';
import type { EventClass } from '../event/types.ts';
import type { SpoolReader } from './reader.ts';
import { writeU64 } from './segment.ts';
import type { Position } from './types.ts';

/** The fields of a `system.v1` event of kind manifest. `count` may be less than last - first + 1 where records were damaged. */
export interface Manifest {
  boot: number;
  class: EventClass;
  first: number;
  last: number;
  count: number;
  /** `sha256:` and 64 hex digits. */
  hash: string;
}

const ENTRY = 12;
const CHUNK = ENTRY * 4096;

/** The running manifest of one class. `add` costs one entry in a preallocated buffer; the hash is fed 4096 entries at a time. */
export class ManifestBuilder {
  private readonly boot: number;
  private readonly cls: EventClass;
  private readonly chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK);
  private used = 0;
  private hash: Hash | undefined;
  private first = 0;
  private last = 0;
  private count = 0;

  constructor(boot: number, cls: EventClass) {
    this.boot = boot;
    this.cls = cls;
  }

  /** `valueCrc`: node:zlib crc32 of the record's value. Call in order of seq. */
  add(seq: number, valueCrc: number): void {
    if (this.used === CHUNK) {
      (this.hash ??= createHash('sha256')).update(this.chunk);
      this.used = 0;
    }
    writeU64(this.chunk, this.used, seq);
    this.chunk.writeUInt32BE(valueCrc, this.used + 8);
    this.used += ENTRY;
    if (this.count++ === 0) this.first = seq;
    this.last = seq;
  }

  /** The manifest of everything added since the last call; undefined where there is nothing. */
  take(): Manifest | undefined {
    if (this.count === 0) return undefined;
    const digest = (this.hash ?? createHash('sha256')).update(this.chunk.subarray(0, this.used)).digest('hex');
    const { boot, cls, first, last, count } = this;
    this.hash = undefined;
    this.used = 0;
    this.count = 0;
    return { boot, class: cls, first, last, count, hash: `sha256:${digest}` };
  }
}

/** The CRC an entry holds, of a record's payload; undefined where it is no event. */
export function valueCrc(payload: Buffer): number | undefined {
  const record = decodeRecord(payload);
  return record && crc32(record.value);
}

/**
 * The manifests of what earlier boots spooled after their last manifest: reads `reader` (a log of class `cls`) from its oldest record
 * (or `from`, before which all is known to be covered) to its end. `lastManifested` says up to which seq a boot is covered (0: not at all); `currentBoot` is left out.
 * Empty where `stopped` says that nobody needs it any more.
 */
export async function recoverTail(
  reader: SpoolReader,
  cls: EventClass,
  currentBoot: number,
  lastManifested: (boot: number) => number,
  from: Position | 'oldest' = 'oldest',
  stopped: () => boolean = () => false,
): Promise<Manifest[]> {
  const out: Manifest[] = [];
  let builder: ManifestBuilder | undefined;
  let boot = -1;
  let covered = 0;
  const finish = () => {
    const m = builder?.take();
    if (m) out.push(m);
  };
  reader.seek(from);
  for (let records = reader.read(); records.length > 0; records = reader.read()) {
    // A large log takes long: the loop has to turn meanwhile.
    await setImmediate();
    if (stopped()) return [];
    for (const r of records) {
      if (r.boot !== boot) {
        finish();
        boot = r.boot;
        builder = boot === currentBoot ? undefined : new ManifestBuilder(boot, cls);
        covered = builder ? lastManifested(boot) : 0;
      }
      if (!builder || r.seq <= covered) continue;
      const crc = valueCrc(r.payload);
      if (crc !== undefined) builder.add(r.seq, crc);
    }
  }
  finish();
  return out;
}

/** What a system log says is covered: by worker, boot and class, the last seq of a manifest in it. `worker` wrote it. */
export async function manifestedSeqs(
  system: SpoolReader,
  worker: number,
  out: Map<string, number> = new Map(),
): Promise<Map<string, number>> {
  system.seek('oldest');
  for (let records = system.read(); records.length > 0; records = system.read()) {
    await setImmediate();
    for (const r of records) {
      const record = decodeRecord(r.payload);
      if (record?.type !== 'system.v1' || !record.value.includes('"manifest"')) continue;
      const m = parse(record.value);
      if (m?.kind !== 'manifest' || typeof m.last !== 'number' || typeof m.boot !== 'number') continue;
      const key = manifestKey(typeof m.worker === 'number' ? m.worker : worker, m.boot, String(m.class));
      out.set(key, Math.max(out.get(key) ?? 0, m.last));
    }
  }
  return out;
}

/** The key of `manifestedSeqs`. */
export function manifestKey(worker: number, boot: number, cls: string): string {
  return `${worker} ${boot} ${cls}`;
}

function parse(value: Buffer): Record<string, unknown> | undefined {
  try {
    return JSON.parse(value.toString('utf8')) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
