/** One-shot senders for `tidegate send`. */
import type { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

/** Sends one datagram; with `wait` resolves true when any answer comes within 5 s. */
export function sendTrap(packet: Buffer, address: string, port: number, wait: boolean): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const timer = wait ? setTimeout(() => finish(false), 5000) : undefined;
    const finish = (answered: boolean): void => {
      clearTimeout(timer);
      socket.close();
      resolve(answered);
    };
    socket.on('error', reject);
    socket.on('message', () => finish(true));
    socket.send(packet, port, address, (error) => {
      if (error) reject(error);
      else if (!wait) finish(true);
    });
  });
}

/** Writes `bytes` to a fresh connection and closes it; resolves with what went wrong. */
export function sendBmp(bytes: Buffer, address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    socket.setTimeout(5000, () => socket.destroy(new Error('no connection within 5 s')));
    socket.on('connect', () => socket.end(bytes));
    socket.on('error', (e) => resolve(e.message));
    socket.on('close', () => resolve(undefined));
    socket.resume();
  });
}
