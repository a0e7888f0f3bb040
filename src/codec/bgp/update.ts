/**
 * UPDATE, RFC 4271 section 4.3.
 *
 *  +----------------------+------------------+---------------------+-----------------+------+
 *  | withdrawn length u16 | withdrawn routes | attributes length u16 | path attributes | NLRI |
 *  +----------------------+------------------+---------------------+-----------------+------+
 */
import type { Buffer } from 'node:buffer';
import { Reader } from '../../core/bytes.ts';
import { DecodeError } from '../../core/result.ts';
import { writeAttributes } from './attribute-writer.ts';
import { type AttributeBlock, readAttributes } from './attributes.ts';
import {
  ATTR_AS_PATH,
  ATTR_NEXT_HOP,
  ATTR_ORIGIN,
  BGP_HEADER_LENGTH,
  familyKey,
  IPV4_UNICAST,
  MESSAGE_UPDATE,
} from './constants.ts';
import { finishMessage, startMessage } from './header.ts';
import { readNlri, writeNlri } from './nlri.ts';
import type { BgpContext, Nlri, PathAttributes, UpdateMessage, UpdateProblem } from './types.ts';

/**
 * `buf` is one whole message with its header. Only a message whose parts cannot be told apart is refused;
 * everything else is in `problems` with its RFC 7606 class. Routes behind a `session-reset` problem may be missing.
 */
export function decodeUpdate(buf: Buffer, ctx: BgpContext): UpdateMessage | DecodeError {
  const r = new Reader(buf, BGP_HEADER_LENGTH);
  const withdrawnField = r.sub(r.u16());
  if (r.failed) return new DecodeError('length', BGP_HEADER_LENGTH, 'bgp.update');
  const lengthAt = r.pos;
  const attributeField = r.sub(r.u16());
  if (r.failed) return new DecodeError('length', lengthAt, 'bgp.update');
  const attributesEmpty = attributeField.left === 0;
  const addPath = ctx.addPath.has(IPV4_UNICAST);

  const withdrawn: Nlri[] = [];
  const announced: Nlri[] = [];
  const classic: UpdateProblem[] = [];
  const nlriAt = r.pos;
  if (!readNlri(withdrawnField, false, addPath, withdrawn))
    classic.push(nlriProblem('withdrawn routes', BGP_HEADER_LENGTH + 2));
  const block = readAttributes(attributeField, ctx);
  if (!readNlri(r, false, addPath, announced)) classic.push(nlriProblem('NLRI', nlriAt));
  const message: UpdateMessage = {
    kind: 'update',
    withdrawn,
    announced,
    attributes: block.attributes,
    mpReach: block.mpReach,
    mpUnreach: block.mpUnreach,
  };
  checkMandatory(block, announced.length > 0);
  const problems = classic.length === 0 ? block.problems : [...classic, ...block.problems];
  if (problems.length > 0) message.problems = problems;
  else message.eor = endOfRib(message, block, attributesEmpty);
  return message;
}

/** RFC 7606 5.3: routes that cannot be parsed cannot be withdrawn either. */
function nlriProblem(field: string, offset: number): UpdateProblem {
  return { class: 'session-reset', attribute: 0, subcode: 10, reason: `${field} is no list of prefixes`, offset };
}

/** RFC 7606 3 d. */
function checkMandatory(block: AttributeBlock, classic: boolean): void {
  if (!classic && block.mpReach.length === 0) return;
  const missing = (attribute: number, name: string) => {
    if (block.seen.has(attribute)) return;
    block.problems.push({
      class: 'treat-as-withdraw',
      attribute,
      subcode: 3,
      reason: `${name} is missing`,
      offset: BGP_HEADER_LENGTH,
    });
  };
  missing(ATTR_ORIGIN, 'ORIGIN');
  missing(ATTR_AS_PATH, 'AS_PATH');
  if (classic) missing(ATTR_NEXT_HOP, 'NEXT_HOP');
}

/** RFC 4724 section 2: an empty UPDATE for IPv4 unicast, an UPDATE with nothing but an empty MP_UNREACH_NLRI for the others. */
function endOfRib(m: UpdateMessage, block: AttributeBlock, attributesEmpty: boolean): string | undefined {
  if (m.withdrawn.length > 0 || m.announced.length > 0) return undefined;
  if (attributesEmpty) return IPV4_UNICAST;
  if (block.seen.size !== 1 || m.mpUnreach.length !== 1) return undefined;
  const { afi, safi, routes, raw } = m.mpUnreach[0];
  return (routes?.length ?? 0) === 0 && (raw ?? '') === '' ? familyKey(afi, safi) : undefined;
}

/** What an UPDATE is made of; every part may be absent. Empty: End-of-RIB of IPv4 unicast. */
export type UpdateParts = Partial<Pick<UpdateMessage, 'withdrawn' | 'announced' | 'mpReach' | 'mpUnreach'>> & {
  attributes?: PathAttributes;
};

/** One message: the caller keeps it within the session's maximum. Throws RangeError where a prefix or an address is none. */
export function encodeUpdate(parts: UpdateParts, ctx: BgpContext): Buffer {
  const w = startMessage(MESSAGE_UPDATE);
  const addPath = ctx.addPath.has(IPV4_UNICAST);
  const withdrawnAt = w.pos;
  w.u16(0);
  writeNlri(w, parts.withdrawn ?? [], false, addPath);
  w.patchU16(withdrawnAt, w.pos - withdrawnAt - 2);
  const attributesAt = w.pos;
  w.u16(0);
  writeAttributes(w, parts.attributes ?? {}, parts.mpReach ?? [], parts.mpUnreach ?? [], ctx);
  w.patchU16(attributesAt, w.pos - attributesAt - 2);
  writeNlri(w, parts.announced ?? [], false, addPath);
  return finishMessage(w);
}

/** RFC 4724: `family` is `afi/safi`. */
export function encodeEndOfRib(family: string): Buffer {
  const [afi, safi] = family.split('/').map(Number);
  const parts: UpdateParts = family === IPV4_UNICAST ? {} : { mpUnreach: [{ afi, safi, routes: [] }] };
  return encodeUpdate(parts, { as4: true, addPath: new Set(), extendedMessage: false });
}
