/** `tap`: whoever follows a running instance gets what the filter lets through, each event once and as it is in the spool, and nothing else. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../src/admin/client.ts';
import { sampleSession } from '../../src/codec/bmp/describe.ts';
import { validateEvent } from '../schema.ts';
import { labAvailable } from './peers.ts';
import { Proc } from './proc.ts';
import { markOf, portOf, SnmpLoad } from './snmp-load.ts';
import { type PrintedEvent, TIDEGATE, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

interface Tap {
  proc: Proc;
  events: PrintedEvent[];
}

describe.skipIf(!labAvailable('ip'))('tap', () => {
  let t: Tidegate;
  let load: SnmpLoad;
  const procs: Proc[] = [];

  beforeAll(async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tidegate-tap-'));
    writeFileSync(join(dir, 'devices.yaml'), '- {id: dev-2, name: Edge 2, match: [{address: 127.0.77.2}]}\n');
    t = await Tidegate.start({
      dir,
      config: {
        workers: 2,
        admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
        collectors: {
          snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] },
          bmp: { listen: ['127.0.0.1:0'] },
        },
        inventory: { file: 'devices.yaml' },
        export: { stdout: { enabled: false } },
      },
    });
    load = await SnmpLoad.open(portOf(t.ready, 'snmp_trap'), { sources: 4 });
  });
  afterAll(async () => {
    for (const p of procs) await p.stop();
    load?.close();
    await t?.close();
    if (t) rmSync(t.dir, { recursive: true, force: true });
  });

  function tap(...words: string[]): Tap {
    const events: PrintedEvent[] = [];
    const proc = new Proc([...TIDEGATE, 'tap', '-c', t.configFile, ...words], {
      onStdout: (line) => events.push(validateEvent(JSON.parse(line)) as unknown as PrintedEvent),
    });
    procs.push(proc);
    return { proc, events };
  }

  it('follows what is asked for: types, a prefix of types, a device by id, name and address, and all', async () => {
    const filters = {
      all: [],
      traps: ['--type', 'snmp.trap.v1'],
      bmp: ['--type', 'bmp.*'],
      peers: ['--type', 'bmp.peer.v1'],
      id: ['--device', 'dev-2'],
      name: ['--device', 'Edge 2'],
      address: ['--device', '127.0.77.2'],
      other: ['--device', '127.0.77.3'],
      both: ['--device', 'dev-2', '--type', 'bmp.*'],
      nobody: ['--device', 'dev-99'],
    };
    const taps = Object.fromEntries(Object.entries(filters).map(([name, words]) => [name, tap(...words)]));
    // A tap says nothing of itself: traps are sent until each that can see one has.
    const sees = ['all', 'traps', 'id', 'name', 'address', 'other'];
    await waitFor(
      async () => {
        await load.send('trap', 4);
        return sees.every((name) => taps[name].events.length > 0);
      },
      'the taps to follow',
      { every: 200 },
    );
    const router = () => connect(portOf(t.ready, 'bmp'), '127.0.0.1').end(sampleSession());
    await waitFor(
      () => {
        router();
        return ['bmp', 'peers'].every((name) => taps[name].events.length > 0);
      },
      'the taps of BMP to follow',
      { every: 500 },
    );
    const first = load.last + 1;
    await load.send('trap', 400);
    const marks = (name: string) =>
      taps[name].events.map((e) => markOf(e.data)).filter((n) => n !== undefined && n >= first);
    const wanted = (source?: string) =>
      [...load.traps].filter(([n, from]) => n >= first && (source === undefined || from === source)).map(([n]) => n);
    const complete = () =>
      ['all', 'traps'].every((name) => marks(name).length === 400) &&
      ['id', 'name', 'address', 'other'].every((name) => marks(name).length === 100);
    await waitFor(complete, 'all of it');
    const inOrder = (list: (number | undefined)[]) => [...list].sort((a, b) => a! - b!);

    expect(inOrder(marks('all'))).toEqual(wanted());
    expect(inOrder(marks('traps'))).toEqual(wanted());
    // A device is one worker’s, so its order is kept.
    for (const name of ['id', 'name', 'address']) expect(marks(name), name).toEqual(wanted('127.0.77.2'));
    expect(marks('other')).toEqual(wanted('127.0.77.3'));
    const types = (name: string) => new Set(taps[name].events.map((e) => e.type));
    expect(types('traps')).toEqual(new Set(['snmp.trap.v1']));
    expect(types('peers')).toEqual(new Set(['bmp.peer.v1']));
    expect([...types('bmp')].every((type) => type.startsWith('bmp.'))).toBe(true);
    expect(types('bmp')).toContain('bmp.update.v1');
    expect([taps.both.events, taps.nobody.events]).toEqual([[], []]);
    for (const { events } of Object.values(taps)) expect(new Set(events.map((e) => e.id)).size).toBe(events.length);
    // The same events as everybody else has them.
    const spooled = new Map((await t.spooled()).map((e) => [e.id, e]));
    for (const name of ['id', 'bmp']) for (const e of taps[name].events) expect(e).toEqual(spooled.get(e.id));
  });

  it('ends after so many, ends with the instance, and says what is wrong', async () => {
    const some = tap('--count', '3', '--type', 'snmp.*');
    const rest = tap();
    await waitFor(
      async () => {
        await load.send('trap', 4);
        return some.proc.exit && rest.events.length > 0;
      },
      'the end after three',
      { every: 200 },
    );
    expect([some.proc.exit, some.events.length]).toEqual([{ code: 0, signal: null }, 3]);
    // The socket of the running instance shows the configuration as `config print` does.
    const printed = JSON.parse((await t.cli(['config', 'print', '-o', 'json'])).stdout) as object;
    expect(await call(join(t.dataDir, 'admin.sock'), 'GET', '/api/v1/config')).toEqual(printed);
    expect((await t.sigterm()).code).toBe(0);
    expect(await waitFor(() => rest.proc.exit, 'the end with the instance')).toEqual({ code: 0, signal: null });
    const nobody = await t.cli(['tap']);
    expect([nobody.code, nobody.stdout]).toEqual([1, '']);
    expect(nobody.stderr).toMatch(/no instance listens on .*npm start/);
    expect((await t.cli(['tap', '--count', '0'])).code).toBe(64);
  });
});
