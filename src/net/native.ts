import type { Buffer } from 'node:buffer';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getSystemErrorMessage, getSystemErrorName } from 'node:util';
import { type Kernels, kernels } from '../core/kernels.ts';

/** What the add-on (native/*.c) offers. Openers throw an Error with a `code`; everything else returns an errno (0: done). */
export interface Native extends Kernels {
  readonly abi: number;
  /** A bound UDP socket that nobody reads, with packet info, TTL, time stamps and drop counter switched on. */
  openUdp(options: OpenOptions): Opened;
  /** A listening TCP socket that nobody accepts from; with `backlog: 0` only bound. */
  openTcp(options: OpenOptions): Opened;
  /** A TCP socket, neither bound nor connected, for `new net.Socket({fd})`. */
  openTcpClient(options: { family: 4 | 6; device?: string; ttl?: number }): number;
  localAddress(fd: number): { address: Buffer; port: number } | undefined;
  closeFd(fd: number): number;
  setTtl(fd: number, family: 4 | 6, ttl: number): number;
  /** The whole SO_REUSEPORT group of `fd`: a source address always reaches the same one of `workers` sockets. */
  attachReuseportCbpf(fd: number, workers: number, family: 4 | 6): number;
  /**
   * Reads `fd` in batches of `slots` datagrams of up to `stride` bytes into `memory` (keepSize bytes) and describes each in `meta`
   * (META_BYTES a slot). `onBatch(n, kind)`: n datagrams are there, until it returns; a negative n is minus an errno and the reader has
   * stopped. Where it returns false or throws, they stay in their slots and it is asked again, with n = 0; there are `areas` batches of
   * slots. `kind` 1: one datagram of a reader of the same memory that died before it was done with it; 2: one that is given up,
   * because its readers died of it again and again.
   * `waitMs`: how long a batch may form. `limit`: batches before other work gets a turn. Returns the reader's id.
   */
  readerStart(
    fd: number,
    memory: Buffer,
    meta: Buffer,
    slots: number,
    areas: number,
    stride: number,
    waitMs: number,
    limit: number,
    onBatch: (count: number, kind: number) => boolean,
  ): number;
  /** Reads what the kernel holds now; false where there is more, or slots have to become free first. */
  readerFinish(id: number): boolean;
  readerClose(id: number): number;
  /** While batches are large, one may form for `busyMs`; ENOBUFS where the socket's buffer does not hold what comes meanwhile. */
  readerPace(id: number, busyMs: number): number;
  /** While a batch is delivered: the next one forms for `waitMs` only. */
  readerPrompt(id: number): number;
  /** Bytes of memory a reader needs; 0 for figures that cannot be. */
  keepSize(slots: number, areas: number, stride: number): number;
  /** A memfd of this size: its memory outlives the processes that map it. */
  keepOpen(bytes: number): number;
  /** The memory of such a descriptor, shared; it stays when the descriptor is closed. */
  keepMap(fd: number): Buffer;
  /** `local` empty: the kernel chooses. `ifindex` 0 but for link-local addresses. */
  sendFrom(fd: number, data: Buffer, address: Buffer, port: number, local: Buffer, ifindex: number): number;
  /** Datagrams the socket dropped since it was opened, whoever reads it; minus an errno. */
  socketDrops(fd: number): number;
  /** IP_RECVERR, for a socket that no event loop watches: it hears also that there is no way to a host. */
  heedErrors(fd: number, family: 4 | 6): number;
  /** The errno of the last error the network told of what this socket sent, else 0. What came in besides is dropped. */
  takeErrors(fd: number): number;
  /** A raw IP socket of one interface, which hears `groups` (addresses one after the other) and not itself. */
  openRaw(options: { family: 4 | 6; protocol: number; device: string; ttl: number; groups: Buffer }): number;
  /** AF_PACKET; of IPv6 only ICMPv6 of these types, a byte each. */
  openPacket(options: { device: string; etherType: number; icmpTypes?: Buffer }): number;
  packetSend(fd: number, frame: Buffer): number;
  /** The least TTL or hop limit that is taken (RFC 5082); TCP only. */
  setMinTtl(fd: number, family: 4 | 6, ttl: number): number;
  /** RFC 2385 key for a peer or prefix, on a socket that is not connected yet or listens; an empty key removes it. */
  setMd5(fd: number, address: Buffer, prefixLength: number, key: Buffer): number;
  /** RFC 5925 key for a peer, on a socket that is not connected yet or listens; `algorithm` as the kernel names it. */
  setAo(fd: number, address: Buffer, sendId: number, recvId: number, algorithm: string, key: Buffer): number;
  /** SCHED_RR of this priority (1..99) for this thread alone. */
  realtime(priority: number): number;
  /** Of the capabilities of this thread and what it starts only those of the mask stay; bit n is capability n. */
  limitCapabilities(mask: number): number;
  linkState(name: string): { index: number; mac: Buffer; mtu: number; up: boolean } | undefined;
  /** Readable with every change of a link or address. */
  openLinkEvents(): number;
  /** 0 where there is no such interface. */
  interfaceIndex(name: string): number;
  addressChange(
    add: boolean,
    ifindex: number,
    address: Buffer,
    prefixLength: number,
    hostScope: boolean,
    noDad: boolean,
    /** Seconds until the kernel removes it; 0: never. With one, an address that is there is renewed. */
    lifetime?: number,
  ): number;
  /** Whether what is sent to this address is delivered here; an errno where the kernel does not say. */
  addressServes(address: Buffer, ifindex: number): boolean | number;
  addressList(ifindex: number): { address: Buffer; length: number; scope: number }[] | number;
  /** Two ends of a channel for descriptors: ours, and the one to be inherited. */
  socketPair(): [number, number];
  /** One message with 1 to 8 descriptors; EAGAIN where the other side has to read first. */
  sendFds(fd: number, fds: readonly number[]): number;
  /** The descriptors of the next message, or minus an errno. */
  receiveFds(fd: number): number[] | number;
}

export interface OpenOptions {
  /** 4 or 16 bytes; a listener on `::` takes IPv6 only. */
  address: Buffer;
  /** 0: the kernel's choice. */
  port: number;
  reusePort?: boolean;
  freebind?: boolean;
  /** SO_BINDTODEVICE: a VRF or interface. */
  device?: string;
  /** Bytes asked for, beyond net.core.rmem_max where this process may (SO_RCVBUFFORCE). */
  receiveBuffer?: number;
  backlog?: number;
  /** UDP: the TTL or hop limit of each datagram is received (`META` word 5). */
  hops?: boolean;
}

export interface Opened {
  fd: number;
  address: Buffer;
  port: number;
  /** As the kernel counts it: twice what was granted. */
  receiveBuffer: number;
}

/** Bytes of metadata a datagram; the layout stands above `reader_record` in native/reader.c. */
export const META_BYTES = 64;

/** TIDEGATE_NET_ABI of the C source. */
const ABI = 10;

let loaded: Native | undefined;
let problem: string | undefined;
let tried = false;

/** The add-on, or undefined; then `nativeProblem()` says why. */
export function loadNative(): Native | undefined {
  if (tried) return loaded;
  tried = true;
  if (process.platform !== 'linux') {
    problem = `the add-on is for Linux, this is ${process.platform}`;
    return undefined;
  }
  const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'native');
  const target = `${process.platform}-${process.arch}`;
  const found = loadFrom([join(root, 'tidegate_net.node'), join(root, 'prebuilds', target, 'tidegate_net.node')]);
  if (typeof found === 'string') {
    problem = found || `the add-on is neither built nor prebuilt for ${target}; with a C compiler, run: npm rebuild`;
    return undefined;
  }
  problem = undefined;
  // An object of its own: looked up in the add-on's exports, which are a table, each call would cost a search.
  const { sealRecords, soundRecords, packRecords, crc32c, hmac, shortHash } = found;
  kernels.native = { sealRecords, soundRecords, packRecords, crc32c, hmac, shortHash };
  return (loaded = found);
}

/** The first file that loads and is of this version, else what is wrong with the last one that exists (empty: none exists). */
export function loadFrom(files: readonly string[]): Native | string {
  let wrong = '';
  for (const file of files) {
    if (!existsSync(file)) continue;
    try {
      const holder = { exports: {} as Partial<Native> };
      process.dlopen(holder, file);
      if (holder.exports.abi === ABI) return holder.exports as Native;
      wrong = `the add-on is of another version (${holder.exports.abi}, not ${ABI}); run: npm rebuild`;
    } catch (error) {
      wrong = `the add-on does not load: ${(error as Error).message}`;
    }
  }
  return wrong;
}

/** Why there is no add-on; undefined while there is one (or nobody asked). */
export function nativeProblem(): string | undefined {
  return problem;
}

/** Called before `loadNative` by whoever reads the environment: go without the add-on, for this reason. */
export function disableNative(reason: string): void {
  tried = true;
  loaded = undefined;
  kernels.native = undefined;
  problem = reason;
}

/** `EADDRINUSE` of 98. */
export function errnoName(errno: number): string {
  try {
    return getSystemErrorName(-Math.abs(errno));
  } catch {
    return `errno ${errno}`;
  }
}

/** `address already in use` of 98. */
export function errnoText(errno: number): string {
  try {
    return getSystemErrorMessage(-Math.abs(errno)) ?? `errno ${errno}`;
  } catch {
    return `errno ${errno}`;
  }
}
