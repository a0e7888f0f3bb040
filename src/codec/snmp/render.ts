/** A varbind as events and `decode` show it. The JSON type of `value` follows from `type` alone. */
import { type Buffer, isUtf8 } from 'node:buffer';
import type { SmiType, VarBind } from './message.ts';

export interface RenderedVarBind {
  oid: string;
  name: string | undefined;
  type: SmiType;
  value: number | string | undefined;
  /** What the value means: an enumeration's label, the name of an OID, a DISPLAY-HINT's rendering, the number inside an Opaque. */
  text: string | undefined;
}

/** Where names come from. The codec knows none: see src/mib. */
export interface Naming {
  /** A notification's name, by its OID. */
  trap(oid: string): string | undefined;
  /** `all`: the varbinds that came with it. */
  varbind(v: VarBind, all: readonly VarBind[]): RenderedVarBind;
}

/** Octets as `0x` and hex digits. */
export function hex(b: Buffer): string {
  return `0x${b.toString('hex')}`;
}

/**
 * Octets as text where they are printable UTF-8, else as `0x…`. Never ambiguous: a text that itself reads as `0x` and hex digits is
 * given in hex too.
 */
export function octetText(b: Buffer): string {
  let ascii = true;
  for (let i = 0; i < b.length; i++) {
    const c = b[i];
    if (c > 0x7e) {
      if (c === 0x7f) return hex(b);
      ascii = false;
    } else if (c < 0x20 && c !== 0x09 && c !== 0x0a && c !== 0x0d) return hex(b);
  }
  if (ascii) return b.length > 1 && b[0] === 0x30 && b[1] === 0x78 && looksHex(b) ? hex(b) : b.toString('latin1');
  if (!isUtf8(b)) return hex(b);
  const text = b.toString('utf8');
  // C1 controls and noncharacters are valid UTF-8 and not printable.
  return /[\u0080-\u009f\p{Noncharacter_Code_Point}]/u.test(text) ? hex(b) : text;
}

function looksHex(b: Buffer): boolean {
  return b.length % 2 === 0 && /^0x[0-9a-f]*$/.test(b.toString('latin1'));
}

/**
 * Net-SNMP puts what SMI has no type for into an Opaque: 0x9f, then 0x78 float (4 octets), 0x79 double (8), 0x7a a signed or 0x7b
 * an unsigned 64-bit integer, then a length and the contents.
 */
export function opaqueText(b: Buffer): string | undefined {
  if (b.length < 4 || b[0] !== 0x9f || b[2] !== b.length - 3) return undefined;
  const n = b[2];
  if (b[1] === 0x78 && n === 4) return String(b.readFloatBE(3));
  if (b[1] === 0x79 && n === 8) return String(b.readDoubleBE(3));
  if ((b[1] !== 0x7a && b[1] !== 0x7b) || n > 9) return undefined;
  const v = BigInt(`0x${b.toString('hex', 3)}`);
  if (b[1] === 0x7a) return BigInt.asIntN(64, BigInt.asIntN(8 * n, v)).toString();
  return n === 9 && b[3] !== 0 ? undefined : BigInt.asUintN(64, v).toString();
}
