/**
 * SNMPv1 and SNMPv2c messages.
 *
 *   Message ::= SEQUENCE { version INTEGER {v1(0), v2c(1)}, community OCTET STRING, data PDUs }          RFC 1157, RFC 1901
 *   PDU ::= [n] IMPLICIT SEQUENCE { request-id Integer32, error-status INTEGER, error-index INTEGER,
 *                                   variable-bindings SEQUENCE OF VarBind }                              RFC 3416 section 3
 *     n: 0 get, 1 get-next, 2 response, 3 set, 5 get-bulk, 6 inform, 7 trap, 8 report
 *   Trap-PDU ::= [4] IMPLICIT SEQUENCE { enterprise OBJECT IDENTIFIER, agent-addr NetworkAddress, generic-trap INTEGER,
 *                                        specific-trap INTEGER, time-stamp TimeTicks,
 *                                        variable-bindings SEQUENCE OF VarBind }                         RFC 1157 section 4.1.6
 *   VarBind ::= SEQUENCE { name OBJECT IDENTIFIER, value }
 *
 * The decoder has two steps, so that a receiver can judge version and community before it reads a hostile PDU. It follows the
 * grammar without recursion, and every element must be used up exactly.
 */
import type { Buffer } from 'node:buffer';
import { DecodeError } from '../../core/result.ts';
import { BerReader } from '../ber/reader.ts';
import {
  BIT_STRING,
  COUNTER32,
  COUNTER64,
  END_OF_MIB_VIEW,
  GAUGE32,
  INTEGER,
  IP_ADDRESS,
  NO_SUCH_INSTANCE,
  NO_SUCH_OBJECT,
  NULL,
  OBJECT_IDENTIFIER,
  OCTET_STRING,
  OPAQUE,
  SEQUENCE,
  TIME_TICKS,
  UINTEGER32,
} from '../ber/tags.ts';
import { DecodedVarBind, type Envelope, type Pdu, type SmiType, type TrapV1Pdu, type VarBind } from './message.ts';
import { VarBindCache } from './varbind-cache.ts';

/** More in one message are refused with `limit`. */
export const MAX_VARBINDS = 256;

const seen = new VarBindCache();

const TRAP_V1 = 0xa4;
const PDU_NAMES: readonly (Pdu['pdu'] | undefined)[] = [
  'get',
  'get-next',
  'response',
  'set',
  undefined,
  'get-bulk',
  'inform',
  'trap',
  'report',
];

/** Version, community and where the PDU is. A version other than v1 and v2c is refused with `version`. Never throws. */
export function decodeEnvelope(buf: Buffer): Envelope | DecodeError {
  const r = new BerReader(buf, 'message');
  r.enter(SEQUENCE);
  if (r.error) return r.error;
  const end = r.end;
  if (end !== buf.length) return new DecodeError('trailing', end, 'message');
  const versionOffset = r.pos;
  const version = r.integer32();
  if (r.error) return r.error;
  if (version !== 0 && version !== 1) return new DecodeError('version', versionOffset, 'message');
  r.layer = 'community';
  const pduOffset = r.header(OCTET_STRING);
  if (r.error) return r.error;
  return new DecodedEnvelope(buf, version === 0 ? 'v1' : 'v2c', r.pos, pduOffset, end);
}

/** No view is made of what is only compared. */
class DecodedEnvelope implements Envelope {
  readonly ok = true;
  readonly version: Envelope['version'];
  readonly communityOffset: number;
  readonly communityEnd: number;
  readonly pduOffset: number;
  readonly end: number;
  readonly #buf: Buffer;

  constructor(buf: Buffer, version: Envelope['version'], communityOffset: number, pduOffset: number, end: number) {
    this.#buf = buf;
    this.version = version;
    this.communityOffset = communityOffset;
    this.communityEnd = pduOffset;
    this.pduOffset = pduOffset;
    this.end = end;
  }

  get community(): Buffer {
    return this.#buf.subarray(this.communityOffset, this.communityEnd);
  }
}

/** The PDU of a message whose envelope was read from the same bytes. Never throws. */
export function decodePdu(buf: Buffer, envelope: Envelope): Pdu | TrapV1Pdu | DecodeError {
  return decodePduAt(buf, envelope.pduOffset, envelope.end);
}

/** A PDU at [offset, end): also that of a v3 scopedPDU. */
export function decodePduAt(buf: Buffer, offset: number, end: number): Pdu | TrapV1Pdu | DecodeError {
  const r = new BerReader(buf, 'pdu', offset, end);
  const tag = r.peek();
  if (tag === TRAP_V1) return decodeTrapV1(r);
  const name = tag >= 0xa0 && tag <= 0xa8 ? PDU_NAMES[tag - 0xa0] : undefined;
  if (name === undefined) return new DecodeError(tag < 0 ? 'truncated' : 'tag', offset, 'pdu');
  const outer = enterPdu(r, tag);
  const requestIdOffset = r.pos;
  const requestId = r.integer32();
  const errorStatusOffset = r.pos;
  const errorStatus = r.integer32();
  const errorIndex = r.integer32();
  const varbinds: VarBind[] = [];
  const varbindsOffset = readVarBinds(r, varbinds);
  r.leave(outer);
  if (r.error) return r.error;
  return {
    ok: true,
    pdu: name,
    requestId,
    errorStatus,
    errorIndex,
    varbinds,
    requestIdOffset,
    errorStatusOffset,
    varbindsOffset,
  };
}

function decodeTrapV1(r: BerReader): TrapV1Pdu | DecodeError {
  const outer = enterPdu(r, TRAP_V1);
  const enterprise = r.oid();
  const agentAddress = r.error ? '' : ipContents(r, r.header(IP_ADDRESS));
  const genericOffset = r.pos;
  const genericTrap = r.integer32();
  if (genericTrap < 0 || genericTrap > 6) r.fail('value', genericOffset);
  const specificTrap = r.integer32();
  const timestamp = r.unsigned32(TIME_TICKS);
  const varbinds: VarBind[] = [];
  const varbindsOffset = readVarBinds(r, varbinds);
  r.leave(outer);
  if (r.error) return r.error;
  return {
    ok: true,
    pdu: 'trap-v1',
    enterprise,
    agentAddress,
    genericTrap,
    specificTrap,
    timestamp,
    varbinds,
    varbindsOffset,
  };
}

/** A PDU fills its message: what follows it is trailing. */
function enterPdu(r: BerReader, tag: number): number {
  const around = r.end;
  const outer = r.enter(tag);
  // The reader begins at the PDU, but the datagram around it is whole: a length that does not fit is no truncation.
  if (r.error) {
    if (r.error.code === 'truncated' && r.error.offset < around)
      r.error = new DecodeError('length', r.error.offset, 'pdu');
  } else if (r.end !== around) r.fail('trailing', r.end);
  return outer;
}

/** Returns where the contents of the list begin. */
function readVarBinds(r: BerReader, out: VarBind[]): number {
  r.layer = 'variable-bindings';
  const outer = r.enter(SEQUENCE);
  const begin = r.pos;
  const listEnd = r.end;
  while (r.pos < listEnd && !r.error) {
    if (out.length === MAX_VARBINDS) {
      r.fail('limit', r.pos);
      break;
    }
    const start = r.pos;
    const end = r.header(SEQUENCE);
    if (r.error) break;
    const known = seen.find(r.buf, start, end);
    if (known !== undefined) {
      out.push(new DecodedVarBind(known.oid, start, end, known));
      r.pos = end;
      continue;
    }
    // The loop checks the end itself: enter and leave would cost more than the rest of a small varbind.
    r.end = end;
    const bind = new DecodedVarBind(r.oid(), start, end, undefined);
    readValue(r, bind);
    if (r.pos !== end) r.fail('trailing', r.pos);
    r.end = listEnd;
    if (!r.error) seen.keep(r.buf, bind);
    out.push(bind);
  }
  r.leave(outer);
  r.layer = 'pdu';
  return begin;
}

function readValue(r: BerReader, bind: VarBind): void {
  if (r.error) return;
  const at = r.pos;
  const tag = r.peek();
  if (tag < 0) {
    r.fail('truncated', at);
    return;
  }
  const end = r.length();
  if (r.error) return;
  switch (tag) {
    case INTEGER:
      bind.type = 'integer32';
      bind.value = r.integer32Contents(end);
      return;
    case OCTET_STRING:
      octets(r, bind, 'octet-string', end);
      return;
    case OBJECT_IDENTIFIER:
      bind.type = 'oid';
      bind.value = r.oidContents(end);
      return;
    case TIME_TICKS:
      bind.type = 'timeticks';
      bind.value = r.unsigned32Contents(end);
      return;
    case GAUGE32:
      bind.type = 'gauge32';
      bind.value = r.unsigned32Contents(end);
      return;
    case COUNTER32:
      bind.type = 'counter32';
      bind.value = r.unsigned32Contents(end);
      return;
    case COUNTER64:
      bind.type = 'counter64';
      bind.value = r.unsigned64Contents(end);
      return;
    case IP_ADDRESS:
      bind.type = 'ip-address';
      bind.value = ipContents(r, end);
      return;
    case OPAQUE:
      octets(r, bind, 'opaque', end);
      return;
    case UINTEGER32:
      bind.type = 'unsigned32';
      bind.value = r.unsigned32Contents(end);
      return;
    case BIT_STRING:
      // RFC 1442 had it, RFC 1902 took it out. Its first octet says how many bits of the last are not used.
      if (end === r.pos || r.buf[r.pos] > 7) {
        r.fail('value', r.pos);
        return;
      }
      r.pos++;
      octets(r, bind, 'bits', end);
      return;
    case NULL:
    case NO_SUCH_OBJECT:
    case NO_SUCH_INSTANCE:
    case END_OF_MIB_VIEW:
      if (end !== r.pos) r.fail('length', r.pos);
      return;
    default:
      r.fail('tag', at);
  }
}

function octets(r: BerReader, bind: VarBind, type: SmiType, end: number): void {
  bind.type = type;
  bind.value = r.buf.subarray(r.pos, end);
  r.pos = end;
}

/** IpAddress: exactly 4 octets. */
function ipContents(r: BerReader, end: number): string {
  if (r.error) return '';
  const at = r.pos;
  if (end - at !== 4) {
    r.fail('length', at);
    return '';
  }
  const b = r.buf;
  r.pos = end;
  return `${b[at]}.${b[at + 1]}.${b[at + 2]}.${b[at + 3]}`;
}
