/**
 * AS_PATH, RFC 4271 section 4.3 b, RFC 5065 (confederations), RFC 6793 (four-byte AS numbers).
 *
 *  +---------+-----------+-----------------------------+
 *  | type u8 | count u8  | count AS numbers, u16 or u32 |  repeated
 *  +---------+-----------+-----------------------------+
 */
import type { Reader, Writer } from '../../core/bytes.ts';
import { AS_TRANS } from './constants.ts';
import type { AsSegment, AsSegmentType } from './types.ts';

const TYPES: readonly (AsSegmentType | undefined)[] = [undefined, 'set', 'sequence', 'confed-sequence', 'confed-set'];

/** Undefined where it is malformed (RFC 7606 7.2: unknown segment type, over- or underrun, empty segment). */
export function readAsPath(r: Reader, as4: boolean): AsSegment[] | undefined {
  const segments: AsSegment[] = [];
  const width = as4 ? 4 : 2;
  while (r.left > 0) {
    const type = TYPES[r.u8()];
    const count = r.u8();
    if (!type || r.failed || count === 0 || count * width > r.left) return undefined;
    const asns: number[] = [];
    for (let i = 0; i < count; i++) asns.push(as4 ? r.u32() : r.u16());
    segments.push({ type, asns });
  }
  return segments;
}

/** A segment of more than 255 AS numbers is written as several. Numbers that do not fit in two bytes become AS_TRANS. */
export function writeAsPath(w: Writer, path: readonly AsSegment[], as4: boolean): void {
  for (const s of path) {
    for (let i = 0; i < s.asns.length; i += 255) {
      const part = s.asns.slice(i, i + 255);
      w.u8(TYPES.indexOf(s.type)).u8(part.length);
      for (const asn of part) {
        if (as4) w.u32(asn);
        else w.u16(asn > 0xffff ? AS_TRANS : asn);
      }
    }
  }
}

/** RFC 4271 9.1.2.2 and RFC 5065 5.3: a set counts as one, confederation segments as none. */
export function asPathLength(path: readonly AsSegment[]): number {
  let n = 0;
  for (const s of path) n += s.type === 'sequence' ? s.asns.length : s.type === 'set' ? 1 : 0;
  return n;
}

/** RFC 6793 4.2.3: the path of a two-byte speaker, with the numbers it could not carry put back from AS4_PATH. */
export function mergeAs4Path(path: readonly AsSegment[], as4Path: readonly AsSegment[]): AsSegment[] {
  // Section 3: confederation segments have no place in AS4_PATH.
  const tail = as4Path.filter((s) => s.type === 'sequence' || s.type === 'set');
  let lead = asPathLength(path) - asPathLength(tail);
  if (lead < 0 || tail.length === 0) return [...path];
  const out: AsSegment[] = [];
  for (const s of path) {
    const confed = s.type === 'confed-sequence' || s.type === 'confed-set';
    if (lead === 0 && !confed) break;
    if (confed) out.push(s);
    else if (s.type === 'set') {
      out.push(s);
      lead--;
    } else {
      const part = s.asns.slice(0, lead);
      lead -= part.length;
      out.push({ type: 'sequence', asns: part });
    }
  }
  for (const s of tail) {
    const last = out[out.length - 1];
    if (last && last.type === 'sequence' && s.type === 'sequence') {
      out[out.length - 1] = { type: 'sequence', asns: [...last.asns, ...s.asns] };
    } else out.push(s);
  }
  return out;
}
