/** Modules → table. Where two modules name the same OID, the later one wins, except that an object beats a bare name and SMIv1's old modules lose. */
import type { MibModule, MibNode, MibType } from './model.ts';
import { KINDS, MibTable, type TableArrays, type TableText } from './table.ts';

/** Their objects live on in SMIv2 modules with the same OIDs. */
const HISTORIC = /^(RFC1\d{3}-|RFC-1\d{3})/;

const ROOTS: MibNode[] = [
  { name: 'ccitt', oid: '0', kind: 'node' },
  { name: 'iso', oid: '1', kind: 'node' },
  { name: 'joint-iso-ccitt', oid: '2', kind: 'node' },
];

interface Draft {
  arc: number;
  children: Map<number, Draft>;
  node?: MibNode;
  module: string;
  number: number;
}

/** `modules` in order of precedence, the last one first. */
export function buildTable(modules: readonly MibModule[]): MibTable {
  const { text, arrays } = layOut(modules);
  return new MibTable(text, arrays);
}

export function layOut(modules: readonly MibModule[]): { text: TableText; arrays: TableArrays } {
  const root: Draft = { arc: 0, children: new Map(), module: '', number: 0 };
  for (const n of ROOTS) plant(root, n, '');
  for (const m of modules) for (const n of m.nodes) plant(root, n, m.name);
  const order: Draft[] = [root];
  const byOid = new Map<string, Draft>();
  const count = countOf(root);
  const arrays: TableArrays = {
    arc: new Uint32Array(count),
    first: new Uint32Array(count + 1),
    name: new Uint32Array(count),
    module: new Uint32Array(count),
    info: new Uint32Array(count),
  };
  const names = new Interner();
  const moduleNames = new Interner();
  moduleNames.of('');
  const types = new Map<string, number>();
  const text: TableText = { names: [], modules: [], types: [], rows: {}, notifications: {}, addressTypes: {} };
  for (let i = 0; i < order.length; i++) {
    const d = order[i];
    d.number = i;
    arrays.arc[i] = d.arc;
    arrays.first[i] = order.length;
    for (const c of [...d.children.values()].sort((a, b) => a.arc - b.arc)) order.push(c);
    const n = d.node;
    if (!n) continue;
    byOid.set(n.oid, d);
    arrays.name[i] = names.of(n.name) + 1;
    arrays.module[i] = moduleNames.of(d.module);
    arrays.info[i] = KINDS.indexOf(n.kind) | (typeNumber(n.type, types, text.types) << 3);
  }
  arrays.first[count] = count;
  text.names = names.list;
  text.modules = moduleNames.list;
  for (const d of order) link(d, byOid, text);
  return { text, arrays };
}

function plant(root: Draft, n: MibNode, module: string): void {
  let d = root;
  for (const part of n.oid.split('.')) {
    const arc = Number(part);
    let next = d.children.get(arc);
    if (!next) {
      next = { arc, children: new Map(), module: '', number: 0 };
      d.children.set(arc, next);
    }
    d = next;
  }
  if (d.node && rank(d.node, d.module) > rank(n, module)) return;
  d.node = n;
  d.module = module;
}

function rank(n: MibNode, module: string): number {
  return (HISTORIC.test(module) ? 0 : 2) + (n.kind === 'node' ? 0 : 1);
}

function countOf(d: Draft): number {
  let count = 1;
  for (const c of d.children.values()) count += countOf(c);
  return count;
}

/** What of a node points at other nodes. */
function link(d: Draft, byOid: Map<string, Draft>, text: TableText): void {
  const n = d.node;
  if (n?.index) {
    text.rows[d.number] = {
      parts: n.index.map((p) => (p.oid === undefined ? -1 : (byOid.get(p.oid)?.number ?? -1))),
      implied: n.index.at(-1)?.implied === true,
    };
  }
  if (n?.objects) {
    const objects = n.objects.flatMap((oid) => byOid.get(oid)?.number ?? []);
    if (objects.length > 0) text.notifications[d.number] = objects;
  }
  let addressType: Draft | undefined;
  for (const c of [...d.children.values()].sort((a, b) => a.arc - b.arc)) {
    if (c.node?.type?.tc === 'InetAddressType') addressType = c;
    else if (c.node?.type?.tc === 'InetAddress' && addressType) text.addressTypes[c.number] = addressType.number;
  }
}

function typeNumber(t: MibType | undefined, known: Map<string, number>, list: MibType[]): number {
  if (!t) return 0;
  const key = JSON.stringify(t);
  let n = known.get(key);
  if (n === undefined) {
    list.push(t);
    n = list.length;
    known.set(key, n);
  }
  return n;
}

class Interner {
  readonly list: string[] = [];
  private readonly known = new Map<string, number>();

  of(text: string): number {
    let n = this.known.get(text);
    if (n === undefined) {
      n = this.list.length;
      this.list.push(text);
      this.known.set(text, n);
    }
    return n;
  }
}
