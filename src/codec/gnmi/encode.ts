/** SubscribeRequest and CapabilityRequest (gNMI specification 3.5.1.1 and 3.2.1), encoded from the text in proto.ts. */
import { Buffer } from 'node:buffer';
import { gnmiType } from './proto.ts';
import { ENCODINGS, type Path, STREAM_MODES, type SubscribeOptions } from './types.ts';

/** A STREAM subscription over all paths. */
export function encodeSubscribeRequest(o: SubscribeOptions): Buffer {
  const subscription = o.paths.map((path) => ({
    path: wirePath(path),
    mode: STREAM_MODES.indexOf(o.streamMode),
    sample_interval: nanoseconds(o.sampleInterval),
    suppress_redundant: o.suppressRedundant === true,
    heartbeat_interval: nanoseconds(o.heartbeatInterval),
  }));
  const subscribe = {
    prefix: o.prefix && wirePath(o.prefix),
    subscription,
    qos: o.qos === undefined ? undefined : { marking: o.qos },
    mode: 0,
    encoding: ENCODINGS.indexOf(o.encoding),
    updates_only: o.updatesOnly === true,
  };
  return encode('SubscribeRequest', { subscribe });
}

/** Asks for the next round of a POLL subscription. */
export function encodePollRequest(): Buffer {
  return encode('SubscribeRequest', { poll: {} });
}

export function encodeCapabilityRequest(): Buffer {
  return encode('CapabilityRequest', {});
}

function encode(name: string, value: object): Buffer {
  const type = gnmiType(name);
  return Buffer.from(type.encode(type.fromObject(value)).finish());
}

function wirePath(p: Path): object {
  return { origin: p.origin, target: p.target, elem: p.elem.map((e) => ({ name: e.name, key: { ...e.key } })) };
}

/** 64-bit text, because a day in nanoseconds times a few is beyond 2^53. Zero and absent are the same: not said. */
function nanoseconds(ms: number | undefined): string | undefined {
  return ms ? (BigInt(Math.round(ms * 1000)) * 1000n).toString() : undefined;
}
