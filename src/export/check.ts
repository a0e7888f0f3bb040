/** What `check --connect` asks of every exporter. */
import { type ExportConfig, onDevice } from './config.ts';
import { checkKafka, type Finding } from './kafka/check.ts';

type Networks = Parameters<typeof onDevice>[1];

export async function checkExporters(config: ExportConfig, networks: Networks): Promise<Finding[]> {
  const out: Finding[] = [];
  for (const [name, e] of Object.entries(config.exporters))
    if (e.type === 'kafka') out.push(...(await checkKafka(name, onDevice(e, networks))));
  return out;
}
