/** Thousands of SNMPv3 users with passphrases: a node says that it is not ready until their keys are made, and from then on refuses none of them. */
import { createSocket, type Socket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { call } from '../../src/admin/client.ts';
import { type Credentials, v3 } from '../protocol/usm/sender.ts';
import { commandLine } from './proc.ts';
import { listening, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const USERS = 1500;
const ENGINE = Buffer.from('800000090300aabbccddee', 'hex');
const nodes: Tidegate[] = [];
let sockets: Socket[];

const who = (i: number, pass = `auth of u${i}`): Credentials => ({ name: `u${i}`, auth: 'md5', authPass: pass });
const configured = ({ name, auth, authPass }: Credentials) => ({
  name,
  auth: { protocol: auth, passphrase: authPass },
});
const users = Array.from({ length: USERS }, (_, i) => who(i));
const config = (list: Credentials[]) => ({
  workers: 2,
  admin: { listen: '127.0.0.1:0' },
  // A busy machine is not what this is about.
  lb: { rise: '200ms', lease: { timeout: '10s' } },
  collectors: {
    snmp_trap: {
      listen: ['127.0.0.1:0'],
      users: list.map(configured),
      new_engines: { per_source: 100_000, total: 100_000 },
    },
  },
  export: { stdout: { enabled: true } },
});

beforeAll(async () => {
  // From several addresses: both workers are asked.
  sockets = await Promise.all(
    [1, 2, 3, 4, 5, 6, 7, 8].map(
      (n) =>
        new Promise<Socket>((done) => {
          const s = createSocket('udp4');
          s.bind(0, `127.0.0.${n}`, () => done(s));
        }),
    ),
  );
});
afterEach(() => Promise.all(nodes.splice(0).map((t) => t.close())));
afterAll(() => {
  for (const s of sockets) s.close();
});

async function get(t: Tidegate, path: string): Promise<{ code: number; text: string }> {
  const { admin } = t.ready as unknown as { admin: string };
  const r = await fetch(`http://${admin}${path}`);
  return { code: r.status, text: await r.text() };
}

/** By metric's name and a part of its labels: the sum. */
async function metric(t: Tidegate, pattern: RegExp): Promise<number> {
  let sum = 0;
  for (const l of (await get(t, '/metrics')).text.split('\n')) if (pattern.test(l)) sum += Number(l.split(' ').at(-1));
  return sum;
}
const refused = (t: Tidegate) => metric(t, /^tidegate_refused_total\{.*collector="snmp_trap"/);
const accepted = (t: Tidegate) => metric(t, /^tidegate_events_total\{type="snmp\.trap\.v1"/);

async function send(t: Tidegate, list: Credentials[], time: number): Promise<void> {
  const port = Number(listening(t, 'snmp_trap')[0].split(':').at(-1));
  for (const [i, c] of list.entries()) {
    const data = v3(c, { level: 'authNoPriv', engineId: ENGINE, boots: 1, time, pdu: 'trap', requestId: i });
    await new Promise<void>((done, fail) =>
      sockets[i % sockets.length].send(data, port, '127.0.0.1', (e) => (e ? fail(e) : done())),
    );
  }
}

it('is not ready before all have keys, refuses none then, and keeps those it has over a change and over the death of a worker', async () => {
  // On one core: making the keys takes longer than the start of the workers, on a fast machine, too.
  const t = await Tidegate.start({ config: config(users), wrap: ['taskset', '-c', '0'] });
  nodes.push(t);
  const early = await waitFor(async () => {
    const said = await get(t, '/readyz?verbose');
    return /SNMPv3: the keys of \d+ of 1500 users are not made yet/.test(said.text) ? said : undefined;
  }, 'the node to say that keys are missing');
  expect(early.code).toBe(503);
  expect((await get(t, '/vipz')).code).toBe(503);
  // Not by the command line, which takes as long as many keys.
  const api = (path: string) => call(join(t.dataDir, 'admin.sock'), 'GET', `/api/v1/${path}`);
  expect(await api('status')).toMatchObject({ user_keys: { users: USERS, starting: true } });
  expect(JSON.stringify(await api('explain?device=127.0.0.1'))).toMatch(/keys of \d+ of 1500 users[^}]*master_key/);
  await waitFor(async () => (await get(t, '/vipz')).code === 200, 'the node to be full');
  await send(t, users, 100);
  await waitFor(async () => (await accepted(t)) + (await refused(t)) === USERS, 'all traps to be judged');
  expect(await refused(t)).toBe(0);

  // Keys are nowhere but in the processes that need them: no passphrase reaches a worker, and nobody is shown one.
  for (const verb of [
    ['status', '-o', 'json'],
    ['config', 'print'],
  ])
    expect((await t.cli(verb)).stdout).not.toContain('auth of u');
  expect(JSON.stringify(t.logs)).not.toContain('auth of u');

  // A worker that dies is given the keys by who made them.
  const workers = t.children(/worker-main/);
  expect(workers).toHaveLength(2);
  for (const pid of workers) process.kill(pid, 'SIGKILL');
  await waitFor(
    () => t.children(/worker-main/).filter((p) => !workers.includes(p) && commandLine(p) !== '').length === 2,
    'the workers to be started again',
  );
  await waitFor(async () => (await get(t, '/vipz')).code === 200, 'the node to be full again');
  await send(t, users.slice(0, 500), 101);
  await waitFor(async () => (await accepted(t)) + (await refused(t)) === USERS + 500, 'the next traps to be judged');
  expect(await refused(t)).toBe(0);
  expect(t.logs.filter((l) => l.code === 'user-keys-pending')).toEqual([]);
}, 300_000);

it('takes over new users by a reload, and was never worse than full meanwhile', async () => {
  const t = await Tidegate.start({ config: config(users.slice(0, 40)) });
  nodes.push(t);
  await waitFor(async () => (await get(t, '/vipz')).code === 200, 'the node to be full');
  const more = [...users.slice(1, 1000), who(0, 'another passphrase')];
  const text = readFileSync(t.configFile, 'utf8');
  writeFileSync(t.configFile, `${text.slice(0, text.indexOf('\n') + 1)}${stringify(config(more))}`);
  t.signal('SIGHUP');
  await t.waitLog((l) => l.msg === 'configuration reloaded', 'the reload');
  // All the while those that were there are heard.
  await send(t, users.slice(1, 40), 100);
  await waitFor(
    async () =>
      (await metric(t, /^tidegate_usm_users_pending/)) === 0 && (await metric(t, /^tidegate_worker_up/)) === 2,
    'the new keys',
  );
  await send(t, more, 200);
  await waitFor(async () => (await accepted(t)) + (await refused(t)) === 39 + 1000, 'all to be judged');
  expect(await refused(t)).toBe(0);
  expect(t.logs.filter((l) => l.msg === 'grade').map((l) => l.to)).toEqual(['full']);
}, 300_000);
