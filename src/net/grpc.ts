/**
 * The only file that knows @grpc/grpc-js: a channel to one target and bidirectional streams of raw messages on it. The library's own
 * reconnecting is not used: who dials owns the back-off, closes the channel when all its streams ended and dials anew.
 */
import { Buffer } from 'node:buffer';
import { ChannelCredentials, Client, connectivityState, Metadata, status } from '@grpc/grpc-js';
import type { Clock, TimerHandle } from '../core/clock.ts';
import { parseEndpoint } from '../core/ip.ts';

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
  try {
    client = new Client(o.address, o.tls ? tlsCredentials(o.tls) : ChannelCredentials.createInsecure(), {
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
      ...(o.tls?.serverName && {
        'grpc.ssl_target_name_override': o.tls.serverName,
        'grpc.default_authority': o.tls.serverName,
      }),
    });
  } catch (error) {
    return end(status.FAILED_PRECONDITION, `TLS: ${error instanceof Error ? error.message : String(error)}`);
  }
  return {
    stream: (method, metadata, handlers) => openStream(client, o, clock, method, metadata, handlers),
    close: () => client.close(),
  };
};

function tlsCredentials(tls: GrpcTls): ChannelCredentials {
  const pem = (text: string | undefined) => (text === undefined ? null : Buffer.from(text));
  return ChannelCredentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.cert), {
    rejectUnauthorized: tls.skipVerify !== true,
    ...(tls.skipVerify && { checkServerIdentity: () => undefined }),
  });
}

function openStream(
  client: Client,
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
    const peer = parseEndpoint(call.getPeer());
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
