import { afterEach, describe, expect, it } from 'vitest';
import { sampleSession } from '../../../src/codec/bmp/describe.ts';
import { encodeInitiation, encodeStats } from '../../../src/codec/bmp/index.ts';
import { BmpCollector } from '../../../src/collectors/bmp/collector.ts';
import { bmpConfig } from '../../../src/collectors/bmp/config.ts';
import { ManualClock } from '../../../src/core/clock.ts';
import { silentLog } from '../../../src/core/log.ts';
import { rfc3339 } from '../../../src/core/time.ts';
import type { Draft } from '../../../src/event/types.ts';
import type { DeviceHints } from '../../../src/inventory/types.ts';
import { type MemoryConnection, memoryConnectionPair } from '../../../src/net/memory.ts';
import type { Connection, TcpListener } from '../../../src/net/types.ts';
import type { Pipeline } from '../../../src/pipeline/types.ts';
import { Refusals } from '../../../src/telemetry/refusals.ts';
import { Registry } from '../../../src/telemetry/registry.ts';
import { validateEvent } from '../../schema.ts';
import { readHexVector } from '../../vectors/hex.ts';

const seen: Draft[] = [];

class FakePipeline implements Pipeline {
  drafts: Draft[] = [];
  open = true;
  paused = false;
  readonly hasDurableExporter = false;
  private resumers: (() => void)[] = [];
  emit(draft: Draft): boolean {
    if (!this.open) return false;
    this.drafts.push(draft);
    seen.push(draft);
    return true;
  }
  batchDone(): boolean {
    return true;
  }

  accepts(): boolean {
    return this.open;
  }
  onResume(fn: () => void): void {
    this.resumers.push(fn);
  }
  resume(): void {
    this.paused = false;
    for (const fn of this.resumers) fn();
  }
}

class Listener implements TcpListener {
  readonly address = '127.0.0.1';
  readonly port = 11019;
  closed = false;
  connect: (c: Connection) => void = () => {};
  start(onConnection: (c: Connection) => void): void {
    this.connect = onConnection;
  }
  close(): void {
    this.closed = true;
  }
}

/** Turns of the event loop: memory connections deliver in them. */
async function turns(n = 10): Promise<void> {
  for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve));
}

function setup(config: object = {}) {
  const pipeline = new FakePipeline();
  const clock = new ManualClock();
  const metrics = new Registry();
  const listener = new Listener();
  const asked: DeviceHints[] = [];
  const refusals = new Refusals(metrics, clock);
  const inventory = {
    version: 1,
    resolve: (h: DeviceHints) => {
      asked.push({ ...h });
      const id = h.sysName ?? `${h.network}|${h.address}`;
      return { id, name: id };
    },
  };
  const spec = { network: 'mgmt', address: '127.0.0.1', port: 11019 };
  const ctx = { clock, log: silentLog, metrics, refusals, pipeline, inventory, worker: 0, workers: 1 };
  const collector = new BmpCollector(bmpConfig.parse(config), [{ spec, listener }], ctx);
  collector.start();
  const connect = (address = '192.0.2.7'): MemoryConnection => {
    const [accepted, router] = memoryConnectionPair({ address: '127.0.0.1', port: 11019 }, { address, port: 40000 });
    router.onData = () => {};
    listener.connect(accepted);
    return router;
  };
  const types = () => pipeline.drafts.map((d) => d.type.slice(4, -3));
  const refused = () => refusals.list().map((r) => [r.code, r.count]);
  const sessions = () =>
    (collector.status() as { sessions: { peers: number; paused: boolean; router?: string }[] }).sessions;
  return { pipeline, metrics, listener, asked, collector, connect, types, refused, sessions, inventory };
}

afterEach(() => {
  // Every event any test saw is held against its schema.
  for (const d of seen.splice(0)) {
    const rx = { site: 's', node: 'n', worker: 0, boot: 1, class: 'routing', seq: 1, at: rfc3339(d.sec, d.nsec) };
    const { network, device, contentId: content_id } = d;
    const data = JSON.parse(JSON.stringify({ network, device, rx, content_id, ...d.data })) as object;
    const head = { specversion: '1.0', id: '1', source: '/tidegate/bmp', type: d.type, tidegatenode: 'n' };
    validateEvent({ ...head, time: rx.at, subject: device.id, data });
  }
});

describe('a BMP session', () => {
  it('from connection to close: events in order, under the router’s device and the peer’s key', async () => {
    const t = setup();
    const router = t.connect();
    router.write(sampleSession());
    await turns();
    expect(t.sessions()).toHaveLength(1);
    router.end();
    await turns();
    expect(t.types()).toEqual(['router', 'router', 'peer', 'update', 'update', 'peer', 'router', 'router']);
    expect(new Set(t.pipeline.drafts.map((d) => d.device.id))).toEqual(new Set(['tidegate-sample']));
    expect(t.pipeline.drafts.map((d) => d.keySuffix)).toEqual([
      ...[undefined, undefined, '|192.0.2.2', '|192.0.2.2', '|192.0.2.2', '|192.0.2.2', undefined, undefined],
    ]);
    expect(t.pipeline.drafts.every((d) => d.shed === 'session' && d.network === 'mgmt')).toBe(true);
    expect(t.asked).toEqual([
      { network: 'mgmt', address: '192.0.2.7' },
      { network: 'mgmt', address: '192.0.2.7', sysName: 'tidegate-sample' },
      { network: 'mgmt', address: '192.0.2.7', sysName: 'tidegate-sample', bgpId: '192.0.2.1' },
    ]);
    expect(t.sessions()).toEqual([]);
    expect(t.metrics.handle('tidegate_received_total', { collector: 'bmp' }).value).toBe(6);
    expect(t.metrics.handle('tidegate_sessions', { collector: 'bmp' }).value).toBe(0);
  });

  it.each(['gobgp-3.10', 'frr-8.4.4'])('a captured one of %s, byte by byte, says the same', async (name) => {
    const bytes = readHexVector(`./bmp/${name}.hex`);
    const whole = setup();
    const one = whole.connect();
    one.write(bytes);
    const pieces = setup();
    const many = pieces.connect();
    for (let i = 0; i < bytes.length; i += 7) many.write(bytes.subarray(i, i + 7));
    await turns();
    one.destroy();
    many.destroy();
    await turns();
    expect(whole.types().filter((x) => x === 'update').length).toBeGreaterThan(4);
    expect(pieces.pipeline.drafts.map((d) => [d.type, d.data])).toEqual(
      whole.pipeline.drafts.map((d) => [d.type, d.data]),
    );
  });

  it('the same on another station has the same content ids, another epoch', async () => {
    const ids: string[][] = [];
    for (const address of ['192.0.2.7', '198.51.100.7']) {
      const t = setup();
      const router = t.connect(address);
      router.write(sampleSession());
      router.end();
      await turns();
      ids.push(t.pipeline.drafts.map((d) => d.contentId));
    }
    expect(ids[0]).toEqual(ids[1]);
    expect(new Set(ids[0]).size).toBe(ids[0].length);
  });

  it('the inventory is asked again after a reload', async () => {
    const t = setup();
    const router = t.connect();
    router.write(encodeInitiation({ sysName: 'r' }));
    await turns();
    const before = t.asked.length;
    t.inventory.version++;
    router.write(encodeInitiation({ sysName: 'r' }));
    await turns();
    expect(t.asked.length).toBe(before + 1);
    router.destroy();
    await turns();
  });
});

describe('what is refused', () => {
  it('lost framing ends the session; a scan makes no event', async () => {
    const t = setup();
    const router = t.connect();
    router.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await turns();
    expect(t.refused()).toEqual([['version', 1]]);
    expect(t.types()).toEqual([]);
    expect(t.sessions()).toEqual([]);
  });

  it('a message above max_message', async () => {
    const t = setup({ max_message: '4KiB' });
    const router = t.connect();
    router.write(Buffer.concat([encodeInitiation({ sysName: 'r' }), encodeInitiation({ sysName: 'x'.repeat(5000) })]));
    await turns();
    expect(t.refused()).toEqual([['limit', 1]]);
    expect(t.types()).toEqual(['router', 'router', 'router']);
  });

  it('an unknown peer does not end it', async () => {
    const t = setup();
    const router = t.connect();
    const peer = { address: '192.0.2.2', asn: 1, bgpId: '192.0.2.2' };
    router.write(encodeInitiation({ sysName: 'r' }));
    router.write(encodeStats({ peer, tlvs: [] }));
    router.write(encodeStats({ peer, tlvs: [] }));
    await turns();
    expect(t.refused()).toEqual([['unknown-peer', 2]]);
    expect(t.sessions()).toMatchObject([{ router: 'r', peers: 0 }]);
    router.destroy();
    await turns();
  });

  it('more than max_sessions, and any while draining', async () => {
    const t = setup({ max_sessions: 1 });
    const first = t.connect();
    t.connect();
    await turns();
    expect(t.refused()).toEqual([['limit', 1]]);
    t.collector.quiesce();
    first.write(sampleSession());
    first.destroy();
    await turns();
    t.connect();
    await turns();
    expect(t.refused()).toEqual([
      ['limit', 1],
      ['session-refused', 1],
    ]);
    expect(t.sessions()).toEqual([]);
  });
});

describe('a spool that is full or slow', () => {
  it('shed: the session is closed and new ones refused until there is room', async () => {
    const t = setup();
    let router = t.connect();
    router.write(encodeInitiation({ sysName: 'r' }));
    await turns();
    t.pipeline.open = false;
    router.write(sampleSession());
    await turns();
    expect(t.sessions()).toEqual([]);
    expect(t.refused()).toEqual([['shed', 1]]);
    router = t.connect();
    await turns();
    expect(t.refused()).toContainEqual(['session-refused', 1]);
    t.pipeline.open = true;
    router = t.connect();
    router.write(encodeInitiation({ sysName: 'r' }));
    await turns();
    expect(t.sessions()).toHaveLength(1);
    router.destroy();
    await turns();
  });

  it('paused: nothing is read until it resumes, and nothing is lost', async () => {
    const t = setup();
    const router = t.connect();
    router.write(encodeInitiation({ sysName: 'r' }));
    t.pipeline.paused = true;
    await turns();
    const before = t.types().length;
    for (let i = 0; i < 5; i++) router.write(encodeInitiation({ sysName: 'r', strings: [String(i)] }));
    await turns();
    expect(t.types()).toHaveLength(before);
    expect(t.sessions()).toMatchObject([{ paused: true }]);
    t.pipeline.resume();
    await turns();
    expect(t.types()).toHaveLength(before + 5);
    router.destroy();
    await turns();
  });

  it('stop: peers go down with the reason shutdown', async () => {
    const t = setup();
    const router = t.connect();
    const sample = sampleSession();
    // Without its Peer Down and Termination.
    router.write(sample.subarray(0, sample.length - 200));
    await turns();
    expect(t.sessions()).toMatchObject([{ peers: 1 }]);
    await t.collector.stop();
    expect(t.pipeline.drafts.slice(-2)).toMatchObject([
      { type: 'bmp.peer.v1', data: { state: 'down', reason: 'shutdown' } },
      { type: 'bmp.router.v1', data: { event: 'session-down', reason: 'shutdown', peers: 1 } },
    ]);
    expect(t.listener.closed).toBe(true);
    expect(t.sessions()).toEqual([]);
  });
});

it('configuration: defaults, and what is not allowed', () => {
  expect(bmpConfig.parse({})).toEqual({
    listen: [{ address: '127.0.0.1', port: 11019 }],
    max_message: 2 ** 20,
    max_sessions: 1000,
    max_peers: 10_000,
    path_ids: 'auto',
  });
  expect(bmpConfig.safeParse({ max_message: '1KiB' }).success).toBe(false);
  expect(bmpConfig.safeParse({ unknown: 1 }).success).toBe(false);
});
