/** Every event that a test sees is held against its JSON Schema: `validateEvent(event)`. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';

const FOLDER = fileURLToPath(new URL('../config/schemas', import.meta.url));

/** An event in structured form, or a Kafka record put back together. */
export interface StructuredEvent {
  specversion: string;
  id: string;
  source: string;
  type: string;
  time: string;
  subject: string;
  data: object;
  [extension: string]: unknown;
}

// strictRequired would forbid a `required` beside the `properties` of a referred schema, which is how types build on common.json.
const ajv = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false, allErrors: true });
ajv.addFormat('ipv4', /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/);
ajv.addFormat(
  'date-time',
  (s) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(s) && !Number.isNaN(Date.parse(s)),
);

const names = readdirSync(FOLDER).filter((f) => f.endsWith('.json'));
for (const file of names) ajv.addSchema(JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as object);

/** The types that have a schema. */
export const SCHEMA_TYPES: readonly string[] = names
  .map((f) => f.replace(/\.json$/, ''))
  .filter((n) => /\.v\d+$/.test(n));

function complaints(id: string, value: unknown, at: string): string[] {
  const validate = ajv.getSchema(`urn:tidegate:schema:${id}`);
  if (!validate) return [`no config/schemas/${id}.json`];
  if (validate(value)) return [];
  return (validate.errors ?? []).map(
    (e: ErrorObject) => `${at}${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`,
  );
}

/** What is wrong with an event; empty where nothing is. */
export function eventErrors(event: unknown): string[] {
  const envelope = complaints('envelope', event, '');
  if (envelope.length > 0) return envelope;
  const { type, data, source, subject } = event as StructuredEvent;
  const found = complaints(type, data, 'data');
  const device = (data as { device?: { id?: string } }).device?.id;
  if (device !== undefined && subject !== device) found.push(`subject ${subject} is not the device ${device}`);
  const collector = type.startsWith('snmp.') ? 'snmp_trap' : type.split('.')[0];
  if (source !== `/tidegate/${collector}`) found.push(`source ${source} does not fit ${type}`);
  return found;
}

/** Throws with every complaint and the event where it breaks the envelope's or its type's schema; returns it otherwise. */
export function validateEvent<T>(event: T): T & StructuredEvent {
  const found = eventErrors(event);
  if (found.length > 0) throw new Error(`${found.join('\n')}\n${JSON.stringify(event)}`);
  return event as T & StructuredEvent;
}

/** The same for a Kafka record in binary mode: CloudEvents headers and the JSON of `data` as value. */
export function validateRecord(headers: Record<string, string>, value: string): StructuredEvent {
  const event: Record<string, unknown> = { data: JSON.parse(value) as object };
  for (const [name, text] of Object.entries(headers)) {
    if (name.startsWith('ce_')) event[name.slice(3)] = text;
    else if (name === 'content-type') event.datacontenttype = text;
  }
  return validateEvent(event as unknown as StructuredEvent);
}
