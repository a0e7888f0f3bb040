/**
 * The trap OID of a v1 or v2c notification by a few pointer moves, for counting what is not decoded. What it says is not proven: the
 * message may be malformed elsewhere. Format: see `decode.ts`. Undefined where it is not at its ordinary place.
 */
import type { Buffer } from 'node:buffer';
import { oidText } from '../ber/oid.ts';
import { INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE } from '../ber/tags.ts';
import { trapOidOfV1 } from './rfc3584.ts';

const TRAP_V1 = 0xa4;
const INFORM = 0xa6;
const TRAP = 0xa7;
const IP_ADDRESS = 0x40;
/** snmpTrapOID.0 as encoded. */
const SNMP_TRAP_OID = [0x2b, 6, 1, 6, 3, 1, 1, 4, 1, 0];

export function peekTrapOid(b: Buffer): string | undefined {
  const c = new Cursor(b);
  c.enter(SEQUENCE);
  c.skip(INTEGER);
  c.skip(OCTET_STRING);
  const pdu = b[c.at];
  if (pdu === TRAP_V1) {
    c.enter(TRAP_V1);
    const from = c.skip(OBJECT_IDENTIFIER);
    const enterprise = c.ok ? oidText(b, from, c.at) : undefined;
    c.skip(IP_ADDRESS);
    const genericTrap = c.integer();
    const specificTrap = c.integer();
    return c.ok && enterprise !== undefined ? trapOidOfV1({ enterprise, genericTrap, specificTrap }) : undefined;
  }
  if (pdu !== TRAP && pdu !== INFORM) return undefined;
  c.enter(pdu);
  for (let i = 0; i < 3; i++) c.skip(INTEGER);
  c.enter(SEQUENCE);
  // sysUpTime.0 stands first (RFC 3416 section 4.2.6).
  c.skip(SEQUENCE);
  c.enter(SEQUENCE);
  const name = c.skip(OBJECT_IDENTIFIER);
  if (!c.ok || c.at - name !== SNMP_TRAP_OID.length) return undefined;
  for (let i = 0; i < SNMP_TRAP_OID.length; i++) if (b[name + i] !== SNMP_TRAP_OID[i]) return undefined;
  const value = c.skip(OBJECT_IDENTIFIER);
  return c.ok ? oidText(b, value, c.at) : undefined;
}

class Cursor {
  private readonly b: Buffer;
  at = 0;
  ok = true;

  constructor(b: Buffer) {
    this.b = b;
  }

  /** To the contents of an element. Returns its length. */
  enter(tag: number): number {
    const { b } = this;
    if (!this.ok || this.at + 2 > b.length || b[this.at] !== tag) return this.fail();
    let length = b[this.at + 1];
    this.at += 2;
    if (length > 0x84 || length === 0x80) return this.fail();
    if (length > 0x80) {
      let more = length & 0x7f;
      if (this.at + more > b.length) return this.fail();
      for (length = 0; more > 0; more--) length = length * 256 + b[this.at++];
    }
    return this.at + length <= b.length ? length : this.fail();
  }

  /** Behind an element. Returns where its contents began. */
  skip(tag: number): number {
    const length = this.enter(tag);
    const from = this.at;
    this.at += length;
    return from;
  }

  integer(): number {
    const from = this.skip(INTEGER);
    if (!this.ok || this.at - from > 4) return this.fail();
    return this.at === from ? 0 : this.b.readIntBE(from, this.at - from);
  }

  private fail(): 0 {
    this.ok = false;
    return 0;
  }
}
