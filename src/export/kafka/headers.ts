/**
 * The CloudEvents headers of a record in their wire form. All but three are the same for every event of a type, so they are encoded once:
 *   parts[0] id parts[1] time parts[2] subject parts[3]        (each variable value stands behind its own length)
 */
import { Buffer } from 'node:buffer';
import { kafkaHeaders } from '../../event/envelope.ts';
import { type Format, mediaType } from '../../event/projections/index.ts';
import type { EventRecord } from '../../event/record.ts';
import type { EventType } from '../../event/types.ts';

export interface HeaderTemplate {
  count: number;
  parts: [Buffer, Buffer, Buffer, Buffer];
  /** Bytes of all parts. */
  size: number;
}

const VARIABLE = ['ce_id', 'ce_time', 'ce_subject'];
const EMPTY = Buffer.alloc(0);

/** A zigzag varint, as record lengths are written. */
function lengthBytes(n: number): Buffer {
  const out: number[] = [];
  let v = n * 2;
  while (v > 0x7f) {
    out.push((v & 0x7f) | 0x80);
    v = Math.floor(v / 128);
  }
  out.push(v);
  return Buffer.from(out);
}

function sized(text: string): Buffer {
  const b = Buffer.from(text, 'utf8');
  return Buffer.concat([lengthBytes(b.length), b]);
}

function build(type: EventType, node: string, format: Format): HeaderTemplate {
  const sample: EventRecord = { type, flags: 0, subject: '', key: EMPTY, id: '', value: EMPTY };
  const headers = kafkaHeaders(sample, 0, 0, node);
  if (format !== 'cloudevents')
    for (const h of headers) {
      if (h[0] === 'ce_dataschema') h[1] = `urn:tidegate:format:${format}`;
      else if (h[0] === 'content-type') h[1] = mediaType(format);
    }
  const parts: Buffer[][] = [[]];
  const order: string[] = [];
  for (const [name, value] of headers) {
    parts[parts.length - 1].push(sized(name));
    if (VARIABLE.includes(name)) {
      order.push(name);
      parts.push([]);
    } else parts[parts.length - 1].push(sized(value));
  }
  if (order.join() !== VARIABLE.join()) throw new Error(`unexpected order of headers: ${order.join()}`);
  const joined = parts.map((p) => Buffer.concat(p)) as HeaderTemplate['parts'];
  return { count: headers.length, parts: joined, size: joined.reduce((n, p) => n + p.length, 0) };
}

/** Formats other than cloudevents. */
export type Formats = Partial<Record<EventType, Format>>;

/** Templates of one node. */
export class HeaderTemplates {
  private readonly node: string;
  private readonly byType = new Map<EventType, HeaderTemplate>();
  /** What was asked for last: it is asked for each event. */
  private lastType: EventType | undefined;
  private last: HeaderTemplate | undefined;

  private readonly formats: Formats;

  constructor(node: string, formats: Formats = {}) {
    this.node = node;
    this.formats = formats;
  }

  of(type: EventType): HeaderTemplate {
    if (type === this.lastType && this.last) return this.last;
    let t = this.byType.get(type);
    if (!t) {
      t = build(type, this.node, this.formats[type] ?? 'cloudevents');
      this.byType.set(type, t);
    }
    this.lastType = type;
    this.last = t;
    return t;
  }
}
