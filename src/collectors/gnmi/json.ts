/**
 * JSON values of a target (RFC 8259, RFC 7951), kept exact: a number that a double cannot hold, or an integer beyond ±(2^53 − 1),
 * becomes the string of its own digits.
 */
import { type Buffer, isUtf8 } from 'node:buffer';

/** Deeper documents are not taken apart. */
export const MAX_JSON_DEPTH = 128;

/** Undefined where it is no JSON, no UTF-8, or too deep. Never throws. */
export function parseJson(buf: Buffer): unknown {
  if (!isUtf8(buf) || !shallow(buf)) return undefined;
  const text = buf.toString('utf8');
  try {
    // Sixteen digits in a row, or an exponent: only then a number can lose something.
    return /[\d.]{16}|\d[eE]/.test(text)
      ? JSON.parse(text, exact as (key: string, value: unknown) => unknown)
      : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function exact(_key: string, value: unknown, context: { source?: string }): unknown {
  if (typeof value !== 'number' || context.source === undefined) return value;
  return roundTrips(context.source, value) ? value : context.source;
}

function roundTrips(source: string, value: number): boolean {
  if (/^-?\d+$/.test(source)) return Number.isSafeInteger(value);
  return Number.isFinite(value) && canonical(source) === canonical(String(value));
}

/** Significant digits and exponent: `1.50e3` → `15e2`. */
function canonical(text: string): string {
  const m = /^(-?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (!m) return text;
  const fraction = m[3] ?? '';
  const digits = (m[2] + fraction).replace(/^0+/, '');
  const short = digits.replace(/0+$/, '');
  if (short === '') return '0';
  return `${m[1]}${short}e${Number(m[4] ?? 0) - fraction.length + digits.length - short.length}`;
}

function shallow(buf: Buffer): boolean {
  let depth = 0;
  let text = false;
  for (let i = 0; i < buf.length; i++) {
    const c = buf[i];
    if (text) {
      if (c === 0x5c) i++;
      else if (c === 0x22) text = false;
    } else if (c === 0x22) text = true;
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > MAX_JSON_DEPTH) return false;
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
  return true;
}
