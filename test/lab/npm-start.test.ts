/**
 * `npm start` as README.md says it: with nothing configured it shows where it listens and how to send the first trap, and a SIGTERM to npm, as
 * a service manager or a container sends it, ends everything in order.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { Lab, type Namespace } from './netns.ts';
import { labAvailable, labBin, REPO } from './peers.ts';
import { commandLine, descendants, exec, Proc } from './proc.ts';
import type { LogLine, PrintedEvent } from './tidegate.ts';
import { waitFor } from './wait.ts';

const TITLE = /^npm (start|run)/;

/** Ends npm, which `above` is or has started, and waits until nothing that was below it is left. */
async function endNpm(above: Proc): Promise<void> {
  const below = descendants(above.pid);
  expect(below.filter((pid) => /(worker|speaker)-main/.test(commandLine(pid))).length).toBeGreaterThanOrEqual(2);
  const npm = TITLE.test(commandLine(above.pid)) ? above.pid : below.find((pid) => TITLE.test(commandLine(pid)));
  const left = (pid: number) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(state(pid));
  try {
    process.kill(npm!, 'SIGTERM');
    expect(await waitFor(() => above.exit, 'npm to end after SIGTERM')).toEqual({ code: 0, signal: null });
    await waitFor(() => below.filter(left).length === 0, 'everything below npm to be gone');
  } finally {
    for (const pid of below.filter(left)) process.kill(pid, 'SIGKILL');
  }
}

function state(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return 'State: Z';
  }
}

describe.skipIf(!labAvailable('ip', 'snmptrap'))('npm start', () => {
  let lab: Lab;
  let ns: Namespace;
  /** A checkout of its own, so that its ./data is nobody else's. */
  let checkout: string;

  beforeAll(() => {
    lab = new Lab();
    ns = lab.namespace('npm');
    checkout = join(lab.dir, 'checkout');
    mkdirSync(checkout);
    copyFileSync(join(REPO, 'package.json'), join(checkout, 'package.json'));
    for (const name of ['src', 'config', 'native', 'node_modules']) symlinkSync(join(REPO, name), join(checkout, name));
  });
  afterAll(() => lab.close());

  it('with nothing configured: says where it listens, its first commands work as printed, SIGTERM to npm ends it', async () => {
    const terminal = ns.spawn(['script', '-qec', 'npm start', '/dev/null'], { cwd: checkout });
    const plain = () => terminal.out.map((l) => l.replaceAll('\r', ''));
    const printed = (pattern: RegExp) => waitFor(() => plain().find((l) => pattern.test(l)), String(pattern));
    await printed(/built-in configuration/);
    for (const where of [/snmp_trap +127\.0\.0\.1:1162\/udp/, /bmp +127\.0\.0\.1:11019\/tcp/, /bgp +127\.0\.0\.1:1179/])
      await printed(where);
    const sh = (line: string) => exec([...ns.prefix, 'sh', '-c', line], { cwd: checkout });
    await sh((await printed(/^ +snmptrap /)).replace('snmptrap', labBin('snmptrap')));
    await printed(/snmp\.trap +127\.0\.0\.1 .*linkDown.*v2c trap from 127\.0\.0\.1.*ifIndex\S*=7/);
    await sh(await printed(/^ +npm run -s tidegate -- send trap/));
    await waitFor(
      () => plain().filter((l) => l.includes(' snmp.trap ')).length === 2,
      'the second trap on the terminal',
    );
    expect((await sh(await printed(/^ +npm run -s tidegate -- status/))).stdout).toMatch(/^ready$/m);
    await endNpm(terminal);
  });

  it('SIGTERM to npm ends each script that runs an instance, and the next starts on the same data', async () => {
    const file = join(lab.dir, 'tidegate.yaml');
    const loopback = '127.0.0.1:0';
    writeFileSync(
      file,
      stringify({
        data_dir: join(lab.dir, 'data'),
        admin: { listen: loopback, speaker_listen: loopback },
        collectors: { snmp_trap: { listen: [loopback], communities: [{ name: 'public' }] } },
      }),
    );
    for (const [round, script] of [
      ['start', '--'],
      ['run', 'tidegate', '--', 'run'],
    ].entries()) {
      const logs: LogLine[] = [];
      const events: PrintedEvent[] = [];
      const keep =
        <T>(list: T[]) =>
        (line: string) => {
          if (line.startsWith('{')) list.push(JSON.parse(line) as T);
        };
      const npm = lab.own(
        new Proc(['npm', ...script, '-c', file], {
          cwd: checkout,
          onStdout: keep(events),
          onStderr: keep(logs),
        }),
      );
      const ready = await waitFor(() => logs.find((l) => l.msg === 'ready'), 'tidegate to be ready');
      const to = (ready.listening as { address: string }[])[0].address;
      const trap = ['-v2c', '-c', 'public', to, String(round), '1.3.6.1.6.3.1.1.5.3'];
      await exec([labBin('snmptrap'), ...trap, '1.3.6.1.2.1.2.2.1.1.7', 'i', '7'], { env: { MIBS: '' } });
      const seen = () => events.filter((e) => e.type === 'snmp.trap.v1').map((e) => e.data.uptime_ticks);
      await waitFor(() => seen().length > 0, 'the event on stdout');
      await endNpm(npm);
      expect(seen()).toEqual([round]);
      expect(logs.at(-1)).toMatchObject({ msg: 'stopped', clean: true });
    }
  });
});
