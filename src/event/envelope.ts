/** CloudEvents 1.0: the attributes of a record in binary mode (Kafka headers) and the structured form (stdout, file, tap). */
import { rfc3339 } from '../core/time.ts';
import type { EventRecord } from './record.ts';
import { EVENT_TYPES, type EventType } from './types.ts';

const SOURCE = new Map<EventType, string>(EVENT_TYPES.map((t) => [t.type, `/tidegate/${t.collector}`]));

/** `/tidegate/<collector>`, the same on every node: CloudEvents takes equal source and id as a duplicate. */
export function eventSource(type: EventType): string {
  return SOURCE.get(type)!;
}

/** The URI of the type's JSON Schema (`config/schemas/<type>.json`). */
export function dataSchema(type: EventType): string {
  return `urn:tidegate:schema:${type}`;
}

/** Header names and values of the CloudEvents Kafka binding, binary mode, in the order of the specification. */
export function kafkaHeaders(r: EventRecord, sec: number, nsec: number, node: string): [string, string][] {
  return [
    ['ce_specversion', '1.0'],
    ['ce_id', r.id],
    ['ce_source', eventSource(r.type)],
    ['ce_type', r.type],
    ['ce_time', rfc3339(sec, nsec)],
    ['ce_subject', r.subject],
    ['ce_dataschema', dataSchema(r.type)],
    ['ce_tidegatenode', node],
    ['content-type', 'application/json'],
  ];
}

/** One JSON object on one line, without the line feed. `data` is spliced in as it was spooled. */
export function structuredJson(r: EventRecord, sec: number, nsec: number, node: string): string {
  return structuredText(r, rfc3339(sec, nsec), node, r.value.toString('utf8'));
}

/** The same of an event that is no record yet. `time` is RFC 3339, `data` JSON. */
export function structuredText(
  e: { id: string; type: EventType; subject: string },
  time: string,
  node: string,
  data: string,
): string {
  const head = JSON.stringify({
    specversion: '1.0',
    id: e.id,
    source: eventSource(e.type),
    type: e.type,
    time,
    subject: e.subject,
    dataschema: dataSchema(e.type),
    tidegatenode: node,
    datacontenttype: 'application/json',
  });
  return `${head.slice(0, -1)},"data":${data}}`;
}
