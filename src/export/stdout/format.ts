/** Events as lines. Pure. What a device said is hostile: nothing of it may steer a terminal. */

import { rfc3339 } from '../../core/time.ts';
import { structuredJson } from '../../event/envelope.ts';
import type { EventRecord } from '../../event/record.ts';

type Json = Record<string, unknown>;

/** One structured CloudEvent, without the line feed. */
export function formatJson(r: EventRecord, sec: number, nsec: number, node: string): string {
  return structuredJson(r, sec, nsec, node);
}

const MAX_LINE = 400;

/** `12:34:56.789 snmp.trap    router-1  linkDown  ifIndex.3=3`, without the line feed. */
export function formatReadable(r: EventRecord, sec: number, nsec: number): string {
  const time = rfc3339(sec, nsec).slice(11, 23).replace('Z', '');
  const type = r.type.replace(/\.v\d+$/, '').padEnd(12);
  let data: Json = {};
  try {
    const parsed: unknown = JSON.parse(r.value.toString('utf8'));
    if (typeof parsed === 'object' && parsed !== null) data = parsed as Json;
  } catch {
    // Not JSON: the line has what the envelope says.
  }
  const device = data.device as Json | undefined;
  const who = text(device?.name) || r.subject;
  const line = `${time} ${type} ${who.padEnd(16)} ${describe(r.type, data)}`;
  return plain(line.length > MAX_LINE ? `${line.slice(0, MAX_LINE - 1)}…` : line);
}

function describe(type: EventRecord['type'], d: Json): string {
  switch (type) {
    case 'snmp.trap.v1':
      return trap(d);
    case 'bmp.update.v1':
    case 'bgp.update.v1':
      return update(d);
    case 'bmp.peer.v1':
    case 'bgp.peer.v1':
      return words(`peer ${peer(d)}`, d.state, d.reason);
    case 'bmp.stats.v1':
      return words(`peer ${peer(d)}`, rest(d));
    case 'gnmi.update.v1':
      return telemetry(d);
    case 'gnmi.target.v1':
      return words(d.target, d.state, d.reason);
    case 'security.v1':
      return words(
        d.target ?? (d.source as Json | undefined)?.address ?? 'other sources',
        d.code,
        d.reason,
        `count ${text(d.count)}`,
        d.detail,
      );
    case 'system.v1':
      return words(d.kind, d.code, d.reason, d.count === undefined ? '' : `count ${text(d.count)}`, d.detail);
    default:
      return rest(d);
  }
}

function trap(d: Json): string {
  const varbinds = list(d.varbinds).map((v) => `${text(v.name ?? v.oid)}=${text(v.text ?? v.value)}`);
  const name = text(d.trap_name ?? d.trap_oid);
  const source = d.source as Json | undefined;
  const alarm = d.alarm as Json | undefined;
  const judged = alarm && `[${text(alarm.perceived_severity)} ${text(alarm.managed_object)}]`;
  return words(name, `(${text(d.version)} ${text(d.pdu)} from ${text(source?.address)})`, judged, ...varbinds);
}

function update(d: Json): string {
  const a = d.attributes as Json | undefined;
  const routes = (key: 'announce' | 'withdraw', sign: string) => {
    const all = list(d[key]);
    const shown = all.slice(0, 4).map((x) => `${sign}${text(x.prefix ?? x.family)}`);
    return all.length > 4 ? [...shown, `${sign}${all.length - 4} more`] : shown;
  };
  const path = Array.isArray(a?.as_path) ? `path ${(a.as_path as unknown[]).flat().join(' ')}` : '';
  return words(
    `peer ${peer(d)}`,
    ...routes('announce', '+'),
    ...routes('withdraw', '-'),
    d.eor === undefined ? '' : `End-of-RIB ${text(d.eor)}`,
    a?.next_hop === undefined ? '' : `via ${text(a.next_hop)}`,
    path,
  );
}

function telemetry(d: Json): string {
  const updates = list(d.updates);
  const shown = updates.slice(0, 6).map((u) => {
    const tags = u.tags as Json | undefined;
    const keys = tags ? Object.entries(tags).map(([k, v]) => `${k}=${text(v)}`) : [];
    return `${text(u.path)}${keys.length ? `[${keys.join(',')}]` : ''}=${text(u.value)}`;
  });
  const deletes = Array.isArray(d.deletes) ? d.deletes.slice(0, 4).map((p) => `-${text(p)}`) : [];
  return words(
    text(d.prefix),
    ...shown,
    updates.length > 6 ? `${updates.length - 6} more` : '',
    ...deletes,
    d.sync ? 'in sync' : '',
  );
}

function peer(d: Json): string {
  const p = d.peer as Json | undefined;
  return words(text(p?.address), p?.asn === undefined ? '' : `AS${text(p.asn)}`);
}

/** The fields of a type that has no line of its own. */
function rest(d: Json): string {
  const { network, device, rx, content_id, router, peer: _peer, ...own } = d;
  return Object.entries(own)
    .map(([k, v]) => `${k}=${text(v)}`)
    .join(' ');
}

function list(v: unknown): Json[] {
  return Array.isArray(v) ? v.filter((x): x is Json => typeof x === 'object' && x !== null) : [];
}

function text(v: unknown): string {
  if (v === undefined || v === null) return '';
  return typeof v === 'object' ? JSON.stringify(v) : String(v);
}

function words(...parts: unknown[]): string {
  return parts
    .map(text)
    .filter((p) => p !== '')
    .join(' ');
}

/** Control characters (C0, DEL, C1), line separators and bidirectional overrides made visible. */
function plain(s: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return s.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}
