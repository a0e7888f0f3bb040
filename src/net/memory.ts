import { Buffer } from 'node:buffer';
import { formatIp, parseIp } from '../core/ip.ts';
import type { Connection, Datagram, Dial, TcpListener, UdpSocket } from './types.ts';

const BATCH = 64;

/** What a test says was received; times default to 0. */
export interface InjectedDatagram {
  data: Uint8Array;
  source: string;
  sourcePort: number;
  destination?: string;
  sec?: number;
  nsec?: number;
}

export interface SentDatagram {
  data: Buffer;
  address: string;
  port: number;
  /** Empty: the kernel's choice. */
  localAddress: string;
}

/**
 * The twin of a UDP socket. As with the real one, a datagram's bytes are only there until the handler returns: they are overwritten
 * then, so that a handler that keeps a view fails in its tests.
 */
export class MemoryUdpSocket implements UdpSocket {
  readonly address: string;
  readonly port: number;
  kernelDrops = 0;
  sendErrors = 0;
  readonly sent: SentDatagram[] = [];
  closed = false;
  private readonly route: ((from: MemoryUdpSocket, sent: SentDatagram) => void) | undefined;
  private readonly onClosed: (() => void) | undefined;
  private handler: ((batch: Datagram[], count: number) => void) | undefined;
  private queue: InjectedDatagram[] = [];
  private scheduled = false;

  constructor(
    address = '127.0.0.1',
    port = 162,
    route?: (from: MemoryUdpSocket, sent: SentDatagram) => void,
    onClosed?: () => void,
  ) {
    this.address = address;
    this.port = port;
    this.route = route;
    this.onClosed = onClosed;
  }

  start(onBatch: (batch: Datagram[], count: number) => void): void {
    this.handler = onBatch;
    if (this.queue.length > 0) this.schedule();
  }

  send(data: Buffer, address: Buffer, port: number, localAddress: Buffer): void {
    if (this.closed) return;
    const local = localAddress.length > 0 ? formatIp(localAddress) : '';
    const sent = { data: Buffer.from(data), address: formatIp(address), port, localAddress: local };
    if (this.route) this.route(this, sent);
    else this.sent.push(sent);
  }

  prompt(): void {}

  finish(): boolean {
    return this.queue.length === 0 || this.closed || !this.handler;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.queue = [];
    this.onClosed?.();
  }

  /** Delivers now, in one batch a 64 datagrams. `start` must have been called. */
  inject(...datagrams: InjectedDatagram[]): void {
    for (let at = 0; at < datagrams.length; at += BATCH) {
      if (this.closed || !this.handler) return;
      const batch = datagrams.slice(at, at + BATCH).map((d) => this.datagram(d));
      this.handler(batch, batch.length);
      for (const d of batch) {
        d.data.fill(0xdb);
        d.source.fill(0xdb);
        d.destination.fill(0xdb);
      }
    }
  }

  /** Delivers later, as the network does. */
  enqueue(datagram: InjectedDatagram): void {
    if (this.closed) return;
    this.queue.push(datagram);
    if (this.handler) this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      const queue = this.queue;
      this.queue = [];
      this.inject(...queue);
    });
  }

  private datagram(d: InjectedDatagram): Datagram {
    const destination = d.destination ?? (isWildcard(this.address) ? '' : this.address);
    return {
      data: Buffer.from(d.data),
      source: parseIp(d.source) ?? Buffer.alloc(0),
      sourcePort: d.sourcePort,
      destination: parseIp(destination) ?? Buffer.alloc(0),
      sec: d.sec ?? 0,
      nsec: d.nsec ?? 0,
    };
  }
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

function loopback(address: string): string {
  return address.includes(':') ? '::1' : '127.0.0.1';
}

/** One end of a stream in memory. */
export class MemoryConnection implements Connection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Everything written here so far. */
  readonly written: Buffer[] = [];
  peer: MemoryConnection | undefined;
  private inbox: Buffer[] = [];
  private paused = false;
  private finished = false;
  private peerEnded = false;
  private scheduled = false;
  private closed: { error: string | undefined } | undefined;
  private reported = false;
  private dataHandler: ((chunk: Buffer) => void) | undefined;
  private closeHandler: ((error: string | undefined) => void) | undefined;

  constructor(local: { address: string; port: number }, remote: { address: string; port: number }) {
    this.localAddress = local.address;
    this.localPort = local.port;
    this.remoteAddress = remote.address;
    this.remotePort = remote.port;
  }

  get onData(): (chunk: Buffer) => void {
    return this.dataHandler ?? (() => {});
  }

  set onData(handler: (chunk: Buffer) => void) {
    this.dataHandler = handler;
    this.schedule();
  }

  get onClose(): (error: string | undefined) => void {
    return this.closeHandler ?? (() => {});
  }

  set onClose(handler: (error: string | undefined) => void) {
    this.closeHandler = handler;
    this.schedule();
  }

  write(data: Buffer): void {
    if (this.closed || this.finished) return;
    const copy = Buffer.from(data);
    this.written.push(copy);
    this.peer?.receive(copy);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.schedule();
  }

  end(): void {
    if (this.closed || this.finished) return;
    this.finished = true;
    this.dataHandler ??= () => {};
    this.paused = false;
    this.peer?.receiveEnd();
    this.schedule();
  }

  destroy(): void {
    if (this.closed) return;
    this.peer?.fail('ECONNRESET: connection reset by peer');
    this.fail(undefined);
  }

  /** The connection breaks on this side, with this reason. */
  fail(error: string | undefined): void {
    if (this.closed) return;
    this.inbox = [];
    this.closed = { error };
    this.schedule();
  }

  private receive(data: Buffer): void {
    if (this.closed) return;
    this.inbox.push(data);
    this.schedule();
  }

  private receiveEnd(): void {
    this.peerEnded = true;
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.run();
    });
  }

  private run(): void {
    while (this.inbox.length > 0 && this.dataHandler && !this.paused && !this.closed) {
      this.dataHandler(this.inbox.shift() as Buffer);
    }
    // A peer that ended is answered with our end: nobody keeps half a connection.
    if (this.peerEnded && this.inbox.length === 0 && this.dataHandler && !this.paused && !this.closed) {
      if (!this.finished) this.end();
      this.closed = { error: undefined };
    }
    if (this.closed && this.closeHandler && !this.reported) {
      this.reported = true;
      this.closeHandler(this.closed.error);
    }
  }
}

/** Two ends of one stream: the accepted one and the dialling one. */
export function memoryConnectionPair(
  local = { address: '127.0.0.1', port: 11019 },
  remote = { address: '127.0.0.1', port: 40000 },
): [MemoryConnection, MemoryConnection] {
  const accepted = new MemoryConnection(local, remote);
  const dialled = new MemoryConnection(remote, local);
  accepted.peer = dialled;
  dialled.peer = accepted;
  return [accepted, dialled];
}

/** The twin of a listener; `accept` is the far end arriving. */
export class MemoryTcpListener implements TcpListener {
  readonly address: string;
  readonly port: number;
  closed = false;
  private waiting: Connection[] = [];
  private handler: ((c: Connection) => void) | undefined;

  constructor(address = '127.0.0.1', port = 11019) {
    this.address = address;
    this.port = port;
  }

  start(onConnection: (c: Connection) => void): void {
    this.handler = onConnection;
    const waiting = this.waiting;
    this.waiting = [];
    for (const c of waiting) onConnection(c);
  }

  /** A connection from `remote`; answers its far end. */
  accept(
    remote = { address: '127.0.0.1', port: 40000 },
    local = { address: this.address, port: this.port },
  ): MemoryConnection {
    const [near, far] = memoryConnectionPair(local, remote);
    if (this.handler) this.handler(near);
    else this.waiting.push(near);
    return far;
  }

  close(): void {
    this.closed = true;
    for (const c of this.waiting) c.destroy();
    this.waiting = [];
  }
}

/** A network of twins: what is sent or dialled reaches whoever is bound there. */
export class MemoryNetwork {
  private readonly sockets = new Map<string, MemoryUdpSocket>();
  private readonly listeners = new Map<string, MemoryTcpListener>();
  private nextPort = 40000;

  udp(address: string, port = 0): MemoryUdpSocket {
    const real = port === 0 ? this.nextPort++ : port;
    const key = `${address}|${real}`;
    const socket = new MemoryUdpSocket(
      address,
      real,
      (from, sent) => this.route(from, sent),
      () => this.sockets.delete(key),
    );
    this.sockets.set(key, socket);
    return socket;
  }

  listen(address: string, port = 0): MemoryTcpListener {
    const listener = new MemoryTcpListener(address, port === 0 ? this.nextPort++ : port);
    this.listeners.set(`${address}|${listener.port}`, listener);
    return listener;
  }

  readonly dial: Dial = (to, done) => {
    let over = false;
    setImmediate(() => {
      if (over) return;
      over = true;
      const listener = this.bound(this.listeners, to.address, to.port);
      if (!listener || listener.closed) {
        done({ ok: false, error: 'ECONNREFUSED: connection refused' });
        return;
      }
      const from = { address: to.localAddress ?? loopback(to.address), port: this.nextPort++ };
      done({ ok: true, connection: listener.accept(from, { address: to.address, port: to.port }) });
    });
    return () => {
      over = true;
    };
  };

  private bound<T>(of: Map<string, T>, address: string, port: number): T | undefined {
    return of.get(`${address}|${port}`) ?? of.get(`${address.includes(':') ? '::' : '0.0.0.0'}|${port}`);
  }

  private route(from: MemoryUdpSocket, sent: SentDatagram): void {
    const own = sent.localAddress || (isWildcard(from.address) ? loopback(from.address) : from.address);
    this.bound(this.sockets, sent.address, sent.port)?.enqueue({
      data: sent.data,
      source: own,
      sourcePort: from.port,
      destination: sent.address,
    });
  }
}
