/** CapabilityResponse (gNMI specification 3.2.2), field numbers in proto.ts. */
import type { Buffer } from 'node:buffer';
import { DecodeError } from '../../core/result.ts';
import { GNMI_LIMITS } from './decode.ts';
import { type Capabilities, ENCODINGS } from './types.ts';
import { Wire } from './wire.ts';

/** CapabilityResponse { 1 supported_models*  2 supported_encodings*  3 gNMI_version }. Never throws. */
export function decodeCapabilityResponse(buf: Buffer): Capabilities | DecodeError {
  if (buf.length > GNMI_LIMITS.messageBytes)
    return new DecodeError('limit', GNMI_LIMITS.messageBytes, 'capability-response');
  const w = new Wire(buf, 'capability-response');
  const out: Capabilities = { version: '', encodings: [], models: [] };
  while (w.more()) {
    const tag = w.tag();
    if (out.models.length + out.encodings.length > 10_000) w.fail('limit');
    else if (tag === 10) out.models.push(modelData(w));
    else if (tag === 16) out.encodings.push(encodingName(w.u32()));
    else if (tag === 18) {
      const outer = w.enter();
      while (w.more() && out.encodings.length <= 10_000) out.encodings.push(encodingName(w.u32()));
      w.leave(outer);
    } else if (tag === 26) out.version = w.string();
    else w.skip(tag);
  }
  return w.error ?? out;
}

function modelData(w: Wire): Capabilities['models'][number] {
  const outer = w.enter();
  const model = { name: '', organization: '', version: '' };
  while (w.more()) {
    const tag = w.tag();
    if (tag === 10) model.name = w.string();
    else if (tag === 18) model.organization = w.string();
    else if (tag === 26) model.version = w.string();
    else w.skip(tag);
  }
  w.leave(outer);
  return model;
}

function encodingName(n: number): string {
  return ENCODINGS[n] ?? String(n);
}
