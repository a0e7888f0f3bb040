/**
 * Errors that a client library lets fall: a rejection nobody awaits, an exception in one of its socket callbacks. They end neither the export
 * thread nor its worker: they are told, counted, and the client is built again. What goes wrong in our own code still ends the thread, because
 * nobody knows what state it is in.
 */
import { ClientError } from './kafka/errors.ts';

/** The events of a thread's `process` that matter here. */
export interface ErrorSource {
  on(event: 'unhandledRejection' | 'uncaughtException', listener: (e: unknown) => void): unknown;
}

/** True where an error did not begin in our own code: its first frame that is a file belongs to a package, or there is none (the runtime's own). */
export function ofLibrary(e: unknown): boolean {
  if (e instanceof ClientError) return true;
  if (!(e instanceof Error) || e.stack === undefined) return true;
  const frame = e.stack.split('\n').find((line) => /^\s+at .*(file:\/\/|\()?\//.test(line) && !line.includes('node:'));
  return frame === undefined || frame.includes('/node_modules/');
}

/** One text of an error, with its stack where there is one. */
export function errorText(e: unknown): string {
  return e instanceof Error ? (e.stack ?? e.message) : String(e);
}

/** Listens for what nobody caught. */
export function contain(
  source: ErrorSource,
  on: { contained: (message: string) => void; fatal: (message: string) => void },
): void {
  const take = (e: unknown): void => (ofLibrary(e) ? on.contained(errorText(e)) : on.fatal(errorText(e)));
  source.on('unhandledRejection', take);
  source.on('uncaughtException', take);
}
