/**
 * How a decoder refuses: a value, never a throw. `code` comes from the closed list of `core/errors.ts`, `offset` is the byte
 * offset from the start of the message that was handed to the decoder, `layer` names the part of the message being read.
 */
export class DecodeError {
  readonly ok = false as const;
  readonly code: DecodeCode;
  readonly offset: number;
  readonly layer: string;
  constructor(code: DecodeCode, offset: number, layer: string) {
    this.code = code;
    this.offset = offset;
    this.layer = layer;
  }
}

/** What may be wrong with bytes, whatever the protocol. Protocol-specific reasons live beside the protocol's refusal codes. */
export type DecodeCode =
  | 'truncated' // the message ends before what it announces
  | 'trailing' // bytes follow a complete message
  | 'length' // a length field contradicts its container
  | 'tag' // another type stands where this one must
  | 'value' // the value is not legal for its type
  | 'range' // the number does not fit
  | 'depth' // nested deeper than allowed
  | 'limit' // more elements or bytes than allowed
  | 'version' // a version that does not exist or is not spoken here
  | 'unsupported' // legal, known, not decoded here
  | 'marker'; // a fixed pattern is missing

/** True where a decoder's answer is a refusal. */
export function isDecodeError(x: unknown): x is DecodeError {
  return x instanceof DecodeError;
}
