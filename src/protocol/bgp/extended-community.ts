/** Extended communities as text: RFC 4360, RFC 5668 (four-byte AS), RFC 9012 (colour, encapsulation), RFC 8097, link bandwidth. */
import { Buffer } from 'node:buffer';

const SUBTYPES: Record<number, string> = { 2: 'rt', 3: 'soo' };

/** `rt:65000:1`, `soo:192.0.2.1:7`, `color:100`, …; what has no common text is `0x` and 16 hex digits. */
export function extendedCommunityText(hex: string): string {
  const b = Buffer.from(hex, 'hex');
  if (b.length !== 8) return `0x${hex}`;
  const name = SUBTYPES[b[1]];
  switch (b[0]) {
    case 0x00:
      if (name !== undefined) return `${name}:${b.readUInt16BE(2)}:${b.readUInt32BE(4)}`;
      break;
    case 0x01:
      if (name !== undefined) return `${name}:${b[2]}.${b[3]}.${b[4]}.${b[5]}:${b.readUInt16BE(6)}`;
      break;
    case 0x02:
      if (name !== undefined) return `${name}:${b.readUInt32BE(2)}:${b.readUInt16BE(6)}`;
      break;
    case 0x03:
      if (b[1] === 0x0b && b.readUInt16BE(2) === 0) return `color:${b.readUInt32BE(4)}`;
      if (b[1] === 0x0c && b.readUInt32BE(2) === 0) return `encap:${b.readUInt16BE(6)}`;
      break;
    case 0x40:
      // Bytes per second, IEEE 754 single precision.
      if (b[1] === 0x04) return `lb:${b.readUInt16BE(2)}:${b.readFloatBE(4)}`;
      break;
    case 0x43:
      if (b[1] === 0 && b.readUIntBE(2, 5) === 0) return `rov:${b[7]}`;
      break;
  }
  return `0x${hex}`;
}
