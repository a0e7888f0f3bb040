/** A varbind as events and `decode` show it. The JSON type of `value` follows from `type` alone; `text` is what the MIB makes of it. */
import type { Buffer } from 'node:buffer';
import type { VarBind } from '../codec/snmp/message.ts';
import { hex, octetText, opaqueText, type RenderedVarBind } from '../codec/snmp/render.ts';
import { formatIpv6 } from '../core/ip.ts';
import { integerText, isTextHint, octetsText } from './display-hint.ts';
import type { MibType } from './model.ts';
import type { Named, Names } from './names.ts';

/** `all`: the varbinds that came with it, one of which may say which kind of address it has. */
export function renderVarBind(names: Names, v: VarBind, all: readonly VarBind[] = []): RenderedVarBind {
  const named = names.object(v.oid);
  const type = named?.type;
  const out: RenderedVarBind = { oid: v.oid, name: named?.name, type: v.type, value: undefined, text: undefined };
  switch (v.type) {
    case 'octet-string': {
      const b = v.value as Buffer;
      out.value = isBinary(type) ? hex(b) : octetText(b);
      const text = octets(names, b, named, all);
      if (text !== out.value) out.text = text;
      break;
    }
    case 'opaque':
      out.value = hex(v.value as Buffer);
      out.text = opaqueText(v.value as Buffer);
      break;
    case 'bits':
      out.value = hex(v.value as Buffer);
      out.text = bitsText(v.value as Buffer, type?.values);
      break;
    case 'integer32':
    case 'gauge32':
    case 'unsigned32':
      out.value = v.value as number;
      out.text = number(out.value, type);
      break;
    case 'timeticks':
      out.value = v.value as number;
      out.text = ticksText(out.value);
      break;
    case 'oid':
      out.value = v.value as string;
      out.text = names.text(out.value);
      break;
    default:
      out.value = v.value as number | string | undefined;
  }
  return out;
}

/** Octets that are no text even where they look like it. */
function isBinary(type: MibType | undefined): boolean {
  if (type === undefined) return false;
  return type.base === 'bits' || (type.base === 'octets' && type.hint !== undefined && !isTextHint(type.hint));
}

function number(value: number, type: MibType | undefined): string | undefined {
  if (type === undefined) return undefined;
  if (type.values !== undefined) return type.values[value];
  // `d` says no more than the number itself.
  return type.hint === undefined || type.hint === 'd' ? undefined : integerText(value, type.hint);
}

function octets(names: Names, b: Buffer, named: Named | undefined, all: readonly VarBind[]): string | undefined {
  const type = named?.type;
  if (type === undefined) return undefined;
  if (type.base === 'bits') return bitsText(b, type.values);
  if (type.hint !== undefined) return octetsText(b, type.hint);
  if (type.tc === 'InetAddress') return inetAddressText(b, addressKind(names, named!, all));
  return undefined;
}

/** The labels of the bits that are set, in their order (RFC 2578 section 7.1.4: bit 0 is the highest of the first octet). */
export function bitsText(b: Buffer, labels: Readonly<Record<number, string>> | undefined): string | undefined {
  if (labels === undefined) return undefined;
  let out = '';
  for (let i = 0; i < b.length * 8; i++) {
    if ((b[i >> 3] & (0x80 >> (i & 7))) === 0) continue;
    out += `${out === '' ? '' : ' '}${labels[i] ?? i}`;
  }
  return out;
}

/** Hundredths of a second: `3 days, 4:05:06.07`, without the days below one. */
export function ticksText(ticks: number): string {
  const two = (n: number): string => (n < 10 ? `0${n}` : String(n));
  const seconds = Math.floor(ticks / 100);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  const time = `${hours % 24}:${two(minutes % 60)}:${two(seconds % 60)}.${two(ticks % 100)}`;
  return days === 0 ? time : `${days} ${days === 1 ? 'day' : 'days'}, ${time}`;
}

const UNKNOWN = 0;

/** What the InetAddressType beside an InetAddress says (RFC 4001): it came along, or stands in the index. Undefined: nobody says. */
function addressKind(names: Names, named: Named, all: readonly VarBind[]): number | undefined {
  const { table } = names;
  const beside = table.text.addressTypes[named.node];
  if (beside === undefined) return undefined;
  for (const v of all) {
    if (typeof v.value !== 'number') continue;
    const other = names.object(v.oid);
    if (other && other.node === beside && other.instance === named.instance) return v.value;
  }
  // The first index object of many tables.
  const row = table.text.rows[table.parent(named.node)];
  if (row && row.parts[0] === beside) return Number(/^\.(\d+)/.exec(named.instance)?.[1] ?? UNKNOWN);
  return undefined;
}

/** Without a kind by the length, which is unique but for a name of 4, 8, 16 or 20 characters. */
export function inetAddressText(b: Buffer, kind: number | undefined): string | undefined {
  const v4 = kind === undefined || kind === UNKNOWN ? b.length === 4 || b.length === 8 : kind === 1 || kind === 3;
  const v6 = kind === undefined || kind === UNKNOWN ? b.length === 16 || b.length === 20 : kind === 2 || kind === 4;
  const zone = (from: number): string => (b.length > from ? `%${b.readUInt32BE(from)}` : '');
  if (v4 && (b.length === 4 || b.length === 8)) return `${b[0]}.${b[1]}.${b[2]}.${b[3]}${zone(4)}`;
  if (v6 && (b.length === 16 || b.length === 20)) return `${formatIpv6(b)}${zone(16)}`;
  return undefined;
}
