/** What stands before the decoder, and what it says: source prefixes, rate limits with their gap events, duplicates with their summaries. */
import type { Buffer } from 'node:buffer';
import { peekTrapOid } from '../../codec/snmp/peek.ts';
import type { TimerHandle } from '../../core/clock.ts';
import { shortHash } from '../../core/hash.ts';
import { formatIp, parsePrefix } from '../../core/ip.ts';
import { PrefixSet } from '../../core/prefix-set.ts';
import { aclOf, type SourceAcl } from '../../core/source-acl.ts';
import { rfc3339Millis } from '../../core/time.ts';
import type { Draft, Receipt } from '../../event/types.ts';
import type { Handle } from '../../telemetry/registry.ts';
import type { CollectorContext } from '../collector.ts';
import { Buckets, shareOf } from './buckets.ts';
import type { SnmpTrapConfig } from './config.ts';
import { type DedupEffect, type DedupInput, DedupMachine } from './dedup.ts';
import { HEARTBEAT_TRAP, type HeartbeatRun, Heartbeats, heartbeatOf } from './heartbeat.ts';
import { notificationKey, type SnmpTrapData, type TrapDraft } from './normalise.ts';
import { type Gap, type StormEffect, type StormInput, StormMachine } from './storm.ts';

/** An inform that waits for its receipt, as the collector knows it. */
export type InformReceipt = (id: string, what: 'spooled' | 'exported' | 'shed') => void;

const NAME = 'snmp_trap';
type Denied = 'source-denied' | 'rate-limit' | 'rate-limit-total';

export class Guard {
  private readonly heartbeats = new Heartbeats();
  private readonly ctx: CollectorContext;
  private readonly onReceipt: InformReceipt;
  private readonly suppressed: Handle;
  private readonly storm = new StormMachine();
  private acl: SourceAcl | undefined;
  private buckets: Buckets | undefined;
  private limits = '';
  private relays: PrefixSet | undefined;
  private dedup: DedupMachine | undefined;
  private dedupOf = '';
  /** What the summary of an entry is about. */
  private readonly said = new Map<string, Draft>();
  private stormTimer: TimerHandle | undefined;
  private dedupTimer: TimerHandle | undefined;

  constructor(config: SnmpTrapConfig, ctx: CollectorContext, onReceipt: InformReceipt) {
    this.ctx = ctx;
    this.onReceipt = onReceipt;
    this.suppressed = ctx.metrics.handle('tidegate_suppressed_total', { collector: NAME });
    this.configure(config);
  }

  /** Taken over at once. Buckets and windows that did not change go on. */
  configure(c: SnmpTrapConfig): void {
    this.acl = aclOf(c);
    const limits = JSON.stringify(c.rate_limit ?? null);
    if (limits !== this.limits) this.buckets = c.rate_limit && new Buckets(shareOf(c.rate_limit, this.ctx.workers));
    this.limits = limits;
    this.relays = undefined;
    for (const p of c.trusted_relays) {
      this.relays ??= new PrefixSet();
      this.relays.add(parsePrefix(p)!, 1);
    }
    const dedup = JSON.stringify(c.dedup ?? null);
    if (dedup !== this.dedupOf) {
      if (this.dedup !== undefined) this.tellDedup({ kind: 'flush' });
      this.dedup = c.dedup === undefined ? undefined : new DedupMachine(c.dedup.window, c.dedup.entries);
    }
    this.dedupOf = dedup;
  }

  /** Why a datagram is not even decoded, or undefined. `own`: the listener's rule. */
  deny(own: SourceAcl | undefined, network: string, source: Buffer, data: Buffer): Denied | undefined {
    if (this.acl !== undefined && !this.acl.allows(source)) return 'source-denied';
    if (own !== undefined && !own.allows(source)) return 'source-denied';
    const code = this.buckets?.take(this.ctx.clock.nowMs(), source);
    if (code !== undefined)
      this.tellStorm({
        kind: 'refused',
        network,
        source: formatIp(source),
        code,
        what: peekTrapOid(data),
        wall: this.ctx.clock.wallMs(),
      });
    return code;
  }

  /** May this source say of which device a notification is? */
  trusts(source: Buffer): boolean {
    return this.relays !== undefined && this.relays.find(source) === 1;
  }

  /**
   * Hands a notification to the pipeline unless it repeats another. False: the pipeline did not take it. `ref`: an inform, which is told its
   * receipts by `onReceipt` where it is suppressed.
   */
  emit(
    draft: TrapDraft,
    bytes: Buffer,
    varbindsAt: readonly { start: number; end: number }[],
    receipt?: Receipt,
  ): boolean {
    if (draft.trapOid === HEARTBEAT_TRAP) this.noteHeartbeat(draft.device.id, draft.data);
    if (this.dedup === undefined) return this.ctx.pipeline.emit(draft, receipt);
    const { data } = draft;
    const effects: DedupEffect[] = [];
    const key = notificationKey(bytes, data, draft.device.id, varbindsAt);
    const { alarm } = data;
    const wall = this.ctx.clock.wallMs();
    const input = { kind: 'notification', key, alarm: alarm && { id: alarm.id, state: alarm.state }, wall } as const;
    this.dedup.handle(this.ctx.clock.nowMs(), draft.id === undefined ? input : { ...input, ref: draft.id }, effects);
    let taken = true;
    for (const e of effects) {
      if (e.kind === 'pass') taken = this.pass(e.entry, draft, receipt);
      else this.applyDedup(e);
    }
    return taken;
  }

  /** Says what is unsaid, and ends. */
  stop(): void {
    this.tellStorm({ kind: 'flush', wall: this.ctx.clock.wallMs() });
    this.tellDedup({ kind: 'flush' });
    if (this.stormTimer) this.ctx.clock.clearTimeout(this.stormTimer);
    if (this.dedupTimer) this.ctx.clock.clearTimeout(this.dedupTimer);
  }

  /** Of one sender the figures of its newest run: gauges, so that a new run begins anew. */
  private noteHeartbeat(device: string, data: SnmpTrapData): void {
    const h = heartbeatOf(data.varbinds);
    const run = h && this.heartbeats.take(device, h);
    if (!run) return;
    const labels = { device, sender: run.sender };
    const { metrics } = this.ctx;
    metrics.handle('tidegate_heartbeat_run', labels).value = run.run;
    metrics.handle('tidegate_heartbeat_received', labels).value = run.received;
    metrics.handle('tidegate_heartbeat_sequence', labels).value = run.highest;
    metrics.handle('tidegate_heartbeat_duplicates', labels).value = run.duplicates;
  }

  /** What this worker saw of heartbeats. */
  heartbeatRuns(): HeartbeatRun[] {
    return this.heartbeats.list();
  }

  private pass(entry: string, draft: TrapDraft, receipt: Receipt | undefined): boolean {
    const both: Receipt = {
      spooled: () => {
        receipt?.spooled?.();
        this.tellDedup({ kind: 'receipt', entry, stage: 'spooled' });
      },
      exported: () => {
        receipt?.exported?.();
        this.tellDedup({ kind: 'receipt', entry, stage: 'exported' });
      },
    };
    this.said.set(entry, draft.kept());
    const taken = this.ctx.pipeline.emit(draft, both);
    if (!taken) this.tellDedup({ kind: 'shed', entry });
    return taken;
  }

  private tellDedup(input: DedupInput): void {
    if (this.dedup === undefined) return;
    const effects: DedupEffect[] = [];
    this.dedup.handle(this.ctx.clock.nowMs(), input, effects);
    for (const e of effects) this.applyDedup(e);
  }

  private applyDedup(e: DedupEffect): void {
    if (e.kind === 'suppress') this.suppressed.value++;
    else if (e.kind === 'receipt') this.onReceipt(e.ref, e.stage);
    else if (e.kind === 'forget') this.onReceipt(e.ref, 'shed');
    else if (e.kind === 'forgotten') this.said.delete(e.entry);
    else if (e.kind === 'summary') this.sayDuplicates(e);
    else if (e.kind === 'wake') {
      if (this.dedupTimer) this.ctx.clock.clearTimeout(this.dedupTimer);
      const wait = e.at - this.ctx.clock.nowMs();
      this.dedupTimer = this.ctx.clock.setTimeout(() => this.tellDedup({ kind: 'tick' }), wait);
    }
  }

  private tellStorm(input: StormInput): void {
    const effects: StormEffect[] = [];
    this.storm.handle(this.ctx.clock.nowMs(), input, effects);
    for (const e of effects) {
      if (e.kind === 'gap') this.sayGap(e.gap);
      else {
        const tick = (): void => this.tellStorm({ kind: 'tick', wall: this.ctx.clock.wallMs() });
        this.stormTimer = this.ctx.clock.setTimeout(tick, e.at - this.ctx.clock.nowMs());
      }
    }
  }

  private sayGap(g: Gap): void {
    const { source, network } = g;
    const device =
      source === undefined
        ? { id: `${network}|sources`, name: 'sources' }
        : this.ctx.inventory.resolve({ network, address: source });
    this.say(network, device, {
      kind: 'gap',
      reason: g.code,
      count: g.count,
      worker: this.ctx.worker,
      collector: NAME,
      source: source === undefined ? undefined : { address: source },
      of: g.of,
      from: rfc3339Millis(g.from),
      to: rfc3339Millis(g.to),
    });
  }

  private sayDuplicates(e: DedupEffect & { kind: 'summary' }): void {
    const first = this.said.get(e.entry);
    if (first === undefined) return;
    const data = first.data as SnmpTrapData;
    this.say(first.network, first.device, {
      kind: 'duplicates',
      count: e.count,
      worker: this.ctx.worker,
      collector: NAME,
      source: { address: data.source.address },
      trap_oid: data.trap_oid,
      trap_name: data.trap_name,
      alarm_id: data.alarm?.id,
      first_content_id: first.contentId,
      from: rfc3339Millis(e.from),
      to: rfc3339Millis(e.to),
    });
  }

  private say(network: string, device: Draft['device'], data: object): void {
    const wall = this.ctx.clock.wallMs();
    this.ctx.pipeline.emit({
      type: 'system.v1',
      sec: Math.floor(wall / 1000),
      nsec: (wall % 1000) * 1_000_000,
      network,
      device,
      contentId: shortHash(JSON.stringify([device.id, data])),
      shed: 'system',
      data,
    });
  }
}
