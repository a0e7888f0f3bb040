/**
 * The file system as the spool sees it. Everything that changes the disk is asynchronous (the libuv pool), everything that only
 * reads is synchronous: readers run in a thread of their own, recovery runs before anything is received.
 * Injected, so that tests can cut the power (test/spool/faulty-fs.ts). Failures are Node's errors with `code` (ENOSPC, EIO …).
 */
import type { Buffer } from 'node:buffer';
import * as nodeFs from 'node:fs';
import { dirname } from 'node:path';

export interface FileStat {
  size: number;
  directory: boolean;
}

export interface SpoolFs {
  /** Creates a file that must not exist yet (O_CREAT | O_EXCL), for writing and reading. */
  create(path: string): Promise<number>;
  /** Opens an existing file for writing in place. */
  openWrite(path: string): Promise<number>;
  /** Writes at `position`; resolves to the number of bytes taken, which may be fewer than asked. */
  write(fd: number, buf: Buffer, offset: number, length: number, position: number): Promise<number>;
  /** The same at once, for what the next round makes durable. */
  writeSync(fd: number, buf: Buffer, offset: number, length: number, position: number): number;
  fdatasync(fd: number): Promise<void>;
  truncate(fd: number, size: number): Promise<void>;
  close(fd: number): Promise<void>;
  /** Makes the entries of a directory durable. */
  fsyncDir(dir: string): Promise<void>;
  /** One level; no error where it exists. True where it was created. */
  mkdir(dir: string): Promise<boolean>;
  rmdir(dir: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** No error where the file is gone already. */
  unlink(path: string): Promise<void>;

  /** Names in a directory, unsorted; none where it does not exist. */
  readdirSync(dir: string): string[];
  statSync(path: string): FileStat | undefined;
  openReadSync(path: string): number;
  /** Bytes read; 0 at the end of the file. */
  readSync(fd: number, buf: Buffer, offset: number, length: number, position: number): number;
  sizeSync(fd: number): number;
  closeSync(fd: number): void;
}

/** The `code` of a Node error, or undefined. */
export function errorCode(e: unknown): string | undefined {
  const code = (e as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

function done(resolve: () => void, reject: (e: Error) => void) {
  return (e: Error | null) => (e ? reject(e) : resolve());
}

/** The real one. */
export const realFs: SpoolFs = {
  create: (path) =>
    new Promise((resolve, reject) => {
      nodeFs.open(path, 'wx+', 0o640, (e, fd) => (e ? reject(e) : resolve(fd)));
    }),
  openWrite: (path) =>
    new Promise((resolve, reject) => {
      nodeFs.open(path, 'r+', (e, fd) => (e ? reject(e) : resolve(fd)));
    }),
  write: (fd, buf, offset, length, position) =>
    new Promise((resolve, reject) => {
      nodeFs.write(fd, buf, offset, length, position, (e, n) => (e ? reject(e) : resolve(n)));
    }),
  writeSync: (fd, buf, offset, length, position) => nodeFs.writeSync(fd, buf, offset, length, position),
  fdatasync: (fd) => new Promise((resolve, reject) => nodeFs.fdatasync(fd, done(resolve, reject))),
  truncate: (fd, size) => new Promise((resolve, reject) => nodeFs.ftruncate(fd, size, done(resolve, reject))),
  close: (fd) => new Promise((resolve, reject) => nodeFs.close(fd, done(resolve, reject))),
  async fsyncDir(dir) {
    const handle = await nodeFs.promises.open(dir, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async mkdir(dir) {
    try {
      await nodeFs.promises.mkdir(dir, 0o750);
      return true;
    } catch (e) {
      if (errorCode(e) === 'EEXIST') return false;
      throw e;
    }
  },
  rmdir: (dir) => nodeFs.promises.rmdir(dir),
  rename: (from, to) => nodeFs.promises.rename(from, to),
  unlink: (path) => nodeFs.promises.rm(path, { force: true }),

  readdirSync(dir) {
    try {
      return nodeFs.readdirSync(dir);
    } catch (e) {
      if (errorCode(e) === 'ENOENT') return [];
      throw e;
    }
  },
  statSync(path) {
    const s = nodeFs.statSync(path, { throwIfNoEntry: false });
    return s && { size: s.size, directory: s.isDirectory() };
  },
  openReadSync: (path) => nodeFs.openSync(path, 'r'),
  readSync: (fd, buf, offset, length, position) => nodeFs.readSync(fd, buf, offset, length, position),
  sizeSync: (fd) => nodeFs.fstatSync(fd).size,
  closeSync: (fd) => nodeFs.closeSync(fd),
};

/** Creates a directory with its missing parents, and makes each new entry durable before anything is put into it. */
export async function mkdirDurable(fs: SpoolFs, dir: string): Promise<void> {
  const parent = dirname(dir);
  if (parent !== dir && !fs.statSync(parent)) await mkdirDurable(fs, parent);
  // An existing directory may be a left-over whose entry never reached the disk: its parent is synced all the same.
  await fs.mkdir(dir);
  await fs.fsyncDir(parent);
}

/** Writes `buf[from..length)`, byte 0 of it belonging at `position`; a write that takes nothing counts as a full disk. */
export async function writeAll(
  fs: SpoolFs,
  fd: number,
  buf: Buffer,
  length: number,
  position: number,
  from = 0,
): Promise<void> {
  for (let done = from; done < length; ) {
    const n = await fs.write(fd, buf, done, length - done, position + done);
    if (n <= 0) throw Object.assign(new Error('ENOSPC: the write took no byte'), { code: 'ENOSPC' });
    done += n;
  }
}

/** Reads `length` bytes at `position` of an open file into `buf`; returns how many there were. */
export function readFully(fs: SpoolFs, fd: number, buf: Buffer, length: number, position: number): number {
  let got = 0;
  while (got < length) {
    const n = fs.readSync(fd, buf, got, length - got, position + got);
    if (n <= 0) break;
    got += n;
  }
  return got;
}

/** A small new file, durable with its name when this resolves. */
export async function writeFileDurable(fs: SpoolFs, path: string, content: Buffer): Promise<void> {
  const temporary = `${path}.new`;
  await fs.unlink(temporary);
  const fd = await fs.create(temporary);
  try {
    await writeAll(fs, fd, content, content.length, 0);
    await fs.fdatasync(fd);
  } finally {
    await fs.close(fd);
  }
  await fs.rename(temporary, path);
  await fs.fsyncDir(dirname(path));
}
