/**
 * The compiled table: every known OID as a tree in flat arrays. A few bytes a node, no object each; loading is one pass over the header
 * and a look at each array.
 *
 *   octets   content (integers are little endian, arrays 4-byte aligned)
 *   5        "TGMIB"
 *   1        version, 1. A reader refuses any other.
 *   2        0
 *   4        CRC-32 of all that follows these 12 octets
 *   4        n, the number of nodes
 *   4        m, the length of the text part, padded with spaces to a multiple of 4
 *   m        the text part: JSON, see `TableText`
 *   4n       arc: the last number of the node's OID
 *   4(n+1)   first: the children of node i are the nodes first[i] to first[i + 1] - 1, in order of their arcs
 *   4n       name: index into `names`, plus 1; 0 is a node without a name
 *   4n       module: index into `modules`
 *   4n       info: kind (3 bits, in the order of KINDS), and above it the index into `types`, plus 1; 0 is a node without a type
 *
 * Node 0 is the root, the parent of ccitt(0), iso(1) and joint-iso-ccitt(2). Nodes are in order of depth, so that the children of one
 * node are neighbours and found by bisection.
 */
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import type { MibType, NodeKind } from './model.ts';

export const TABLE_VERSION = 1;
const MAGIC = 'TGMIB';
const HEADER = 20;
const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
export const KINDS: readonly NodeKind[] = ['node', 'scalar', 'table', 'row', 'column', 'notification'];

export interface TableText {
  names: string[];
  modules: string[];
  types: MibType[];
  /** Row → its index: node of each object (-1 where it is not known), the last one IMPLIED where `implied`. */
  rows: Record<number, { parts: number[]; implied: boolean }>;
  /** Notification → its objects. */
  notifications: Record<number, number[]>;
  /** Object of type InetAddress → the object beside it that says which kind of address it is. */
  addressTypes: Record<number, number>;
}

export interface TableArrays {
  arc: Uint32Array;
  first: Uint32Array;
  name: Uint32Array;
  module: Uint32Array;
  info: Uint32Array;
}

/** The bytes of a table. */
export function encodeTable(text: TableText, a: TableArrays): Buffer {
  const raw = Buffer.from(JSON.stringify(text));
  const padded = Math.ceil(raw.length / 4) * 4;
  const head = Buffer.alloc(HEADER + padded, 0x20);
  head.write(MAGIC, 0, 'latin1');
  head[5] = TABLE_VERSION;
  head.writeUInt16LE(0, 6);
  head.writeUInt32LE(a.arc.length, 12);
  head.writeUInt32LE(padded, 16);
  raw.copy(head, HEADER);
  const out = Buffer.concat([head, ...[a.arc, a.first, a.name, a.module, a.info].map(bytesOf)]);
  out.writeUInt32LE(crc32(out.subarray(12)), 8);
  return out;
}

function bytesOf(a: Uint32Array): Buffer {
  const b = Buffer.alloc(a.length * 4);
  for (let i = 0; i < a.length; i++) b.writeUInt32LE(a[i], i * 4);
  return b;
}

/** A table from its bytes, or why they are none. Never throws. */
export function decodeTable(b: Buffer): MibTable | string {
  if (b.length < HEADER || b.toString('latin1', 0, 5) !== MAGIC) return 'not a compiled MIB table';
  if (b[5] !== TABLE_VERSION)
    return `a table of version ${b[5]}, this program reads ${TABLE_VERSION}: compile it again`;
  if (b.readUInt32LE(8) !== crc32(b.subarray(12))) return 'damaged: the checksum does not match';
  const n = b.readUInt32LE(12);
  const m = b.readUInt32LE(16);
  if (b.length !== HEADER + m + 4 * (5 * n + 1)) return 'damaged: the length does not match';
  let at = HEADER + m;
  const column = (count: number): Uint32Array => {
    const out = new Uint32Array(count);
    // One copy where the machine has the file's byte order.
    if (LITTLE_ENDIAN) new Uint8Array(out.buffer).set(b.subarray(at, at + count * 4));
    else for (let i = 0; i < count; i++) out[i] = b.readUInt32LE(at + i * 4);
    at += count * 4;
    return out;
  };
  const arrays = { arc: column(n), first: column(n + 1), name: column(n), module: column(n), info: column(n) };
  try {
    return new MibTable(JSON.parse(b.toString('utf8', HEADER, HEADER + m)) as TableText, arrays);
  } catch (e) {
    return `damaged: ${(e as Error).message}`;
  }
}

/** Where an OID leads: the deepest node with a name, and where in the text the rest begins (the length where nothing is left). */
export interface Match {
  node: number;
  rest: number;
}

export class MibTable {
  readonly text: TableText;
  private readonly a: TableArrays;
  private byName: Map<string, number[]> | undefined;

  constructor(text: TableText, arrays: TableArrays) {
    this.text = text;
    this.a = arrays;
  }

  get size(): number {
    return this.a.arc.length;
  }

  get modules(): readonly string[] {
    return this.text.modules;
  }

  /** The child of `node` with this arc, or 0. */
  child(node: number, arc: number): number {
    const { arc: arcs, first } = this.a;
    let low = first[node];
    let high = first[node + 1] - 1;
    while (low <= high) {
      const mid = (low + high) >>> 1;
      const found = arcs[mid];
      if (found === arc) return mid;
      if (found < arc) low = mid + 1;
      else high = mid - 1;
    }
    return 0;
  }

  children(node: number): [first: number, end: number] {
    return [this.a.first[node], this.a.first[node + 1]];
  }

  /** Undefined where no part of the OID (dotted numbers) has a name. */
  find(oid: string): Match | undefined {
    let node = 0;
    let named = 0;
    let rest = 0;
    let arc = 0;
    const end = oid.length;
    for (let i = 0; i <= end; i++) {
      const c = i === end ? 0x2e : oid.charCodeAt(i);
      if (c !== 0x2e) {
        arc = arc * 10 + c - 0x30;
        continue;
      }
      node = this.child(node, arc);
      if (node === 0) break;
      arc = 0;
      if (this.a.name[node] !== 0) {
        named = node;
        rest = i;
      }
    }
    return named === 0 ? undefined : { node: named, rest };
  }

  /** The node of exactly this OID, with a name; or 0. */
  exact(oid: string): number {
    const m = this.find(oid);
    return m !== undefined && m.rest === oid.length ? m.node : 0;
  }

  hasName(node: number): boolean {
    return this.a.name[node] !== 0;
  }

  name(node: number): string {
    const n = this.a.name[node];
    return n === 0 ? String(this.a.arc[node]) : this.text.names[n - 1];
  }

  /** `IF-MIB::ifIndex`; the roots belong to no module. */
  fullName(node: number): string {
    const module = this.text.modules[this.a.module[node]];
    return module === '' ? this.name(node) : `${module}::${this.name(node)}`;
  }

  moduleOf(node: number): string {
    return this.text.modules[this.a.module[node]];
  }

  arc(node: number): number {
    return this.a.arc[node];
  }

  kind(node: number): NodeKind {
    return KINDS[this.a.info[node] & 7];
  }

  type(node: number): MibType | undefined {
    const t = this.a.info[node] >>> 3;
    return t === 0 ? undefined : this.text.types[t - 1];
  }

  /** Nodes of this name, `MODULE::name` or `name` alone. */
  named(name: string): readonly number[] {
    if (!this.byName) {
      this.byName = new Map();
      for (let i = 1; i < this.size; i++) {
        if (this.a.name[i] === 0) continue;
        for (const key of [this.name(i), this.fullName(i)]) {
          const known = this.byName.get(key);
          if (known === undefined) this.byName.set(key, [i]);
          else if (!known.includes(i)) known.push(i);
        }
      }
    }
    return this.byName.get(name) ?? [];
  }

  /** Parent of a node. A walk from the root's side: for tools, not for packets. */
  parent(node: number): number {
    // Children are neighbours, so the parent is the last node whose first child is not behind this one.
    const { first } = this.a;
    let low = 0;
    let high = node - 1;
    while (low < high) {
      const mid = (low + high + 1) >>> 1;
      if (first[mid] <= node) low = mid;
      else high = mid - 1;
    }
    return low;
  }

  oid(node: number): string {
    const arcs: number[] = [];
    for (let i = node; i > 0; i = this.parent(i)) arcs.unshift(this.a.arc[i]);
    return arcs.join('.');
  }
}
