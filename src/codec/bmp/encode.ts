/** The writing half of decode.ts: for senders and tests. Throws RangeError only on the caller's mistakes. */
import { Buffer } from 'node:buffer';
import { Writer } from '../../core/bytes.ts';
import { INIT_STRING, INIT_SYS_DESCR, INIT_SYS_NAME, TERM_REASON, TERM_STRING } from './names.ts';
import { type PeerInput, writeBmpAddress, writePeerHeader } from './peer.ts';
import { BMP_TYPES, BMP_VERSION, type BmpKind, type Tlv } from './types.ts';

function message(kind: BmpKind, write: (w: Writer) => void): Buffer {
  const w = new Writer(512);
  w.u8(BMP_VERSION).u32(0).u8(BMP_TYPES.indexOf(kind));
  write(w);
  w.patchU32(1, w.pos);
  return w.done();
}

function writeTlvs(w: Writer, tlvs: readonly Tlv[]): void {
  for (const t of tlvs) w.u16(t.type).u16(t.value.length).bytes(t.value);
}

function text(type: number, value: string): Tlv {
  return { type, value: Buffer.from(value) };
}

/** `tlvs` follow the named ones. RFC 7854 4.4 wants sysName and sysDescr. */
export function encodeInitiation(p: { sysName?: string; sysDescr?: string; strings?: string[]; tlvs?: Tlv[] }): Buffer {
  return message('initiation', (w) => {
    if (p.sysDescr !== undefined) writeTlvs(w, [text(INIT_SYS_DESCR, p.sysDescr)]);
    if (p.sysName !== undefined) writeTlvs(w, [text(INIT_SYS_NAME, p.sysName)]);
    writeTlvs(w, [...(p.strings ?? []).map((s) => text(INIT_STRING, s)), ...(p.tlvs ?? [])]);
  });
}

export function encodeTermination(p: { reason: number; strings?: string[] }): Buffer {
  return message('termination', (w) => {
    writeTlvs(
      w,
      (p.strings ?? []).map((s) => text(TERM_STRING, s)),
    );
    w.u16(TERM_REASON).u16(2).u16(p.reason);
  });
}

/** The OPENs are whole BGP messages. */
export function encodePeerUp(p: {
  peer: PeerInput;
  localAddress: string;
  localPort: number;
  remotePort: number;
  sentOpen: Buffer;
  receivedOpen: Buffer;
  tlvs?: Tlv[];
}): Buffer {
  return message('peer-up', (w) => {
    writePeerHeader(w, p.peer);
    writeBmpAddress(w, p.localAddress);
    w.u16(p.localPort).u16(p.remotePort).bytes(p.sentOpen).bytes(p.receivedOpen);
    writeTlvs(w, p.tlvs ?? []);
  });
}

/** `notification` is a whole BGP message. */
export function encodePeerDown(p: {
  peer: PeerInput;
  reason: number;
  notification?: Buffer;
  fsmEvent?: number;
  tlvs?: Tlv[];
}): Buffer {
  return message('peer-down', (w) => {
    writePeerHeader(w, p.peer);
    w.u8(p.reason);
    if (p.notification) w.bytes(p.notification);
    if (p.fsmEvent !== undefined) w.u16(p.fsmEvent);
    writeTlvs(w, p.tlvs ?? []);
  });
}

export function encodeRouteMonitoring(p: { peer: PeerInput; pdu: Buffer }): Buffer {
  return message('route-monitoring', (w) => {
    writePeerHeader(w, p.peer);
    w.bytes(p.pdu);
  });
}

export function encodeRouteMirroring(p: { peer: PeerInput; tlvs: Tlv[] }): Buffer {
  return message('route-mirroring', (w) => {
    writePeerHeader(w, p.peer);
    writeTlvs(w, p.tlvs);
  });
}

/** `tlvs` carry the values as bytes. */
export function encodeStats(p: { peer: PeerInput; tlvs: Tlv[] }): Buffer {
  return message('stats', (w) => {
    writePeerHeader(w, p.peer);
    w.u32(p.tlvs.length);
    writeTlvs(w, p.tlvs);
  });
}
