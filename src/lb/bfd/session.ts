/**
 * BFD sessions over UDP: RFC 5881 (one hop: port 3784, TTL 255 sent and asked for) and RFC 5883 (several hops: port 4784). One socket an
 * address and port receives for all sessions; each session sends from a port of its own (RFC 5881 section 4).
 */
import { randomInt } from 'node:crypto';
import { BFD_DIAGNOSTICS, type BfdState, decodeBfd, encodeBfd } from '../../codec/bfd/bfd.ts';
import type { Clock, TimerHandle } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import { isDecodeError } from '../../core/result.ts';
import type { ControlNet, ControlPacket, ControlSocket } from '../../net/control-types.ts';
import type { Registry } from '../../telemetry/registry.ts';
import type { BfdConfig } from './config.ts';
import { type BfdEffect, type BfdInput, BfdMachine, type BfdTimer } from './machine.ts';

export interface BfdOptions {
  clock: Clock;
  log: Logger;
  metrics: Registry;
  net: ControlNet;
  random?: () => number;
}

export interface BfdPeer {
  peer: string;
  /** Our address. */
  local: string;
  /** The interface or VRF of both sockets. */
  device?: string;
  multihop: boolean;
  config: BfdConfig;
  /** `admin`: the other side said that it is down on purpose, which says nothing about the path. */
  onState(to: BfdState, from: BfdState, admin: boolean): void;
}

export interface BfdStatus {
  state: BfdState;
  remote_state: BfdState;
  diagnostic: string;
  remote_diagnostic: string;
  /** UTC milliseconds of the last change. */
  since: number;
  multihop: boolean;
  /** Milliseconds. */
  transmit_interval: number;
  detection_time: number;
  packets_in: number;
  packets_out: number;
  /** No longer configured: it goes on until the other side ends it. */
  ending?: boolean;
  error?: string;
}

const SINGLE_HOP_PORT = 3784;
const MULTIHOP_PORT = 4784;
const SOURCE_PORTS: [number, number] = [49152, 65535];
/** A detection timer this late says that our own loop stood still: what waits in the socket is read first. */
const OWN_LATENESS_MS = 15;
const GRACE_MS = 10;
const REOPEN_MS = 1000;

interface Receiver {
  socket: ControlSocket;
  users: number;
}

type Place = Pick<BfdPeer, 'local' | 'multihop' | 'device'>;

function placeKey({ local, multihop, device = '' }: Place): string {
  return `${local} ${multihop} ${device}`;
}

export class BfdManager {
  readonly o: BfdOptions;
  private readonly receivers = new Map<string, Receiver>();
  private readonly sessions = new Map<number, BfdSession>();

  constructor(options: BfdOptions) {
    this.o = options;
  }

  /** Begins a session; it ends with `stop()`. */
  watch(peer: BfdPeer): BfdSession {
    let discriminator: number;
    do discriminator = randomInt(1, 2 ** 32);
    while (this.sessions.has(discriminator));
    const session = new BfdSession(this, peer, discriminator);
    this.sessions.set(discriminator, session);
    session.start();
    return session;
  }

  forget(discriminator: number): void {
    this.sessions.delete(discriminator);
  }

  /** The socket that receives at our address; an error as text. */
  acquire(at: Place): string | undefined {
    const key = placeKey(at);
    const known = this.receivers.get(key);
    if (known) {
      known.users++;
      return undefined;
    }
    const { local: address, multihop, device } = at;
    const port = multihop ? MULTIHOP_PORT : SINGLE_HOP_PORT;
    const r = this.o.net.openUdp({ address, port, ttl: 255, device });
    if (!r.ok) return `${address} port ${port}${device === undefined ? '' : ` on ${device}`}: ${r.error}`;
    r.socket.onPacket = (p) => this.received(p, at);
    this.receivers.set(key, { socket: r.socket, users: 1 });
    return undefined;
  }

  release(at: Place): void {
    const key = placeKey(at);
    const known = this.receivers.get(key);
    if (!known || --known.users > 0) return;
    known.socket.close();
    this.receivers.delete(key);
  }

  private received(p: ControlPacket, { local, multihop, device }: Place): void {
    const packet = decodeBfd(p.data);
    if (isDecodeError(packet)) {
      this.refuse('bfd-malformed');
      return;
    }
    // RFC 5880 section 6.8.6: by Your Discriminator; while there is none, by the addresses (RFC 5881 section 3).
    const session =
      packet.yourDiscriminator === 0
        ? [...this.sessions.values()].find((s) => s.at(p.source, local, multihop, device))
        : this.sessions.get(packet.yourDiscriminator);
    if (!session?.at(p.source, local, multihop, device)) this.refuse('bfd-unknown');
    // RFC 5881 section 5: what is not of this link has less than 255.
    else if (p.ttl < (multihop ? session.peer.config.min_ttl : 255)) this.refuse('bfd-ttl');
    else session.received(packet);
  }

  private refuse(code: 'bfd-malformed' | 'bfd-unknown' | 'bfd-ttl'): void {
    this.o.metrics.handle('tidegate_lb_bfd_refused_total', { code }).value++;
  }
}

export class BfdSession {
  readonly peer: BfdPeer;
  private readonly manager: BfdManager;
  private readonly machine: BfdMachine;
  private readonly discriminator: number;
  private readonly timers = new Map<BfdTimer, TimerHandle>();
  private socket: ControlSocket | undefined;
  private receiving = false;
  private error: string | undefined;
  private reopen: TimerHandle | undefined;
  private since: number;
  private packetsIn = 0;
  private packetsOut = 0;
  private stopped = false;

  constructor(manager: BfdManager, peer: BfdPeer, discriminator: number) {
    this.manager = manager;
    this.peer = peer;
    this.discriminator = discriminator;
    this.since = manager.o.clock.wallMs();
    const c = peer.config;
    this.machine = new BfdMachine({
      discriminator,
      ...settingsOf(c),
      random: manager.o.random,
    });
    manager.o.metrics.handle('tidegate_lb_bfd_session_up', { peer: peer.peer }).value = 0;
  }

  start(): void {
    this.open();
    this.input({ type: 'start' });
  }

  get state(): BfdState {
    return this.machine.state;
  }

  /** It is the one with `peer`, over these sockets. */
  at(peer: string, local: string, multihop: boolean, device: string | undefined): boolean {
    const p = this.peer;
    return p.peer === peer && p.local === local && p.multihop === multihop && p.device === device;
  }

  /** Other intervals, multiplier and least TTL: taken over by the session that runs (RFC 5880 section 6.8.3). */
  configure(c: BfdConfig): void {
    if (JSON.stringify(c) === JSON.stringify(this.peer.config)) return;
    this.peer.config = c;
    this.input({ type: 'settings', ...settingsOf(c) });
  }

  /** Says AdminDown, so that the other side does not take our end for a broken path, and ends. */
  stop(): void {
    if (this.stopped) return;
    this.input({ type: 'admin', down: true });
    this.stopped = true;
    const { clock, metrics } = this.manager.o;
    for (const t of this.timers.values()) clock.clearTimeout(t);
    this.timers.clear();
    if (this.reopen) clock.clearTimeout(this.reopen);
    this.socket?.close();
    if (this.receiving) this.manager.release(this.peer);
    this.manager.forget(this.discriminator);
    metrics.handle('tidegate_lb_bfd_session_up', { peer: this.peer.peer }).value = 0;
  }

  status(): BfdStatus {
    const m = this.machine;
    const name = (d: number) => BFD_DIAGNOSTICS[d] ?? `diagnostic ${d}`;
    return {
      state: m.state,
      remote_state: m.remoteState,
      diagnostic: name(m.diagnostic),
      remote_diagnostic: name(m.remoteDiagnostic),
      since: this.since,
      multihop: this.peer.multihop,
      transmit_interval: Math.round(m.transmitInterval),
      detection_time: Math.round(m.detectionTime),
      packets_in: this.packetsIn,
      packets_out: this.packetsOut,
      ...(this.error !== undefined && { error: this.error }),
    };
  }

  received(packet: Extract<BfdInput, { type: 'packet' }>['packet']): void {
    this.packetsIn++;
    this.input({ type: 'packet', packet });
  }

  /** Sockets come when our address is there; until then nothing is said or heard. */
  private open(): void {
    if (this.stopped || (this.socket && this.receiving)) return;
    const { local, device } = this.peer;
    if (!this.receiving) {
      this.error = this.manager.acquire(this.peer);
      this.receiving = this.error === undefined;
    }
    if (!this.socket && this.receiving) {
      const r = this.manager.o.net.openUdp({ address: local, port: 0, portRange: SOURCE_PORTS, ttl: 255, device });
      if (r.ok) this.socket = r.socket;
      else this.error = r.error;
    }
    if (!this.socket) this.reopen = this.manager.o.clock.setTimeout(() => this.open(), REOPEN_MS);
  }

  private input(input: BfdInput): void {
    if (this.stopped) return;
    const out: BfdEffect[] = [];
    this.machine.handle(input, out);
    for (const e of out) this.perform(e);
  }

  private perform(e: BfdEffect): void {
    switch (e.type) {
      case 'send': {
        const port = this.peer.multihop ? MULTIHOP_PORT : SINGLE_HOP_PORT;
        const error = this.socket?.send(encodeBfd(e.packet), this.peer.peer, port);
        if (this.socket) this.error = error;
        this.packetsOut++;
        return;
      }
      case 'set-timer':
        this.setTimer(e.timer, e.ms);
        return;
      case 'clear-timer':
        this.clearTimer(e.timer);
        return;
      case 'state':
        this.changed(e);
    }
  }

  private changed(e: Extract<BfdEffect, { type: 'state' }>): void {
    const { clock, log, metrics } = this.manager.o;
    this.since = clock.wallMs();
    metrics.handle('tidegate_lb_bfd_session_up', { peer: this.peer.peer }).value = e.to === 'Up' ? 1 : 0;
    const facts = { peer: this.peer.peer, from: e.from, to: e.to, diagnostic: BFD_DIAGNOSTICS[e.diagnostic] };
    if (e.from === 'Up') log.warn(facts, 'BFD session down');
    else if (e.to === 'Up') log.info(facts, 'BFD session up');
    if (this.stopped || e.to === 'AdminDown') return;
    this.peer.onState(e.to, e.from, this.machine.remoteState === 'AdminDown' && e.diagnostic === 3);
  }

  private setTimer(timer: BfdTimer, ms: number): void {
    const { clock } = this.manager.o;
    this.clearTimer(timer);
    const due = clock.nowMs() + ms;
    let graced = false;
    const fire = (): void => {
      this.timers.delete(timer);
      if (timer === 'detect' && !graced && clock.nowMs() - due > OWN_LATENESS_MS) {
        graced = true;
        this.timers.set(timer, clock.setTimeout(fire, GRACE_MS));
        return;
      }
      this.input({ type: 'timer', timer });
    };
    this.timers.set(timer, clock.setTimeout(fire, ms));
  }

  private clearTimer(timer: BfdTimer): void {
    const handle = this.timers.get(timer);
    if (handle) this.manager.o.clock.clearTimeout(handle);
    this.timers.delete(timer);
  }
}

function settingsOf(c: BfdConfig) {
  const { interval, receive_interval = interval, multiplier, passive } = c;
  return { desiredMinTx: interval, requiredMinRx: receive_interval, detectMult: multiplier, passive };
}
