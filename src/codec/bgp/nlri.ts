/**
 * NLRI of IPv4 and IPv6 unicast, RFC 4271 section 4.3 and RFC 7911 section 3.
 *
 *  +----------------------------+
 *  | Path Identifier u32        |  only with ADD-PATH
 *  +------------+---------------+
 *  | Length u8  | Prefix        |  length in bits; (length + 7) / 8 bytes
 *  +------------+---------------+
 */
import { Buffer } from 'node:buffer';
import type { Reader, Writer } from '../../core/bytes.ts';
import { formatIpv6, parsePrefix } from '../../core/ip.ts';
import type { Nlri } from './types.ts';

const V6 = Buffer.alloc(16);

/** Appends the routes of the rest of `r` to `out`. False where the field is no list of prefixes; what was read before the fault stays in `out`. */
export function readNlri(r: Reader, ipv6: boolean, addPath: boolean, out: Nlri[]): boolean {
  const buf = r.buf;
  const end = r.end;
  let pos = r.pos;
  const max = ipv6 ? 128 : 32;
  while (pos < end) {
    let pathId: number | undefined;
    if (addPath) {
      if (end - pos < 5) return false;
      pathId = buf.readUInt32BE(pos);
      pos += 4;
    }
    const length = buf[pos++];
    const bytes = (length + 7) >> 3;
    if (length > max || pos + bytes > end) return false;
    const prefix = ipv6 ? textV6(buf, pos, length, bytes) : textV4(buf, pos, length, bytes);
    pos += bytes;
    out.push(pathId === undefined ? { prefix } : { prefix, pathId });
  }
  r.pos = pos;
  return true;
}

/** RFC 7606 5.3 leaves trailing bits without meaning: they are cleared. */
function textV4(buf: Buffer, pos: number, length: number, bytes: number): string {
  let v = 0;
  for (let i = 0; i < bytes; i++) v |= buf[pos + i] << (24 - 8 * i);
  if (length < 32) v &= ~(0xffffffff >>> length);
  return `${v >>> 24}.${(v >>> 16) & 255}.${(v >>> 8) & 255}.${v & 255}/${length}`;
}

function textV6(buf: Buffer, pos: number, length: number, bytes: number): string {
  V6.fill(0);
  buf.copy(V6, 0, pos, pos + bytes);
  const rest = length & 7;
  if (rest !== 0) V6[bytes - 1] &= 0xff00 >> rest;
  return `${formatIpv6(V6)}/${length}`;
}

/** Throws RangeError where a prefix is no prefix of the family: the caller's mistake. */
export function writeNlri(w: Writer, routes: readonly Nlri[], ipv6: boolean, addPath: boolean): void {
  for (const route of routes) {
    const p = parsePrefix(route.prefix);
    if (!p || p.bytes.length !== (ipv6 ? 16 : 4)) throw new RangeError(`not a prefix of this family: ${route.prefix}`);
    if (addPath) w.u32(route.pathId ?? 0);
    w.u8(p.length).bytes(p.bytes.subarray(0, (p.length + 7) >> 3));
  }
}
