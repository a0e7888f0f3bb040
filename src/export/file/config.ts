/** An exporter of type `file`. */
import { z } from 'zod';
import { durationOr, sizeOr } from '../../config/fields.ts';
import { FORMATS } from '../../event/projections/index.ts';

/** Where a relative path is, below data_dir: the workers may write there. */
export const FILES_DIR = 'files';

export const fileConfig = z.strictObject({
  type: z.literal('file').default('file'),
  path: z.string().min(1).meta({
    description: 'one file a worker: events.jsonl is written as events-0.jsonl …; relative to `files` in data_dir',
  }),
  format: z.enum(FORMATS).default('cloudevents').meta({
    description: 'any but cloudevents holds notifications (snmp.trap.v1) alone',
  }),
  rotate: z
    .strictObject({
      size: sizeOr('64MiB').refine((n) => n >= 1024, 'at least 1KiB'),
      age: durationOr('24h').refine((ms) => ms >= 1000, 'at least 1s'),
      keep: z
        .number()
        .int()
        .min(0)
        .max(1000)
        .default(7)
        .meta({ description: 'older files beside the one that is written' }),
    })
    .prefault({}),
});

export type FileConfig = z.output<typeof fileConfig>;
