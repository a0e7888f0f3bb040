/** `export:` of the configuration file: a map of named exporters beside `flush_timeout`. `type` defaults to the name where that is a type. */
import { z } from 'zod';
import { durationOr } from '../config/fields.ts';
import { kafkaConfig } from './kafka/config.ts';

export const stdoutConfig = z.strictObject({
  type: z.literal('stdout').default('stdout'),
  enabled: z.boolean().default(true),
});

/** A named exporter says its type, as its name does not. */
const named = z.discriminatedUnion(
  'type',
  [kafkaConfig.extend({ type: z.literal('kafka') }), stdoutConfig.extend({ type: z.literal('stdout') })],
  { error: 'an exporter: kafka, stdout, or another name with `type: kafka`' },
);

export type ExporterConfig = z.output<typeof kafkaConfig> | z.output<typeof stdoutConfig>;

export interface ExportConfig {
  /** Milliseconds to deliver what is left at stop. */
  flush_timeout: number;
  exporters: Record<string, ExporterConfig>;
}

export const exportConfig = z
  .object({
    flush_timeout: durationOr('20s'),
    kafka: kafkaConfig.optional(),
    stdout: z.preprocess((v) => (v === null ? {} : v), stdoutConfig).optional(),
  })
  .catchall(named)
  .superRefine((c, ctx) => {
    for (const name of Object.keys(c))
      if (!/^[A-Za-z][A-Za-z0-9_-]{0,31}$/.test(name))
        ctx.addIssue({
          code: 'custom',
          path: [name],
          message: 'an exporter name: a letter, then letters, digits, - or _',
        });
    const kafka = Object.entries(c).filter(([, e]) => typeof e === 'object' && e.type === 'kafka');
    if (kafka.length > 1) ctx.addIssue({ code: 'custom', path: [kafka[1][0]], message: 'one exporter of type kafka' });
  })
  .transform((c): ExportConfig => {
    const { flush_timeout, ...rest } = c;
    const exporters: Record<string, ExporterConfig> = {};
    for (const [name, e] of Object.entries(rest)) if (e !== undefined) exporters[name] = e as ExporterConfig;
    // Nobody asked for anything else: the events are shown.
    if (Object.keys(exporters).length === 0) exporters.stdout = { type: 'stdout', enabled: true };
    return { flush_timeout, exporters };
  });
