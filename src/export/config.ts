/** `export:` of the configuration file: a map of named exporters beside `flush_timeout`. `type` defaults to the name where that is a type. */
import { z } from 'zod';
import { durationOr } from '../config/fields.ts';
import { FORMATS } from '../event/projections/index.ts';
import { fileConfig } from './file/config.ts';
import { type KafkaConfig, kafkaConfig } from './kafka/config.ts';
import { type RelayConfig, relayConfig } from './relay/config.ts';

export const stdoutConfig = z.strictObject({
  type: z.literal('stdout').default('stdout'),
  enabled: z.boolean().default(true),
  format: z.enum(FORMATS).optional().meta({
    description: 'absent: lines for people on a terminal, else cloudevents; the others hold notifications alone',
  }),
});

/** A named exporter says its type, as its name does not. */
const named = z.discriminatedUnion(
  'type',
  [
    kafkaConfig.extend({ type: z.literal('kafka') }),
    stdoutConfig.extend({ type: z.literal('stdout') }),
    fileConfig.extend({ type: z.literal('file') }),
    relayConfig.safeExtend({ type: z.literal('relay') }),
  ],
  { error: 'an exporter: kafka, stdout, file, relay, or another name with `type:` one of them' },
);

export type ExporterConfig = KafkaConfig | z.output<typeof stdoutConfig> | z.output<typeof fileConfig> | RelayConfig;

/** An exporter with the device of its network. */
export function onDevice<T extends ExporterConfig>(e: T, networks: Readonly<Record<string, { device?: string }>>): T {
  const network = 'network' in e ? e.network : undefined;
  const device = network === undefined ? undefined : networks[network]?.device;
  return device === undefined ? e : { ...e, device };
}

/** The spool holds events until such an exporter has them. */
export function isDurable(e: ExporterConfig): boolean {
  return e.type === 'kafka' || (e.type === 'relay' && e.durable);
}

/** An inform may wait for such an exporter (`ack: auto`, `ack: export`): Kafka alone. */
export function confirms(e: ExporterConfig): boolean {
  return e.type === 'kafka';
}

/** The events go somewhere: nobody needs to see them on stdout. */
export function delivers(e: ExporterConfig): boolean {
  return e.type === 'kafka' || e.type === 'file';
}

/** Datagrams are spooled as they came. */
export function wantsRaw(c: ExportConfig): boolean {
  return Object.values(c.exporters).some((e) => e.type === 'relay' && e.format === 'raw');
}

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
    file: fileConfig.optional(),
    relay: relayConfig.optional(),
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
