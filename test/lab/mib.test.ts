/** The same modules and the same bytes to Net-SNMP and to tidegate: the same names, the same values as text. */
import { createSocket } from 'node:dgram';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildTrap } from '../../src/codec/snmp/describe.ts';
import type { VarBindInput } from '../../src/codec/snmp/encode.ts';
import { compileMibFiles } from '../../src/config/mib-files.ts';
import { Names } from '../../src/mib/names.ts';
import { decodeTable } from '../../src/mib/table.ts';
import { oidOf } from '../../src/mib/translate.ts';
import { type Generated, generateModule, Random, SUPPORT } from '../mib/generator.ts';
import { labAvailable, labBin, REPO } from './peers.ts';
import { exec, Proc } from './proc.ts';
import { freePort, listening, Tidegate, tidegateCli } from './tidegate.ts';
import { waitFor } from './wait.ts';

const SEED = Number(process.env.TIDEGATE_SEED ?? 20261124);
const MODULES = 6;
const COUNT = process.env.TIDEGATE_NIGHTLY ? 2000 : 500;
const STOCK = '/usr/share/snmp/mibs';
const BASE = join(REPO, 'node_modules/net-snmp/lib/mibs');
/** The base modules of SMIv2; RFC1213-MIB would name the same objects twice. */
const BASE_FILES = ['SNMPv2-SMI', 'SNMPv2-TC', 'SNMPv2-CONF', 'SNMPv2-MIB', 'IF-MIB', 'IANAifType-MIB'];

interface Sent {
  oid: string;
  name: string;
  varbinds: VarBindInput[];
}

interface Said {
  oid: string;
  name: string;
  value?: string | number;
  text?: string;
}

/** What snmptrapd wrote behind `=`, as an event has it. */
function plain(said: string, octets: number): string {
  const [, type, rest] = /^(?:([A-Za-z0-9-]+): ?)?(.*)$/s.exec(said)!;
  switch (type) {
    case 'INTEGER':
      return rest.replace(/^([A-Za-z][\w-]*)\((-?\d+)\)$/, '$1');
    case 'Timeticks':
      return rest.replace(/^\(\d+\) /, '');
    case 'Hex-STRING':
      return `0x${rest.replaceAll(/\s/g, '').toLowerCase()}`;
    case 'BITS':
      // The octets, then the labels with their numbers.
      return rest
        .trim()
        .split(/\s+/)
        .slice(octets)
        .map((w) => w.replace(/\(\d+\)$/, ''))
        .join(' ');
    case 'STRING':
      return /^".*"$/s.test(rest) ? rest.slice(1, -1).replace(/\\(["\\])/g, '$1') : rest;
    default:
      return said === '""' ? '' : rest;
  }
}

describe.skipIf(!labAvailable('snmptrapd', 'snmptranslate'))('MIBs beside Net-SNMP', () => {
  let dir = '';
  let names: Names;
  let modules: Generated[] = [];
  let sent: Sent[] = [];
  let trapd: Proc;
  let trapdText = '';
  let t: Tidegate;

  const mibArgs = () => ['-M', join(dir, 'mibs'), '-m', 'ALL'];

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'tidegate-mibs-'));
    const mibs = join(dir, 'mibs');
    mkdirSync(mibs);
    for (const f of BASE_FILES) copyFileSync(join(BASE, `${f}.mib`), join(mibs, `${f}.txt`));
    for (const f of existsSync(STOCK) ? readdirSync(STOCK) : [])
      if (f.endsWith('.txt')) copyFileSync(join(STOCK, f), join(mibs, f));
    for (const [f, text] of Object.entries(SUPPORT)) writeFileSync(join(mibs, f), text);
    modules = Array.from({ length: MODULES }, (_, k) => generateModule(SEED, k + 1));
    for (const m of modules) writeFileSync(join(mibs, m.file), m.text);
    const table = decodeTable(compileMibFiles([mibs]).table);
    if (typeof table === 'string') throw new Error(table);
    names = new Names(table);
    sent = notifications(table);

    const port = await freePort();
    writeFileSync(join(dir, 'alarms.yaml'), 'rules: []\n');
    writeFileSync(join(dir, 'snmptrapd.conf'), 'disableAuthorization yes\n');
    trapd = new Proc(
      [
        ...[labBin('snmptrapd'), '-f', '-n', '-C', '-c', join(dir, 'snmptrapd.conf'), '-Lo', ...mibArgs()],
        ...['-OU', '-F', 'BEGIN\\n%v\\nEND\\n', `udp:127.0.0.1:${port}`],
      ],
      {
        env: { SNMP_PERSISTENT_DIR: dir, SNMPCONFPATH: dir },
        onStdout: (line) => {
          trapdText += `${line}\n`;
        },
      },
    );
    t = await Tidegate.start({
      config: {
        workers: 1,
        mibs: { paths: [mibs] },
        alarms: { file: join(dir, 'alarms.yaml') },
        collectors: { snmp_trap: { listen: ['127.0.0.1:0'], communities: [{ name: 'public' }] } },
        admin: { listen: '127.0.0.1:0', speaker_listen: '127.0.0.1:0' },
      },
    });
    const [at] = listening(t, 'snmp_trap');
    const targets = [port, Number(at.split(':').at(-1))];
    const socket = createSocket('udp4');
    const send = (b: Buffer, to: number): Promise<void> =>
      new Promise((resolve, reject) => socket.send(b, to, '127.0.0.1', (e) => (e ? reject(e) : resolve())));
    const printed = (): number => trapdText.split('\nEND\n').length - 1;
    const first = buildTrap({
      version: 'v2c',
      community: 'public',
      trapOid: '1.3.6.1.6.3.1.1.5.1',
      uptime: 0,
      varbinds: [],
    });
    // It reads its modules before it listens.
    await waitFor(async () => {
      await send(first, port);
      return printed() > 0;
    }, 'snmptrapd to print');
    // What was sent into the waiting socket comes out at once: let it, then count from there.
    await waitFor(async () => {
      const before = printed();
      await new Promise((resolve) => setTimeout(resolve, 300));
      return printed() === before;
    }, 'snmptrapd to be quiet');
    trapdText = '';
    for (const [i, s] of sent.entries()) {
      const packet = buildTrap({
        version: 'v2c',
        community: 'public',
        trapOid: s.oid,
        uptime: i,
        varbinds: s.varbinds,
      });
      for (const to of targets) await send(packet, to);
      // Neither receiver's buffer is the point here.
      if (i % 20 === 19) await waitFor(() => printed() > i && trapsOf(t).length > i, `${i + 1} notifications`);
    }
    await waitFor(() => printed() === COUNT && trapsOf(t).length === COUNT, 'all notifications');
    socket.close();
  }, 120_000);

  afterAll(async () => {
    await t?.close();
    await trapd?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const trapsOf = (x: Tidegate) => x.events.filter((e) => e.type === 'snmp.trap.v1');

  /** From the generated modules, and from every notification that the stock ones have. */
  function notifications(table: Exclude<ReturnType<typeof decodeTable>, string>): Sent[] {
    const r = new Random(SEED);
    const stock: Sent[] = [];
    for (const [node, objects] of Object.entries(table.text.notifications)) {
      const n = Number(node);
      if (/^GEN-\d/.test(table.moduleOf(n)) || !isLoaded(table.moduleOf(n))) continue;
      const instance = String(r.between(1, 9));
      stock.push({
        oid: table.oid(n),
        name: table.fullName(n),
        varbinds: objects.flatMap((o): VarBindInput[] => {
          const type = table.type(o);
          const oid = `${table.oid(o)}.${table.kind(o) === 'column' ? instance : 0}`;
          if (type?.base === 'integer') return [{ oid, type: 'integer32', value: r.between(1, 4) }];
          if (type?.base === 'unsigned') return [{ oid, type: 'gauge32', value: r.int(99) }];
          if (type?.base === 'octets') return [{ oid, type: 'octet-string', value: Buffer.from(r.word(1, 6)) }];
          return [];
        }),
      });
    }
    const out = [...stock];
    while (out.length < COUNT) {
      const g = r.pick(r.pick(modules).notifications);
      out.push({ oid: g.oid, name: g.name, varbinds: g.varbinds(r) });
    }
    return out.slice(0, COUNT);
  }

  /** A module that Net-SNMP has, too; the others are built-in facts. */
  function isLoaded(module: string): boolean {
    return existsSync(join(dir, 'mibs', `${module}.txt`)) && (/^GEN-/.test(module) || !(`${module}.txt` in SUPPORT));
  }

  it('translates, lists and compiles on the command line', async () => {
    const file = join(dir, 'all.tgmib');
    const made = await tidegateCli(['mib', 'compile', join(dir, 'mibs'), '-o', file, '--json']);
    expect(made.code).toBe(0);
    expect(JSON.parse(made.stdout)).toMatchObject({ output: file, files: readdirSync(join(dir, 'mibs')).length });
    const translate = (...words: string[]) => tidegateCli(['mib', 'translate', '-m', file, ...words]);
    expect(await translate('1.3.6.1.2.1.2.2.1.8.7', 'ifOperStatus.7', 'GEN-V1-MIB::genV1Trap')).toMatchObject({
      code: 0,
      stdout: 'IF-MIB::ifOperStatus.7\n1.3.6.1.2.1.2.2.1.8.7\n1.3.6.1.4.1.99998.0.7\n',
    });
    expect(await translate('noSuchThing', '-o', 'json')).toMatchObject({
      code: 1,
      stdout: '{"input":"noSuchThing","problem":"nothing is called noSuchThing"}\n',
    });
    const listed = await tidegateCli(['mib', 'ls', '-m', file, '-o', 'json']);
    expect(JSON.parse(listed.stdout).modules).toContainEqual({ name: 'GEN-V1-MIB', nodes: 4, notifications: 1 });
    expect((await tidegateCli(['mib', 'translate', '-m', join(dir, 'nothing'), 'x'])).code).toBe(64);
    expect((await tidegateCli(['mib', 'compile', join(dir, 'nothing'), '-o', file])).code).toBe(1);
  });

  it('compiles every stock and every generated module without a complaint', () => {
    const { problems, modules: compiled } = compileMibFiles([join(dir, 'mibs')]);
    expect(problems.filter((p) => !/NET-SNMP-VACM-MIB/.test(p.file))).toEqual([]);
    expect(compiled.map((m) => m.name)).toEqual(expect.arrayContaining(['GEN-1-MIB', 'GEN-V1-MIB', 'IF-MIB']));
  });

  it(`names and shows the varbinds of ${COUNT} notifications as snmptrapd does`, () => {
    const blocks = trapdText.split('BEGIN\n').slice(1);
    expect(blocks).toHaveLength(COUNT);
    const differences: string[] = [];
    let compared = 0;
    let withText = 0;
    for (const [i, block] of blocks.entries()) {
      const [uptime, trap, ...theirs] = block.replace(/\nEND\n$/, '').split('\t');
      expect(uptime).toContain(`(${i})`);
      const event = trapsOf(t)[i].data as { trap_oid: string; trap_name: string; varbinds: Said[] };
      const where = `${i} ${sent[i].name}`;
      if (trap.replace(/^.* = OID: /, '') !== event.trap_name)
        differences.push(`${where}: ${trap} | ${event.trap_name}`);
      if (theirs.length !== event.varbinds.length)
        differences.push(`${where}: ${theirs.length} varbinds | ${event.varbinds.length}`);
      for (const [j, line] of theirs.entries()) {
        const said = event.varbinds[j];
        const [, name, value] = /^(\S.*?) = (.*)$/s.exec(line)!;
        compared++;
        if (said.text !== undefined) withText++;
        if (name !== said.name) differences.push(`${where}: ${name} | ${said.name}`);
        const octets = /^0x/.test(String(said.value)) ? String(said.value).length / 2 - 1 : 0;
        const ours = names.object(said.oid)?.type?.tc === 'InetAddress' ? said.value : (said.text ?? said.value);
        // Octets without a hint that happen to be UTF-8 are a text here.
        const same =
          /^Hex-STRING/.test(value) && octets === 0 ? `0x${Buffer.from(String(ours)).toString('hex')}` : String(ours);
        if (plain(value, octets) !== same)
          differences.push(`${where} ${said.name}: ${value} | ${ours} (${said.value})`);
      }
    }
    expect(differences.slice(0, 25)).toEqual([]);
    expect(compared).toBeGreaterThan(COUNT * 2);
    expect(withText).toBeGreaterThan(COUNT / 2);
  });

  it('names OIDs as snmptranslate does, and finds the OIDs of the names again', async () => {
    const oids = [...new Set(sent.flatMap((s) => [s.oid, ...s.varbinds.map((v) => v.oid)]))];
    const { table } = names;
    // Every node of every module, and what is below it.
    for (let i = 1; i < table.size; i++)
      if (table.hasName(i) && isLoaded(table.moduleOf(i))) oids.push(table.oid(i), `${table.oid(i)}.77.1`);
    const theirs = (await exec([labBin('snmptranslate'), '-Ir', ...mibArgs(), ...oids.map((o) => `.${o}`)])).stdout
      .split('\n')
      .filter((l) => l !== '');
    expect(theirs).toHaveLength(oids.length);
    const differences: string[] = [];
    for (const [i, oid] of oids.entries()) {
      const ours = names.notification(oid) !== 0 ? names.trap(oid) : names.object(oid)?.name;
      if (ours !== theirs[i]) differences.push(`${oid}: ${theirs[i]} | ${ours}`);
    }
    expect(differences.slice(0, 25)).toEqual([]);
    for (const m of modules) for (const n of m.notifications) expect(oidOf(table, n.name)).toBe(n.oid);
  });

  it('takes over new modules and alarm rules while it runs, and names a broken file', async () => {
    writeFileSync(
      join(dir, 'mibs', 'LATE-MIB.txt'),
      [
        'LATE-MIB DEFINITIONS ::= BEGIN',
        'IMPORTS enterprises FROM SNMPv2-SMI NOTIFICATION-TYPE FROM SNMPv2-SMI;',
        'lateEvent NOTIFICATION-TYPE STATUS current DESCRIPTION "" ::= { enterprises 99997 0 1 }',
        'lateBroken OBJECT-TYPE SYNTAX INTEGER { a(x) } ::= { enterprises 99997 2 }',
        'END',
      ].join('\n'),
    );
    writeFileSync(
      join(dir, 'alarms.yaml'),
      'rules: [{on: [LATE-MIB::lateEvent], state: event, kind: late, severity: minor, event_type: equipmentAlarm, probable_cause: powerProblem}]\n',
    );
    t.proc.signal('SIGHUP');
    await t.waitLog((l) => JSON.stringify(l.problems ?? '').includes('LATE-MIB.txt:4'), 'the new module');
    const [at] = listening(t, 'snmp_trap');
    const socket = createSocket('udp4');
    const trapOid = '1.3.6.1.4.1.99997.0.1';
    const packet = buildTrap({ version: 'v2c', community: 'public', trapOid, uptime: 1, varbinds: [] });
    const late = await waitFor(() => {
      socket.send(packet, Number(at.split(':').at(-1)), '127.0.0.1');
      return trapsOf(t).find((e) => e.data.trap_name === 'LATE-MIB::lateEvent' && e.data.alarm !== undefined);
    }, 'an event with the new name and an alarm');
    socket.close();
    expect(late.data.alarm).toMatchObject({ state: 'event', perceived_severity: 'minor', managed_object: 'device' });
    const status = await t.json<{ mibs: { state: string; first: string[] } }>(['status']);
    expect(status.mibs.state).toBe('loaded');
    const broken = /LATE-MIB\.txt:4: a: a number expected, not `x`/;
    expect(status.mibs.first).toContainEqual(expect.stringMatching(broken));
    expect((await t.cli(['check'])).stdout).toMatch(broken);
  });
});
