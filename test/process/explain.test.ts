/** `explain`: every reason of a worker comes with what it means and what to do. */
import { describe, expect, it } from 'vitest';
import type { TargetStatus } from '../../src/collectors/gnmi/target.ts';
import type { Config } from '../../src/config/schema.ts';
import { DeviceTable } from '../../src/inventory/inventory.ts';
import { type ExplainInput, explain } from '../../src/process/explain.ts';
import type { WorkerStatus } from '../../src/process/messages.ts';
import { RecentLosses } from '../../src/process/recent-losses.ts';

function findings(worker: Partial<WorkerStatus>, over: Partial<ExplainInput> = {}) {
  const spec = { address: '127.0.0.1', port: 1162, network: 'default' };
  return explain({
    device: '192.0.2.1',
    role: 'all',
    config: { lb: { vips: [] } } as unknown as Config,
    inventory: new DeviceTable([]),
    refusals: [],
    workers: [{ index: 0, hard: [], soft: [], exporters: [], ...worker } as unknown as WorkerStatus],
    silent: [],
    notRunning: [],
    starting: [],
    userKeys: { users: 0, pending: 0, without: 0, starting: false },
    dataDir: '/var/lib/tidegate',
    lb: {},
    kernel: { rpFilter: {}, arpIgnore: {} },
    listens: [{ collector: 'snmp_trap', kind: 'udp', spec } as unknown as ExplainInput['listens'][number]],
    losses: [],
    nowMs: 0,
    ...over,
  }).findings;
}

describe('explain', () => {
  it.each([
    ['spool 83 % full of events that are not exported', 'spool', /low_water/, /max_bytes/],
    ['spool full: traps are shed', 'spool', /shed/, /max_bytes/],
    ['exporter kafka delivers nothing', 'export', /wait in the spool/, /check --connect/],
    ['kernel-drops', 'kernel', /dropped datagrams/, /rmem_max/],
    ['draining', 'process', /asked/, /lb undrain/],
  ])('%s', (reason, at, cause, fix) => {
    const f = findings({ soft: [reason] }).find((x) => x.cause.startsWith(`worker 0: ${reason}`));
    expect(f).toMatchObject({ at, severity: 'note' });
    expect(f?.cause).toMatch(cause);
    expect(f?.fix).toMatch(fix);
  });

  it.each([
    ['socket not bound: 127.0.0.1:1162 EADDRINUSE', 'socket', /127\.0\.0\.1:1162/],
    ['disk not writable: ENOSPC: no space left on device, write', 'spool', /free space on .*\/var\/lib\/tidegate/],
    ['SNMPv3: the keys of 2701 of 3000 users are not made yet', 'process', /master_key/],
    ['disk: a record waits over 1 s for its fdatasync', 'spool', /disk of \/var\/lib\/tidegate/],
    ['starting', 'process', /ask again/],
    ['sockets are not read yet', 'process', /ask again/],
    ['stopping', 'process', /ends in order/],
  ])('%s', (reason, at, fix) => {
    const f = findings({ hard: [reason] }).find((x) => x.cause === `worker 0: ${reason}`);
    expect(f).toMatchObject({ at, severity: 'problem', fix: expect.stringMatching(fix) });
  });

  it('a worker that is still starting is no silent one', () => {
    const of = (starting: string[]) => findings({}, { silent: ['worker 1'], starting })[1];
    expect(of(['worker 1'])).toMatchObject({ cause: 'worker 1 is starting', fix: expect.stringMatching(/ask again/) });
    expect(of([])).toMatchObject({ cause: 'worker 1 does not answer', fix: expect.stringMatching(/restarted/) });
  });

  it('a worker that never runs is a problem with its reason and a fix', () => {
    const why = "worker 1 cannot run: EACCES: permission denied, mkdir 'spool/1/1/alarm' (tried 4 times)";
    expect(findings({}, { notRunning: [why] }).find((f) => f.cause === why)).toMatchObject({
      severity: 'problem',
      fix: expect.stringContaining('user that workers run as'),
    });
  });

  describe('a gNMI target', () => {
    const e = { code: 'target-credentials', detail: 'UNAUTHENTICATED: no', fix: 'correct it', at: 'then' } as const;
    const target = (over: Partial<TargetStatus['subscriptions'][number]> = {}): TargetStatus => ({
      name: 'pe1',
      network: 'mgmt',
      address: 'pe1.example:57400',
      source: { address: '192.0.2.7', port: 57400 },
      device: 'dev-1',
      state: 'idle',
      since: '2026-01-01T00:00:00Z',
      subscriptions: [
        { name: 'ifs', state: 'waiting', attempts: 3, messages: 0, updates: 0, shed: 0, last_error: e, ...over },
      ],
    });
    const inventory = new DeviceTable([{ id: 'dev-1', name: 'PE 1', match: [{ network: 'mgmt', target: 'pe1' }] }]);
    const of = (device: string, t = target()) =>
      findings({ collectors: { gnmi: { targets: [t] } } }, { device, inventory });

    it.each(['pe1', 'pe1.example', 'pe1.example:57400', '192.0.2.7', 'dev-1', 'PE 1'])(
      'that is down is found by %s',
      (d) => {
        const all = of(d);
        expect(all[0]).toEqual({
          at: 'target',
          severity: 'problem',
          cause: expect.stringMatching(
            /pe1 .*ifs is down since 2026-01-01T00:00:00Z: target-credentials: .*UNAUTHENTICATED: no/,
          ),
          fix: 'correct it',
          count: 3,
          last: 'then',
        });
        expect(all.map((f) => f.severity)).not.toContain('ok');
      },
    );

    it('is nothing to somebody who asks for another device', () => {
      expect(of('192.0.2.99').filter((f) => f.at === 'target')).toEqual([]);
    });

    it('that is up is no problem, and what it complained of is a note', () => {
      expect(of('pe1', target({ state: 'synced', last_error: undefined })).map((f) => f.severity)).toEqual(['ok']);
      expect(of('pe1', target({ state: 'synced' }))[0]).toMatchObject({ severity: 'note', at: 'target' });
    });

    it('whose first attempt runs is said', () => {
      expect(of('pe1', target({ state: 'connecting', last_error: undefined }))[0]).toMatchObject({
        severity: 'note',
        cause: expect.stringMatching(/connecting/),
      });
    });
  });

  it('says that keys of users are being made after a change', () => {
    const waiting = (pending: number, without: number) =>
      findings({}, { userKeys: { users: 9, pending, without, starting: false } }).filter((f) => f.at === 'access');
    expect(waiting(0, 0)).toEqual([]);
    expect(waiting(3, 0)[0]).toMatchObject({ severity: 'note', cause: expect.stringContaining('3 of 9') });
    expect(waiting(3, 2)[0]).toMatchObject({ severity: 'problem', cause: expect.stringContaining('2 of them') });
  });

  it('names engines of the device that are only heard because their timeliness is not strict', () => {
    const engine = '800000090300aabbccddee';
    const tolerated = [
      {
        engine_id: engine,
        source: '192.0.2.1',
        user: 'noc',
        timeliness: 'off',
        count: 7,
        last: '2026-01-02T03:04:05.000Z',
      },
    ];
    const worker = { collectors: { snmp_trap: { v3: { tolerated } } } };
    const inventory = new DeviceTable([{ id: 'r7', name: 'Router 7', match: [{ engine_id: engine }] }]);
    const notes = (device: string) =>
      findings(worker, { device, inventory }).filter((f) => f.cause.includes('timeliness is off'));
    for (const device of ['192.0.2.1', 'r7', 'Router 7', engine])
      expect(notes(device)[0]).toMatchObject({ at: 'access', severity: 'note', count: 7, last: tolerated[0].last });
    expect(notes('192.0.2.2')).toEqual([]);
  });

  describe('losses', () => {
    const kernel = 'collector="snmp_trap",reason="kernel"';
    const at = (wall: number, ...readings: [number, number][]) => {
      const losses = new RecentLosses();
      for (const [when, value] of readings) losses.reading(when, [['tidegate_lost_events_total', kernel, value]]);
      return findings({}, { losses: losses.list(wall), nowMs: wall }).filter((f) => f.at === 'kernel');
    };
    const MINUTE = 60_000;

    it('of the last minutes are a problem, and only those count', () => {
      expect(at(9 * MINUTE, [0, 0], [MINUTE, 40], [8 * MINUTE, 47])).toEqual([
        {
          at: 'kernel',
          severity: 'problem',
          cause: `the kernel dropped 7 datagrams because a socket's buffer was full in the last 5m, 47 since the start (${kernel})`,
          fix: expect.stringContaining('rmem_max'),
          count: 7,
          last: '1970-01-01T00:08:00.000Z',
        },
      ]);
    });

    it('of long ago are a note, and stand in nobody’s way', () => {
      const losses = new RecentLosses();
      losses.reading(0, [['tidegate_lost_events_total', kernel, 40]]);
      losses.reading(6 * MINUTE, [['tidegate_lost_events_total', kernel, 40]]);
      const all = findings({}, { losses: losses.list(6 * MINUTE) });
      expect(all.filter((f) => f.at === 'kernel')).toMatchObject([{ severity: 'note', count: 40 }]);
      expect(all.map((f) => f.severity)).toContain('ok');
    });

    it('that never were are not mentioned', () => {
      expect(at(MINUTE, [0, 0], [MINUTE, 0])).toEqual([]);
    });
  });
});
