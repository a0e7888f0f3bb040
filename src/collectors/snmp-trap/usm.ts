/** USM as the collector uses it: configuration → machine, metrics, and the guard of the clock. */
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { responseTo } from '../../codec/snmp/encode.ts';
import { ClockGuard } from '../../protocol/usm/clock-guard.ts';
import { derivedEngineId, engineTime, type OwnEngine } from '../../protocol/usm/engine.ts';
import { type Accepted, tooBigPdu, type UsmEffect, UsmMachine, type UsmSettings } from '../../protocol/usm/machine.ts';
import { Salts, saltNode } from '../../protocol/usm/salts.ts';
import type { Handle } from '../../telemetry/registry.ts';
import type { CollectorContext } from '../collector.ts';
import type { SnmpTrapConfig } from './config.ts';
import { Tolerated } from './tolerated.ts';
import { userSpec } from './usm-users.ts';

/** A megabyte of hashing takes 1 to 2 ms: for the whole node at most 4 % of a core. */
const COSTLY = { perSource: 4, total: 20 };
/** How often the time is written down. */
const MARK_MS = 10_000;

export class Usm {
  private readonly ctx: CollectorContext;
  private readonly machine: UsmMachine;
  private readonly salts: Salts;
  private readonly guard: ClockGuard;
  private readonly suppressed: Handle;
  private readonly tolerated: Handle[];
  private readonly late = new Tolerated();
  private readonly engines: Handle;
  private readonly keys: Handle;
  private readonly fencedGauge: Handle;
  private readonly reports = new Map<string, Handle>();
  private readonly effects: UsmEffect[] = [];
  private settings: UsmSettings;
  private derived = false;
  private fenced: string | undefined;
  private starting: boolean;
  private markedAt = Number.NEGATIVE_INFINITY;

  constructor(config: SnmpTrapConfig, ctx: CollectorContext) {
    this.ctx = ctx;
    this.starting = config.starting === true;
    this.settings = this.settingsOf(config);
    const { id, boots } = this.settings.engine;
    const number = ctx.saltNode ?? saltNode(undefined, ctx.site ?? '', ctx.node ?? '');
    this.salts = new Salts(number, ctx.worker, false, randomBytes(5));
    this.machine = new UsmMachine(this.settings, this.salts);
    this.guard = new ClockGuard(boots, ctx.engineClock?.load());
    const m = ctx.metrics;
    this.suppressed = m.handle('tidegate_usm_reports_suppressed_total');
    this.tolerated = ['monotonic', 'off'].map((timeliness) => m.handle('tidegate_usm_tolerated_total', { timeliness }));
    this.engines = m.handle('tidegate_usm_engines');
    this.keys = m.handle('tidegate_usm_keys');
    this.fencedGauge = m.handle('tidegate_usm_fenced');
    this.look();
    if (this.derived && this.machine.userCount > 0 && ctx.worker === 0)
      ctx.log.info(
        { engine_id: id.toString('hex') },
        'our SNMP engine id follows from site and node: set collectors.snmp_trap.engine.id before devices are told it',
      );
  }

  get users(): number {
    return this.machine.userCount;
  }

  /** What one datagram means; the array is used again by the next call. `source`: 4 or 16 bytes. */
  receive(data: Buffer, source: Buffer): readonly UsmEffect[] {
    const { effects } = this;
    effects.length = 0;
    const wallMs = this.look();
    const input = { kind: 'message', data, source: source.toString('latin1') } as const;
    this.machine.handle({ ms: this.ctx.clock.nowMs(), wallMs }, input, effects);
    for (const e of effects) {
      this.count(e);
      if (e.kind === 'accept' && e.tolerated !== undefined) this.late.note(e, input.source, wallMs);
    }
    return effects;
  }

  /** Makes the datagram that answers an accepted inform; it says the time at which it is called. */
  answer(a: Accepted): () => Buffer {
    const { scoped, pdu } = a;
    const reply = a.reply!;
    const response = responseTo(a.bytes.subarray(0, scoped.end), scoped, pdu).subarray(scoped.offset);
    const contexts = {
      ...scoped,
      contextEngineId: Buffer.from(scoped.contextEngineId),
      contextName: Buffer.from(scoped.contextName),
    };
    const { requestId } = pdu;
    return () =>
      this.machine.respond({ ms: this.ctx.clock.nowMs(), wallMs: this.ctx.clock.wallMs() }, reply, response, () =>
        tooBigPdu(contexts, requestId),
      );
  }

  /** Taken over at once; users that did not change keep their keys. */
  configure(config: SnmpTrapConfig): void {
    this.starting = config.starting === true;
    this.settings = this.settingsOf(config);
    const now = { ms: this.ctx.clock.nowMs(), wallMs: this.ctx.clock.wallMs() };
    this.machine.handle(now, { kind: 'configure', settings: this.settings }, []);
    this.guard.configure(this.settings.engine.boots);
    this.look();
  }

  /** Why this node is not ready for SNMPv3: it has just started, and users have no keys yet. After a reload the others go on. */
  unready(): string | undefined {
    const { pendingUsers, userCount } = this.machine;
    if (!this.starting || pendingUsers === 0) return undefined;
    return `SNMPv3: the keys of ${pendingUsers} of ${userCount} users are not made yet`;
  }

  /** The cluster has changed, and with it this node's place. */
  setSaltNode(node: number): void {
    this.salts.node = node;
  }

  /** How far UTC here is from that of the cluster's members, in milliseconds; undefined: nobody to compare with. */
  peerSkew(ms: number | undefined): void {
    this.guard.peers(ms);
    this.look();
  }

  /** Called now and then: looks at the clock, writes it down, sets gauges. Returns why v3 informs are refused. */
  tick(): string | undefined {
    this.look();
    const now = this.ctx.clock.nowMs();
    if (this.machine.userCount > 0 && now - this.markedAt >= MARK_MS) {
      this.markedAt = now;
      this.ctx.engineClock?.save(this.guard.mark);
    }
    const { engines, pairs } = this.machine.known;
    this.engines.value = engines;
    this.keys.value = pairs;
    return this.machine.userCount > 0 ? this.fenced : undefined;
  }

  stop(): void {
    if (this.machine.userCount > 0) this.ctx.engineClock?.save(this.guard.mark);
  }

  status(): Record<string, unknown> {
    const { id, boots } = this.machine.engine;
    return {
      engine: {
        id: id.toString('hex'),
        derived: this.derived,
        boots,
        time: engineTime(this.machine.engine, this.ctx.clock.wallMs()),
        refusing_informs: this.fenced,
      },
      users: this.machine.userCount,
      users_pending: this.machine.pendingUsers,
      engines: this.machine.known.engines,
      tolerated: this.late.list(),
      usm_stats: this.machine.stats,
    };
  }

  /** The wall clock, after the guard looked at it. */
  private look(): number {
    const wallMs = this.ctx.clock.wallMs();
    const { engine } = this.settings;
    const reason =
      wallMs < engine.epoch * 1000 ? 'the clock is before engine.epoch' : this.guard.judge(wallMs, engine.boots);
    if (reason === this.fenced) return wallMs;
    const changed = (reason === undefined) !== (this.fenced === undefined);
    this.fenced = reason;
    this.machine.handle({ ms: this.ctx.clock.nowMs(), wallMs }, { kind: 'fence', reason }, []);
    this.fencedGauge.value = reason === undefined ? 0 : 1;
    if (changed && this.machine.userCount > 0) {
      if (reason === undefined) this.ctx.log.info({}, 'SNMPv3 informs are accepted again: the clock is right');
      else this.ctx.log.error({ reason, code: 'clock-behind' }, 'SNMPv3 informs are refused: the clock is wrong');
    }
    return wallMs;
  }

  private count(e: UsmEffect): void {
    if (e.kind === 'suppressed') this.suppressed.value++;
    else if (e.kind === 'accept' && e.tolerated !== undefined) this.tolerated[e.tolerated === 'off' ? 1 : 0].value++;
    else if (e.kind === 'send') {
      let handle = this.reports.get(e.what);
      if (handle === undefined) {
        handle = this.ctx.metrics.handle('tidegate_usm_reports_total', { report: e.what });
        this.reports.set(e.what, handle);
      }
      handle.value++;
    }
  }

  private settingsOf(c: SnmpTrapConfig): UsmSettings {
    this.derived = c.engine.id === undefined;
    const { workers } = this.ctx;
    const engine: OwnEngine = {
      id:
        c.engine.id === undefined
          ? derivedEngineId(this.ctx.site ?? '', this.ctx.node ?? '')
          : Buffer.from(c.engine.id, 'hex'),
      boots: c.engine.boots,
      epoch: Math.floor(Date.parse(c.engine.epoch) / 1000),
    };
    return {
      engine,
      users: c.users.map(userSpec),
      engines: new Map(c.engines.map((e) => [Buffer.from(e.id, 'hex').toString('latin1'), e.timeliness])),
      // A source stays on one worker; what all may have is shared by the workers.
      budgets: {
        newEngine: { perSource: c.new_engines.per_source, total: c.new_engines.total / workers },
        costly: { ...COSTLY, total: COSTLY.total / workers },
        report: { perSource: c.reports.per_source, total: c.reports.total / workers },
      },
      cache: c.new_engines.cache,
    };
  }
}
