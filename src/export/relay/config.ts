/** An exporter of type `relay`: notifications to receivers that speak SNMP. */
import { z } from 'zod';
import { durationOr, engineId } from '../../config/fields.ts';
import { parseEndpoint } from '../../core/ip.ts';
import { AUTH_PROTOCOLS, PRIV_PROTOCOLS } from '../../protocol/usm/algorithms.ts';

const target = z
  .string()
  .refine((s) => (parseEndpoint(s)?.port ?? 0) > 0, 'ADDR:PORT such as 192.0.2.9:162, or [V6]:PORT')
  .transform((s) => parseEndpoint(s)!);

const passphrase = z.string().min(8, 'a passphrase of at least 8 characters (RFC 3414 section 11.2)').max(1024);

const EPOCH = '2026-01-01T00:00:00Z';

export const relayConfig = z
  .strictObject({
    type: z.literal('relay').default('relay'),
    targets: z.array(target).min(1).max(64),
    network: z
      .string()
      .min(1)
      .optional()
      .meta({ description: 'an entry of networks: the VRF or interface to bind to' }),
    format: z.enum(['raw', 'v1', 'v2c', 'v3']).default('v2c').meta({
      description: 'raw: the datagram as it was received, which is spooled for it; else encoded anew (RFC 3584)',
    }),
    as: z.enum(['trap', 'inform']).default('trap').meta({
      description: 'inform: repeated until it is answered, in order per device',
    }),
    durable: z.boolean().default(true).meta({
      description: 'hold the spool until all targets have it; false: begin with the present, and skip ahead when slow',
    }),
    community: z.string().min(1).max(255).optional().meta({ description: 'v1 and v2c; what the receivers accept' }),
    user: z
      .strictObject({
        name: z.string().min(1).max(32),
        auth: z.strictObject({ protocol: z.enum(AUTH_PROTOCOLS), passphrase }).optional(),
        priv: z.strictObject({ protocol: z.enum(PRIV_PROTOCOLS), passphrase }).optional(),
      })
      .refine((u) => u.priv === undefined || u.auth !== undefined, 'privacy needs authentication: add `auth`')
      .optional()
      .meta({ description: 'v3' }),
    context: z.string().max(255).default('').meta({ description: 'v3: contextName' }),
    engine: z
      .strictObject({
        id: engineId.optional().meta({
          description: 'v3 traps: our snmpEngineID, as the receivers know it; absent: made from site and node',
        }),
        boots: z.number().int().min(1).max(2_147_483_646).default(1),
        epoch: z
          .string()
          .refine((t) => !Number.isNaN(Date.parse(t)) && /Z|[+-]\d\d:\d\d$/.test(t), `a time such as ${EPOCH}`)
          .default(EPOCH)
          .meta({ description: 'engineTime is UTC minus this' }),
      })
      .prefault({}),
    timeout: durationOr('2s').meta({ description: 'inform: the first wait for an answer; doubled up to 10s' }),
    repeat: durationOr('5s').meta({
      description:
        'trap: what was sent so long before the network said that the target is away is sent again when it is back; 0s: nothing is, and nothing waits',
    }),
    retries: z.number().int().min(0).max(1000).optional().meta({
      description: 'inform: after so many it is given up and counted; absent: never, it waits in the spool',
    }),
    in_flight: z
      .number()
      .int()
      .min(1)
      .max(4096)
      .default(64)
      .meta({ description: 'informs unanswered, for each target' }),
    rate: z
      .number()
      .int()
      .min(1)
      .max(1_000_000)
      .default(5000)
      .meta({ description: 'datagrams a second, for each target' }),
  })
  .superRefine((c, ctx) => {
    const say = (path: string, message: string): void => {
      ctx.addIssue({ code: 'custom', path: [path], message });
    };
    if (c.as === 'inform' && (c.format === 'raw' || c.format === 'v1'))
      say('as', `${c.format} has no informs: \`as: trap\`, or \`format: v2c\``);
    if ((c.format === 'v1' || c.format === 'v2c') && c.community === undefined)
      say('community', 'the community that the receivers accept');
    if (c.format === 'v3' && c.user === undefined) say('user', 'the user that the receivers know: {name, auth, priv}');
  });

/** `device`: that of its network, from `onDevice`; not a key of the file. */
export type RelayConfig = z.output<typeof relayConfig> & { device?: string };
