/** Capabilities as far as a session must know their codes (RFC 5492), and their names for people. */
import { Buffer } from 'node:buffer';
import type { Capability } from '../../codec/bgp/types.ts';

const CODES = {
  multiprotocol: 1,
  'route-refresh': 2,
  'extended-next-hop': 5,
  'extended-message': 6,
  'graceful-restart': 64,
  as4: 65,
  'add-path': 69,
  'enhanced-route-refresh': 70,
} as const;

export function capabilityCode(c: Capability): number {
  return c.name === 'raw' ? c.code : CODES[c.name];
}

/** The capability codes in the data (hex) of an Unsupported Capability NOTIFICATION: a list of code, length, value. Empty where it names none. */
export function refusedCapabilities(data: string): number[] {
  const b = Buffer.from(data, 'hex');
  const codes: number[] = [];
  for (let i = 0; i + 1 < b.length; i += 2 + b[i + 1]) codes.push(b[i]);
  return codes;
}
