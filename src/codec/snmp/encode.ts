/** The writing half of `decode.ts`, in the same formats, minimal lengths. */
import { Buffer } from 'node:buffer';
import { parseIp } from '../../core/ip.ts';
import {
  BIT_STRING,
  COUNTER32,
  GAUGE32,
  IP_ADDRESS,
  NULL,
  OCTET_STRING,
  OPAQUE,
  SEQUENCE,
  TIME_TICKS,
  UINTEGER32,
} from '../ber/tags.ts';
import { BerWriter } from '../ber/writer.ts';
import type { Pdu, SmiType } from './message.ts';

/** A varbind to send; values as in VarBind, text also for octets (UTF-8), bigint also for counter64. */
export interface VarBindInput {
  oid: string;
  type: SmiType;
  value?: number | string | bigint | Uint8Array;
}

/** What a message consists of. `trap-v1` goes into a v1 message, all else into v2c. */
export type MessageInput = { community: string | Uint8Array; varbinds: readonly VarBindInput[] } & (
  | { pdu: 'trap' | 'inform' | 'response' | 'get'; requestId: number; errorStatus?: number; errorIndex?: number }
  | {
      pdu: 'trap-v1';
      enterprise: string;
      agentAddress: string;
      genericTrap: number;
      specificTrap: number;
      timestamp: number;
    }
);

const TAGS = { get: 0xa0, response: 0xa2, 'trap-v1': 0xa4, inform: 0xa6, trap: 0xa7 } as const;

/** One message. Throws RangeError where a value does not fit its type: the input is the program's own. */
export function encodeMessage(m: MessageInput): Buffer {
  const w = new BerWriter();
  writeVarBinds(w, m.varbinds);
  if (m.pdu === 'trap-v1') {
    w.unsigned32(TIME_TICKS, m.timestamp);
    w.integer32(m.specificTrap).integer32(m.genericTrap);
    w.octets(IP_ADDRESS, ipv4(m.agentAddress)).oid(m.enterprise);
  } else {
    w.integer32(m.errorIndex ?? 0)
      .integer32(m.errorStatus ?? 0)
      .integer32(m.requestId);
  }
  w.wrap(TAGS[m.pdu], 0);
  w.octetString(typeof m.community === 'string' ? Buffer.from(m.community) : m.community);
  w.integer32(m.pdu === 'trap-v1' ? 0 : 1);
  return w.wrap(SEQUENCE, 0).done();
}

/** SEQUENCE OF VarBind, in front of what is there. */
export function writeVarBinds(w: BerWriter, varbinds: readonly VarBindInput[]): void {
  const listMark = w.length;
  for (let i = varbinds.length - 1; i >= 0; i--) {
    const mark = w.length;
    writeValue(w, varbinds[i]);
    w.oid(varbinds[i].oid).wrap(SEQUENCE, mark);
  }
  w.wrap(SEQUENCE, listMark);
}

function writeValue(w: BerWriter, v: VarBindInput): void {
  switch (v.type) {
    case 'integer32':
      w.integer32(Number(v.value));
      return;
    case 'unsigned32':
      w.unsigned32(UINTEGER32, Number(v.value));
      return;
    case 'gauge32':
      w.unsigned32(GAUGE32, Number(v.value));
      return;
    case 'counter32':
      w.unsigned32(COUNTER32, Number(v.value));
      return;
    case 'timeticks':
      w.unsigned32(TIME_TICKS, Number(v.value));
      return;
    case 'counter64':
      w.counter64(BigInt(v.value as string | bigint));
      return;
    case 'oid':
      w.oid(String(v.value));
      return;
    case 'ip-address':
      w.octets(IP_ADDRESS, ipv4(String(v.value)));
      return;
    case 'octet-string':
      w.octets(OCTET_STRING, toBytes(v.value));
      return;
    case 'opaque':
      w.octets(OPAQUE, toBytes(v.value));
      return;
    case 'bits':
      w.octets(BIT_STRING, Buffer.concat([Buffer.of(0), toBytes(v.value)]));
      return;
    case 'null':
      w.null(NULL);
  }
}

function toBytes(v: VarBindInput['value']): Uint8Array {
  return v instanceof Uint8Array ? v : Buffer.from(String(v ?? ''));
}

function ipv4(text: string): Uint8Array {
  const b = parseIp(text);
  if (b?.length !== 4) throw new RangeError(`${text} is no IPv4 address`);
  return b;
}

/**
 * The Response to a confirmed PDU (RFC 3416 section 4.2.7): the same message, or ScopedPDU, with the Response tag and both error fields 0, so that
 * community, request-id and every varbind are the sender's own octets. A copy.
 */
export function responseTo(buf: Buffer, envelope: { pduOffset: number }, pdu: Pdu): Buffer {
  const out = Buffer.from(buf);
  out[envelope.pduOffset] = TAGS.response;
  // Two INTEGERs of one-octet lengths; contents of several octets stay as long as they are.
  for (let at = pdu.errorStatusOffset, field = 0; field < 2; field++) {
    const head = out[at + 1] > 0x7f ? 2 + (out[at + 1] & 0x7f) : 2;
    const length = head === 2 ? out[at + 1] : out.readUIntBE(at + 2, head - 2);
    out.fill(0, at + head, at + head + length);
    at += head + length;
  }
  return out;
}
