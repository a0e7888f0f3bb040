/** `lb:` of the configuration file. */
import { z } from 'zod';
import { durationOr, ipAddress } from '../config/fields.ts';
import { parsePrefix } from '../core/ip.ts';
import { bgpConfig } from './bgp/config.ts';
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
    bgp: bgpConfig.optional(),
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
    for (const [i, p] of (lb.bgp?.peers ?? []).entries())
      for (const [j, name] of (p.vips ?? []).entries())
        if (!lb.vips.some((v) => v.name === name))
          ctx.addIssue({ code: 'custom', path: ['bgp', 'peers', i, 'vips', j], message: 'a name of lb.vips' });
  });

export type LbConfig = z.output<typeof lbConfig>;
export type LbVip = LbConfig['vips'][number];
