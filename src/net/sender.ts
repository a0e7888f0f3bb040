/** Datagrams to one far end from a socket of their own, and what it answers. */
import type { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import type { DatagramSender } from './types.ts';

/** Connected, so that nobody else's datagrams come in. What is sent before that is queued. Nothing throws; errors go to `onError`. */
export function openSender(address: string, port: number): DatagramSender {
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
  socket.connect(port, address, () => {
    connected = true;
    const first = queued;
    queued = [];
    for (const data of first) sender.send(data);
  });
  return sender;
}
