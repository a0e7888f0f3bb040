/** TCP-MD5 (RFC 2385): a key that changes on both ends of a running connection. */
import { expect, it } from 'vitest';
import { createDial, openTcpListener } from '../../src/net/tcp.ts';
import type { Connection } from '../../src/net/types.ts';
import { ip, opened, requireNative, until } from './helpers.ts';

const native = requireNative();

it('the connection goes on when both ends have the new key', async () => {
  const address = ip('127.0.0.1');
  const listener = opened(
    await openTcpListener(
      { network: 'default', address: '127.0.0.1', port: 0 },
      { native, prepare: (fd) => native.setMd5(fd, address, 32, Buffer.from('old')) },
    ),
  );
  let theirs: Connection | undefined;
  const heard: string[] = [];
  listener.start((c) => {
    theirs = c;
    c.onData = (d) => void heard.push(String(d));
  });
  const ours = await new Promise<Connection>((resolve, reject) => {
    createDial({ native })({ address: '127.0.0.1', port: listener.port, password: 'old', timeoutMs: 5000 }, (r) =>
      r.ok ? resolve(r.connection) : reject(new Error(r.error)),
    );
  });
  const ended: unknown[] = [];
  ours.onClose = (e) => void ended.push(e);
  ours.onData = () => {};
  ours.write(Buffer.from('1'));
  await until(() => heard.join('') === '1', 'the first octet');
  // Between the two changes nothing gets through; what was sent meanwhile comes when both have the key.
  expect(ours.rekey!('new')).toBeUndefined();
  ours.write(Buffer.from('2'));
  await new Promise((done) => setTimeout(done, 50));
  expect(heard.join('')).toBe('1');
  expect(theirs!.rekey!('new')).toBeUndefined();
  await until(() => heard.join('') === '12', 'the second octet');
  expect(ended).toEqual([]);
  ours.destroy();
  await until(() => ended.length === 1, 'its end');
  expect(ours.rekey!('later')).toMatch(/closed/);
  listener.close();
});
