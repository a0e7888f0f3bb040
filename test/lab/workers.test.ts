/** Workers: a device stays on one, a change of their number keeps order, and the death of one costs nothing. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { KafkaLab } from './kafka.ts';
import { labAvailable } from './peers.ts';
import { markOf, marksOf, metricsOf, portOf, SnmpLoad, seriesOf, sumOf } from './snmp-load.ts';
import { freePort, type PrintedEvent, Tidegate, type TidegateOptions, tidegateCli } from './tidegate.ts';
import { waitFor } from './wait.ts';

const SNMP = { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] };
const ADMIN = { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' };

const KILLS = process.env.TIDEGATE_NIGHTLY === '1' ? 3 : 1;

interface Rx {
  worker: number;
  boot: number;
  seq: number;
}

const rxOf = (e: PrintedEvent): Rx => e.data.rx as Rx;

describe.skipIf(!labAvailable('ip'))('workers', () => {
  const cleanup: (() => unknown)[] = [];
  afterEach(async () => {
    for (const f of cleanup.splice(0).reverse()) await f();
  });

  async function start(config: Record<string, unknown>, more: Partial<TidegateOptions> = {}): Promise<Tidegate> {
    const t = await Tidegate.start({
      config: { node: 'lab', admin: ADMIN, export: { stdout: { enabled: false } }, ...config },
      ...more,
    });
    cleanup.push(() => t.close());
    return t;
  }

  async function load(t: Tidegate, sources?: number): Promise<SnmpLoad> {
    const l = await SnmpLoad.open(portOf(t.ready, 'snmp_trap'), { sources });
    cleanup.push(() => l.close());
    return l;
  }

  it('keep one source with a thousand ports on one of three, in order; other sources use all three', async () => {
    const t = await start({ workers: 3, collectors: { snmp_trap: SNMP } });
    const l = await load(t, 48);
    await l.send('trap', 480);
    for (let port = 0; port < 1000; port++) {
      const socket = await l.bind('127.0.78.1');
      cleanup.push(() => socket.close());
      for (let i = 0; i < 2; i++) await l.one('trap', socket);
    }
    await waitFor(
      async () => seriesOf(await metricsOf(t.ready), 'tidegate_received_total{collector="snmp_trap"}') === 2480,
      'all traps to be received',
    );
    expect((await t.sigterm()).code).toBe(0);
    const events = await t.spooled('snmp.trap.v1');
    expect(events).toHaveLength(2480);

    const one = events.filter((e) => (e.data.source as { address: string }).address === '127.0.78.1');
    expect(new Set(one.map((e) => (e.data.source as { port: number }).port)).size).toBe(1000);
    expect(new Set(one.map((e) => rxOf(e).worker)).size).toBe(1);
    const inOrder = [...one].sort((a, b) => rxOf(a).seq - rxOf(b).seq).map((e) => markOf(e.data));
    expect(inOrder).toEqual([...l.traps].filter(([, from]) => from === '127.0.78.1').map(([n]) => n));
    expect(new Set(events.map((e) => rxOf(e).worker))).toEqual(new Set([0, 1, 2]));
    // `seq` has no gap in any worker.
    for (const worker of [0, 1, 2]) {
      const seqs = events.filter((e) => rxOf(e).worker === worker).map((e) => rxOf(e).seq);
      expect(seqs.sort((a, b) => a - b)).toEqual(seqs.map((_, i) => i + 1));
    }
  });

  it('are killed one at a time under load: no datagram is lost, no counter goes back', async () => {
    const t = await start({ workers: 3, collectors: { snmp_trap: SNMP } });
    const l = await load(t, 24);
    let done = false;
    let pages = 0;
    const high = new Map<string, number>();
    const counters = (async () => {
      while (!done) {
        const page = await metricsOf(t.ready);
        pages++;
        for (const name of ['tidegate_received_total', 'tidegate_events_total']) {
          const value = sumOf(page, name, /snmp/);
          expect(value, name).toBeGreaterThanOrEqual(high.get(name) ?? 0);
          high.set(name, value);
        }
      }
    })();
    const running = l.run(() => done, 1500, ['trap', 'trap', 'inform']);
    const kills: number[] = [];
    for (let i = 0; i < KILLS; i++) {
      const { workers } = await t.status<{ workers: { index: number; pid: number; boot: number }[] }>();
      const victim = workers.find((w) => w.index === i)!;
      process.kill(victim.pid, 'SIGKILL');
      kills.push(l.last);
      await waitFor(
        async () => {
          const now = await t.status<{ workers: { index: number; pid: number; boot: number }[] }>();
          const again = now.workers.find((w) => w.index === i);
          return again !== undefined && again.pid !== victim.pid && again.boot > victim.boot;
        },
        'the worker to be back',
        { every: 200 },
      );
    }
    done = true;
    await Promise.all([running, counters]);
    expect(pages).toBeGreaterThan(3);
    expect((await t.sigterm()).code).toBe(0);
    const found = marksOf(await t.spooled('snmp.trap.v1'));
    const lost = [...l.traps.keys(), ...l.informs.keys()].filter((n) => !found.has(n));
    // Neither what the kernel held nor what the worker had in hand.
    expect(lost).toEqual([]);
    expect(l.last - kills[0]).toBeGreaterThan(500);
    // What was written just before the death may be there twice, with the same id.
    for (const ids of found.values()) expect(new Set(ids).size).toBe(1);
  });

  it('are 1, then 3, then 2 while Kafka is away: the order of each device is kept', async () => {
    const kafka = await KafkaLab.start();
    cleanup.push(() => kafka.close());
    for (const type of ['snmp.trap.v1', 'system.v1']) await kafka.createTopic(`tidegate.${type}`, 4);
    await kafka.broker(1).stop();
    const config = (workers: number) => ({
      node: 'lab',
      admin: ADMIN,
      workers,
      collectors: { snmp_trap: SNMP },
      export: { flush_timeout: '200ms', kafka: { brokers: kafka.bootstrap() }, stdout: { enabled: false } },
    });
    let t = await start(config(1));
    const l = await load(t, 12);
    const boots: string[][] = [];
    for (const workers of [1, 3, 2]) {
      if (boots.length > 0) {
        expect((await t.sigterm()).code).toBe(0);
        t = await t.restart({ config: config(workers) });
        l.port = portOf(t.ready, 'snmp_trap');
        cleanup.push(() => t.close());
      }
      boots.push(readdirSync(join(t.dataDir, 'spool')));
      await l.answered(await l.send('inform', 24));
      await l.send('trap', 600);
      await l.answered(await l.send('inform', 24));
    }
    // Nothing was delivered, so every generation is still there.
    expect(boots.map((b) => b.length)).toEqual([1, 2, 3]);
    await kafka.broker(1).start();
    const records = await waitFor(
      async () => {
        const all = await kafka.read('tidegate.snmp.trap.v1');
        if (all.length >= l.traps.size + l.informs.size) return all;
        throw new Error(`${all.length} of ${l.traps.size + l.informs.size}`);
      },
      'everything in Kafka',
      { every: 1000 },
    );
    await waitFor(() => readdirSync(join(t.dataDir, 'spool')).length === 1, 'the older generations to be removed');
    expect(records).toHaveLength(l.traps.size + l.informs.size);
    const sent = [...l.traps, ...l.informs].sort((a, b) => a[0] - b[0]);
    for (const source of new Set(l.traps.values())) {
      const of = records.filter((r) => r.key === `default|${source}`);
      expect(new Set(of.map((r) => r.partition)).size).toBe(1);
      expect(of.map((r) => markOf(JSON.parse(r.value.toString()) as Record<string, unknown>))).toEqual(
        sent.filter(([, from]) => from === source).map(([n]) => n),
      );
    }
    expect((await t.sigterm()).code).toBe(0);
  });

  it('without the add-on there is one, `status` says why, traps and informs still work', async () => {
    const t = await start({ workers: 3, collectors: { snmp_trap: SNMP } }, { env: { TIDEGATE_NO_NATIVE: '1' } });
    const l = await load(t, 3);
    await l.send('trap', 30);
    await l.answered(await l.send('inform', 30));
    const status = await t.status<{ native: object; workers: { pid: number; restarts: number }[] }>();
    expect(status.native).toEqual({ loaded: false, reason: 'TIDEGATE_NO_NATIVE=1 is set' });
    expect(status.workers).toHaveLength(1);
    expect((await t.cli(['status'])).stdout).toContain('TIDEGATE_NO_NATIVE=1');
    await waitFor(
      async () => seriesOf(await metricsOf(t.ready), 'tidegate_events_total{type="snmp.trap.v1"}') === 60,
      'sixty events',
    );
    expect((await t.sigterm()).code).toBe(0);
    expect(marksOf(await t.spooled('snmp.trap.v1')).size).toBe(60);
  });

  it('check --connect beside the running instance: its sockets are its own, those of others are not', async () => {
    const ports = [await freePort(), await freePort()];
    const listen = (i: number) => [`127.0.0.1:${ports[i]}`];
    const config = { collectors: { snmp_trap: { ...SNMP, listen: listen(0) }, bmp: { listen: listen(1) } } };
    const t = await start({ workers: 2, ...config });
    type Answer = { ok: boolean; findings: { severity: string; what: string; fix?: string }[] };
    const held = (a: Answer) => a.findings.filter((f) => f.what.includes('127.0.0.1:'));
    const beside = await t.cli(['check', '--connect', '-o', 'json']);
    expect(beside.code, beside.stdout + beside.stderr).toBe(0);
    const by = `held by the running instance (pid ${t.pid})`;
    expect(held(JSON.parse(beside.stdout) as Answer)).toEqual([
      { severity: 'ok', what: `snmp_trap 127.0.0.1:${ports[0]}: ${by}` },
      { severity: 'ok', what: `bmp 127.0.0.1:${ports[1]}: ${by}` },
    ]);
    // The same addresses in the configuration of somebody else.
    const other = join(t.dir, 'other.yaml');
    writeFileSync(other, stringify({ data_dir: join(t.dir, 'other'), admin: ADMIN, ...config }));
    const stranger = await tidegateCli(['check', '--connect', '-o', 'json', '-c', other]);
    expect(stranger.code).toBe(1);
    expect(held(JSON.parse(stranger.stdout) as Answer).map((f) => f.severity)).toEqual(['problem', 'problem']);
    // And when it has ended.
    expect((await t.sigterm()).code).toBe(0);
    const alone = await t.json<Answer>(['check', '--connect']);
    expect(held(alone).map((f) => f.what)).toEqual([
      `snmp_trap can listen on 127.0.0.1:${ports[0]}`,
      `bmp can listen on 127.0.0.1:${ports[1]}`,
    ]);
  });

  it('refuse a start that cannot be right, with what to do about it', async () => {
    const t = await start({ workers: 1, collectors: { snmp_trap: SNMP } });
    const second = await t.cli(['run']);
    expect(second.code).toBe(78);
    expect(second.stderr).toContain(`process id ${t.pid}`);

    const taken = portOf(t.ready, 'snmp_trap');
    const tcp = await freePort();
    const other = await Tidegate.start({
      config: {
        admin: { ...ADMIN, listen: `127.0.0.1:${tcp}` },
        collectors: { snmp_trap: { ...SNMP, listen: [`127.0.0.1:${taken}`] } },
      },
      noWait: true,
    });
    cleanup.push(() => other.close());
    expect((await other.proc.exited).code).toBe(1);
    expect(other.said()).toMatch(new RegExp(`127\\.0\\.0\\.1:${taken}.*in use`));

    const bad = await Tidegate.start({ config: 'colectors:\n  snmp_trap: {}\nworkers: many\n', noWait: true });
    cleanup.push(() => bad.close());
    expect((await bad.proc.exited).code).toBe(78);
    expect(bad.said()).toMatch(/tidegate\.yaml:1: colectors.*`collectors`/);
    expect(bad.said()).toMatch(/tidegate\.yaml:3/);

    expect((await tidegateCli(['run', '--no-such-option'])).code).toBe(64);
    expect((await tidegateCli(['no-such-verb'])).code).toBe(64);
    expect((await tidegateCli(['run', '-c', join(t.dir, 'absent.yaml')])).code).toBe(78);
    // The first instance never noticed.
    expect((await t.sigterm()).code).toBe(0);
  });
});
