/** SubscribeResponse → the `data` of gnmi.update.v1 (config/schemas/gnmi.update.v1.json). What each type looks like is in README.md. */
import type { Buffer } from 'node:buffer';
import type { Notification, SubscribeResponse, TypedValue, Update } from '../../codec/gnmi/types.ts';
import { shortHash } from '../../core/hash.ts';
import type { DecodeError } from '../../core/result.ts';
import { parseJson } from './json.ts';
import { type Tags, tagsOf } from './tags.ts';

/** What all events of one stream have in common. */
export interface StreamFacts {
  target: string;
  source: { address: string; port: number };
  subscription: string;
  /** UTC microseconds at which the target accepted the stream. */
  epoch: number;
}

export interface UpdateItem {
  path: string;
  origin?: string;
  tags?: Tags;
  type: TypedValue['type'];
  value?: unknown;
  /** `NaN`, `Infinity`, `-Infinity`: what a JSON number cannot say. */
  text?: string;
  /** The type the bytes claimed to be and are not. */
  invalid?: 'json' | 'json_ietf';
  duplicates?: number;
}

export interface UpdateData extends StreamFacts {
  flavour: 'gnmi';
  origin?: string;
  timestamp_ns?: string;
  prefix?: string;
  prefix_target?: string;
  updates?: UpdateItem[];
  deletes?: string[];
  atomic?: true;
  sync?: true;
  part?: { index: number; count: number };
  extensions?: string[];
  error?: { code: string; offset: number; layer: string };
  raw?: string;
  raw_length?: number;
}

export interface Said {
  data: UpdateData;
  contentId: string;
}

/** A notification of more wire bytes is told in several events: a broker takes about a megabyte, and JSON is two to four times as long. */
export const PART_BYTES = 192 << 10;

/** So much of a message that cannot be decoded is kept. */
export const RAW_BYTES = 64 << 10;

/** The events one response says; none for an empty one. */
export function normalise(m: SubscribeResponse, facts: StreamFacts): Said[] {
  if (m.kind === 'update') return notificationEvents(m.update, m.extensions, facts);
  if (m.kind !== 'sync' || !m.sync) return [];
  const data: UpdateData = { ...head(facts), sync: true, extensions: hexList(m.extensions), epoch: facts.epoch };
  return [{ data, contentId: shortHash(JSON.stringify([facts.target, facts.subscription, 'sync'])) }];
}

/** A message that cannot be decoded: what is wrong, and its bytes. */
export function undecodable(buf: Buffer, e: DecodeError, facts: StreamFacts): Said {
  const data: UpdateData = {
    ...head(facts),
    error: { code: e.code, offset: e.offset, layer: e.layer },
    raw: hex(buf.subarray(0, RAW_BYTES)),
    raw_length: buf.length,
    epoch: facts.epoch,
  };
  return { data, contentId: shortHash(buf) };
}

function head(f: StreamFacts): Pick<UpdateData, 'target' | 'source' | 'flavour' | 'subscription'> {
  return { target: f.target, source: f.source, flavour: 'gnmi', subscription: f.subscription };
}

function notificationEvents(n: Notification, extensions: Buffer[], facts: StreamFacts): Said[] {
  const cuts = split(n.updates);
  const origin = n.prefix.origin || n.updates[0]?.path.origin || n.deletes[0]?.origin || '';
  const out: Said[] = [];
  let from = 0;
  for (let i = 0; i < cuts.length; i++) {
    const updates: UpdateItem[] = [];
    for (let u = from; u < cuts[i]; u++) updates.push(item(n, n.updates[u], origin));
    from = cuts[i];
    const data: UpdateData = {
      target: facts.target,
      source: facts.source,
      flavour: 'gnmi',
      subscription: facts.subscription,
      origin: origin === '' ? undefined : origin,
      timestamp_ns: n.timestamp,
      prefix: n.prefix.elem.length > 0 ? n.prefix.text : undefined,
      prefix_target: n.prefix.target === '' || n.prefix.target === facts.target ? undefined : n.prefix.target,
      updates,
      // Deletes come before updates (gNMI specification 2.1), so they are in the first part.
      deletes: i === 0 && n.deletes.length > 0 ? n.deletes.map((p) => p.text) : undefined,
      atomic: n.atomic ? true : undefined,
      part: cuts.length > 1 ? { index: i, count: cuts.length } : undefined,
      extensions: i === 0 ? hexList(extensions) : undefined,
      epoch: facts.epoch,
    };
    const said = [
      data.target,
      data.origin,
      data.timestamp_ns,
      data.prefix,
      data.prefix_target,
      updates,
      data.deletes,
      n.atomic,
    ];
    out.push({ data, contentId: shortHash(JSON.stringify(said)) });
  }
  return out;
}

/** The ends of the parts; one part at least. */
function split(updates: readonly Update[]): number[] {
  const ends: number[] = [];
  let bytes = 0;
  for (let i = 0; i < updates.length; i++) {
    if (bytes > 0 && bytes + updates[i].size > PART_BYTES) {
      ends.push(i);
      bytes = 0;
    }
    bytes += updates[i].size;
  }
  ends.push(updates.length);
  return ends;
}

function item(n: Notification, u: Update, origin: string): UpdateItem {
  const out: UpdateItem = { path: u.path.text, tags: tagsOf(n.prefix, u.path), type: u.val.type };
  if (u.path.origin !== '' && u.path.origin !== origin) out.origin = u.path.origin;
  setValue(out, u.val);
  if (u.duplicates > 0) out.duplicates = u.duplicates;
  return out;
}

/** Sets `value`; and `type`, where the bytes are not what their type claims. */
function setValue(out: Pick<UpdateItem, 'type' | 'value' | 'text' | 'invalid'>, v: TypedValue): void {
  switch (v.type) {
    case 'bytes':
    case 'proto':
      out.value = hex(v.value);
      return;
    case 'json':
    case 'json_ietf': {
      out.value = parseJson(v.value);
      if (out.value !== undefined) return;
      out.type = 'bytes';
      out.value = hex(v.value);
      out.invalid = v.type;
      return;
    }
    case 'float':
    case 'double':
      if (Number.isFinite(v.value)) out.value = v.type === 'float' ? shortFloat(v.value) : v.value;
      else out.text = String(v.value);
      return;
    case 'leaflist':
      out.value = v.value.map((e) => {
        const element: Pick<UpdateItem, 'type' | 'value' | 'text' | 'invalid'> = { type: e.type };
        setValue(element, e);
        return element;
      });
      return;
    case 'any':
      out.value = { type_url: v.value.typeUrl, value: hex(v.value.value) };
      return;
    case 'none':
      return;
    default:
      out.value = v.value;
  }
}

/** The shortest decimal that is the same 32-bit float: 0.1, not 0.10000000149011612. */
function shortFloat(v: number): number {
  if (Number.isInteger(v)) return v;
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(v.toPrecision(digits));
    if (Math.fround(short) === v) return short;
  }
  return v;
}

function hex(b: Buffer): string {
  return `0x${b.toString('hex')}`;
}

function hexList(list: Buffer[]): string[] | undefined {
  return list.length > 0 ? list.map(hex) : undefined;
}
