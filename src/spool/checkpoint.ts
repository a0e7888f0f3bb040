/**
 * A small state that survives a power cut: two files written in turn, so that a torn write leaves the other one.
 *
 * `<name>.0.ckpt` and `<name>.1.ckpt`, version 1, big-endian:
 *    0  magic        8 bytes "TIDECKP\n"
 *    8  version      u16   1
 *   10  reserved     u16   0
 *   12  crc32        u32   over everything behind it, up to the end of the state
 *   16  generation   u64   rises by one with each write: the higher valid one counts
 *   24  length       u32   of the state
 *   28  state        JSON (UTF-8); what follows it is left over from a longer state
 */
import { Buffer } from 'node:buffer';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { SpoolFormatError } from './errors.ts';
import { mkdirDurable, type SpoolFs, writeAll } from './fs.ts';
import { readU64, writeU64 } from './segment.ts';
import { readWhole } from './segment-file.ts';

export const CHECKPOINT_VERSION = 1;
const MAGIC = Buffer.from('TIDECKP\n', 'latin1');
const HEAD = 28;

export function encodeCheckpoint(generation: number, state: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(state ?? null), 'utf8');
  const b = Buffer.alloc(HEAD + json.length);
  MAGIC.copy(b, 0);
  b.writeUInt16BE(CHECKPOINT_VERSION, 8);
  writeU64(b, 16, generation);
  b.writeUInt32BE(json.length, 24);
  json.copy(b, HEAD);
  b.writeUInt32BE(crc32(b.subarray(16)), 12);
  return b;
}

/** `newer` where a newer version wrote it, undefined where it is torn or damaged. */
export function decodeCheckpoint(b: Buffer): { generation: number; state: unknown } | { newer: number } | undefined {
  if (b.length < HEAD || b.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0) return undefined;
  const version = b.readUInt16BE(8);
  if (version > CHECKPOINT_VERSION) return { newer: version };
  const end = HEAD + b.readUInt32BE(24);
  if (version === 0 || end > b.length || crc32(b.subarray(16, end)) !== b.readUInt32BE(12)) return undefined;
  try {
    return { generation: readU64(b, 16), state: JSON.parse(b.toString('utf8', HEAD, end)) };
  } catch {
    return undefined;
  }
}

/** The files of one checkpoint. `path` is without `.0.ckpt`. */
export function checkpointFiles(path: string): [string, string] {
  return [`${path}.0.ckpt`, `${path}.1.ckpt`];
}

/** Where the checkpoint of an exporter of a shard is: it goes with the shard. */
export function checkpointPath(shard: string, exporter: string): string {
  return join(shard, `export-${exporter.replace(/[^A-Za-z0-9_-]/g, (c) => `.${c.charCodeAt(0).toString(16)}.`)}`);
}

export class Checkpoint {
  private readonly fs: SpoolFs;
  private readonly files: [string, string];
  private generation = 0;
  /** The slot that holds the newest state; the other one is written next. */
  private newest: 0 | 1 | undefined;
  private writing: Promise<void> = Promise.resolve();
  private queued: { state: unknown; done: Promise<void> } | undefined;
  /** What was found when it was opened; undefined where there was nothing valid. */
  readonly state: unknown;

  /** Reads both slots. Throws SpoolFormatError where a newer version wrote one. */
  constructor(fs: SpoolFs, path: string) {
    this.fs = fs;
    this.files = checkpointFiles(path);
    for (const slot of [0, 1] as const) {
      const file = this.files[slot];
      if (!fs.statSync(file)) continue;
      const found = decodeCheckpoint(readWhole(fs, file));
      if (!found) continue;
      if ('newer' in found) throw new SpoolFormatError(file, found.newer, CHECKPOINT_VERSION);
      if (found.generation <= this.generation) continue;
      this.generation = found.generation;
      this.newest = slot;
      this.state = found.state;
    }
  }

  /**
   * Resolves when the state is durable; rejects with the operating system's error, and the state before stays. A call during a write
   * waits for it, and of several that wait only the last is written.
   */
  write(state: unknown): Promise<void> {
    if (this.queued) {
      this.queued.state = state;
      return this.queued.done;
    }
    const queued = { state, done: Promise.resolve() };
    queued.done = this.writing
      .catch(() => {})
      .then(() => {
        this.queued = undefined;
        this.writing = this.put(queued.state);
        return this.writing;
      });
    this.queued = queued;
    return queued.done;
  }

  private async put(state: unknown): Promise<void> {
    const { fs } = this;
    const slot = this.newest === 0 ? 1 : 0;
    const file = this.files[slot];
    const bytes = encodeCheckpoint(this.generation + 1, state);
    const exists = fs.statSync(file) !== undefined;
    if (!exists) await mkdirDurable(fs, dirname(file));
    const fd = exists ? await fs.openWrite(file) : await fs.create(file);
    try {
      await writeAll(fs, fd, bytes, bytes.length, 0);
      await fs.fdatasync(fd);
      if (!exists) await fs.fsyncDir(dirname(file));
    } catch (e) {
      // What the file holds is unknown now: the next write begins a new one.
      await fs.unlink(file).catch(() => {});
      throw e;
    } finally {
      await fs.close(fd).catch(() => {});
    }
    this.generation++;
    this.newest = slot;
  }
}
