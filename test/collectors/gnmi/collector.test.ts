import { Buffer } from 'node:buffer';
import { createServer, type Socket } from 'node:net';
import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../src/core/clock.ts';
import type { GrpcDialOptions, GrpcStreamHandlers } from '../../../src/net/grpc.ts';
import { type Rig, type RigOptions, rig, until } from './harness.ts';
import { type Call, type FakeGnmi, fakeGnmi, response } from './server.ts';

const cleanup: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const f of cleanup.splice(0).reverse()) await f();
});

async function server(onSubscribe: (call: Call) => void, port = 0): Promise<FakeGnmi> {
  const s = await fakeGnmi(onSubscribe, port);
  cleanup.push(() => s.close());
  return s;
}

function start(config: object, o?: RigOptions): Rig {
  const r = rig(config, o);
  cleanup.push(() => r.collector.stop());
  r.collector.start();
  return r;
}

const update = (n: number) =>
  response({
    update: { timestamp: String(n), update: [{ path: { elem: [{ name: 'n' }] }, val: { int_val: String(n) } }] },
  });
const sync = response({ sync_response: true });

function config(port: number, subscription: object = {}, target: object = {}): object {
  return {
    targets: [{ name: 'r1', address: `127.0.0.1:${port}`, tls: false, subscriptions: ['s'], ...target }],
    subscriptions: { s: { paths: ['/n'], ...subscription } },
  };
}

interface StreamStatus {
  state: string;
  attempts: number;
  messages: number;
  updates: number;
  shed: number;
  last_error?: { code: string; detail: string; fix: string };
}

function stream(r: Rig): StreamStatus {
  const targets = r.collector.status().targets as { subscriptions: StreamStatus[] }[];
  return targets[0].subscriptions[0];
}

describe('gNMI collector against a server', () => {
  it('asks for what is configured, tells what is said, in order', async () => {
    const s = await server((call) => {
      for (let i = 1; i <= 50; i++) call.write(update(i));
      call.write(sync);
    });
    const r = start(
      config(
        s.port,
        {
          stream_mode: 'sample',
          sample_interval: '2s',
          encoding: 'proto',
          origin: 'openconfig',
          target: 'dev',
          updates_only: true,
        },
        { username: 'noc', password: 's3cret', network: 'mgmt' },
      ),
    );
    await until(() => r.pipeline.states().includes('synced'), 'sync');
    expect(r.pipeline.states()).toEqual(['up', 'synced']);
    const said = r.pipeline.updates();
    expect(said.length).toBe(51);
    expect(said.slice(0, 50).map((u) => u.updates?.[0].value)).toEqual(
      Array.from({ length: 50 }, (_, i) => String(i + 1)),
    );
    expect(said[50].sync).toBe(true);
    expect(said[0]).toMatchObject({
      target: 'r1',
      flavour: 'gnmi',
      subscription: 's',
      source: { address: '127.0.0.1', port: s.port },
    });
    expect(s.requests[0].metadata.get('username')).toEqual(['noc']);
    expect(s.requests[0].metadata.get('password')).toEqual(['s3cret']);
    expect(s.requests[0].subscribe).toMatchObject({
      prefix: { target: 'dev' },
      subscription: [
        { path: { origin: 'openconfig', elem: [{ name: 'n' }] }, mode: 'SAMPLE', sample_interval: '2000000000' },
      ],
      encoding: 'PROTO',
      updates_only: true,
    });
    const draft = r.pipeline.drafts[1];
    expect(draft).toMatchObject({ network: 'mgmt', device: { id: 'mgmt|127.0.0.1', name: 'r1' }, shed: 'sample' });
    expect(stream(r)).toMatchObject({ state: 'synced', messages: 51, updates: 50, attempts: 1 });
    expect(r.metrics.handle('tidegate_received_total', { collector: 'gnmi' }).value).toBe(51);
    expect(r.metrics.handle('tidegate_sessions', { collector: 'gnmi' }).value).toBe(1);
    expect(JSON.stringify([r.pipeline.drafts, r.logs, r.collector.status()])).not.toContain('s3cret');
    expect(r.logs.map((l) => l.msg)).toEqual(['the password of this gNMI target travels in plaintext: configure tls']);
    await r.collector.stop();
    expect(r.pipeline.states()).toEqual(['up', 'synced', 'down']);
    expect(r.metrics.handle('tidegate_sessions', { collector: 'gnmi' }).value).toBe(0);
  });

  it('every subscription is a stream of its own on one connection; one that is refused leaves the others alone', async () => {
    const s = await server((call) => {
      const request = s.requests.at(-1)!.subscribe as { encoding?: string };
      if (request.encoding === 'ASCII') call.emit('error', { code: status.INVALID_ARGUMENT, details: 'no ascii here' });
      else {
        call.write(update(1));
        call.write(sync);
      }
    });
    const r = start({
      targets: [{ name: 'r1', address: `127.0.0.1:${s.port}`, tls: false, subscriptions: ['good', 'bad'] }],
      subscriptions: { good: { paths: ['/a'] }, bad: { paths: ['/b'], encoding: 'ascii' } },
    });
    const all = () => (r.collector.status().targets as { state: string; subscriptions: StreamStatus[] }[])[0];
    await until(() => all().subscriptions[0].state === 'synced' && all().subscriptions[1].last_error, 'both');
    expect(all().state).toBe('subscribed');
    expect(all().subscriptions[1].last_error).toMatchObject({
      code: 'target-subscription',
      detail: 'INVALID_ARGUMENT: no ascii here',
    });
    expect(r.pipeline.states()).toEqual(['up']);
    expect(new Set(s.peers).size).toBe(1);
  });

  it('refused credentials are named, once', async () => {
    const s = await server((call) => call.emit('error', { code: status.UNAUTHENTICATED, details: 'who are you' }));
    const r = start(config(s.port));
    await until(() => stream(r).attempts >= 2 && stream(r).state === 'waiting', 'a second attempt');
    expect(stream(r).last_error).toMatchObject({ code: 'target-credentials', detail: 'UNAUTHENTICATED: who are you' });
    expect(stream(r).last_error?.fix).toContain('password');
    expect(r.logs.map((l) => l.code)).toEqual(['target-credentials']);
    const refused = r.metrics.handle('tidegate_refused_total', { collector: 'gnmi', code: 'target-credentials' });
    expect(refused.value).toBe(stream(r).attempts);
    const states = r.pipeline.drafts.filter((d) => d.type === 'gnmi.target.v1').map((d) => d.data);
    expect(states).toMatchObject([{ state: 'down', reason: 'target-credentials: UNAUTHENTICATED: who are you' }]);
  });

  it('a target that goes and comes back is heard again, with a later epoch', async () => {
    let first: FakeGnmi | undefined = await server((call) => {
      call.write(update(1));
      call.write(sync);
    });
    const { port } = first;
    const r = start(config(port));
    await until(() => r.pipeline.states().includes('synced'), 'the first sync');
    first.close();
    first = undefined;
    await until(() => r.pipeline.states().includes('down'), 'down');
    await server((call) => {
      call.write(update(2));
      call.write(sync);
    }, port);
    await until(() => r.pipeline.states().length >= 5, 'the second sync');
    expect(r.pipeline.states()).toEqual(['up', 'synced', 'down', 'up', 'synced']);
    const said = r.pipeline.updates();
    expect(said.map((u) => u.sync ?? u.updates?.[0].value)).toEqual(['1', true, '2', true]);
    expect(said[2].epoch).toBeGreaterThan(said[1].epoch);
  });

  it('plaintext against TLS, a server that is away and unusable certificates have their own names', async () => {
    const s = await server(() => {});
    const r = start(config(s.port, {}, { tls: {} }));
    await until(() => stream(r).last_error, 'the TLS error');
    expect(stream(r).last_error?.code).toBe('target-tls');
    const gone = await fakeGnmi(() => {});
    gone.close();
    const away = start(config(gone.port));
    await until(() => stream(away).last_error, 'the refused connection');
    expect(stream(away).last_error?.code).toBe('target-unreachable');
    const bad = start(config(s.port, {}, { tls: { ca: '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----' } }));
    await until(() => stream(bad).last_error, 'the certificate error');
    expect(stream(bad).last_error?.code).toBe('target-tls');
  });

  it('gives up on who accepts the connection and says nothing, and leaves no socket behind', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => sockets.delete(socket));
      socket.resume();
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    cleanup.push(() => {
      for (const s of sockets) s.destroy();
      silent.close();
    });
    const { port } = silent.address() as { port: number };
    for (const tls of [false, {}]) {
      const r = start({ ...config(port, {}, { tls }), connect_timeout: '100ms' });
      await until(() => stream(r).attempts >= 3, 'three attempts');
      expect(stream(r).last_error?.code).toMatch(/^target-(unreachable|tls)$/);
      await r.collector.stop();
      await until(() => sockets.size === 0, 'the sockets to be closed');
    }
  });

  it('stops reading while the pipeline is paused, and loses nothing', async () => {
    const total = 3000;
    let written = 0;
    const s = await server((call) => {
      const more = () => {
        while (written < total) {
          written++;
          if (!call.write(update(written))) {
            call.once('drain', more);
            return;
          }
        }
      };
      more();
    });
    const r = rig(config(s.port));
    cleanup.push(() => r.collector.stop());
    r.pipeline.paused = true;
    r.collector.start();
    // The `up` event pauses before the first message is read.
    await until(() => r.pipeline.states().length > 0, 'up');
    await new Promise((resolve) => setTimeout(resolve, 50));
    // What the library had already taken from the connection comes through; the rest waits.
    const early = r.pipeline.updates().length;
    expect(early).toBeLessThan(total);
    r.pipeline.resume();
    await until(() => r.pipeline.drafts.length === total + 1, 'all of them');
    expect(r.pipeline.updates().map((u) => u.updates?.[0].value)).toEqual(
      Array.from({ length: total }, (_, i) => String(i + 1)),
    );
  });

  it('a message that cannot be decoded is counted and kept, and the stream goes on', async () => {
    const s = await server((call) => {
      call.write(Buffer.from('0a05', 'hex'));
      call.write(update(1));
    });
    const r = start(config(s.port));
    await until(() => r.pipeline.updates().length >= 2, 'both');
    const [bad, good] = r.pipeline.updates();
    expect(bad).toMatchObject({ error: { code: 'truncated' }, raw: '0x0a05' });
    expect(good.updates?.[0].value).toBe('1');
    expect(r.refusals.list('127.0.0.1')).toMatchObject([
      { code: 'truncated', count: 1, detail: 'target r1, notification at byte 1' },
    ]);
  });

  it('any bytes: no crash, every message is told or refused', async () => {
    const messages = fc
      .sample(fc.uint8Array({ minLength: 1, maxLength: 300 }), { numRuns: 300, seed: 7 })
      .map((b) => Buffer.from(b));
    const s = await server((call) => {
      for (const m of messages) call.write(m);
      call.write(sync);
    });
    const r = start(config(s.port));
    await until(() => stream(r).messages === messages.length + 1, 'all of them');
    expect(r.pipeline.states()).toContain('synced');
    expect(r.refusals.list().reduce((n, x) => n + x.count, 0)).toBe(r.pipeline.updates().filter((u) => u.error).length);
  });
});

describe('gNMI collector against a dialler in memory', () => {
  function twin() {
    const dials: GrpcDialOptions[] = [];
    const streams: { handlers: GrpcStreamHandlers; closed: boolean; paused: boolean }[] = [];
    let hangups = 0;
    return {
      dials,
      streams,
      hangups: () => hangups,
      dialer: (o: GrpcDialOptions) => {
        dials.push(o);
        return {
          stream: (_method: string, _metadata: Record<string, string>, handlers: GrpcStreamHandlers) => {
            const s = { handlers, closed: false, paused: false };
            streams.push(s);
            return {
              write() {},
              pause: () => void (s.paused = true),
              resume: () => void (s.paused = false),
              close: () => void (s.closed = true),
            };
          },
          close: () => void hangups++,
        };
      },
    };
  }

  it('exactly one worker dials a target', () => {
    const targets = Array.from({ length: 40 }, (_, i) => ({
      ...{ name: `r${i}`, address: `192.0.2.1:${i + 1}`, tls: false, subscriptions: ['s'] },
    }));
    const dialled: string[] = [];
    for (let worker = 0; worker < 3; worker++) {
      const t = twin();
      const r = rig(
        { targets, subscriptions: { s: { paths: ['/'] } } },
        { worker, workers: 3, dialer: t.dialer, clock: new ManualClock() },
      );
      r.collector.start();
      expect(t.dials.length).toBeGreaterThan(0);
      expect(r.collector.status().elsewhere).toBe(40 - t.dials.length);
      dialled.push(...t.dials.map((d) => d.address));
    }
    expect(dialled.sort()).toEqual(targets.map((t) => t.address).sort());
  });

  it('a shed sample is missed; a shed change ends the stream, which waits for room and begins anew', () => {
    const clock = new ManualClock();
    const t = twin();
    const r = rig(
      {
        targets: [{ name: 'r', address: '192.0.2.1:1', tls: false, subscriptions: ['sample', 'change'] }],
        subscriptions: {
          sample: { paths: ['/'], stream_mode: 'sample' },
          change: { paths: ['/'], stream_mode: 'on-change' },
        },
      },
      { dialer: t.dialer, clock },
    );
    r.collector.start();
    const [sample, change] = t.streams;
    for (const s of t.streams) s.handlers.onOpen('192.0.2.1', 1);
    r.pipeline.full.add('sample').add('on-change');
    sample.handlers.onMessage(update(1));
    expect(sample.closed).toBe(false);
    change.handlers.onMessage(update(2));
    expect(change.closed).toBe(true);
    change.handlers.onMessage(update(3));
    expect(r.pipeline.shed).toBe(2);
    clock.advance(10_000);
    expect(t.streams.length).toBe(2);
    r.pipeline.full.clear();
    clock.advance(60_000);
    expect(t.streams.length).toBe(3);
    expect(t.dials.length).toBe(1);
    t.streams[2].handlers.onOpen('192.0.2.1', 1);
    t.streams[2].handlers.onMessage(update(4));
    expect(r.pipeline.updates().map((u) => u.updates?.[0].value)).toEqual(['4']);
  });

  it('after quiesce nothing is opened, and what is up goes on', () => {
    const clock = new ManualClock();
    const t = twin();
    const r = rig(config(1), { dialer: t.dialer, clock });
    r.collector.start();
    t.streams[0].handlers.onOpen('127.0.0.1', 1);
    r.collector.quiesce();
    t.streams[0].handlers.onMessage(update(1));
    expect(r.pipeline.updates().length).toBe(1);
    t.streams[0].handlers.onEnd({ code: 14, status: 'UNAVAILABLE', details: 'reset' });
    clock.advance(600_000);
    expect(t.streams.length).toBe(1);
    expect(t.hangups()).toBe(1);
  });
});
