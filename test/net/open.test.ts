import { Buffer } from 'node:buffer';
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { closeSockets, groupDrops, type OpenRequest, openSockets, type SocketGroup } from '../../src/net/open.ts';
import { createDial, openTcpListener } from '../../src/net/tcp.ts';
import type { Connection, TcpListener } from '../../src/net/types.ts';
import { openUdpSocket, type UdpDriver } from '../../src/net/udp.ts';
import { ANY, ip, opened, requireNative, until } from './helpers.ts';

const native = requireNative();
const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const f of cleanup.splice(0).reverse()) f();
});

function request(kind: 'udp' | 'tcp', address: string, port = 0, more: object = {}): OpenRequest {
  return { kind, spec: { network: 'default', address, port, ...more } };
}

function group(kind: 'udp' | 'tcp', address: string, workers: number): SocketGroup {
  const { groups, problems } = openSockets([request(kind, address)], workers, native);
  expect(problems).toEqual([]);
  cleanup.push(() => closeSockets(groups, native));
  return groups[0];
}

async function readers(g: SocketGroup): Promise<{ socket: UdpDriver; from: Map<string, number> }[]> {
  const out = [];
  for (const fd of g.fds.splice(0)) {
    const socket = opened(await openUdpSocket({ ...g.spec, fd }, { native }));
    cleanup.push(() => socket.close());
    const from = new Map<string, number>();
    socket.start((batch, count) => {
      for (let i = 0; i < count; i++) {
        const key = batch[i].source.toString('hex');
        from.set(key, (from.get(key) ?? 0) + 1);
      }
    });
    out.push({ socket, from });
  }
  return out;
}

async function sendFromPorts(source: string, ports: number, to: string, port: number): Promise<void> {
  for (let i = 0; i < ports; i++) {
    const o = native.openUdp({ address: ip(source), port: 0 });
    expect(native.sendFrom(o.fd, Buffer.from(`${i}`), ip(to), port, ANY, 0)).toBe(0);
    native.closeFd(o.fd);
  }
}

describe('a group of UDP sockets', () => {
  it('gives one source with 1,000 ports to one of three, IPv4', async () => {
    const g = group('udp', '127.0.0.1', 3);
    const rs = await readers(g);
    await sendFromPorts('127.0.0.1', 1000, '127.0.0.1', g.spec.port);
    await until(() => rs.reduce((n, r) => n + r.socket.received, 0) === 1000);
    expect(rs.map((r) => r.socket.received).sort((a, b) => a - b)).toEqual([0, 0, 1000]);
  });

  it('gives one source with 1,000 ports to one of three, IPv6', async () => {
    const g = group('udp', '::', 3);
    const rs = await readers(g);
    await sendFromPorts('::1', 1000, '::1', g.spec.port);
    await until(() => rs.reduce((n, r) => n + r.socket.received, 0) === 1000);
    expect(rs.map((r) => r.socket.received).sort((a, b) => a - b)).toEqual([0, 0, 1000]);
  });

  it('spreads sources, each on one socket', async () => {
    const g = group('udp', '0.0.0.0', 3);
    const rs = await readers(g);
    const sources = Array.from({ length: 240 }, (_, i) => `127.0.${i % 8}.${10 + i}`);
    for (const s of sources) await sendFromPorts(s, 3, '127.0.0.1', g.spec.port);
    await until(() => rs.reduce((n, r) => n + r.socket.received, 0) === 720);
    const owners = rs.flatMap((r) => [...r.from.keys()]);
    expect(owners.length).toBe(240);
    expect(new Set(owners).size).toBe(240);
    // 80 each would be even; the program is fixed, so this is no matter of luck.
    for (const r of rs) expect(r.from.size).toBeGreaterThan(50);
  });
});

describe('a group of TCP listeners', () => {
  for (const [address, source] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::', '::1'],
  ])
    it(`gives one source to one of three: ${address}`, async () => {
      const g = group('tcp', address, 3);
      const counts = [0, 0, 0];
      const listeners: TcpListener[] = [];
      for (const [i, fd] of g.fds.splice(0).entries()) {
        const l = opened(await openTcpListener({ ...g.spec, fd }));
        cleanup.push(() => l.close());
        l.start((c) => {
          counts[i]++;
          c.end();
        });
        listeners.push(l);
      }
      expect(listeners.map((l) => l.port)).toEqual([g.spec.port, g.spec.port, g.spec.port]);
      const dial = createDial();
      let done = 0;
      for (let i = 0; i < 200; i++)
        dial({ address: source, port: g.spec.port, timeoutMs: 10_000 }, (r) => {
          if (!r.ok) throw new Error(r.error);
          r.connection.onData = () => {};
          r.connection.onClose = () => done++;
        });
      await until(() => done === 200 && counts[0] + counts[1] + counts[2] === 200);
      expect(counts.sort((a, b) => a - b)).toEqual([0, 0, 200]);
    });
});

interface Child {
  process: ChildProcess;
  lines: string[];
}

function child(script: string, fd: number): Child {
  const file = new URL(`./fixtures/${script}`, import.meta.url).pathname;
  const p = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit', fd, 'ipc'] });
  cleanup.push(() => p.kill('SIGKILL'));
  const lines: string[] = [];
  let rest = '';
  p.stdout?.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() as string;
    lines.push(...parts);
  });
  return { process: p, lines };
}

describe('sockets outlive their readers', () => {
  it('a datagram queued before, between and after readers arrives; kill -9 loses none', async () => {
    const g = group('udp', '127.0.0.1', 1);
    const sender = native.openUdp({ address: ip('127.0.0.1'), port: 0 });
    cleanup.push(() => native.closeFd(sender.fd));
    let sent = 0;
    const send = (n: number): void => {
      for (let i = 0; i < n; i++)
        expect(native.sendFrom(sender.fd, Buffer.from(`d${sent++}`), ip('127.0.0.1'), g.spec.port, ANY, 0)).toBe(0);
    };
    send(500);
    const got: string[] = [];
    for (let round = 0; round < 3; round++) {
      const c = child('read-udp.ts', g.fds[0]);
      await until(() => c.lines.length === (round === 0 ? 501 : 1001));
      expect(c.lines.find((l) => l.startsWith('port'))).toBe(`port ${g.spec.port}`);
      send(500);
      await until(() => c.lines.length === (round === 0 ? 1001 : 1501));
      const exited = new Promise((resolve) => c.process.once('exit', resolve));
      c.process.kill('SIGKILL');
      await exited;
      got.push(...c.lines.filter((l) => l.startsWith('d')));
      send(1000);
    }
    const last = child('read-udp.ts', g.fds[0]);
    await until(() => last.lines.length === 1001);
    got.push(...last.lines.filter((l) => l.startsWith('d')));
    expect(got).toEqual(Array.from({ length: sent }, (_, i) => `d${i}`));
    expect(groupDrops(g, native)).toBe(0);
  });

  it('a stream dialled while nobody accepts is served by the next process', async () => {
    const g = group('tcp', '127.0.0.1', 1);
    const results: string[] = [];
    const dial = (): void => {
      createDial()({ address: '127.0.0.1', port: g.spec.port, timeoutMs: 10_000 }, (r) => {
        if (!r.ok) throw new Error(r.error);
        r.connection.onData = (d) => {
          results.push(d.toString());
          r.connection.destroy();
        };
        r.connection.write(Buffer.from('hello'));
      });
    };
    dial();
    const first = child('accept-tcp.ts', g.fds[0]);
    await until(() => results.length === 1);
    const exited = new Promise((resolve) => first.process.once('exit', resolve));
    first.process.kill('SIGKILL');
    await exited;
    dial();
    child('accept-tcp.ts', g.fds[0]);
    await until(() => results.length === 2);
    expect(results).toEqual(['HELLO', 'HELLO']);
  });

  it('counts drops for the supervisor, whichever process reads', async () => {
    const g = group('udp', '127.0.0.1', 1);
    const small = native.openUdp({ address: ip('127.0.0.1'), port: 0, receiveBuffer: 4096 });
    g.fds.push(small.fd);
    for (let i = 0; i < 100; i++) native.sendFrom(small.fd, Buffer.alloc(500), ip('127.0.0.1'), small.port, ANY, 0);
    expect(groupDrops(g, native)).toBeGreaterThan(0);
    expect(groupDrops(g, native)).toBe(native.socketDrops(small.fd));
  });
});

describe('what cannot be opened', () => {
  it('names address, port, reason and fix; the others are open', () => {
    const holder = group('udp', '127.0.0.1', 2);
    const { groups, problems } = openSockets(
      [
        request('udp', '127.0.0.1', holder.spec.port),
        request('udp', '192.0.2.77', 1162),
        request('udp', '127.0.0.1', 0, { device: 'nosuch0' }),
        request('udp', 'name', 1162),
        request('tcp', '127.0.0.1'),
        request('tcp', '192.0.2.77', 1179, { freebind: true }),
      ],
      2,
      native,
    );
    cleanup.push(() => closeSockets(groups, native));
    expect(groups.map((g) => [g.kind, g.fds.length])).toEqual([
      ['tcp', 2],
      ['tcp', 2],
    ]);
    expect(problems.map((p) => [p.code, p.address, p.port])).toEqual([
      ['EADDRINUSE', '127.0.0.1', holder.spec.port],
      ['EADDRNOTAVAIL', '192.0.2.77', 1162],
      ['ENODEV', '127.0.0.1', 0],
      ['EINVAL', 'name', 1162],
    ]);
    expect(problems[0].text).toContain(`udp 127.0.0.1:${holder.spec.port} cannot be opened: the port is in use`);
    expect(problems[0].fix).toContain(`sport = :${holder.spec.port}`);
    expect(problems[1].fix).toContain('VIP');
    expect(problems[2].fix).toContain('nosuch0');
  });

  it('leaves no descriptor behind', async () => {
    const server = createServer((s: Socket) => s.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanup.push(() => server.close());
    const port = (server.address() as { port: number }).port;
    const probe = (): number => {
      const o = native.openUdp({ address: ip('127.0.0.1'), port: 0 });
      native.closeFd(o.fd);
      return o.fd;
    };
    const before = probe();
    for (let i = 0; i < 20; i++)
      expect(openSockets([request('tcp', '127.0.0.1', port)], 3, native).problems).toHaveLength(1);
    expect(probe()).toBe(before);
  });

  it('without the add-on the worker binds by itself', async () => {
    const { groups, problems } = openSockets([request('udp', '127.0.0.1'), request('tcp', '::1')], 1, undefined);
    expect(problems).toEqual([]);
    expect(groups.map((g) => g.fds)).toEqual([[], []]);
    const socket = opened(await openUdpSocket(groups[0].spec));
    const listener = opened(await openTcpListener(groups[1].spec));
    expect(socket.port).toBeGreaterThan(0);
    expect(listener.port).toBeGreaterThan(0);
    socket.close();
    listener.close();
  });
});

describe('dialling with options of the add-on', () => {
  it('sets TTL and hop limit from the SYN on, binds a local address', async () => {
    for (const [address, local] of [
      ['127.0.0.1', '127.0.0.9'],
      ['::1', '::1'],
    ]) {
      const listener = opened(await openTcpListener({ network: 'default', address, port: 0 }, { native }));
      cleanup.push(() => listener.close());
      const accepted: Connection[] = [];
      let heard = '';
      listener.start((c) => {
        accepted.push(c);
        c.onData = (d) => {
          heard += d;
        };
      });
      let dialled: Connection | undefined;
      createDial({ native })(
        { address, port: listener.port, localAddress: local, timeoutMs: 10_000, ttl: 255 },
        (r) => {
          if (!r.ok) throw new Error(r.error);
          dialled = r.connection;
          r.connection.write(Buffer.from('hi'));
        },
      );
      await until(() => heard === 'hi');
      expect(accepted[0].remoteAddress).toBe(local);
      expect(dialled?.localAddress).toBe(local);
      dialled?.destroy();
    }
  });

  it('is refused by name without it', async () => {
    const r = await new Promise<{ ok: boolean; error?: string }>((resolve) =>
      createDial()({ address: '127.0.0.1', port: 9, timeoutMs: 1000, ttl: 255 }, resolve),
    );
    expect(r).toEqual({
      ok: false,
      error: 'a TTL, device, password or TCP-AO key of a dialled stream needs the add-on',
    });
  });
});
