/**
 * Salts (msgPrivacyParameters) of what this process encrypts. All nodes of a VIP and all of their workers have the same key, boots and time,
 * so that no salt may ever be another's: each has a partition of its own.
 *
 *   AES   | node: 16 bits | relay: 1 bit | worker: 7 bits | counter: 40 bits |                        RFC 3826 section 3.1.2.1
 *   DES   | engineBoots: 32 bits | node: 4 bits | worker: 4 bits | relay: 1 bit | counter: 23 bits |  RFC 3414 section 8.1.1.1
 *
 * The counter begins anywhere. With DES sixteen nodes of sixteen workers are apart, with AES more than there can be.
 */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';

/** Set in the number of a node that has none in a cluster. */
const HASHED = 0x8000;

/** The number of a node: its place among the members of its cluster, else one made of its name, which may be another's, too. */
export function saltNode(index: number | undefined, site: string, node: string): number {
  if (index !== undefined) return index % HASHED;
  const hash = createHash('sha256').update(`tidegate salt\n${site}\n${node}`).digest();
  return HASHED | hash.readUInt16BE(0);
}

export class Salts {
  /** As `saltNode` makes it; another one when the cluster has changed. */
  node: number;
  private readonly worker: number;
  private readonly relay: number;
  private high: number;
  private low: number;

  /** `relay`: for what is relayed, in a thread of its own. `random`: 5 octets. */
  constructor(node: number, worker: number, relay: boolean, random: Uint8Array) {
    this.node = node;
    this.worker = worker & 0x7f;
    this.relay = relay ? 0x80 : 0;
    this.high = random[0];
    this.low = ((random[1] << 24) | (random[2] << 16) | (random[3] << 8) | random[4]) >>> 0;
  }

  next(des: boolean, boots: number): Buffer {
    this.low = (this.low + 1) >>> 0;
    if (this.low === 0) this.high = (this.high + 1) & 0xff;
    const salt = Buffer.allocUnsafe(8);
    if (des) {
      salt.writeUInt32BE(boots, 0);
      salt[4] = ((this.node & 0x0f) << 4) | (this.worker & 0x0f);
      salt.writeUIntBE(this.low & 0x7fffff, 5, 3);
      salt[5] |= this.relay;
    } else {
      salt.writeUInt16BE(this.node, 0);
      salt[2] = this.relay | this.worker;
      salt[3] = this.high;
      salt.writeUInt32BE(this.low, 4);
    }
    return salt;
  }
}
