/** One event as one line: for people on a terminal, JSON for everything else. Pure. */
import { localTimeOfDay } from '../../core/time.ts';
import { structuredJson } from '../../event/envelope.ts';
import type { EventRecord } from '../../event/record.ts';

type Data = Record<string, unknown>;

/** The structured CloudEvent with a line feed. */
export function formatJson(r: EventRecord, sec: number, nsec: number, node: string): string {
  return `${structuredJson(r, sec, nsec, node)}\n`;
}

/** Local time of day, device, type, and what a person wants to know of it. Empty for what only machines want (manifests). */
export function formatReadable(r: EventRecord, sec: number, nsec: number): string {
  let data: Data;
  try {
    data = JSON.parse(r.value.toString('utf8')) as Data;
  } catch {
    return '';
  }
  if (data.kind === 'manifest') return '';
  const device = data.device as { name: string };
  return `${localTimeOfDay(sec, nsec)} ${device.name} ${r.type} ${printable(summary(r, data))}\n`;
}

function summary(r: EventRecord, d: Data): string {
  switch (r.type) {
    case 'snmp.trap.v1':
      return [
        d.pdu === 'inform' ? 'inform' : undefined,
        d.trap_name ?? d.trap_oid,
        ...(d.varbinds as Data[]).map((v) => `${v.name ?? v.oid}=${v.text ?? v.value ?? ''}`),
      ]
        .filter((x) => x !== undefined)
        .join(' ');
    case 'bmp.peer.v1':
    case 'bgp.peer.v1':
      return `peer ${peer(d)} ${d.state}${d.reason === undefined ? '' : ` (${text(d.reason)})`}`;
    case 'bmp.update.v1':
    case 'bgp.update.v1':
      return `peer ${peer(d)}${routes('+', d.announce)}${routes('-', d.withdraw)}${d.eor === undefined ? '' : ` End-of-RIB ${d.eor}`}`;
    case 'gnmi.update.v1':
      return d.sync === true
        ? `${d.target} ${d.subscription} in sync`
        : `${d.target}${((d.updates as Data[] | undefined) ?? []).map((u) => ` ${u.path}=${text(u.value)}`).join('')}${((d.deletes as string[] | undefined) ?? []).map((p) => ` -${p}`).join('')}`;
    default: {
      const { network: _n, device: _d, rx: _r, content_id: _c, ...rest } = d;
      return Object.entries(rest)
        .map(([k, v]) => `${k}=${text(v)}`)
        .join(' ');
    }
  }
}

function peer(d: Data): string {
  const p = d.peer as { address?: string; asn?: number } | undefined;
  return p?.asn === undefined ? (p?.address ?? '') : `${p.address} AS${p.asn}`;
}

const SHOWN = 5;

function routes(sign: string, list: unknown): string {
  const all = (list as { prefix?: string; family?: string }[] | undefined) ?? [];
  const shown = all.slice(0, SHOWN).map((x) => ` ${sign}${x.prefix ?? x.family}`);
  return shown.join('') + (all.length > SHOWN ? ` … ${sign}${all.length - SHOWN} more` : '');
}

function text(v: unknown): string {
  return typeof v === 'string' ? v : JSON.stringify(v);
}

/** What a device sends must not drive the terminal. */
function printable(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
  return line.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
