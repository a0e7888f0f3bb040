import { onDevice } from '../export/config.ts';
import type { KafkaConfig } from '../export/kafka/config.ts';
import { type CliContext, CliError, type CommonOptions, configOf, EXIT } from './context.ts';

/** The Kafka exporter of the configuration, or exit 78. */
export function kafkaOf(ctx: CliContext, o: CommonOptions): KafkaConfig {
  const { config } = configOf(ctx, o.config);
  for (const e of Object.values(config.export.exporters)) if (e.type === 'kafka') return onDevice(e, config.networks);
  throw new CliError(
    `${o.config ?? 'the built-in configuration'} has no Kafka exporter: add export: {kafka: {brokers: [HOST:PORT]}}, or name another file with -c`,
    EXIT.config,
  );
}
