/** `lb:` of the configuration file. */
import { z } from 'zod';
import { asn, duration, durationOr, ipAddress, port } from '../config/fields.ts';
import { parseIp, parsePrefix } from '../core/ip.ts';
import { l2Config } from './l2/config.ts';
import { vrrpInstance, vrrpProblems } from './vrrp/config.ts';

/** A host address with or without its length, kept as `address/length`. */
const vipAddress = z
  .string()
  .refine((s) => {
    const p = parsePrefix(s);
    return p !== undefined && p.length === p.bytes.length * 8;
  }, 'one address: 203.0.113.10/32 or 2001:db8::10/128')
  .transform((s) => {
    const p = parsePrefix(s)!;
    return `${ipAddress.parse(s.split('/')[0])}/${p.length}`;
  })
  .meta({ description: 'one address, as 203.0.113.10/32 or 2001:db8::10/128', examples: ['203.0.113.10/32'] });

const bgpId = z
  .string()
  .refine((s) => parseIp(s)?.length === 4 && s !== '0.0.0.0', 'four numbers such as 192.0.2.1, not 0.0.0.0')
  .meta({ description: 'the BGP identifier', examples: ['192.0.2.1'] });

/** RFC 4271 4.2: 0, or at least three seconds. */
const holdTime = duration
  .refine((ms) => ms === 0 || (ms >= 3000 && ms <= 65_535_000 && ms % 1000 === 0), '0, or whole seconds from 3s on')
  .prefault('9s');

const nextHop = z
  .union([z.literal('self'), ipAddress, z.array(ipAddress).min(1).max(2)])
  .refine((v) => {
    if (!Array.isArray(v) || v.length < 2) return true;
    return v[0].includes(':') !== v[1].includes(':');
  }, 'at most one address of each family')
  .default('self')
  .meta({ description: 'next hop of our routes: `self` (our address of the session), or one address a family' });

const peer = z.strictObject({
  address: ipAddress,
  port: port.min(1).default(179),
  asn,
  local_address: ipAddress.optional(),
  hold_time: holdTime,
  connect_retry: durationOr('5s').refine((ms) => ms >= 100, 'at least 100ms'),
  multihop: z.number().int().min(1).max(255).optional().meta({
    description: 'TTL or hop limit of what is sent to the peer; absent: the kernel’s. Needs the native add-on',
  }),
  next_hop: nextHop,
});

const vip = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'a name of letters, digits, ., _ and -'),
  addresses: z.array(vipAddress).min(1),
  mode: z.enum(['ecmp', 'owner']).default('ecmp').meta({
    description: 'ecmp: every node alike; owner: one preferred node, the others announce a worse path',
  }),
});

export const lbConfig = z
  .strictObject({
    interface: z.string().min(1).max(15).default('lo'),
    lease: z
      .strictObject({
        interval: durationOr('200ms').refine((ms) => ms >= 10, 'at least 10ms'),
        timeout: durationOr('1s'),
      })
      .refine((l) => l.timeout >= 2 * l.interval, 'timeout: at least twice the interval')
      .prefault({}),
    rise: durationOr('3s'),
    drain: z.strictObject({ linger: durationOr('1s'), timeout: durationOr('30s') }).prefault({}),
    vips: z.array(vip).default([]),
    bgp: z.strictObject({ asn, router_id: bgpId.optional(), peers: z.array(peer).default([]) }).optional(),
    vrrp: z.array(vrrpInstance).default([]),
    l2: l2Config.optional(),
  })
  .superRefine((lb, ctx) => {
    const seen = new Set<string>();
    for (const [i, v] of lb.vips.entries()) {
      if (seen.has(v.name)) ctx.addIssue({ code: 'custom', path: ['vips', i, 'name'], message: 'a name once' });
      seen.add(v.name);
      for (const [j, a] of v.addresses.entries()) {
        if (seen.has(a))
          ctx.addIssue({ code: 'custom', path: ['vips', i, 'addresses', j], message: 'an address once, in one VIP' });
        seen.add(a);
      }
    }
    for (const [i, name] of (lb.l2?.vips ?? []).entries())
      if (!lb.vips.some((v) => v.name === name))
        ctx.addIssue({ code: 'custom', path: ['l2', 'vips', i], message: 'a name of lb.vips' });
    for (const p of vrrpProblems(lb.vrrp, lb.vips))
      ctx.addIssue({ code: 'custom', path: ['vrrp', ...p.path], message: p.message });
    const peers = new Set<string>();
    for (const [i, p] of (lb.bgp?.peers ?? []).entries()) {
      const at = ['bgp', 'peers', i, 'address'];
      if (peers.has(p.address)) ctx.addIssue({ code: 'custom', path: at, message: 'a peer once' });
      peers.add(p.address);
      if (/^fe[89ab]/i.test(p.address)) ctx.addIssue({ code: 'custom', path: at, message: 'no link-local address' });
      if (p.local_address !== undefined && p.local_address.includes(':') !== p.address.includes(':')) {
        const path = ['bgp', 'peers', i, 'local_address'];
        ctx.addIssue({ code: 'custom', path, message: 'an address of the same family as `address`' });
      }
    }
  });

export type LbConfig = z.output<typeof lbConfig>;
export type LbVip = LbConfig['vips'][number];
export type LbBgpPeer = NonNullable<LbConfig['bgp']>['peers'][number];
