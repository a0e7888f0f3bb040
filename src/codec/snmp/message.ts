/** SNMP v1 and v2c messages as decoded. Octet strings are views of the datagram: copy what is kept. */
import type { Buffer } from 'node:buffer';
import type { KnownVarBind } from './varbind-cache.ts';

/** Types of RFC 2578 section 7.1 by the names of the events. Tag 0x42 is read as `gauge32`: Unsigned32 has the same. */
export type SmiType =
  | 'integer32'
  | 'unsigned32'
  | 'counter32'
  | 'counter64'
  | 'gauge32'
  | 'timeticks'
  | 'octet-string'
  | 'oid'
  | 'ip-address'
  | 'opaque'
  | 'bits'
  | 'null';

/**
 * The value by type: the 32-bit types are numbers, counter64 decimal digits, oid and ip-address text, octet-string, opaque and bits
 * octets; null (also noSuchObject, noSuchInstance, endOfMibView) has none.
 */
export interface VarBind {
  oid: string;
  type: SmiType;
  value: number | string | Buffer | undefined;
  /** The VarBind's SEQUENCE is at [start, end) of the datagram. */
  start: number;
  end: number;
}

/** A varbind as the decoder makes it. */
export class DecodedVarBind implements VarBind {
  oid: string;
  type: SmiType;
  value: VarBind['value'];
  start: number;
  end: number;
  #known: KnownVarBind | undefined;

  constructor(oid: string, start: number, end: number, known: KnownVarBind | undefined) {
    this.oid = oid;
    this.type = known === undefined ? 'null' : known.type;
    this.value = known?.value;
    this.start = start;
    this.end = end;
    this.#known = known;
  }

  /** The same as it was met before; undefined where it was not. */
  static known(v: VarBind): KnownVarBind | undefined {
    return #known in v ? v.#known : undefined;
  }
}

export type PduName = 'get' | 'get-next' | 'response' | 'set' | 'trap-v1' | 'get-bulk' | 'inform' | 'trap' | 'report';

/** What stands around the PDU (RFC 1901 section 3). A v3 message has another one (RFC 3412 section 6). */
export interface Envelope {
  ok: true;
  version: 'v1' | 'v2c';
  /** A view of the message. */
  readonly community: Buffer;
  /** Where it stands. */
  communityOffset: number;
  communityEnd: number;
  /** Offset of the PDU's identifier octet, and the end of the message. */
  pduOffset: number;
  end: number;
}

/** All PDUs but the Trap-PDU of v1 (RFC 3416 section 3). */
export interface Pdu {
  ok: true;
  pdu: Exclude<PduName, 'trap-v1'>;
  requestId: number;
  errorStatus: number;
  errorIndex: number;
  varbinds: VarBind[];
  /** Where request-id, error-status and the contents of variable-bindings begin. */
  requestIdOffset: number;
  errorStatusOffset: number;
  varbindsOffset: number;
}

/** The Trap-PDU of v1 (RFC 1157 section 4.1.6). */
export interface TrapV1Pdu {
  ok: true;
  pdu: 'trap-v1';
  enterprise: string;
  agentAddress: string;
  genericTrap: number;
  specificTrap: number;
  /** Hundredths of a second since the agent began. */
  timestamp: number;
  varbinds: VarBind[];
  varbindsOffset: number;
}
