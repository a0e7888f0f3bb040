/** An entry of `lb.vrrp:` of the configuration file, and the virtual routers it makes: one a family. */
import { z } from 'zod';
import { duration, durationOr, ipAddress } from '../../config/fields.ts';
import type { VrrpSettings } from './machine.ts';

/** IPv6 addresses that fit into one packet of 1500 bytes: 40 of IPv6 header, 8 of VRRP. */
const MAX_IPV6 = 90;
const MAX_IPV4 = 255;

const rounds = z.number().int().min(0).max(100);

export const vrrpInstance = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'a name of letters, digits, ., _ and -')
      .optional()
      .meta({ description: 'name in status and metrics; absent: vrid-VRID' }),
    vrid: z.number().int().min(1).max(255).meta({ description: 'virtual router id, the same on all of its nodes' }),
    interface: z
      .string()
      .min(1)
      .max(15)
      .meta({ description: 'the LAN interface; the addresses are on it while active' }),
    version: z
      .union([z.literal(2), z.literal(3)])
      .default(3)
      .meta({ description: 'of IPv4; IPv6 knows only 3' }),
    family: z
      .enum(['ipv4', 'ipv6'])
      .optional()
      .meta({ description: 'only the addresses of this family; absent: a virtual router for each that the VIPs have' }),
    vips: z.array(z.string().min(1)).min(1).meta({ description: 'names of lb.vips' }),
    priority: z
      .number()
      .int()
      .min(1)
      .max(255)
      .default(100)
      .meta({ description: 'of a node with grade full; 255: active from the start' }),
    degraded_priority: z
      .number()
      .int()
      .min(1)
      .max(254)
      .optional()
      .meta({ description: 'of a node with grade degraded; absent: half the priority' }),
    advert_interval: durationOr('1s').refine(
      (ms) => ms >= 10 && ms <= 255_000 && ms % 10 === 0,
      'from 10ms to 40.95s in steps of 10ms; version 2: whole seconds up to 255s',
    ),
    preempt: z.boolean().default(true).meta({ description: 'take over from an active node with a lower priority' }),
    preempt_delay: duration.prefault('0s').meta({ description: 'how long such a node is left alone first' }),
    unicast_peers: z
      .array(ipAddress)
      .min(1)
      .optional()
      .meta({ description: 'the other nodes, where the LAN has no multicast; only they are listened to' }),
    source: ipAddress.optional().meta({
      description: 'what is sent from; absent: the first IPv4 address of the interface, the IPv6 link-local one',
    }),
    checksum: z.enum(['pseudo-header', 'rfc9568']).default('pseudo-header').meta({
      description:
        'of version 3 over IPv4, as sent: with a pseudo header like most open implementations, or over the message alone; both are accepted',
    }),
    lifetime: duration
      .refine((ms) => ms === 0 || (ms >= 2000 && ms <= 3_600_000), '0, or from 2s to 1h')
      .optional()
      .meta({
        description:
          'the kernel removes an address that this process did not renew for so long; 0: never; absent: five advert intervals, at least 5s',
      }),
    garp: z
      .strictObject({
        repeat: rounds
          .default(5)
          .meta({ description: 'announcements at once after taking over, and again after `delay`' }),
        delay: durationOr('5s').meta({ description: '0: no second time' }),
        refresh: duration.prefault('0s').meta({ description: 'one more each so often while active; 0: none' }),
        lower_prio_repeat: rounds.optional().meta({
          description: 'announcements after an advert of a lower priority; absent: as `repeat`',
        }),
      })
      .prefault({}),
  })
  .superRefine((v, ctx) => {
    const issue = (path: string, message: string) => ctx.addIssue({ code: 'custom', path: [path], message });
    if (v.version === 2) {
      if (v.advert_interval % 1000 !== 0) issue('advert_interval', 'whole seconds, or version: 3');
      if (v.family === 'ipv6') issue('version', '3 for ipv6');
    } else if (v.advert_interval > 40_950) issue('advert_interval', 'at most 40.95s');
    const families = new Set([...(v.unicast_peers ?? []), ...(v.source === undefined ? [] : [v.source])].map(familyOf));
    if (families.size > 1) issue('unicast_peers', 'addresses of one family, and `source` of the same');
    for (const f of families)
      if (v.family !== undefined && f !== v.family) issue('family', `${f}, as unicast_peers and source are`);
    if (v.unicast_peers !== undefined && v.source !== undefined && v.unicast_peers.includes(v.source))
      issue('unicast_peers', 'the other nodes, not this one');
  });

export type VrrpConfig = z.output<typeof vrrpInstance>;
export type Family = 'ipv4' | 'ipv6';

export function familyOf(address: string): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** One virtual router of this node. JSON-able. */
export interface VirtualRouter {
  /** `NAME/ipv4`. */
  name: string;
  family: Family;
  vrid: number;
  interface: string;
  /** Names of VIPs; only their addresses of this family count. */
  vips: string[];
  peers: string[] | undefined;
  source: string | undefined;
  checksum: 'pseudo-header' | 'rfc9568';
  /** Milliseconds; 0: for ever. */
  lifetime: number;
  settings: VrrpSettings;
}

/** The virtual routers of the configuration: one for each entry and family that its VIPs have. `vips`: `lb.vips`. */
export function virtualRouters(
  instances: readonly VrrpConfig[],
  vips: readonly { name: string; addresses: readonly string[] }[],
): VirtualRouter[] {
  const out: VirtualRouter[] = [];
  for (const v of instances) {
    for (const family of families(v, vips)) {
      // RFC 9568 section 4: version 2 has no IPv6.
      const version = family === 'ipv6' ? 3 : v.version;
      out.push({
        name: `${v.name ?? `vrid-${v.vrid}`}/${family}`,
        family,
        vrid: v.vrid,
        interface: v.interface,
        vips: v.vips,
        peers: v.unicast_peers,
        source: v.source,
        checksum: v.checksum,
        lifetime: v.lifetime ?? Math.max(5000, 5 * v.advert_interval),
        settings: {
          version,
          priority: v.priority,
          degradedPriority: v.degraded_priority ?? Math.max(1, Math.floor(v.priority / 2)),
          advertInterval: v.advert_interval,
          preempt: v.preempt,
          preemptDelay: v.preempt_delay,
          garp: {
            repeat: v.garp.repeat,
            delay: v.garp.delay,
            refresh: v.garp.refresh,
            lowerPriorityRepeat: v.garp.lower_prio_repeat ?? v.garp.repeat,
          },
        },
      });
    }
  }
  return out;
}

function families(v: VrrpConfig, vips: readonly { name: string; addresses: readonly string[] }[]): Family[] {
  const spoken = [...(v.unicast_peers ?? []), ...(v.source === undefined ? [] : [v.source])].map(familyOf);
  const has = (f: Family) => vips.some((x) => v.vips.includes(x.name) && x.addresses.some((a) => familyOf(a) === f));
  return (['ipv4', 'ipv6'] as const).filter(
    (f) => (v.family ?? f) === f && (spoken.length === 0 || spoken.includes(f)) && has(f),
  );
}

/** What is wrong with `lb.vrrp` as a whole, as paths below it. */
export function vrrpProblems(
  instances: readonly VrrpConfig[],
  vips: readonly { name: string; addresses: readonly string[] }[],
): { path: (string | number)[]; message: string }[] {
  const out: { path: (string | number)[]; message: string }[] = [];
  const names = new Map<string, number>();
  const ids = new Map<string, number>();
  const owners = new Map<string, number>();
  for (const [i, v] of instances.entries()) {
    for (const [j, name] of v.vips.entries())
      if (!vips.some((x) => x.name === name)) out.push({ path: [i, 'vips', j], message: 'a name of lb.vips' });
    const made = virtualRouters([v], vips);
    if (made.length === 0 && v.vips.every((n) => vips.some((x) => x.name === n)))
      out.push({ path: [i, 'vips'], message: 'a VIP with an address of the family' });
    for (const r of made) {
      const addresses = vips
        .filter((x) => v.vips.includes(x.name))
        .flatMap((x) => x.addresses)
        .filter((a) => familyOf(a) === r.family);
      const most = r.family === 'ipv4' ? MAX_IPV4 : MAX_IPV6;
      if (addresses.length > most)
        out.push({ path: [i, 'vips'], message: `at most ${most} ${r.family} addresses in one virtual router` });
      once(names, r.name, i, [i, 'name'], 'another name');
      once(ids, `${r.interface} ${r.vrid} ${r.family}`, i, [i, 'vrid'], 'a VRID once on an interface');
      for (const a of addresses) once(owners, a, i, [i, 'vips'], 'a VIP in one virtual router');
    }
  }
  return out;

  function once(seen: Map<string, number>, key: string, i: number, path: (string | number)[], message: string): void {
    if (seen.has(key)) out.push({ path, message });
    seen.set(key, i);
  }
}
