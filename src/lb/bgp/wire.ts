/** UPDATE messages of what Adj-RIB-Out has to say, each within the longest message of the session (RFC 4271 section 4.1, RFC 8654). */
import type { Buffer } from 'node:buffer';
import {
  BGP_EXTENDED_MAX_LENGTH,
  BGP_MAX_LENGTH,
  type BgpContext,
  encodeUpdate,
  IPV4_UNICAST,
  type UpdateParts,
} from '../../codec/bgp/index.ts';
import { type AdjOutEffect, nlri } from './machine.ts';

type Route = Extract<AdjOutEffect, { prefixes: string[] }>;

/** Length octet and address: no prefix takes more. */
const IPV4_BYTES = 5;
const IPV6_BYTES = 17;
/** The length of an attribute of more than 255 bytes has one byte more. */
const EXTENDED_LENGTH_BYTE = 1;

/** In as few messages as can be. Throws RangeError where a prefix or an address is none. */
export function encodeRoutes(e: Route, ctx: BgpContext): Buffer[] {
  const limit = ctx.extendedMessage ? BGP_EXTENDED_MAX_LENGTH : BGP_MAX_LENGTH;
  const out: Buffer[] = [];
  for (let at = 0; at < e.prefixes.length; ) {
    const one = encodeUpdate(parts({ ...e, prefixes: [e.prefixes[at]] }), ctx);
    const each = e.family === IPV4_UNICAST ? IPV4_BYTES : IPV6_BYTES;
    const more = Math.max(0, Math.floor((limit - one.length - EXTENDED_LENGTH_BYTE) / each));
    const prefixes = e.prefixes.slice(at, at + 1 + more);
    out.push(prefixes.length === 1 ? one : encodeUpdate(parts({ ...e, prefixes }), ctx));
    at += prefixes.length;
  }
  return out;
}

/** IPv4 unicast goes into the fields of RFC 4271 unless its next hop is IPv6 (RFC 8950), IPv6 into the attributes of RFC 4760. */
function parts(e: Route): UpdateParts {
  const routes = nlri(e.prefixes);
  const v4 = e.family === IPV4_UNICAST;
  if (e.type === 'withdraw') return v4 ? { withdrawn: routes } : { mpUnreach: [{ afi: 2, safi: 1, routes }] };
  if (v4 && !e.nextHop.includes(':')) return { announced: routes, attributes: { ...e.attributes, nextHop: e.nextHop } };
  return { mpReach: [{ afi: v4 ? 1 : 2, safi: 1, nextHop: [e.nextHop], routes }], attributes: e.attributes };
}
