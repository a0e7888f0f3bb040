/** The section `collectors.bmp`. */
import { z } from 'zod';
import { listener, sizeOr } from '../../config/fields.ts';

export const bmpConfig = z.strictObject({
  listen: z.array(listener).min(1).max(64).prefault(['127.0.0.1:11019']),
  max_message: sizeOr('1MiB')
    .refine((n) => n >= 4096 && n <= 2 ** 26, 'from 4KiB to 64MiB')
    .meta({
      description: 'a longer BMP message ends the session',
    }),
  max_sessions: z.number().int().min(1).max(100_000).default(1000),
  max_peers: z.number().int().min(1).max(1_000_000).default(10_000).meta({
    description: 'peers of one session; more are refused',
  }),
  path_ids: z.enum(['auto', 'negotiated', 'never']).default('auto').meta({
    description:
      'whether Route Monitoring carries ADD-PATH identifiers: as the OPENs of the Peer Up say, never, or auto: as they say, except from exporters known to leave them out',
  }),
});

export type BmpConfig = z.output<typeof bmpConfig>;
