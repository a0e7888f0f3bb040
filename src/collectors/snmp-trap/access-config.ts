/** The part of `collectors.snmp_trap` that says who may speak, how much, and what is believed of whom. */
import { z } from 'zod';
import { cidr, durationOr } from '../../config/fields.ts';

const perSecond = z.number().positive().max(10_000_000);
const burst = z.number().int().min(1).max(100_000_000).optional();

export const accessConfig = {
  allow: z
    .array(cidr)
    .min(1)
    .optional()
    .meta({ description: 'source prefixes that may send at all, looked at before anything is decoded; absent: any' }),
  deny: z
    .array(cidr)
    .min(1)
    .optional()
    .meta({ description: 'source prefixes that may not; the longest prefix of allow and deny decides' }),
  trusted_relays: z.array(cidr).default([]).meta({
    description:
      'source prefixes of relays whose agent-addr (v1) and snmpTrapAddress.0 say which device a notification is from',
  }),
  rate_limit: z
    .strictObject({
      per_source: perSecond.optional().meta({ description: 'datagrams a second of one source address' }),
      burst: burst.meta({ description: 'what a quiet source may send at once; default 5 seconds of per_source' }),
      total: perSecond.optional().meta({ description: 'datagrams a second of all sources; each worker has its share' }),
      total_burst: burst.meta({ description: 'default 5 seconds of total' }),
      sources: z
        .number()
        .int()
        .min(100)
        .max(10_000_000)
        .default(50_000)
        .meta({ description: 'sources remembered; beyond, the quiet ones are forgotten' }),
    })
    .refine((r) => r.per_source !== undefined || r.total !== undefined, 'per_source, total or both')
    .optional()
    .meta({ description: 'looked at before anything is decoded; absent: no limit' }),
  dedup: z
    .strictObject({
      window: durationOr('10s').meta({ description: 'equal notifications this long after the first are only counted' }),
      entries: z.number().int().min(100).max(10_000_000).default(100_000),
    })
    .optional()
    .meta({ description: 'absent: every notification is an event' }),
};
