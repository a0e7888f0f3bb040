/** What a killed reader had in hand is the next one's: child processes die inside the call that brings them their datagrams. */
import { Buffer } from 'node:buffer';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { closeSockets, openSockets, type SocketGroup } from '../../src/net/open.ts';
import { openUdpSocket, type UdpDriver } from '../../src/net/udp.ts';
import { ANY, ip, opened, requireNative, until } from './helpers.ts';

const native = requireNative();
const children: ChildProcess[] = [];
let groups: SocketGroup[] = [];
let from: UdpDriver | undefined;

afterEach(() => {
  for (const c of children.splice(0)) c.kill('SIGKILL');
  closeSockets(groups, native);
  groups = [];
  from?.close();
});

/** One listener for one worker, with `n` datagrams in the kernel. */
async function filled(n: number): Promise<(i: number) => string> {
  const spec = { network: 'default', address: '127.0.0.1', port: 0 };
  groups = openSockets([{ kind: 'udp', spec }], 1, native).groups;
  const sender = opened(await openUdpSocket({ network: 'default', address: '127.0.0.7', port: 0 }, { native }));
  from = sender;
  for (let i = 0; i < n; i++) sender.send(Buffer.from(`m${i}`), ip('127.0.0.1'), groups[0].spec.port, ANY);
  return (i) => `m${i} 7f000007 ${sender.port} 7f000001`;
}

interface Reader {
  child: ChildProcess;
  lines: () => string[];
}

function reader(deadly: string, answer = ''): Reader {
  const [{ fds, keeps }] = groups;
  const child = fork(new URL('fixtures/die-udp.ts', import.meta.url), [deadly, answer], {
    stdio: ['ignore', 'pipe', 'inherit', fds[0], keeps[0], 'ipc'],
  });
  children.push(child);
  let text = '';
  child.stdout?.on('data', (d) => {
    text += d;
  });
  return { child, lines: () => text.split('\n').filter((l) => l !== '' && l !== 'ready') };
}

async function died(r: Reader): Promise<string[]> {
  const [, signal] = await once(r.child, 'close');
  expect(signal).toBe('SIGKILL');
  return r.lines();
}

it('a batch whose call never returned is delivered again, once, in order, with its addresses; the rest comes after it', async () => {
  const line = await filled(100);
  // The second batch, 64 to 99, is in hand.
  const seen = await died(reader('m70'));
  expect(seen).toEqual(Array.from({ length: 71 }, (_, i) => line(i)));
  from?.send(Buffer.from('m100'), ip('127.0.0.1'), groups[0].spec.port, ANY);
  const next = reader('');
  await until(() => next.lines().length >= 37, 'what is left and what is new');
  expect(next.lines()).toEqual(Array.from({ length: 37 }, (_, i) => line(64 + i)));
  next.child.kill('SIGKILL');
  await once(next.child, 'close');
  // It was done with all of it.
  const last = reader('');
  from?.send(Buffer.from('m101'), ip('127.0.0.1'), groups[0].spec.port, ANY);
  await until(() => last.lines().length > 0, 'the last');
  expect(last.lines()).toEqual([line(101)]);
});

it('a call that says "not out yet" keeps its batch for the next reader', async () => {
  const line = await filled(3);
  const first = reader('', 'false');
  await until(() => first.lines().length === 3, 'three');
  first.child.kill('SIGKILL');
  await died(first);
  const next = reader('');
  await until(() => next.lines().length === 3, 'the same three');
  expect(next.lines()).toEqual([line(0), line(1), line(2)]);
});

it('a datagram that kills three readers is given up, and the others of its batch are not', async () => {
  const line = await filled(5);
  expect(await died(reader('m2'))).toEqual([line(0), line(1), line(2)]);
  expect(await died(reader('m2'))).toEqual([line(0), line(1), line(2)]);
  expect(await died(reader('m2'))).toEqual([line(2)]);
  const last = reader('m2');
  await until(() => last.lines().length === 3, 'the rest');
  expect(last.lines()).toEqual(['given up m2', line(3), line(4)]);
});

it('memory of another size, of another layout or full of nonsense is begun anew', async () => {
  await filled(2);
  const kept = native.keepMap(groups[0].keeps[0]);
  kept.fill(0xa5);
  const first = reader('');
  await until(() => first.lines().length === 2, 'two');
  expect(native.keepSize(64, 0, 100)).toBe(0);
  expect(native.keepSize(64, 4, 2 ** 21)).toBe(0);
  expect(() => native.keepOpen(0)).toThrow();
  expect(() => native.keepMap(9999)).toThrow(/EBADF|descriptor/);
});
