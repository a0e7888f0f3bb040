/**
 * Adj-RIB-Out of one peer (RFC 4271 section 3.2): what the peer should have against what it was sent. Pure: the difference goes out
 * as UPDATE parts. A change of VIP or grade is never a reset of the session. What a route says stands in policy.ts.
 */
import { familyKey, IPV4_UNICAST, IPV6_UNICAST, type Nlri, type PathAttributes } from '../../codec/bgp/index.ts';
import type { Grade } from '../grade.ts';
import { attributesOf, type Level, type Policy } from './policy.ts';

export interface AdjOutSettings {
  policy: Policy;
  /** Explicit next hops; a family without one takes our address of the session, where that is of the family. */
  nextHop: { ipv4?: string; ipv6?: string };
}

export type AdjOutInput =
  /** All VIPs that are to be announced, as `address/length`, and how well. */
  /** `standby`: those of them that another node is preferred for. `decided`: false while it is not known yet; then End-of-RIB waits. */
  | { type: 'wanted'; prefixes: string[]; grade: Grade; standby?: string[]; decided?: boolean }
  /** `families`: `afi/safi` both sides speak. `extendedNextHop`: IPv4 routes may have an IPv6 next hop (RFC 8950). `enhancedRefresh`: RFC 7313. */
  | {
      type: 'established';
      families: string[];
      localAddress: string;
      extendedNextHop?: boolean;
      enhancedRefresh?: boolean;
    }
  /** What differs by them is sent. */
  | { type: 'settings'; settings: AdjOutSettings }
  | { type: 'down' }
  | { type: 'route-refresh'; afi: number; safi: number };

export type AdjOutEffect =
  | { type: 'announce'; family: string; prefixes: string[]; attributes: PathAttributes; nextHop: string }
  | { type: 'withdraw'; family: string; prefixes: string[] }
  | { type: 'end-of-rib'; family: string }
  /** RFC 7313: the answer to a refresh begins, or ends. */
  | { type: 'refresh-mark'; family: string; mark: 'begin' | 'end' };

export class AdjOut {
  /** What the Established session was sent: prefix to the fingerprint of its attributes. */
  readonly sent = new Map<string, string>();
  readonly endOfRibSent = new Set<string>();
  private settings: AdjOutSettings;
  private wanted: string[] = [];
  private standby = new Set<string>();
  private grade: Grade = 'dead';
  private decided = true;
  private session:
    | { families: Set<string>; localAddress: string; extendedNextHop: boolean; enhancedRefresh: boolean }
    | undefined;

  constructor(settings: AdjOutSettings) {
    this.settings = settings;
  }

  handle(input: AdjOutInput, out: AdjOutEffect[]): void {
    switch (input.type) {
      case 'wanted':
        this.wanted = input.prefixes;
        this.grade = input.grade;
        this.standby = new Set(input.standby);
        this.decided = input.decided ?? true;
        this.difference(out);
        this.endOfRib(out);
        return;
      case 'settings':
        this.settings = input.settings;
        this.difference(out);
        return;
      case 'established':
        this.forget();
        this.session = {
          families: new Set(input.families),
          localAddress: input.localAddress,
          extendedNextHop: input.extendedNextHop === true,
          enhancedRefresh: input.enhancedRefresh === true,
        };
        this.difference(out);
        this.endOfRib(out);
        return;
      case 'down':
        this.forget();
        return;
      case 'route-refresh': {
        const family = familyKey(input.afi, input.safi);
        if (!this.session?.families.has(family)) return;
        const marked = this.session.enhancedRefresh;
        for (const prefix of [...this.sent.keys()]) if (familyOf(prefix) === family) this.sent.delete(prefix);
        if (marked) out.push({ type: 'refresh-mark', family, mark: 'begin' });
        this.difference(out);
        if (marked) out.push({ type: 'refresh-mark', family, mark: 'end' });
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

  /** RFC 4724: also where there is nothing to dump. A peer that kept our routes over a restart drops those it was not sent again by then. */
  private endOfRib(out: AdjOutEffect[]): void {
    if (!this.session || !this.decided) return;
    for (const family of [IPV4_UNICAST, IPV6_UNICAST]) {
      if (!this.session.families.has(family) || this.endOfRibSent.has(family)) continue;
      this.endOfRibSent.add(family);
      out.push({ type: 'end-of-rib', family });
    }
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
    if (/^fe[89ab]/i.test(local)) return undefined;
    return fits || (family === IPV4_UNICAST && this.session!.extendedNextHop) ? local : undefined;
  }

  private difference(out: AdjOutEffect[]): void {
    if (!this.session) return;
    const wanted = this.grade === 'dead' ? [] : this.wanted;
    const levels = new Map<Level, string[]>();
    const possible = new Set<string>();
    for (const p of wanted) {
      if (this.obstacle(p) !== undefined) continue;
      possible.add(p);
      const level = this.grade === 'degraded' ? 'degraded' : this.standby.has(p) ? 'standby' : 'full';
      const list = levels.get(level);
      if (list) list.push(p);
      else levels.set(level, [p]);
    }
    for (const family of [IPV4_UNICAST, IPV6_UNICAST]) {
      const gone = [...this.sent.keys()].filter((p) => familyOf(p) === family && !possible.has(p));
      for (const p of gone) this.sent.delete(p);
      if (gone.length > 0) out.push({ type: 'withdraw', family, prefixes: gone });
      for (const [level, all] of levels) {
        const nextHop = this.nextHop(family);
        if (nextHop === undefined) continue;
        const attributes = attributesOf(this.settings.policy, level);
        const print = JSON.stringify([attributes, nextHop]);
        const changed = all.filter((p) => familyOf(p) === family && this.sent.get(p) !== print);
        for (const p of changed) this.sent.set(p, print);
        if (changed.length > 0) out.push({ type: 'announce', family, prefixes: changed, attributes, nextHop });
      }
    }
  }
}

export function familyOf(prefix: string): string {
  return prefix.includes(':') ? IPV6_UNICAST : IPV4_UNICAST;
}

export function nlri(prefixes: readonly string[]): Nlri[] {
  return prefixes.map((prefix) => ({ prefix }));
}
