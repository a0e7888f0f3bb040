/** `collectors.bgp:` of the configuration file. */
import { z } from 'zod';
import { asn, cidr, duration, ipAddress, listener } from '../../config/fields.ts';
import { parseIp } from '../../core/ip.ts';

const peer = z
  .strictObject({
    address: ipAddress.optional(),
    prefix: cidr.optional(),
    asn,
    network: z.string().default('default').meta({ description: 'the network of the listener the peer comes to' }),
  })
  .refine((p) => (p.address === undefined) !== (p.prefix === undefined), 'exactly one of address and prefix');

export const bgpCollectorConfig = z.strictObject({
  listen: z.array(listener).min(1).prefault(['127.0.0.1:1179']),
  asn: asn.default(64512).meta({ description: 'our AS' }),
  router_id: z
    .string()
    .refine((s) => parseIp(s)?.length === 4 && s !== '0.0.0.0', 'four numbers such as 192.0.2.1, not 0.0.0.0')
    .optional()
    .meta({ description: 'our BGP identifier; absent: made of the address the peer connected to' }),
  /** RFC 4271 4.2. */
  hold_time: duration
    .refine((ms) => ms === 0 || (ms >= 3000 && ms <= 65_535_000 && ms % 1000 === 0), '0, or whole seconds from 3s on')
    .prefault('90s'),
  max_sessions: z.number().int().min(1).max(100_000).default(1000),
  peers: z.array(peer).default([]),
});

export type BgpCollectorConfig = z.output<typeof bgpCollectorConfig>;
