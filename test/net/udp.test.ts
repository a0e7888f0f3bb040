import { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../src/core/clock.ts';
import { META_BYTES } from '../../src/net/native.ts';
import { openUdpSocket, type UdpDriver, type UdpOptions } from '../../src/net/udp.ts';
import { ANY, ip, type Kept, keep, opened, requireNative, until } from './helpers.ts';

const native = requireNative();
const open: UdpDriver[] = [];

async function udp(address: string, options: UdpOptions = { native }, port = 0): Promise<UdpDriver> {
  const socket = opened(await openUdpSocket({ network: 'default', address, port }, options));
  open.push(socket);
  return socket;
}

afterEach(() => {
  for (const s of open.splice(0)) s.close();
});

describe('UDP socket of the add-on', () => {
  it('delivers in batches, in order, with source, destination and kernel time', async () => {
    const before = Math.floor(Date.now() / 1000);
    const to = await udp('127.0.0.1');
    const from = await udp('127.0.0.5');
    const got: Kept[] = [];
    const sizes: number[] = [];
    const take = keep(got);
    for (let i = 0; i < 1000; i++) from.send(Buffer.from(`m${i}`), ip('127.0.0.1'), to.port, ANY);
    to.start((batch, count) => {
      sizes.push(count);
      take(batch, count);
    });
    await until(() => got.length === 1000);
    expect(got.map((d) => d.data)).toEqual(Array.from({ length: 1000 }, (_, i) => `m${i}`));
    expect(new Set(got.map((d) => `${d.source} ${d.sourcePort} ${d.destination}`))).toEqual(
      new Set([`7f000005 ${from.port} 7f000001`]),
    );
    // All were queued before the first read, so every batch but the last is full.
    expect(sizes).toEqual([...Array(15).fill(64), 40]);
    for (const d of got) {
      expect(d.sec).toBeGreaterThanOrEqual(before - 1);
      expect(d.sec).toBeLessThanOrEqual(Date.now() / 1000 + 1);
      expect(d.nsec).toBeLessThan(1e9);
    }
    expect(to.received).toBe(1000);
    expect(to.kernelDrops).toBe(0);
  });

  it('lets datagrams gather to a batch while it waits', async () => {
    const to = await udp('127.0.0.1', { native, waitMs: 200 });
    const from = await udp('127.0.0.1');
    const sizes: number[] = [];
    to.start((_batch, count) => sizes.push(count));
    from.send(Buffer.from('first'), ip('127.0.0.1'), to.port, ANY);
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (let i = 0; i < 9; i++) from.send(Buffer.from('more'), ip('127.0.0.1'), to.port, ANY);
    await until(() => to.received === 10);
    expect(sizes).toEqual([10]);
  });

  it('takes the largest and the empty datagram', async () => {
    const to = await udp('127.0.0.1');
    const from = await udp('127.0.0.1');
    const got: Kept[] = [];
    to.start(keep(got));
    const largest = Buffer.alloc(65_507, 'x');
    from.send(largest, ip('127.0.0.1'), to.port, ANY);
    from.send(Buffer.alloc(0), ip('127.0.0.1'), to.port, ANY);
    await until(() => got.length === 2);
    expect(got[0].data).toBe(largest.toString('latin1'));
    expect(got[1].data).toBe('');
    expect(to.truncated).toBe(0);
    from.send(Buffer.alloc(65_508), ip('127.0.0.1'), to.port, ANY);
    expect(from.sendErrors).toBe(1);
    expect(from.lastSendError).toContain('EMSGSIZE');
  });

  it('flags what is cut to the slot', async () => {
    const to = native.openUdp({ address: ip('127.0.0.1'), port: 0, hops: true });
    const from = await udp('127.0.0.1');
    const meta = Buffer.from(new ArrayBuffer(META_BYTES * 2));
    const words = new Uint32Array(meta.buffer);
    const seen: number[][] = [];
    const id = native.readerStart(
      to.fd,
      Buffer.from(new ArrayBuffer(native.keepSize(2, 1, 16))),
      meta,
      2,
      1,
      16,
      0,
      1,
      (count) => {
        for (let i = 0; i < count; i++) seen.push([words[i * 16 + 1], words[i * 16 + 7] >> 16, words[i * 16 + 5]]);
        return true;
      },
    );
    from.send(Buffer.alloc(17), ip('127.0.0.1'), to.port, ANY);
    from.send(Buffer.alloc(16), ip('127.0.0.1'), to.port, ANY);
    await until(() => seen.length === 2);
    expect(seen).toEqual([
      [16, 1, 64],
      [16, 0, 64],
    ]);
    expect(native.readerClose(id)).toBe(0);
    expect(native.readerClose(id)).not.toBe(0);
    native.closeFd(to.fd);
  });

  it('answers from the address that was asked, on 0.0.0.0', async () => {
    const server = await udp('0.0.0.0');
    server.start((batch, count) => {
      for (let i = 0; i < count; i++) {
        const d = batch[i];
        server.send(Buffer.from(`re ${d.data}`), d.source, d.sourcePort, d.destination);
      }
    });
    const client = await udp('127.0.0.1');
    const got: Kept[] = [];
    client.start(keep(got));
    for (const last of [2, 3, 77]) client.send(Buffer.from(`to ${last}`), ip(`127.0.0.${last}`), server.port, ANY);
    await until(() => got.length === 3);
    expect(got.map((d) => [d.source, d.data])).toEqual([
      ['7f000002', 're to 2'],
      ['7f000003', 're to 3'],
      ['7f00004d', 're to 77'],
    ]);
  });

  it.skipIf(process.getuid?.() !== 0)('answers from an address that this node does not have any more', async () => {
    const server = await udp('0.0.0.0');
    const client = await udp('127.0.0.1');
    const got: Kept[] = [];
    client.start(keep(got));
    server.send(Buffer.from('moved'), ip('127.0.0.1'), client.port, ip('192.0.2.77'));
    await until(() => got.length === 1 || server.sendErrors > 0);
    expect(server.lastSendError).toBeUndefined();
    expect(got.map((d) => [d.source, d.data])).toEqual([['c000024d', 'moved']]);
    const server6 = await udp('::');
    const client6 = await udp('::1');
    client6.start(keep(got));
    server6.send(Buffer.from('moved'), ip('::1'), client6.port, ip('2001:db8::77'));
    await until(() => got.length === 2 || server6.sendErrors > 0);
    expect(server6.lastSendError).toBeUndefined();
    expect(got[1].source).toBe('20010db8000000000000000000000077');
    // An address nobody has cannot be bound all the same.
    await expect(udp('192.0.2.77')).rejects.toThrow();
  });

  it('answers on ::, which takes IPv6 only', async () => {
    const server = await udp('::');
    // The same port of IPv4 is still free.
    const other = await udp('0.0.0.0', { native }, server.port);
    server.start((batch, count) => {
      for (let i = 0; i < count; i++) {
        const d = batch[i];
        server.send(d.data, d.source, d.sourcePort, d.destination);
      }
    });
    const client = await udp('::1');
    const got: Kept[] = [];
    client.start(keep(got));
    client.send(Buffer.from('six'), ip('::1'), server.port, ANY);
    await until(() => got.length === 1);
    expect(got[0].source).toBe('00000000000000000000000000000001');
    expect(got[0].destination).toBe('00000000000000000000000000000001');
    expect(other.port).toBe(server.port);
  });

  it('counts kernel drops exactly', async () => {
    const to = await udp('127.0.0.1', { native, receiveBuffer: 64 * 1024 });
    const from = await udp('127.0.0.1');
    const sent = 20_000;
    // Nobody reads: the buffer fills, the rest is dropped.
    for (let i = 0; i < sent; i++) from.send(Buffer.alloc(200), ip('127.0.0.1'), to.port, ANY);
    expect(from.sendErrors).toBe(0);
    const dropped = to.kernelDrops;
    expect(dropped).toBeGreaterThan(0);
    to.start(() => {});
    await until(() => to.received + dropped === sent);
    expect(to.kernelDrops).toBe(dropped);
    to.close();
    expect(to.kernelDrops).toBe(dropped);
  });

  it('counts a refused send and goes on', async () => {
    const s = await udp('127.0.0.1');
    s.send(Buffer.from('x'), ip('::1'), 9, ANY);
    s.send(Buffer.from('x'), ip('127.0.0.1'), 9, ip('::1'));
    s.send(Buffer.from('x'), ip('127.0.0.1'), 0, ANY);
    s.send(Buffer.from('x'), Buffer.alloc(5), 9, ANY);
    expect(s.sendErrors).toBe(4);
    s.close();
    s.send(Buffer.from('x'), ip('127.0.0.1'), 9, ANY);
    expect(s.sendErrors).toBe(5);
    expect(s.lastSendError).toContain('EBADF');
  });

  it('may be closed inside its handler', async () => {
    const to = await udp('127.0.0.1');
    const from = await udp('127.0.0.1');
    for (let i = 0; i < 500; i++) from.send(Buffer.from('x'), ip('127.0.0.1'), to.port, ANY);
    let calls = 0;
    to.start(() => {
      calls++;
      to.close();
    });
    await until(() => calls > 0);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(calls).toBe(1);
  });

  it('gives timers their turn under a load that never ends', async () => {
    const to = await udp('127.0.0.1', { native, slots: 4 });
    const from = await udp('127.0.0.1');
    const send = (n: number): void => {
      for (let i = 0; i < n; i++) from.send(Buffer.from('x'), ip('127.0.0.1'), to.port, ANY);
    };
    let turns = 0;
    let after = 0;
    send(100);
    // Each batch puts in what it took out: the queue is never empty, for 20,000 datagrams.
    to.start((_batch, count) => {
      if (turns > 0) after++;
      if (to.received < 20_000) send(count);
    });
    setTimeout(() => turns++, 1);
    await until(() => to.received >= 20_000);
    expect(turns).toBe(1);
    expect(after).toBeGreaterThan(0);
  });

  it('paces only a socket whose buffer holds what comes meanwhile, and one that is read', async () => {
    const small = native.openUdp({ address: ip('127.0.0.1'), port: 0, receiveBuffer: 65_536 });
    const start = () =>
      native.readerStart(
        small.fd,
        Buffer.from(new ArrayBuffer(native.keepSize(2, 1, 64))),
        Buffer.from(new ArrayBuffer(2 * META_BYTES)),
        ...([2, 1, 64, 0, 1] as const),
        () => true,
      );
    const id = start();
    expect(native.readerPace(id, 20)).toBe(105);
    expect(native.readerPace(id, -1)).toBe(22);
    expect(native.readerPrompt(id)).toBe(0);
    native.readerClose(id);
    expect([native.readerPace(id, 20), native.readerPrompt(id)]).toEqual([9, 9]);
    native.closeFd(small.fd);
  });

  it('loses and turns round nothing while it is busy, whether somebody waits or not', async () => {
    const to = await udp('127.0.0.1');
    const seen: number[] = [];
    to.start((batch, count) => {
      for (let i = 0; i < count; i++) seen.push(batch[i].data.readUInt32BE(0));
      if (seen.length % 3 === 0) to.prompt();
    });
    const from = await udp('127.0.0.1');
    for (let n = 0; n < 1000; n++) {
      from.send(Buffer.from([0, 0, n >> 8, n & 0xff]), ip('127.0.0.1'), to.port, ANY);
      if (n % 40 === 39) await new Promise((r) => setTimeout(r, 2));
    }
    await until(() => seen.length === 1000);
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, n) => n));
  });

  it('ends with its thread, reading or not', async () => {
    const file = new URL('../../src/net/native.ts', import.meta.url).href;
    const code = `
      const { loadNative } = await import(${JSON.stringify(file)});
      const { parentPort } = await import('node:worker_threads');
      const n = loadNative();
      const o = n.openUdp({ address: Buffer.from([127, 0, 0, 1]), port: 0 });
      n.readerStart(o.fd, Buffer.from(new ArrayBuffer(n.keepSize(1, 1, 64))), Buffer.from(new ArrayBuffer(64)), 1, 1, 64, 1, 8, () => parentPort.postMessage('got'));
      n.sendFrom(o.fd, Buffer.from('x'), Buffer.from([127, 0, 0, 1]), o.port, Buffer.alloc(0), 0);`;
    for (let round = 0; round < 3; round++) {
      const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
      await new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      expect(await worker.terminate()).toBe(1);
    }
  });

  it('says why a descriptor cannot be used', async () => {
    const r = await openUdpSocket({ network: 'default', address: '127.0.0.1', port: 0, fd: 9999 }, { native });
    expect(r.ok ? 'open' : r.problem.code).toBe('ENOTSOCK');
  });
});

describe('UDP socket of Node', () => {
  it('delivers one at a time, with the clock it was given', async () => {
    const clock = new ManualClock(0, 1_700_000_000_000);
    const to = await udp('127.0.0.1', { clock });
    const from = await udp('127.0.0.1', {});
    // Before start: held, not lost.
    from.send(Buffer.from('early'), ip('127.0.0.1'), to.port, ANY);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const got: Kept[] = [];
    to.start(keep(got));
    from.send(Buffer.from('late'), ip('127.0.0.1'), to.port, ANY);
    await until(() => got.length === 2);
    expect(got.map((d) => d.data)).toEqual(['early', 'late']);
    expect(got[0]).toMatchObject({ source: '7f000001', sourcePort: from.port, destination: '7f000001' });
    expect(got[0].sec).toBe(1_700_000_000);
    expect(to.kernelDrops).toBe(0);
    to.close();
    to.close();
    to.send(Buffer.from('x'), ip('127.0.0.1'), 9, ANY);
  });

  it('names the port that is in use, and the device it cannot bind', async () => {
    const holder = createSocket('udp4');
    await new Promise<void>((resolve) => holder.bind(0, '127.0.0.1', resolve));
    const port = holder.address().port;
    const r = await openUdpSocket({ network: 'default', address: '127.0.0.1', port }, {});
    holder.close();
    expect(r.ok ? 'open' : r.problem).toMatchObject({ code: 'EADDRINUSE', port });
    const d = await openUdpSocket({ network: 'a', address: '127.0.0.1', port: 0, device: 'lo' }, {});
    expect(d.ok ? 'open' : d.problem.code).toBe('UNSUPPORTED');
  });
});
