/** The packed npm package, installed where no checkout is: it ships compiled JavaScript and runs. Needs the npm registry. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { validateEvent } from '../schema.ts';
import { labAvailable, labBin, REPO } from './peers.ts';
import { exec } from './proc.ts';
import { Tidegate } from './tidegate.ts';

describe.skipIf(!labAvailable('snmptrap'))('npm package', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tidegate-package-'));
  const home = join(dir, 'home');
  const installed = join(home, 'node_modules/tidegate');
  const command = [join(home, 'node_modules/.bin/node'), join(home, 'node_modules/.bin/tidegate')];
  let tarball = '';

  beforeAll(async () => {
    await exec(['npm', 'pack', '--pack-destination', dir], { cwd: REPO, ceiling: 240_000 });
    tarball = readdirSync(dir).find((f) => f.endsWith('.tgz'))!;
    await exec(['mkdir', '-p', home]);
    writeFileSync(join(home, 'package.json'), '{"name": "home", "private": true}\n');
    await exec(['npm', 'install', '--no-audit', '--no-fund', join(dir, tarball)], { cwd: home, ceiling: 280_000 });
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('has what it needs to run and no sources', async () => {
    const listed = (await exec(['tar', '-tzf', join(dir, tarball)])).stdout
      .split('\n')
      .map((f) => f.replace(/^package\//, ''));
    for (const file of ['dist/main.js', 'config/schemas/common.json', 'native/module.c', 'LICENSE', 'README.md'])
      expect(listed).toContain(file);
    expect(listed.filter((f) => f.endsWith('.ts') || f.startsWith('test/') || f.startsWith('src/'))).toEqual([]);
    expect(existsSync(join(installed, 'dist/tidegate.js'))).toBe(true);
  });

  it('says its version', async () => {
    const done = await exec([...command, 'version', '-o', 'json'], { cwd: home });
    expect(JSON.parse(done.stdout)).toMatchObject({ version: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  });

  it('receives a trap', async () => {
    const t = await Tidegate.start({
      command,
      config: {
        collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } },
        export: { stdout: { enabled: true } },
        admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
      },
    });
    try {
      const port = /127\.0\.0\.1:(\d+)/.exec(
        JSON.stringify((t.ready as { listening?: unknown }).listening ?? t.ready),
      )?.[1];
      expect(port, JSON.stringify(t.ready)).toBeDefined();
      const trap = ['-v', '2c', '-c', 'public', `127.0.0.1:${port}`, '4711', '1.3.6.1.6.3.1.1.5.3'];
      await exec([labBin('snmptrap'), ...trap, '1.3.6.1.2.1.2.2.1.1', 'i', '7'], { env: { MIBS: '' } });
      const [event] = await t.waitEvents((e) => e.type === 'snmp.trap.v1', 1);
      expect(validateEvent(event).data).toMatchObject({ version: 'v2c', pdu: 'trap', trap_oid: '1.3.6.1.6.3.1.1.5.3' });
      expect(await t.sigterm()).toEqual({ code: 0, signal: null });
    } finally {
      await t.close();
    }
  });
});
