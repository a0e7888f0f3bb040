/** Name ⇄ OID for people: what `tidegate mib translate` answers. */
import { Buffer } from 'node:buffer';
import { parseIp } from '../core/ip.ts';
import type { MibType, NodeKind } from './model.ts';
import type { Names } from './names.ts';
import type { MibTable } from './table.ts';

export interface Translation {
  oid: string;
  name: string;
  module: string;
  kind: NodeKind;
  /** What follows the object's OID; absent where nothing does. */
  instance?: string;
  type?: MibType;
  /** The objects of a notification, by name. */
  objects?: string[];
  /** The index of a table's row, by name. */
  index?: string[];
}

/** `text`: dotted numbers (a leading dot may stand), or `[MODULE::]name[.instance]`. A text is why it cannot be translated. */
export function translate(names: Names, text: string): Translation | string {
  const oid = /^\.?[0-2](\.\d+)*$/.test(text) ? text.replace(/^\./, '') : oidOf(names.table, text);
  if (typeof oid !== 'string') return oid.problem;
  const named = names.object(oid);
  if (!named) return `no part of ${oid} has a name`;
  const { table } = names;
  // A notification of a v1 trap may stand one zero away from its OID.
  const notification = names.notification(oid);
  const node = notification !== 0 ? notification : named.node;
  const out: Translation = {
    oid,
    name: notification !== 0 ? table.fullName(notification) : named.name,
    module: table.moduleOf(node),
    kind: table.kind(node),
  };
  if (notification === 0 && named.instance !== '') out.instance = named.instance.slice(1);
  if (named.type) out.type = named.type;
  const objects = table.text.notifications[node];
  if (objects) out.objects = objects.map((o) => table.fullName(o));
  const row = table.text.rows[table.kind(node) === 'column' ? table.parent(node) : node];
  if (row) out.index = row.parts.map((p) => (p < 0 ? '?' : table.fullName(p)));
  return out;
}

/** The OID of `[MODULE::]name[.instance]`; an instance may have labels, and text in quotes as names show it. */
export function oidOf(table: MibTable, text: string): string | { problem: string } {
  const m = /^((?:[A-Za-z][\w-]*::)?[A-Za-z][\w-]*)(?:\.(.*))?$/.exec(text);
  if (!m) return { problem: `${text} is neither an OID nor a name` };
  const nodes = table.named(m[1]);
  if (nodes.length === 0) return { problem: `nothing is called ${m[1]}` };
  const node = nodes[0];
  const oid = table.oid(node);
  if (m[2] === undefined) return oid;
  const arcs = instanceArcs(table, table.text.rows[table.parent(node)], m[2]);
  return arcs === undefined ? { problem: `${m[2]} is no instance of ${m[1]}` } : `${oid}.${arcs.join('.')}`;
}

function instanceArcs(
  table: MibTable,
  row: { parts: number[]; implied: boolean } | undefined,
  text: string,
): number[] | undefined {
  const out: number[] = [];
  let part = 0;
  for (let rest = text; rest !== ''; ) {
    const m = /^(?:"([^"]*)"|'([^']*)'|([A-Za-z][\w-]*)|(\d+))(?:\.|$)/.exec(rest);
    if (!m || (rest.endsWith('.') && m[0].length === rest.length)) return undefined;
    rest = rest.slice(m[0].length);
    const type = row?.parts[part] === undefined ? undefined : table.type(row.parts[part]);
    if (m[1] !== undefined) {
      const bytes = bytesOf(m[1], type);
      out.push(bytes.length, ...bytes);
    } else if (m[2] !== undefined) out.push(...Buffer.from(m[2], 'latin1'));
    else if (m[3] !== undefined) {
      const found = Object.entries(type?.values ?? {}).find(([, label]) => label === m[3]);
      if (!found) return undefined;
      out.push(Number(found[0]));
    } else out.push(Number(m[4]));
    // Numbers of an address or a length in front are not counted: after them only labels would need the part.
    part++;
  }
  return out;
}

function bytesOf(text: string, type: MibType | undefined): Uint8Array {
  if (type?.tc !== 'InetAddress') return Buffer.from(text, 'latin1');
  const hex = /^([0-9a-f]{2}:){15}[0-9a-f]{2}$/i.test(text) ? Buffer.from(text.replaceAll(':', ''), 'hex') : undefined;
  return hex ?? parseIp(text) ?? Buffer.from(text, 'latin1');
}
