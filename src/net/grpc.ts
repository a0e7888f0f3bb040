/**
 * The only file that knows @grpc/grpc-js: a channel to one target and bidirectional streams of raw messages on it. The library's own
 * reconnecting is not used: who dials owns the back-off, closes the channel when all its streams ended and dials anew.
 */
import type { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { connect, createSecureContext, type SecureContext } from 'node:tls';
import { CallCredentials, ChannelCredentials, Client, connectivityState, Metadata, status } from '@grpc/grpc-js';
import type { Clock, TimerHandle } from '../core/clock.ts';
import { normaliseIp, parseEndpoint, parseIp } from '../core/ip.ts';
import { connectThrough } from './device.ts';

/** PEM texts. */
export interface GrpcTls {
  ca?: string;
  cert?: string;
  key?: string;
  /** The name the certificate must have, where it is not the host that is dialled. */
  serverName?: string;
  skipVerify?: boolean;
}

export interface GrpcDialOptions {
  /** `HOST:PORT` or `[V6]:PORT`. */
  address: string;
  /** An entry of `networks`, and its VRF or interface to bind to. */
  network?: string;
  device?: string;
  /** Absent: plaintext. */
  tls?: GrpcTls;
  connectTimeoutMs: number;
  /** HTTP/2 PING after so much silence; 0: never. */
  keepaliveMs: number;
  maxMessageBytes: number;
  /** HTTP/2 receive window of the connection and of each stream. */
  windowBytes: number;
}

/** How a stream ended: the gRPC status. */
export interface GrpcEnd {
  code: number;
  /** Its name: `UNAVAILABLE`. */
  status: string;
  details: string;
}

export interface GrpcStreamHandlers {
  /** Response headers came: the far end took the call. The address is text without brackets; empty where it is not known. */
  onOpen(address: string, port: number): void;
  /** One message; the buffer belongs to the receiver. */
  onMessage(message: Buffer): void;
  /** Once, after the last message; not called after `close`. */
  onEnd(end: GrpcEnd): void;
}

export interface GrpcStream {
  write(message: Buffer): void;
  /** Stops reading: the HTTP/2 window fills and the far end waits. */
  pause(): void;
  resume(): void;
  close(): void;
}

export interface GrpcChannel {
  /** Opens a bidirectional stream of `method` (`/package.Service/Method`). Never throws. */
  stream(method: string, metadata: Record<string, string>, handlers: GrpcStreamHandlers): GrpcStream;
  close(): void;
}

/** A channel, or the reason why there can be none (unusable certificates). */
export type GrpcDialer = (options: GrpcDialOptions, clock: Clock) => GrpcChannel | GrpcEnd;

const same = (b: Buffer): Buffer => b;

export const dialGrpc: GrpcDialer = (o, clock) => {
  let client: Client;
  let credentials: TargetCredentials;
  try {
    credentials = new TargetCredentials(o);
    client = new Client(o.device === undefined ? o.address : `unix:${lobby()}`, credentials, {
      'grpc.max_receive_message_length': o.maxMessageBytes,
      'grpc-node.flow_control_window': o.windowBytes,
      // A retried Subscribe would be buffered and could repeat what was heard.
      'grpc.enable_retries': 0,
      // Each channel has its own connection, so that a new channel is a new attempt at once.
      'grpc.use_local_subchannel_pool': 1,
      // Proxies and service configurations from the environment or the DNS are no part of our configuration.
      'grpc.enable_http_proxy': 0,
      'grpc.service_config_disable_resolution': 1,
      ...(o.keepaliveMs > 0 && { 'grpc.keepalive_time_ms': o.keepaliveMs, 'grpc.keepalive_timeout_ms': 20_000 }),
      ...((o.tls?.serverName ?? o.device) !== undefined && {
        'grpc.default_authority': o.tls?.serverName ?? o.address,
      }),
    });
  } catch (error) {
    return end(status.FAILED_PRECONDITION, `TLS: ${error instanceof Error ? error.message : String(error)}`);
  }
  return {
    stream: (method, metadata, handlers) => openStream(client, credentials, o, clock, method, metadata, handlers),
    close: () => {
      client.close();
      credentials.hangUp();
    },
  };
};

/**
 * How the library gets from a TCP connection to one it may use. Ours for two reasons. It keeps the sockets, so that hanging up
 * leaves none behind: the library forgets one whose handshake or HTTP/2 preface never ends, and may dial again after it was closed.
 * And the library's own TLS credentials always send the dialled host as server name, where Node refuses an IP address (RFC 6066,
 * section 3, forbids it). Most targets are dialled by address: they get no server name, and their certificate must name the address.
 */
class TargetCredentials extends ChannelCredentials {
  /** The far end of the latest connection over a device. */
  reached: { address: string; port: number } | undefined;
  private readonly tls: GrpcTls | undefined;
  private readonly device: { name: string; host: string; port: number } | undefined;
  private readonly sockets = new Set<Socket>();
  private over = false;
  private readonly host: string;
  private readonly context: SecureContext | undefined;

  /** Throws where a certificate or key is unusable. */
  constructor(o: GrpcDialOptions) {
    super();
    const { tls } = o;
    const host = hostOf(o.address);
    if (o.device !== undefined)
      this.device = { name: o.device, host, port: Number(o.address.slice(o.address.lastIndexOf(':') + 1)) };
    this.tls = tls;
    this.host = tls?.serverName ?? host;
    this.context = tls && createSecureContext({ ca: tls.ca, cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2' });
  }

  /** Ends every connection, also one the library makes after this. */
  hangUp(): void {
    this.over = true;
    for (const socket of this.sockets) socket.destroy();
  }

  override _isSecure(): boolean {
    return this.tls !== undefined;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    _target: unknown,
    _options: unknown,
    callCredentials?: CallCredentials,
  ): ReturnType<ChannelCredentials['_createSecureConnector']> {
    const perCall = callCredentials ?? CallCredentials.createEmpty();
    return {
      connect: (socket) => {
        if (this.over) {
          socket.destroy();
          return Promise.reject(new Error('hung up'));
        }
        this.keep(socket);
        if (this.device) return this.leaveLobby(socket, this.device);
        return this.tls ? this.handshake(socket) : Promise.resolve({ socket, secure: false });
      },
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => perCall,
      destroy() {},
    };
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
  }

  /** What the library dialled was the lobby; the target is dialled here. */
  private leaveLobby(
    waiting: Socket,
    to: { name: string; host: string; port: number },
  ): Promise<{ socket: Socket; secure: boolean }> {
    return new Promise((resolve, reject) => {
      const socket = connectThrough(to.name, to.host, to.port);
      this.keep(socket);
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('the connection ended')));
      socket.once('connect', () => {
        waiting.destroy();
        this.reached = { address: normaliseIp(socket.remoteAddress ?? '') ?? '', port: socket.remotePort ?? 0 };
        resolve(this.tls ? this.handshake(socket) : { socket, secure: false });
      });
    });
  }

  private handshake(socket: Socket): Promise<{ socket: Socket; secure: boolean }> {
    return new Promise((resolve, reject) => {
      const secure = connect({
        socket,
        secureContext: this.context,
        // The name or address the certificate is held against.
        host: this.host,
        ...(parseIp(this.host) === undefined && { servername: this.host }),
        ALPNProtocols: ['h2'],
        rejectUnauthorized: this.tls?.skipVerify !== true,
      });
      secure.once('secureConnect', () => resolve({ socket: secure, secure: true }));
      secure.on('error', reject);
      secure.once('close', () =>
        reject(new Error('no answer, or the end of the connection, during the TLS handshake')),
      );
    });
  }
}

let lobbyName: string | undefined;

/**
 * The library insists on dialling before it asks for a secure connection. A target behind a device must not be dialled without it: the
 * library is sent to this socket of our own (in Linux's abstract namespace), where nobody says anything.
 */
function lobby(): string {
  if (lobbyName === undefined) {
    lobbyName = `\0tidegate-lobby-${process.pid}-${randomUUID()}`;
    createServer((socket) => socket.on('error', () => {}).resume())
      .listen(lobbyName)
      .unref();
  }
  return lobbyName;
}

/** `HOST` of `HOST:PORT` or `[V6]:PORT`. */
function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
}

function openStream(
  client: Client,
  credentials: TargetCredentials,
  o: GrpcDialOptions,
  clock: Clock,
  method: string,
  metadata: Record<string, string>,
  handlers: GrpcStreamHandlers,
): GrpcStream {
  const headers = new Metadata();
  for (const [name, value] of Object.entries(metadata)) headers.set(name, value);
  const call = client.makeBidiStreamRequest(method, same, same, headers);
  let closed = false;
  let drained = false;
  let said: GrpcEnd | undefined;
  let timer: TimerHandle | undefined = clock.setTimeout(() => {
    timer = undefined;
    if (client.getChannel().getConnectivityState(false) === connectivityState.READY) return;
    finish(end(status.UNAVAILABLE, `no connection within ${o.connectTimeoutMs / 1000} s`));
    call.cancel();
  }, o.connectTimeoutMs);

  function stopTimer(): void {
    if (timer) clock.clearTimeout(timer);
    timer = undefined;
  }
  function finish(e: GrpcEnd): void {
    stopTimer();
    if (closed) return;
    closed = true;
    handlers.onEnd(e);
  }

  call.on('metadata', () => {
    if (closed) return;
    stopTimer();
    const peer = credentials.reached ?? parseEndpoint(call.getPeer());
    handlers.onOpen(peer?.address ?? '', peer?.port ?? 0);
  });
  call.on('data', (message: Buffer) => {
    if (!closed) handlers.onMessage(message);
  });
  // The status may overtake messages that wait in the stream's buffer: it counts when both are here.
  call.on('status', (s) => {
    said = end(s.code, s.details);
    if (drained) finish(said);
  });
  call.on('end', () => {
    drained = true;
    if (said) finish(said);
  });
  // The status says the same; without a handler the error would end the process.
  call.on('error', () => {});

  return {
    write: (message) => {
      if (!closed) call.write(message);
    },
    pause: () => call.pause(),
    resume: () => call.resume(),
    close: () => {
      if (closed) return;
      closed = true;
      stopTimer();
      call.cancel();
      // Lets go of what is buffered.
      call.resume();
    },
  };
}

function end(code: number, details: string): GrpcEnd {
  return { code, status: status[code] ?? String(code), details };
}
