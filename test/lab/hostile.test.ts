/** Bad input at every socket: nothing crashes, every refusal is counted, and good traffic beside it is unharmed. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect, type NetConnectOpts } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeKeepalive } from '../../src/codec/bgp/message.ts';
import { encodeNotification } from '../../src/codec/bgp/notification.ts';
import { encodeOpen } from '../../src/codec/bgp/open.ts';
import { encodeRouteRefresh } from '../../src/codec/bgp/route-refresh.ts';
import { encodeEndOfRib, encodeUpdate } from '../../src/codec/bgp/update.ts';
import { sampleSession } from '../../src/codec/bmp/describe.ts';
import { encodeInitiation, encodePeerUp, encodeRouteMonitoring } from '../../src/codec/bmp/encode.ts';
import { readHexVector } from '../vectors/hex.ts';
import { labAvailable } from './peers.ts';
import { marksOf, metricsOf, portOf, SnmpLoad, seriesOf, sumOf } from './snmp-load.ts';
import { Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const NIGHTLY = process.env.TIDEGATE_NIGHTLY === '1';
const DATAGRAMS = NIGHTLY ? 200_000 : 10_000;
const STREAMS = NIGHTLY ? 2000 : 120;
const COMMUNITY = 'public';

/** Numbers that look random and are the same in every run. */
class Dice {
  private state: number;
  constructor(seed: number) {
    this.state = seed;
  }
  /** 0 … n-1. */
  roll(n: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * n);
  }
  bytes(n: number): Buffer {
    return Buffer.from(Array.from({ length: n }, () => this.roll(256)));
  }
  pick<T>(list: readonly T[]): T {
    return list[this.roll(list.length)];
  }
}

/** Truncated, longer than it says, with flipped bits, with a stretch of noise, or noise as a whole. */
function spoil(dice: Dice, good: Buffer, longest: number): Buffer {
  switch (dice.roll(5)) {
    case 0:
      return good.subarray(0, dice.roll(good.length));
    case 1:
      return Buffer.concat([good, dice.bytes(1 + dice.roll(dice.roll(20) === 0 ? longest - good.length : 64))]);
    case 2: {
      const bad = Buffer.from(good);
      for (let i = dice.roll(4); i >= 0; i--) bad[dice.roll(bad.length)] ^= 1 << dice.roll(8);
      return bad;
    }
    case 3: {
      const bad = Buffer.from(good);
      const at = dice.roll(bad.length);
      dice.bytes(Math.min(1 + dice.roll(8), bad.length - at)).copy(bad, at);
      return bad;
    }
    default:
      return dice.bytes(dice.roll(300));
  }
}

/** Sends bytes to a stream socket and returns what came back until it closed, or until it was silent. */
async function talk(to: NetConnectOpts, bytes: Uint8Array | string, silence = 100): Promise<Buffer> {
  const socket = connect(to);
  const parts: Buffer[] = [];
  socket.on('data', (d: Buffer) => parts.push(d));
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.setTimeout(silence, () => socket.destroy());
  socket.write(bytes);
  await closed;
  return Buffer.concat(parts);
}

function residentKiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
}

describe.skipIf(!labAvailable('ip'))('hostile input', () => {
  let t: Tidegate;
  let load: SnmpLoad;
  let attacker: UdpSocket;
  let pids: number[];
  let sentBad = 0;
  let residentBefore = 0;

  beforeAll(async () => {
    t = await Tidegate.start({
      config: {
        node: 'lab-node-name',
        workers: 1,
        admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
        collectors: {
          snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: COMMUNITY }] },
          bmp: { listen: ['127.0.0.1:0'] },
          bgp: { listen: ['127.0.0.1:0'], asn: 64512, peers: [{ prefix: '127.0.0.0/8', asn: 65001 }] },
        },
        export: { stdout: { enabled: false } },
      },
    });
    load = await SnmpLoad.open(portOf(t.ready, 'snmp_trap'));
    attacker = createSocket('udp4');
    await new Promise<void>((resolve) => attacker.bind(0, '127.0.66.6', resolve));
    attacker.on('error', () => {});
    await waitFor(async () => (await t.status<{ ready: string[] }>()).ready.length === 0, 'readiness');
    pids = t.children();
    expect(pids.length).toBeGreaterThanOrEqual(2);
  });
  afterAll(async () => {
    load?.close();
    attacker?.close();
    await t?.close();
  });

  const page = () => metricsOf(t.ready);
  const workerPid = async () => (await t.status<{ workers: { pid: number }[] }>()).workers[0].pid;

  it('as datagrams: received is accepted plus refused, and every good one among them is an event', async () => {
    const dice = new Dice(20260101);
    const { vectors } = JSON.parse(readFileSync(new URL('../codec/snmp/vectors.json', import.meta.url), 'utf8')) as {
      vectors: { hex: string }[];
    };
    const good = vectors.map((v) => Buffer.from(v.hex, 'hex'));
    const wave = async () => {
      for (let i = 0; i < DATAGRAMS; i++) {
        const bad = i % 500 === 0 ? Buffer.alloc(dice.roll(2) * 65_507, 0x30) : spoil(dice, dice.pick(good), 65_507);
        await new Promise<void>((resolve) => attacker.send(bad, load.port, '127.0.0.1', () => resolve()));
        sentBad++;
        if (i % 50 === 49) await load.send('trap', 1, 0);
        if (i % 500 === 499) {
          await load.answered(await load.send('inform', 2, 0));
          await sleep(5);
        }
      }
      const all = () => sentBad + load.last;
      await waitFor(
        async () => seriesOf(await page(), 'tidegate_received_total{collector="snmp_trap"}') === all(),
        'every datagram to be received',
      );
    };
    await wave();
    residentBefore = residentKiB(await workerPid());
    await wave();
    const now = await page();
    const events = seriesOf(now, 'tidegate_events_total{type="snmp.trap.v1"}');
    const repeated = sumOf(now, 'tidegate_repeated_total', /snmp_trap/);
    const refused = sumOf(now, 'tidegate_refused_total', /snmp_trap/);
    expect(sumOf(now, 'tidegate_lost_events_total')).toBe(0);
    expect(events + repeated + refused).toBe(sentBad + load.last);
    expect(events).toBeGreaterThanOrEqual(load.last);
    expect(refused).toBeGreaterThan(sentBad / 2);
    for (const code of ['truncated', 'trailing', 'length', 'tag', 'version', 'unknown-community', 'pdu-type'])
      expect(sumOf(now, 'tidegate_refused_total', new RegExp(`code="${code}"`)), code).toBeGreaterThan(0);
    // Garbage leaves nothing behind in memory.
    expect(residentKiB(await workerPid()) - residentBefore).toBeLessThan(96 * 1024);
  });

  it('as BMP streams, beside a session that goes on', async () => {
    const dice = new Dice(7854);
    const to = { port: portOf(t.ready, 'bmp'), host: '127.0.0.1' };
    const peer = { address: '192.0.2.2', asn: 65001, bgpId: '192.0.2.2' };
    const open = encodeOpen({
      asn: 65001,
      holdTime: 90,
      bgpId: '192.0.2.2',
      capabilities: [{ name: 'as4', asn: 65001 }],
    });
    const neighbour = connect({ ...to, localAddress: '127.0.77.1' });
    let lost = false;
    neighbour.on('close', () => {
      lost = true;
    });
    neighbour.write(
      Buffer.concat([
        encodeInitiation({ sysName: 'good-router', sysDescr: 'beside the noise' }),
        encodePeerUp({
          peer,
          localAddress: '192.0.2.1',
          localPort: 179,
          remotePort: 40000,
          sentOpen: open,
          receivedOpen: open,
        }),
      ]),
    );
    const sessions = [
      sampleSession(),
      readHexVector('bmp/frr-8.4.4.hex'),
      readHexVector('bmp/gobgp-3.10.hex'),
      // A length of four gigabytes, of nothing, and of one message that never comes.
      Buffer.from('03fffffffe00', 'hex'),
      Buffer.from('030000000000', 'hex'),
      Buffer.from('0300ffffff04', 'hex'),
    ];
    for (let i = 0; i < STREAMS; i++) {
      await talk(to, spoil(dice, dice.pick(sessions), 100_000), 20);
      neighbour.write(encodeRouteMonitoring({ peer, pdu: encodeEndOfRib('1/1') }));
    }
    await waitFor(async () => (await goodUpdates()) === STREAMS, 'the updates of the good session', { every: 500 });
    expect(lost).toBe(false);
    expect(sumOf(await page(), 'tidegate_refused_total', /bmp/)).toBeGreaterThan(0);
    neighbour.destroy();
    await waitFor(
      async () => seriesOf(await page(), 'tidegate_sessions{collector="bmp"}') === 0,
      'all sessions to end',
    );
  });

  async function goodUpdates(): Promise<number> {
    const events = await t.spooled('bmp.update.v1');
    return events.filter((e) => (e.data.router as { name?: string }).name === 'good-router').length;
  }

  it('as BGP streams; afterwards a peer is greeted as ever', async () => {
    const dice = new Dice(4271);
    const to = { port: portOf(t.ready, 'bgp'), host: '127.0.0.1' };
    const open = encodeOpen({
      asn: 65001,
      holdTime: 90,
      bgpId: '192.0.2.9',
      capabilities: [
        { name: 'multiprotocol', afi: 1, safi: 1 },
        { name: 'as4', asn: 65001 },
      ],
    });
    const update = encodeUpdate(
      {
        announced: [{ prefix: '198.51.100.0/24' }],
        attributes: { origin: 'igp', asPath: [{ type: 'sequence', asns: [65001] }], nextHop: '192.0.2.9' },
      },
      { as4: true, addPath: new Set(), extendedMessage: false },
    );
    const messages = [update, encodeKeepalive(), encodeRouteRefresh({ afi: 1, safi: 1 })];
    const bye = encodeNotification({ code: 6, subcode: 2 });
    for (let i = 0; i < STREAMS; i++) {
      const rest = Buffer.concat(Array.from({ length: 1 + dice.roll(4) }, () => dice.pick(messages)));
      // Half of it gets past the OPEN.
      const bytes =
        i % 2 === 0
          ? spoil(dice, Buffer.concat([open, encodeKeepalive(), rest]), 70_000)
          : Buffer.concat([open, encodeKeepalive(), spoil(dice, Buffer.concat([rest, bye]), 70_000)]);
      await talk({ ...to, localAddress: `127.0.66.${1 + (i % 200)}` }, bytes, 20);
    }
    const answer = await talk({ ...to, localAddress: '127.0.77.9' }, Buffer.concat([open, encodeKeepalive()]), 2000);
    // OPEN and KEEPALIVE.
    expect([answer[18], answer[answer.readUInt16BE(16) + 18]]).toEqual([1, 4]);
    await waitFor(
      async () => seriesOf(await page(), 'tidegate_sessions{collector="bgp"}') === 0,
      'all sessions to end',
    );
  });

  it('a scan of admin.listen gets nothing but probes and metrics', async () => {
    const to = { port: Number(String(t.ready?.admin).split(':').at(-1)), host: '127.0.0.1' };
    const verbs = [
      'status',
      'lb',
      'spool',
      'exporters',
      'config',
      'explain?device=127.0.0.1',
      'tap',
      'lb/drain',
      'lb/undrain',
    ];
    const api = verbs.map((v) => `/api/v1/${v}`);
    const odd = [
      ...[
        '/',
        '/api',
        '/api/',
        '/api/v1',
        '/api/v1/',
        '/api/v2/status',
        '/index.html',
        '/favicon.ico',
        '/debug',
        '/admin',
      ],
      ...[
        '//api/v1/status',
        '/livez/../api/v1/status',
        '/metrics/..%2fapi/v1/status',
        '/%61pi/v1/status',
        '/api/v1/status/',
      ],
      ...['/API/V1/STATUS', '/api/v1/status?', '/api/v1/status%00', '/livez%00', '/..%2f..%2fetc/passwd', '*', '/%zz'],
      ...['http://localhost/api/v1/config', '/metrics;/api/v1/status', '/api\\v1\\status', `/${'a'.repeat(5000)}`],
    ];
    const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'BREW'];
    const probes = ['/livez', '/readyz', '/readyz?verbose', '/vipz', '/metrics'];
    const ask = async (method: string, path: string) => {
      const body = method === 'POST' ? '{}' : '';
      const answer = await talk(
        to,
        `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        2000,
      );
      return { code: Number(answer.subarray(9, 12).toString()), text: answer.toString('latin1') };
    };
    for (const method of methods) {
      for (const path of [...api, ...odd]) {
        const { code, text } = await ask(method, path);
        expect([400, 404, 405, 414, 431], `${method} ${path}: ${text.slice(0, 200)}`).toContain(code);
        for (const secret of [COMMUNITY, 'lab-node-name', t.dataDir, 'collectors', 'workers'])
          expect(text, `${method} ${path}`).not.toContain(secret);
      }
      for (const path of probes) {
        const { code } = await ask(method, path);
        if (method === 'GET' || method === 'HEAD') expect([200, 429, 503], `${method} ${path}`).toContain(code);
        else expect([400, 404, 405], `${method} ${path}`).toContain(code);
      }
    }
    expect((await t.status<{ lb: { draining: boolean } }>()).lb.draining).toBe(false);

    const dice = new Dice(9110);
    const request = Buffer.from('GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde');
    for (let i = 0; i < STREAMS; i++) await talk(to, spoil(dice, request, 100_000), 20);
    expect((await ask('GET', '/livez')).code).toBe(200);
  });

  it('at the local sockets: garbage and strangers’ leases change nothing', async () => {
    const dice = new Dice(1);
    const admin = { path: join(t.dataDir, 'admin.sock') };
    const request = Buffer.from('POST /api/v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde');
    for (let i = 0; i < STREAMS / 2; i++) await talk(admin, spoil(dice, request, 100_000), 20);

    const lease = { path: join(t.dataDir, 'speaker.sock') };
    const renewal = { kind: 'renewal', worker: 0, of: 1, boot: 1, counter: 1, hard: [], soft: [], vips: {} };
    const lines = [
      ...['', '{}', 'null', '[]', '1', '"x"', '{"kind":"renewal"}', '{"kind":null}', '{"kind":"init"}', '{', '\u0000'],
      `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
      'x'.repeat(2_000_000),
      ...[-1, 1e9, 1.5, '0', null, {}].map((worker) => JSON.stringify({ ...renewal, worker })),
      ...['x', null, 7, [7], [{}]].map((hard) => JSON.stringify({ ...renewal, worker: 5, hard })),
      ...['x', null, [1], { v: 'x' }].map((vips) => JSON.stringify({ ...renewal, worker: 5, vips })),
      ...['x', null, -1, 1e300].map((counter) => JSON.stringify({ ...renewal, worker: 5, counter })),
    ];
    for (const line of lines) await talk(lease, `${line}\n`, 30);
    for (let i = 0; i < STREAMS / 2; i++)
      await talk(lease, spoil(dice, Buffer.from(`${JSON.stringify(renewal)}\n`), 1000), 10);

    const grade = await waitFor(
      async () => {
        const { lb } = await t.status<{ lb: { grade?: string; draining: boolean } }>();
        return lb.grade === 'full' ? lb : undefined;
      },
      'the node to be full again',
      { ceiling: 30_000 },
    );
    expect(grade.draining).toBe(false);
  });

  it('leaves every process as it was, and every good event in the spool', async () => {
    expect(t.children()).toEqual(pids);
    const { workers } = await t.status<{ workers: { restarts: number; pid: number }[] }>();
    expect(workers.map((w) => w.restarts)).toEqual([0]);
    expect(residentKiB(workers[0].pid) - residentBefore).toBeLessThan(128 * 1024);
    await load.answered(await load.send('inform', 5));
    expect((await t.sigterm()).code).toBe(0);
    const events = await t.spooled();
    const traps = events.filter((e) => e.type === 'snmp.trap.v1');
    const ours = traps.filter((e) => (e.data.source as { address: string }).address.startsWith('127.0.77.'));
    expect(marksOf(ours).size).toBe(load.last);
    for (const type of ['bmp.update.v1', 'bmp.peer.v1', 'bgp.update.v1', 'bgp.peer.v1', 'security.v1', 'system.v1'])
      expect(events.map((e) => e.type)).toContain(type);
    expect(await t.json(['spool', 'verify'])).toMatchObject({ torn: 0, damaged: 0 });
  });
});
