/** What `tidegate decode gnmi` prints: one SubscribeResponse as an object fit for JSON. */
import type { Buffer } from 'node:buffer';
import { DecodeError } from '../../core/result.ts';
import { decodeSubscribeResponse } from './decode.ts';
import type { Path, TypedValue } from './types.ts';

/** The message with paths as text, bytes as 0x hex and JSON values as their own text. */
export function describeGnmi(buf: Buffer): Record<string, unknown> | DecodeError {
  const m = decodeSubscribeResponse(buf);
  if (m instanceof DecodeError) return m;
  const extensions = m.extensions.length > 0 ? m.extensions.map(hex) : undefined;
  switch (m.kind) {
    case 'sync':
      return { type: 'sync_response', sync_response: m.sync, extensions };
    case 'error':
      return { type: 'error', ...m.error, extensions };
    case 'empty':
      return { type: 'empty', extensions };
    case 'update': {
      const n = m.update;
      return {
        type: 'update',
        timestamp: n.timestamp,
        prefix: describePath(n.prefix),
        updates: n.updates.map((u) => ({
          path: describePath(u.path),
          type: u.val.type,
          value: describeValue(u.val),
          duplicates: u.duplicates || undefined,
        })),
        deletes: n.deletes.map(describePath),
        atomic: n.atomic,
        extensions,
      };
    }
  }
}

function hex(b: Buffer): string {
  return `0x${b.toString('hex')}`;
}

function describePath(p: Path): string | Record<string, string> {
  if (p.origin === '' && p.target === '') return p.text;
  const out: Record<string, string> = { path: p.text };
  if (p.origin !== '') out.origin = p.origin;
  if (p.target !== '') out.target = p.target;
  return out;
}

function describeValue(v: TypedValue): unknown {
  switch (v.type) {
    case 'bytes':
    case 'proto':
      return hex(v.value);
    case 'json':
    case 'json_ietf':
      return v.value.toString('utf8');
    case 'leaflist':
      return v.value.map((e) => ({ type: e.type, value: describeValue(e) }));
    case 'any':
      return { type_url: v.value.typeUrl, value: hex(v.value.value) };
    case 'float':
    case 'double':
      return Number.isFinite(v.value) ? v.value : String(v.value);
    default:
      return v.value;
  }
}
