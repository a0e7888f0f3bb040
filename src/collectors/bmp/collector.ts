/** BMP over TCP: sessions from listeners, messages to the machine, what it says to the pipeline. Nothing is ever sent to a router. */
import type { Buffer } from 'node:buffer';
import { bmpFramer } from '../../codec/bmp/frame.ts';
import { type Framer, StreamCutter } from '../../codec/stream.ts';
import { isDecodeError } from '../../core/result.ts';
import type { Device } from '../../event/types.ts';
import type { Connection, TcpListener } from '../../net/types.ts';
import type { Handle } from '../../telemetry/registry.ts';
import type { BoundTcp, Collector, CollectorContext } from '../collector.ts';
import type { BmpConfig } from './config.ts';
import { type BmpEffect, BmpMachine } from './machine.ts';

/** What a session reads of the configuration. */
export type BmpLimits = Pick<BmpConfig, 'max_message' | 'max_sessions' | 'max_peers' | 'path_ids'>;

export class BmpCollector implements Collector {
  private readonly bound: BoundTcp[];
  private readonly limits: BmpLimits;
  private readonly ctx: CollectorContext;
  private readonly frame: Framer;
  private readonly sessions = new Set<BmpSession>();
  private readonly received: Handle;
  private readonly gauge: Handle;
  private started = false;
  private accepting = false;

  constructor(limits: BmpLimits, bound: readonly BoundTcp[], ctx: CollectorContext) {
    this.limits = limits;
    this.bound = [...bound];
    this.ctx = ctx;
    this.frame = bmpFramer(limits.max_message);
    this.received = ctx.metrics.handle('tidegate_received_total', { collector: 'bmp' });
    this.gauge = ctx.metrics.handle('tidegate_sessions', { collector: 'bmp' });
    ctx.pipeline.onResume(() => {
      for (const s of this.sessions) s.resume();
    });
  }

  start(): void {
    this.started = true;
    this.accepting = true;
    for (const b of this.bound) this.listenTo(b);
  }

  private listenTo({ spec, listener }: BoundTcp): void {
    listener.start((c) => this.accept(spec.network, c));
  }

  /** One more listener, accepted from at once where the others are. */
  listen(b: BoundTcp): void {
    this.bound.push(b);
    if (this.started) this.listenTo(b);
  }

  /** No more of this listener; its sessions are the caller's to end. */
  unlisten(listener: TcpListener): void {
    const at = this.bound.findIndex((b) => b.listener === listener);
    if (at >= 0) this.bound.splice(at, 1);
    listener.close();
  }

  quiesce(): void {
    this.accepting = false;
  }

  async stop(): Promise<void> {
    this.accepting = false;
    for (const { listener } of this.bound) listener.close();
    for (const s of [...this.sessions]) s.close('shutdown');
  }

  get sessionCount(): number {
    return this.sessions.size;
  }

  openSessions(): (() => void)[] {
    return [...this.sessions].map((s) => () => {
      if (this.sessions.has(s)) s.close('shutdown');
    });
  }

  status(): Record<string, unknown> {
    return { sessions: [...this.sessions].map((s) => s.status()) };
  }

  private accept(network: string, connection: Connection): void {
    const { pipeline, refusals } = this.ctx;
    const full = this.sessions.size >= this.limits.max_sessions;
    if (!this.accepting || full || !pipeline.accepts('session')) {
      const detail = full ? 'max_sessions' : this.accepting ? undefined : 'draining';
      refusals.refuse('bmp', network, connection.remoteAddress, full ? 'limit' : 'session-refused', detail);
      connection.onData = () => {};
      connection.onClose = () => {};
      connection.destroy();
      return;
    }
    const session = new BmpSession(network, connection, this.limits, this.frame, this.ctx, this.received, () => {
      this.sessions.delete(session);
      this.gauge.value = this.sessions.size;
    });
    this.sessions.add(session);
    this.gauge.value = this.sessions.size;
    session.begin();
  }
}

/** One router's connection. */
class BmpSession {
  private readonly network: string;
  private readonly connection: Connection;
  private readonly frame: Framer;
  private readonly ctx: CollectorContext;
  private readonly received: Handle;
  private readonly onEnd: () => void;
  private readonly machine: BmpMachine;
  private readonly cutter = new StreamCutter();
  private readonly effects: BmpEffect[] = [];
  private readonly epoch: number;
  private readonly hints: { network: string; address: string; sysName?: string; bgpId?: string };
  private device: Device;
  private inventoryVersion: number;
  private messages = 0;
  private paused = false;
  private ended = false;

  constructor(
    network: string,
    connection: Connection,
    limits: BmpLimits,
    frame: Framer,
    ctx: CollectorContext,
    received: Handle,
    onEnd: () => void,
  ) {
    this.network = network;
    this.connection = connection;
    this.frame = frame;
    this.ctx = ctx;
    this.received = received;
    this.onEnd = onEnd;
    this.epoch = ctx.clock.wallMicros();
    const { remoteAddress: address, remotePort: port } = connection;
    this.hints = { network, address };
    this.device = ctx.inventory.resolve(this.hints);
    this.inventoryVersion = ctx.inventory.version;
    this.machine = new BmpMachine({
      address,
      port,
      epoch: this.epoch,
      maxPeers: limits.max_peers,
      pathIds: limits.path_ids,
    });
  }

  begin(): void {
    this.connection.onData = (chunk) => this.read(chunk);
    this.connection.onClose = () => this.finish('session-lost');
    if (this.ctx.pipeline.paused) this.pause();
  }

  /** Our side ends it. */
  close(reason: 'session-lost' | 'shutdown'): void {
    this.connection.destroy();
    this.finish(reason);
  }

  resume(): void {
    if (!this.paused || this.ended) return;
    this.paused = false;
    this.connection.resume();
  }

  status(): Record<string, unknown> {
    return {
      network: this.network,
      address: this.connection.remoteAddress,
      port: this.connection.remotePort,
      router: this.machine.routerName,
      device: this.device.id,
      epoch: this.epoch,
      peers: this.machine.peerCount,
      messages: this.messages,
      paused: this.paused,
    };
  }

  /** A chunk is worked through at once: it is bounded by the socket's read size, a message by max_message. */
  private read(chunk: Buffer): void {
    if (this.ended) return;
    this.cutter.push(chunk);
    for (;;) {
      const bytes = this.cutter.next(this.frame);
      if (bytes === undefined) break;
      this.messages++;
      this.received.value++;
      if (isDecodeError(bytes)) {
        // Without framing nothing that follows can be found again.
        this.ctx.refusals.refuse(
          'bmp',
          this.network,
          this.connection.remoteAddress,
          bytes.code,
          `${bytes.layer} at ${bytes.offset}`,
        );
        this.close('session-lost');
        return;
      }
      this.machine.handle({ kind: 'message', bytes }, this.effects);
      if (!this.apply()) {
        // The router dumps everything again on its next session, here or on another node.
        this.ctx.refusals.refuse('bmp', this.network, this.connection.remoteAddress, 'shed');
        this.close('session-lost');
        return;
      }
    }
    this.cutter.retain();
    if (this.ctx.pipeline.paused) this.pause();
  }

  private pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.connection.pause();
  }

  private finish(reason: 'session-lost' | 'shutdown'): void {
    if (this.ended) return;
    this.ended = true;
    this.machine.handle({ kind: 'closed', reason }, this.effects);
    this.apply();
    this.onEnd();
  }

  /** Does what the machine said. False where an event was shed; the rest of the effects is tried all the same. */
  private apply(): boolean {
    if (this.effects.length === 0) return true;
    const { pipeline, refusals, clock } = this.ctx;
    const wall = clock.wallMicros();
    const sec = Math.floor(wall / 1_000_000);
    const nsec = (wall - sec * 1_000_000) * 1000;
    let taken = true;
    for (const e of this.effects) {
      switch (e.kind) {
        case 'emit': {
          const { type, keySuffix, contentId, data } = e;
          const device = this.currentDevice();
          const draft = { type, sec, nsec, network: this.network, device, keySuffix, contentId, data };
          if (!pipeline.emit({ ...draft, shed: 'session' })) taken = false;
          break;
        }
        case 'identity':
          this.hints.sysName = e.sysName;
          this.hints.bgpId = e.bgpId;
          this.device = this.ctx.inventory.resolve(this.hints);
          break;
        case 'refuse':
          refusals.refuse('bmp', this.network, this.connection.remoteAddress, e.code, e.detail);
          break;
      }
    }
    this.effects.length = 0;
    return taken;
  }

  private currentDevice(): Device {
    if (this.inventoryVersion !== this.ctx.inventory.version) {
      this.inventoryVersion = this.ctx.inventory.version;
      this.device = this.ctx.inventory.resolve(this.hints);
    }
    return this.device;
  }
}
