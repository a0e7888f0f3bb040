/** Net-SNMP's own tools → tidegate → a real broker, read back with kafkajs and kcat; inventory, networks and `explain` on the way. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Partitioners } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { validateRecord } from '../schema.ts';
import { KafkaLab } from './kafka.ts';
import { type Followed, Kcat } from './kcat.ts';
import { labAvailable, labBin } from './peers.ts';
import { exec } from './proc.ts';
import { listening, Tidegate, tidegateCli } from './tidegate.ts';
import { waitFor } from './wait.ts';

const TRAPS = 'tidegate.snmp.trap.v1';
const PARTITIONS = 4;

/** snmptrap's letter and text, and what the event must say. The first eight are SMI's and may stand in a v1 trap, too. */
const VARBINDS: { oid: string; letter: string; text: string; expected: Record<string, unknown> }[] = [
  {
    oid: '1.3.6.1.2.1.2.2.1.1.7',
    letter: 'i',
    text: '-2147483648',
    expected: { type: 'integer32', value: -2147483648 },
  },
  { oid: '1.3.6.1.4.1.99999.1.1', letter: 'u', text: '4294967295', expected: { type: 'gauge32', value: 4294967295 } },
  { oid: '1.3.6.1.4.1.99999.1.2', letter: 'c', text: '4294967295', expected: { type: 'counter32', value: 4294967295 } },
  { oid: '1.3.6.1.4.1.99999.1.3', letter: 't', text: '123456', expected: { type: 'timeticks', value: 123456 } },
  {
    oid: '1.3.6.1.4.1.99999.1.4',
    letter: 'a',
    text: '192.0.2.33',
    expected: { type: 'ip-address', value: '192.0.2.33' },
  },
  {
    oid: '1.3.6.1.4.1.99999.1.5',
    letter: 'o',
    text: '1.3.6.1.4.1.4294967295.128.16384',
    expected: { type: 'oid', value: '1.3.6.1.4.1.4294967295.128.16384' },
  },
  { oid: '1.3.6.1.4.1.99999.1.6', letter: 'n', text: '', expected: { type: 'null' } },
  {
    oid: '1.3.6.1.4.1.99999.2.1',
    letter: 's',
    text: 'Zürich link "a" down\tat 10 %',
    expected: { type: 'octet-string', value: 'Zürich link "a" down\tat 10 %' },
  },
  { oid: '1.3.6.1.4.1.99999.2.2', letter: 's', text: '', expected: { type: 'octet-string', value: '' } },
  {
    oid: '1.3.6.1.4.1.99999.2.3',
    letter: 'x',
    text: '00 FF 80 0a',
    expected: { type: 'octet-string', value: '0x00ff800a' },
  },
  { oid: '1.3.6.1.4.1.99999.2.4', letter: 'd', text: '72 105 33', expected: { type: 'octet-string', value: 'Hi!' } },
  // SMIv2's BITS travel as an octet string: bits 0 and 9.
  { oid: '1.3.6.1.4.1.99999.2.5', letter: 'b', text: '0,9', expected: { type: 'octet-string', value: '0x8040' } },
];

/** SMIv2's own, and what Net-SNMP wraps into an Opaque: float and double as IEEE 754 has them, 64-bit integers in BER. */
const V2_VARBINDS: typeof VARBINDS = [
  {
    oid: '1.3.6.1.4.1.99999.3.1',
    letter: 'C',
    text: '18446744073709551615',
    expected: { type: 'counter64', value: '18446744073709551615' },
  },
  {
    oid: '1.3.6.1.4.1.99999.3.2',
    letter: 'F',
    text: '1.5',
    expected: { type: 'opaque', value: '0x9f78043fc00000', text: '1.5' },
  },
  {
    oid: '1.3.6.1.4.1.99999.3.3',
    letter: 'D',
    text: '-0.25',
    expected: { type: 'opaque', value: '0x9f7908bfd0000000000000', text: '-0.25' },
  },
  {
    oid: '1.3.6.1.4.1.99999.3.4',
    letter: 'I',
    text: '-2',
    expected: { type: 'opaque', text: '-2' },
  },
  {
    oid: '1.3.6.1.4.1.99999.3.5',
    letter: 'U',
    text: '18446744073709551615',
    expected: { type: 'opaque', text: '18446744073709551615' },
  },
];

const words = (list: typeof VARBINDS) => list.flatMap((v) => [v.oid, v.letter, v.text]);

/** What must stand in the event: OID, type, value; and the text of an Opaque. Names are the MIB's and are not compared. */
function told(list: { oid: string; type: string; value?: unknown; text?: string }[]) {
  return list.map(({ oid, type, value, text }) => {
    const out: Record<string, unknown> = { oid, type };
    if (value !== undefined) out.value = value;
    if (type === 'opaque') out.text = text;
    return out;
  });
}

const expected = (list: typeof VARBINDS) => list.map((v) => ({ oid: v.oid, ...v.expected }));

const partitionOf = (key: string) =>
  Partitioners.JavaCompatiblePartitioner()({
    topic: TRAPS,
    message: { key, value: null },
    partitionMetadata: Array.from({ length: PARTITIONS }, (_, partitionId) => ({
      partitionErrorCode: 0,
      partitionId,
      leader: 1,
      replicas: [1],
      isr: [1],
    })),
  });

describe.skipIf(!labAvailable('snmptrap', 'snmpinform', 'kcat', 'java'))('SNMP notifications to Kafka', () => {
  let kafka: KafkaLab;
  let t: Tidegate;
  let follow: Kcat;
  let at: string;
  let atB: string;

  const devices = (entries: object[]) => writeFileSync(join(dir, 'devices.yaml'), JSON.stringify(entries));
  let dir = '';

  /** Net-SNMP's tools, from a source address of loopback's own network. */
  function notify(
    options: { from?: string; version?: '1' | '2c'; inform?: boolean; community?: string; to?: string },
    ...args: string[]
  ) {
    const { from = '127.0.0.1', version = '2c', inform = false, community = 'l4b-secret', to = at } = options;
    return exec(
      [
        labBin(inform ? 'snmpinform' : 'snmptrap'),
        ...['-m', '', '-M', '/nonexistent', '-v', version, '-c', community, `--clientaddr=${from}`],
        ...(inform ? ['-r', '0', '-t', '20'] : []),
        ...[to, ...args],
      ],
      { allowFailure: true },
    );
  }

  interface Explained {
    known: { id: string; name: string }[];
    findings: { at: string; severity: string; cause: string; fix?: string; count?: number }[];
  }

  const explain = (device: string) => t.json<Explained & Record<string, unknown>>(['explain', device]);

  /** Waits until `explain` gives such a cause, and checks that it comes with a way out. */
  async function explained(device: string, cause: RegExp, fix: RegExp) {
    const finding = await waitFor(async () => {
      const e = await explain(device);
      const hit = e.findings.find((f) => cause.test(f.cause));
      if (hit) return hit;
      throw new Error(JSON.stringify(e.findings));
    }, `${cause} for ${device}`);
    expect(finding.fix).toMatch(fix);
    return finding;
  }

  const from = (address: string) => (r: Followed) => r.data.source.address === address;

  beforeAll(async () => {
    kafka = await KafkaLab.start();
    dir = kafka.dir;
    await kafka.createTopic(TRAPS, PARTITIONS);
    await kafka.createTopic('tidegate.system.v1');
    await kafka.createTopic('tidegate.audit.v1');
    devices([
      { id: 'core-1', name: 'core-1.example', site: 'zrh', match: [{ address: '127.0.0.11' }] },
      { id: 'edge-9', name: 'edge-9.example', match: [{ network: 'mgmt-b', address: '127.0.0.11' }] },
    ]);
    t = await Tidegate.start({
      config: {
        site: 'lab',
        node: 'edge-1',
        workers: 2,
        networks: { 'mgmt-b': {} },
        inventory: { file: join(dir, 'devices.yaml') },
        collectors: {
          snmp_trap: {
            listen: ['127.0.0.1:0', { address: '127.0.0.1', port: 0, network: 'mgmt-b' }],
            communities: [{ name: 'l4b-secret' }, { name: 'core-only', from: ['10.0.0.0/8'] }],
          },
          bmp: { listen: ['127.0.0.1:0'] },
        },
        export: { kafka: { brokers: kafka.bootstrap(), partitions: PARTITIONS } },
        admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
      },
    });
    [at, atB] = listening(t, 'snmp_trap');
    follow = new Kcat(kafka.bootstrap(), TRAPS);
  });

  afterAll(async () => {
    await t?.close();
    await follow?.close();
    await kafka?.close();
  });

  it('v1 traps: every varbind, and trap OIDs as RFC 3584 maps them', async () => {
    const source = '127.0.0.31';
    const enterprise = '1.3.6.1.4.1.99999.7';
    for (const [generic, specific] of [
      [6, 17],
      [2, 0],
    ])
      await notify(
        { from: source, version: '1' },
        ...[enterprise, '192.0.2.77', `${generic}`, `${specific}`, '4711', ...words(VARBINDS)],
      );
    const got = await follow.wait(from(source), 2, 'v1 traps');
    expect(got.map((r) => r.data.trap_oid)).toEqual([`${enterprise}.0.17`, '1.3.6.1.6.3.1.1.5.3']);
    for (const { data } of got) {
      expect(data).toMatchObject({ version: 'v1', pdu: 'trap', agent_address: '192.0.2.77', uptime_ticks: 4711 });
      expect(data.enterprise_oid).toBe(enterprise);
      expect(told(data.varbinds)).toEqual(expected(VARBINDS));
    }
  });

  it('v2c traps and informs: every varbind; an inform is acknowledged and says the same', async () => {
    const source = '127.0.0.32';
    const all = [...VARBINDS, ...V2_VARBINDS];
    const args = ['123456', '1.3.6.1.4.1.99999.0.5', ...words(all)];
    expect(await notify({ from: source }, ...args)).toMatchObject({ code: 0, stderr: '' });
    expect(await notify({ from: source, inform: true }, ...args)).toMatchObject({ code: 0, stderr: '' });
    const got = await follow.wait(from(source), 2, 'v2c notifications');
    expect(got.map((r) => r.data.pdu)).toEqual(['trap', 'inform']);
    for (const { data } of got) {
      expect(data).toMatchObject({ version: 'v2c', trap_oid: '1.3.6.1.4.1.99999.0.5', uptime_ticks: 123456 });
      expect(told(data.varbinds)).toMatchObject(expected(all));
      expect(data.varbinds).toHaveLength(all.length);
    }
    expect(got[1].data.content_id).toBe(got[0].data.content_id);
    expect(got[1].id).not.toBe(got[0].id);
  });

  it('keeps many sources apart and each in order, whatever worker and partition they are on', async () => {
    const sources = Array.from({ length: 16 }, (_, i) => `127.0.1.${i + 1}`);
    await Promise.all(
      sources.map(async (source) => {
        for (let n = 0; n < 6; n++)
          await notify(
            { from: source, inform: n % 2 === 1 },
            '1',
            '1.3.6.1.4.1.99999.0.6',
            '1.3.6.1.4.1.99999.1.9',
            'i',
            `${n}`,
          );
      }),
    );
    const got = await follow.wait(
      (r) => r.data.trap_oid === '1.3.6.1.4.1.99999.0.6',
      96,
      'notifications of 16 sources',
    );
    expect(got).toHaveLength(96);
    for (const source of sources) {
      const of = got.filter(from(source));
      expect(of.map((r) => r.data.varbinds[0].value)).toEqual([0, 1, 2, 3, 4, 5]);
      expect(new Set(of.map((r) => `${r.key} ${r.partition} ${r.data.rx.worker}`)).size).toBe(1);
    }
    expect(new Set(got.map((r) => r.data.rx.worker))).toEqual(new Set([0, 1]));
    expect(new Set(got.map((r) => r.id)).size).toBe(96);
  });

  it('knows devices by network and address, and takes a changed inventory over', async () => {
    const same = ['5', '1.3.6.1.4.1.99999.0.7'];
    await notify({ from: '127.0.0.11' }, ...same);
    await notify({ from: '127.0.0.11', to: atB }, ...same);
    const [a, b] = await follow.wait(from('127.0.0.11'), 2, 'one address in two networks');
    const [one, other] = a.data.network === 'default' ? [a, b] : [b, a];
    expect(one.data.device).toEqual({ id: 'core-1', name: 'core-1.example', site: 'zrh' });
    expect(one).toMatchObject({ key: 'core-1', data: { network: 'default' } });
    expect(other.data.device).toEqual({ id: 'edge-9', name: 'edge-9.example' });
    expect(other).toMatchObject({ key: 'edge-9', data: { network: 'mgmt-b' } });
    expect(one.data.content_id).not.toBe(other.data.content_id);

    devices([{ id: 'core-1-new', match: [{ address: '127.0.0.11' }] }]);
    await waitFor(
      async () => (await explain('127.0.0.11')).known.some((k) => k.id === 'core-1-new'),
      'the new inventory',
    );
    await notify({ from: '127.0.0.11', inform: true }, ...same);
    await notify({ from: '127.0.0.11', to: atB, inform: true }, ...same);
    const later = (await follow.wait(from('127.0.0.11'), 4, 'four in all')).slice(2);
    expect(later.map((r) => r.key).sort()).toEqual(['core-1-new', 'mgmt-b|127.0.0.11']);

    // A file that is no inventory changes nothing.
    writeFileSync(join(dir, 'devices.yaml'), '- {id: x, match: [{adress: 127.0.0.11}]}\n');
    await t.waitLog(
      (l) => /inventory/.test(String(l.msg)) && l.level !== 'info',
      'the refusal of the broken inventory',
    );
    await notify({ from: '127.0.0.11', inform: true }, ...same);
    const last = (await follow.wait(from('127.0.0.11'), 5, 'the fifth'))[4];
    expect(last.key).toBe('core-1-new');
    // `status` and `explain` work beside a broken inventory; verbs that read the configuration want a whole one.
    expect((await t.cli(['status'])).code).toBe(0);
    devices([]);
  });

  it('explain names cause and fix of what is refused or unknown', async () => {
    await notify({ from: '127.0.0.41', community: 'wrong-one' }, '1', '1.3.6.1.4.1.99999.0.8');
    const wrong = await explained('127.0.0.41', /unknown-community/, /snmp_trap\.communities/);
    expect(wrong).toMatchObject({ severity: 'problem', count: 1 });
    await notify({ from: '127.0.0.42', community: 'core-only' }, '1', '1.3.6.1.4.1.99999.0.8');
    await notify({ from: '127.0.0.42', community: 'core-only' }, '1', '1.3.6.1.4.1.99999.0.8');
    await waitFor(
      async () => (await explained('127.0.0.42', /source-not-allowed/, /from/)).count === 2,
      'both counted',
    );
    // A refused inform gets no answer: nothing of ours speaks to a stranger.
    const inform = await exec(
      [labBin('snmpinform'), '-v', '2c', '-c', 'wrong-one', '-r', '0', '-t', '1', at, '1', '1.3.6.1.4.1.99999.0.8'],
      { allowFailure: true },
    );
    expect(inform.code).not.toBe(0);
    await notify({ from: '127.0.0.43', inform: true }, '1', '1.3.6.1.4.1.99999.0.8');
    const unknown = await explained('127.0.0.43', /unknown device/, /devices\.yaml.*127\.0\.0\.43/);
    expect(unknown.severity).toBe('note');
    expect((await follow.wait(from('127.0.0.43'), 1, 'the unknown device'))[0].key).toBe('default|127.0.0.43');
    // The community is said nowhere.
    expect(JSON.stringify(await explain('127.0.0.41'))).not.toMatch(/wrong-one|l4b-secret/);
    expect(JSON.stringify(t.logs)).not.toMatch(/wrong-one|l4b-secret|core-only/);
  });

  it('explain names a missing topic; once it is there, what waited arrives', async () => {
    const [bmp] = listening(t, 'bmp');
    expect((await tidegateCli(['send', 'bmp', '--to', bmp])).code).toBe(0);
    await explained('127.0.0.1', /tidegate\.bmp\.update\.v1.*(exist|unknown|missing)/i, /topics apply/);
    const planned = await t.cli(['topics', 'plan']);
    expect(planned, planned.stderr).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('tidegate.bmp.update.v1: create'),
    });
    expect(await t.cli(['topics', 'apply'])).toMatchObject({ code: 0, stderr: '' });
    const bmpTopic = new Kcat(kafka.bootstrap(), 'tidegate.bmp.update.v1');
    const updates = await bmpTopic.wait(() => true, 1, 'what waited for its topic');
    expect(updates[0].data.announce.length).toBeGreaterThan(0);
    await bmpTopic.close();
    await waitFor(
      async () => !(await explain('127.0.0.1')).findings.some((f) => f.cause.includes('bmp.update')),
      'the finding to go',
    );
  });

  it('explain says that Kafka is away; informs are acknowledged from the spool meanwhile, and arrive later', async () => {
    await kafka.broker(1).kill();
    for (let n = 0; n < 5; n++)
      expect((await notify({ from: '127.0.0.51', inform: true }, `${n}`, '1.3.6.1.4.1.99999.0.9')).code).toBe(0);
    const finding = await explained('127.0.0.51', /exporter kafka: .* does not answer/, /start the brokers/);
    expect(finding.cause).toMatch(/nothing is lost/);
    expect(finding.cause).toContain(kafka.bootstrap()[0]);
    await kafka.broker(1).start();
    const got = await follow.wait(from('127.0.0.51'), 5, 'the informs of the outage');
    expect(got.map((r) => r.data.uptime_ticks)).toEqual([0, 1, 2, 3, 4]);
    await waitFor(
      async () => !(await explain('127.0.0.51')).findings.some((f) => f.at === 'export'),
      'the finding to go',
    );
  });

  it('kafkajs reads what kcat reads: the same bytes under the same key, in the partition Java clients choose', async () => {
    const mine = await kafka.read(TRAPS);
    const theirs = await follow.wait(() => true, mine.length, 'all records');
    const place = (r: { partition: number; offset: number }) => `${r.partition}/${r.offset}`;
    const byPlace = new Map(theirs.map((r) => [place(r), r]));
    expect(mine).toHaveLength(theirs.length);
    for (const r of mine) {
      const event = validateRecord(r.headers, r.value.toString('utf8'));
      const twin = byPlace.get(place(r))!;
      expect({ key: r.key, headers: r.headers, payload: r.value.toString('utf8') }).toEqual({
        key: twin.key,
        headers: twin.headers,
        payload: twin.payload,
      });
      expect(r.partition).toBe(partitionOf(r.key!));
      expect(event).toMatchObject({
        specversion: '1.0',
        source: '/tidegate/snmp_trap',
        type: 'snmp.trap.v1',
        subject: r.key,
        dataschema: 'urn:tidegate:schema:snmp.trap.v1',
        tidegatenode: 'edge-1',
        datacontenttype: 'application/json',
      });
      expect(r.value.toString('latin1')).not.toContain('l4b-secret');
    }
  });

  it('stops in order, and the audit finds nothing missing', async () => {
    expect(await t.sigterm()).toEqual({ code: 0, signal: null });
    const audit = await t.cli(['audit', '--kafka']);
    expect(`${audit.stdout}${audit.stderr}`).not.toMatch(/missing: [1-9]/);
    expect(audit.code, audit.stdout + audit.stderr).toBe(0);
  });
});
