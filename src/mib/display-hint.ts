/**
 * DISPLAY-HINT (RFC 2579 section 3.1): values as text.
 *
 *   integers   x o b, or d, or d-N: a decimal point N digits from the right
 *   octets     one or more of: [*] length format [separator [terminator]]
 *                *           the next octet says how often the rest is repeated
 *                length      octets taken each time, decimal
 *                format      x d o: one number, big endian; a: ASCII; t: UTF-8
 *                separator   a character (no digit, no *), after each application but the last
 *                terminator  the same, after a repeated group; then no separator stands before it
 *              The last one is used again until no octet is left.
 *
 * Hex digits are not padded (`0:1a:2b`), except those of single octets that nothing separates, as Net-SNMP prints them.
 */
import { isUtf8 } from 'node:buffer';

/** One part of an octet string's hint. */
interface Part {
  repeat: boolean;
  length: number;
  format: 'x' | 'd' | 'o' | 'a' | 't';
  separator: string;
  terminator: string;
}

/** A text longer than this is no text for an event. */
const MAX_TEXT = 4096;

/** Undefined where the hint is none for an integer. */
export function integerText(value: number, hint: string): string | undefined {
  const m = /^(?:([xob])|d(?:-(\d{1,3}))?)$/.exec(hint);
  if (!m) return undefined;
  // A negative number in another base is the 32 bits it travels as.
  if (m[1] !== undefined) return (value < 0 ? value >>> 0 : value).toString(m[1] === 'x' ? 16 : m[1] === 'o' ? 8 : 2);
  const shift = Number(m[2] ?? 0);
  if (shift === 0) return String(value);
  const digits = String(Math.abs(value)).padStart(shift + 1, '0');
  return `${value < 0 ? '-' : ''}${digits.slice(0, -shift)}.${digits.slice(-shift)}`;
}

const hints = new Map<string, readonly Part[] | null>();

/** Hints are the table's own, so there are few. */
function partsOf(hint: string): readonly Part[] | undefined {
  let parts = hints.get(hint);
  if (parts === undefined) {
    parts = parse(hint) ?? null;
    if (hints.size < 10_000) hints.set(hint, parts);
  }
  return parts ?? undefined;
}

const PART = /(\*?)(\d{1,5})([xdoat])(?:([^\d*])([^\d*])?)?/y;

function parse(hint: string): Part[] | undefined {
  const parts: Part[] = [];
  let at = 0;
  while (at < hint.length) {
    PART.lastIndex = at;
    const m = PART.exec(hint);
    if (!m) return undefined;
    let end = PART.lastIndex;
    let terminator = m[5] ?? '';
    // Only a repeated group has a terminator.
    if (m[1] === '' && terminator !== '') {
      terminator = '';
      end--;
    }
    const length = Number(m[2]);
    if (length === 0 && m[1] === '') return undefined;
    parts.push({
      repeat: m[1] === '*',
      length,
      format: m[3] as Part['format'],
      separator: m[4] ?? '',
      terminator,
    });
    at = end;
  }
  return parts.length > 0 ? parts : undefined;
}

/** True where the hint shows characters and nothing else: the octets are a text already. */
export function isTextHint(hint: string): boolean {
  const parts = partsOf(hint);
  return (
    parts !== undefined &&
    parts.length === 1 &&
    (parts[0].format === 'a' || parts[0].format === 't') &&
    !parts[0].repeat
  );
}

/** Undefined where the hint is none for octets, or octets that should be characters are not. */
export function octetsText(b: Buffer, hint: string): string | undefined {
  const parts = partsOf(hint);
  if (!parts) return undefined;
  let out = '';
  let at = 0;
  let i = 0;
  while (at < b.length && out.length < MAX_TEXT) {
    const before = at;
    const part = parts[Math.min(i, parts.length - 1)];
    const last = i >= parts.length - 1;
    i++;
    let times = 1;
    if (part.repeat) times = b[at++];
    while (times > 0 && at < b.length) {
      const end = Math.min(b.length, at + part.length);
      const text = applied(b, at, end, part, last);
      if (text === undefined) return undefined;
      out += text;
      at = end;
      times--;
      if (part.separator !== '' && at < b.length && (times > 0 || part.terminator === '')) out += part.separator;
      if (part.length === 0) break;
    }
    if (part.terminator !== '' && at < b.length) out += part.terminator;
    // A hint that takes nothing would never end.
    if (at === before) return undefined;
  }
  return at < b.length ? undefined : out;
}

function applied(b: Buffer, from: number, to: number, p: Part, last: boolean): string | undefined {
  if (p.format === 'a' || p.format === 't') return characters(b, from, to);
  if (p.format === 'x') {
    const hex = b.toString('hex', from, to);
    if (p.length === 1 && p.separator === '' && last) return hex;
    return hex.replace(/^0+(?=.)/, '');
  }
  if (to - from <= 6) {
    let n = 0;
    for (let i = from; i < to; i++) n = n * 256 + b[i];
    return n.toString(p.format === 'd' ? 10 : 8);
  }
  return BigInt(`0x${b.toString('hex', from, to)}`).toString(p.format === 'd' ? 10 : 8);
}

/** Printable characters and white space; anything else is no text. */
function characters(b: Buffer, from: number, to: number): string | undefined {
  let ascii = true;
  for (let i = from; i < to; i++) {
    const c = b[i];
    if (c > 0x7e) ascii = false;
    else if (c < 0x20 && c !== 0x09 && c !== 0x0a && c !== 0x0d) return undefined;
  }
  if (ascii) return b.toString('latin1', from, to);
  const part = b.subarray(from, to);
  if (!isUtf8(part)) return undefined;
  const text = part.toString('utf8');
  return /[\u007f-\u009f]/.test(text) ? undefined : text;
}
