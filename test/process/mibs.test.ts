import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compileMibFiles } from '../../src/config/mib-files.ts';
import { silentLog } from '../../src/core/log.ts';
import { Names } from '../../src/mib/names.ts';
import { decodeTable } from '../../src/mib/table.ts';
import { makeMeaning } from '../../src/process/meaning.ts';
import { Mibs } from '../../src/process/mibs.ts';

const OID = '1.3.6.1.4.1.99999.3';
const module = (label: string) =>
  `A-MIB DEFINITIONS ::= BEGIN\nIMPORTS enterprises FROM SNMPv2-SMI;\na OBJECT IDENTIFIER ::= { enterprises 99999 }\n${label} OBJECT IDENTIFIER ::= { a 3 }\nEND\n`;

let dir = '';
let source = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tidegate-mibs-'));
  source = join(dir, 'source');
  mkdirSync(join(source, 'vendor'), { recursive: true });
  writeFileSync(join(source, 'vendor', 'A-MIB.txt'), module('three'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function open(): { mibs: Mibs; tables: (string | undefined)[] } {
  const tables: (string | undefined)[] = [];
  const mibs = new Mibs({ log: silentLog, dir: join(dir, 'tables'), version: '1', onTable: (t) => tables.push(t) });
  return { mibs, tables };
}

const nameIn = (table: string | undefined) =>
  makeMeaning({ table, alarms: [] }, silentLog).naming.names.object(OID)?.name;

describe('the MIBs of an instance', () => {
  it('are compiled once: the next start takes the table from where it is kept', async () => {
    const first = open();
    await first.mibs.load([source]);
    expect(first.tables).toHaveLength(1);
    expect(nameIn(first.mibs.table)).toBe('A-MIB::three');
    expect(first.mibs.status()).toMatchObject({ state: 'loaded', modules: 1, problems: 0 });
    const made = statSync(first.mibs.table!).ino;
    const second = open();
    await second.mibs.load([source]);
    expect(second.mibs.table).toBe(first.mibs.table);
    expect(statSync(second.mibs.table!).ino).toBe(made);
  });

  it('are compiled again when a file changes, and not when none does; older tables go', async () => {
    const { mibs, tables } = open();
    await mibs.load([source]);
    await mibs.load([source]);
    expect(tables).toHaveLength(1);
    for (const label of ['other', 'another', 'yetAnother', 'theLastOne']) {
      writeFileSync(join(source, 'vendor', 'A-MIB.txt'), module(label));
      await mibs.load([source]);
      expect(nameIn(mibs.table)).toBe(`A-MIB::${label}`);
    }
    expect(tables).toHaveLength(5);
    expect(readdirSync(join(dir, 'tables')).filter((f) => f.endsWith('.tgmib')).length).toBeLessThanOrEqual(3);
    await mibs.load([]);
    expect(mibs.table).toBeUndefined();
    expect(mibs.status().state).toBe('built-in');
  });

  it('loads that come while one runs end in the last one', async () => {
    const { mibs } = open();
    const loads = [mibs.load([]), mibs.load([join(dir, 'nowhere')]), mibs.load([source])];
    await Promise.all(loads);
    expect(nameIn(mibs.table)).toBe('A-MIB::three');
  });

  it('say what is wrong, and use the rest', async () => {
    writeFileSync(join(source, 'B.mib'), 'B-MIB DEFINITIONS ::= BEGIN\nb OBJECT-TYPE DESCRIPTION "\n');
    const { mibs } = open();
    await mibs.load([source, join(dir, 'nowhere')]);
    expect(mibs.status()).toMatchObject({ state: 'loaded', modules: 1, problems: 2 });
    expect(mibs.status().first).toEqual([
      expect.stringMatching(/nowhere: cannot be read/),
      `${join(source, 'B.mib')}:2: a string begins here and never ends`,
    ]);
  });

  it('a damaged table is made again', async () => {
    const first = open();
    await first.mibs.load([source]);
    const bytes = readFileSync(first.mibs.table!);
    writeFileSync(first.mibs.table!, bytes.subarray(0, 100));
    expect(nameIn(first.mibs.table)).toBe('SNMPv2-SMI::enterprises.99999.3');
    const second = open();
    await second.mibs.load([source]);
    expect(readFileSync(second.mibs.table!)).toEqual(bytes);
  });

  it('a compiled table is as good as the files, and files may be added to it', () => {
    const table = join(dir, 'site.tgmib');
    writeFileSync(table, compileMibFiles([source]).table);
    writeFileSync(
      join(dir, 'C-MIB.txt'),
      'C-MIB DEFINITIONS ::= BEGIN\nIMPORTS three FROM A-MIB;\nc OBJECT IDENTIFIER ::= { three 9 }\nEND\n',
    );
    const both = compileMibFiles([table, join(dir, 'C-MIB.txt')]);
    expect(both.problems).toEqual([]);
    const decoded = decodeTable(both.table);
    if (typeof decoded === 'string') throw new Error(decoded);
    const names = new Names(decoded);
    expect(names.object(`${OID}.9.1`)?.name).toBe('C-MIB::c.1');
    expect(names.object('1.3.6.1.2.1.2.2.1.8.4')?.name).toBe('IF-MIB::ifOperStatus.4');
  });
});
