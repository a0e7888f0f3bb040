/**
 * Adj-RIB-Out of one peer (RFC 4271 section 3.2): what the peer should have against what it was sent. Pure: the difference goes out
 * as UPDATE parts. A change of VIP or grade is never a reset of the session.
 *
 * | grade    | eBGP                                                  | iBGP                                         |
 * | full     | AS_PATH own, MED 0                                    | AS_PATH empty, MED 0, LOCAL_PREF 100         |
 * | degraded | AS_PATH own and three times more, MED 1000, 65535:0   | MED 1000, LOCAL_PREF 0, 65535:0              |
 * | dead     | withdrawn                                             | withdrawn                                    |
 *
 * 65535:0 is GRACEFUL_SHUTDOWN (RFC 8326). All nodes say the same in the same grade, or a router would not use their routes side by side.
 */
import { familyKey, IPV4_UNICAST, IPV6_UNICAST, type Nlri, type PathAttributes } from '../../codec/bgp/index.ts';
import type { Grade } from '../grade.ts';

export const GRACEFUL_SHUTDOWN = 0xffff0000;
const DEGRADED_PREPENDS = 3;
const DEGRADED_MED = 1000;
const DEFAULT_LOCAL_PREF = 100;
/** Prefixes in one UPDATE: 200 of IPv6 with all attributes stay below 4096 bytes. */
const BATCH = 200;

export interface AdjOutSettings {
  asn: number;
  peerAsn: number;
  /** Explicit next hops; a family without one takes our address of the session, where that is of the family. */
  nextHop: { ipv4?: string; ipv6?: string };
}

export type AdjOutInput =
  /** All VIPs that are to be announced, as `address/length`, and how well. */
  | { type: 'wanted'; prefixes: string[]; grade: Grade }
  /** `families`: `afi/safi` both sides speak. */
  | { type: 'established'; families: string[]; localAddress: string }
  | { type: 'down' }
  | { type: 'route-refresh'; afi: number; safi: number };

export type AdjOutEffect =
  | { type: 'announce'; family: string; prefixes: string[]; attributes: PathAttributes; nextHop: string }
  | { type: 'withdraw'; family: string; prefixes: string[] }
  | { type: 'end-of-rib'; family: string };

export class AdjOut {
  /** What the Established session was sent: prefix to the fingerprint of its attributes. */
  readonly sent = new Map<string, string>();
  readonly endOfRibSent = new Set<string>();
  private readonly settings: AdjOutSettings;
  private wanted: string[] = [];
  private grade: Grade = 'dead';
  private session: { families: Set<string>; localAddress: string } | undefined;

  constructor(settings: AdjOutSettings) {
    this.settings = settings;
  }

  handle(input: AdjOutInput, out: AdjOutEffect[]): void {
    switch (input.type) {
      case 'wanted':
        this.wanted = input.prefixes;
        this.grade = input.grade;
        this.difference(out);
        return;
      case 'established':
        this.forget();
        this.session = { families: new Set(input.families), localAddress: input.localAddress };
        this.difference(out);
        // RFC 4724: also where there is nothing to dump.
        for (const family of [IPV4_UNICAST, IPV6_UNICAST]) {
          if (!this.session.families.has(family)) continue;
          this.endOfRibSent.add(family);
          out.push({ type: 'end-of-rib', family });
        }
        return;
      case 'down':
        this.forget();
        return;
      case 'route-refresh': {
        const family = familyKey(input.afi, input.safi);
        for (const prefix of [...this.sent.keys()]) if (familyOf(prefix) === family) this.sent.delete(prefix);
        this.difference(out);
      }
    }
  }

  /** Why this prefix cannot be announced on the running session; undefined where it can, or where no session runs. */
  obstacle(prefix: string): string | undefined {
    if (!this.session) return undefined;
    const family = familyOf(prefix);
    const text = family === IPV4_UNICAST ? 'IPv4' : 'IPv6';
    if (!this.session.families.has(family)) return `the peer did not agree to ${text} unicast`;
    if (this.nextHop(family) === undefined)
      return `no ${text} next hop on this session: set next_hop of the peer to an ${text} address of this node`;
    return undefined;
  }

  private forget(): void {
    this.session = undefined;
    this.sent.clear();
    this.endOfRibSent.clear();
  }

  private nextHop(family: string): string | undefined {
    const explicit = family === IPV4_UNICAST ? this.settings.nextHop.ipv4 : this.settings.nextHop.ipv6;
    if (explicit !== undefined) return explicit;
    const local = this.session!.localAddress;
    const fits = local.includes(':') === (family === IPV6_UNICAST);
    // RFC 2545: the next hop has to be a global address.
    return fits && !/^fe[89ab]/i.test(local) ? local : undefined;
  }

  private difference(out: AdjOutEffect[]): void {
    if (!this.session) return;
    const attributes = this.attributes();
    for (const family of [IPV4_UNICAST, IPV6_UNICAST]) {
      const wanted = attributes === undefined ? [] : this.wanted.filter((p) => familyOf(p) === family);
      const possible = new Set(wanted.filter((p) => this.obstacle(p) === undefined));
      const gone = [...this.sent.keys()].filter((p) => familyOf(p) === family && !possible.has(p));
      for (const p of gone) this.sent.delete(p);
      for (const prefixes of batches(gone)) out.push({ type: 'withdraw', family, prefixes });
      if (attributes === undefined || possible.size === 0) continue;
      const nextHop = this.nextHop(family)!;
      const print = JSON.stringify([attributes, nextHop]);
      const changed = [...possible].filter((p) => this.sent.get(p) !== print);
      for (const p of changed) this.sent.set(p, print);
      for (const prefixes of batches(changed)) out.push({ type: 'announce', family, prefixes, attributes, nextHop });
    }
  }

  private attributes(): PathAttributes | undefined {
    if (this.grade === 'dead') return undefined;
    const { asn, peerAsn } = this.settings;
    const degraded = this.grade === 'degraded';
    const external = asn !== peerAsn;
    const own = new Array<number>(degraded ? 1 + DEGRADED_PREPENDS : 1).fill(asn);
    const a: PathAttributes = {
      origin: 'igp',
      asPath: external ? [{ type: 'sequence', asns: own }] : [],
      med: degraded ? DEGRADED_MED : 0,
    };
    if (!external) a.localPref = degraded ? 0 : DEFAULT_LOCAL_PREF;
    if (degraded) a.communities = [GRACEFUL_SHUTDOWN];
    return a;
  }
}

export function familyOf(prefix: string): string {
  return prefix.includes(':') ? IPV6_UNICAST : IPV4_UNICAST;
}

export function nlri(prefixes: readonly string[]): Nlri[] {
  return prefixes.map((prefix) => ({ prefix }));
}

function* batches(prefixes: readonly string[]): Generator<string[]> {
  for (let i = 0; i < prefixes.length; i += BATCH) yield prefixes.slice(i, i + BATCH);
}
