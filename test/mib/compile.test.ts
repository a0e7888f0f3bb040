import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { VarBind } from '../../src/codec/snmp/message.ts';
import { buildTable, layOut } from '../../src/mib/build.ts';
import { compileMibs } from '../../src/mib/compile.ts';
import { modulesOf } from '../../src/mib/decompile.ts';
import { builtinModules } from '../../src/mib/facts.ts';
import type { MibModule } from '../../src/mib/model.ts';
import { Names } from '../../src/mib/names.ts';
import { renderVarBind } from '../../src/mib/render.ts';
import { decodeTable, encodeTable, MibTable } from '../../src/mib/table.ts';
import { translate } from '../../src/mib/translate.ts';
import { generateModule, Random, SUPPORT } from './generator.ts';

const module = (name: string, body: string, imports = 'enterprises FROM SNMPv2-SMI') => ({
  path: `${name}.txt`,
  text: `${name} DEFINITIONS ::= BEGIN\nIMPORTS ${imports};\n${body}\nEND\n`,
});
const compile = (...files: { path: string; text: string }[]) => compileMibs(files, builtinModules());
const namesOf = (modules: MibModule[]) => new Names(buildTable([...builtinModules(), ...modules]));
const varbind = (oid: string, type: VarBind['type'], value: VarBind['value']): VarBind => ({
  oid,
  type,
  value,
  start: 0,
  end: 0,
});

describe('the compiler', () => {
  const child = module('B-MIB', 'b OBJECT IDENTIFIER ::= { a 7 }', 'a FROM A-MIB');
  const parent = module('A-MIB', 'a OBJECT IDENTIFIER ::= { enterprises 99999 }');

  it('takes files in any order and puts a module behind those it imports from', () => {
    for (const files of [
      [child, parent],
      [parent, child],
    ]) {
      const c = compile(...files);
      expect(c.problems).toEqual([]);
      expect(c.modules.map((m) => m.name)).toEqual(['A-MIB', 'B-MIB']);
      expect(c.modules[1].nodes).toEqual([{ name: 'b', oid: '1.3.6.1.4.1.99999.7', kind: 'node' }]);
    }
  });

  it('an unreadable file costs itself: file, line and cause are said, and the others are there', () => {
    const broken = [
      { path: 'string.txt', text: 'S-MIB DEFINITIONS ::= BEGIN\nx OBJECT-TYPE\n DESCRIPTION "never ends\n' },
      { path: 'binary.txt', text: '\u0001\u0002\u0003' },
      { path: 'empty.txt', text: '' },
      { path: 'prose.txt', text: 'This is a letter.\n' },
    ];
    const c = compile(...broken, child, parent);
    expect(c.problems).toEqual([
      { file: 'string.txt', line: 3, message: 'a string begins here and never ends' },
      { file: 'binary.txt', line: 1, message: 'unexpected character "\\u0001"' },
      { file: 'empty.txt', line: 0, message: 'no module in this file' },
      { file: 'prose.txt', line: 1, message: "DEFINITIONS expected after the module's name This" },
    ]);
    expect(c.modules).toHaveLength(2);
  });

  it('a broken declaration costs itself', () => {
    const c = compile(
      module(
        'C-MIB',
        [
          'good OBJECT IDENTIFIER ::= { enterprises 99999 }',
          'bad OBJECT IDENTIFIER ::= { enterprises ( }',
          'between OBJECT IDENTIFIER ::= { good 3 }',
          'worse STRANGE-MACRO ::= { good 1 }',
          'lost OBJECT IDENTIFIER ::= { nobody 3 }',
          'after OBJECT IDENTIFIER ::= { good 4 }',
        ].join('\n'),
      ),
    );
    expect(c.problems).toEqual([
      { file: 'C-MIB.txt', line: 4, message: 'enterprises: a number expected, not `}`' },
      { file: 'C-MIB.txt', line: 6, message: 'worse: `STRANGE-MACRO` is no kind of declaration' },
      { file: 'C-MIB.txt', line: 7, message: 'lost hangs on nobody, which is not there' },
    ]);
    expect(c.modules[0].nodes.map((n) => n.name)).toEqual(['good', 'between', 'after']);
  });

  it('says a missing import, a circle, a second module of a name, and a missing END', () => {
    const c = compile(
      module('D-MIB', 'd OBJECT IDENTIFIER ::= { nowhere 1 }', 'nowhere FROM NOWHERE-MIB'),
      module('E-MIB', 'e OBJECT IDENTIFIER ::= { f 1 }\nf OBJECT IDENTIFIER ::= { e 1 }'),
      parent,
      { ...parent, path: 'again.txt' },
      { path: 'end.txt', text: 'F-MIB DEFINITIONS ::= BEGIN\nf2 OBJECT IDENTIFIER ::= { iso 9 }\n' },
    );
    expect(c.problems.map((p) => `${p.file}:${p.line} ${p.message}`)).toEqual([
      'again.txt:1 module A-MIB is already in A-MIB.txt: this one is left out',
      'end.txt:2 module F-MIB has no END',
      'D-MIB.txt:2 nowhere is imported from NOWHERE-MIB, which is not there',
      'D-MIB.txt:3 d hangs on nowhere, which is not there',
      expect.stringMatching(/^E-MIB.txt:\d e hangs on f|^E-MIB.txt:\d f hangs on e/),
      expect.stringMatching(/^E-MIB.txt:\d e hangs on f|^E-MIB.txt:\d f hangs on e/),
    ]);
    expect(c.modules.find((m) => m.name === 'F-MIB')?.nodes).toHaveLength(1);
  });

  it('comments: to the next two hyphens or the end of the line; ruled lines; quotes in them', () => {
    const c = compile(
      module(
        'G-MIB',
        '----- "unbalanced\n-- one -- g OBJECT IDENTIFIER ::= { enterprises 99999 } -- it\'s "\n---------- h ----\n-- g2 -- g3 -- OBJECT\n',
      ),
    );
    expect(c.problems.length).toBeLessThanOrEqual(1);
    expect(c.modules[0].nodes.map((n) => n.name)).toEqual(['g']);
  });

  it('a stray character costs nothing but a word about it; the end of a DOS file costs nothing', () => {
    const c = compile(module('I-MIB', 'i OBJECT IDENTIFIER ::= { enterprises@ 99999 }'), {
      ...parent,
      text: `\ufeff${parent.text}\u001a`,
    });
    expect(c.problems).toEqual([{ file: 'I-MIB.txt', line: 3, message: 'unexpected character "@"' }]);
    expect(c.modules.map((m) => m.nodes.length)).toEqual([1, 1]);
  });

  it('takes what vendors write: tags, nested defaults, numbers in quotes, types of other modules, text over lines', () => {
    const c = compile(
      module(
        'J-MIB',
        `J ::= [APPLICATION 7] IMPLICIT OCTET STRING (SIZE (4 | 8..16))
JState ::= INTEGER { on(1), off (2), -- spare -- odd(-1) }
j MODULE-IDENTITY LAST-UPDATED "0" ORGANIZATION "" CONTACT-INFO "" DESCRIPTION "a
::= { b 1 }" REVISION "1" DESCRIPTION "" ::= { iso org(3) dod(6) internet(1) private(4) enterprises(1) 99999 }
jBits OBJECT-TYPE
  SYNTAX BITS { a(0), b(1) }
  MAX-ACCESS read-write
  STATUS current
  DESCRIPTION ""
  DEFVAL { { a, b } }
  ::= { j
     1 }
jHex OBJECT-TYPE SYNTAX J ACCESS read-only STATUS mandatory DEFVAL { '00ff'H } ::= { j 2 }
jState OBJECT-TYPE SYNTAX JState (1..2) MAX-ACCESS read-only STATUS current DESCRIPTION "" ::= { j 3 }
jGroup OBJECT-GROUP OBJECTS { jBits, jHex } STATUS current DESCRIPTION "" ::= { j 4 }
jCompliance MODULE-COMPLIANCE STATUS current DESCRIPTION "" MODULE MANDATORY-GROUPS { jGroup }
  OBJECT jState SYNTAX INTEGER { on(1) } DESCRIPTION "" ::= { j 5 }
jCap AGENT-CAPABILITIES PRODUCT-RELEASE "" STATUS current SUPPORTS IF-MIB INCLUDES { ifGroup } VARIATION ifType SYNTAX INTEGER DESCRIPTION "" ::= { j 6 }
STRANGE MACRO ::= BEGIN TYPE NOTATION ::= "x" VALUE NOTATION ::= value(VALUE INTEGER) END`,
      ),
    );
    expect(c.problems).toEqual([]);
    expect(c.modules[0].nodes.map((n) => [n.name, n.oid.replace('1.3.6.1.4.1.99999', 'J'), n.kind])).toEqual([
      ['j', 'J', 'node'],
      ['jBits', 'J.1', 'scalar'],
      ['jHex', 'J.2', 'scalar'],
      ['jState', 'J.3', 'scalar'],
      ['jGroup', 'J.4', 'node'],
      ['jCompliance', 'J.5', 'node'],
      ['jCap', 'J.6', 'node'],
    ]);
    expect(c.modules[0].nodes[3].type).toEqual({
      base: 'integer',
      tc: 'JState',
      values: { 1: 'on', 2: 'off', '-1': 'odd' },
    });
    expect(c.modules[0].nodes[1].type).toEqual({ base: 'bits', values: { 0: 'a', 1: 'b' } });
  });

  it('SMIv1: traps of an enterprise have a zero in front, the generic ones are those of SNMPv2-MIB', () => {
    const c = compile(
      { path: 'v1.txt', text: SUPPORT['GEN-V1-MIB.txt'] },
      module(
        'H-MIB',
        'snmpX OBJECT IDENTIFIER ::= { mib-2 11 }\nupAgain TRAP-TYPE\n ENTERPRISE snmpX\n ::= 1\n',
        'mib-2 FROM RFC1213-MIB TRAP-TYPE FROM RFC-1215',
      ),
    );
    expect(c.problems).toEqual([]);
    expect(c.modules[0].nodes.find((n) => n.name === 'genV1Trap')).toEqual({
      name: 'genV1Trap',
      oid: '1.3.6.1.4.1.99998.0.7',
      kind: 'notification',
      objects: ['1.3.6.1.4.1.99998.1', '1.3.6.1.4.1.99998.2'],
    });
    expect(c.modules[1].nodes[1].oid).toBe('1.3.6.1.6.3.1.1.5.2');
  });

  it('never throws, whatever is cut out of a module or put into it', () => {
    const { text } = generateModule(3, 1);
    fc.assert(
      fc.property(
        fc.nat(text.length),
        fc.nat(400),
        fc.constantFrom('', '{', '"', '::=', 'END', '-- ', 'BEGIN', '('),
        (at, cut, put) => {
          const c = compile({ path: 'x.txt', text: text.slice(0, at) + put + text.slice(at + cut) });
          expect(() => layOut([...builtinModules(), ...c.modules])).not.toThrow();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('the facts are what the published modules say', () => {
    const dir = new URL('../../node_modules/net-snmp/lib/mibs/', import.meta.url);
    const files = ['SNMPv2-SMI', 'SNMPv2-TC', 'SNMPv2-CONF', 'SNMPv2-MIB', 'IF-MIB', 'IANAifType-MIB'].map((m) => ({
      path: `${m}.mib`,
      text: readFileSync(new URL(`${m}.mib`, dir), 'utf8'),
    }));
    const published = compileMibs(files, []);
    expect(published.problems).toEqual([]);
    let compared = 0;
    for (const m of published.modules) {
      const fact = builtinModules().find((b) => b.name === m.name);
      for (const n of fact?.nodes ?? []) {
        const there = m.nodes.find((x) => x.name === n.name);
        expect(there, `${m.name}::${n.name}`).toBeDefined();
        const { type, ...rest } = there!;
        const { type: own, ...ownRest } = n;
        expect(ownRest, n.name).toEqual(rest.kind === 'row' ? { ...rest, index: ownRest.index } : rest);
        expect({ base: own?.base, hint: own?.hint, values: own?.values }, n.name).toEqual({
          base: type?.base,
          hint: type?.hint,
          values: type?.values,
        });
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(90);
  });

  it('agrees with the parser of the net-snmp package on names, OIDs and notification objects', () => {
    const snmp = createRequire(import.meta.url)('net-snmp') as {
      createModuleStore(): {
        parser: { ParseModule(name: string, text: string): void; Serialize(): void };
        getModule(name: string): Record<string, { OID?: string; OBJECTS?: string[] }>;
      };
    };
    const store = snmp.createModuleStore();
    const generated = generateModule(11, 3);
    for (const [file, text] of [
      ...Object.entries(SUPPORT).filter(([f]) => /FRAMEWORK|INET/.test(f)),
      [generated.file, generated.text],
    ])
      store.parser.ParseModule(file.replace('.txt', ''), text);
    store.parser.Serialize();
    const theirs = store.getModule('GEN-3-MIB');
    const ours = compile({ path: generated.file, text: generated.text });
    expect(ours.problems).toEqual([]);
    let compared = 0;
    for (const n of ours.modules[0].nodes) {
      expect(theirs[n.name]?.OID, n.name).toBe(n.oid);
      if (n.objects) {
        const named = n.objects.map((o) => ours.modules[0].nodes.find((x) => x.oid === o)?.name);
        expect(named).toEqual(theirs[n.name].OBJECTS);
      }
      compared++;
    }
    expect(compared).toBeGreaterThan(90);
  });
});

describe('the table', () => {
  const c = compile(...[1, 2].map((k) => generateModule(5, k)).map((g) => ({ path: g.file, text: g.text })));
  const laid = layOut([...builtinModules(), ...c.modules]);
  const bytes = encodeTable(laid.text, laid.arrays);

  it('is the same after it was written and read', () => {
    const again = decodeTable(bytes);
    if (typeof again === 'string') throw new Error(again);
    const before = new MibTable(laid.text, laid.arrays);
    expect(again.size).toBe(before.size);
    for (let i = 1; i < before.size; i++) {
      expect(again.oid(i)).toBe(before.oid(i));
      expect(again.fullName(i)).toBe(before.fullName(i));
      expect(again.type(i)).toEqual(before.type(i));
      if (again.hasName(i)) expect(again.exact(again.oid(i))).toBe(i);
    }
  });

  it('becomes modules again, of which the same table is made', () => {
    const table = decodeTable(bytes) as MibTable;
    const again = layOut(modulesOf(table));
    expect(again.text.names.length).toBe(laid.text.names.length);
    const other = new MibTable(again.text, again.arrays);
    for (let i = 1; i < table.size; i++) {
      if (!table.hasName(i)) continue;
      const j = other.exact(table.oid(i));
      expect(other.fullName(j)).toBe(table.fullName(i));
      expect(other.kind(j)).toBe(table.kind(i));
      expect(other.text.notifications[j]).toEqual(table.text.notifications[i]?.map((o) => other.exact(table.oid(o))));
    }
  });

  it.each([
    ['another file', Buffer.from('hello'), /not a compiled MIB table/],
    ['a newer version', Buffer.concat([bytes.subarray(0, 5), Buffer.of(9), bytes.subarray(6)]), /version 9/],
    ['a torn file', bytes.subarray(0, bytes.length - 9), /damaged/],
    [
      'a flipped bit',
      Buffer.concat([bytes.subarray(0, 300), Buffer.of(bytes[300] ^ 1), bytes.subarray(301)]),
      /damaged/,
    ],
  ])('%s is refused', (_, b, why) => expect(decodeTable(b)).toMatch(why));

  it('names what it gives names to, and finds the OIDs of the names', () => {
    const names = new Names(decodeTable(bytes) as MibTable);
    const r = new Random(1);
    for (const g of [1, 2].map((k) => generateModule(5, k)))
      for (const n of g.notifications) {
        expect(names.trap(n.oid)).toBe(n.name);
        for (const v of n.varbinds(r)) {
          const named = names.object(v.oid)!;
          expect(named.type, v.oid).toBeDefined();
          expect(v.oid.endsWith(named.instance)).toBe(true);
        }
      }
    expect(translate(names, 'IF-MIB::ifOperStatus.7')).toMatchObject({
      oid: '1.3.6.1.2.1.2.2.1.8.7',
      instance: '7',
      index: ['IF-MIB::ifIndex'],
    });
    expect(translate(names, 'cbgpPeer2State.ipv4."192.0.2.1"')).toMatchObject({
      oid: '1.3.6.1.4.1.9.9.187.1.2.5.1.3.1.4.192.0.2.1',
    });
    expect(translate(names, '.1.3.6.1.6.3.1.1.5.3')).toMatchObject({ name: 'IF-MIB::linkDown', kind: 'notification' });
    expect(translate(names, 'noSuchName')).toMatch(/nothing is called/);
    expect(translate(names, 'ifIndex."')).toMatch(/no instance/);
    expect(translate(names, '***')).toMatch(/neither/);
  });

  it('a walk over made-up OIDs ends and costs no memory for ever', () => {
    const names = new Names(decodeTable(bytes) as MibTable);
    fc.assert(
      fc.property(fc.array(fc.nat(4294967295), { minLength: 1, maxLength: 130 }), (arcs) => {
        names.object(`1.3.6.1.${arcs.join('.')}`);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('values as text', () => {
  const c = compile(
    module(
      'V-MIB',
      `v OBJECT IDENTIFIER ::= { enterprises 99999 }
vTable OBJECT-TYPE SYNTAX SEQUENCE OF VEntry MAX-ACCESS not-accessible STATUS current DESCRIPTION "" ::= { v 1 }
vEntry OBJECT-TYPE SYNTAX VEntry MAX-ACCESS not-accessible STATUS current DESCRIPTION "" INDEX { vIndex } ::= { vTable 1 }
VEntry ::= SEQUENCE { vIndex Integer32, vKind InetAddressType, vAddress InetAddress }
vIndex OBJECT-TYPE SYNTAX Integer32 MAX-ACCESS not-accessible STATUS current DESCRIPTION "" ::= { vEntry 1 }
vKind OBJECT-TYPE SYNTAX InetAddressType MAX-ACCESS read-only STATUS current DESCRIPTION "" ::= { vEntry 2 }
vAddress OBJECT-TYPE SYNTAX InetAddress MAX-ACCESS read-only STATUS current DESCRIPTION "" ::= { vEntry 3 }
vBits OBJECT-TYPE SYNTAX BITS { a(0), b(1), c(9) } MAX-ACCESS read-only STATUS current DESCRIPTION "" ::= { v 2 }`,
      'enterprises FROM SNMPv2-SMI InetAddress, InetAddressType FROM INET-ADDRESS-MIB',
    ),
  );
  const names = namesOf(c.modules);
  const V = '1.3.6.1.4.1.99999';
  const text = (v: VarBind, ...all: VarBind[]) => renderVarBind(names, v, [v, ...all]);

  it('InetAddress: by the type that came along, by that of the index, else by its length', () => {
    const kind = (n: number) => varbind(`${V}.1.1.2.5`, 'integer32', n);
    const address = (octets: string, instance = '5') =>
      varbind(`${V}.1.1.3.${instance}`, 'octet-string', Buffer.from(octets, 'hex'));
    expect(text(address('c0000201'), kind(1)).text).toBe('192.0.2.1');
    // Four characters of a name (16) are no address, and another row's type says nothing.
    expect(text(address('61626364'), kind(16))).toMatchObject({ value: 'abcd', text: undefined });
    expect(text(address('61626364', '6'), kind(16)).text).toBe('97.98.99.100');
    expect(text(address('20010db8000000000000000000000001'), kind(2)).text).toBe('2001:db8::1');
    expect(text(address(`fe80${'00'.repeat(13)}01${'00000003'}`), kind(4)).text).toBe('fe80::1%3');
    expect(text(address('c000020100000007')).text).toBe('192.0.2.1%7');
    const indexed = varbind('1.3.6.1.4.1.9.9.187.1.2.5.1.2.16.4.97.98.99.100', 'octet-string', Buffer.from('abcd'));
    expect(text(indexed).text).toBeUndefined();
  });

  it('BITS, times, labels, OIDs, and what needs no text', () => {
    const of = (oid: string, type: VarBind['type'], value: VarBind['value']) => {
      const { value: v, text: t } = text(varbind(oid, type, value));
      return [v, t];
    };
    expect(of(`${V}.2.0`, 'octet-string', Buffer.of(0x81, 0x40))).toEqual(['0x8140', 'a 7 c']);
    expect(of(`${V}.2.0`, 'octet-string', Buffer.of(0x41))).toEqual(['0x41', 'b 7']);
    expect(of('1.3.6.1.2.1.1.3.0', 'timeticks', 26_645_607)).toEqual([26_645_607, '3 days, 2:00:56.07']);
    expect(of('1.3.6.1.2.1.1.3.0', 'timeticks', 8_640_000)).toEqual([8_640_000, '1 day, 0:00:00.00']);
    expect(of('1.3.6.1.2.1.2.2.1.8.3', 'integer32', 2)).toEqual([2, 'down']);
    expect(of('1.3.6.1.2.1.2.2.1.8.3', 'integer32', 99)).toEqual([99, undefined]);
    expect(of('1.3.6.1.2.1.2.2.1.3.3', 'integer32', 6)).toEqual([6, 'ethernetCsmacd']);
    expect(of('1.3.6.1.2.1.2.2.1.6.3', 'octet-string', Buffer.from('ABCDEF'))).toEqual([
      '0x414243444546',
      '41:42:43:44:45:46',
    ]);
    expect(of('1.3.6.1.2.1.2.2.1.2.3', 'octet-string', Buffer.from('eth0'))).toEqual(['eth0', undefined]);
    expect(of('1.3.6.1.2.1.1.2.0', 'oid', '1.3.6.1.4.1.8072.3.2.10')).toEqual([
      '1.3.6.1.4.1.8072.3.2.10',
      'NET-SNMP-TC::linux',
    ]);
    expect(of('1.3.6.1.2.1.2.2.1.1.3', 'integer32', 3)).toEqual([3, undefined]);
    expect(of('1.3.6.1.2.1.47.1.1.1.1.17.1', 'octet-string', Buffer.from('07c8051a0d1e0f00', 'hex'))).toEqual([
      '0x07c8051a0d1e0f00',
      '1992-5-26,13:30:15.0',
    ]);
  });
});
