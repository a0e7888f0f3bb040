/**
 * Projections beside those whose form they are: the same datagrams to both. `onap` beside pysnmp, whose classes and texts the ONAP trap
 * collector publishes; `telegraf` beside Telegraf. What snmptrapd prints is in relay.test.ts.
 *
 * Telegraf takes minutes to build, so it is built at night; by day this runs where it is there.
 */
import { createSocket, type Socket } from 'node:dgram';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mibFolder, telegraf, telegrafConfig } from '../../bench/lib/telegraf.ts';
import { V3_USER } from '../../bench/lib/v3-user.ts';
import { encodeMessage } from '../../src/codec/snmp/encode.ts';
import { SNMP_TRAP_ADDRESS, SNMP_TRAP_OID, SYS_UP_TIME } from '../../src/codec/snmp/rfc3584.ts';
import { SAMPLES } from '../event/projections/samples.ts';
import { KafkaLab } from './kafka.ts';
import { LAB_CACHE, labAvailable, labBin } from './peers.ts';
import { exec, Proc } from './proc.ts';
import { listening, Tidegate } from './tidegate.ts';
import { waitFor } from './wait.ts';

const ORACLE = fileURLToPath(new URL('pysnmp-receive.py', import.meta.url));
const v1 = (genericTrap: number, text: string) =>
  encodeMessage({
    ...{ pdu: 'trap-v1', community: 'public', enterprise: '1.3.6.1.4.1.9999', agentAddress: '0.0.0.0' },
    ...{ genericTrap, specificTrap: 0, timestamp: 77 },
    varbinds: [{ oid: '1.3.6.1.4.1.9999.1.6', type: 'octet-string', value: text }],
  });

/** SNMPv1 and v2c. */
const PACKETS: Record<string, Buffer> = {
  ...Object.fromEntries(
    ['every-type', 'link-down', 'v1-enterprise', 'v1-generic'].map((name) => [name, SAMPLES[name].packet]),
  ),
  'v1-without-address': v1(3, 'DEL \x7f and more'),
  relayed: encodeMessage({
    pdu: 'trap',
    community: 'public',
    requestId: 1,
    varbinds: [
      { oid: SYS_UP_TIME, type: 'timeticks', value: 5 },
      { oid: SNMP_TRAP_OID, type: 'oid', value: '1.3.6.1.6.3.1.1.5.4' },
      { oid: '1.3.6.1.2.1.2.2.1.1.9', type: 'integer32', value: 9 },
      { oid: SNMP_TRAP_ADDRESS, type: 'ip-address', value: '198.51.100.7' },
    ],
  }),
};

/**
 * Into a folder of MIB modules: what both shall name alike. Without the modules of SMIv1, which name the same nodes otherwise; with
 * what we have built in and is used here: sysUpTimeInstance, snmpTrapAddress and the root of a vendor.
 */
function settle(mibs: string): string {
  for (const name of readdirSync(mibs)) if (name.startsWith('RFC')) rmSync(join(mibs, name));
  const one = (name: string, from: string, parent: string, node: string, id: string) =>
    writeFileSync(
      join(mibs, name),
      `${name} DEFINITIONS ::= BEGIN\nIMPORTS ${parent} FROM ${from};\n${node} OBJECT IDENTIFIER ::= { ${parent} ${id} }\nEND\n`,
    );
  one('DISMAN-EVENT-MIB', 'SNMPv2-MIB', 'sysUpTime', 'sysUpTimeInstance', '0');
  one('SNMP-COMMUNITY-MIB', 'SNMPv2-SMI', 'snmpModules', 'snmpTrapAddress', '18 1 3');
  one('CISCO-SMI', 'SNMPv2-SMI', 'enterprises', 'cisco', '9');
  return mibs;
}

async function socket(): Promise<Socket> {
  const s = createSocket('udp4');
  await new Promise<void>((done) => s.bind(0, '127.0.0.1', done));
  return s;
}

async function freePort(): Promise<number> {
  const s = await socket();
  const { port } = s.address();
  await new Promise<void>((done) => s.close(() => done()));
  return port;
}

const send = (s: Socket, data: Buffer, port: number): Promise<void> =>
  new Promise((done, fail) => s.send(data, port, '127.0.0.1', (e) => (e ? fail(e) : done())));

type Json = Record<string, unknown>;

describe.skipIf(
  !labAvailable('/usr/bin/python3', '/usr/lib/python3/dist-packages/pysnmp/__init__.py', 'java', 'snmptrap'),
)('formats', () => {
  let dir: string;
  let t: Tidegate;
  let device: Socket;
  const cleanup: (() => unknown)[] = [];

  const lines = (name: string): Json[] => {
    const file = join(t.dataDir, `files/${name}-0.log`);
    if (!existsSync(file)) return [];
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((l) => JSON.parse(l) as Json);
  };

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'formats-'));
    t = await Tidegate.start({
      config: {
        workers: 1,
        mibs: { paths: [settle(mibFolder(dir))] },
        collectors: {
          snmp_trap: {
            listen: ['127.0.0.1:0'],
            communities: [{ name: 'public' }],
            engine: { id: '0x80001f8804666f726d617473', boots: 1, epoch: '2026-01-01T00:00:00Z' },
            users: [
              {
                name: V3_USER.name,
                auth: { protocol: 'sha256', passphrase: V3_USER.authPassphrase },
                priv: { protocol: 'aes256', passphrase: V3_USER.privPassphrase },
              },
            ],
          },
        },
        export: {
          onap: { type: 'file', path: 'onap.log', format: 'onap' },
          telegraf: { type: 'file', path: 'telegraf.log', format: 'telegraf' },
        },
      },
    });
    device = await socket();
  });

  afterAll(async () => {
    for (const f of cleanup.reverse()) await f();
    device?.close();
    await t?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const own = (): number => Number(listening(t, 'snmp_trap')[0].split(':')[1]);

  /** Sends all to both and returns what is new in a file of ours. */
  async function both(file: string, port: number): Promise<Json[]> {
    const before = lines(file).length;
    for (const [i, packet] of Object.values(PACKETS).entries()) {
      await send(device, packet, own());
      await send(device, packet, port);
      await waitFor(() => lines(file).length > before + i, `notification ${i} in ${file}`);
    }
    return lines(file).slice(before);
  }

  it('onap: types and texts of each value are those of pysnmp, its keys those of the collector', async () => {
    const port = await freePort();
    const oracle = new Proc(['/usr/bin/python3', ORACLE, '127.0.0.1', String(port)]);
    cleanup.push(() => oracle.stop());
    await oracle.waitForLine(/^ready$/);
    const ours = await both('onap', port);
    const count = Object.keys(PACKETS).length;
    await waitFor(() => oracle.out.length > count, 'pysnmp to have them');
    /** The names that its table gives these classes; all others it calls an octet. */
    const types: Record<string, string> = {
      ...{ Integer: 'integer', Gauge32: 'unsigned', Counter32: 'counter32', OctetString: 'octet', Null: 'null' },
      ...{ ObjectIdentifier: 'oid', TimeTicks: 'timeticks', IpAddress: 'ipaddress', Bits: 'bits' },
    };
    const theirs = oracle.out.slice(1).map((l) => JSON.parse(l)) as {
      model: number;
      source: string;
      varbinds: [string, string, string][];
    }[];
    for (const [i, name] of Object.keys(PACKETS).entries()) {
      const { model, source, varbinds } = theirs[i];
      // The first is not published, the second is the notification; of v1 the next three are agent-addr, community and enterprise.
      const trapOid = varbinds[1][2];
      const override = varbinds.find(([oid]) => oid === SNMP_TRAP_ADDRESS)?.[2];
      const rest = varbinds.slice(model === 1 ? 5 : 2).filter(([oid]) => oid !== SNMP_TRAP_ADDRESS);
      // What the documentation says of one without agent-addr.
      const agent = override === undefined || override === '0.0.0.0' ? source : override;
      const { uuid, epoch_arrived, epoch_serno, 'time received': received, ...said } = ours[i];
      expect(said, name).toEqual({
        ...{ 'agent address': agent, 'agent name': agent, 'pdu agent address': source, 'pdu agent name': source },
        ...{ 'cambria.partition': source, community: '', 'community len': 0 },
        ...{
          'protocol version': model === 1 ? 'v1' : 'v2c',
          'trap category': 'unauthenticated.ONAP-COLLECTOR-SNMPTRAP',
        },
        ...{ 'notify OID': `.${trapOid}`, 'notify OID len': trapOid.split('.').length },
        ...(rest.length > 0 && {
          varbinds: rest.map(([oid, type, text]) => ({
            ...{ varbind_oid: `.${oid}`, varbind_type: types[type] ?? 'octet', varbind_value: text },
          })),
        }),
      });
      expect(Object.keys(ours[i])).toEqual([
        ...['epoch_arrived', 'epoch_serno', 'uuid', 'agent address', 'agent name', 'pdu agent address'],
        ...['pdu agent name', 'cambria.partition', 'community', 'community len', 'protocol version'],
        ...['time received', 'trap category', 'notify OID', 'notify OID len', ...(rest.length > 0 ? ['varbinds'] : [])],
      ]);
      expect(uuid).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      expect([Number.isInteger(epoch_arrived), received]).toEqual([true, epoch_arrived]);
      expect(String(epoch_serno)).toMatch(new RegExp(`^${epoch_arrived}\\d{4}$`));
    }
  });

  const nightly = process.env.TIDEGATE_NIGHTLY === '1';
  const binary = existsSync(join(LAB_CACHE, 'bin/telegraf')) || nightly ? telegraf() : undefined;

  if (binary || nightly) {
    it('telegraf: fields and tags of each notification are those of Telegraf, of SNMPv1, v2c and v3', async () => {
      if (!binary) throw new Error('Telegraf could not be built');
      const kafka = await KafkaLab.start({});
      cleanup.push(() => kafka.close());
      /** Runs it on a topic; what it has there, in order. */
      const start = async (
        version: 'v2c' | 'v3',
      ): Promise<{ port: number; read: (count: number) => Promise<Json[]> }> => {
        const topic = `telegraf-${version}`;
        await kafka.createTopic(topic);
        const port = await freePort();
        const home = join(dir, version);
        mkdirSync(home);
        const { file, mibs } = telegrafConfig(home, port, kafka.bootstrap()[0], topic, 'netsnmp', version);
        settle(mibs);
        const proc = new Proc([binary, '--config', file], { env: { MIBDIRS: mibs } });
        cleanup.push(() => proc.stop());
        const there = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} `);
        await waitFor(() => {
          if (!proc.alive) throw new Error(proc.tail());
          return there.test(readFileSync('/proc/net/udp', 'utf8'));
        }, 'Telegraf to listen');
        const read = (count: number) =>
          waitFor(async () => {
            const records = await kafka.records(topic);
            if (records.length < count) throw new Error(`${records.length} of ${count}: ${proc.tail(5)}`);
            return records
              .flatMap((r) => String(r.value).split('\n').filter(Boolean))
              .map((l) => JSON.parse(l) as Json);
          }, 'what Telegraf makes of them');
        return { port, read };
      };
      /** Without what is not equal: when it came, and the community, which we never say. */
      const plain = (list: Json[]) =>
        list.map(({ timestamp, ...m }) => {
          const { community: _, ...tags } = m.tags as Record<string, string>;
          return { ...m, tags, timestamp: typeof timestamp };
        });
      const key = (m: Json) => JSON.stringify([m.tags, m.fields]);
      const sorted = (list: Json[]) => plain(list).sort((a, b) => (key(a) < key(b) ? -1 : 1));

      const v2c = await start('v2c');
      const ours = await both('telegraf', v2c.port);
      expect(sorted(ours)).toEqual(sorted(await v2c.read(Object.keys(PACKETS).length)));

      const v3 = await start('v3');
      const fork = await socket();
      cleanup.push(() => fork.close());
      fork.on('message', (m) => {
        for (const port of [own(), v3.port]) fork.send(m, port, '127.0.0.1');
      });
      const before = lines('telegraf').length;
      await exec(
        [
          ...[labBin('snmptrap'), '-m', '', '-M', '/nonexistent', '-v3', '-l', 'authPriv', '-u', V3_USER.name],
          ...['-a', 'SHA-256', '-A', V3_USER.authPassphrase, '-x', 'AES-256', '-X', V3_USER.privPassphrase],
          // Its context is of the engine that sends it, as that of any device; Telegraf's tag is that of the context.
          ...[
            '-e',
            '0x80001f8804736e6d7074726170',
            '-E',
            '0x80001f8804736e6d7074726170',
            '-n',
            'vrf-a',
            `127.0.0.1:${fork.address().port}`,
            '99',
          ],
          ...['1.3.6.1.6.3.1.1.5.3', '1.3.6.1.2.1.2.2.1.1.7', 'i', '7', '1.3.6.1.2.1.2.2.1.8.7', 'i', '2'],
        ],
        { env: { ...process.env, SNMP_PERSISTENT_DIR: dir, HOME: dir } },
      );
      await waitFor(() => lines('telegraf').length > before, 'the v3 trap');
      expect(plain(lines('telegraf').slice(before))).toEqual(plain(await v3.read(1)));
    });
  } else console.log('formats: without Telegraf, which `npm run nightly` builds');
});
