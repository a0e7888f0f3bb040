/** Writes the header of a message (see frame.ts); the length is filled in at the end. */
import type { Buffer } from 'node:buffer';
import { Writer } from '../../core/bytes.ts';
import { BGP_EXTENDED_MAX_LENGTH } from './constants.ts';

export function startMessage(type: number): Writer {
  const w = new Writer(256);
  for (let i = 0; i < 4; i++) w.u32(0xffffffff);
  return w.u16(0).u8(type);
}

/** Throws RangeError where the message is longer than any session allows. */
export function finishMessage(w: Writer): Buffer {
  if (w.pos > BGP_EXTENDED_MAX_LENGTH) throw new RangeError(`a BGP message of ${w.pos} bytes`);
  w.patchU16(16, w.pos);
  return w.done();
}
