/**
 * The built-in facts: names, numbers, types, labels and the objects of notifications that every network sees. A line is
 *
 *   @MODULE                          what follows belongs to it
 *   type NAME SYNTAX                 a textual convention
 *   NAME PARENT.n[.n] [WHAT]         a node; PARENT is any name before it
 *
 *   WHAT   table | row(INDEX …), empty where it is not written down | augments(ROW) | notify(OBJECT …) | SYNTAX; absent: a node that only has children
 *   SYNTAX a type's name, with the one size it may have in parentheses; {label …} or bits{label …}, counted from 1 and from 0, where
 *          label(n) says otherwise
 */
import { BASE_FACTS } from './facts/base.ts';
import { EQUIPMENT_FACTS } from './facts/equipment.ts';
import { IF_TYPES } from './facts/if-types.ts';
import { ROUTING_FACTS } from './facts/routing.ts';
import { VENDOR_FACTS } from './facts/vendors.ts';
import type { MibModule, MibNode, MibType } from './model.ts';
import { BASE_TYPES, WELL_KNOWN_TYPES } from './tc.ts';

/** Reads facts. Throws where they are wrong: they are the program's own. */
export function parseFacts(text: string): MibModule[] {
  const modules: MibModule[] = [];
  const nodes = new Map<string, MibNode>([
    ['ccitt', { name: 'ccitt', oid: '0', kind: 'node' }],
    ['iso', { name: 'iso', oid: '1', kind: 'node' }],
  ]);
  const types = new Map<string, MibType>();
  /** Names that may stand before what they name. */
  const later: (() => void)[] = [];
  const oidOf = (name: string): string => {
    const node = nodes.get(name);
    if (!node) throw new Error(`facts: ${name} is not there`);
    return node.oid;
  };
  const syntax = (s: string): MibType => {
    const set = /^(bits)?\{(.*)\}$/.exec(s);
    if (set) return { base: set[1] ? 'bits' : 'integer', values: labelsOf(set[2], set[1] ? 0 : 1) };
    const m = /^([A-Za-z][\w-]*)(?:\((\d+)\))?$/.exec(s);
    const name = m?.[1].replace(/^(OCTET|OBJECT)-/, '$1 ') ?? s;
    const type = types.get(name) ?? BASE_TYPES[name] ?? WELL_KNOWN_TYPES[name];
    if (!m || !type) throw new Error(`facts: ${s} is no type`);
    return m[2] === undefined ? type : { ...type, size: Number(m[2]) };
  };
  for (const line of text.split('\n')) {
    if (line === '') continue;
    if (line.startsWith('@')) {
      modules.push({ name: line.slice(1), nodes: [], types: {} });
      continue;
    }
    const module = modules.at(-1)!;
    const [name, where, ...rest] = line.split(' ');
    if (name === 'type') {
      const type = { ...syntax([...rest].join(' ')), tc: where };
      types.set(where, type);
      module.types[where] = type;
      continue;
    }
    const [parent, ...arcs] = where.split('.');
    const node: MibNode = { name, oid: [oidOf(parent), ...arcs].join('.'), kind: 'node' };
    const what = rest.join(' ');
    const list = /^(row|augments|notify)\((.*)\)$/.exec(what);
    const names = list?.[2] ? list[2].split(' ') : [];
    if (what === 'table') node.kind = 'table';
    else if (list?.[1] === 'notify') {
      node.kind = 'notification';
      if (names.length > 0)
        later.push(() => {
          node.objects = names.map(oidOf);
        });
    } else if (list) {
      node.kind = 'row';
      later.push(() => {
        if (names.length === 0) return;
        node.index = list[1] === 'row' ? names.map((n) => ({ name: n, oid: oidOf(n) })) : nodes.get(names[0])!.index;
      });
    } else if (what !== '') {
      node.kind = nodes.get(parent)!.kind === 'row' ? 'column' : 'scalar';
      node.type = syntax(what);
    }
    nodes.set(name, node);
    module.nodes.push(node);
  }
  for (const fill of later) fill();
  return modules;
}

function labelsOf(text: string, from: number): Record<number, string> {
  const out: Record<number, string> = {};
  let n = from;
  for (const word of text.trim().split(/\s+/)) {
    const m = /^([^(]+)(?:\((-?\d+)\))?$/.exec(word);
    if (m?.[2] !== undefined) n = Number(m[2]);
    out[n++] = m?.[1] ?? word;
  }
  return out;
}

let parsed: readonly MibModule[] | undefined;

/** The built-in facts, read once. */
export function builtinModules(): readonly MibModule[] {
  parsed ??= parseFacts(
    `@IANAifType-MIB\ntype IANAifType {${IF_TYPES.trim().replaceAll('\n', ' ')}}\n${BASE_FACTS}${ROUTING_FACTS}${EQUIPMENT_FACTS}${VENDOR_FACTS}`,
  );
  return parsed;
}
