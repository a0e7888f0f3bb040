import { Buffer } from 'node:buffer';

/** RFC 5952 text of 4 or 16 address bytes at `at`. */
export function formatIp(b: Uint8Array, at = 0, length: 4 | 16 = (b.length - at) as 4 | 16): string {
  return length === 4 ? `${b[at]}.${b[at + 1]}.${b[at + 2]}.${b[at + 3]}` : formatIpv6(b, at);
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as `::`, IPv4-mapped dotted. */
export function formatIpv6(b: Uint8Array, at = 0): string {
  let best = -1;
  let bestLength = 1;
  let run = -1;
  for (let i = 0; i < 8; i++) {
    const zero = b[at + 2 * i] === 0 && b[at + 2 * i + 1] === 0;
    if (!zero) {
      run = -1;
      continue;
    }
    if (run < 0) run = i;
    if (i - run + 1 > bestLength) {
      best = run;
      bestLength = i - run + 1;
    }
  }
  if (best === 0 && bestLength === 5 && b[at + 10] === 0xff && b[at + 11] === 0xff) {
    return `::ffff:${b[at + 12]}.${b[at + 13]}.${b[at + 14]}.${b[at + 15]}`;
  }
  let text = '';
  for (let i = 0; i < 8; i++) {
    if (i === best) {
      text += '::';
      i += bestLength - 1;
      continue;
    }
    if (text !== '' && !text.endsWith(':')) text += ':';
    text += ((b[at + 2 * i] << 8) | b[at + 2 * i + 1]).toString(16);
  }
  return text;
}

/** 4 or 16 bytes of an address text, or undefined where it is none. A zone (`%eth0`) and an IPv4-mapped prefix are accepted as written. */
export function parseIp(text: string): Buffer | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Buffer | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const out = Buffer.alloc(4);
  for (let i = 0; i < 4; i++) {
    if (!/^(0|[1-9]\d{0,2})$/.test(parts[i])) return undefined;
    const n = Number(parts[i]);
    if (n > 255) return undefined;
    out[i] = n;
  }
  return out;
}

function parseIpv6(text: string): Buffer | undefined {
  const zone = text.indexOf('%');
  let body = zone < 0 ? text : text.slice(0, zone);
  const dot = body.lastIndexOf(':');
  if (body.includes('.')) {
    const v4 = parseIpv4(body.slice(dot + 1));
    if (!v4) return undefined;
    body = `${body.slice(0, dot + 1)}${v4.readUInt16BE(0).toString(16)}:${v4.readUInt16BE(2).toString(16)}`;
  }
  const halves = body.split('::');
  if (halves.length > 2) return undefined;
  const head = halves[0] === '' ? [] : halves[0].split(':');
  const tail = halves.length === 1 || halves[1] === '' ? [] : halves[1].split(':');
  const given = head.length + tail.length;
  if (halves.length === 1 ? given !== 8 : given > 7) return undefined;
  const groups = [...head, ...new Array<string>(8 - given).fill('0'), ...tail];
  const out = Buffer.alloc(16);
  for (let i = 0; i < 8; i++) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(groups[i])) return undefined;
    out.writeUInt16BE(Number.parseInt(groups[i], 16), 2 * i);
  }
  return out;
}

/** The one text of an address (RFC 5952, an IPv4-mapped IPv6 address as IPv4), or undefined where it is none. */
export function normaliseIp(text: string): string | undefined {
  const b = parseIp(text);
  if (!b) return undefined;
  if (b.length === 16 && isMapped(b)) return formatIp(b, 12, 4);
  return formatIp(b);
}

/** True for ::ffff:0:0/96. */
export function isMapped(b: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (b[i] !== 0) return false;
  return b[10] === 0xff && b[11] === 0xff;
}

/** A CIDR prefix; `bytes` is 4 or 16 long with the host bits cleared. */
export interface Prefix {
  bytes: Buffer;
  length: number;
}

/** `A.B.C.D/len`, `v6/len` or a bare address (host prefix); undefined where it is none. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const bytes = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (!bytes) return undefined;
  const max = bytes.length * 8;
  const lengthText = slash < 0 ? String(max) : text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(lengthText)) return undefined;
  const length = Number(lengthText);
  if (length > max) return undefined;
  for (let bit = length; bit < max; bit++) bytes[bit >> 3] &= ~(0x80 >> (bit & 7));
  return { bytes, length };
}

/** RFC 5952 text with length. */
export function formatPrefix(p: Prefix): string {
  return `${formatIp(p.bytes)}/${p.length}`;
}

/** True where `address` (4 or 16 bytes; an IPv4-mapped one counts as IPv4) lies in `p`. */
export function prefixContains(p: Prefix, address: Uint8Array): boolean {
  const a = address.length === 16 && isMapped(address) ? address.subarray(12) : address;
  if (a.length !== p.bytes.length) return false;
  const whole = p.length >> 3;
  for (let i = 0; i < whole; i++) if (a[i] !== p.bytes[i]) return false;
  const rest = p.length & 7;
  if (rest === 0) return true;
  const mask = 0xff00 >> rest;
  return (a[whole] & mask) === (p.bytes[whole] & mask);
}

/** `ADDR:PORT` or `[V6]:PORT`; undefined where it is neither. */
export function parseEndpoint(text: string): { address: string; port: number } | undefined {
  const m = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (!m) return undefined;
  const address = normaliseIp(m[1] ?? m[2]);
  const port = Number(m[3]);
  if (address === undefined || port > 65535) return undefined;
  return { address, port };
}

/** `ADDR:PORT`, with brackets where ADDR is IPv6. */
export function formatEndpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
