/** What `check --connect` asks of every exporter. */
import type { ExportConfig } from './config.ts';
import { checkKafka, type Finding } from './kafka/check.ts';

export async function checkExporters(config: ExportConfig, _dataDir: string): Promise<Finding[]> {
  const out: Finding[] = [];
  for (const [name, e] of Object.entries(config.exporters))
    if (e.type === 'kafka') out.push(...(await checkKafka(name, e)));
  return out;
}
