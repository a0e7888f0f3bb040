/**
 * MIB modules made from a seed, over all textual conventions, hints and index forms, and notifications to go with them. A compiler and a
 * receiver are judged by what another one makes of the same modules and bytes.
 */
import { Buffer } from 'node:buffer';
import type { VarBindInput } from '../../src/codec/snmp/encode.ts';

export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed >>> 0;
  }
  /** 0 to below `n`. */
  int(n: number): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
  }
  between(low: number, high: number): number {
    return low + this.int(high - low + 1);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)];
  }
  bytes(n: number): Buffer {
    return Buffer.from(Array.from({ length: n }, () => this.int(256)));
  }
  word(low: number, high: number): string {
    return Array.from({ length: this.between(low, high) }, () =>
      this.pick([...'abcdefghijklmnopqrstuvwxyz0123456789-_']),
    ).join('');
  }
}

/** A kind of object: its SYNTAX, a value of it, and as the part of an index its arcs. */
interface Form {
  syntax: (prefix: string) => string;
  value: (r: Random) => Omit<VarBindInput, 'oid'>;
  index?: (r: Random) => number[];
  /** The index arcs of its last place, IMPLIED. */
  implied?: (r: Random) => number[];
}

const integer = (r: Random) => ({ type: 'integer32' as const, value: r.pick([0, 1, -1, 2147483647, r.int(100_000)]) });
const octets = (value: Buffer) => ({ type: 'octet-string' as const, value });
const withLength = (b: Buffer): number[] => [b.length, ...b];

/** Textual conventions with a hint: the hint, sizes its octets may have, or the octets themselves. */
const OCTET_HINTS: { hint: string; of: (r: Random) => Buffer }[] = [
  { hint: '1x:', of: (r) => r.bytes(r.between(1, 12)) },
  { hint: '1x', of: (r) => r.bytes(r.between(1, 12)) },
  { hint: '2x:', of: (r) => r.bytes(2 * r.between(1, 8)) },
  { hint: '4x-', of: (r) => r.bytes(4 * r.between(1, 3)) },
  { hint: '1d.', of: (r) => r.bytes(r.between(1, 8)) },
  { hint: '1d.1d.1d.1d/2d', of: (r) => r.bytes(6) },
  { hint: '2d-1d-1d,1d:1d:1d.1d,1a1d:1d', of: (r) => dateAndTime(r) },
  { hint: '1o ', of: (r) => r.bytes(r.between(1, 6)) },
  { hint: '2d,', of: (r) => r.bytes(2 * r.between(1, 4)) },
  { hint: '1a1d:', of: (r) => Buffer.concat([Buffer.from(r.pick(['x', 'Q', '+'])), r.bytes(1)]) },
  { hint: '*1x:', of: (r) => group(r) },
  { hint: '*2d,1x', of: (r) => Buffer.concat([Buffer.of(2), r.bytes(4), r.bytes(r.between(0, 2))]) },
  { hint: '255a', of: (r) => Buffer.from(r.word(1, 30)) },
  { hint: '3a-', of: (r) => Buffer.from(r.word(3, 9)) },
  { hint: '127t', of: (r) => Buffer.from(`${r.word(1, 8)} Zürich ${r.pick(['ß', '漢字', '€'])}`) },
];

const INTEGER_HINTS = ['d', 'd-1', 'd-2', 'd-3', 'd-6', 'x', 'o'];

function dateAndTime(r: Random): Buffer {
  const b = Buffer.of(
    0x07,
    r.between(0xc0, 0xff),
    r.between(1, 12),
    r.between(1, 31),
    r.int(24),
    r.int(60),
    r.int(61),
    r.int(10),
  );
  return r.int(2) === 0 ? b : Buffer.concat([b, Buffer.from(r.pick(['+', '-'])), Buffer.of(r.int(14), r.int(60))]);
}

function group(r: Random): Buffer {
  const n = r.between(1, 4);
  return Buffer.concat([Buffer.of(n), r.bytes(n)]);
}

const text = (r: Random) => Buffer.from(r.word(0, 12));
const oidArcs = (r: Random) => [1, 3, 6, ...Array.from({ length: r.between(1, 5) }, () => r.int(5000))];

const FORMS: Record<string, Form> = {
  integer: { syntax: () => 'Integer32', value: integer, index: (r) => [r.int(2147483647)] },
  range: {
    syntax: () => 'Integer32 (0..2147483647)',
    value: (r) => ({ type: 'integer32', value: r.int(5000) }),
    index: (r) => [r.int(70_000)],
  },
  unsigned: {
    syntax: () => 'Unsigned32',
    value: (r) => ({ type: 'gauge32', value: r.pick([0, 4294967295, r.int(9999)]) }),
    index: (r) => [r.pick([0, 4294967295, 77])],
  },
  gauge: {
    syntax: () => 'Gauge32',
    value: (r) => ({ type: 'gauge32', value: r.int(1_000_000) }),
    index: (r) => [r.int(999)],
  },
  counter: {
    syntax: () => 'Counter32',
    value: (r) => ({ type: 'counter32', value: r.pick([0, 4294967295, r.int(9999)]) }),
  },
  counter64: {
    syntax: () => 'Counter64',
    value: (r) => ({ type: 'counter64', value: r.pick([0n, 18446744073709551615n, BigInt(r.int(99_999))]) }),
  },
  ticks: {
    syntax: () => 'TimeTicks',
    value: (r) => ({ type: 'timeticks', value: r.pick([0, 1, 8_640_000, 17_280_001, r.int(4_000_000_000)]) }),
    index: (r) => [r.int(9_999_999)],
  },
  enumerated: {
    syntax: () => 'INTEGER { up(1), down(2), not-there(-3), big(70000) }',
    value: (r) => ({ type: 'integer32', value: r.pick([1, 2, -3, 70_000, 5]) }),
    index: (r) => [r.pick([1, 2, 70_000, 5])],
  },
  truth: {
    syntax: () => 'TruthValue',
    value: (r) => ({ type: 'integer32', value: r.pick([1, 2]) }),
    index: (r) => [r.pick([1, 2])],
  },
  // Only bits that have a label: behind one that has none Net-SNMP finds no label any more.
  bits: {
    syntax: () => 'BITS { alpha(0), beta(1), gamma(7), delta(9) }',
    value: (r) => octets(Buffer.of(r.pick([0, 0x80, 0x40, 0xc0, 0x81, 0xc1]), r.pick([0, 0x40]))),
  },
  string: {
    syntax: () => 'OCTET STRING',
    value: (r) => octets(r.pick([r.bytes(r.between(1, 9)), text(r)])),
    index: (r) => withLength(r.pick([r.bytes(r.between(0, 9)), text(r)])),
    implied: (r) => [...Buffer.from(r.word(1, 9))],
  },
  sized: {
    syntax: () => 'OCTET STRING (SIZE (0..32))',
    value: (r) => octets(text(r)),
    index: (r) => withLength(text(r)),
    implied: (r) => [...r.bytes(r.between(1, 6))],
  },
  fixed: {
    syntax: () => 'OCTET STRING (SIZE (5))',
    value: (r) => octets(r.bytes(5)),
    index: (r) => [...r.pick([r.bytes(5), Buffer.from(r.word(5, 5))])],
  },
  display: {
    syntax: () => 'DisplayString',
    value: (r) => octets(Buffer.from(r.word(1, 20))),
    index: (r) => withLength(text(r)),
    implied: (r) => [...Buffer.from(r.word(1, 9))],
  },
  admin: {
    syntax: () => 'SnmpAdminString (SIZE (1..32))',
    value: (r) => octets(Buffer.from(r.word(1, 20))),
    index: (r) => withLength(Buffer.from(r.word(1, 8))),
    implied: (r) => [...Buffer.from(r.word(1, 9))],
  },
  mac: { syntax: () => 'MacAddress', value: (r) => octets(r.bytes(6)), index: (r) => [...r.bytes(6)] },
  phys: {
    syntax: () => 'PhysAddress',
    value: (r) => octets(r.bytes(r.between(1, 8))),
    index: (r) => withLength(r.bytes(r.between(1, 8))),
  },
  date: { syntax: () => 'DateAndTime', value: (r) => octets(dateAndTime(r)) },
  address: {
    syntax: () => 'IpAddress',
    value: (r) => ({ type: 'ip-address', value: [...r.bytes(4)].join('.') }),
    index: (r) => [...r.bytes(4)],
  },
  oid: {
    syntax: () => 'OBJECT IDENTIFIER',
    value: (r) => ({ type: 'oid', value: oidArcs(r).join('.') }),
    index: (r) => ((a) => [a.length, ...a])(oidArcs(r)),
    implied: (r) => oidArcs(r),
  },
  pointer: {
    syntax: () => 'RowPointer',
    value: (r) => ({ type: 'oid', value: `1.3.6.1.2.1.2.2.1.${r.between(1, 22)}.${r.int(99)}` }),
  },
  inet: { syntax: () => 'InetAddress', value: (r) => octets(r.bytes(r.pick([4, 16]))) },
};
for (const [i, h] of OCTET_HINTS.entries()) {
  FORMS[`octets${i}`] = {
    syntax: (p) => `${p}Octets${i}`,
    value: (r) => octets(h.of(r)),
    index: (r) => withLength(h.of(r)),
  };
}
for (const [i, hint] of INTEGER_HINTS.entries()) {
  const low = hint.length > 1 ? 1_000_000 : 0;
  FORMS[`number${i}`] = {
    syntax: (p) => `${p}Number${i}`,
    value: (r) => ({ type: 'integer32', value: low + r.int(1_000_000) }),
    index: (r) => [r.int(9999)],
  };
}
const NAMES = Object.keys(FORMS);

export interface Generated {
  file: string;
  text: string;
  notifications: { oid: string; name: string; varbinds: (r: Random) => VarBindInput[] }[];
}

interface Table {
  entry: number[];
  columns: { arc: number; name: string; form: Form }[];
  instance: (r: Random) => number[];
}

const ENTERPRISE = '1.3.6.1.4.1.99999';

/** Module number `k` of a seed. */
export function generateModule(seed: number, k: number): Generated {
  const r = new Random(seed * 1009 + k);
  const p = `G${k}`;
  const low = `g${k}`;
  const name = `GEN-${k}-MIB`;
  const lines: string[] = [];
  const say = (...l: string[]): void => void lines.push(...l);
  const tables: Table[] = [];
  const scalars: { name: string; oid: string; form: Form }[] = [];
  for (const [i, h] of OCTET_HINTS.entries())
    say(
      `${p}Octets${i} ::= TEXTUAL-CONVENTION`,
      `    DISPLAY-HINT "${h.hint}"`,
      '    STATUS current',
      `    DESCRIPTION "-- ''quotes' ::= {"`,
      '    SYNTAX OCTET STRING (SIZE (0..255))',
      '',
    );
  for (const [i, hint] of INTEGER_HINTS.entries())
    say(
      `${p}Number${i} ::= TEXTUAL-CONVENTION`,
      `    DISPLAY-HINT "${hint}"`,
      '    STATUS current',
      '    DESCRIPTION ""',
      '    SYNTAX Integer32',
      '',
    );
  const object = (n: string, syntax: string, access: string, at: string, more = ''): void =>
    say(
      `${n} OBJECT-TYPE -- ${r.word(3, 9).replaceAll('-', '')}`,
      `    SYNTAX ${syntax}`,
      `    MAX-ACCESS ${access}`,
      '    STATUS current',
      '    DESCRIPTION "of no',
      '      importance"',
      ...(more === '' ? [] : [`    ${more}`]),
      `    ::= { ${at} }`,
      '',
    );
  for (const [i, f] of NAMES.entries()) {
    object(`${low}Scalar${i}`, FORMS[f].syntax(p), 'read-only', `${low}Objects ${i + 100}`);
    scalars.push({ name: `${low}Scalar${i}`, oid: `${ENTERPRISE}.${k}.1.${i + 100}.0`, form: FORMS[f] });
  }
  for (let t = 1; t <= 8; t++) tables.push(makeTable(r, t));
  const notifications: Generated['notifications'] = [];
  const columns = tables.flatMap((t) => t.columns.map((c) => ({ ...c, t })));
  for (let n = 1; n <= 10; n++) {
    const own = Array.from({ length: r.between(2, 5) }, () => (r.int(3) === 0 ? undefined : r.pick(columns)));
    const objects = own.map((c) => (c ? { c } : { s: r.pick(scalars) }));
    const names = objects.map((o) => ('c' in o ? o.c!.name : o.s.name));
    say(
      `${low}Event${n} NOTIFICATION-TYPE`,
      `    OBJECTS { ${names.join(', ')} }`,
      '    STATUS current',
      '    DESCRIPTION ""',
      `    ::= { ${low}Events ${n} }`,
      '',
    );
    notifications.push({
      oid: `${ENTERPRISE}.${k}.0.${n}`,
      name: `${name}::${low}Event${n}`,
      varbinds: (rr) =>
        objects.map((o) =>
          'c' in o && o.c
            ? {
                oid: [...ENTERPRISE.split('.').map(Number), k, ...o.c.t.entry, o.c.arc, ...o.c.t.instance(rr)].join(
                  '.',
                ),
                ...o.c.form.value(rr),
              }
            : { oid: o.s!.oid, ...o.s!.form.value(rr) },
        ),
    });
  }

  function makeTable(rr: Random, t: number): Table {
    const base = `${low}T${t}`;
    const columns: Table['columns'] = [];
    const parts: { name: string; form: Form; implied: boolean }[] = [];
    const withInet = rr.int(3) === 0;
    const candidates = NAMES.filter((n) => FORMS[n].index);
    const count = rr.between(1, 3);
    for (let i = 1; i <= count; i++) {
      const last = i === count && !withInet;
      let form = FORMS[rr.pick(candidates)];
      let implied = false;
      if (last && rr.int(2) === 0) {
        form = FORMS[rr.pick(candidates.filter((n) => FORMS[n].implied))];
        implied = true;
      }
      parts.push({ name: `${base}Index${i}`, form, implied });
    }
    const index = parts.map((x) => (x.implied ? `IMPLIED ${x.name}` : x.name));
    if (withInet) index.push(`${base}AddrType`, `${base}Addr`);
    object(`${base}Table`, `SEQUENCE OF ${p}T${t}Entry`, 'not-accessible', `${low}Objects ${t}`);
    const body = rr.pick(['', '-- a "comment" with quotes']);
    object(
      `${base}Entry`,
      `${p}T${t}Entry`,
      'not-accessible',
      `${base}Table 1`,
      `INDEX { ${index.join(', ')} } ${body}`,
    );
    const members: string[] = [];
    let arc = 1;
    for (const part of parts) {
      members.push(`${part.name} ${bare(part.form.syntax(p))}`);
      object(part.name, part.form.syntax(p), 'not-accessible', `${base}Entry ${arc++}`);
    }
    if (withInet) {
      members.push(`${base}AddrType InetAddressType`, `${base}Addr InetAddress`);
      object(`${base}AddrType`, 'InetAddressType', 'not-accessible', `${base}Entry ${arc++}`);
      object(`${base}Addr`, 'InetAddress', 'not-accessible', `${base}Entry ${arc++}`);
    }
    for (let i = 1; i <= 5; i++) {
      const form = FORMS[rr.pick(NAMES)];
      const column = { arc: arc++, name: `${base}Column${i}`, form };
      columns.push(column);
      members.push(`${column.name} ${bare(form.syntax(p))}`);
      object(column.name, form.syntax(p), 'read-only', `${base}Entry ${column.arc}`);
    }
    say(`${p}T${t}Entry ::= SEQUENCE { ${members.join(', ')} }`, '');
    return {
      entry: [1, t, 1],
      columns,
      instance: (x) => [
        ...parts.flatMap((part) => (part.implied ? part.form.implied!(x) : part.form.index!(x))),
        ...(withInet ? inetIndex(x) : []),
      ],
    };
  }

  const text = [
    `-- made from seed ${seed}`,
    `${name} DEFINITIONS ::= BEGIN`,
    'IMPORTS',
    '    MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE, Integer32, Unsigned32, Gauge32, Counter32,',
    '    Counter64, TimeTicks, IpAddress, enterprises FROM SNMPv2-SMI',
    '    TEXTUAL-CONVENTION, DisplayString, TruthValue, MacAddress, PhysAddress, DateAndTime, RowPointer FROM SNMPv2-TC',
    '    SnmpAdminString FROM SNMP-FRAMEWORK-MIB',
    '    InetAddress, InetAddressType FROM INET-ADDRESS-MIB;',
    '',
    `${low}MIB MODULE-IDENTITY`,
    '    LAST-UPDATED "202601010000Z"',
    '    ORGANIZATION "none"',
    '    CONTACT-INFO "none"',
    '    DESCRIPTION "OBJECT-TYPE ::= { in a text }"',
    `    ::= { enterprises 99999 ${k} }`,
    `${low}Events OBJECT IDENTIFIER ::= { ${low}MIB 0 }`,
    `${low}Objects OBJECT IDENTIFIER ::= { ${low}MIB 1 }`,
    '',
    ...lines,
    'END',
    '',
  ].join('\n');
  return { file: `${name}.txt`, text, notifications };
}

function inetIndex(r: Random): number[] {
  const [kind, length] = r.pick([
    [1, 4],
    [2, 16],
    [3, 8],
    [4, 20],
    [16, 0],
  ]);
  const b = kind === 16 ? Buffer.from(`${r.word(1, 8)}.example`) : r.bytes(length);
  return [kind, ...withLength(b)];
}

/** What a SEQUENCE names: the type without its constraint. */
function bare(syntax: string): string {
  return syntax.replace(/\s*[({].*$/, '').replace('BITS', 'BITS');
}

/** Modules that the generated ones import from and that are free to be written down: only the types that are used. */
export const SUPPORT: Record<string, string> = {
  'SNMP-FRAMEWORK-MIB.txt': `SNMP-FRAMEWORK-MIB DEFINITIONS ::= BEGIN
IMPORTS snmpModules FROM SNMPv2-SMI TEXTUAL-CONVENTION FROM SNMPv2-TC;
snmpFrameworkMIB OBJECT IDENTIFIER ::= { snmpModules 10 }
SnmpAdminString ::= TEXTUAL-CONVENTION
    DISPLAY-HINT "255t"
    STATUS current
    DESCRIPTION ""
    SYNTAX OCTET STRING (SIZE (0..255))
END
`,
  'INET-ADDRESS-MIB.txt': `INET-ADDRESS-MIB DEFINITIONS ::= BEGIN
IMPORTS mib-2 FROM SNMPv2-SMI TEXTUAL-CONVENTION FROM SNMPv2-TC;
inetAddressMIB OBJECT IDENTIFIER ::= { mib-2 76 }
InetAddressType ::= TEXTUAL-CONVENTION
    STATUS current
    DESCRIPTION ""
    SYNTAX INTEGER { unknown(0), ipv4(1), ipv6(2), ipv4z(3), ipv6z(4), dns(16) }
InetAddress ::= TEXTUAL-CONVENTION
    STATUS current
    DESCRIPTION ""
    SYNTAX OCTET STRING (SIZE (0..255))
${['InetAddressPrefixLength', 'InetPortNumber', 'InetScopeType'].map((tc) => `${tc} ::= TEXTUAL-CONVENTION STATUS current DESCRIPTION "" SYNTAX Unsigned32`).join('\n')}
END
`,
  'HCNUM-TC.txt': `HCNUM-TC DEFINITIONS ::= BEGIN
IMPORTS Counter64 FROM SNMPv2-SMI TEXTUAL-CONVENTION FROM SNMPv2-TC;
CounterBasedGauge64 ::= TEXTUAL-CONVENTION
    STATUS current
    DESCRIPTION ""
    SYNTAX Counter64
END
`,
  // SMIv1: a trap of an enterprise has the OID ENTERPRISE.0.n.
  'GEN-V1-MIB.txt': `GEN-V1-MIB DEFINITIONS ::= BEGIN
IMPORTS enterprises FROM RFC1155-SMI OBJECT-TYPE FROM RFC-1212 TRAP-TYPE FROM RFC-1215 DisplayString FROM RFC1213-MIB;
genV1 OBJECT IDENTIFIER ::= { enterprises 99998 }
genV1Name OBJECT-TYPE
    SYNTAX DisplayString (SIZE (0..255))
    ACCESS read-only
    STATUS mandatory
    DESCRIPTION ""
    ::= { genV1 1 }
genV1State OBJECT-TYPE
    SYNTAX INTEGER { good(1), bad(2) }
    ACCESS read-only
    STATUS mandatory
    ::= { genV1 2 }
genV1Trap TRAP-TYPE
    ENTERPRISE genV1
    VARIABLES { genV1Name, genV1State }
    DESCRIPTION "x"
    ::= 7
END
`,
};
