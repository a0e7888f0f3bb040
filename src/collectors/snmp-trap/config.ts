/** `collectors.snmp_trap` of the configuration file. */
import { z } from 'zod';
import { cidr, durationOr, listener, sizeOr } from '../../config/fields.ts';
import { accessConfig } from './access-config.ts';
import { usmConfig } from './usm-config.ts';

const community = z.strictObject({
  name: z.string().min(1).max(255).meta({ description: 'the community string, as configured on the devices' }),
  from: z
    .array(cidr)
    .min(1)
    .optional()
    .meta({ description: 'source prefixes it is accepted from; absent: any source' }),
});

export const snmpTrapConfig = z.strictObject({
  listen: z.array(listener).min(1).prefault(['127.0.0.1:1162']),
  communities: z.array(community).default([]),
  ...accessConfig,
  ...usmConfig,
  ack: z
    .enum(['auto', 'spool', 'export'])
    .default('auto')
    .meta({ description: 'what an inform waits for; a listener may say otherwise for itself' }),
  ack_budget: durationOr('200ms').meta({
    description: 'ack auto: how long an inform waits for Kafka before the spool is enough',
  }),
  informs_in_flight: z
    .strictObject({
      count: z.number().int().min(1).default(20_000),
      bytes: sizeOr('64MiB'),
    })
    .prefault({}),
});

/** `starting`: users may have no keys yet because the instance has just started (process/user-keys.ts); not a key of the file. */
export type SnmpTrapConfig = z.output<typeof snmpTrapConfig> & { starting?: boolean };
export type AckMode = SnmpTrapConfig['ack'];
