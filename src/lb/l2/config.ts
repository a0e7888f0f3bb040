/** `lb.l2:` of the configuration file: VIPs on a LAN without a router that speaks BGP. */
import { z } from 'zod';
import { durationOr } from '../../config/fields.ts';

export const l2Config = z.strictObject({
  interfaces: z.array(z.string().min(1).max(15)).min(1).optional().meta({
    description:
      'where addresses may be: the first that is up and has a prefix with the VIP, else the first that is up; absent: the one of cluster.listen, else lb.interface',
  }),
  vips: z
    .array(z.string().min(1))
    .optional()
    .meta({ description: 'names of lb.vips; absent: all that no VRRP instance has, where there are no BGP peers' }),
  weight: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .optional()
    .meta({ description: 'share of the VIPs of this node; absent: cluster.weight' }),
  lifetime: durationOr('5s')
    .refine((ms) => ms >= 2000 && ms <= 3_600_000, 'from 2s to 1h')
    .meta({
      description: 'the kernel removes an address that its owner did not renew for so long; renewed four times in it',
    }),
  probe: z
    .strictObject({
      count: z.number().int().min(1).max(10).default(2),
      interval: durationOr('100ms').refine((ms) => ms >= 10, 'at least 10ms'),
    })
    .prefault({})
    .meta({ description: 'questions whether somebody has the address, before it is taken' }),
});

export type L2Config = z.output<typeof l2Config>;
