/** The BGP identifier where none is configured (RFC 6286: any 32-bit number but 0, unique within the AS). */
import { Buffer } from 'node:buffer';
import { sha256 } from '../core/hash.ts';
import { formatIp, parseIp } from '../core/ip.ts';

/** The first IPv4 address of this node that is no VIP and not of loopback, else a hash of the node's name, which also works without any IPv4. */
export function deriveRouterId(node: string, ownAddresses: readonly string[], vips: readonly string[]): string {
  const shared = new Set(vips.map((v) => v.split('/')[0]));
  for (const a of ownAddresses) {
    const text = a.split('/')[0];
    const b = parseIp(text);
    if (b?.length === 4 && b[0] !== 127 && b[0] !== 0 && b[0] < 224 && !shared.has(text)) return text;
  }
  const b = Buffer.from(sha256(node).slice(0, 8), 'hex');
  return b.readUInt32BE(0) === 0 ? '0.0.0.1' : formatIp(b, 0, 4);
}
