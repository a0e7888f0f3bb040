/** A BGP session as bgp.peer.v1, an UPDATE as bgp.update.v1. Pure. */
import type { Buffer } from 'node:buffer';
import {
  notificationCodeName,
  notificationSubcodeName,
  type OpenMessage,
  type UpdateMessage,
} from '../../codec/bgp/index.ts';
import { octetText } from '../../core/bytes.ts';
import { sha256, shortHash } from '../../core/hash.ts';
import type { DecodeError } from '../../core/result.ts';
import type { DownFacts, NotificationFacts } from '../../protocol/bgp/machine.ts';
import { type CapabilitiesJson, openCapabilities } from '../../protocol/bgp/open.ts';
import { splitUpdate, type UpdateFields, updateFields } from '../../protocol/bgp/update.ts';

/** What is the same in every event of a session. The router is the peer: it speaks for itself. */
export interface SessionFacts {
  router: { name: string; address: string; bgp_id: string };
  peer: { address: string; asn: number; bgp_id: string };
  /** UTC microsecond of the accept. */
  epoch: number;
}

export interface PeerData extends SessionFacts {
  state: 'up' | 'down';
  reason: string;
  capabilities?: { sent: CapabilitiesJson; received: CapabilitiesJson };
  local?: { address: string; port: number; asn: number; bgp_id: string };
  /** Seconds. */
  hold_time?: number;
  /** What ended the session, sent or received as `reason` says. */
  notification?: { code: number; subcode: number; name: string; subname?: string; text?: string };
}

export interface UpdateData extends SessionFacts, UpdateFields {
  /** Ours: what the peer sent, before any policy. */
  view: 'adj-rib-in-pre';
  part?: { index: number; count: number };
  /** The whole message, where it could not be read to its end. */
  raw?: string;
  error?: { code: string; offset: number; layer: string };
}

export interface Said<T> {
  data: T;
  contentId: string;
}

export function peerUp(
  facts: SessionFacts,
  local: NonNullable<PeerData['local']>,
  sent: OpenMessage,
  received: OpenMessage,
  holdTime: number,
): Said<PeerData> {
  const capabilities = { sent: openCapabilities(sent), received: openCapabilities(received) };
  const data: PeerData = { ...facts, state: 'up', reason: 'Established', capabilities, local, hold_time: holdTime };
  return { data, contentId: shortHash(JSON.stringify(['up', facts.peer, capabilities.received])) };
}

export function peerDown(facts: SessionFacts, down: DownFacts): Said<PeerData> {
  const data: PeerData = { ...facts, state: 'down', reason: down.reason };
  const n = down.received ?? down.sent;
  if (n) data.notification = notification(n);
  return { data, contentId: shortHash(JSON.stringify(['down', facts.peer, down.reason, data.notification])) };
}

function notification(n: NotificationFacts): NonNullable<PeerData['notification']> {
  const { code, subcode, text } = n;
  return {
    code,
    subcode,
    name: notificationCodeName(code),
    subname: notificationSubcodeName(code, subcode),
    text,
  };
}

/** An UPDATE whose parts cannot be told apart: kept as it came. */
export function unreadable(facts: SessionFacts, e: DecodeError, bytes: Buffer): Said<UpdateData> {
  const error = { code: e.code, offset: e.offset, layer: e.layer };
  const data: UpdateData = { ...facts, view: 'adj-rib-in-pre', raw: octetText(bytes), error };
  return { data, contentId: sha256(`${facts.peer.asn} ${facts.peer.bgp_id}`, bytes).slice(0, 32) };
}

/** Usually one event; several where an extended message holds more routes than one event should. `bytes` is the whole message. */
export function update(facts: SessionFacts, u: UpdateMessage, bytes: Buffer): Said<UpdateData>[] {
  const fields = updateFields(u);
  const untrusted = u.problems?.some((p) => p.class === 'session-reset') ?? false;
  const who = `${facts.peer.asn} ${facts.peer.bgp_id}`;
  return splitUpdate(fields).map((part) => {
    const data: UpdateData = { ...facts, view: 'adj-rib-in-pre', ...part };
    if (untrusted) data.raw = octetText(bytes);
    return { data, contentId: sha256(part.part ? `${who} ${part.part.index}` : who, bytes).slice(0, 32) };
  });
}
