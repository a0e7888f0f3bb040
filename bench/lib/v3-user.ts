/** The SNMPv3 user of the trap bench, and the engines of its sources. */
import { Buffer } from 'node:buffer';

export const V3_USER = {
  name: 'bench',
  auth: 'sha256',
  authPassphrase: 'authentication passphrase',
  priv: 'aes256',
  privPassphrase: 'privacy passphrase',
} as const;

/** RFC 3411 SnmpEngineID, format 5 (octets), of source number `source`. */
export function engineId(source: number): Buffer {
  return Buffer.from([0x80, 0x00, 0x1f, 0x88, 0x05, 0xbe, 0xec, 0x00, source]);
}
