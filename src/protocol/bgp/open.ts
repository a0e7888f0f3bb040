/** An OPEN's capabilities as `capabilities.sent` and `.received` of a peer event. */
import { familyKey } from '../../codec/bgp/constants.ts';
import type { OpenMessage } from '../../codec/bgp/types.ts';
import { familyName } from './update.ts';

export interface CapabilitiesJson {
  /** Of the multiprotocol capabilities; absent where there is none, which means IPv4 unicast. */
  families?: string[];
  as4?: number;
  route_refresh?: boolean;
  enhanced_route_refresh?: boolean;
  extended_message?: boolean;
  add_path?: { family: string; mode: string }[];
  extended_next_hop?: { family: string; next_hop_afi: number }[];
  graceful_restart?: {
    restarted: boolean;
    notification: boolean;
    /** Seconds. */
    time: number;
    families: { family: string; forwarding: boolean }[];
  };
  other?: { code: number; value: string }[];
}

export function openCapabilities(open: Pick<OpenMessage, 'capabilities'>): CapabilitiesJson {
  const out: CapabilitiesJson = {};
  const name = (f: { afi: number; safi: number }) => familyName(familyKey(f.afi, f.safi));
  for (const c of open.capabilities) {
    switch (c.name) {
      case 'multiprotocol':
        (out.families ??= []).push(name(c));
        break;
      case 'as4':
        out.as4 = c.asn;
        break;
      case 'route-refresh':
        out.route_refresh = true;
        break;
      case 'enhanced-route-refresh':
        out.enhanced_route_refresh = true;
        break;
      case 'extended-message':
        out.extended_message = true;
        break;
      case 'add-path':
        for (const e of c.entries) (out.add_path ??= []).push({ family: name(e), mode: e.mode });
        break;
      case 'extended-next-hop':
        for (const e of c.entries) {
          (out.extended_next_hop ??= []).push({ family: name(e), next_hop_afi: e.nextHopAfi });
        }
        break;
      case 'graceful-restart':
        out.graceful_restart = {
          restarted: c.restarted,
          notification: c.notification,
          time: c.time,
          families: c.families.map((f) => ({ family: name(f), forwarding: f.forwarding })),
        };
        break;
      case 'raw':
        (out.other ??= []).push({ code: c.code, value: `0x${c.value}` });
        break;
    }
  }
  return out;
}
