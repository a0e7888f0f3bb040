/**
 * What follows a column's OID, by the index of its row (RFC 2578 section 7.7), as Net-SNMP prints it:
 *
 *   integers             a number, or its label
 *   octets, one size     'text'
 *   octets               "text", its length in front left out; IMPLIED: 'text'
 *   InetAddress          "192.0.2.1" and "20:01:0d:b8:…", where the arc in front says so
 *   OIDs                 numbers
 *   IpAddress            four numbers
 *
 * What is not printable is a dot inside the quotes. From where the index does not fit, numbers.
 */
import type { MibType } from './model.ts';
import type { MibTable } from './table.ts';

/** The arcs as they stand in an OID, or undefined where the text is none. */
export function arcsOf(text: string): number[] | undefined {
  if (text === '') return [];
  const out: number[] = [];
  for (const part of text.split('.')) {
    if (!/^\d{1,10}$/.test(part)) return undefined;
    out.push(Number(part));
  }
  return out;
}

/** With a dot in front of each part; empty where there are no arcs. `row`: the node of the row, or 0. */
export function instanceText(table: MibTable, row: number, arcs: readonly number[]): string {
  const index = table.text.rows[row];
  let out = '';
  let at = 0;
  if (index) {
    for (let i = 0; i < index.parts.length && at < arcs.length; i++) {
      const type = index.parts[i] < 0 ? undefined : table.type(index.parts[i]);
      if (!type) break;
      const implied = index.implied && i === index.parts.length - 1;
      const before = table.type(index.parts[i - 1] ?? -1);
      const read = partText(type, arcs, at, implied, before);
      if (!read) break;
      out += `.${read.text}`;
      at = read.end;
    }
  }
  for (; at < arcs.length; at++) out += `.${arcs[at]}`;
  return out;
}

function partText(
  type: MibType,
  arcs: readonly number[],
  at: number,
  implied: boolean,
  before: MibType | undefined,
): { text: string; end: number } | undefined {
  switch (type.base) {
    case 'octets': {
      if (implied) return { text: quoted(arcs, at, arcs.length, "'"), end: arcs.length };
      if (type.size !== undefined) {
        const end = at + type.size;
        return end > arcs.length ? undefined : { text: quoted(arcs, at, end, "'"), end };
      }
      const end = at + 1 + arcs[at];
      if (end > arcs.length) return undefined;
      const address =
        type.tc === 'InetAddress' && before?.tc === 'InetAddressType'
          ? addressText(arcs[at - 1], arcs, at + 1, end)
          : undefined;
      return { text: address ?? (end === at + 1 ? '""' : quoted(arcs, at + 1, end, '"')), end };
    }
    case 'integer':
    case 'unsigned':
      return { text: type.values?.[arcs[at] | 0] ?? String(arcs[at]), end: at + 1 };
    case 'timeticks':
      return { text: String(arcs[at]), end: at + 1 };
    case 'oid': {
      const end = implied ? arcs.length : at + 1 + arcs[at];
      if (end > arcs.length) return undefined;
      return { text: arcs.slice(at, end).join('.'), end };
    }
    case 'ip-address':
      return at + 4 > arcs.length ? undefined : { text: arcs.slice(at, at + 4).join('.'), end: at + 4 };
    case 'network-address':
      if (arcs[at] !== 1 || at + 5 > arcs.length) return undefined;
      return { text: arcs.slice(at, at + 5).join('.'), end: at + 5 };
    default:
      return undefined;
  }
}

function quoted(arcs: readonly number[], from: number, to: number, quote: string): string {
  if (from === to) return '';
  let text = '';
  for (let i = from; i < to; i++) text += arcs[i] > 0x1f && arcs[i] < 0x7f ? String.fromCharCode(arcs[i]) : '.';
  return quote + text + quote;
}

/** Kinds of RFC 4001: ipv4(1), ipv6(2), ipv4z(3), ipv6z(4). */
function addressText(kind: number, arcs: readonly number[], from: number, to: number): string | undefined {
  const n = to - from;
  for (let i = from; i < to; i++) if (arcs[i] > 255) return undefined;
  const v4 = (kind === 1 && n === 4) || (kind === 3 && n === 8);
  const v6 = (kind === 2 && n === 16) || (kind === 4 && n === 20);
  if (!v4 && !v6) return undefined;
  const length = v4 ? 4 : 16;
  const address = v4
    ? arcs.slice(from, from + 4).join('.')
    : arcs
        .slice(from, from + 16)
        .map((a) => a.toString(16).padStart(2, '0'))
        .join(':');
  if (n === length) return `"${address}"`;
  let zone = 0;
  for (let i = from + length; i < to; i++) zone = zone * 256 + arcs[i];
  return `"${address}%${zone}"`;
}
