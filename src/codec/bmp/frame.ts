/**
 * BMP common header, RFC 7854 section 4.1.
 *
 *  +------------+------------+---------+
 *  | version u8 | length u32 | type u8 |   length counts the header
 *  +------------+------------+---------+
 */
import { DecodeError } from '../../core/result.ts';
import type { Framer } from '../stream.ts';
import { BMP_HEADER_LENGTH, BMP_MAX_LENGTH, BMP_VERSION } from './types.ts';

/** Frames messages of at most `maxLength` bytes. Every error loses the framing: the stream cannot be read any further. */
export function bmpFramer(maxLength = BMP_MAX_LENGTH): Framer {
  return (buf, pos, end) => {
    if (end === pos) return 0;
    if (buf[pos] !== BMP_VERSION) return new DecodeError('version', 0, 'bmp.header');
    if (end - pos < BMP_HEADER_LENGTH) return 0;
    const length = buf.readUInt32BE(pos + 1);
    if (length < BMP_HEADER_LENGTH) return new DecodeError('length', 1, 'bmp.header');
    if (length > maxLength) return new DecodeError('limit', 1, 'bmp.header');
    return length;
  };
}
