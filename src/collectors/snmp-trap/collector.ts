/**
 * The SNMP notification receiver of one worker: datagrams in, events and Responses out.
 *
 *   datagram ─► prefixes, rate limit ─► envelope ─► access ─► PDU ─► notification ─► (inform machine) ─► event
 *                                    └─► USM (v3) ──────────────┘
 */
import { Buffer } from 'node:buffer';
import { decodeEnvelope, decodePdu } from '../../codec/snmp/decode.ts';
import { responseTo } from '../../codec/snmp/encode.ts';
import type { Envelope, Pdu } from '../../codec/snmp/message.ts';
import { NotificationCache } from '../../codec/snmp/notification-cache.ts';
import { type Notification, notificationOf } from '../../codec/snmp/rfc3584.ts';
import { looksLikeV3 } from '../../codec/snmp/v3.ts';
import type { TimerHandle } from '../../core/clock.ts';
import { formatIp } from '../../core/ip.ts';
import { isDecodeError } from '../../core/result.ts';
import { type AclConfig, aclOf } from '../../core/source-acl.ts';
import type { Receipt } from '../../event/types.ts';
import type { Datagram, UdpSocket } from '../../net/types.ts';
import type { RefusalCode } from '../../telemetry/codes.ts';
import type { Handle } from '../../telemetry/registry.ts';
import type { Collector, CollectorContext } from '../collector.ts';
import { Access } from './access.ts';
import type { AckMode, SnmpTrapConfig } from './config.ts';
import { Drops } from './drops.ts';
import { Guard } from './guard.ts';
import { type BoundTrapSocket, type Listener, listenerOf } from './listener.ts';
import { type InformEffect, type InformInput, InformMachine } from './machine.ts';
import { type Meaning, meaningOf } from './meaning.ts';
import { informId, normalise, type Origin, type Spoken, V1, V2C } from './normalise.ts';
import type { SourceTable } from './sources.ts';
import { Usm } from './usm.ts';
import { spokenOf } from './usm-event.ts';

/** A Response that waits for its receipt. */
interface Pending {
  receipt: Receipt;
  listener: Listener;
  /** Made when it is sent: a v3 Response says the time. */
  response: () => Buffer;
  address: Buffer;
  port: number;
  local: Buffer;
}

/** An inform as whichever version brought it. */
interface Inform {
  /** What the PDU was decoded from. */
  bytes: Buffer;
  pdu: Pdu;
  notification: Notification;
  origin: Origin;
  spoken: Spoken;
  /** Copies what the Response needs; the Response itself is made when it is sent. */
  answer: () => () => Buffer;
}

const NAME = 'snmp_trap';
/** A stopping collector waits this long at most for the receipts of informs in flight. */
const STOP_WAIT_MS = 1000;
/** It reads its sockets until they are empty, looking so often and so many times. */
const FINISH_MS = 5;
const FINISH_TURNS = 200;

export class SnmpTrapCollector implements Collector {
  private readonly ctx: CollectorContext;
  private readonly listeners: Listener[];
  private config: SnmpTrapConfig;
  private access: Access;
  private readonly machine: InformMachine;
  private readonly usm: Usm;
  private readonly guard: Guard;
  private readonly met = new NotificationCache();
  private readonly pending = new Map<string, Pending>();
  private readonly received: Handle;
  /** Informs that were repeated although they had been answered: the answer was lost on its way. */
  retriedAfterAnswer = 0;
  private readonly repeated: Handle;
  private readonly drops: Drops;
  private readonly inFlight: Handle;
  private wakeTimer: TimerHandle | undefined;
  private readonly tables = new Map<string, SourceTable>();
  private started = false;
  private stopped = false;
  private onIdle: (() => void) | undefined;
  /** What notifications mean from here on; replaced when MIBs or alarm rules change. */
  meaning: Meaning;

  /** `meaning`: names and alarms; default the built-in facts and no alarm. */
  constructor(
    config: SnmpTrapConfig,
    sockets: readonly BoundTrapSocket[],
    ctx: CollectorContext,
    meaning: Meaning = meaningOf([]),
  ) {
    this.ctx = ctx;
    this.meaning = meaning;
    this.config = config;
    this.access = new Access(config.communities);
    this.machine = new InformMachine(limitsOf(config));
    this.usm = new Usm(config, ctx);
    this.guard = new Guard(config, ctx, (id, kind) => this.inform({ kind, id }));
    this.listeners = sockets.map((bound) => listenerOf(bound, this.tables, ctx));
    this.received = ctx.metrics.handle('tidegate_received_total', { collector: NAME });
    this.repeated = ctx.metrics.handle('tidegate_repeated_total', { collector: NAME });
    this.drops = new Drops(this.listeners, ctx);
    this.inFlight = ctx.metrics.handle('tidegate_informs_in_flight');
  }

  start(): void {
    this.started = true;
    for (const l of this.listeners) this.read(l);
    this.drops.start();
  }

  private read(l: Listener): void {
    l.bound.socket.start(
      (batch, count) => {
        for (let i = 0; i < count; i++) this.receive(l, batch[i]);
        return this.ctx.pipeline.batchDone();
      },
      (d) => {
        this.received.value++;
        this.ctx.metrics.handle('tidegate_lost_events_total', { collector: NAME, reason: 'poison' }).value++;
        this.refuse(l, d, 'poison', `${d.data.length} octets`);
      },
    );
  }

  /** One more socket, read at once where the others are. */
  listen(bound: BoundTrapSocket): void {
    const l = listenerOf(bound, this.tables, this.ctx);
    this.listeners.push(l);
    if (this.started && !this.stopped) this.read(l);
  }

  /** No more of this socket; what the kernel holds of it is read first. */
  async unlisten(socket: UdpSocket): Promise<void> {
    await this.readEmpty(() => socket.finish());
    this.drops.count(true);
    const at = this.listeners.findIndex((l) => l.bound.socket === socket);
    if (at >= 0) this.listeners.splice(at, 1);
    socket.close();
  }

  /** `ack` and prefixes of a listener changed. */
  adjust(socket: UdpSocket, ack: AckMode | undefined, acl: AclConfig | undefined): void {
    const l = this.listeners.find((x) => x.bound.socket === socket);
    if (!l) return;
    l.bound.ack = ack;
    l.acl = aclOf(acl);
  }

  /** Communities, users, our engine, `ack`, its budget and the limits are taken over at once; informs in flight keep what they began with. */
  reconfigure(config: SnmpTrapConfig): void {
    this.config = config;
    this.access = new Access(config.communities);
    this.usm.configure(config);
    this.guard.configure(config);
    this.inform({ kind: 'limits', ...limitsOf(config) });
  }

  /** Nothing to do: a datagram that arrives while the VIP is being withdrawn is received and answered as any other. */
  quiesce(): void {}

  /** Waits a moment for the receipts of informs in flight, so that they are answered, and closes the sockets. */
  async stop(): Promise<void> {
    if (this.stopped) return;
    if (!this.emptied()) await this.readEmpty(() => this.emptied());
    if (this.machine.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.ctx.clock.setTimeout(resolve, STOP_WAIT_MS);
        this.onIdle = () => {
          this.ctx.clock.clearTimeout(timer);
          resolve();
        };
      });
    }
    if (!this.emptied()) await this.readEmpty(() => this.emptied());
    if (this.stopped) return;
    this.stopped = true;
    this.usm.stop();
    this.guard.stop();
    this.drops.stop();
    if (this.wakeTimer) this.ctx.clock.clearTimeout(this.wakeTimer);
    for (const l of this.listeners) l.bound.socket.close();
    this.pending.clear();
  }

  /** A closed socket takes its queue with it: what is in it is read first, for so long as it does not become less than a trickle. */
  private async readEmpty(emptied: () => boolean): Promise<void> {
    for (let turn = 0; turn < FINISH_TURNS && !this.stopped && !emptied(); turn++)
      // A timer that is late fires before the sockets are looked at: what they hold is read between it and an immediate.
      await new Promise<void>((done) => this.ctx.clock.setTimeout(() => setImmediate(done), FINISH_MS));
  }

  private emptied(): boolean {
    return this.listeners.map((l) => l.bound.socket.finish()).every(Boolean);
  }

  setSaltNode(node: number): void {
    this.usm.setSaltNode(node);
  }

  /** Our clock against those of the cluster's members: see Usm. */
  peerSkew(ms: number | undefined): void {
    this.usm.peerSkew(ms);
  }

  status(): Record<string, unknown> {
    return {
      listeners: this.listeners.map((l) => ({
        network: l.network,
        address: l.bound.socket.address,
        port: l.bound.socket.port,
        kernel_drops: l.bound.socket.kernelDrops,
        unsent: l.bound.socket.sendErrors,
      })),
      communities: this.access.communities,
      ack: this.effectiveAck(undefined),
      received: this.received.value,
      informs_in_flight: this.machine.size,
      heartbeats: this.guard.heartbeatRuns(),
      v3: this.usm.status(),
    };
  }

  health(): { hard: string[]; soft: string[] } {
    // With each renewal: a worker that takes over these sockets counts on from what the last renewal said.
    if (!this.stopped) this.drops.count(false);
    const soft = this.drops.recent ? ['kernel-drops'] : [];
    const fenced = this.usm.tick();
    if (fenced !== undefined) soft.push(`v3 informs refused: ${fenced}`);
    const unready = this.usm.unready();
    return { hard: unready === undefined ? [] : [unready], soft };
  }

  private receive(l: Listener, d: Datagram): void {
    this.received.value++;
    const barred = this.guard.deny(l.acl, l.network, d.source, d.data);
    if (barred !== undefined) {
      this.refuse(l, d, barred);
      return;
    }
    if (looksLikeV3(d.data)) {
      this.receiveV3(l, d);
      return;
    }
    const envelope = decodeEnvelope(d.data);
    if (isDecodeError(envelope)) {
      this.refuse(l, d, envelope.code, `${envelope.layer} at octet ${envelope.offset}`);
      return;
    }
    const denied = this.access.deny(d.data, envelope.communityOffset, envelope.communityEnd, d.source);
    if (denied !== undefined) {
      const nobody = denied === 'no-access-configured' && this.usm.users === 0;
      this.refuse(l, d, nobody || denied !== 'no-access-configured' ? denied : 'unknown-community');
      return;
    }
    const { pduOffset } = envelope;
    const met = this.met.find(d.data, pduOffset);
    if (met !== undefined) {
      this.accept(l, d, envelope, met);
      return;
    }
    const pdu = decodePdu(d.data, envelope);
    if (isDecodeError(pdu)) {
      this.refuse(l, d, pdu.code, `${pdu.layer} at octet ${pdu.offset}`);
      return;
    }
    const isTrap = envelope.version === 'v1' ? pdu.pdu === 'trap-v1' : pdu.pdu === 'trap';
    if (!isTrap && (envelope.version === 'v1' || pdu.pdu !== 'inform')) {
      this.refuse(l, d, 'pdu-type', `${envelope.version} ${pdu.pdu}`);
      return;
    }
    const notification = notificationOf(pdu);
    if (notification === undefined) {
      this.refuse(l, d, 'value', 'no snmpTrapOID.0');
      return;
    }
    if (pdu.pdu === 'inform') {
      const origin = this.origin(l, d, notification);
      const answer = (): (() => Buffer) => {
        const response = responseTo(d.data, envelope, pdu);
        return () => response;
      };
      this.receiveInform(l, d, { bytes: d.data, pdu, notification, origin, spoken: V2C, answer });
    } else {
      this.met.keep(d.data, pduOffset, notification);
      this.accept(l, d, envelope, notification);
    }
  }

  /** A trap of v1 or v2c. */
  private accept(l: Listener, d: Datagram, { version }: Envelope, n: Notification): void {
    const spoken = version === 'v1' ? V1 : V2C;
    const draft = normalise(d.data, spoken, 'trap', n, this.origin(l, d, n), this.meaning);
    draft.raw = d.data;
    this.guard.emit(draft, d.data, n.varbinds);
  }

  /**
   * The device is the one whose authenticated engine id the inventory knows, else the one that sent the datagram, or, of a trusted relay, the one
   * it names.
   */
  private origin(l: Listener, d: Datagram, n: Notification, engineId?: string): Origin {
    const source = l.sources.find(d.source);
    const { address, device } = source;
    const origin: Origin = {
      network: l.network,
      address,
      port: d.sourcePort,
      sec: d.sec,
      nsec: d.nsec,
      device,
      source,
    };
    const said = n.trapAddress ?? n.agentAddress;
    if (said !== undefined && this.guard.trusts(d.source)) {
      origin.device = this.ctx.inventory.resolve({ network: l.network, address: said });
      origin.addressFrom = n.trapAddress === undefined ? 'agent_address' : 'trap_address';
    }
    if (engineId !== undefined) {
      origin.device =
        origin.addressFrom === undefined
          ? l.sources.engine(source, engineId)
          : this.ctx.inventory.resolve({ network: l.network, address: said!, engineId });
    }
    return origin;
  }

  private receiveV3(l: Listener, d: Datagram): void {
    for (const e of this.usm.receive(d.data, d.source)) {
      if (e.kind === 'refuse') {
        const nobody = this.usm.users === 0 && this.access.communities === 0;
        this.refuse(l, d, nobody ? 'no-access-configured' : e.code, e.detail);
      } else if (e.kind === 'send') {
        l.bound.socket.prompt();
        l.bound.socket.send(e.data, d.source, d.sourcePort, d.destination);
      } else if (e.kind === 'accept') {
        const { bytes, pdu } = e;
        const notification = notificationOf(pdu);
        if (notification === undefined) {
          this.refuse(l, d, 'value', 'no snmpTrapOID.0');
          continue;
        }
        const spoken = spokenOf(e);
        // An engine id is believed where it is authenticated.
        const origin = this.origin(l, d, notification, e.level === 'noAuthNoPriv' ? undefined : spoken.engineId);
        if (pdu.pdu === 'inform')
          this.receiveInform(l, d, { bytes, pdu, notification, origin, spoken, answer: () => this.usm.answer(e) });
        else {
          const draft = normalise(bytes, spoken, 'trap', notification, origin, this.meaning);
          draft.raw = d.data;
          this.guard.emit(draft, bytes, notification.varbinds);
        }
      }
    }
  }

  private receiveInform(l: Listener, d: Datagram, i: Inform): void {
    l.bound.socket.prompt();
    const id = informId(i.bytes, i.pdu, i.origin, i.spoken);
    const ack = this.effectiveAck(l.bound.ack);
    const effects: InformEffect[] = [];
    this.machine.handle(this.ctx.clock.nowMs(), { kind: 'inform', id, bytes: d.data.length, ack }, effects);
    for (const e of effects) {
      switch (e.kind) {
        case 'emit': {
          const spooled = (): void => this.inform({ kind: 'spooled', id });
          const exported = (): void => this.inform({ kind: 'exported', id });
          const receipt: Receipt = ack === 'spool' ? { spooled } : { spooled, exported };
          this.pending.set(id, {
            receipt,
            listener: l,
            response: i.answer(),
            address: Buffer.from(d.source),
            port: d.sourcePort,
            local: Buffer.from(d.destination),
          });
          const draft = normalise(i.bytes, i.spoken, 'inform', i.notification, i.origin, this.meaning);
          draft.id = id;
          draft.raw = d.data;
          const taken = this.guard.emit(draft, i.bytes, i.notification.varbinds, receipt);
          if (!taken) this.inform({ kind: 'shed', id });
          break;
        }
        case 'repeated':
          this.repeated.value++;
          if (e.answer) {
            this.retriedAfterAnswer++;
            l.bound.socket.send(i.answer()(), d.source, d.sourcePort, d.destination);
          } else {
            // A v3 retry has a msgID of its own, and its sender waits for that one.
            const waiting = this.pending.get(id);
            if (waiting && i.spoken.version === 'v3') waiting.response = i.answer();
          }
          break;
        case 'refuse':
          this.refuse(l, d, e.code);
          break;
        default:
          this.apply(e);
      }
    }
    this.inFlight.value = this.machine.size;
  }

  private effectiveAck(own: AckMode | undefined): AckMode {
    return this.ctx.pipeline.hasDurableExporter ? (own ?? this.config.ack) : 'spool';
  }

  /** Everything the machine is told that is no datagram. */
  private inform(input: InformInput): void {
    if (this.stopped) return;
    const effects: InformEffect[] = [];
    this.machine.handle(this.ctx.clock.nowMs(), input, effects);
    for (const e of effects) this.apply(e);
    this.inFlight.value = this.machine.size;
    if (this.machine.size === 0) this.onIdle?.();
  }

  private apply(e: InformEffect): void {
    if (e.kind === 'wake') {
      if (this.wakeTimer) this.ctx.clock.clearTimeout(this.wakeTimer);
      this.wakeTimer = this.ctx.clock.setTimeout(() => {
        this.wakeTimer = undefined;
        this.inform({ kind: 'tick' });
      }, e.at - this.ctx.clock.nowMs());
    } else if (e.kind === 'respond') {
      const p = this.pending.get(e.id);
      this.pending.delete(e.id);
      if (!p) return;
      p.receipt.exported = undefined;
      p.listener.bound.socket.send(p.response(), p.address, p.port, p.local);
      p.listener.ackSeconds[e.stage].observe(e.waited / 1000);
    } else if (e.kind === 'forget') {
      const p = this.pending.get(e.id);
      if (p) p.receipt.exported = undefined;
      this.pending.delete(e.id);
    }
  }

  private refuse(l: Listener, d: Datagram, code: RefusalCode, detail?: string): void {
    // Not through the source table: refused sources must not push out accepted ones.
    this.ctx.refusals.refuse(NAME, l.network, formatIp(d.source), code, detail);
  }
}

function limitsOf(c: SnmpTrapConfig): { count: number; bytes: number; budget: number } {
  return { count: c.informs_in_flight.count, bytes: c.informs_in_flight.bytes, budget: c.ack_budget };
}
