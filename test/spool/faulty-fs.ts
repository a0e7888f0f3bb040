/**
 * A file system in memory that keeps what a power cut keeps. Each file has the content a process sees and the content on the disk;
 * each directory likewise its entries. fdatasync and fsyncDir copy from the one to the other; `powerCut` goes back to the disk, except
 * that any page (4 KiB, or the first sectors of it) and any directory entry may have reached it unasked.
 * A failed fdatasync marks the pages clean as Linux does: some are lost, and the next fdatasync reports success.
 */
import { Buffer } from 'node:buffer';
import type { FileStat, SpoolFs } from '../../src/spool/fs.ts';

const PAGE = 4096;
const SECTOR = 512;

/** A small seeded generator (mulberry32): numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

interface FileNode {
  kind: 'file';
  cache: Buffer;
  disk: Buffer;
  dirty: Set<number>;
}

interface DirNode {
  kind: 'dir';
  entries: Map<string, Node>;
  disk: Map<string, Node>;
  /** Renames not yet durable: both names change together or not at all. */
  renames: [string, string][];
}

type Node = FileNode | DirNode;

export type FaultOp = 'create' | 'write' | 'fdatasync' | 'fsyncDir' | 'truncate' | 'rename' | 'unlink' | 'mkdir';

export interface FaultyOptions {
  random: () => number;
  /** Bytes all files together may have. */
  capacity?: number;
  /** Asked before each change: an error code to fail with. */
  fault?: (op: FaultOp, count: number) => 'EIO' | 'ENOSPC' | undefined;
}

function fail(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

function newDir(): DirNode {
  return { kind: 'dir', entries: new Map(), disk: new Map(), renames: [] };
}

export class FaultyFs implements SpoolFs {
  private readonly root: DirNode;
  private readonly fds = new Map<number, FileNode>();
  private nextFd = 3;
  private readonly random: () => number;
  capacity: number;
  fault: (op: FaultOp, count: number) => 'EIO' | 'ENOSPC' | undefined;
  /** Changes made so far. */
  count = 0;
  /** The power goes at this change: it and all later ones never return. */
  cutAt = Number.POSITIVE_INFINITY;
  dead = false;
  private die: () => void = () => {};
  /** Resolves when the power went. */
  readonly died: Promise<void>;
  /** Names of operations in order, for tests that look at it. */
  readonly trace: string[] = [];
  /** Called with the name of each operation before it; may return a promise to hold it. */
  hold: ((op: FaultOp) => Promise<void> | undefined) | undefined;

  constructor(o: FaultyOptions, root: DirNode = newDir()) {
    this.random = o.random;
    this.capacity = o.capacity ?? Number.POSITIVE_INFINITY;
    this.fault = o.fault ?? (() => undefined);
    this.root = root;
    this.died = new Promise((resolve) => {
      this.die = resolve;
    });
  }

  /** The machine without power: a new file system with what is on the disk. */
  powerCut(): FaultyFs {
    return new FaultyFs({ random: this.random, capacity: this.capacity }, this.survivor(this.root) as DirNode);
  }

  /** The process is gone, the kernel is not: everything written is there, synced or not. */
  kill(): FaultyFs {
    return new FaultyFs({ random: this.random, capacity: this.capacity }, this.root);
  }

  /** Bytes of all files. */
  used(node: Node = this.root): number {
    if (node.kind === 'file') return node.cache.length;
    let sum = 0;
    for (const child of node.entries.values()) sum += this.used(child);
    return sum;
  }

  /** Changes a byte on the disk and in the cache: bit rot. */
  corrupt(path: string, offset: number, xor = 0xff): void {
    const f = this.file(path);
    f.cache[offset] ^= xor;
    if (offset < f.disk.length) f.disk[offset] ^= xor;
  }

  /** The content a process sees. */
  content(path: string): Buffer {
    return this.file(path).cache;
  }

  private survivor(node: Node): Node {
    if (node.kind === 'file') {
      const disk = this.survivingContent(node);
      return { kind: 'file', cache: Buffer.from(disk), disk, dirty: new Set() };
    }
    const out = newDir();
    const together = new Map<string, boolean>();
    for (const [from, to] of node.renames) {
      const coin = together.get(from) ?? together.get(to) ?? this.random() < 0.5;
      together.set(from, coin).set(to, coin);
    }
    for (const name of new Set([...node.entries.keys(), ...node.disk.keys()])) {
      const now = node.entries.get(name);
      const durable = node.disk.get(name);
      const kept = now === durable ? durable : (together.get(name) ?? this.random() < 0.5) ? now : durable;
      if (!kept) continue;
      const copy = this.survivor(kept);
      out.entries.set(name, copy);
      out.disk.set(name, copy);
    }
    return out;
  }

  private survivingContent(f: FileNode): Buffer {
    const { cache, disk } = f;
    const keep = this.random();
    let size = disk.length;
    if (cache.length !== disk.length && keep > 0.3)
      size =
        keep > 0.6 || cache.length < disk.length
          ? cache.length
          : disk.length + Math.floor(this.random() * (cache.length - disk.length));
    const out = Buffer.alloc(size);
    disk.copy(out, 0, 0, Math.min(size, disk.length));
    for (const page of f.dirty) {
      const from = page * PAGE;
      const coin = this.random();
      if (coin < 0.4) continue;
      const sectors = coin < 0.6 ? 1 + Math.floor(this.random() * (PAGE / SECTOR)) : PAGE / SECTOR;
      const to = Math.min(size, cache.length, from + sectors * SECTOR);
      if (to > from) cache.copy(out, from, from, to);
    }
    return out;
  }

  private async step(op: FaultOp, what: string): Promise<string | undefined> {
    if (this.dead) return new Promise(() => {});
    this.trace.push(`${op} ${what}`);
    const held = this.hold?.(op);
    if (held) await held;
    else await undefined;
    if (this.dead || ++this.count >= this.cutAt) {
      this.dead = true;
      this.die();
      return new Promise(() => {});
    }
    return this.fault(op, this.count);
  }

  private lookup(path: string): Node | undefined {
    let node: Node | undefined = this.root;
    for (const part of path.split('/')) {
      if (part === '' || part === '.') continue;
      if (node?.kind !== 'dir') return undefined;
      node = node.entries.get(part);
    }
    return node;
  }

  private parent(path: string): [DirNode, string] {
    const cut = path.lastIndexOf('/');
    const dir = this.lookup(path.slice(0, cut));
    if (dir?.kind !== 'dir') throw fail('ENOENT', path);
    return [dir, path.slice(cut + 1)];
  }

  private file(path: string): FileNode {
    const f = this.lookup(path);
    if (f?.kind !== 'file') throw fail('ENOENT', path);
    return f;
  }

  private fd(fd: number): FileNode {
    const f = this.fds.get(fd);
    if (!f) throw fail('EBADF', String(fd));
    return f;
  }

  private open(f: FileNode): number {
    this.fds.set(this.nextFd, f);
    return this.nextFd++;
  }

  async create(path: string): Promise<number> {
    const code = await this.step('create', path);
    if (code) throw fail(code, path);
    const [dir, name] = this.parent(path);
    if (dir.entries.has(name)) throw fail('EEXIST', path);
    const f: FileNode = { kind: 'file', cache: Buffer.alloc(0), disk: Buffer.alloc(0), dirty: new Set() };
    dir.entries.set(name, f);
    return this.open(f);
  }

  async openWrite(path: string): Promise<number> {
    return this.open(this.file(path));
  }

  async write(fd: number, buf: Buffer, offset: number, length: number, position: number): Promise<number> {
    const f = this.fd(fd);
    const bytes = Buffer.from(buf.subarray(offset, offset + length));
    const last = this.count + 1 >= this.cutAt;
    // The moment of the cut: part of the write is in the page cache, and from there may be on the disk.
    if (last) this.put(f, bytes.subarray(0, Math.floor(this.random() * length)), position);
    const code = await this.step('write', String(fd));
    if (code) {
      this.put(f, bytes.subarray(0, Math.floor(this.random() * length)), position);
      throw fail(code, 'write');
    }
    const room = this.capacity - this.used();
    const taken = Math.min(length, Math.max(0, room + Math.max(0, f.cache.length - position)));
    if (taken === 0 && length > 0) throw fail('ENOSPC', 'write');
    const some = taken > 1 && this.random() < 0.05 ? 1 + Math.floor(this.random() * (taken - 1)) : taken;
    this.put(f, bytes.subarray(0, some), position);
    return some;
  }

  writeSync(fd: number, buf: Buffer, offset: number, length: number, position: number): number {
    const f = this.fd(fd);
    if (this.dead) throw fail('EIO', 'the process is gone');
    this.trace.push(`writeSync ${fd}`);
    const bytes = Buffer.from(buf.subarray(offset, offset + length));
    const last = ++this.count >= this.cutAt;
    const code = last ? undefined : this.fault('write', this.count);
    const room = this.capacity - this.used();
    const taken = Math.min(length, Math.max(0, room + Math.max(0, f.cache.length - position)));
    if (last || code || taken === 0) {
      this.put(f, bytes.subarray(0, Math.floor(this.random() * taken)), position);
      if (last) {
        this.dead = true;
        this.die();
      }
      throw fail(code ?? 'ENOSPC', 'write');
    }
    const some = taken > 1 && this.random() < 0.05 ? 1 + Math.floor(this.random() * (taken - 1)) : taken;
    this.put(f, bytes.subarray(0, some), position);
    return some;
  }

  private put(f: FileNode, bytes: Buffer, position: number): void {
    if (bytes.length === 0) return;
    if (position + bytes.length > f.cache.length) {
      const larger = Buffer.alloc(position + bytes.length);
      f.cache.copy(larger);
      f.cache = larger;
    }
    bytes.copy(f.cache, position);
    for (let p = Math.floor(position / PAGE); p * PAGE < position + bytes.length; p++) f.dirty.add(p);
  }

  async fdatasync(fd: number): Promise<void> {
    const f = this.fd(fd);
    const code = await this.step('fdatasync', String(fd));
    if (code) {
      const lost = {
        ...f,
        cache: Buffer.from(f.cache),
        dirty: new Set([...f.dirty].filter(() => this.random() < 0.5)),
      };
      f.disk = this.survivingContent(lost);
      f.dirty.clear();
      throw fail(code, 'fdatasync');
    }
    const disk = Buffer.alloc(f.cache.length);
    f.disk.copy(disk, 0, 0, Math.min(disk.length, f.disk.length));
    for (const p of f.dirty) f.cache.copy(disk, p * PAGE, p * PAGE, Math.min(f.cache.length, (p + 1) * PAGE));
    f.disk = disk;
    f.dirty.clear();
  }

  async truncate(fd: number, size: number): Promise<void> {
    const f = this.fd(fd);
    const code = await this.step('truncate', String(fd));
    if (code) throw fail(code, 'truncate');
    f.cache = Buffer.from(f.cache.subarray(0, size));
    for (const p of f.dirty) if (p * PAGE >= size) f.dirty.delete(p);
  }

  async close(fd: number): Promise<void> {
    this.fds.delete(fd);
  }

  async fsyncDir(path: string): Promise<void> {
    const code = await this.step('fsyncDir', path);
    const dir = this.lookup(path);
    if (dir?.kind !== 'dir') throw fail('ENOENT', path);
    if (code) throw fail(code, path);
    dir.disk = new Map(dir.entries);
    dir.renames = [];
  }

  async mkdir(path: string): Promise<boolean> {
    const code = await this.step('mkdir', path);
    if (code) throw fail(code, path);
    const [dir, name] = this.parent(path);
    if (dir.entries.has(name)) return false;
    dir.entries.set(name, newDir());
    return true;
  }

  async rmdir(path: string): Promise<void> {
    const [dir, name] = this.parent(path);
    const node = dir.entries.get(name);
    if (node?.kind !== 'dir') throw fail('ENOENT', path);
    if (node.entries.size > 0) throw fail('ENOTEMPTY', path);
    dir.entries.delete(name);
  }

  async rename(from: string, to: string): Promise<void> {
    const code = await this.step('rename', from);
    if (code) throw fail(code, from);
    const [source, a] = this.parent(from);
    const [target, b] = this.parent(to);
    const node = source.entries.get(a);
    if (!node) throw fail('ENOENT', from);
    source.entries.delete(a);
    target.entries.set(b, node);
    if (source === target) source.renames.push([a, b]);
  }

  async unlink(path: string): Promise<void> {
    const code = await this.step('unlink', path);
    if (code) throw fail(code, path);
    const [dir, name] = this.parent(path);
    dir.entries.delete(name);
  }

  readdirSync(path: string): string[] {
    const dir = this.lookup(path);
    return dir?.kind === 'dir' ? [...dir.entries.keys()] : [];
  }

  statSync(path: string): FileStat | undefined {
    const node = this.lookup(path);
    return node && { size: node.kind === 'file' ? node.cache.length : 0, directory: node.kind === 'dir' };
  }

  openReadSync(path: string): number {
    return this.open(this.file(path));
  }

  readSync(fd: number, buf: Buffer, offset: number, length: number, position: number): number {
    const { cache } = this.fd(fd);
    return position >= cache.length ? 0 : cache.copy(buf, offset, position, Math.min(cache.length, position + length));
  }

  sizeSync(fd: number): number {
    return this.fd(fd).cache.length;
  }

  closeSync(fd: number): void {
    this.fds.delete(fd);
  }
}

/** The same file system with one duty taken out: what the code would be like that forgot it. */
export function without(fs: FaultyFs, op: 'fdatasync' | 'fsyncDir'): SpoolFs {
  return new Proxy(fs, {
    get(target, name) {
      if (name === op) return async () => {};
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** The same file system as a code sees it that tries a failed fdatasync again on the same file. */
export function retrying(fs: FaultyFs): SpoolFs {
  return new Proxy(fs, {
    get(target, name) {
      if (name === 'fdatasync') return (fd: number) => target.fdatasync(fd).catch(() => target.fdatasync(fd));
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
