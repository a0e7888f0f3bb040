/** The log of a process: one line a fact on standard error, readable on a terminal, JSON otherwise. */
import { pino } from 'pino';
import pretty from 'pino-pretty';
import type { Logger } from '../core/log.ts';

export interface LogOptions {
  level: string;
  /** Standard error is a terminal: lines for people. */
  tty: boolean;
  fields?: Record<string, unknown>;
}

export function makeLogger(o: LogOptions): Logger {
  const stream = o.tty
    ? pretty({ destination: 2, sync: true, colorize: true, ignore: 'pid,hostname', singleLine: true })
    : pino.destination({ dest: 2, sync: true });
  return pino(
    {
      level: o.level,
      base: o.fields ?? {},
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
}
