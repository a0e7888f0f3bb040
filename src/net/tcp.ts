import { Buffer } from 'node:buffer';
import { createServer, type Server, Socket } from 'node:net';
import { type Clock, systemClock, type TimerHandle } from '../core/clock.ts';
import { normaliseIp, parseIp } from '../core/ip.ts';
import { errnoName, errnoText, type Native } from './native.ts';
import { describeProblem, errorText, type Opening } from './problem.ts';
import type { Connection, Dial, ListenSpec, TcpAoKey, TcpListener } from './types.ts';

export interface TcpOptions {
  native?: Native;
  clock?: Clock;
  /** Connections held at once; more are closed at accept. Default 10,000. */
  maxConnections?: number;
  /** With the add-on: sets options of the descriptor before anybody can connect; returns an errno (0: done). */
  prepare?: (fd: number) => number;
}

/** A peer that is silent this long is probed; after ten unanswered probes the connection ends. */
const KEEPALIVE_MS = 30_000;

/** Bytes a peer may leave unread before it is disconnected: our own writes are small, so it does not read at all. */
const MAX_UNSENT = 16 * 1024 * 1024;

/** After `end` the peer has this long to close its side. */
const LINGER_MS = 5_000;

/**
 * A stream. It reads nothing before `onData` is set, so that no byte is lost between accept and the session that takes it; how it
 * ended is kept until `onClose` is set.
 */
class StreamConnection implements Connection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  private readonly socket: Socket;
  private readonly clock: Clock;
  private readonly native: Native | undefined;
  private dataHandler: ((chunk: Buffer) => void) | undefined;
  private closeHandler: ((error: string | undefined) => void) | undefined;
  private ended: { error: string | undefined } | undefined;
  private error: string | undefined;
  private paused = false;
  private linger: TimerHandle | undefined;

  /** What waits in this process, and what the kernel took. */
  get sending(): { waiting: number; taken: number } {
    const waiting = this.socket.writableLength;
    return { waiting, taken: this.socket.bytesWritten - waiting };
  }

  constructor(socket: Socket, clock: Clock, native?: Native) {
    this.socket = socket;
    this.clock = clock;
    this.native = native;
    this.remoteAddress = normaliseIp(socket.remoteAddress ?? '') ?? '';
    this.remotePort = socket.remotePort ?? 0;
    this.localAddress = normaliseIp(socket.localAddress ?? '') ?? '';
    this.localPort = socket.localPort ?? 0;
    socket.pause();
    socket.on('data', (chunk: Buffer) => this.dataHandler?.(chunk));
    socket.on('error', (error) => {
      this.error ??= errorText(error);
    });
    socket.on('close', () => {
      if (this.linger) this.clock.clearTimeout(this.linger);
      this.ended = { error: this.error };
      this.report();
    });
  }

  get onData(): (chunk: Buffer) => void {
    return this.dataHandler ?? nothing;
  }

  set onData(handler: (chunk: Buffer) => void) {
    this.dataHandler = handler;
    if (!this.paused) this.socket.resume();
  }

  get onClose(): (error: string | undefined) => void {
    return this.closeHandler ?? nothing;
  }

  set onClose(handler: (error: string | undefined) => void) {
    this.closeHandler = handler;
    if (this.ended) queueMicrotask(() => this.report());
  }

  private reported = false;
  private report(): void {
    if (this.reported || !this.closeHandler || !this.ended) return;
    this.reported = true;
    this.closeHandler(this.ended.error);
  }

  write(data: Buffer): void {
    if (this.socket.destroyed || this.socket.writableEnded) return;
    this.socket.write(data);
    if (this.socket.writableLength > MAX_UNSENT) {
      this.error ??= `the peer does not read: ${this.socket.writableLength} bytes wait`;
      this.socket.destroy();
    }
  }

  rekey(password: string): string | undefined {
    return this.set((native, fd) => setPassword(native, fd, this.remoteAddress, password));
  }

  setHops(ttl: number, minTtl: number | undefined): string | undefined {
    const family = this.remoteAddress.includes(':') ? 6 : 4;
    return this.set(
      (native, fd) =>
        native.setTtl(fd, family, ttl) || (minTtl === undefined ? 0 : native.setMinTtl(fd, family, minTtl)),
    );
  }

  private set(option: (native: Native, fd: number) => number): string | undefined {
    // Node has no other word for the descriptor of a stream.
    const fd = (this.socket as unknown as { _handle?: { fd: number } | null })._handle?.fd ?? -1;
    if (!this.native || fd < 0) return this.native ? 'the connection is closed' : 'it needs the native add-on';
    const errno = option(this.native, fd);
    return errno === 0 ? undefined : `${errnoText(errno)} (${errnoName(errno)})`;
  }

  pause(): void {
    this.paused = true;
    this.socket.pause();
  }

  resume(): void {
    this.paused = false;
    if (this.dataHandler) this.socket.resume();
  }

  end(): void {
    if (this.socket.destroyed || this.socket.writableEnded) return;
    this.socket.end();
    // The peer's FIN is only seen by reading on.
    this.dataHandler ??= nothing;
    this.resume();
    this.linger = this.clock.setTimeout(() => this.socket.destroy(), LINGER_MS);
  }

  destroy(): void {
    if (this.socket.destroyed) return;
    if (this.socket.connecting) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }
}

function nothing(): void {}

/**
 * A listener on an inherited descriptor, or one that binds itself (then with the add-on's options where it is there).
 * Connections that come before `start` wait for it.
 */
export function openTcpListener(spec: ListenSpec, options: TcpOptions = {}): Promise<Opening<TcpListener>> {
  const clock = options.clock ?? systemClock;
  const { native } = options;
  const server = createServer({
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_MS,
  });
  server.maxConnections = options.maxConnections ?? 10_000;
  const listener = new ServerListener(server, clock, native);
  return new Promise((resolve) => {
    const failed = (error: unknown): void => resolve({ ok: false, problem: describeProblem('tcp', spec, error) });
    server.once('error', failed);
    server.once('listening', () => {
      server.removeListener('error', failed);
      server.on('error', nothing);
      listener.bound();
      resolve({ ok: true, value: listener });
    });
    try {
      if (spec.fd !== undefined) {
        server.listen({ fd: spec.fd });
      } else if (native) {
        const address = parseIp(spec.address) ?? Buffer.alloc(0);
        const { port, device, freebind } = spec;
        const { fd } = native.openTcp({ address, port, device, freebind });
        const problem = options.prepare?.(fd) ?? 0;
        if (problem !== 0) {
          native.closeFd(fd);
          failed(Object.assign(new Error(errnoText(problem)), { code: errnoName(problem) }));
          return;
        }
        server.listen({ fd });
      } else if (spec.device !== undefined) {
        failed(Object.assign(new Error('a device cannot be bound without the add-on'), { code: 'UNSUPPORTED' }));
      } else {
        server.listen({ host: spec.address, port: spec.port, ipv6Only: spec.address.includes(':'), exclusive: true });
      }
    } catch (error) {
      failed(error);
    }
  });
}

class ServerListener implements TcpListener {
  address = '';
  port = 0;
  private readonly server: Server;
  private waiting: StreamConnection[] = [];
  private handler: ((c: Connection) => void) | undefined;

  constructor(server: Server, clock: Clock, native: Native | undefined) {
    this.server = server;
    server.on('connection', (socket) => {
      // Reset before we looked: nothing to talk to.
      if (socket.remoteAddress === undefined) {
        socket.on('error', nothing);
        socket.destroy();
        return;
      }
      const connection = new StreamConnection(socket, clock, native);
      if (this.handler) this.handler(connection);
      else this.waiting.push(connection);
    });
  }

  bound(): void {
    const at = this.server.address();
    if (at === null || typeof at === 'string') return;
    this.address = at.address;
    this.port = at.port;
  }

  start(onConnection: (c: Connection) => void): void {
    this.handler = onConnection;
    const waiting = this.waiting;
    this.waiting = [];
    for (const c of waiting) onConnection(c);
  }

  close(): void {
    this.server.close();
    for (const c of this.waiting) c.destroy();
    this.waiting = [];
  }
}

function setPassword(native: Native, fd: number, address: string, password: string): number {
  const peer = parseIp(address) ?? Buffer.alloc(0);
  return native.setMd5(fd, peer, peer.length * 8, Buffer.from(password));
}

const ENOPROTOOPT = 92;
export const NO_TCP_AO =
  'this kernel has no TCP-AO: it needs Linux 6.7 or later with CONFIG_TCP_AO; without the key there is no session';

/** What the kernel calls the algorithms of RFC 5926. */
const AO_ALGORITHMS = { 'hmac-sha-1-96': 'hmac(sha1)', 'aes-128-cmac-96': 'cmac(aes128)' } as const;

/** Gives a socket the key for a peer; 0 or an errno. */
export function setAoKey(native: Native, fd: number, address: string, key: TcpAoKey): number {
  const peer = parseIp(address) ?? Buffer.alloc(0);
  return native.setAo(fd, peer, key.send_id, key.recv_id, AO_ALGORITHMS[key.algorithm], Buffer.from(key.secret));
}

/** Why no TCP-AO key can be used here; undefined where one can. */
export function tcpAoProblem(native: Native | undefined): string | undefined {
  if (!native) return 'TCP-AO needs the native add-on';
  const fd = native.openTcpClient({ family: 4 });
  const errno = setAoKey(native, fd, '127.0.0.1', {
    send_id: 1,
    recv_id: 1,
    algorithm: 'hmac-sha-1-96',
    secret: 'try',
  });
  native.closeFd(fd);
  if (errno === ENOPROTOOPT) return NO_TCP_AO;
  return errno === 0 ? undefined : `TCP-AO cannot be used: ${errnoText(errno)} (${errnoName(errno)})`;
}

/** Dials real streams. */
export function createDial(options: { native?: Native; clock?: Clock } = {}): Dial {
  const clock = options.clock ?? systemClock;
  const { native } = options;
  return (to, done) => {
    let over = false;
    let socket: Socket | undefined;
    let timer: TimerHandle | undefined;
    const finish = (error: string | undefined): void => {
      if (over) return;
      over = true;
      if (timer) clock.clearTimeout(timer);
      if (error === undefined && socket) {
        socket.off('error', onError).off('close', onEnd);
        done({ ok: true, connection: new StreamConnection(socket, clock, native) });
        return;
      }
      socket?.destroy();
      done({ ok: false, error: error ?? 'closed' });
    };
    const onError = (error: Error): void => finish(errorText(error));
    const onEnd = (): void => finish('closed');
    try {
      const { ttl, device, password, minTtl, ao } = to;
      if ((ttl ?? device ?? password ?? minTtl ?? ao) !== undefined) {
        if (!native) throw new Error('a TTL, device, password or TCP-AO key of a dialled stream needs the add-on');
        const family = to.address.includes(':') ? 6 : 4;
        const fd = native.openTcpClient({ family, device, ttl });
        const problem =
          (minTtl === undefined ? 0 : native.setMinTtl(fd, family, minTtl)) ||
          (password === undefined ? 0 : setPassword(native, fd, to.address, password)) ||
          (ao === undefined ? 0 : setAoKey(native, fd, to.address, ao));
        if (problem !== 0) {
          // Rather no session than one without what was asked for.
          native.closeFd(fd);
          if (ao && problem === ENOPROTOOPT) throw new Error(NO_TCP_AO);
          throw new Error(`the socket cannot be prepared: ${errnoText(problem)} (${errnoName(problem)})`);
        }
        socket = new Socket({ fd, readable: true, writable: true, manualStart: true } as { fd: number });
      } else {
        socket = new Socket();
      }
      socket.on('error', onError);
      socket.on('close', onEnd);
      socket.once('connect', () => finish(undefined));
      socket.pause();
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEPALIVE_MS);
      socket.connect({ host: to.address, port: to.port, localAddress: to.localAddress, autoSelectFamily: false });
      timer = clock.setTimeout(() => finish(`no answer within ${to.timeoutMs} ms`), to.timeoutMs);
    } catch (error) {
      const text = errorText(error);
      queueMicrotask(() => finish(text));
    }
    return () => {
      if (over) return;
      over = true;
      if (timer) clock.clearTimeout(timer);
      socket?.destroy();
    };
  };
}
