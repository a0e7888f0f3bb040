/** Datagrams to one far end from a socket of their own, and what it answers. */
import { Buffer } from 'node:buffer';
import { createSocket, type Socket } from 'node:dgram';
import { loadNative, nativeProblem } from './native.ts';
import { OneWaySender } from './one-way.ts';
import type { DatagramSender } from './types.ts';

/** Nothing throws; errors go to `onError`, never from within `send`. */
export function openSender(address: string, port: number, device?: string, oneWay = false): DatagramSender {
  const native = loadNative();
  if (oneWay && native) return new OneWaySender(native, address, port, device);
  return new ConnectedSender(address, port, device);
}

/** The descriptor of a socket that sends over a VRF or interface, or why there is none. */
function bindTo(device: string, v6: boolean): number | string {
  const native = loadNative();
  if (!native) return `a device cannot be bound without the add-on: ${nativeProblem() ?? 'not built'}`;
  try {
    return native.openUdp({ address: Buffer.alloc(v6 ? 16 : 4), port: 0, device }).fd;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Waiting for the socket to be connected, which takes a turn of the loop. */
const MAX_QUEUED = 1024;

/**
 * Connected, so that nobody else's datagrams come in, and that it hears of a port that is closed. Where it cannot be connected (no route
 * yet), each `send` tries again.
 */
class ConnectedSender implements DatagramSender {
  onMessage: (data: Buffer) => void = () => {};
  onError: (error: string) => void = () => {};
  private readonly address: string;
  private readonly port: number;
  private readonly socket: Socket;
  private state: 'idle' | 'connecting' | 'connected' | 'closed' = 'idle';
  /** Why there will be no connection, whatever is tried. */
  private unusable: string | undefined;
  private queued: Buffer[] = [];

  constructor(address: string, port: number, device: string | undefined) {
    this.address = address;
    this.port = port;
    const v6 = address.includes(':');
    this.socket = createSocket({
      type: v6 ? 'udp6' : 'udp4',
      lookup: (host, _o, done) => done(null, host, v6 ? 6 : 4),
    });
    this.socket.on('error', (e) => this.failed(e.message));
    this.socket.on('message', (data) => this.onMessage(data));
    if (device === undefined) return;
    const bound = bindTo(device, v6);
    if (typeof bound !== 'number') {
      this.unusable = bound;
      return;
    }
    this.state = 'connecting';
    this.socket.bind({ fd: bound }, () => this.connect());
  }

  send(data: Buffer): void {
    if (this.state === 'closed') return;
    if (this.state === 'connected') {
      this.socket.send(data, (error) => {
        if (error) this.failed(error.message);
      });
      return;
    }
    const why = this.unusable ?? (this.queued.length < MAX_QUEUED ? undefined : 'too much waits for the socket');
    if (why !== undefined) {
      process.nextTick(() => this.failed(why));
      return;
    }
    this.queued.push(data);
    if (this.state === 'idle') this.connect();
  }

  close(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.socket.close();
  }

  private connect(): void {
    if (this.isClosed()) return;
    this.state = 'connecting';
    // Called with the error where there is one; the types do not say so.
    this.socket.connect(this.port, this.address, (error?: Error) => {
      if (this.isClosed()) return;
      const { queued } = this;
      this.queued = [];
      this.state = error ? 'idle' : 'connected';
      if (error) this.failed(error.message);
      else for (const data of queued) this.send(data);
    });
  }

  private failed(error: string): void {
    if (!this.isClosed()) this.onError(error);
  }

  private isClosed(): boolean {
    return this.state === 'closed';
  }
}
