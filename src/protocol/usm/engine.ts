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

/**
 * Salts (msgPrivacyParameters) of what this process encrypts. All nodes have the same key, boots and time, so the salt must differ:
 *
 *   AES   | partition: 16 bits of (site, node) | worker: 8 bits | counter: 40 bits |     its start is random
 *   DES   | engineBoots: 32 bits | partition and worker: 8 bits | counter: 24 bits |     RFC 3414 section 8.1.1.1
 */
export class Salts {
  private readonly partition: Buffer;
  private readonly worker: number;
  private high: number;
  private low: number;

  /** `random`: 5 octets. */
  constructor(node: string, worker: number, random: Uint8Array) {
    this.partition = createHash('sha256').update(`tidegate salt\n${node}`).digest().subarray(0, 3);
    this.worker = worker & 0xff;
    this.high = random[0];
    this.low = ((random[1] << 24) | (random[2] << 16) | (random[3] << 8) | random[4]) >>> 0;
  }

  private count(): void {
    this.low = (this.low + 1) >>> 0;
    if (this.low === 0) this.high = (this.high + 1) & 0xff;
  }

  next(des: boolean, boots: number): Buffer {
    this.count();
    const salt = Buffer.allocUnsafe(8);
    if (des) {
      salt.writeUInt32BE(boots, 0);
      salt[4] = this.partition[2] ^ this.worker;
      salt.writeUIntBE(this.low & 0xffffff, 5, 3);
    } else {
      salt[0] = this.partition[0];
      salt[1] = this.partition[1];
      salt[2] = this.worker;
      salt[3] = this.high;
      salt.writeUInt32BE(this.low, 4);
    }
    return salt;
  }
}
