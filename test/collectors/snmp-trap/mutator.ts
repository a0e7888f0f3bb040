/** Broken datagrams made of good ones: each element of the BER tree × its tag, length, contents, nesting and end; and flipped bits. Seeded. */
import { Buffer } from 'node:buffer';

interface Node {
  tag: number;
  children: Node[] | undefined;
  content: Buffer;
  /** In place of the right length octets. */
  length?: Buffer;
}

/** Mulberry32: the same numbers on every machine. */
export function random(seed: number): (below: number) => number {
  let a = seed >>> 0;
  return (below) => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

/** The elements of [from, to), or undefined where they are none. Octets that hold elements themselves (USM) are looked into. */
function parse(b: Buffer, from: number, to: number): Node[] | undefined {
  const out: Node[] = [];
  for (let at = from; at < to; ) {
    if (at + 2 > to) return undefined;
    const tag = b[at++];
    let length = b[at++];
    if (length > 0x82) return undefined;
    if (length > 0x80) {
      const more = length & 0x7f;
      if (at + more > to) return undefined;
      length = b.readUIntBE(at, more);
      at += more;
    }
    if (at + length > to) return undefined;
    const constructed = (tag & 0x20) !== 0;
    const nested = constructed || (tag === 4 && b[at] === 0x30) ? parse(b, at, at + length) : undefined;
    if (constructed && nested === undefined) return undefined;
    out.push({ tag, children: nested, content: Buffer.from(b.subarray(at, at + length)) });
    at += length;
  }
  return out;
}

function write(n: Node): Buffer {
  const content = n.children === undefined ? n.content : Buffer.concat(n.children.map(write));
  const l = content.length;
  const right = l < 128 ? [l] : l < 256 ? [0x81, l] : [0x82, l >> 8, l & 255];
  return Buffer.concat([Buffer.from([n.tag]), n.length ?? Buffer.from(right), content]);
}

function all(n: Node, out: Node[]): Node[] {
  out.push(n);
  for (const c of n.children ?? []) all(c, out);
  return out;
}

const LENGTHS = [
  '80',
  '00',
  '01',
  '7f',
  '8100',
  '81ff',
  '82ffff',
  '8400000001',
  '84ffffffff',
  '88ffffffffffffffff',
  'ff',
];
const TAGS = [
  0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x1f, 0x30, 0x40, 0x41, 0x42, 0x43, 0x44, 0x46, 0x47, 0x80, 0x82,
].concat([0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xff]);
const CONTENTS = [
  '',
  '00',
  'ff',
  '80',
  '7fffffff',
  '80000000',
  '0100000000',
  'ffffffffffffffff',
  '00ffffffffffffffff',
].concat([
  '8000',
  '2b80',
  'ff'.repeat(200),
  '00'.repeat(400),
  `2b${'8fffffff7f'.repeat(3)}`,
  '8f'.repeat(12),
  `2b${'01'.repeat(140)}`,
]);

const KINDS = [
  'length',
  'off-by-one',
  'tag',
  'contents',
  'nest',
  'truncate',
  'trail',
  'drop',
  'double',
  'swap',
  'bits',
  'octets',
] as const;

/** One broken datagram of `seed`; now and then it is still a good one. */
export function mutate(seed: Buffer, next: (below: number) => number): Buffer {
  let out = seed;
  for (let times = 1 + (next(4) === 0 ? next(3) : 0); times > 0; times--) out = once(out, next);
  return out.subarray(0, 65_507);
}

function once(seed: Buffer, next: (below: number) => number): Buffer {
  const kind = KINDS[next(KINDS.length)];
  const copy = Buffer.from(seed);
  if (copy.length === 0) return Buffer.from([next(256)]);
  if (kind === 'truncate') return copy.subarray(0, next(copy.length));
  if (kind === 'trail') return Buffer.concat([copy, Buffer.alloc(1 + next(20), next(256))]);
  const roots = parse(copy, 0, copy.length);
  if (kind === 'bits' || roots === undefined || roots.length === 0) {
    for (let n = 1 + next(4); n > 0; n--) copy[next(copy.length)] ^= 1 << next(8);
    return copy;
  }
  if (kind === 'octets') {
    copy[next(copy.length)] = next(256);
    return copy;
  }
  const nodes = roots.flatMap((r) => all(r, []));
  const n = nodes[next(nodes.length)];
  const before = { ...n };
  switch (kind) {
    case 'length':
      n.length = Buffer.from(LENGTHS[next(LENGTHS.length)], 'hex');
      break;
    case 'off-by-one':
      n.length = Buffer.from([(write(n)[1] + (next(2) === 0 ? 1 : 255)) & 255]);
      break;
    case 'tag':
      n.tag = TAGS[next(TAGS.length)];
      break;
    case 'contents':
      n.children = undefined;
      n.content = Buffer.from(CONTENTS[next(CONTENTS.length)], 'hex');
      break;
    case 'nest':
      for (let depth = 1 + next(20); depth > 0; depth--) {
        n.children = [{ ...n }];
        n.tag = 0x30;
        n.length = undefined;
      }
      break;
    case 'drop':
      if (n.children && n.children.length > 0) n.children.splice(next(n.children.length), 1);
      else n.content = n.content.subarray(0, -1);
      break;
    case 'double':
      if (n.children && n.children.length > 0) {
        const child = n.children[next(n.children.length)];
        for (let times = 1 + next(next(16) === 0 ? 300 : 4); times > 0; times--) n.children.push(child);
      } else n.content = Buffer.concat([n.content, n.content]);
      break;
    default:
      if (n.children) n.children.reverse();
      else n.tag = before.tag ^ 1;
  }
  return Buffer.concat(roots.map(write));
}
