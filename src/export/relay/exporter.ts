/**
 * Notifications to receivers that speak SNMP: raw, or encoded anew as v1, v2c or v3, as traps or informs.
 *
 * Each receiver has a cursor of its own in each shard, so one that is away delays itself alone. It begins with what comes after it was
 * configured. Of the classes of the spool only `alarm` is read; the others are never held.
 */
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { decodeEnvelope, decodePdu } from '../../codec/snmp/decode.ts';
import type { Clock } from '../../core/clock.ts';
import { formatEndpoint } from '../../core/ip.ts';
import type { Logger } from '../../core/log.ts';
import { isDecodeError } from '../../core/result.ts';
import type { TrapEvent } from '../../event/projections/trap.ts';
import type { EventClass } from '../../event/types.ts';
import type { DatagramSender, OpenSender } from '../../net/types.ts';
import { derivedEngineId, type OwnEngine } from '../../protocol/usm/engine.ts';
import type { Salts } from '../../protocol/usm/salts.ts';
import type { Position } from '../../spool/types.ts';
import type { Exporter, ExporterProblem, ExporterProgress, ShardExport, ShardLogs } from '../types.ts';
import type { RelayConfig } from './config.ts';
import { encodeV1, encodeV2c, hopsOf, v2VarBinds } from './encode.ts';
import { isLoopback, markOf, RawMemory } from './loop.ts';
import type { LoopPeers } from './peers.ts';
import type { RelayState } from './state.ts';
import { RelayTarget, type Skip } from './target.ts';
import { RelayCredentials, V3Session } from './usm.ts';

export interface RelayOptions {
  name: string;
  config: RelayConfig;
  site: string;
  node: string;
  worker: number;
  clock: Clock;
  log: Logger;
  open: OpenSender;
  /** Of all relays of this thread: they may have the same key. */
  salts: Salts;
  /** Who might send back what was relayed. */
  peers: Pick<LoopPeers, 'has'>;
}

/** What happened to notifications, by target. */
type Counts = Record<string, number>;

const MAX_TIMEOUT_MS = 10_000;
const SKIP_BYTES = 4 * 1024 * 1024;
/** Over IPv4; what is larger is refused at once, each time. */
const MAX_DATAGRAM = 65_507;

/** A receiver: its socket and its SNMPv3 session are shared by all shards. */
interface Receiver {
  name: string;
  address: string;
  sender: DatagramSender;
  memory: RawMemory;
  v3: V3Session | undefined;
  targets: Set<RelayTarget>;
  counts: Counts;
  away: boolean;
  since: number;
  error: string | undefined;
}

export class RelayExporter implements Exporter {
  readonly name: string;
  readonly durable: boolean;
  /** A receiver of SNMP is not what `ack: export` waits for. */
  readonly confirms = false;
  onChange: () => void = () => {};
  private readonly o: RelayOptions;
  private readonly mark: string;
  private readonly receivers: Receiver[];
  private readonly shards = new Set<RelayShard>();

  constructor(o: RelayOptions) {
    this.o = o;
    this.name = o.name;
    this.durable = o.config.durable;
    this.mark = markOf(o.site, o.node);
    const credentials = o.config.user && o.config.format === 'v3' ? new RelayCredentials(o.config.user) : undefined;
    const engine = engineOf(o);
    const { salts } = o;
    this.receivers = o.config.targets.map((t) => {
      const r: Receiver = {
        name: formatEndpoint(t.address, t.port),
        address: t.address,
        sender: o.open(t.address, t.port, o.config.device, o.config.as === 'trap'),
        memory: new RawMemory(),
        v3:
          credentials &&
          new V3Session({
            credentials,
            engine,
            salts,
            context: o.config.context,
            firstId: randomBytes(4).readInt32BE(),
          }),
        targets: new Set(),
        counts: {},
        away: false,
        since: 0,
        error: undefined,
      };
      r.sender.onMessage = (data) => this.heard(r, data);
      r.sender.onError = (error) => {
        count(r, 'socket-error');
        r.error = error;
        if (o.config.as === 'trap') for (const t of r.targets) t.error();
      };
      return r;
    });
  }

  open(logs: ShardLogs): ShardExport {
    const shard = new RelayShard(logs, this.receivers, (r) => this.target(r, logs), this.durable);
    this.shards.add(shard);
    shard.onClose = () => this.shards.delete(shard);
    return shard;
  }

  progress(): ExporterProgress {
    const { receivers } = this;
    const sum = (what: string): number => receivers.reduce((n, r) => n + (r.counts[what] ?? 0), 0);
    let lag = 0;
    for (const s of this.shards) lag += s.lag();
    return {
      exporter: this.name,
      type: 'relay',
      durable: this.durable,
      acked: sum('sent') + sum('delivered') + sum('refused'),
      retried: sum('retried'),
      quarantined: 0,
      quarantinedBy: {},
      skipped: sum('given-up') + sum('no-raw') + sum('not-encodable') + sum('skipped'),
      lag,
      up: receivers.every((r) => !r.away),
      problems: receivers.filter((r) => r.away || r.error !== undefined).map((r) => this.problemOf(r)),
      away: Object.fromEntries(receivers.map((r) => [r.name, r.away])),
      relayed: Object.fromEntries(receivers.map((r) => [r.name, { ...r.counts }])),
    };
  }

  async close(): Promise<void> {
    for (const s of [...this.shards]) s.close();
    for (const r of this.receivers) r.sender.close();
  }

  private problemOf(r: Receiver): ExporterProblem {
    const why = r.error === undefined ? '' : ` (${r.error})`;
    return {
      topic: '',
      problem: r.away
        ? `${r.name} ${this.o.config.as === 'inform' ? 'answers no inform' : 'is away'}${why}`
        : `${r.name}: ${r.error}`,
      fix: 'is the receiver there, is UDP open between, and does it accept the community or user configured here?',
      since: r.since,
    };
  }

  private target(r: Receiver, logs: ShardLogs): RelayTarget {
    const { clock, config } = this.o;
    const target: RelayTarget = new RelayTarget({
      clock,
      source: logs.open('alarm'),
      inform: config.as === 'inform',
      limits: {
        inFlight: config.in_flight,
        rate: config.rate,
        timeout: config.timeout,
        maxTimeout: Math.max(config.timeout, MAX_TIMEOUT_MS),
        retries: config.retries,
        repeat: config.repeat,
      },
      raw: config.format === 'raw',
      maxLagBytes: this.durable ? undefined : SKIP_BYTES,
      firstId: randomBytes(4).readUInt32BE() & 0x7fffffff,
      admit: (e, raw) => this.admit(r, e, raw),
      send: (id, _attempt, e, raw) => this.send(r, id, e, raw),
      onDone: (outcome, n) => {
        count(r, outcome, n);
        // Sent, and nothing was heard of it: what was wrong before is over.
        if (outcome === 'sent' && !r.away) r.error = undefined;
      },
      onRetried: () => count(r, 'retried'),
      onRepeated: (n) => count(r, 'repeated', n),
      onAway: () => this.away(r),
      onSkipped: (n) => count(r, 'skipped', n),
      onIdle: () => this.onChange(),
    });
    return target;
  }

  /** One of its targets, each of another shard, changed its mind. */
  private away(r: Receiver): void {
    const { clock, config, log } = this.o;
    const away = [...r.targets].some((t) => t.away);
    if (r.away === away) return;
    r.away = away;
    r.since = clock.wallMs();
    const about = { exporter: this.name, target: r.name, error: r.error };
    if (!away) r.error = undefined;
    if (!away) log.info({ ...about, error: undefined }, 'the receiver is there again');
    else if (config.as === 'inform')
      log.warn(about, 'a receiver answers no inform; it is repeated, the rest waits in the spool');
    else log.warn(about, 'a receiver of traps is away; one is sent now and then, the rest waits in the spool');
    this.onChange();
  }

  private admit(r: Receiver, e: TrapEvent, raw: Buffer | undefined): Skip | undefined {
    if (hopsOf(e.data, this.mark).looped) return 'looped';
    if (this.o.config.format !== 'raw') return undefined;
    if (raw === undefined) return 'no-raw';
    const { address, port } = e.data.source;
    // What a receiver sent is not for it; on loopback many have one address.
    if (address === r.address && !isLoopback(address)) return 'looped';
    const source = { address, port, peer: this.o.peers.has(address) };
    return r.memory.looped(raw, source, this.o.clock.nowMs()) ? 'looped' : undefined;
  }

  private send(r: Receiver, id: number, e: TrapEvent, raw: Buffer | undefined): boolean {
    const { config, clock } = this.o;
    const inform = config.as === 'inform';
    const community = config.community ?? '';
    const hand = (message: Buffer): void => {
      if (message.length > MAX_DATAGRAM) throw new Error(`${message.length} octets do not fit into a datagram`);
      r.sender.send(message);
    };
    try {
      if (config.format === 'raw') hand(raw!);
      else if (config.format === 'v1') {
        const { message, dropped } = encodeV1(e.data, community, this.mark);
        if (dropped > 0) count(r, 'counter64', dropped);
        hand(message);
      } else if (r.v3) {
        const varbinds = v2VarBinds(e.data, this.mark);
        const now = clock.wallMs();
        hand(inform ? r.v3.inform(varbinds, id, now) : r.v3.trap(varbinds, id, now));
      } else hand(encodeV2c(e.data, community, inform, id, this.mark));
      return true;
    } catch (error) {
      count(r, 'not-encodable');
      r.error = `a notification cannot be encoded as ${config.format}: ${error instanceof Error ? error.message : error}`;
      if (inform) for (const t of r.targets) t.answer(id, 1);
      return false;
    }
  }

  private heard(r: Receiver, data: Buffer): void {
    const { config, clock } = this.o;
    if (config.as !== 'inform') return;
    if (r.v3) {
      const h = r.v3.heard(data, clock.wallMs());
      if (h?.kind === 'answer') this.answered(r, h.requestId, h.error);
      else if (h?.kind === 'again') for (const t of r.targets) t.again();
      else if (h) r.error = `it reports: ${h.what}`;
      return;
    }
    const envelope = decodeEnvelope(data);
    if (isDecodeError(envelope)) return;
    const pdu = decodePdu(data, envelope);
    if (!isDecodeError(pdu) && pdu.pdu === 'response') this.answered(r, pdu.requestId, pdu.errorStatus);
  }

  private answered(r: Receiver, id: number, error: number): void {
    r.error = undefined;
    for (const t of r.targets) if (t.waitsFor(id)) t.answer(id, error);
  }
}

function count(r: Receiver, what: string, n = 1): void {
  r.counts[what] = (r.counts[what] ?? 0) + n;
}

function engineOf(o: RelayOptions): OwnEngine {
  const { id, boots, epoch } = o.config.engine;
  return {
    id: id === undefined ? derivedEngineId(o.site, `${o.node} relay`) : Buffer.from(id, 'hex'),
    boots,
    epoch: Math.floor(Date.parse(epoch) / 1000),
  };
}

class RelayShard implements ShardExport {
  onClose: () => void = () => {};
  private readonly logs: ShardLogs;
  private readonly targets = new Map<Receiver, RelayTarget>();

  constructor(logs: ShardLogs, receivers: readonly Receiver[], make: (r: Receiver) => RelayTarget, durable: boolean) {
    this.logs = logs;
    const saved = (logs.state as Partial<RelayState> | undefined)?.targets ?? {};
    for (const r of receivers) {
      const at = durable ? saved[r.name] : undefined;
      const begin = at ?? logs.begin?.('alarm') ?? logs.end('alarm');
      // A shard of an older generation has nothing for a receiver that was not there then.
      if (begin === 'all') continue;
      const t = make(r);
      t.begin(begin);
      r.targets.add(t);
      this.targets.set(r, t);
    }
    const end = logs.end('alarm');
    for (const t of this.targets.values()) t.durable(end, undefined);
  }

  durable(cls: EventClass, end: Position | 'all', seq: number | undefined): void {
    if (cls === 'alarm') for (const t of this.targets.values()) t.durable(end, seq);
  }

  lowWater(cls: EventClass): Position {
    const end = this.logs.end(cls);
    let low: Position | undefined;
    if (cls === 'alarm')
      for (const t of this.targets.values()) {
        const at = t.position();
        if (!low || at.segment < low.segment || (at.segment === low.segment && at.offset < low.offset)) low = at;
      }
    return low ?? (end === 'all' ? { segment: 0, offset: 0 } : end);
  }

  state(): RelayState {
    return { v: 1, targets: Object.fromEntries([...this.targets].map(([r, t]) => [r.name, t.position()])) };
  }

  drained(): boolean {
    return [...this.targets.values()].every((t) => t.drained());
  }

  lag(): number {
    return Math.max(0, ...[...this.targets.values()].map((t) => t.lag()));
  }

  close(): void {
    for (const [r, t] of this.targets) {
      t.close();
      r.targets.delete(t);
    }
    this.onClose();
  }
}
