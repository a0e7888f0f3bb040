import { Buffer } from 'node:buffer';
import type { TextWriter } from './text-writer.ts';

/** RFC 3339 text, UTC. A burst shares its second, so the text of the last second is kept. */
let cachedSecond = -1;
let cachedText = '';

function secondText(sec: number): string {
  if (sec !== cachedSecond) {
    cachedSecond = sec;
    cachedText = new Date(sec * 1000).toISOString().slice(0, 19);
  }
  return cachedText;
}

/** `sec` whole seconds since 1970 UTC and `nsec` 0..999999999: nanoseconds are printed only as far as they are known (3, 6 or 9 digits). */
export function rfc3339(sec: number, nsec: number): string {
  const head = secondText(sec);
  if (nsec % 1_000_000 === 0) return `${head}.${String(nsec / 1_000_000).padStart(3, '0')}Z`;
  if (nsec % 1000 === 0) return `${head}.${String(nsec / 1000).padStart(6, '0')}Z`;
  return `${head}.${String(nsec).padStart(9, '0')}Z`;
}

/** The same as bytes, with the point behind it. */
let bytesSecond = -1;
let cachedBytes: Uint8Array = new Uint8Array(0);

/** `rfc3339` as bytes. */
export function writeRfc3339(w: TextWriter, sec: number, nsec: number): void {
  if (sec !== bytesSecond) {
    bytesSecond = sec;
    cachedBytes = Buffer.from(`${secondText(sec)}.`);
  }
  w.bytes(cachedBytes);
  if (nsec % 1_000_000 === 0) w.padded(nsec / 1_000_000, 3);
  else if (nsec % 1000 === 0) w.padded(nsec / 1000, 6);
  else w.padded(nsec, 9);
  w.char(0x5a);
}

/** RFC 3339 of UTC microseconds since 1970. */
export function rfc3339Micros(micros: number): string {
  const sec = Math.floor(micros / 1_000_000);
  return rfc3339(sec, (micros - sec * 1_000_000) * 1000);
}

/** RFC 3339 of UTC milliseconds since 1970. */
export function rfc3339Millis(ms: number): string {
  const sec = Math.floor(ms / 1000);
  return rfc3339(sec, Math.floor(ms - sec * 1000) * 1_000_000);
}

/** `HH:MM:SS.mmm` in the zone of this machine, for a person at a terminal. */
export function localTimeOfDay(sec: number, nsec: number): string {
  return `${new Date(sec * 1000).toTimeString().slice(0, 8)}.${String(Math.floor(nsec / 1e6)).padStart(3, '0')}`;
}
