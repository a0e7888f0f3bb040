/** Notifications with every SMI type, encoded, decoded and normalised as the collector does. */
import { Buffer } from 'node:buffer';
import { decodeEnvelope, decodePdu } from '../../../src/codec/snmp/decode.ts';
import { encodeMessage, type MessageInput, type VarBindInput } from '../../../src/codec/snmp/encode.ts';
import { notificationOf, SNMP_TRAP_ENTERPRISE, SNMP_TRAP_OID, SYS_UP_TIME } from '../../../src/codec/snmp/rfc3584.ts';
import { meaningOf } from '../../../src/collectors/snmp-trap/meaning.ts';
import { normalise, type Spoken, V1, V2C } from '../../../src/collectors/snmp-trap/normalise.ts';
import { isDecodeError } from '../../../src/core/result.ts';
import { decodeRecord, type EventRecord, encodeRecord, recordBound } from '../../../src/event/record.ts';

const E = '1.3.6.1.4.1.9999.1';

/** Every type there is on the wire, and octet strings of each kind. */
export const EVERY_TYPE: VarBindInput[] = [
  { oid: `${E}.1`, type: 'integer32', value: -5 },
  { oid: `${E}.2`, type: 'gauge32', value: 7 },
  { oid: `${E}.3`, type: 'counter32', value: 4_294_967_295 },
  { oid: `${E}.4`, type: 'counter64', value: '18446744073709551615' },
  { oid: `${E}.5`, type: 'timeticks', value: 8_640_123 },
  { oid: `${E}.6`, type: 'octet-string', value: 'hello "w" \\ x' },
  { oid: `${E}.7`, type: 'octet-string', value: Buffer.from('00ff10', 'hex') },
  { oid: `${E}.8`, type: 'oid', value: '1.3.6.1.4.1.9' },
  { oid: `${E}.9`, type: 'ip-address', value: '10.1.2.3' },
  { oid: `${E}.10`, type: 'null' },
  { oid: `${E}.11`, type: 'opaque', value: Buffer.from('9f78043fc00000', 'hex') },
  { oid: `${E}.12`, type: 'opaque', value: Buffer.from('9f79084002000000000000', 'hex') },
  { oid: `${E}.13`, type: 'opaque', value: Buffer.from('9f7a01f9', 'hex') },
  { oid: `${E}.14`, type: 'opaque', value: Buffer.from('9f7b0108', 'hex') },
  { oid: `${E}.15`, type: 'octet-string', value: 'äö' },
  { oid: `${E}.16`, type: 'octet-string', value: 'line\ntwo\ttab' },
  { oid: `${E}.17`, type: 'octet-string', value: '' },
  { oid: `${E}.18`, type: 'octet-string', value: Buffer.from('000102030405060708090a0b0c0d0e0f101112131415', 'hex') },
  { oid: `${E}.19`, type: 'octet-string', value: '0x3030' },
];

const v2 = (trapOid: string, varbinds: VarBindInput[], uptime = 123_456): MessageInput => ({
  pdu: 'trap',
  community: 'public',
  requestId: 4711,
  varbinds: [
    { oid: SYS_UP_TIME, type: 'timeticks', value: uptime },
    { oid: SNMP_TRAP_OID, type: 'oid', value: trapOid },
    ...varbinds,
  ],
});

const IF: VarBindInput[] = [
  { oid: '1.3.6.1.2.1.2.2.1.1.7', type: 'integer32', value: 7 },
  { oid: '1.3.6.1.2.1.2.2.1.7.7', type: 'integer32', value: 1 },
  { oid: '1.3.6.1.2.1.2.2.1.8.7', type: 'integer32', value: 2 },
];

export interface Sample {
  packet: Buffer;
  spoken: Spoken;
  pdu: 'trap' | 'inform';
}

export const SAMPLES: Record<string, Sample> = {
  'every-type': { packet: encodeMessage(v2('1.3.6.1.4.1.9999.0.1', EVERY_TYPE)), spoken: V2C, pdu: 'trap' },
  'link-down': {
    packet: encodeMessage(
      v2('1.3.6.1.6.3.1.1.5.3', [...IF, { oid: SNMP_TRAP_ENTERPRISE, type: 'oid', value: '1.3.6.1.4.1.9' }]),
    ),
    spoken: V2C,
    pdu: 'trap',
  },
  'v1-enterprise': {
    packet: encodeMessage({
      pdu: 'trap-v1',
      community: 'public',
      enterprise: '1.3.6.1.4.1.9999',
      agentAddress: '10.9.8.7',
      genericTrap: 6,
      specificTrap: 42,
      timestamp: 5555,
      varbinds: [{ oid: `${E}.1`, type: 'integer32', value: 3 }],
    }),
    spoken: V1,
    pdu: 'trap',
  },
  'v1-generic': {
    packet: encodeMessage({
      pdu: 'trap-v1',
      community: 'public',
      enterprise: '1.3.6.1.4.1.9999',
      agentAddress: '10.9.8.7',
      genericTrap: 0,
      specificTrap: 0,
      timestamp: 5555,
      varbinds: [],
    }),
    spoken: V1,
    pdu: 'trap',
  },
  v3: {
    packet: encodeMessage(v2('1.3.6.1.6.3.1.1.5.4', IF, 777)),
    spoken: {
      version: 'v3',
      security: { user: 'noc', level: 'authPriv' },
      engineId: '80001f8804746573742d31',
      context: 'vrf-a',
    },
    pdu: 'inform',
  },
};

/** 2026-01-02T03:04:05.678Z. */
export const SEC = 1_767_323_045;
export const NSEC = 678_000_000;

/** `data` as the pipeline encodes it. */
export function dataOf(s: Sample, address = '192.0.2.1', port = 40_000): Record<string, unknown> {
  const envelope = decodeEnvelope(s.packet);
  if (isDecodeError(envelope)) throw envelope;
  const pdu = decodePdu(s.packet, envelope);
  if (isDecodeError(pdu)) throw pdu;
  const device = { id: `default|${address}`, name: 'router-1', vendor: 'acme' };
  const origin = { network: 'default', address, port, sec: SEC, nsec: NSEC, device };
  const draft = normalise(s.packet, s.spoken, s.pdu, notificationOf(pdu)!, origin, meaningOf([]));
  const rx = { site: 'dc1', node: 'edge-1', worker: 0, boot: 1_700_000_000_000_000, class: 'alarm', seq: 12 };
  return {
    network: 'default',
    device,
    rx: { ...rx, at: '2026-01-02T03:04:05.678Z' },
    content_id: draft.contentId,
    ...draft.data,
  };
}

export function recordOf(data: unknown, type: 'snmp.trap.v1' | 'system.v1' = 'snmp.trap.v1'): EventRecord {
  const json = JSON.stringify(data);
  const out = Buffer.alloc(recordBound('k', 'dc1/edge-1/0/17/alarm/12', json));
  const n = encodeRecord(out, 0, type, 0, 'k', 'k', 'dc1/edge-1/0/17/alarm/12', json);
  return decodeRecord(out.subarray(0, n))!;
}
