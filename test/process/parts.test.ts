import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ManualClock, systemClock } from '../../src/core/clock.ts';
import { Asker } from '../../src/process/ask.ts';
import { CounterStore } from '../../src/process/counters.ts';
import { HealthMeter } from '../../src/process/health.ts';
import { takeLock } from '../../src/process/lock.ts';
import { awaitOrphans, noteChild } from '../../src/process/orphans.ts';
import { RATE_FILE, RateMeter } from '../../src/process/rate.ts';
import { matchesTap } from '../../src/process/tap.ts';
import { Histogram, Registry } from '../../src/telemetry/registry.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tidegate-parts-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

describe('counters over processes', () => {
  it('survive the death of a worker; gauges do not', () => {
    const store = new CounterStore();
    store.update('worker 0', [
      ['tidegate_received_total', 'collector="bmp"', 10],
      ['tidegate_informs_in_flight', '', 3],
    ]);
    store.update('worker 1', [['tidegate_received_total', 'collector="bmp"', 5]]);
    expect(store.value('tidegate_received_total', 'collector="bmp"')).toBe(15);
    store.retire('worker 0');
    expect(store.value('tidegate_received_total', 'collector="bmp"')).toBe(15);
    expect(store.value('tidegate_informs_in_flight')).toBe(0);
    store.update('worker 0', [['tidegate_received_total', 'collector="bmp"', 1]]);
    expect(store.value('tidegate_received_total', 'collector="bmp"')).toBe(16);
  });

  it('are told by what changed since the last renewal', () => {
    const store = new CounterStore();
    const r = new Registry();
    const received = r.handle('tidegate_received_total', { collector: 'bmp' });
    const inFlight = r.handle('tidegate_informs_in_flight');
    const sync = r.histogram('tidegate_spool_sync_seconds');
    const renew = () => {
      const said = r.changes();
      store.update('worker 0', said);
      return said.length;
    };
    renew();
    received.value = 7;
    inFlight.value = 2;
    expect(renew()).toBe(2);
    expect(renew()).toBe(0);
    inFlight.value = 0;
    sync.observe(0.001);
    expect(r.changes(false)).toEqual([['tidegate_informs_in_flight', '', 0]]);
    store.update('worker 0', [['tidegate_informs_in_flight', '', 0]]);
    expect(r.changes(false)).toEqual([]);
    renew();
    const sorted = (list: readonly (readonly unknown[])[]) => list.map((s) => JSON.stringify(s)).sort();
    expect(sorted(store.merged())).toEqual(sorted(r.snapshot()));
    store.retire('worker 0');
    expect(store.value('tidegate_received_total', 'collector="bmp"')).toBe(7);
    expect(store.value('tidegate_spool_sync_seconds_count')).toBe(1);
  });

  it('merge gauges by their declared rule', () => {
    const store = new CounterStore();
    store.update('worker 0', [['tidegate_export_up', 'exporter="kafka"', 1]]);
    store.update('worker 1', [['tidegate_export_up', 'exporter="kafka"', 0]]);
    expect(store.value('tidegate_export_up', 'exporter="kafka"')).toBe(0);
  });

  it('lose a series that is gone, as it comes over a channel', () => {
    const store = new CounterStore();
    const registry = new Registry();
    const labels = { vip: 'a', address: '192.0.2.1' };
    registry.handle('tidegate_lb_vip_last_packet_seconds', labels).value = 3;
    const say = () => store.update('speaker', JSON.parse(JSON.stringify(registry.changes())));
    say();
    expect(store.series('tidegate_lb_vip_last_packet_seconds')).toHaveLength(1);
    registry.forget('tidegate_lb_vip_last_packet_seconds', labels);
    say();
    expect(store.series('tidegate_lb_vip_last_packet_seconds')).toEqual([]);
  });

  it('keep the parts of a histogram', () => {
    const store = new CounterStore();
    store.update('worker 0', [['tidegate_spool_sync_seconds_bucket', 'le="0.1"', 4]]);
    store.retire('worker 0');
    expect(store.value('tidegate_spool_sync_seconds_bucket', 'le="0.1"')).toBe(4);
  });
});

describe('the registry', () => {
  it('gives one handle a set of labels, in any order', () => {
    const r = new Registry();
    r.handle('tidegate_refused_total', { collector: 'bmp', code: 'length' }).value++;
    r.handle('tidegate_refused_total', { code: 'length', collector: 'bmp' }).value++;
    expect(r.snapshot()).toEqual([['tidegate_refused_total', 'code="length",collector="bmp"', 2]]);
  });

  it('counts a histogram cumulatively when it is read', () => {
    const h = new Histogram([1, 2]);
    for (const v of [0.5, 1.5, 9]) h.observe(v);
    expect(h.counts).toEqual([1, 1]);
    expect([h.count, h.sum]).toEqual([3, 11]);
  });
});

describe('asking all workers', () => {
  it('names who is silent and does not wait for it', async () => {
    const clock = new ManualClock();
    const asker = new Asker(clock, 500);
    const asked: number[] = [];
    const answer = asker.ask<string>(
      new Map([
        ['worker 0', (id: number) => asked.push(id)],
        ['worker 1', (id: number) => asked.push(id)],
      ]),
    );
    asker.answer(asked[0], 'worker 0', 'yes');
    clock.advance(500);
    expect(await answer).toEqual({ answers: ['yes'], silent: ['worker 1'] });
    // Too late: dropped.
    asker.answer(asked[1], 'worker 1', 'no');
  });

  it('ends as soon as all have answered', async () => {
    const asker = new Asker(new ManualClock(), 500);
    const answer = asker.ask<string>(new Map([['a', (id: number) => asker.answer(id, 'a', 1)]]));
    expect(await answer).toEqual({ answers: [1], silent: [] });
  });
});

describe('the lock of data_dir', () => {
  it('is taken, released, and taken over from a holder that is gone', () => {
    const file = join(dir, 'lock');
    const first = takeLock(file);
    if ('held' in first) throw new Error('held');
    first.release();
    writeFileSync(file, JSON.stringify({ pid: 1, started: 'never' }));
    const second = takeLock(file);
    expect('release' in second).toBe(true);
    expect(JSON.parse(readFileSync(file, 'utf8')).pid).toBe(process.pid);
    if ('release' in second) second.release();
  });

  it('names a live holder', async () => {
    const file = join(dir, 'lock2');
    const child = spawn(
      process.execPath,
      [
        '-e',
        `import(${JSON.stringify(join(import.meta.dirname, '../../src/process/lock.ts'))}).then(m => { m.takeLock(${JSON.stringify(file)}); console.log('held'); setInterval(() => {}, 1000); })`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await new Promise((resolve) => child.stdout.once('data', resolve));
    expect(takeLock(file)).toMatchObject({ held: { pid: child.pid } });
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect('release' in takeLock(file)).toBe(true);
  });
});

describe('the rate last seen', () => {
  it('is kept for check, and not overwritten by silence', () => {
    const before = process.cwd();
    process.chdir(dir);
    try {
      const meter = new RateMeter();
      const at = (events: number, bytes: number, own = 0) =>
        [
          ['tidegate_events_total', 'type="snmp.trap.v1"', events],
          ['tidegate_events_total', 'type="system.v1"', own],
          ['tidegate_events_total', 'type="security.v1"', own],
          ['tidegate_spool_appended_bytes_total', '', bytes],
        ] as [string, string, number][];
      meter.reading(0, 1000, at(0, 0));
      meter.reading(10_000, 2000, at(1000, 400_000));
      const kept = JSON.parse(readFileSync(RATE_FILE, 'utf8'));
      expect(kept).toEqual({ bytes_per_second: 40_000, events_per_second: 100, at: 2000 });
      meter.reading(20_000, 3000, at(1000, 400_000));
      expect(JSON.parse(readFileSync(RATE_FILE, 'utf8'))).toEqual(kept);
      // An idle minute, at whose end the manifests are written.
      meter.reading(80_000, 63_000, at(1000, 401_000, 4));
      expect(JSON.parse(readFileSync(RATE_FILE, 'utf8'))).toEqual(kept);
    } finally {
      process.chdir(before);
    }
  });
});

describe('tap filters', () => {
  it('match types, prefixes of types, and devices by id, name or address', () => {
    expect(matchesTap({}, 'bmp.peer.v1', 'pe1', 'PE 1')).toBe(true);
    expect(matchesTap({ type: 'bmp.*' }, 'bmp.peer.v1', 'pe1', 'PE 1')).toBe(true);
    expect(matchesTap({ type: 'bmp.*' }, 'snmp.trap.v1', 'pe1', 'PE 1')).toBe(false);
    expect(matchesTap({ device: 'PE 1' }, 'bmp.peer.v1', 'pe1', 'PE 1')).toBe(true);
    expect(matchesTap({ device: '192.0.2.1' }, 'bmp.peer.v1', 'default|192.0.2.1', '192.0.2.1')).toBe(true);
    expect(matchesTap({ device: 'pe2' }, 'bmp.peer.v1', 'pe1', 'PE 1')).toBe(false);
  });
});

describe('children of an instance that died', () => {
  it('are waited for; a child that ended and a line cut short are no obstacle', async () => {
    const file = join(dir, 'children');
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 300)'], { stdio: 'ignore' });
    noteChild(file, child.pid!);
    writeFileSync(file, `${readFileSync(file, 'utf8')}{"pid":1,"star`);
    const exit = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    expect(await awaitOrphans(file, systemClock)).toEqual([]);
    expect(await exit).toBe(0);
    expect(readFileSync(file, 'utf8')).toBe('');
  });
});

describe('the health of a worker', () => {
  const usual = { waitingSince: undefined, failure: undefined };
  const quota = { accepts: () => true, overHighWater: false, fill: 0 };
  const progress = (acked: number, lag: number) => ({ exporter: 'kafka', durable: true, acked, lag });

  it('lags when an exporter has something and delivers nothing, until it delivers again', () => {
    const clock = new ManualClock();
    let now = progress(5, 0);
    const meter = new HealthMeter({
      clock,
      config: undefined as never,
      spool: usual as never,
      quota: quota as never,
      exporters: () => [now as never],
    });
    const soft = (): string[] => meter.measure([], [], false).soft;
    clock.advance(60_000);
    expect(soft()).toEqual([]);
    now = progress(5, 3);
    clock.advance(10_000);
    expect(soft()).toEqual([]);
    clock.advance(1);
    expect(soft()).toEqual(['exporter kafka delivers nothing']);
    now = progress(6, 2);
    expect(soft()).toEqual([]);
  });
});
