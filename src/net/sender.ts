/** Datagrams to one far end from a socket of their own, and what it answers. */
import { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import { loadNative, nativeProblem } from './native.ts';
import type { DatagramSender } from './types.ts';

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

/** Connected, so that nobody else's datagrams come in. What is sent before that is queued. Nothing throws; errors go to `onError`. */
export function openSender(address: string, port: number, device?: string): DatagramSender {
  const v6 = address.includes(':');
  const socket = createSocket({ type: v6 ? 'udp6' : 'udp4', lookup: (host, _o, done) => done(null, host, v6 ? 6 : 4) });
  let connected = false;
  let closed = false;
  let queued: Buffer[] = [];
  const sender: DatagramSender = {
    onMessage: () => {},
    onError: () => {},
    send(data) {
      if (closed) return;
      if (!connected) {
        if (queued.length < 1024) queued.push(data);
        return;
      }
      socket.send(data, (error) => {
        if (error && !closed) sender.onError(error.message);
      });
    },
    close() {
      if (closed) return;
      closed = true;
      socket.close();
    },
  };
  socket.on('error', (e) => {
    if (!closed) sender.onError(e.message);
  });
  socket.on('message', (data) => sender.onMessage(data));
  const connect = (): void => socket.connect(port, address, took);
  const took = (): void => {
    connected = true;
    const first = queued;
    queued = [];
    for (const data of first) sender.send(data);
  };
  if (device === undefined) connect();
  else {
    const bound = bindTo(device, v6);
    if (typeof bound === 'number') socket.bind({ fd: bound }, connect);
    else process.nextTick(() => sender.onError(bound));
  }
  return sender;
}
