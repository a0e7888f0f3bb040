/**
 * OPEN, RFC 4271 section 4.2; optional parameters with extended length, RFC 9072.
 *
 *  +------------+-----------+---------------+--------------+--------------------+------------+
 *  | version u8 | my AS u16 | hold time u16 | BGP id 4 B   | parameters len u8  | parameters |
 *  +------------+-----------+---------------+--------------+--------------------+------------+
 *  Parameter: type u8, length u8, value. RFC 9072: len 255, then type 255, length u16, parameters with u16 lengths.
 */
import { Buffer } from 'node:buffer';
import { Reader, Writer } from '../../core/bytes.ts';
import { formatIp } from '../../core/ip.ts';
import { DecodeError } from '../../core/result.ts';
import { readCapabilities, writeCapability } from './capability.ts';
import { AS_TRANS, BGP_HEADER_LENGTH, MESSAGE_OPEN } from './constants.ts';
import { finishMessage, startMessage } from './header.ts';
import { addressBytes } from './mp.ts';
import type { Capability, OpenMessage } from './types.ts';

const PARAMETER_CAPABILITIES = 2;
const EXTENDED = 255;

/** `buf` is one whole message. Values a session must not accept (hold time 1, AS 0) are left to the session to judge. */
export function decodeOpen(buf: Buffer): OpenMessage | DecodeError {
  const r = new Reader(buf, BGP_HEADER_LENGTH);
  const version = r.u8();
  if (version !== 4 && !r.failed) return new DecodeError('version', BGP_HEADER_LENGTH, 'bgp.open');
  const asn = r.u16();
  const holdTime = r.u16();
  const id = r.bytes(4);
  let length = r.u8();
  if (r.failed) return new DecodeError('truncated', r.pos, 'bgp.open');
  const lengthAt = r.pos - 1;
  // RFC 9072 section 2: the first parameter type decides, the length before it only makes old speakers fail.
  const extended = length !== 0 && r.left >= 3 && buf[r.pos] === EXTENDED;
  if (extended) {
    r.skip(1);
    length = r.u16();
  }
  if (length > r.left) return new DecodeError('length', lengthAt, 'bgp.open');
  if (length < r.left) return new DecodeError('trailing', r.pos + length, 'bgp.open');
  const open: OpenMessage = { kind: 'open', version, asn, holdTime, bgpId: formatIp(id), capabilities: [] };
  while (r.left > 0) {
    const at = r.pos;
    const type = r.u8();
    const value = r.sub(extended ? r.u16() : r.u8());
    if (r.failed) return new DecodeError('length', at, 'bgp.open');
    if (type === PARAMETER_CAPABILITIES) {
      if (!readCapabilities(value, open.capabilities)) return new DecodeError('length', at, 'bgp.open');
    } else (open.unknownParameters ??= []).push({ type, value: buf.toString('hex', value.pos, value.end) });
  }
  const as4 = open.capabilities.find((cap) => cap.name === 'as4');
  if (as4) open.asn = as4.asn;
  return open;
}

/** One parameter per capability, which the oldest speakers read too; RFC 9072 only where 255 bytes do not suffice. */
export function encodeOpen(open: Omit<OpenMessage, 'kind' | 'version'>): Buffer {
  const parameters: { type: number; value: Buffer }[] = open.capabilities.map((cap) => ({
    type: PARAMETER_CAPABILITIES,
    value: capabilityBytes(cap),
  }));
  for (const p of open.unknownParameters ?? []) parameters.push({ type: p.type, value: Buffer.from(p.value, 'hex') });
  const total = parameters.reduce((n, p) => n + 2 + p.value.length, 0);
  const extended = total > 254 || parameters.some((p) => p.value.length > 255);
  const w = startMessage(MESSAGE_OPEN);
  w.u8(4)
    .u16(open.asn > 0xffff ? AS_TRANS : open.asn)
    .u16(open.holdTime)
    .bytes(addressBytes(open.bgpId));
  if (extended)
    w.u8(EXTENDED)
      .u8(EXTENDED)
      .u16(total + parameters.length);
  else w.u8(total);
  for (const p of parameters) {
    w.u8(p.type);
    if (extended) w.u16(p.value.length);
    else w.u8(p.value.length);
    w.bytes(p.value);
  }
  return finishMessage(w);
}

function capabilityBytes(cap: Capability): Buffer {
  const w = new Writer(32);
  writeCapability(w, cap);
  return w.done();
}
