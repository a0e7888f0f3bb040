/** A router of the LAN, as far as BMP goes: one TCP session with an Initiation, dialled again whenever it ends. Started by lan-world.ts. */
import { connect, type Socket } from 'node:net';
import { encodeInitiation } from '../../src/codec/bmp/encode.ts';
import { answer, scriptConfig } from './scenario-script.ts';

const { address, port } = scriptConfig<{ address: string; port: number }>();
/** Milliseconds between two tries, and for how long one may take: a VIP that moves must not be asked by an old SYN. */
const RETRY = 200;

const hello = encodeInitiation({ sysName: 'lan' });
let socket: Socket;
let connected = false;

function dial(): void {
  socket = connect({ host: address, port });
  socket.setTimeout(1000, () => {
    if (!connected) socket.destroy();
  });
  socket.on('connect', () => {
    connected = true;
    socket.setKeepAlive(true, 1000);
    socket.write(hello);
  });
  // Its reason is nothing to us: it is dialled again.
  socket.on('error', () => {});
  socket.on('close', () => {
    connected = false;
    setTimeout(dial, RETRY);
  });
  socket.resume();
}

dial();
// A router that has something to say finds out that the other end has gone; ours says its name again.
setInterval(() => connected && socket.write(hello), 500);
answer({ connected: () => connected });
