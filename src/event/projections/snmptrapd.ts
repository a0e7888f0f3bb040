/**
 * What snmptrapd 5.9 prints of a notification with `-n -On` and without MIBs, octet for octet, but for three things the event does not have: times
 * are UTC, the local address is 0.0.0.0:0 (as snmptrapd prints one it does not know), and a community is `***`.
 *
 *   v2c, v3   DATE TIME SOURCE [SOURCE]:\n OID = TYPE: VALUE, tab-separated
 *   v1        DATE TIME AGENT [AGENT] (via SOURCE) TRAP, SNMP v1, community ***\n\tENTERPRISE KIND Trap (SPECIFIC) Uptime: …\n\tvarbinds
 */
import type { Buffer } from 'node:buffer';
import { rfc3339 } from '../../core/time.ts';
import { genericOf, octetsOf, type TrapEvent, type TrapVarBind } from './trap.ts';

const GENERIC = [
  'Cold Start',
  'Warm Start',
  'Link Down',
  'Link Up',
  'Authentication Failure',
  'EGP Neighbor Loss',
  'Enterprise Specific',
] as const;

/** Without the last line feed. */
export function snmptrapd(e: TrapEvent): string {
  const d = e.data;
  const time = rfc3339(e.sec, e.nsec);
  const at = `${time.slice(0, 10)} ${time.slice(11, 19)}`;
  const { address, port } = d.source;
  const source = address.includes(':') ? `UDP/IPv6: [${address}]:${port}` : `UDP: [${address}]:${port}->[0.0.0.0]:0`;
  if (d.version === 'v1') {
    const { generic, specific, enterprise } = genericOf(d);
    const agent = d.agent_address ?? '0.0.0.0';
    const head = `${at} ${agent} [${agent}] (via ${source}) TRAP, SNMP v1, community ***`;
    const line = `\t.${enterprise} ${GENERIC[generic]} Trap (${specific}) Uptime: ${duration(d.uptime_ticks ?? 0)}`;
    const varbinds = d.varbinds.map(varbind).join('\t');
    return `${head}\n${line}\n${varbinds === '' ? '' : `\t${varbinds}`}`;
  }
  const list = d.uptime_ticks === undefined ? [] : [`.1.3.6.1.2.1.1.3.0 = ${ticks(d.uptime_ticks)}`];
  list.push(`.1.3.6.1.6.3.1.1.4.1.0 = OID: .${d.trap_oid}`, ...d.varbinds.map(varbind));
  return `${at} ${source} [${source}]:\n${list.join('\t')}`;
}

/** ` = ` and the value as `snmptrapd -On` writes it. */
function varbind(v: TrapVarBind): string {
  return `.${v.oid} = ${textOf(v)}`;
}

function textOf(v: TrapVarBind): string {
  switch (v.type) {
    case 'integer32':
      return `INTEGER: ${v.value}`;
    case 'counter32':
      return `Counter32: ${v.value}`;
    case 'counter64':
      return `Counter64: ${v.value}`;
    case 'gauge32':
      return `Gauge32: ${v.value}`;
    case 'unsigned32':
      // The tag 0x47, which RFC 1442 had and SMIv2 has not.
      return `UInteger32: ${v.value}`;
    case 'timeticks':
      return ticks(Number(v.value));
    case 'ip-address':
      return `IpAddress: ${v.value}`;
    case 'oid':
      return `OID: .${v.value}`;
    case 'opaque':
      return opaque(octetsOf(v.value), v.text);
    case 'bits':
      return `BITS: ${hex(octetsOf(v.value))}`;
    case 'null':
      return 'NULL';
    default:
      return octets(octetsOf(v.value));
  }
}

/** Printable text in quotes, else hex octets, sixteen a line. */
function octets(b: Buffer): string {
  if (b.length === 0) return '""';
  for (let i = 0; i < b.length; i++) {
    const c = b[i];
    const text = (c >= 0x20 && c < 0x7f) || (c >= 9 && c <= 13);
    if (!text) return `Hex-STRING: ${hex(b)}`;
  }
  return `STRING: "${b.toString('latin1').replace(/["\\]/g, '\\$&')}"`;
}

function hex(b: Buffer): string {
  const lines: string[] = [];
  for (let i = 0; i < b.length; i += 16)
    lines.push([...b.subarray(i, i + 16)].map((c) => `${c.toString(16).toUpperCase().padStart(2, '0')} `).join(''));
  return lines.join('\n');
}

function opaque(b: Buffer, text: string | undefined): string {
  if (text !== undefined && b[0] === 0x9f) {
    if (b[1] === 0x78 || b[1] === 0x79) return `Opaque: Float: ${Number(text).toFixed(6)}`;
    if (b[1] === 0x7a) return `Opaque: Int64: ${text}`;
    if (b[1] === 0x7b) return `Opaque: UInt64: ${text}`;
  }
  return `OPAQUE: ${hex(b)}`;
}

function ticks(n: number): string {
  return `Timeticks: (${n}) ${duration(n)}`;
}

/** Hundredths of a second as `1 day, 2:03:04.05`. */
function duration(n: number): string {
  const two = (x: number): string => String(x).padStart(2, '0');
  const seconds = Math.floor(n / 100);
  const days = Math.floor(seconds / 86_400);
  const head = days === 0 ? '' : `${days} day${days === 1 ? '' : 's'}, `;
  const rest = seconds % 86_400;
  return `${head}${Math.floor(rest / 3600)}:${two(Math.floor(rest / 60) % 60)}:${two(rest % 60)}.${two(n % 100)}`;
}
