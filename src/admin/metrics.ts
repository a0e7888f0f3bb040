/** /metrics: the merged samples of all processes in the Prometheus text format, with the runtime's own figures of this process. */
import { collectDefaultMetrics, Registry as PromRegistry } from 'prom-client';
import { declarationOf } from '../process/counters.ts';
import { METRICS, type MetricName } from '../telemetry/metrics.ts';
import { quantileSamples } from '../telemetry/quantiles.ts';
import type { Sample } from '../telemetry/registry.ts';

/** How often the delay of the event loop is looked at: each look wakes an idle process. */
const LOOP_SAMPLE_MS = 200;

/** Renders what `samples` returns at the time of the scrape. */
export class MetricsPage {
  private readonly prom = new PromRegistry();
  private readonly samples: () => Sample[];

  constructor(samples: () => Sample[]) {
    this.samples = samples;
    collectDefaultMetrics({ register: this.prom, prefix: 'tidegate_', eventLoopMonitoringPrecision: LOOP_SAMPLE_MS });
  }

  async render(): Promise<string> {
    const byName = new Map<string, Sample[]>();
    const merged = this.samples();
    const acks = quantileSamples(merged, 'tidegate_inform_ack_seconds', 'tidegate_inform_ack_quantile_seconds');
    for (const s of [...merged, ...acks]) {
      const name = METRICS[s[0] as MetricName] ? s[0] : s[0].replace(/_(bucket|sum|count)$/, '');
      const list = byName.get(name);
      if (list) list.push(s);
      else byName.set(name, [s]);
    }
    let text = '';
    for (const [name, list] of [...byName].sort((a, b) => (a[0] < b[0] ? -1 : 1))) {
      const d = declarationOf(name);
      if (!d) continue;
      text += `# HELP ${name} ${d.help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${d.type}\n`;
      for (const s of list) text += `${s[0]}${s[1] === '' ? '' : `{${s[1]}}`} ${s[2]}\n`;
    }
    return text + (await this.prom.metrics());
  }
}
