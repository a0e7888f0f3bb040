/** BMP messages as the `data` of bmp.*.v1 events, without what the pipeline adds. Pure. */
import type { Buffer } from 'node:buffer';
import { familyKey, notificationCodeName, notificationSubcodeName } from '../../codec/bgp/constants.ts';
import { decodeBgp, INITIAL_CONTEXT } from '../../codec/bgp/message.ts';
import type { BgpContext } from '../../codec/bgp/types.ts';
import type { PeerDown, PeerIdentity, Stat, Tlv } from '../../codec/bmp/index.ts';
import * as names from '../../codec/bmp/names.ts';
import { octetText } from '../../core/bytes.ts';
import { formatIp } from '../../core/ip.ts';
import { DecodeError, isDecodeError } from '../../core/result.ts';
import { rfc3339 } from '../../core/time.ts';
import { familyName, splitUpdate, type UpdateFields, updateFields } from '../../protocol/bgp/update.ts';

export interface RouterJson {
  name?: string;
  address: string;
  bgp_id?: string;
}

export interface PeerJson {
  address: string;
  asn: number;
  bgp_id: string;
  distinguisher?: string;
  type: string;
}

export interface ErrorJson {
  code: string;
  offset: number;
  layer: string;
}

export function peerJson(p: PeerIdentity): PeerJson {
  const out: PeerJson = { address: p.address, asn: p.asn, bgp_id: p.bgpId, type: p.type };
  if (p.distinguisher !== undefined) out.distinguisher = p.distinguisher;
  return out;
}

export function errorJson(e: DecodeError): ErrorJson {
  return { code: e.code, offset: e.offset, layer: e.layer };
}

/** The router's own time of a per-peer header; absent where it says 0, or no microseconds at all. */
export function deviceTime(sec: number, usec: number): string | undefined {
  return sec === 0 ? undefined : rfc3339(sec, (usec < 1_000_000 ? usec : 0) * 1000);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** UTF-8 text as RFC 7854 has it, without trailing NUL; `0x` and hex where it is none. */
export function infoText(value: Buffer): string {
  let end = value.length;
  while (end > 0 && value[end - 1] === 0) end--;
  try {
    const text = utf8.decode(value.subarray(0, end));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters other than white space are what is looked for
    if (!/[\u0000-\u0008\u000e-\u001f\u007f]/.test(text)) return text;
  } catch {
    // Not UTF-8.
  }
  return octetText(value);
}

/** What an Initiation said. */
export interface InitiationFacts {
  sysName?: string;
  sysDescr?: string;
  bgpId?: string;
  info: string[];
  other: { type: number; value: string }[];
}

export function initiationFacts(tlvs: readonly Tlv[]): InitiationFacts {
  const out: InitiationFacts = { info: [], other: [] };
  for (const { type, value } of tlvs) {
    if (type === names.INIT_SYS_NAME && value.length > 0) out.sysName = infoText(value);
    else if (type === names.INIT_SYS_DESCR) out.sysDescr = infoText(value);
    else if (type === names.INIT_STRING) out.info.push(infoText(value));
    else if (type === names.INIT_BGP_ID && value.length === 4) out.bgpId = formatIp(value, 0, 4);
    else out.other.push({ type, value: octetText(value) });
  }
  return out;
}

export function terminationFacts(tlvs: readonly Tlv[]): { reason?: string; info: string[] } {
  const out: { reason?: string; info: string[] } = { info: [] };
  for (const { type, value } of tlvs) {
    if (type === names.TERM_REASON && value.length === 2) out.reason = names.terminationReason(value.readUInt16BE(0));
    else if (type === names.TERM_STRING) out.info.push(infoText(value));
  }
  return out;
}

/** Peer Up and reason 6 of Peer Down share these. */
export function tableFacts(tlvs: readonly Tlv[]): { table_name?: string; admin_label?: string; info?: string[] } {
  const out: { table_name?: string; admin_label?: string; info?: string[] } = {};
  for (const { type, value } of tlvs) {
    if (type === names.PEER_UP_VRF_NAME) out.table_name = infoText(value);
    else if (type === names.PEER_UP_ADMIN_LABEL) out.admin_label = infoText(value);
    else if (type === names.PEER_UP_STRING) (out.info ??= []).push(infoText(value));
  }
  return out;
}

export function peerDownFacts(down: PeerDown): object {
  const out: Record<string, unknown> = { reason: names.peerDownReason(down.reason) };
  if (down.notification) {
    const n = decodeBgp(down.notification, INITIAL_CONTEXT);
    if (isDecodeError(n) || n.kind !== 'notification') {
      out.raw = octetText(down.notification);
      out.error = errorJson(isDecodeError(n) ? n : new DecodeError('tag', 18, 'bgp.header'));
    } else {
      out.notification = {
        code: n.code,
        subcode: n.subcode,
        name: notificationCodeName(n.code),
        subname: notificationSubcodeName(n.code, n.subcode),
        text: n.text,
        data: n.data === '' ? undefined : `0x${n.data}`,
      };
    }
  }
  if (down.fsmEvent !== undefined) out.fsm_event = down.fsmEvent;
  if (down.tlvs) Object.assign(out, tableFacts(down.tlvs));
  return out;
}

export type StatJson =
  | { type: number; name: string; value: number | string; family?: string }
  | { type: number; name: string; raw: string };

export function statJson(s: Stat): StatJson {
  if ('raw' in s) return { type: s.type, name: s.name, raw: `0x${s.raw}` };
  const out: StatJson = { type: s.type, name: s.name, value: s.value };
  if (s.afi !== undefined && s.safi !== undefined) out.family = familyName(familyKey(s.afi, s.safi));
  return out;
}

/** An UPDATE as fields, or what could not be read, and the reason. */
export type PduFields = UpdateFields & { part?: { index: number; count: number }; raw?: string; error?: ErrorJson };

/** One event's fields each. A PDU that cannot be read, or not be trusted (RFC 7606 session reset), is kept raw. */
export function pduFields(pdu: Buffer, ctx: BgpContext): PduFields[] {
  const m = decodeBgp(pdu, ctx);
  if (isDecodeError(m)) return [{ raw: octetText(pdu), error: errorJson(m) }];
  if (m.kind !== 'update') {
    return [{ raw: octetText(pdu), error: errorJson(new DecodeError('tag', 18, 'bgp.header')) }];
  }
  const fields = updateFields(m);
  const fatal = m.problems?.find((p) => p.class === 'session-reset');
  if (fatal) {
    const error = errorJson(new DecodeError('value', fatal.offset, 'bgp.update'));
    return [{ ...fields, raw: octetText(pdu), error }];
  }
  return splitUpdate(fields);
}
