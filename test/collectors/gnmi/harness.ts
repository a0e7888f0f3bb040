/** A collector with a pipeline that records what it is told. Every draft is held against its JSON Schema when it is read. */
import { GnmiCollector } from '../../../src/collectors/gnmi/collector.ts';
import { gnmiConfig } from '../../../src/collectors/gnmi/config.ts';
import type { UpdateData } from '../../../src/collectors/gnmi/normalise.ts';
import { type Clock, systemClock } from '../../../src/core/clock.ts';
import { type Logger, silentLog } from '../../../src/core/log.ts';
import { rfc3339 } from '../../../src/core/time.ts';
import type { Draft, ShedKind } from '../../../src/event/types.ts';
import { dialGrpc, type GrpcDialer } from '../../../src/net/grpc.ts';
import type { Pipeline } from '../../../src/pipeline/types.ts';
import { Refusals } from '../../../src/telemetry/refusals.ts';
import { Registry } from '../../../src/telemetry/registry.ts';
import { validateEvent } from '../../schema.ts';

export class RecordingPipeline implements Pipeline {
  readonly drafts: Draft[] = [];
  readonly full = new Set<ShedKind>();
  readonly hasDurableExporter = false;
  paused = false;
  shed = 0;
  private resumer: () => void = () => {};

  emit(draft: Draft): boolean {
    if (this.full.has(draft.shed)) {
      this.shed++;
      return false;
    }
    validateDraft(draft, this.drafts.length);
    this.drafts.push(draft);
    return true;
  }
  batchDone(): boolean {
    return true;
  }

  accepts(kind: ShedKind): boolean {
    return !this.full.has(kind);
  }
  onResume(fn: () => void): void {
    this.resumer = fn;
  }
  resume(): void {
    this.paused = false;
    this.resumer();
  }

  updates(): UpdateData[] {
    return this.drafts
      .filter((d) => d.type === 'gnmi.update.v1')
      .map((d) => JSON.parse(JSON.stringify(d.data)) as UpdateData);
  }
  states(): string[] {
    return this.drafts.filter((d) => d.type === 'gnmi.target.v1').map((d) => (d.data as { state: string }).state);
  }
}

function validateDraft(d: Draft, seq: number): void {
  const at = rfc3339(d.sec, d.nsec);
  const rx = { site: 's', node: 'n', worker: 0, boot: 1, class: 'metrics', seq, at };
  const data = { network: d.network, device: d.device, rx, content_id: d.contentId, ...d.data };
  validateEvent(
    JSON.parse(
      JSON.stringify({
        specversion: '1.0',
        id: `s/n/0/1/metrics/${seq}`,
        source: '/tidegate/gnmi',
        type: d.type,
        time: at,
        subject: d.device.id,
        dataschema: `urn:tidegate:schema:${d.type}`,
        tidegatenode: 'n',
        datacontenttype: 'application/json',
        data,
      }),
    ),
  );
}

export interface Rig {
  collector: GnmiCollector;
  pipeline: RecordingPipeline;
  refusals: Refusals;
  metrics: Registry;
  logs: Record<string, unknown>[];
}

export interface RigOptions {
  worker?: number;
  workers?: number;
  clock?: Clock;
  dialer?: GrpcDialer;
}

export function rig(config: object, o: RigOptions = {}): Rig {
  const clock = o.clock ?? systemClock;
  const metrics = new Registry();
  const refusals = new Refusals(metrics, clock);
  const pipeline = new RecordingPipeline();
  const logs: Record<string, unknown>[] = [];
  const log: Logger = { ...silentLog, warn: (fields, msg) => void logs.push({ ...fields, msg }), child: () => log };
  const inventory = {
    version: 1,
    resolve: (h: { network: string; address: string; target?: string }) => ({
      id: `${h.network}|${h.address}`,
      name: h.target ?? h.address,
    }),
  };
  const { worker = 0, workers = 1 } = o;
  const ctx = { clock, log, metrics, refusals, pipeline, inventory, worker, workers };
  const collector = new GnmiCollector(ctx, gnmiConfig.parse(config), o.dialer ?? dialGrpc, () => 0);
  return { collector, pipeline, refusals, metrics, logs };
}

/** Waits until `probe` is truthy; fails after twenty seconds. */
export async function until<T>(probe: () => T | undefined | false, what: string): Promise<T> {
  const end = performance.now() + 20_000;
  for (;;) {
    const hit = probe();
    if (hit) return hit;
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
