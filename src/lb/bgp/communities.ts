/** Communities as they are configured: standard (RFC 1997), large (RFC 8092), link bandwidth (draft-ietf-idr-link-bandwidth), and names for them. */
import { Buffer } from 'node:buffer';

export interface Communities {
  /** 32-bit values. */
  standard: number[];
  large: [number, number, number][];
  /** 16 hex digits each. */
  extended: string[];
}

/** IANA's well-known names. */
const WELL_KNOWN: Record<string, number> = {
  'graceful-shutdown': 0xffff0000,
  blackhole: 0xffff029a,
  'no-export': 0xffffff01,
  'no-advertise': 0xffffff02,
  'no-export-subconfed': 0xffffff03,
  'no-peer': 0xffffff04,
};

export const COMMUNITY_FORMS =
  'ASN:N, A:B:C (large), bandwidth:BYTES_PER_SECOND, a name of lb.bgp.communities, or one of ' +
  Object.keys(WELL_KNOWN).join(', ');

/** Appends what `text` says; false where it says nothing. `asn`: whose link bandwidth it is. `names`: the operator's own. */
export function addCommunity(
  out: Communities,
  text: string,
  asn: number,
  names: Readonly<Record<string, string>>,
): boolean {
  const meaning = names[text] ?? text;
  if (meaning in WELL_KNOWN) {
    out.standard.push(WELL_KNOWN[meaning]);
    return true;
  }
  const bandwidth = /^bandwidth:(\d{1,15})$/.exec(meaning);
  if (bandwidth) {
    out.extended.push(linkBandwidth(asn, Number(bandwidth[1])));
    return true;
  }
  if (!/^\d{1,10}(:\d{1,10}){1,2}$/.test(meaning)) return false;
  const parts = meaning.split(':').map(Number);
  if (parts.length === 3) {
    if (parts.some((n) => n > 0xffffffff)) return false;
    out.large.push([parts[0], parts[1], parts[2]]);
    return true;
  }
  if (parts.some((n) => n > 0xffff)) return false;
  out.standard.push(parts[0] * 65536 + parts[1]);
  return true;
}

/** Non-transitive two-octet-AS extended community 0x40 0x04; a four-byte AS number does not fit and is AS_TRANS. Bytes per second. */
function linkBandwidth(asn: number, bytesPerSecond: number): string {
  const b = Buffer.alloc(8);
  b[0] = 0x40;
  b[1] = 0x04;
  b.writeUInt16BE(asn > 0xffff ? 23456 : asn, 2);
  b.writeFloatBE(bytesPerSecond, 4);
  return b.toString('hex');
}
