/** A worker that cannot open its part of the spool: loudly said everywhere an operator looks, tried again, and well once the cause is gone. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { freePort, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const dir = mkdtempSync(join(tmpdir(), 'worker-open-'));
let t: Tidegate | undefined;
afterAll(async () => {
  await t?.close();
  rmSync(dir, { recursive: true, force: true });
});

it('log, readyz, status and explain name what keeps a worker from running; it runs when that is gone', async () => {
  // Not even root can make a folder where a file is.
  const obstacle = join(dir, 'data/spool/1/0/alarm');
  mkdirSync(join(dir, 'data/spool/1/0'), { recursive: true });
  writeFileSync(join(dir, 'data/spool/1/meta.json'), '{"version":1,"workers":1}\n');
  writeFileSync(obstacle, '');
  const port = await freePort();
  t = await Tidegate.start({
    dir,
    noWait: true,
    config: {
      workers: 1,
      collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } },
      admin: { listen: `127.0.0.1:${port}`, speaker_listen: '127.0.0.1:0' },
    },
  });
  const line = await t.waitLog(
    (l) => /a worker cannot run/.test(l.msg ?? '') && Number(l.times) >= 3,
    'the third time',
  );
  expect(line).toMatchObject({ level: 'error', worker: 0, error: expect.stringContaining('alarm') });
  expect(line.fix).toBeTruthy();
  const ready = await fetch(`http://127.0.0.1:${port}/readyz?verbose`);
  expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('worker 0 cannot run: ')]);
  const status = await t.status<{ ready: string[] }>();
  expect(status.ready).toEqual([expect.stringMatching(/^worker 0 cannot run: .*alarm.*\(tried \d+ times\)$/)]);
  const explained = await t.json<{ findings: { severity: string; cause: string; fix?: string }[] }>([
    'explain',
    '192.0.2.1',
  ]);
  const finding = explained.findings.find((f) => f.cause.startsWith('worker 0 cannot run'));
  expect(finding).toMatchObject({ severity: 'problem', fix: expect.stringMatching(/./) });
  rmSync(obstacle);
  await t.waitReady();
  await waitFor(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200, 'readiness');
  expect(await t.sigterm()).toMatchObject({ code: 0 });
});
