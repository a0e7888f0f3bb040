/** The formats an exporter can be given. `cloudevents` is the event itself; the others are projections of snmp.trap.v1 alone. */
import { structuredJson } from '../envelope.ts';
import type { EventRecord } from '../record.ts';
import { onap } from './onap.ts';
import { otel } from './otel.ts';
import { snmptrapd } from './snmptrapd.ts';
import { telegraf } from './telegraf.ts';
import { type TrapEvent, trapEvent } from './trap.ts';

export const FORMATS = ['cloudevents', 'onap', 'telegraf', 'snmptrapd', 'otel'] as const;
export type Format = (typeof FORMATS)[number];
export type Projection = Exclude<Format, 'cloudevents'>;

const PROJECTIONS: Record<Projection, (e: TrapEvent) => string> = { onap, telegraf, snmptrapd, otel };

/** A notification in a format; undefined for anything else, which has no such form. */
export function project(format: Projection, r: EventRecord, sec: number, nsec: number): string | undefined {
  const e = trapEvent(r, sec, nsec);
  return e && PROJECTIONS[format](e);
}

/** content-type of what a format makes. */
export function mediaType(format: Format): string {
  return format === 'snmptrapd' ? 'text/plain; charset=utf-8' : 'application/json';
}

/** One event as a line of stdout or a file, without the line feed; undefined where the format has no form for it. */
export function lineOf(format: Format, r: EventRecord, sec: number, nsec: number, node: string): string | undefined {
  return format === 'cloudevents' ? structuredJson(r, sec, nsec, node) : project(format, r, sec, nsec);
}
