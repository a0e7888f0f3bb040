/** `bfd:` of a BGP peer. */
import { z } from 'zod';
import { duration, durationOr } from '../../config/fields.ts';

const interval = (ms: number) => ms >= 10 && ms <= 60_000;
const RANGE = 'from 10ms to 60s';

const settings = z.strictObject({
  interval: durationOr('300ms').refine(interval, RANGE).meta({ description: 'how often we would send' }),
  receive_interval: duration
    .refine(interval, RANGE)
    .optional()
    .meta({ description: 'how often we can take; absent: as interval' }),
  multiplier: z.number().int().min(2).max(255).default(3).meta({ description: 'missed packets that mean down' }),
  multihop: z.boolean().optional().meta({ description: 'RFC 5883; absent: where the peer has multihop above 1' }),
  min_ttl: z.number().int().min(1).max(255).default(254).meta({ description: 'multihop: the least received TTL' }),
  passive: z.boolean().default(false).meta({ description: 'say nothing before the peer does' }),
});

/** `true`: all defaults. */
export const bfdConfig = z.union([z.literal(true).transform(() => settings.parse({})), settings]);

export type BfdConfig = z.output<typeof settings>;
