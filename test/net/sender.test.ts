/** The socket of a relay's target: what it sends, what it hears, and what the network says of it. */
import { createSocket, type Socket } from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import { errnoName } from '../../src/net/native.ts';
import { openSender } from '../../src/net/sender.ts';
import type { DatagramSender } from '../../src/net/types.ts';
import { ANY, ip, requireNative, until } from './helpers.ts';

const native = requireNative();
const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const f of cleanup.splice(0)) f();
});

async function receiver(address: string, port = 0): Promise<{ socket: Socket; port: number; got: string[] }> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  await new Promise<void>((done) => socket.bind(port, address, done));
  const got: string[] = [];
  socket.on('message', (m, from) => {
    got.push(String(m));
    socket.send(`re: ${m}`, from.port, from.address);
  });
  return { socket, port: socket.address().port, got };
}

function sender(
  address: string,
  port: number,
  oneWay: boolean,
): { sender: DatagramSender; heard: string[]; errors: string[] } {
  const s = openSender(address, port, undefined, oneWay);
  cleanup.push(() => s.close());
  const heard: string[] = [];
  const errors: string[] = [];
  s.onMessage = (m) => heard.push(String(m));
  s.onError = (e) => errors.push(e);
  return { sender: s, heard, errors };
}

describe('a sender', () => {
  it.each([
    ['127.0.0.1', false],
    ['::1', false],
    ['127.0.0.1', true],
    ['::1', true],
  ])('says that nobody listens, and goes on when somebody does: %s, one way %s', async (address, oneWay) => {
    const gone = await receiver(address);
    const { port } = gone;
    gone.socket.close();
    const s = sender(address, port, oneWay);
    for (let i = 1; i <= 3; i++) {
      s.sender.send(Buffer.from(`lost ${i}`));
      await until(() => s.errors.length >= i, 'the error');
    }
    expect(s.errors.every((e) => e.includes('ECONNREFUSED'))).toBe(true);
    const there = await receiver(address, port);
    cleanup.push(() => there.socket.close());
    // The last word about those that were lost.
    await new Promise((done) => setTimeout(done, 500));
    const before = s.errors.length;
    for (let i = 0; i < 50; i++) s.sender.send(Buffer.from(`m${i}`));
    await until(() => there.got.length === 50 && (oneWay || s.heard.length === 50), 'the answers');
    expect(there.got).toEqual(Array.from({ length: 50 }, (_, i) => `m${i}`));
    expect(s.errors).toHaveLength(before);
    s.sender.close();
    s.sender.send(Buffer.from('late'));
    s.sender.close();
  });

  it.each([false, true])(
    'that may not send says so of each datagram, and throws nothing: one way %s',
    async (oneWay) => {
      // Without SO_BROADCAST nobody may.
      const s = sender('255.255.255.255', 162, oneWay);
      for (let i = 1; i <= 3; i++) {
        s.sender.send(Buffer.from('x'));
        expect(s.errors).toHaveLength(i - 1);
        await until(() => s.errors.length === i, 'the error');
      }
      expect(s.errors[2]).toContain('EACCES');
    },
  );

  it('what comes back one way fills no buffer', async () => {
    const there = await receiver('127.0.0.1');
    cleanup.push(() => there.socket.close());
    const { fd, port } = native.openUdp({ address: ip('127.0.0.1'), port: 0 });
    cleanup.push(() => native.closeFd(fd));
    for (let n = 0; n < 5; n++) {
      for (let i = 0; i < 400; i++) there.socket.send('x'.repeat(800), port, '127.0.0.1');
      await new Promise((done) => there.socket.send('end', port, '127.0.0.1', done));
      // Some of 400 may have been dropped by now, but not for ever.
      native.takeErrors(fd);
      const before = native.socketDrops(fd);
      await new Promise((done) => there.socket.send('one', port, '127.0.0.1', done));
      expect(native.socketDrops(fd)).toBe(before);
    }
  });

  it('what the network says stays in a socket until it is taken', async () => {
    const gone = await receiver('127.0.0.1');
    gone.socket.close();
    const { fd } = native.openUdp({ address: ip('127.0.0.1'), port: 0 });
    cleanup.push(() => native.closeFd(fd));
    expect(native.heedErrors(fd, 4)).toBe(0);
    expect(native.takeErrors(fd)).toBe(0);
    const put = () => native.sendFrom(fd, Buffer.from('x'), ip('127.0.0.1'), gone.port, ANY, 0);
    expect(put()).toBe(0);
    await until(() => native.takeErrors(fd) !== 0, 'the error');
    expect(native.takeErrors(fd)).toBe(0);
    expect(put()).toBe(0);
    // Not taken, it is what the next one is refused with; taken meanwhile by that, it leaves no trace.
    await until(() => errnoName(put()) === 'ECONNREFUSED', 'the refusal');
    native.takeErrors(fd);
    await until(() => native.takeErrors(fd) === 0, 'the last error');
    expect(errnoName(native.takeErrors(-1))).toBe('EBADF');
    expect(errnoName(native.heedErrors(-1, 6))).toBe('EBADF');
  });
});
