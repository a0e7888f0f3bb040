/** Nothing that was acknowledged is lost: kill rounds, Kafka away, a full spool, and the order of system calls before a Response. */
import { existsSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { encodeOpen } from '../../src/codec/bgp/open.ts';
import { encodeUpdate } from '../../src/codec/bgp/update.ts';
import { sampleSession } from '../../src/codec/bmp/describe.ts';
import { encodeInitiation, encodePeerUp, encodeRouteMonitoring } from '../../src/codec/bmp/encode.ts';
import { type Call, type FakeGnmi, fakeGnmi, response } from '../collectors/gnmi/server.ts';
import { KafkaLab, type LabRecord } from './kafka.ts';
import { labAvailable } from './peers.ts';
import { markOf, metricsOf, portOf, SnmpLoad, seriesOf, sumOf } from './snmp-load.ts';
import { readCalls, type TracedCall } from './strace.ts';
import { Tidegate, type TidegateOptions } from './tidegate.ts';
import { waitFor } from './wait.ts';

const NIGHTLY = process.env.TIDEGATE_NIGHTLY === '1';
const ROUNDS = NIGHTLY ? 50 : 10;
const OUTAGE_MS = 60_000;
const FULL_BYTES = 256 * 2 ** 20;
/** Large events fill it in seconds. */
const SAMPLE_BYTES = 64 * 1024;
const TRAP_BYTES = 30_000;
const INFORM_BYTES = 4_000;
const SNMP = { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] };
const ADMIN = { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' };

type Data = Record<string, unknown>;
const dataOf = (r: LabRecord): Data => JSON.parse(r.value.toString('utf8')) as Data;

describe.skipIf(!labAvailable('java', 'strace'))('durability', () => {
  let kafka: KafkaLab;
  const cleanup: (() => unknown)[] = [];
  beforeAll(async () => {
    kafka = await KafkaLab.start();
  });
  afterEach(async () => {
    for (const f of cleanup.splice(0).reverse()) await f();
  });
  afterAll(() => kafka?.close());

  async function start(config: Data, more: Partial<TidegateOptions> = {}): Promise<Tidegate> {
    const t = await Tidegate.start({ config: { node: 'lab', admin: ADMIN, ...config }, ...more });
    cleanup.push(() => t.close());
    return t;
  }

  async function load(t: Tidegate, pad = 0): Promise<SnmpLoad> {
    const l = await SnmpLoad.open(portOf(t.ready, 'snmp_trap'), { pad });
    cleanup.push(() => l.close());
    return l;
  }

  const exporter = (prefix: string) => ({
    flush_timeout: '20s',
    kafka: { brokers: kafka.bootstrap(), topic_prefix: prefix, partitions: 3 },
    stdout: { enabled: false },
  });

  async function createAll(t: Tidegate): Promise<void> {
    const done = await t.cli(['topics', 'apply']);
    expect(done.stdout + done.stderr).toContain('snmp.trap.v1');
    expect(done.code).toBe(0);
  }

  /** Reads a topic until every number is there. */
  function arrived(topic: string, numbers: Iterable<number>): Promise<LabRecord[]> {
    const wanted = [...numbers];
    return waitFor(
      async () => {
        const records = await kafka.read(topic);
        const there = new Set(records.map((r) => markOf(dataOf(r))));
        const missing = wanted.filter((n) => !there.has(n));
        if (missing.length === 0) return records;
        throw new Error(`${missing.length} of ${wanted.length} are missing, the first: ${missing.slice(0, 5)}`);
      },
      `all in ${topic}`,
      { every: 1000, ceiling: 60_000 },
    );
  }

  /** The audit is clean, and it looked at something. */
  async function audited(t: Tidegate): Promise<void> {
    const done = await t.cli(['audit', '--kafka', '-o', 'json']);
    expect(done.stderr + done.stdout.slice(0, 2000) + done.code).toMatch(/0$/);
    const report = JSON.parse(done.stdout) as { events: number; manifests: number; open: number };
    expect(report).toMatchObject({ clean: true, findings: [], unread: [], open: 0 });
    expect(report.events).toBeGreaterThan(0);
    expect(report.manifests).toBeGreaterThan(0);
  }

  it(`killed as a whole at ${ROUNDS} random moments: every answered inform is in Kafka, by id`, async () => {
    const config = { workers: 2, collectors: { snmp_trap: SNMP }, export: exporter('kill') };
    let t = await start(config);
    await createAll(t);
    const l = await load(t);
    for (let round = 0; round < ROUNDS; round++) {
      if (round > 0) {
        t = await t.restart();
        cleanup.push(() => t.close());
        l.port = portOf(t.ready, 'snmp_trap');
      }
      let stop = false;
      const running = l.run(() => stop, 1200, ['inform', 'inform', 'trap']);
      // At least one answer in each round; then a moment that nobody chose.
      const before = l.acked.size;
      await waitFor(() => l.acked.size > before, 'an answer', { every: 2 });
      await sleep(Math.random() * 500);
      const killed = t.kill9();
      stop = true;
      await Promise.all([running, killed]);
    }
    t = await t.restart();
    cleanup.push(() => t.close());
    const answered = [...l.acked];
    expect(answered.length).toBeGreaterThan(ROUNDS);
    const records = await arrived('kill.snmp.trap.v1', answered);
    const ids = new Map<number, Set<string>>();
    for (const r of records) {
      const n = markOf(dataOf(r))!;
      ids.set(n, (ids.get(n) ?? new Set()).add(r.headers.ce_id));
    }
    // A stretch may be there twice, with the same ids.
    for (const n of answered) expect(ids.get(n)?.size, `inform ${n}`).toBe(1);
    expect(new Set(answered.map((n) => [...ids.get(n)!][0])).size).toBe(answered.length);

    expect((await t.sigterm()).code).toBe(0);
    expect(await t.json(['spool', 'verify'])).toMatchObject({ damaged: 0 });
    await audited(t);
  });

  it('Kafka away under load: informs are answered, nothing is lost, order is kept; a missing topic delays only itself', async () => {
    await kafka.createTopic('away.snmp.trap.v1', 3);
    await kafka.createTopic('away.system.v1', 1);
    const t = await start({
      workers: 2,
      collectors: { snmp_trap: SNMP, bmp: { listen: ['127.0.0.1:0'] } },
      export: exporter('away'),
    });
    const l = await load(t);
    // BMP has no topics at all: these events wait.
    const router = connect(portOf(t.ready, 'bmp'), '127.0.0.1');
    router.end(sampleSession());
    await waitFor(
      async () => seriesOf(await metricsOf(t.ready), 'tidegate_events_total{type="bmp.update.v1"}') === 2,
      'the BMP session',
    );
    await arrived('away.snmp.trap.v1', await l.send('trap', 50));

    let stop = false;
    const running = l.run(() => stop, 600);
    await sleep(500);
    await kafka.broker(1).stop();
    const since = l.last;
    await sleep(OUTAGE_MS);
    const until = l.last;
    await kafka.broker(1).start();
    await sleep(1000);
    stop = true;
    await running;
    expect(until - since).toBeGreaterThan(1000);
    await l.answered([...l.informs.keys()]);
    const records = await arrived('away.snmp.trap.v1', [...l.traps.keys(), ...l.informs.keys()]);

    // First deliveries of each key are in the order of sending, all in one partition.
    const sent = [...l.traps, ...l.informs].sort((a, b) => a[0] - b[0]);
    for (const source of new Set(l.traps.values())) {
      const of = records.filter((r) => r.key === `default|${source}`);
      expect(new Set(of.map((r) => r.partition)).size).toBe(1);
      expect([...new Set(of.map((r) => markOf(dataOf(r))))]).toEqual(
        sent.filter(([, from]) => from === source).map(([n]) => n),
      );
    }
    const page = await metricsOf(t.ready);
    expect(sumOf(page, 'tidegate_lost_events_total')).toBe(0);
    expect(sumOf(page, 'tidegate_export_quarantined_total')).toBe(0);

    await createAll(t);
    const bmp = await waitFor(
      async () => {
        const records = await kafka.read('away.bmp.update.v1');
        return records.length >= 2 && records;
      },
      'the events that waited for their topic',
      { every: 1000 },
    );
    expect(bmp).toHaveLength(2);
    expect((await t.sigterm()).code).toBe(0);
    await audited(t);
  });

  it(`a spool of ${FULL_BYTES / 2 ** 20} MiB is filled: what is shed comes in order and is counted, and all the rest arrives`, async () => {
    const calls: Record<string, Call | undefined> = {};
    const gnmi: FakeGnmi = await fakeGnmi((call) => {
      call.write(response({ sync_response: true }));
      const mode = (gnmi.requests.at(-1)!.subscribe.subscription as { mode: string }[])[0].mode;
      calls[mode] = call;
      call.on('close', () => {
        if (calls[mode] === call) calls[mode] = undefined;
      });
      call.on('cancelled', () => {
        if (calls[mode] === call) calls[mode] = undefined;
      });
    });
    cleanup.push(() => gnmi.close());
    const t = await start({
      workers: 1,
      collectors: {
        snmp_trap: SNMP,
        bmp: { listen: ['127.0.0.1:0'] },
        gnmi: {
          targets: [
            { name: 'fake', address: `127.0.0.1:${gnmi.port}`, tls: false, subscriptions: ['samples', 'changes'] },
          ],
          subscriptions: {
            samples: { paths: ['/a'], stream_mode: 'sample', sample_interval: '1s' },
            changes: { paths: ['/b'], stream_mode: 'on-change' },
          },
        },
      },
      spool: { max_bytes: FULL_BYTES },
      export: { ...exporter('full'), flush_timeout: '100ms' },
    });
    await createAll(t);
    await waitFor(() => calls.SAMPLE && calls.ON_CHANGE, 'both subscriptions');
    await kafka.broker(1).stop();
    const l = await load(t);
    const { workers } = await t.status<{ workers: { pid: number }[] }>();
    const page = () => metricsOf(t.ready);
    const events = async (type: string) => seriesOf(await page(), `tidegate_events_total{type="${type}"}`);
    const shed = async (collector: string) =>
      seriesOf(await page(), `tidegate_lost_events_total{collector="${collector}",reason="shed"}`);
    await waitFor(async () => (await events('gnmi.update.v1')) === 2, 'both syncs');

    // 1. Samples.
    const said = { samples: 0, changes: 0 };
    const update = (name: 'samples' | 'changes') => {
      said[name]++;
      const val = { string_val: 'y'.repeat(SAMPLE_BYTES) };
      return response({
        update: { timestamp: said[name], update: [{ path: { elem: [{ name }, { name: `n${said[name]}` }] }, val }] },
      });
    };
    const say = async (name: 'samples' | 'changes', call: Call | undefined, count: number) => {
      for (let i = 0; i < count && call && !call.cancelled; i++) if (!call.write(update(name))) await sleep(2);
    };
    await waitFor(
      async () => {
        await say('samples', calls.SAMPLE, 200);
        return (await shed('gnmi')) > 0;
      },
      'samples to be shed',
      { every: 20 },
    );
    await waitFor(
      async () => (await events('gnmi.update.v1')) + (await shed('gnmi')) === 2 + said.samples,
      'every sample to be an event or shed',
    );
    const samplesShed = await shed('gnmi');
    expect([await shed('bmp'), await shed('snmp_trap')]).toEqual([0, 0]);

    // 2. Sessions.
    const peer = { address: '192.0.2.2', asn: 65001, bgpId: '192.0.2.2' };
    const open = (asn: number, bgpId: string) =>
      encodeOpen({ asn, holdTime: 90, bgpId, capabilities: [{ name: 'as4', asn }] });
    const hello = Buffer.concat([
      encodeInitiation({ sysName: 'filler', sysDescr: 'fills' }),
      encodePeerUp({
        peer,
        localAddress: '192.0.2.1',
        localPort: 179,
        remotePort: 40000,
        sentOpen: open(65000, '192.0.2.1'),
        receivedOpen: open(65001, '192.0.2.2'),
      }),
    ]);
    const table = encodeRouteMonitoring({
      peer,
      pdu: encodeUpdate(
        {
          announced: Array.from({ length: 500 }, (_, i) => ({ prefix: `10.${i >> 8}.${i & 255}.0/24` })),
          attributes: { origin: 'igp', asPath: [{ type: 'sequence', asns: [65001] }], nextHop: '192.0.2.2' },
        },
        { as4: true, addPath: new Set(), extendedMessage: false },
      ),
    });
    const dial = async (): Promise<{ socket: Socket; closed: () => boolean }> => {
      const socket = connect(portOf(t.ready, 'bmp'), '127.0.0.1');
      let closed = false;
      socket.on('close', () => {
        closed = true;
      });
      socket.on('error', () => {});
      socket.resume();
      // A session that is refused may be reset before it was ever seen connected.
      await new Promise((resolve) => {
        socket.once('connect', resolve);
        socket.once('close', resolve);
      });
      cleanup.push(() => socket.destroy());
      return { socket, closed: () => closed };
    };
    const router = await dial();
    router.socket.write(hello);
    await waitFor(
      async () => {
        if (!router.closed()) router.socket.write(table);
        return router.closed();
      },
      'the BMP session to be closed',
      { every: 10 },
    );
    await waitFor(async () => (await shed('bmp')) > 0, 'what was shed to be counted');
    expect(await shed('snmp_trap')).toBe(0);
    const again = await dial();
    await waitFor(again.closed, 'a new session to be refused');
    const refused = () =>
      page().then((p) => seriesOf(p, 'tidegate_refused_total{code="session-refused",collector="bmp"}'));
    await waitFor(async () => (await refused()) >= 1, 'the refusal to be counted');

    // 3. ON_CHANGE: the stream is stopped, so that nothing is missed.
    await waitFor(
      async () => {
        await say('changes', calls.ON_CHANGE, 10);
        return (await shed('gnmi')) > samplesShed || calls.ON_CHANGE === undefined;
      },
      'ON_CHANGE to be shed',
      { every: 20 },
    );
    expect(await shed('snmp_trap')).toBe(0);

    // 4. Informs go unanswered.
    let informs: number[] = [];
    await waitFor(
      async () => {
        // Traps take the room of the alarms, until there is none left for informs.
        l.pad = TRAP_BYTES;
        await l.send('trap', 40, 0);
        l.pad = INFORM_BYTES;
        informs = await l.send('inform', 20, 0);
        await waitFor(
          async () =>
            (await page().then((p) => seriesOf(p, 'tidegate_received_total{collector="snmp_trap"}'))) === l.last,
          'the notifications to be received',
        );
        return (await shed('snmp_trap')) > 0;
      },
      'informs to be shed',
      { every: 10 },
    );
    const informsShed = await shed('snmp_trap');
    await waitFor(
      () => [...l.informs.keys()].filter((n) => l.acked.has(n)).length === l.informs.size - informsShed,
      'all other informs to be answered',
    );
    expect(informs.some((n) => !l.acked.has(n))).toBe(true);

    // 5. Traps last.
    l.pad = TRAP_BYTES;
    await waitFor(
      async () => {
        await l.send('trap', 20, 0);
        return (await shed('snmp_trap')) > informsShed;
      },
      'traps to be shed',
      { every: 10 },
    );
    await l.send('trap', 100);
    await waitFor(
      async () => (await events('snmp.trap.v1')) + (await shed('snmp_trap')) === l.traps.size + l.informs.size,
      'every notification to be an event or shed',
    );
    const kept = await events('snmp.trap.v1');
    // Full is a reason to prefer another node, and none to be restarted.
    const full = await t.status<{ ready: string[]; workers: { pid: number; soft: string[] }[] }>();
    expect(full.ready).toEqual([]);
    expect(full.workers[0].soft).toContain('spool full: traps are shed');
    expect(full.workers[0].pid).toBe(workers[0].pid);
    expect(sumOf(await page(), 'tidegate_spool_unexported_bytes')).toBeLessThanOrEqual(FULL_BYTES);

    // Kafka is back: everything arrives, and sessions are taken again.
    await kafka.broker(1).start();
    await waitFor(
      async () => {
        const left = sumOf(await page(), 'tidegate_export_lag_events');
        if (left === 0) return true;
        throw new Error(`${left} are left`);
      },
      'every event in Kafka',
      { every: 500, ceiling: 120_000 },
    );
    const records = await kafka.read('full.snmp.trap.v1');
    // What was not shed, each once; a repetition has the same id.
    type Update = { updates?: { path: string }[] };
    const updates = (await kafka.read('full.gnmi.update.v1')).map((r) => dataOf(r) as Update);
    const paths = updates.map((u) => u.updates?.[0]?.path).filter((path) => path?.startsWith('/samples/'));
    expect(new Set(paths).size).toBe(said.samples - samplesShed);
    const tables = await kafka.read('full.bmp.update.v1');
    expect(new Set(tables.map((r) => r.headers.ce_id)).size).toBe(await events('bmp.update.v1'));
    expect(new Set(records.map((r) => markOf(dataOf(r)))).size).toBe(kept);
    const there = new Set(records.map((r) => markOf(dataOf(r))));
    expect([...l.acked].filter((n) => !there.has(n))).toEqual([]);
    const taken = await waitFor(async () => {
      const session = await dial();
      session.socket.write(hello);
      await sleep(300);
      return session.closed() ? undefined : session;
    }, 'a session to be taken');
    taken.socket.destroy();
    l.pad = 0;
    await l.answered(await l.send('inform', 10));
    expect((await t.sigterm()).code).toBe(0);
    await audited(t);
  });

  it('a trace shows for each inform: written, fdatasync returned, then its Response', async () => {
    const dir = kafka.dir;
    const file = join(dir, 'trace');
    const t = await start(
      { workers: 1, collectors: { snmp_trap: { ...SNMP, ack: 'spool' } }, export: { stdout: { enabled: false } } },
      {
        wrap: [
          'strace',
          ...['-f', '-qq', '-yy', '-xx', '-ttt', '-s', '20000', '-o', file],
          ...['-e', 'trace=write,pwrite64,writev,pwritev,pwritev2,fdatasync,fsync,sendto,sendmsg,sendmmsg'],
          ...['-e', 'signal=none'],
        ],
      },
    );
    const l = await load(t);
    for (let i = 0; i < 3; i++) await l.answered(await l.send('inform', 20, 0));
    // SIGTERM is for the product, not for its tracer.
    process.kill(t.children(/main\.ts run/)[0], 'SIGTERM');
    await t.proc.exited;
    expect(existsSync(file)).toBe(true);
    const calls = readCalls(readFileSync(file, 'latin1'));
    const segment = /\/alarm\/[^/]+$/;
    const writes = calls.filter((c) => /write/.test(c.name) && segment.test(c.path));
    const syncs = calls.filter((c) => c.name === 'fdatasync' && segment.test(c.path) && c.result === 0);
    const sends = calls.filter((c) => /send/.test(c.name) && c.path.includes('UDP'));
    const first = (list: TracedCall[], fits: (c: TracedCall) => boolean) => list.find(fits);
    for (const n of l.informs.keys()) {
      const id = Buffer.from(`"type":"unsigned32","value":${n},`);
      const idAtEnd = Buffer.from(`"type":"unsigned32","value":${n}}`);
      const write = first(writes, (c) => c.data.includes(id) || c.data.includes(idAtEnd));
      expect(write, `inform ${n} is written`).toBeDefined();
      const sync = first(syncs, (c) => c.path === write!.path && c.start > write!.end);
      expect(sync, `inform ${n} is synced`).toBeDefined();
      // INTEGER request-id of a Response PDU (0xa2) of ours.
      const answer = first(sends, (c) => responseId(c.data) === n);
      expect(answer, `inform ${n} is answered`).toBeDefined();
      expect(answer!.start, `the Response to inform ${n} comes after its fdatasync`).toBeGreaterThan(sync!.end);
    }
    expect(l.informs.size).toBe(60);
  });
});

/** The request-id of a Response datagram. */
function responseId(datagram: Buffer): number | undefined {
  const at = datagram.indexOf(0xa2);
  if (at < 0 || datagram[at + 2] !== 2) return undefined;
  return datagram.readUIntBE(at + 4, datagram[at + 3]);
}
