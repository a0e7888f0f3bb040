/**
 * Capabilities, RFC 5492 section 4.
 *
 *  +---------+-----------+-------+
 *  | code u8 | length u8 | value |   repeated
 *  +---------+-----------+-------+
 */
import { Buffer } from 'node:buffer';
import type { Reader, Writer } from '../../core/bytes.ts';
import type { AddPathMode, Capability } from './types.ts';

const MODES: readonly (AddPathMode | undefined)[] = [undefined, 'receive', 'send', 'both'];

/** Appends the capabilities of the rest of `r`. False where the list does not fit its field. */
export function readCapabilities(r: Reader, out: Capability[]): boolean {
  while (r.left > 0) {
    const code = r.u8();
    const value = r.sub(r.u8());
    if (r.failed) return false;
    const at = value.pos;
    const known = readCapability(code, value);
    out.push(known ?? { name: 'raw', code, value: value.buf.toString('hex', at, value.end) });
  }
  return true;
}

/** Undefined where it is unknown, or its value is malformed (which RFC 5492 has ignored). */
function readCapability(code: number, v: Reader): Capability | undefined {
  const length = v.left;
  switch (code) {
    case 1: {
      if (length !== 4) return undefined;
      const afi = v.u16();
      v.skip(1);
      return { name: 'multiprotocol', afi, safi: v.u8() };
    }
    case 2:
      return length === 0 ? { name: 'route-refresh' } : undefined;
    case 5: {
      if (length % 6 !== 0) return undefined;
      const entries = [];
      // RFC 8950 section 4: the SAFI is two bytes wide here.
      while (v.left > 0) entries.push({ afi: v.u16(), safi: v.u16(), nextHopAfi: v.u16() });
      return { name: 'extended-next-hop', entries };
    }
    case 6:
      return length === 0 ? { name: 'extended-message' } : undefined;
    case 64: {
      if (length < 2 || (length - 2) % 4 !== 0) return undefined;
      const head = v.u16();
      // Reserved bits cannot be told in the typed form: such a value is kept as it came.
      if ((head & 0x3000) !== 0) return undefined;
      const families = [];
      while (v.left > 0) {
        const afi = v.u16();
        const safi = v.u8();
        const flags = v.u8();
        if ((flags & 0x7f) !== 0) return undefined;
        families.push({ afi, safi, forwarding: flags === 0x80 });
      }
      return {
        name: 'graceful-restart',
        restarted: (head & 0x8000) !== 0,
        notification: (head & 0x4000) !== 0,
        time: head & 0x0fff,
        families,
      };
    }
    case 65:
      return length === 4 ? { name: 'as4', asn: v.u32() } : undefined;
    case 69: {
      if (length === 0 || length % 4 !== 0) return undefined;
      const entries = [];
      while (v.left > 0) {
        const afi = v.u16();
        const safi = v.u8();
        const mode = MODES[v.u8()];
        // RFC 7911 section 4: any other value makes the capability be ignored.
        if (mode === undefined) return undefined;
        entries.push({ afi, safi, mode });
      }
      return { name: 'add-path', entries };
    }
    case 70:
      return length === 0 ? { name: 'enhanced-route-refresh' } : undefined;
    default:
      return undefined;
  }
}

/** One capability. Throws RangeError where its value is longer than 255 bytes. */
export function writeCapability(w: Writer, cap: Capability): void {
  const start = (code: number) => {
    w.u8(code).u8(0);
    return w.pos;
  };
  let at: number;
  switch (cap.name) {
    case 'multiprotocol':
      at = start(1);
      w.u16(cap.afi).u8(0).u8(cap.safi);
      break;
    case 'route-refresh':
      at = start(2);
      break;
    case 'extended-next-hop':
      at = start(5);
      for (const e of cap.entries) w.u16(e.afi).u16(e.safi).u16(e.nextHopAfi);
      break;
    case 'extended-message':
      at = start(6);
      break;
    case 'graceful-restart':
      at = start(64);
      w.u16((cap.restarted ? 0x8000 : 0) | (cap.notification ? 0x4000 : 0) | (cap.time & 0x0fff));
      for (const f of cap.families)
        w.u16(f.afi)
          .u8(f.safi)
          .u8(f.forwarding ? 0x80 : 0);
      break;
    case 'as4':
      at = start(65);
      w.u32(cap.asn);
      break;
    case 'add-path':
      at = start(69);
      for (const e of cap.entries) w.u16(e.afi).u8(e.safi).u8(MODES.indexOf(e.mode));
      break;
    case 'enhanced-route-refresh':
      at = start(70);
      break;
    case 'raw':
      at = start(cap.code);
      w.bytes(Buffer.from(cap.value, 'hex'));
      break;
  }
  if (w.pos - at > 255) throw new RangeError(`a capability of ${w.pos - at} bytes`);
  w.patchU8(at - 1, w.pos - at);
}
