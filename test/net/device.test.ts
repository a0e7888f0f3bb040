/** Streams and datagrams of libraries over a device: `lo` is one everywhere. */
import { createSocket } from 'node:dgram';
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { platformaticClient } from '../../src/export/kafka/platformatic.ts';
import { connectThrough, deviceOf, throughDevice } from '../../src/net/device.ts';
import { dialGrpc, type GrpcEnd } from '../../src/net/grpc.ts';
import { openSender } from '../../src/net/sender.ts';
import { fakeGnmi, response } from '../collectors/gnmi/server.ts';
import { until } from './helpers.ts';

const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const fn of cleanup.splice(0)) fn();
});

async function listening(): Promise<{ port: number; sockets: Socket[]; server: Server }> {
  const sockets: Socket[] = [];
  const server = createServer((s) => {
    sockets.push(s.on('error', () => {}));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  cleanup.push(() => {
    for (const s of sockets) s.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets, server };
}

/** What became of a socket: its far end, or the error. */
function outcome(s: Socket): Promise<string> {
  cleanup.push(() => s.destroy());
  return new Promise((done) => {
    s.once('connect', () => done(`${s.remoteAddress?.replace('::ffff:', '')}:${s.remotePort}`));
    s.once('error', (e) => done(e.message));
  });
}

describe('a device of a network', () => {
  it('is found by the name of the network', () => {
    expect(deviceOf({ a: { device: 'vrf-a' }, b: {} }, 'a')).toBe('vrf-a');
    expect(deviceOf({ a: { device: 'vrf-a' }, b: {} }, 'b')).toBeUndefined();
    expect(deviceOf({}, undefined)).toBeUndefined();
  });

  it('is taken by a stream to an address and to a name; one that is not there is an error', async () => {
    const { port } = await listening();
    expect(await outcome(connectThrough('lo', '127.0.0.1', port))).toBe(`127.0.0.1:${port}`);
    expect(await outcome(connectThrough('lo', 'localhost', port))).toBe(`127.0.0.1:${port}`);
    expect(await outcome(connectThrough('nosuch0', '127.0.0.1', port))).toMatch(
      /SO_BINDTODEVICE|ENODEV|No such device/,
    );
    expect(await outcome(connectThrough('lo', 'no-such-host.invalid', port))).toMatch(/ENOTFOUND|EAI_AGAIN/);
  });

  it('is taken by the stream opened inside, and by no other', async () => {
    const { port } = await listening();
    const to = { host: '127.0.0.1', port };
    expect(await outcome(throughDevice('nosuch0', () => createConnection(to)))).toMatch(/No such device|ENODEV/);
    expect(await outcome(throughDevice('lo', () => createConnection(to)))).toBe(`127.0.0.1:${port}`);
    expect(await outcome(createConnection(to))).toBe(`127.0.0.1:${port}`);
  });

  it('is taken by the Kafka client, with and without TLS', async () => {
    for (const tls of [undefined, () => ({ rejectUnauthorized: false })]) {
      const { port, sockets } = await listening();
      const tried: string[] = [];
      const client = platformaticClient({
        clientId: 'test',
        brokers: [{ id: -1, host: '127.0.0.1', port }],
        tls,
        sasl: undefined,
        device: {
          connect: (host, p) => {
            tried.push('connect');
            return connectThrough('lo', host, p);
          },
          around: (dial) => {
            tried.push('around');
            return throughDevice('lo', dial);
          },
        },
        connectTimeoutMs: 2000,
        requestTimeoutMs: 2000,
      });
      const asked = client.metadata([]).catch((e: Error) => e.message);
      let first: Buffer | undefined;
      await until(() => sockets.length > 0, 'a connection');
      sockets[0].once('data', (d) => {
        first = d as Buffer;
        sockets[0].destroy();
      });
      await until(() => first !== undefined, 'its first octets');
      // A TLS ClientHello, or the length of a request.
      expect(first![0]).toBe(tls ? 0x16 : 0);
      expect(await asked).toBeTypeOf('string');
      expect(tried[0]).toBe(tls ? 'connect' : 'around');
      await client.close();
    }
  });

  it('is taken by a gRPC channel, which tells the far end it reached', async () => {
    const fake = await fakeGnmi((call) => call.write(response({ syncResponse: true })));
    cleanup.push(() => fake.close());
    const dial = (device: string) => {
      const heard = { open: '', messages: 0, end: undefined as GrpcEnd | undefined };
      const channel = dialGrpc(
        {
          address: `127.0.0.1:${fake.port}`,
          device,
          connectTimeoutMs: 3000,
          keepaliveMs: 0,
          maxMessageBytes: 1 << 20,
          windowBytes: 65_535,
        },
        systemClock,
      );
      if ('status' in channel) throw new Error(channel.details);
      cleanup.push(() => channel.close());
      const stream = channel.stream(
        '/gnmi.gNMI/Subscribe',
        {},
        {
          onOpen: (address, port) => {
            heard.open = `${address}:${port}`;
          },
          onMessage: () => {
            heard.messages++;
          },
          onEnd: (end) => {
            heard.end = end;
          },
        },
      );
      stream.write(Buffer.from('0a00', 'hex'));
      return heard;
    };
    const there = dial('lo');
    const nowhere = dial('nosuch0');
    await until(() => there.messages > 0 && nowhere.end !== undefined, 'a message and an end');
    expect(there.open).toBe(`127.0.0.1:${fake.port}`);
    expect(nowhere).toMatchObject({ open: '', messages: 0, end: { status: 'UNAVAILABLE' } });
  });

  it('is taken by the datagrams of a relay', async () => {
    const receiver = createSocket('udp4');
    await new Promise<void>((done) => receiver.bind(0, '127.0.0.1', done));
    cleanup.push(() => receiver.close());
    const got: string[] = [];
    receiver.on('message', (m) => got.push(String(m)));
    const sender = openSender('127.0.0.1', receiver.address().port, 'lo');
    cleanup.push(() => sender.close());
    sender.send(Buffer.from('one'));
    await until(() => got.length === 1, 'a datagram');
    const errors: string[] = [];
    const none = openSender('127.0.0.1', receiver.address().port, 'nosuch0');
    cleanup.push(() => none.close());
    none.onError = (e) => errors.push(e);
    none.send(Buffer.from('two'));
    await until(() => errors.length === 1, 'an error');
    expect(got).toEqual(['one']);
    expect(errors[0]).toMatch(/No such device|ENODEV/);
  });
});
