/**
 * tidegate → legacy receivers: Net-SNMP's snmptrapd that is stopped and started again, raw octets, SNMPv3, and relays that send to each other.
 * And the formats of files beside what snmptrapd itself prints of the same datagrams.
 */
import { createSocket, type Socket } from 'node:dgram';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildTrap } from '../../src/codec/snmp/describe.ts';
import { encodeMessage } from '../../src/codec/snmp/encode.ts';
import { SNMP_TRAP_OID, SYS_UP_TIME } from '../../src/codec/snmp/rfc3584.ts';
import { EVERY_TYPE } from '../event/projections/samples.ts';
import { Lab } from './netns.ts';
import { labAvailable, labBin } from './peers.ts';
import { Proc } from './proc.ts';
import { listening, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const NUMBER = '1.3.6.1.4.1.99999.7.1';
const RELAY_ENGINE = '80001f8804746964656761746531';

/** A UDP port of loopback that was free a moment ago. */
function freeUdpPort(): Promise<number> {
  return new Promise((resolve) => {
    const s = createSocket('udp4');
    s.bind(0, '127.0.0.1', () => {
      const { port } = s.address();
      s.close(() => resolve(port));
    });
  });
}

const open = (address: string): Promise<Socket> =>
  new Promise((resolve) => {
    const s = createSocket('udp4');
    s.bind(0, address, () => resolve(s));
  });

const trap = (n: number): Buffer =>
  buildTrap({
    version: 'v2c',
    community: 'public',
    trapOid: '1.3.6.1.6.3.1.1.5.3',
    uptime: n,
    requestId: n,
    varbinds: [{ oid: NUMBER, type: 'integer32', value: n }],
  });

describe.skipIf(!labAvailable('snmptrapd', 'snmptrap', 'ip'))('relay', () => {
  let dir: string;
  const procs: Proc[] = [];
  const nodes: Tidegate[] = [];
  const sockets: Socket[] = [];

  /** Everything one snmptrapd printed, in all its lives. */
  class Snmptrapd {
    readonly port: number;
    readonly lines: string[] = [];
    private readonly home: string;
    private proc: Proc | undefined;

    constructor(port: number) {
      this.port = port;
      this.home = join(dir, `snmptrapd-${port}`);
      mkdirSync(join(this.home, 'state'), { recursive: true });
      const users = ['createUser relay SHA-256 "auth-password" AES "priv-password"'];
      users.push(`createUser -e 0x${RELAY_ENGINE} relay SHA-256 "auth-password" AES "priv-password"`);
      users.push('authUser log relay priv', 'authCommunity log legacy', 'authCommunity log public');
      writeFileSync(join(this.home, 'snmptrapd.conf'), `${users.join('\n')}\n`);
    }

    async start(): Promise<void> {
      const conf = join(this.home, 'snmptrapd.conf');
      const banners = (): number => this.lines.filter((l) => l.startsWith('NET-SNMP version')).length;
      const before = banners();
      this.proc = new Proc(
        [labBin('snmptrapd'), '-f', '-n', '-C', '-c', conf, '-Lo', '-On', '-m', '', `udp:127.0.0.1:${this.port}`],
        { env: { SNMP_PERSISTENT_DIR: join(this.home, 'state'), MIBS: '' }, onStdout: (l) => this.lines.push(l) },
      );
      procs.push(this.proc);
      await waitFor(() => banners() > before, 'snmptrapd to be there');
    }

    async stop(): Promise<void> {
      await this.proc?.stop();
    }

    /** The numbers of the notifications it has, in the order they came. */
    get numbers(): number[] {
      return this.lines.flatMap((l) => {
        const m = l.match(/\.1\.3\.6\.1\.4\.1\.99999\.7\.1 = INTEGER: (\d+)/);
        return m ? [Number(m[1])] : [];
      });
    }
  }

  async function start(config: Record<string, unknown>, workers = 1): Promise<Tidegate> {
    const t = await Tidegate.start({
      config: { workers, admin: { listen: '127.0.0.1:0' }, lb: { vips: [] }, ...config },
    });
    nodes.push(t);
    return t;
  }

  const trapListener = (port = 0) => ({
    snmp_trap: { listen: [`127.0.0.1:${port}`], communities: [{ name: 'public' }] },
  });

  async function device(address = '127.0.0.9'): Promise<Socket> {
    const s = await open(address);
    sockets.push(s);
    return s;
  }

  const send = (s: Socket, packet: Buffer, port: number): Promise<void> =>
    new Promise((resolve, reject) => s.send(packet, port, '127.0.0.1', (e) => (e ? reject(e) : resolve())));

  const portOf = (t: Tidegate): number => Number(listening(t, 'snmp_trap')[0].split(':').at(-1));

  async function metric(t: Tidegate, pattern: RegExp): Promise<number> {
    const { admin } = t.ready as unknown as { admin: string };
    const text = await (await fetch(`http://${admin}/metrics`)).text();
    let sum = 0;
    for (const l of text.split('\n')) if (pattern.test(l)) sum += Number(l.split(' ').at(-1));
    return sum;
  }

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'relay-'));
  });
  afterEach(async () => {
    for (const s of sockets.splice(0)) s.close();
    await Promise.all(nodes.splice(0).map((t) => t.close()));
    await Promise.all(procs.splice(0).map((p) => p.stop()));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('informs: a receiver that was away has lost nothing, the other had it meanwhile; v3 is accepted; raw octets are as sent', async () => {
    const [a, b] = [new Snmptrapd(await freeUdpPort()), new Snmptrapd(await freeUdpPort())];
    await Promise.all([a.start(), b.start()]);
    const raw = await device('127.0.0.1');
    const got: Buffer[] = [];
    raw.on('message', (m) => got.push(m));
    const c = new Snmptrapd(await freeUdpPort());
    await c.start();
    const user = {
      name: 'relay',
      auth: { protocol: 'sha256', passphrase: 'auth-password' },
      priv: { protocol: 'aes128', passphrase: 'priv-password' },
    };
    const informs = { type: 'relay', as: 'inform', timeout: '200ms' };
    const t = await start({
      collectors: trapListener(),
      export: {
        nms: { ...informs, targets: [`127.0.0.1:${a.port}`, `127.0.0.1:${b.port}`], community: 'legacy' },
        secure: { ...informs, targets: [`127.0.0.1:${c.port}`], format: 'v3', user },
        copies: { type: 'relay', targets: [`127.0.0.1:${raw.address().port}`], format: 'raw' },
      },
    });
    const port = portOf(t);
    const devices = [await device('127.0.0.11'), await device('127.0.0.12'), await device('127.0.0.13')];
    const packets: Buffer[] = [];
    const burst = async (from: number, to: number): Promise<void> => {
      for (let n = from; n < to; n++) {
        packets.push(trap(n));
        await send(devices[n % 3], packets[n], port);
      }
    };
    await burst(0, 60);
    await waitFor(() => new Set(b.numbers).size === 60, 'the first notifications at the second receiver');
    await b.stop();
    await burst(60, 200);
    await waitFor(() => new Set(a.numbers).size === 200, 'all notifications at the first receiver');
    await waitFor(() => new Set(c.numbers).size === 200, 'all notifications over SNMPv3');
    await waitFor(
      async () => (await metric(t, /^tidegate_export_lag_events\{.*exporter="nms"/)) > 100,
      'the spool to hold what is left',
    );
    expect(new Set(b.numbers).size).toBe(60);
    await b.start();
    await waitFor(() => new Set(b.numbers).size === 200, 'everything at the second receiver');
    const all = Array.from({ length: 200 }, (_, n) => n);
    for (const r of [a, b, c]) {
      for (let d = 0; d < 3; d++) {
        const order = [...new Set(r.numbers)].filter((n) => n % 3 === d);
        expect(order).toEqual(all.filter((n) => n % 3 === d));
      }
    }
    await waitFor(() => got.length === 200, 'all raw datagrams');
    const hex = (list: Buffer[]) => list.map((x) => x.toString('hex')).sort();
    expect(hex(got)).toEqual(hex(packets));
    // No event that was printed holds what a datagram holds.
    expect(t.events.filter((e) => e.type === 'snmp.trap.v1')).toHaveLength(200);
    expect(JSON.stringify(t.events)).not.toContain('public');
    await waitFor(
      async () => (await metric(t, /^tidegate_export_lag_events\{.*exporter="nms"/)) === 0,
      'nothing to be left',
    );
    expect(await metric(t, /^tidegate_relay_total\{.*exporter="nms".*result="delivered"/)).toBe(400);
    await t.sigterm();
  });

  it('traps: a receiver that was away has lost nothing, raw octets included', async () => {
    const all: Snmptrapd[] = [];
    for (let i = 0; i < 3; i++) all.push(new Snmptrapd(await freeUdpPort()));
    const [raw, v1, v2c] = all;
    await Promise.all(all.map((r) => r.start()));
    // What snmptrapd takes on a slow machine: UDP drops what is too fast, and nobody says so.
    const to = (r: Snmptrapd) => ({ type: 'relay', targets: [`127.0.0.1:${r.port}`], rate: 400 });
    const t = await start({
      collectors: trapListener(),
      export: {
        raw: { ...to(raw), format: 'raw' },
        v1: { ...to(v1), format: 'v1', community: 'legacy' },
        v2c: { ...to(v2c), format: 'v2c', community: 'legacy' },
      },
    });
    // Of an address with a name: of others snmptrapd asks the DNS for each v1 trap, and drops what comes meanwhile.
    const devices = [await device('127.0.0.1'), await device('127.0.0.1'), await device('127.0.0.1')];
    const burst = async (from: number, end: number): Promise<void> => {
      for (let n = from; n < end; n++) await send(devices[n % 3], trap(n), portOf(t));
    };
    const have = (count: number) =>
      waitFor(() => {
        const had = all.map((r) => new Set(r.numbers).size);
        if (had.every((n) => n === count)) return true;
        throw new Error(had.join(' '));
      }, `${count} notifications at all receivers`);
    const up = /^tidegate_relay_target_up\{/;
    await burst(0, 60);
    await have(60);
    await waitFor(async () => (await metric(t, up)) === 3, 'the relays to say that they are there');
    await Promise.all(all.map((r) => r.stop()));
    await burst(60, 200);
    await waitFor(async () => (await metric(t, up)) === 0, 'the relays to know that nobody is there');
    const { workers } = await t.status<{ workers: { exporters: { problems: { problem: string }[] }[] }[] }>();
    expect(workers[0].exporters.flatMap((e) => e.problems.map((p) => p.problem))).toEqual(
      all.map((r) => expect.stringMatching(`^127.0.0.1:${r.port} is away \\(.*ECONNREFUSED`)),
    );
    // More than a relay holds in memory.
    await burst(200, 1500);
    await Promise.all(all.map((r) => r.start()));
    await have(1500);
    const numbers = Array.from({ length: 1500 }, (_, n) => n);
    for (const r of all)
      for (let d = 0; d < 3; d++) {
        const order = [...new Set(r.numbers)].filter((n) => n % 3 === d);
        expect(order).toEqual(numbers.filter((n) => n % 3 === d));
      }
    await waitFor(async () => (await metric(t, up)) === 3, 'the relays to know that they are there');
    await waitFor(
      async () => (await metric(t, /^tidegate_relay_total\{.*result="sent"/)) === 3 * 1500,
      'all to be known as sent',
    );
    expect(await t.sigterm()).toEqual({ code: 0, signal: null });
  });

  it('traps: a receiver to which there is no way yet has everything once there is one', async () => {
    const lab = new Lab();
    try {
      const [a, b] = [lab.namespace('relay'), lab.namespace('receiver')];
      lab.link(
        { ns: a, dev: 'eth0', addresses: ['10.1.0.1/24'] },
        { ns: b, dev: 'eth0', addresses: ['10.1.0.2/24', '10.2.0.1/32'] },
      );
      const got: number[] = [];
      const number = /99999\.7\.1 = INTEGER: (\d+)/;
      const receiver = b.spawn(
        [
          labBin('snmptrapd'),
          '-f',
          '-n',
          '-C',
          '-Lo',
          '-On',
          '-m',
          '',
          '--disableAuthorization=yes',
          'udp:10.2.0.1:162',
        ],
        {
          env: { SNMP_PERSISTENT_DIR: join(lab.dir, 'state'), MIBS: '' },
          onStdout: (l) => {
            const m = number.exec(l);
            if (m) got.push(Number(m[1]));
            else receiver.out.push(l);
          },
        },
      );
      await receiver.waitForLine(/NET-SNMP version/);
      const t = await Tidegate.start({
        ns: a,
        config: {
          workers: 1,
          collectors: { snmp_trap: { listen: ['10.1.0.1:162'], communities: [{ name: 'public' }] } },
          export: { copies: { type: 'relay', targets: ['10.2.0.1:162'], format: 'raw' } },
        },
      });
      nodes.push(t);
      const trapOf = (n: number) =>
        b.exec([
          ...[labBin('snmptrap'), '-m', '', '-v2c', '-c', 'public', '10.1.0.1', '1', '1.3.6.1.6.3.1.1.5.3'],
          ...[NUMBER, 'i', `${n}`],
        ]);
      for (let n = 0; n < 5; n++) await trapOf(n);
      const problems = async (): Promise<string[]> => {
        const { workers } = await t.status<{ workers: { exporters: { problems: { problem: string }[] }[] }[] }>();
        return workers[0].exporters.flatMap((e) => e.problems.map((p) => p.problem));
      };
      await waitFor(async () => /is away .*ENETUNREACH/.test((await problems()).join()), 'the relay to say it');
      a.ip('route', 'add', '10.2.0.0/24', 'via', '10.1.0.2');
      await waitFor(() => new Set(got).size === 5, 'the receiver to have them');
      // Gone on its own network: the kernel asks for its neighbour in vain.
      await waitFor(async () => (await problems()).length === 0, 'the relay to know that it is there');
      a.ip('route', 'replace', '10.2.0.0/24', 'via', '10.1.0.77');
      for (let n = 5; n < 10; n++) await trapOf(n);
      await waitFor(async () => /is away .*EHOSTUNREACH/.test((await problems()).join()), 'the relay to say it again');
      a.ip('route', 'replace', '10.2.0.0/24', 'via', '10.1.0.2');
      await waitFor(() => new Set(got).size === 10, 'the receiver to have all');
    } finally {
      await Promise.all(nodes.splice(0).map((t) => t.close()));
      await lab.close();
    }
  });

  it('SNMPv3 traps of our engine, and v1, are accepted', async () => {
    const r = new Snmptrapd(await freeUdpPort());
    await r.start();
    const targets = [`127.0.0.1:${r.port}`];
    const t = await start({
      collectors: trapListener(),
      export: {
        v3: {
          ...{ type: 'relay', targets, format: 'v3', engine: { id: `0x${RELAY_ENGINE}` } },
          user: {
            name: 'relay',
            auth: { protocol: 'sha256', passphrase: 'auth-password' },
            priv: { protocol: 'aes128', passphrase: 'priv-password' },
          },
        },
        v1: { type: 'relay', targets, format: 'v1', community: 'legacy' },
      },
    });
    const d = await device();
    for (let n = 1; n <= 20; n++) await send(d, trap(n), portOf(t));
    await waitFor(() => r.numbers.length === 40, 'both copies of all notifications');
    expect(r.lines.filter((l) => l.includes('TRAP, SNMP v1, community legacy'))).toHaveLength(20);
    expect(r.lines.filter((l) => l === '\t.1.3.6.1.6.3.1.1.5 Link Down Trap (0) Uptime: 0:00:00.07')).toHaveLength(1);
  });

  it.each([
    ['v2c', { format: 'v2c', community: 'public' }],
    ['raw', { format: 'raw' }],
  ])('two relays that send to each other: %s notifications end', async (format, how) => {
    const [pa, pb] = [await freeUdpPort(), await freeUdpPort()];
    const relay = (port: number) => ({ peer: { type: 'relay', targets: [`127.0.0.1:${port}`], ...how } });
    const a = await start({ node: 'a', collectors: trapListener(pa), export: relay(pb) }, 2);
    const b = await start({ node: 'b', collectors: trapListener(pb), export: relay(pa) }, 2);
    const d = await device();
    for (let n = 1; n <= 10; n++) await send(d, trap(n), pa);
    const received = /^tidegate_received_total\{collector="snmp_trap"\}/;
    const looped = /^tidegate_relay_total\{.*result="looped"/;
    await waitFor(async () => (await metric(a, looped)) + (await metric(b, looped)) >= 10, 'loops to be recognised');
    let before = -1;
    let quiet = 0;
    await waitFor(async () => {
      const now = (await metric(a, received)) + (await metric(b, received));
      quiet = now === before ? quiet + 1 : 0;
      before = now;
      return quiet >= 5;
    }, 'both to be quiet');
    // There and back: once; raw datagrams once more where other workers of a node do not know of them.
    if (format === 'v2c') {
      expect(await metric(a, received)).toBe(20);
      expect(await metric(b, received)).toBe(10);
    } else expect(before).toBeLessThanOrEqual(80);
  });

  it('the file format snmptrapd is what snmptrapd prints of the same datagrams', async () => {
    const r = new Snmptrapd(await freeUdpPort());
    await r.start();
    const t = await start({
      collectors: trapListener(),
      export: {
        text: { type: 'file', path: 'traps.log', format: 'snmptrapd' },
        copies: { type: 'relay', targets: [`127.0.0.1:${r.port}`], format: 'raw' },
      },
    });
    const v2 = encodeMessage({
      pdu: 'trap',
      community: 'public',
      requestId: 9,
      varbinds: [
        { oid: SYS_UP_TIME, type: 'timeticks', value: 360_123 },
        { oid: SNMP_TRAP_OID, type: 'oid', value: '1.3.6.1.4.1.99999.0.1' },
        ...EVERY_TYPE,
        { oid: NUMBER, type: 'integer32', value: 1 },
      ],
    });
    const v1 = (genericTrap: number, n: number): Buffer =>
      encodeMessage({
        ...{ pdu: 'trap-v1', community: 'public', enterprise: '1.3.6.1.4.1.99999', agentAddress: '10.9.8.7' },
        ...{ genericTrap, specificTrap: genericTrap === 6 ? 42 : 0, timestamp: 5555 },
        varbinds: [{ oid: NUMBER, type: 'integer32', value: n }],
      } as Parameters<typeof encodeMessage>[0]);
    const d = await device();
    for (const packet of [v2, v1(6, 2), v1(0, 3), v1(5, 4)]) await send(d, packet, portOf(t));
    await waitFor(() => r.numbers.length === 4, 'snmptrapd to have them');
    const ours = await waitFor(() => {
      const text = readFileSync(join(t.dataDir, 'files/traps-0.log'), 'utf8');
      return /99999\.7\.1 = INTEGER: 4/.test(text) ? text : undefined;
    }, 'the file to have them');
    // Time, source and community are not the same or not said.
    const plain = (text: string): string =>
      text
        .replace(/^(NET-SNMP version|Created directory).*\n/gm, '')
        .replace(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/gm, 'TIME')
        .replace(/UDP: \[[^\]]*\]:\d+->\[[^\]]*\]:\d+/g, 'UDP')
        .replace(/community \S+/g, 'community');
    expect(plain(ours)).toBe(plain(`${r.lines.join('\n')}\n`));
  });
});
