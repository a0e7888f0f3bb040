/** What the edges look like from inside. The real drivers are in udp.ts, tcp.ts and native.ts; memory.ts has the twins for tests. */
import type { Buffer } from 'node:buffer';

/**
 * One received datagram; the object and `data` are reused after the handler returned, so copy what is kept.
 * Addresses are bytes because the hot path compares them; text is made on demand (core/ip.ts).
 */
export interface Datagram {
  /** A view into the receive buffer. */
  data: Buffer;
  /** 4 or 16 bytes (an IPv4-mapped address is given as 4), a view. */
  source: Buffer;
  sourcePort: number;
  /** The local address it was sent to, 4 or 16 bytes; empty where the driver cannot know. */
  destination: Buffer;
  /** UTC receive time: from the kernel with the add-on, else from the clock. */
  sec: number;
  nsec: number;
}

export interface UdpSocket {
  /** Reads at once what the kernel holds; false where there is, or may be, more: ask again a moment later. Before a close that loses nothing. */
  finish(): boolean;
  /** Somebody waits for an answer to what is being delivered: the next batch is not kept back while it forms. */
  prompt(): void;
  /** The bound address as text and its port. */
  readonly address: string;
  readonly port: number;
  /** Datagrams the kernel dropped at this socket since it was opened (SO_MEMINFO); exact with the add-on, else 0. */
  readonly kernelDrops: number;
  /**
   * Starts reading. One call per batch: the array is reused, `count` entries are valid. False from `onBatch`: what became of them would
   * not survive this process yet; it is called again soon, with a count of 0 where nothing else came. What a predecessor of this process
   * left (`ListenSpec.keepFd`) comes first, one datagram a call; `onGivenUp` gets those of which its predecessors died again and again.
   */
  start(onBatch: (batch: Datagram[], count: number) => unknown, onGivenUp?: (d: Datagram) => void): void;
  /** Sends the kernel refused. */
  readonly sendErrors: number;
  /**
   * Sends from `localAddress` (bytes as in `destination`; empty: the kernel's choice), with the add-on and CAP_NET_ADMIN also from one that has
   * moved to another node since. Errors are counted, not thrown.
   */
  send(data: Buffer, address: Buffer, port: number, localAddress: Buffer): void;
  close(): void;
}

/** A stream connection, accepted or dialled. */
export interface Connection {
  /** Text of the far end; RFC 5952, IPv4-mapped as IPv4. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  onData: (chunk: Buffer) => void;
  /** Called once, however the connection ended. */
  onClose: (error: string | undefined) => void;
  write(data: Buffer): void;
  /** Bytes that wait to be sent, and those the kernel took so far; absent: not known. */
  readonly sending?: { waiting: number; taken: number };
  /** Another TCP-MD5 key from here on; why not, where it cannot be done. Absent: it cannot. */
  rekey?(password: string): string | undefined;
  /** TTL or hop limit of what is sent, and the least one that is taken (RFC 5082); why not, where it cannot be done. Absent: it cannot. */
  setHops?(ttl: number, minTtl: number | undefined): string | undefined;
  pause(): void;
  resume(): void;
  /** Sends what is queued, then FIN. */
  end(): void;
  /** RST or at least at once. */
  destroy(): void;
}

export interface TcpListener {
  readonly address: string;
  readonly port: number;
  start(onConnection: (c: Connection) => void): void;
  close(): void;
}

/** How listening sockets reach a worker: a descriptor the supervisor opened, or (without the add-on) an address to bind. */
export interface ListenSpec {
  network: string;
  address: string;
  port: number;
  /** A VRF or interface name to bind to. */
  device?: string;
  /** Bind although the address is not there yet (VIP). */
  freebind?: boolean;
  /** An inherited descriptor; absent: the worker binds itself. */
  fd?: number;
  /** The memory a UDP socket is read into, which outlives the worker; absent: its own. */
  keepFd?: number;
}

/** A key of RFC 5925 with an algorithm of RFC 5926. The ids are 0 to 255. */
export interface TcpAoKey {
  send_id: number;
  recv_id: number;
  algorithm: 'hmac-sha-1-96' | 'aes-128-cmac-96';
  secret: string;
}

/** How a stream is dialled. */
export interface DialOptions {
  /** An address; a name is resolved first. */
  address: string;
  port: number;
  localAddress?: string;
  /** A connection not up after this long has failed. */
  timeoutMs: number;
  /** IP TTL or hop limit of what is sent, from the SYN on (needs the add-on). */
  ttl?: number;
  /** A VRF or interface name to bind to (needs the add-on). */
  device?: string;
  /** TCP-MD5 key (RFC 2385; needs the add-on). */
  password?: string;
  /** TCP-AO key (RFC 5925; needs the add-on and a kernel that has it). */
  ao?: TcpAoKey;
  /** What comes with a lesser TTL or hop limit is dropped by the kernel (RFC 5082; needs the add-on). */
  minTtl?: number;
}

export type DialResult = { ok: true; connection: Connection } | { ok: false; error: string };

/** `done` is called once, later; the returned function gives up, and then `done` is not called any more. */
export type Dial = (options: DialOptions, done: (result: DialResult) => void) => () => void;

/** Sends datagrams to one far end, and hears what that one answers. */
export interface DatagramSender {
  /** A view is kept until it is sent: do not reuse it. */
  send(data: Buffer): void;
  onMessage: (data: Buffer) => void;
  /** What the operating system said, later than the `send` it is about: nobody listens there, no way to it. */
  onError: (error: string) => void;
  close(): void;
}

/** `oneWay`: nothing is awaited from there; what the network says of it is heard all the better. */
export type OpenSender = (address: string, port: number, device?: string, oneWay?: boolean) => DatagramSender;
