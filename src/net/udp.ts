import { Buffer } from 'node:buffer';
import { createSocket, type Socket } from 'node:dgram';
import { type Clock, systemClock } from '../core/clock.ts';
import { formatIp, parseIp } from '../core/ip.ts';
import { errnoName, errnoText, META_BYTES, type Native } from './native.ts';
import { describeProblem, errorText, type Opening } from './problem.ts';
import { dropsOf } from './proc-drops.ts';
import type { Datagram, ListenSpec, UdpSocket } from './types.ts';

/** What a real UDP socket tells besides. */
export interface UdpDriver extends UdpSocket {
  /** Datagrams read. */
  readonly received: number;
  /** Datagrams cut to the slot (cannot happen with the default slot, which holds the largest). */
  readonly truncated: number;
  /** Why the kernel refused a send the last time. */
  readonly lastSendError: string | undefined;
  /** Of `received`, those that came from a predecessor which died before it was done with them. */
  readonly left: number;
  /** Why the socket is not read any more; undefined while it is. */
  readonly failed: string | undefined;
}

export interface UdpOptions {
  native?: Native;
  clock?: Clock;
  /** Bytes of receive buffer to ask for; default 64 MiB. Of an inherited descriptor it is set already. */
  receiveBuffer?: number;
  /** Datagrams a batch; default 64. */
  slots?: number;
  /** How long a batch may form, milliseconds; default 5. */
  waitMs?: number;
}

/** A second of a stalled loop at 50,000 small datagrams a second; a datagram of 200 bytes is charged 1,280. */
export const RECEIVE_BUFFER = 64 * 1024 * 1024;

/**
 * The largest datagram (65,535 bytes) fits. The 320 bytes on top let the slots begin in different sets of the processor cache:
 * with a power of two all of them compete for the same few lines.
 */
const SLOT_BYTES = 65_536 + 320;

/** Datagrams a batch. */
const SLOTS = 64;

/** How long a batch may form while they are large; `prompt` says when not. */
const BUSY_WAIT_MS = 40;

/** Batches that may wait until what they became is written: a segment change, a slow disk. The first alone is in use otherwise. */
const AREAS = 4;

/** `kind` of the reader's call. */
const GIVEN_UP = 2;

/** Memory for the reader of one socket that outlives the process which reads it: a descriptor to hand on; throws. */
export function openKeep(native: Native): number {
  return native.keepOpen(native.keepSize(SLOTS, AREAS, SLOT_BYTES));
}

/** Batches read before timers and other sockets get their turn. */
const BATCHES_A_TURN = 8;

/** A UDP socket of an inherited descriptor, or one that binds itself. Nothing is read before `start`. */
export async function openUdpSocket(spec: ListenSpec, options: UdpOptions = {}): Promise<Opening<UdpDriver>> {
  const { native } = options;
  if (!native) return openDgram(spec, options);
  let fd = spec.fd;
  try {
    if (fd === undefined) {
      const address = parseIp(spec.address) ?? Buffer.alloc(0);
      const { port, device, freebind } = spec;
      const receiveBuffer = options.receiveBuffer ?? RECEIVE_BUFFER;
      fd = native.openUdp({ address, port, device, freebind, receiveBuffer }).fd;
    }
    const local = native.localAddress(fd);
    if (!local) throw Object.assign(new Error('not a socket'), { code: 'ENOTSOCK' });
    return {
      ok: true,
      value: new NativeUdpSocket(native, fd, spec.keepFd, formatIp(local.address), local.port, options),
    };
  } catch (error) {
    return { ok: false, problem: describeProblem('udp', spec, error) };
  }
}

const NOTHING: Buffer = Buffer.alloc(0);

/** Batches by recvmmsg: one call a batch, the kernel's time stamps, exact drops, replies from the address that was asked. */
class NativeUdpSocket implements UdpDriver {
  readonly address: string;
  readonly port: number;
  received = 0;
  left = 0;
  truncated = 0;
  sendErrors = 0;
  lastSendError: string | undefined;
  failed: string | undefined;
  private readonly native: Native;
  private readonly slots: number;
  private readonly waitMs: number;
  private fd: number;
  private readonly keepFd: number | undefined;
  private reader = 0;
  private drops = 0;
  /** Interface index of link-local sources: an answer needs it. Bounded; such neighbours are few. */
  private readonly scopes = new Map<string, number>();

  constructor(
    native: Native,
    fd: number,
    keepFd: number | undefined,
    address: string,
    port: number,
    options: UdpOptions,
  ) {
    this.native = native;
    this.fd = fd;
    this.keepFd = keepFd;
    this.address = address;
    this.port = port;
    this.slots = options.slots ?? SLOTS;
    this.waitMs = options.waitMs ?? 5;
  }

  get kernelDrops(): number {
    if (this.fd >= 0) this.drops = Math.max(this.drops, this.native.socketDrops(this.fd));
    return this.drops;
  }

  start(onBatch: (batch: Datagram[], count: number) => unknown, onGivenUp?: (d: Datagram) => void): void {
    if (this.fd < 0 || this.reader !== 0) return;
    const buffer = this.memory();
    const meta = Buffer.from(new ArrayBuffer(this.slots * META_BYTES));
    const words = new Uint32Array(meta.buffer);
    const batch: Datagram[] = [];
    const offsets = new Uint32Array(this.slots);
    const views: { source4: Buffer; source16: Buffer; destination4: Buffer; destination16: Buffer }[] = [];
    for (let i = 0; i < this.slots; i++) {
      const at = i * META_BYTES;
      const view = {
        source4: meta.subarray(at + 32, at + 36),
        source16: meta.subarray(at + 32, at + 48),
        destination4: meta.subarray(at + 48, at + 52),
        destination16: meta.subarray(at + 48, at + 64),
      };
      views.push(view);
      batch.push({ data: NOTHING, source: view.source4, sourcePort: 0, destination: NOTHING, sec: 0, nsec: 0 });
    }
    const deliver = (count: number, kind: number): boolean => {
      if (count < 0) {
        this.failed = `the socket cannot be read: ${errnoName(count)}: ${errnoText(count)}`;
        return true;
      }
      this.received += count;
      if (kind !== 0) this.left += count;
      for (let i = 0; i < count; i++) {
        const w = i * (META_BYTES / 4);
        const d = batch[i];
        const view = views[i];
        const packed = words[w + 7];
        // A view costs more than the look whether the last one of this slot is the same: a storm is of equal lengths.
        if (offsets[i] !== words[w] || d.data.length !== words[w + 1])
          d.data = buffer.subarray((offsets[i] = words[w]), words[w] + words[w + 1]);
        d.sourcePort = words[w + 2];
        d.sec = words[w + 3];
        d.nsec = words[w + 4];
        d.source = (packed & 0xff) === 4 ? view.source4 : view.source16;
        const destination = (packed >> 8) & 0xff;
        d.destination = destination === 4 ? view.destination4 : destination === 16 ? view.destination16 : NOTHING;
        if (packed >> 16) this.truncated++;
        if (d.source.length === 16 && isLinkLocal(d.source)) this.noteScope(d.source, words[w + 6]);
      }
      if (kind !== GIVEN_UP) return onBatch(batch, count) !== false;
      onGivenUp?.(batch[0]);
      return true;
    };
    try {
      this.reader = this.native.readerStart(
        this.fd,
        buffer,
        meta,
        this.slots,
        AREAS,
        SLOT_BYTES,
        this.waitMs,
        BATCHES_A_TURN,
        deliver,
      );
      this.native.readerPace(this.reader, Math.max(this.waitMs, BUSY_WAIT_MS));
    } catch (error) {
      this.failed = `the socket cannot be read: ${errorText(error)}`;
    }
  }

  send(data: Buffer, address: Buffer, port: number, localAddress: Buffer): void {
    const scope =
      address.length === 16 && isLinkLocal(address) ? (this.scopes.get(address.toString('latin1')) ?? 0) : 0;
    const errno = this.native.sendFrom(this.fd, data, address, port, localAddress, scope);
    if (errno === 0) return;
    this.sendErrors++;
    this.lastSendError = `${errnoName(errno)}: ${errnoText(errno)}`;
  }

  prompt(): void {
    if (this.reader !== 0) this.native.readerPrompt(this.reader);
  }

  finish(): boolean {
    return this.fd < 0 || this.reader === 0 || this.native.readerFinish(this.reader);
  }

  close(): void {
    if (this.fd < 0) return;
    this.drops = this.kernelDrops;
    if (this.reader !== 0) this.native.readerClose(this.reader);
    this.native.closeFd(this.fd);
    if (this.keepFd !== undefined) this.native.closeFd(this.keepFd);
    this.fd = -1;
  }

  /** Where the reader receives: what was handed on where it fits, else memory of this process. */
  private memory(): Buffer {
    const bytes = this.native.keepSize(this.slots, AREAS, SLOT_BYTES);
    if (this.keepFd !== undefined) {
      try {
        const kept = this.native.keepMap(this.keepFd);
        if (kept.length === bytes) return kept;
      } catch {
        // Without it this process' death costs what it has in hand, and nothing else.
      }
    }
    return Buffer.from(new ArrayBuffer(bytes));
  }

  private noteScope(source: Buffer, ifindex: number): void {
    const key = source.toString('latin1');
    if (this.scopes.get(key) === ifindex) return;
    if (this.scopes.size >= 4096) this.scopes.clear();
    this.scopes.set(key, ifindex);
  }
}

function isLinkLocal(address: Buffer): boolean {
  return address[0] === 0xfe && (address[1] & 0xc0) === 0x80;
}

/** Datagrams held between bind and `start`. */
const HELD = 4096;

/** Without the add-on: one datagram a batch, drops from /proc, the destination known only where one address is bound. */
function openDgram(spec: ListenSpec, options: UdpOptions): Promise<Opening<UdpDriver>> {
  const v6 = spec.address.includes(':');
  if (spec.device !== undefined) {
    const error = Object.assign(new Error('a device cannot be bound without the add-on'), { code: 'UNSUPPORTED' });
    return Promise.resolve({ ok: false, problem: describeProblem('udp', spec, error) });
  }
  return new Promise((resolve) => {
    const socket = createSocket({
      type: v6 ? 'udp6' : 'udp4',
      ipv6Only: v6,
      recvBufferSize: options.receiveBuffer ?? RECEIVE_BUFFER,
      // Addresses are literal: nothing is looked up.
      lookup: (host, _options, done) => done(null, host, v6 ? 6 : 4),
    });
    const failed = (error: unknown): void => {
      socket.close();
      resolve({ ok: false, problem: describeProblem('udp', spec, error) });
    };
    socket.once('error', failed);
    socket.once('listening', () => {
      socket.removeListener('error', failed);
      resolve({ ok: true, value: new DgramUdpSocket(socket, options.clock ?? systemClock) });
    });
    if (spec.fd !== undefined) socket.bind({ fd: spec.fd });
    else socket.bind({ address: spec.address, port: spec.port, exclusive: true });
  });
}

class DgramUdpSocket implements UdpDriver {
  readonly address: string;
  readonly port: number;
  readonly truncated = 0;
  readonly left = 0;
  received = 0;
  sendErrors = 0;
  lastSendError: string | undefined;
  failed: string | undefined;
  private readonly socket: Socket;
  private readonly clock: Clock;
  private readonly destination: Buffer;
  private readonly batch: Datagram[];
  private held: { data: Buffer; address: string; port: number }[] = [];
  private onBatch: ((batch: Datagram[], count: number) => unknown) | undefined;
  private closed = false;
  private drops = 0;
  private finished = -1;
  private lastText = '';
  private lastBytes = NOTHING;

  constructor(socket: Socket, clock: Clock) {
    const bound = socket.address();
    this.socket = socket;
    this.clock = clock;
    this.address = bound.address;
    this.port = bound.port;
    const bytes = parseIp(bound.address) ?? NOTHING;
    this.destination = bytes.every((b) => b === 0) ? NOTHING : bytes;
    this.batch = [{ data: NOTHING, source: NOTHING, sourcePort: 0, destination: this.destination, sec: 0, nsec: 0 }];
    socket.on('message', (data, from) => this.take(data, from.address, from.port));
    socket.on('error', (error) => {
      this.failed = errorText(error);
    });
  }

  start(onBatch: (batch: Datagram[], count: number) => unknown): void {
    this.onBatch = onBatch;
    const held = this.held;
    this.held = [];
    for (const h of held) this.take(h.data, h.address, h.port);
  }

  send(data: Buffer, address: Buffer, port: number, _localAddress: Buffer): void {
    if (this.closed) return;
    this.socket.send(data, port, formatIp(address), (error) => {
      if (!error) return;
      this.sendErrors++;
      this.lastSendError = errorText(error);
    });
  }

  get kernelDrops(): number {
    if (!this.closed) this.drops = Math.max(this.drops, dropsOf(this.address, this.port) ?? 0);
    return this.drops;
  }

  /** Node reads by itself, one by one. */
  prompt(): void {}

  /** Node reads by itself: done is what brought nothing since it was last asked. */
  finish(): boolean {
    const same = this.received === this.finished;
    this.finished = this.received;
    return same || this.closed || !this.onBatch;
  }

  close(): void {
    if (this.closed) return;
    this.drops = this.kernelDrops;
    this.closed = true;
    this.socket.close();
  }

  private take(data: Buffer, address: string, port: number): void {
    if (this.closed) return;
    if (!this.onBatch) {
      if (this.held.length < HELD) this.held.push({ data, address, port });
      return;
    }
    if (address !== this.lastText) {
      this.lastText = address;
      this.lastBytes = parseIp(address) ?? NOTHING;
    }
    const micros = this.clock.wallMicros();
    const d = this.batch[0];
    d.data = data;
    d.source = this.lastBytes;
    d.sourcePort = port;
    d.destination = this.destination;
    d.sec = Math.floor(micros / 1e6);
    d.nsec = (micros - d.sec * 1e6) * 1000;
    this.received++;
    this.onBatch(this.batch, 1);
  }
}
