/**
 * Our own engine: authoritative for informs (RFC 3414 section 1.5.1).
 *
 * Every node of a VIP is this one engine, so its time cannot be counted from a start: engineTime is UTC minus a configured epoch, and
 * engineBoots is configured. RFC 3414 section 2.2.2 lets boots rise with each restart only because a device without a clock begins
 * again at 0; here time goes on.
 */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';

export const MIN_ENGINE_ID = 5;
export const MAX_ENGINE_ID = 32;
/** RFC 5343 section 3.2: "the engine you are talking to". */
export const LOCAL_ENGINE_ID = Buffer.from('8000000006', 'hex');

export interface OwnEngine {
  /** 5..32 octets. */
  id: Buffer;
  /** 1..2147483646. */
  boots: number;
  /** UTC seconds at which engineTime was 0. */
  epoch: number;
}

/** engineTime in seconds; negative where the clock is before the epoch. */
export function engineTime(e: OwnEngine, wallMs: number): number {
  return Math.floor(wallMs / 1000) - e.epoch;
}

/**
 * An engine id that follows from site and node alone, so that it is the same after each restart (RFC 3411 section 5, format 5: octets;
 * enterprise 0 is nobody's). For one node without a VIP only: several nodes of a VIP must be one engine.
 */
export function derivedEngineId(site: string, node: string): Buffer {
  const octets = createHash('sha256').update(`tidegate engine\n${site}\n${node}`).digest().subarray(0, 12);
  return Buffer.concat([Buffer.from('8000000005', 'hex'), octets]);
}
