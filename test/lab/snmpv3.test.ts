/**
 * SNMPv3 with Net-SNMP's own tools: every authentication × privacy its build offers, traps and informs, IPv4 and IPv6; and its
 * snmptrapd as oracle: the same datagrams, the same varbinds.
 */
import { createSocket, type Socket } from 'node:dgram';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { validateEvent } from '../schema.ts';
import { labAvailable, labBin } from './peers.ts';
import { exec, Proc } from './proc.ts';
import { listening, type PrintedEvent, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

/** What is used of the package, which has no types. */
interface NodeSnmp {
  createV3Session(target: string, user: object, options: object): NodeSession;
  SecurityLevel: Record<string, number>;
  AuthProtocols: Record<string, number>;
  PrivProtocols: Record<string, number>;
  ObjectType: Record<string, number>;
}
interface NodeSession {
  trap(oid: string, varbinds: object[], options: object, done: (error: Error | null) => void): void;
  inform(oid: string, varbinds: object[], options: object, done: (error: Error | null) => void): void;
  close(): void;
}
const snmp = createRequire(import.meta.url)('net-snmp') as NodeSnmp;

const OWN = '80001f880474696465676174652d6c6162';
const EPOCH = '2026-01-01T00:00:00Z';

/** Our names and Net-SNMP's. */
const AUTH = { md5: 'MD5', sha1: 'SHA', sha224: 'SHA-224', sha256: 'SHA-256', sha384: 'SHA-384', sha512: 'SHA-512' };
const PRIV = {
  des: 'DES',
  aes128: 'AES',
  aes192: 'AES-192',
  aes256: 'AES-256',
  aes192c: 'AES-192-C',
  aes256c: 'AES-256-C',
};

interface LabUser {
  name: string;
  level: 'noAuthNoPriv' | 'authNoPriv' | 'authPriv';
  auth?: keyof typeof AUTH;
  priv?: keyof typeof PRIV;
}

const auths = Object.keys(AUTH) as (keyof typeof AUTH)[];
const privs = Object.keys(PRIV) as (keyof typeof PRIV)[];
const USERS: LabUser[] = [
  { name: 'plain', level: 'noAuthNoPriv' },
  ...auths.map((auth): LabUser => ({ name: `u-${auth}`, level: 'authNoPriv', auth })),
  ...auths.flatMap((auth) =>
    privs.map((priv): LabUser => ({ name: `u-${auth}-${priv}`, level: 'authPriv', auth, priv })),
  ),
];

/** Whose datagrams snmptrapd has too: without authentication, with it alone, and each privacy and each authentication once together. */
const ORACLE_USERS = [
  ...USERS.slice(0, 3),
  ...privs.map((p, i) => USERS.find((u) => u.name === `u-${auths[i]}-${p}`)!),
];

const passOf = (u: LabUser, part: string): string => `${part} of ${u.name}`;
const configOf = (u: LabUser) => ({
  name: u.name,
  ...(u.auth && { auth: { protocol: u.auth, passphrase: passOf(u, 'auth') } }),
  ...(u.priv && { priv: { protocol: u.priv, passphrase: passOf(u, 'priv') } }),
});
const options = (u: LabUser): string[] => [
  ...['-v', '3', '-u', u.name, '-l', u.level],
  ...(u.auth ? ['-a', AUTH[u.auth], '-A', passOf(u, 'auth')] : []),
  ...(u.priv ? ['-x', PRIV[u.priv], '-X', passOf(u, 'priv')] : []),
];
/** An engine for each user and family. */
const engineOf = (u: LabUser, v6: boolean): string =>
  `80001f8804${Buffer.from(`${v6 ? '6' : '4'}.${u.name}`).toString('hex')}`;

/** net-snmp's engines have another clock than snmptrap's: other ids. */
const nodeEngineOf = (u: LabUser): string => `80001f8804${Buffer.from(`n.${u.name}`).toString('hex')}`;

/** Runs jobs, some at a time. */
async function pool<T>(jobs: (() => Promise<T>)[], width = 6): Promise<T[]> {
  const out: T[] = [];
  let next = 0;
  const run = async (): Promise<void> => {
    for (let i = next++; i < jobs.length; i = next++) out[i] = await jobs[i]();
  };
  await Promise.all(Array.from({ length: width }, run));
  return out;
}

describe.skipIf(!labAvailable('snmptrap', 'snmpinform', 'snmptrapd'))('SNMPv3', () => {
  let t: Tidegate;
  let v4: string;
  let v6: string;
  let home: string;

  const config = (users: object[]) => ({
    collectors: {
      snmp_trap: {
        listen: ['127.0.0.1:0', '[::1]:0'],
        engine: { id: `0x${OWN}`, boots: 7, epoch: EPOCH },
        users,
      },
    },
    workers: 1,
    export: { stdout: { enabled: true } },
  });

  let calls = 0;
  /** Each with a folder of its own: the tools keep their engine id in a file, and do not share it well. */
  const tool = (name: 'snmptrap' | 'snmpinform', args: string[]) => {
    const own = join(home, String(++calls));
    mkdirSync(own);
    return exec([labBin(name), '-m', '', '-M', '/nonexistent', ...args], {
      allowFailure: true,
      env: { ...process.env, SNMP_PERSISTENT_DIR: own, HOME: own },
    });
  };
  const notification = (value: number): string[] => [
    '99',
    '1.3.6.1.6.3.1.1.5.3',
    '1.3.6.1.2.1.2.2.1.1.7',
    'i',
    `${value}`,
  ];
  const traps = (fits: (e: PrintedEvent) => boolean) => (e: PrintedEvent) => e.type === 'snmp.trap.v1' && fits(e);
  const user = (e: PrintedEvent) => (e.data.security as { user?: string }).user;

  async function refused(): Promise<Record<string, number>> {
    const text = await metrics();
    const out: Record<string, number> = {};
    for (const m of text.matchAll(/^tidegate_refused_total\{code="([^"]+)",collector="snmp_trap"\} (\d+)/gm))
      if (m[2] !== '0') out[m[1]] = Number(m[2]);
    return out;
  }
  async function metrics(): Promise<string> {
    const { admin } = t.ready as unknown as { admin: string };
    return (await fetch(`http://${admin}/metrics`)).text();
  }

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'snmpv3-'));
    t = await Tidegate.start({ config: { ...config(USERS.map(configOf)), admin: { listen: '127.0.0.1:0' } } });
    [v4, v6] = listening(t, 'snmp_trap');
  });

  afterAll(async () => {
    await t?.close();
    rmSync(home, { recursive: true, force: true });
  });

  it('every authentication × privacy: traps over IPv4 and IPv6', async () => {
    const jobs = USERS.flatMap((u, i) =>
      [false, true].map(
        (six) => () =>
          tool('snmptrap', [
            ...options(u),
            ...['-e', `0x${engineOf(u, six)}`, '-n', `ctx-${i}`, six ? `udp6:${v6}` : v4],
            ...notification(i),
          ]),
      ),
    );
    expect((await pool(jobs)).filter((r) => r.code !== 0)).toEqual([]);
    const events = await t.waitEvents(
      traps((e) => e.data.pdu === 'trap'),
      2 * USERS.length,
    );
    expect(events).toHaveLength(2 * USERS.length);
    for (const [i, u] of USERS.entries()) {
      const own = events.filter((e) => user(e) === u.name);
      expect(own.map((e) => e.data.engine_id).sort()).toEqual([engineOf(u, false), engineOf(u, true)].sort());
      for (const e of own) {
        validateEvent(e);
        expect(e.data).toMatchObject({
          version: 'v3',
          pdu: 'trap',
          security: { user: u.name, level: u.level },
          context: `ctx-${i}`,
          trap_oid: '1.3.6.1.6.3.1.1.5.3',
          uptime_ticks: 99,
          varbinds: [{ oid: '1.3.6.1.2.1.2.2.1.1.7', type: 'integer32', value: i }],
        });
      }
      expect(own.map((e) => (e.data.source as { address: string }).address).sort()).toEqual(['127.0.0.1', '::1']);
    }
  });

  it('every authentication × privacy: informs over IPv4 and IPv6, each answered', async () => {
    const jobs = USERS.flatMap((u, i) =>
      [false, true].map(
        (six) => () =>
          tool('snmpinform', [
            ...options(u),
            ...['-r', '3', '-t', '10', '-n', `ctx-${i}`, six ? `udp6:${v6}` : v4],
            ...notification(i),
          ]),
      ),
    );
    // 0: it had its Response, authentic and decipherable.
    const results = await pool(jobs);
    expect(results.flatMap((r, i) => (r.code === 0 ? [] : [[USERS[i >> 1].name, r.stderr]]))).toEqual([]);
    const events = t.events.filter(traps((e) => e.data.pdu === 'inform'));
    expect(events).toHaveLength(2 * USERS.length);
    for (const [i, u] of USERS.entries()) {
      const own = events.filter((e) => user(e) === u.name);
      expect(own).toHaveLength(2);
      for (const e of own)
        expect(e.data).toMatchObject({
          version: 'v3',
          pdu: 'inform',
          security: { user: u.name, level: u.level },
          context: `ctx-${i}`,
          varbinds: [{ oid: '1.3.6.1.2.1.2.2.1.1.7', type: 'integer32', value: i }],
        });
    }
    // Each asked once who we are and was told the time with it; nothing else was refused, of the traps either.
    await waitFor(async () => (await refused())['engine-discovery'] === 2 * USERS.length, 'the count of discoveries');
    expect(await refused()).toEqual({ 'engine-discovery': 2 * USERS.length });
  });

  it('a second sender, net-snmp for Node: traps and informs', async () => {
    // What it has: no AES-192, and no DES without a provider that OpenSSL 3 does not load.
    const own = USERS.filter((u) => u.priv === undefined || ['aes128', 'aes256', 'aes256c'].includes(u.priv));
    const protocols = { aes128: 'aes', aes256: 'aes256b', aes256c: 'aes256r' } as const;
    const port = Number(v4.split(':')[1]);
    const outcome = await pool(
      own.map((u, i) => async () => {
        const session = snmp.createV3Session(
          '127.0.0.1',
          {
            name: u.name,
            level: snmp.SecurityLevel[u.level],
            ...(u.auth && {
              authProtocol: snmp.AuthProtocols[u.auth === 'sha1' ? 'sha' : u.auth],
              authKey: passOf(u, 'auth'),
            }),
            ...(u.priv && {
              privProtocol: snmp.PrivProtocols[protocols[u.priv as keyof typeof protocols]],
              privKey: passOf(u, 'priv'),
            }),
          },
          { trapPort: port, port, timeout: 5000, retries: 1, context: 'node', engineID: nodeEngineOf(u) },
        );
        const varbinds = [{ oid: '1.3.6.1.2.1.2.2.1.1.7', type: snmp.ObjectType.Integer, value: i }];
        const send = (what: 'trap' | 'inform'): Promise<string> =>
          new Promise((done) => {
            session[what]('1.3.6.1.6.3.1.1.5.4', varbinds, { context: 'node' }, (error) =>
              done(error ? `${u.name} ${what}: ${error}` : ''),
            );
          });
        const errors = [await send('trap'), await send('inform')];
        session.close();
        return errors.join('');
      }),
    );
    expect(outcome.filter((e) => e !== '')).toEqual([]);
    const events = await t.waitEvents(
      traps((e) => e.data.context === 'node'),
      2 * own.length,
    );
    for (const [i, u] of own.entries())
      for (const pdu of ['trap', 'inform'])
        expect(events.filter((e) => user(e) === u.name && e.data.pdu === pdu).map((e) => e.data)).toMatchObject([
          {
            version: 'v3',
            security: { user: u.name, level: u.level },
            trap_oid: '1.3.6.1.6.3.1.1.5.4',
            varbinds: [{ oid: '1.3.6.1.2.1.2.2.1.1.7', type: 'integer32', value: i }],
          },
        ]);
  });

  it('says what was wrong, and tells the sender', async () => {
    const u = USERS.find((x) => x.name === 'u-sha256-aes128')!;
    const inform = (...args: string[]) =>
      tool('snmpinform', ['-v', '3', '-r', '0', '-t', '10', ...args, v4, ...notification(1)]);
    const good = ['-a', 'SHA-256', '-A', passOf(u, 'auth'), '-x', 'AES', '-X', passOf(u, 'priv')];
    const wrong = await pool([
      () => inform('-u', 'nobody', '-l', 'authPriv', ...good),
      () => inform('-u', u.name, '-l', 'authPriv', ...good, '-A', 'another passphrase'),
      () => inform('-u', u.name, '-l', 'authPriv', ...good, '-X', 'another passphrase'),
      () => inform('-u', u.name, '-l', 'authNoPriv', ...good.slice(0, 4)),
      () => inform('-u', u.name, '-l', 'authPriv', ...good, '-t', '2', '-e', '0x80001f88040102030405'),
    ]);
    expect(wrong.map((r) => r.code)).toEqual([1, 1, 1, 1, 1]);
    expect(wrong[0].stderr).toContain('Unknown user name');
    expect(wrong[1].stderr).toContain('Authentication failure');
    expect(wrong[2].stderr).toContain('Decryption error');
    expect(wrong[3].stderr).toContain('Unsupported security level');
    await waitFor(async () => {
      const r = await refused();
      return r['unknown-user'] && r['wrong-digest'] && r['decryption-error'] && r['level-too-low'];
    }, 'the counts of what was refused');
    const explained = (await t.cli(['explain', '127.0.0.1', '-o', 'json'])).stdout;
    for (const code of ['unknown-user', 'wrong-digest', 'decryption-error', 'level-too-low'])
      expect(explained).toContain(code);
    expect(explained).not.toContain('passphrase of');
    for (const text of [explained, t.said(1000), (await t.cli(['config', 'print'])).stdout, JSON.stringify(t.events)])
      for (const secret of USERS) expect(text).not.toContain(passOf(secret, 'auth'));
  });

  it('users change while it runs', async () => {
    const u: LabUser = { name: 'late', level: 'authPriv', auth: 'sha512', priv: 'aes256' };
    const before = t.events.length;
    const send = () => tool('snmpinform', [...options(u), '-r', '1', '-t', '5', v4, ...notification(5)]);
    expect((await send()).code).toBe(1);
    writeFileSync(
      t.configFile,
      stringify({
        data_dir: t.dataDir,
        ...config([...ORACLE_USERS.map(configOf), configOf(u)]),
        admin: { listen: '127.0.0.1:0' },
      }),
    );
    t.signal('SIGHUP');
    await waitFor(async () => (await send()).code === 0, 'the new user to be known', { every: 300 });
    await t.waitEvents(
      traps((e) => user(e) === 'late'),
      1,
    );
    expect(t.events.length).toBeGreaterThan(before);
    const gone = USERS.find((x) => x.priv !== undefined && !ORACLE_USERS.includes(x))!;
    expect(
      (await tool('snmpinform', [...options(gone), '-r', '0', '-t', '5', v4, ...notification(5)])).stderr,
    ).toContain('Unknown user name');
  });

  describe('beside snmptrapd', () => {
    const values: [string, string, string, string, unknown][] = [
      ['1.3.6.1.4.1.99999.1.1', 'i', '-5', 'INTEGER: -5', -5],
      ['1.3.6.1.4.1.99999.1.2', 'u', '4000000000', 'Gauge32: 4000000000', 4_000_000_000],
      ['1.3.6.1.4.1.99999.1.3', 'c', '77', 'Counter32: 77', 77],
      ['1.3.6.1.4.1.99999.1.4', 'C', '18446744073709551615', 'Counter64: 18446744073709551615', '18446744073709551615'],
      ['1.3.6.1.4.1.99999.1.5', 't', '123456', 'Timeticks: (123456) 0:20:34.56', 123_456],
      ['1.3.6.1.4.1.99999.1.6', 'a', '192.0.2.33', 'IpAddress: 192.0.2.33', '192.0.2.33'],
      [
        '1.3.6.1.4.1.99999.1.7',
        'o',
        '1.3.6.1.4.1.4294967295.128',
        'OID: .1.3.6.1.4.1.4294967295.128',
        '1.3.6.1.4.1.4294967295.128',
      ],
      ['1.3.6.1.4.1.99999.1.8', 's', 'a text', 'STRING: "a text"', 'a text'],
      ['1.3.6.1.4.1.99999.1.9', 'x', '00ff800a', 'Hex-STRING: 00 FF 80 0A', '0x00ff800a'],
    ];
    let oracle: Proc;
    const said: string[] = [];
    let relay: Socket;
    let port = 0;

    beforeAll(async () => {
      const conf = join(home, 'snmptrapd.conf');
      writeFileSync(
        conf,
        [
          ...ORACLE_USERS.map((u) =>
            [
              `createUser -e 0x${engineOf(u, false)} ${u.name}`,
              ...(u.auth ? [`${AUTH[u.auth]} "${passOf(u, 'auth')}"`] : []),
              ...(u.priv ? [`${PRIV[u.priv]} "${passOf(u, 'priv')}"`] : []),
            ].join(' '),
          ),
          'disableAuthorization yes',
          'outputOption n',
          'format2 EVENT %v\\n',
        ].join('\n'),
      );
      relay = createSocket('udp4');
      await new Promise<void>((done) => relay.bind(0, '127.0.0.1', done));
      const free = createSocket('udp4');
      await new Promise<void>((done) => free.bind(0, '127.0.0.1', done));
      const oraclePort = free.address().port;
      await new Promise<void>((done) => free.close(() => done()));
      oracle = new Proc(
        [
          labBin('snmptrapd'),
          '-f',
          '-Lo',
          '-On',
          '-m',
          '',
          '-M',
          '/nonexistent',
          '-C',
          '-c',
          conf,
          `udp:127.0.0.1:${oraclePort}`,
        ],
        {
          env: { ...process.env, SNMP_PERSISTENT_DIR: join(home, 'oracle'), HOME: home },
          onStdout: (line) => said.push(line),
        },
      );
      await waitFor(() => said.some((l) => l.includes('NET-SNMP version')), 'snmptrapd to be up');
      port = relay.address().port;
      const to = Number(v4.split(':')[1]);
      relay.on('message', (data) => {
        relay.send(data, to, '127.0.0.1');
        relay.send(data, oraclePort, '127.0.0.1');
      });
    });

    afterAll(async () => {
      relay?.close();
      await oracle?.stop();
    });

    it('the same datagram, in clear or encrypted in each way, has the same varbinds', async () => {
      for (const [i, u] of ORACLE_USERS.entries()) {
        const args = values.flatMap((v) => v.slice(0, 3) as string[]);
        const done = await tool('snmptrap', [
          ...options(u),
          ...[
            '-e',
            `0x${engineOf(u, false)}`,
            '-n',
            'oracle',
            `127.0.0.1:${port}`,
            '4711',
            `1.3.6.1.4.1.99999.0.${i + 1}`,
          ],
          ...args,
        ]);
        expect(done.code).toBe(0);
      }
      const events = await t.waitEvents(
        traps((e) => e.data.context === 'oracle'),
        ORACLE_USERS.length,
      );
      expect(events.map((e) => e.data.security)).toEqual(
        ORACLE_USERS.map(({ name, level }) => ({ user: name, level })),
      );
      await waitFor(
        () => said.filter((l) => l.startsWith('EVENT')).length === ORACLE_USERS.length,
        'snmptrapd to print them',
      );
      const lines = said.filter((l) => l.startsWith('EVENT'));
      for (const [i, e] of events.entries()) {
        const printed = lines[i]
          .slice('EVENT '.length)
          .split('\t')
          .map((v) => v.trim());
        expect(printed).toEqual([
          '.1.3.6.1.2.1.1.3.0 = Timeticks: (4711) 0:00:47.11',
          `.1.3.6.1.6.3.1.1.4.1.0 = OID: .1.3.6.1.4.1.99999.0.${i + 1}`,
          ...values.map(([oid, , , shown]) => `.${oid} = ${shown}`),
        ]);
        expect(e.data).toMatchObject({ uptime_ticks: 4711, trap_oid: `1.3.6.1.4.1.99999.0.${i + 1}` });
        expect((e.data.varbinds as { oid: string; value: unknown }[]).map((v) => [v.oid, v.value])).toEqual(
          values.map(([oid, , , , value]) => [oid, value]),
        );
      }
    });
  });
});
