// One suite, run against the real sockets of both drivers and against the twins in memory.
import { Buffer } from 'node:buffer';
import { afterEach, describe, expect, it } from 'vitest';
import { MemoryNetwork, MemoryUdpSocket } from '../../src/net/memory.ts';
import { createDial, openTcpListener } from '../../src/net/tcp.ts';
import type { Connection, Datagram, Dial, TcpListener, UdpSocket } from '../../src/net/types.ts';
import { openUdpSocket } from '../../src/net/udp.ts';
import { ANY, ip, type Kept, keep, opened, requireNative, until } from './helpers.ts';

interface World {
  udp(address: string): Promise<UdpSocket>;
  listen(address: string): Promise<TcpListener>;
  dial: Dial;
  /** Whether a wildcard socket knows where a datagram was sent to. */
  knowsDestination: boolean;
}

const native = requireNative();
const at = (address: string) => ({ network: 'default', address, port: 0 });
const worlds: Record<string, () => World> = {
  'the add-on': () => ({
    udp: async (address) => opened(await openUdpSocket(at(address), { native })),
    listen: async (address) => opened(await openTcpListener(at(address), { native })),
    dial: createDial({ native }),
    knowsDestination: true,
  }),
  'Node alone': () => ({
    udp: async (address) => opened(await openUdpSocket(at(address))),
    listen: async (address) => opened(await openTcpListener(at(address))),
    dial: createDial(),
    knowsDestination: false,
  }),
  memory: () => {
    const network = new MemoryNetwork();
    return {
      udp: async (address) => network.udp(address),
      listen: async (address) => network.listen(address),
      dial: network.dial,
      knowsDestination: true,
    };
  },
};

const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const f of cleanup.splice(0)) f();
});

for (const [name, make] of Object.entries(worlds)) {
  describe(`UDP: ${name}`, () => {
    const pair = async (world: World, to: string, from: string): Promise<[UdpSocket, UdpSocket]> => {
      const sockets: [UdpSocket, UdpSocket] = [await world.udp(to), await world.udp(from)];
      for (const s of sockets) cleanup.push(() => s.close());
      return sockets;
    };

    for (const [address, hex] of [
      ['127.0.0.1', '7f000001'],
      ['::1', '00000000000000000000000000000001'],
    ])
      it(`delivers in order with source and destination: ${address}`, async () => {
        const [to, from] = await pair(make(), address, address);
        const got: Kept[] = [];
        to.start(keep(got));
        for (let i = 0; i < 200; i++) from.send(Buffer.from(`${i}`), ip(address), to.port, ANY);
        await until(() => got.length === 200);
        expect(got.map((d) => d.data)).toEqual(Array.from({ length: 200 }, (_, i) => `${i}`));
        expect(got[0]).toMatchObject({ source: hex, destination: hex, sourcePort: from.port });
      });

    it('keeps what came before start', async () => {
      const [to, from] = await pair(make(), '127.0.0.1', '127.0.0.1');
      from.send(Buffer.from('early'), ip('127.0.0.1'), to.port, ANY);
      await new Promise((resolve) => setTimeout(resolve, 20));
      const got: Kept[] = [];
      to.start(keep(got));
      await until(() => got.length === 1);
      expect(got[0].data).toBe('early');
    });

    it('answers on a wildcard socket', async () => {
      const world = make();
      const [server, client] = await pair(world, '0.0.0.0', '127.0.0.1');
      const reply = (batch: Datagram[], count: number): void => {
        for (let i = 0; i < count; i++) {
          const d = batch[i];
          server.send(Buffer.from(d.destination.toString('hex')), d.source, d.sourcePort, d.destination);
        }
      };
      server.start(reply);
      const got: Kept[] = [];
      client.start(keep(got));
      const asked = world.knowsDestination ? '127.0.0.7' : '127.0.0.1';
      client.send(Buffer.from('who'), ip(asked), server.port, ANY);
      await until(() => got.length === 1);
      expect(got[0].source).toBe(ip(asked).toString('hex'));
      expect(got[0].data).toBe(world.knowsDestination ? '7f000007' : '');
    });

    it('is silent after close', async () => {
      const [to, from] = await pair(make(), '127.0.0.1', '127.0.0.1');
      const got: Kept[] = [];
      to.start(keep(got));
      to.close();
      to.close();
      to.send(Buffer.from('x'), ip('127.0.0.1'), from.port, ANY);
      from.send(Buffer.from('x'), ip('127.0.0.1'), to.port, ANY);
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(got).toEqual([]);
    });
  });

  describe(`TCP: ${name}`, () => {
    const connect = (world: World, listener: TcpListener): Promise<Connection> =>
      new Promise((resolve, reject) => {
        world.dial({ address: '127.0.0.1', port: listener.port, timeoutMs: 10_000 }, (r) =>
          r.ok ? resolve(r.connection) : reject(new Error(r.error)),
        );
      });
    const both = async (world = make()): Promise<{ near: Connection; far: Connection }> => {
      const listener = await world.listen('127.0.0.1');
      cleanup.push(() => listener.close());
      const accepted = new Promise<Connection>((resolve) => listener.start(resolve));
      const far = await connect(world, listener);
      const near = await accepted;
      cleanup.push(
        () => near.destroy(),
        () => far.destroy(),
      );
      return { near, far };
    };

    it('carries bytes both ways and tells the addresses', async () => {
      const { near, far } = await both();
      expect([near.remoteAddress, near.remotePort]).toEqual([far.localAddress, far.localPort]);
      expect([near.localAddress, near.localPort]).toEqual([far.remoteAddress, far.remotePort]);
      let heard = '';
      far.onData = (d) => {
        heard += d;
      };
      near.onData = (d) => near.write(Buffer.from(`<${d}>`));
      far.write(Buffer.from('abc'));
      await until(() => heard === '<abc>');
    });

    it('loses nothing that came before the handlers, nor the end', async () => {
      const { near, far } = await both();
      far.write(Buffer.from('one'));
      far.end();
      await new Promise((resolve) => setTimeout(resolve, 30));
      let heard = '';
      const closed: (string | undefined)[] = [];
      near.onData = (d) => {
        heard += d;
      };
      await until(() => heard === 'one');
      await new Promise((resolve) => setTimeout(resolve, 30));
      near.onClose = (error) => closed.push(error);
      await until(() => closed.length === 1);
      expect(closed).toEqual([undefined]);
    });

    it('waits while paused, also where pause came before the handler', async () => {
      const { near, far } = await both();
      let heard = '';
      near.pause();
      near.onData = (d) => {
        heard += d;
      };
      far.write(Buffer.from('later'));
      await new Promise((resolve) => setTimeout(resolve, 30));
      expect(heard).toBe('');
      near.resume();
      await until(() => heard === 'later');
    });

    it('takes a connection that came before start', async () => {
      const world = make();
      const listener = await world.listen('127.0.0.1');
      cleanup.push(() => listener.close());
      const far = await connect(world, listener);
      far.write(Buffer.from('early'));
      await new Promise((resolve) => setTimeout(resolve, 30));
      let heard = '';
      listener.start((c) => {
        cleanup.push(() => c.destroy());
        c.onData = (d) => {
          heard += d;
        };
      });
      await until(() => heard === 'early');
    });

    it('end flushes and closes both ends, once each, without an error', async () => {
      const { near, far } = await both();
      const closed: string[] = [];
      let size = 0;
      near.onData = (d) => {
        size += d.length;
      };
      far.onData = () => {};
      near.onClose = (error) => closed.push(`near ${error}`);
      far.onClose = (error) => closed.push(`far ${error}`);
      far.write(Buffer.alloc(1_000_000));
      far.end();
      far.end();
      far.write(Buffer.from('ignored'));
      await until(() => closed.length === 2);
      expect(size).toBe(1_000_000);
      expect(closed.sort()).toEqual(['far undefined', 'near undefined']);
    });

    it('destroy resets: the other end has a reason, this one none', async () => {
      const { near, far } = await both();
      const closed: string[] = [];
      near.onData = () => {};
      near.onClose = (error) => closed.push(`near ${error}`);
      far.onClose = (error) => closed.push(`far ${error}`);
      far.destroy();
      far.destroy();
      await until(() => closed.length === 2);
      expect(closed.sort()).toEqual(['far undefined', 'near ECONNRESET: connection reset by peer']);
    });

    it('a refused dial is an answer; a given-up one is none', async () => {
      const world = make();
      const listener = await world.listen('127.0.0.1');
      const port = listener.port;
      listener.close();
      await new Promise((resolve) => setTimeout(resolve, 20));
      const answers: unknown[] = [];
      const give = world.dial({ address: '127.0.0.1', port, timeoutMs: 10_000 }, (r) => answers.push(r));
      give();
      world.dial({ address: '127.0.0.1', port, timeoutMs: 10_000 }, (r) => answers.push(r));
      await until(() => answers.length > 0);
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(answers).toEqual([{ ok: false, error: 'ECONNREFUSED: connection refused' }]);
    });
  });
}

describe('TCP: real only', () => {
  it('a dial to nobody ends at its time limit', async () => {
    // A full accept queue answers no SYN: that is silence without leaving the loopback.
    const full = native.openTcp({ address: ip('127.0.0.1'), port: 0, backlog: 1 });
    const dial = createDial();
    const held: Connection[] = [];
    const errors: string[] = [];
    for (let i = 0; i < 6; i++)
      dial({ address: '127.0.0.1', port: full.port, timeoutMs: 300 }, (r) => {
        if (r.ok) held.push(r.connection);
        else errors.push(r.error);
      });
    await until(() => held.length + errors.length === 6);
    for (const c of held) c.destroy();
    native.closeFd(full.fd);
    expect(errors.length).toBeGreaterThan(0);
    expect(new Set(errors)).toEqual(new Set(['no answer within 300 ms']));
  });

  it('a peer that does not read is disconnected, with the reason', async () => {
    const listener = opened(await openTcpListener(at('127.0.0.1')));
    const ends: string[] = [];
    listener.start((c) => {
      c.onClose = (error) => ends.push(String(error));
      for (let i = 0; i < 400; i++) c.write(Buffer.alloc(100_000));
    });
    const dialled = await new Promise<Connection>((resolve, reject) =>
      createDial()({ address: '127.0.0.1', port: listener.port, timeoutMs: 10_000 }, (r) =>
        r.ok ? resolve(r.connection) : reject(new Error(r.error)),
      ),
    );
    await until(() => ends.length === 1);
    expect(ends[0]).toContain('the peer does not read');
    dialled.destroy();
    listener.close();
  });
});

describe('the twin of a UDP socket', () => {
  it('overwrites a datagram after its handler, as the real one does', () => {
    const socket = new MemoryUdpSocket('192.0.2.1', 162);
    let kept: Buffer = ANY;
    socket.start((batch) => {
      kept = batch[0].data;
    });
    socket.inject({ data: Buffer.from('abc'), source: '192.0.2.9', sourcePort: 5000 });
    expect(kept.toString('hex')).toBe('dbdbdb');
    socket.send(Buffer.from('re'), ip('192.0.2.9'), 5000, ip('192.0.2.1'));
    expect(socket.sent).toEqual([
      { data: Buffer.from('re'), address: '192.0.2.9', port: 5000, localAddress: '192.0.2.1' },
    ]);
  });
});
