import { createSocket } from 'node:dgram';
import { expect, it } from 'vitest';
import { dropsIn, dropsOf } from '../../src/net/proc-drops.ts';
import { ip } from './helpers.ts';

/** Linux 6.18, x86-64: 127.0.0.1:1162 with 7 drops. */
const TABLE = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  530: 0100007F:048A 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 34190 2 00000000de1a1a4a 7
  531: 0100007F:048B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 34191 2 00000000de1a1a4b 9
`;

it('drops of a socket by its address and port', () => {
  expect(dropsIn(TABLE, ip('127.0.0.1'), 1162)).toBe(7);
  expect(dropsIn(TABLE, ip('127.0.0.2'), 1162)).toBeUndefined();
  expect(dropsIn('', ip('127.0.0.1'), 1162)).toBeUndefined();
  // Read in pieces while other sockets came: the same socket twice; and one that shares the port.
  expect(dropsIn(TABLE + TABLE, ip('127.0.0.1'), 1162)).toBe(7);
  expect(dropsIn(TABLE + TABLE.replaceAll('34190', '34200'), ip('127.0.0.1'), 1162)).toBe(14);
});

it.each(['127.0.0.1', '::1'])('drops of a real socket on %s whose buffer runs over', async (address) => {
  const family = address.includes(':') ? 'udp6' : 'udp4';
  const receiver = createSocket({ type: family, recvBufferSize: 4096 });
  await new Promise<void>((done) => receiver.bind(0, address, done));
  const { port } = receiver.address();
  expect(dropsOf(address, port)).toBe(0);
  const sender = createSocket(family);
  // Node reads nothing while this turn of the loop lasts, and the kernel sends at once.
  const packet = Buffer.alloc(1000);
  const sent = 64;
  let received = 0;
  receiver.on('message', () => received++);
  await new Promise<void>((done) => sender.connect(port, address, done));
  let left = sent;
  await new Promise<void>((done) => {
    for (let i = 0; i < sent; i++) sender.send(packet, () => --left === 0 && done());
  });
  for (let i = 0; i < 50 && received + (dropsOf(address, port) ?? 0) < sent; i++)
    await new Promise((done) => setTimeout(done, 10));
  expect(received + dropsOf(address, port)!).toBe(sent);
  receiver.close();
  sender.close();
});
