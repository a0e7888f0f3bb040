/** One dialled target at run time: carries out what the machine says and turns messages into events. */
import type { Buffer } from 'node:buffer';
import { decodeSubscribeResponse, GNMI_LIMITS, PathCache } from '../../codec/gnmi/decode.ts';
import { encodeSubscribeRequest } from '../../codec/gnmi/encode.ts';
import { makePath } from '../../codec/gnmi/path.ts';
import type { TimerHandle } from '../../core/clock.ts';
import { shortHash } from '../../core/hash.ts';
import { normaliseIp } from '../../core/ip.ts';
import { DecodeError } from '../../core/result.ts';
import { rfc3339Micros } from '../../core/time.ts';
import type { Device, Draft, EventType, ShedKind } from '../../event/types.ts';
import type { GrpcChannel, GrpcDialer, GrpcEnd, GrpcStream } from '../../net/grpc.ts';
import { REFUSAL_CODES, type RefusalCode } from '../../telemetry/codes.ts';
import type { Handle } from '../../telemetry/registry.ts';
import type { CollectorContext } from '../collector.ts';
import type { GnmiConfig, GnmiSubscriptionConfig, GnmiTargetConfig } from './config.ts';
import {
  type StreamState,
  TARGET_DEFAULTS,
  type TargetEffect,
  type TargetInput,
  TargetMachine,
  type TargetState,
} from './machine.ts';
import { normalise, type Said, type StreamFacts, undecodable } from './normalise.ts';
import { endCode } from './reasons.ts';

const SUBSCRIBE = '/gnmi.gNMI/Subscribe';
const WINDOW_BYTES = 4 << 20;

interface Stream {
  name: string;
  request: Buffer;
  shed: ShedKind;
  /** Absent while the stream is closed; a late call of an older one is told by it. */
  call: GrpcStream | undefined;
  facts: StreamFacts;
  timer: TimerHandle | undefined;
  messages: number;
  updates: number;
  shedEvents: number;
  lastMessageMs: number;
  lastError: { code: RefusalCode; detail: string; atMs: number } | undefined;
}

/** What `status` says of one target. Times are RFC 3339. */
export interface TargetStatus {
  name: string;
  network: string;
  /** As configured; `source` is what was connected to. */
  address: string;
  source: { address: string; port: number };
  /** Id of the device. */
  device: string;
  state: TargetState;
  since: string;
  subscriptions: {
    name: string;
    state: StreamState;
    attempts: number;
    messages: number;
    updates: number;
    shed: number;
    last_message?: string;
    /** Why the last attempt failed, or what the target last complained of. */
    last_error?: { code: RefusalCode; detail: string; fix: string; at: string };
  }[];
}

export interface TargetCounters {
  received: Handle;
  sessions: Handle;
}

export class Target {
  readonly name: string;
  private readonly ctx: CollectorContext;
  private readonly config: GnmiTargetConfig;
  private readonly options: GnmiConfig;
  private readonly dialer: GrpcDialer;
  private readonly counters: TargetCounters;
  private readonly machine: TargetMachine;
  private readonly streams = new Map<string, Stream>();
  private readonly cache = new PathCache();
  private readonly network: string;
  private channel: GrpcChannel | undefined;
  private source: { address: string; port: number };
  private epoch: number | undefined;
  private sinceMs: number;
  private announced = 'idle';
  private device: Device | undefined;
  private deviceVersion = -1;
  /** Asked before each event; set by the collector. */
  onEmitted: () => void = () => {};
  private paused = false;

  constructor(
    ctx: CollectorContext,
    options: GnmiConfig,
    config: GnmiTargetConfig,
    dialer: GrpcDialer,
    counters: TargetCounters,
    random: () => number,
  ) {
    this.ctx = ctx;
    this.options = options;
    this.config = config;
    this.name = config.name;
    this.dialer = dialer;
    this.counters = counters;
    this.network = config.network ?? 'default';
    this.source = configuredSource(config.address);
    this.sinceMs = ctx.clock.wallMs();
    for (const name of config.subscriptions) {
      const subscription = options.subscriptions[name];
      if (subscription) this.streams.set(name, this.newStream(name, subscription));
    }
    this.machine = new TargetMachine({ ...TARGET_DEFAULTS, streams: [...this.streams.keys()] }, random);
  }

  private newStream(name: string, s: GnmiSubscriptionConfig): Stream {
    return {
      name,
      request: request(s),
      shed: s.stream_mode === 'on-change' ? 'on-change' : 'sample',
      call: undefined,
      facts: { target: this.config.name, source: this.source, subscription: name, epoch: 0 },
      timer: undefined,
      messages: 0,
      updates: 0,
      shedEvents: 0,
      lastMessageMs: 0,
      lastError: undefined,
    };
  }

  get up(): boolean {
    return this.announced === 'up' || this.announced === 'synced';
  }

  input(input: TargetInput): void {
    const out: TargetEffect[] = [];
    this.machine.handle(this.ctx.clock.nowMs(), input, out);
    for (const effect of out) this.apply(effect);
  }

  pause(): void {
    this.paused = true;
    for (const s of this.streams.values()) s.call?.pause();
  }

  resume(): void {
    this.paused = false;
    for (const s of this.streams.values()) s.call?.resume();
  }

  private apply(e: TargetEffect): void {
    switch (e.kind) {
      case 'open':
        this.open(this.streams.get(e.stream)!);
        return;
      case 'close': {
        const s = this.streams.get(e.stream)!;
        s.call?.close();
        s.call = undefined;
        return;
      }
      case 'hangup':
        this.channel?.close();
        this.channel = undefined;
        return;
      case 'set-timer': {
        const s = this.streams.get(e.stream)!;
        s.timer = this.ctx.clock.setTimeout(() => {
          s.timer = undefined;
          this.input({ kind: 'timer', stream: e.stream });
        }, e.ms);
        return;
      }
      case 'clear-timer': {
        const s = this.streams.get(e.stream)!;
        if (s.timer) this.ctx.clock.clearTimeout(s.timer);
        s.timer = undefined;
        return;
      }
      case 'emit':
        this.announce(e.state, e.reason);
    }
  }

  private open(s: Stream): void {
    // A sample that is shed is only missed; a change would never be told again, so its stream waits until there is room.
    if (s.shed === 'on-change' && !this.ctx.pipeline.accepts('on-change')) {
      this.failed(s, 'session-refused', REFUSAL_CODES['session-refused'].reason);
      return;
    }
    const { tls } = this.config;
    const dialled =
      this.channel ??
      this.dialer(
        {
          address: this.config.address,
          network: this.network,
          tls:
            tls === false || !tls.enabled
              ? undefined
              : { ca: tls.ca, cert: tls.cert, key: tls.key, serverName: tls.server_name, skipVerify: tls.skip_verify },
          connectTimeoutMs: this.options.connect_timeout,
          keepaliveMs: this.options.keepalive,
          maxMessageBytes: this.options.max_message,
          windowBytes: WINDOW_BYTES,
        },
        this.ctx.clock,
      );
    if ('status' in dialled) {
      this.ended(s, dialled);
      return;
    }
    this.channel = dialled;
    const metadata: Record<string, string> = {};
    if (this.config.username !== undefined) metadata.username = this.config.username;
    if (this.config.password !== undefined) metadata.password = this.config.password;
    const call: GrpcStream = dialled.stream(SUBSCRIBE, metadata, {
      onOpen: (address, port) => {
        if (s.call === call) this.opened(s, address, port);
      },
      onMessage: (message) => {
        if (s.call === call) this.message(s, message);
      },
      onEnd: (end) => {
        if (s.call === call) this.ended(s, end);
      },
    });
    s.call = call;
    call.write(s.request);
    if (this.paused) call.pause();
  }

  private opened(s: Stream, address: string, port: number): void {
    if (address !== '' && (address !== this.source.address || port !== this.source.port)) {
      this.source = { address, port };
      this.device = undefined;
    }
    const epoch = this.ctx.clock.wallMicros();
    s.facts = { target: this.config.name, source: this.source, subscription: s.name, epoch };
    if (!this.up) this.epoch = epoch;
    s.lastError = undefined;
    this.input({ kind: 'up', stream: s.name });
  }

  private ended(s: Stream, end: GrpcEnd): void {
    const detail = end.details === '' ? end.status : `${end.status}: ${end.details.slice(0, 500)}`;
    this.failed(s, endCode(end), detail);
  }

  private failed(s: Stream, code: RefusalCode, detail: string): void {
    // What was shed is counted as lost; the target did not refuse anything.
    if (code !== 'shed') this.ctx.refusals.count('gnmi', code);
    // The same fault again, attempt after attempt, is said once.
    const known = s.lastError?.code === code && s.lastError.detail === detail;
    s.lastError = { code, detail, atMs: this.ctx.clock.wallMs() };
    const { reason, fix } = REFUSAL_CODES[code];
    const fields = { target: this.name, subscription: s.name, address: this.config.address, code, detail, fix };
    if (known) this.ctx.log.debug(fields, `gNMI target: ${reason}`);
    else this.ctx.log.warn(fields, `gNMI target: ${reason}`);
    this.input({ kind: 'down', stream: s.name, reason: `${code}: ${detail}` });
  }

  private message(s: Stream, buf: Buffer): void {
    this.counters.received.value++;
    s.messages++;
    s.lastMessageMs = this.ctx.clock.wallMs();
    const m = decodeSubscribeResponse(buf, this.cache, GNMI_LIMITS);
    if (m instanceof DecodeError) {
      const detail = `target ${this.name}, ${m.layer} at byte ${m.offset}`;
      this.ctx.refusals.refuse('gnmi', this.network, this.source.address, m.code, detail);
      this.say(s, undecodable(buf, m, s.facts));
      return;
    }
    if (m.kind === 'error') {
      // The Error message gNMI had before gRPC statuses: the stream goes on.
      const detail = `${m.error.code}: ${m.error.message.slice(0, 500)}`;
      s.lastError = { code: 'target-closed', detail, atMs: this.ctx.clock.wallMs() };
      this.ctx.log.warn({ target: this.name, subscription: s.name, detail }, 'gNMI target reports an error');
      return;
    }
    if (m.kind === 'update') s.updates += m.update.updates.length;
    for (const said of normalise(m, s.facts)) if (!this.say(s, said)) return;
    if (m.kind === 'sync' && m.sync) this.input({ kind: 'sync', stream: s.name });
  }

  /** False where a lost change ended the stream. */
  private say(s: Stream, said: Said): boolean {
    const taken = this.emit('gnmi.update.v1', s.shed, said.contentId, said.data);
    if (taken) return true;
    s.shedEvents++;
    if (s.shed !== 'on-change') return true;
    // The next session begins with the whole state, so that nothing stays unsaid.
    this.failed(s, 'shed', REFUSAL_CODES.shed.reason);
    return false;
  }

  private announce(state: 'up' | 'synced' | 'down', reason: string | undefined): void {
    const wasUp = this.up;
    this.announced = state;
    this.sinceMs = this.ctx.clock.wallMs();
    if (this.up !== wasUp) this.counters.sessions.value += wasUp ? -1 : 1;
    if (state !== 'down')
      this.ctx.log.info({ target: this.name, address: this.config.address }, `gNMI target ${state}`);
    const data = { target: this.name, source: this.source, flavour: 'gnmi', state, reason, epoch: this.epoch };
    this.emit('gnmi.target.v1', 'on-change', shortHash(JSON.stringify([this.name, state, reason, this.epoch])), data);
  }

  private emit(type: EventType, shed: ShedKind, contentId: string, data: object): boolean {
    const micros = this.ctx.clock.wallMicros();
    const sec = Math.floor(micros / 1_000_000);
    const draft: Draft = {
      type,
      sec,
      nsec: (micros - sec * 1_000_000) * 1000,
      network: this.network,
      device: this.resolve(),
      contentId,
      shed,
      data,
    };
    const taken = this.ctx.pipeline.emit(draft);
    this.onEmitted();
    return taken;
  }

  private resolve(): Device {
    const { inventory } = this.ctx;
    if (!this.device || this.deviceVersion !== inventory.version) {
      this.device = inventory.resolve({ network: this.network, address: this.source.address, target: this.name });
      this.deviceVersion = inventory.version;
    }
    return this.device;
  }

  status(): TargetStatus {
    return {
      name: this.name,
      network: this.network,
      address: this.config.address,
      source: this.source,
      device: this.resolve().id,
      state: this.machine.state,
      since: rfc3339Micros(this.sinceMs * 1000),
      subscriptions: [...this.streams.values()].map((s) => ({
        name: s.name,
        state: this.machine.streamState(s.name),
        attempts: this.machine.attempts(s.name),
        messages: s.messages,
        updates: s.updates,
        shed: s.shedEvents,
        last_message: s.lastMessageMs > 0 ? rfc3339Micros(s.lastMessageMs * 1000) : undefined,
        last_error: s.lastError && {
          code: s.lastError.code,
          detail: s.lastError.detail,
          fix: REFUSAL_CODES[s.lastError.code].fix,
          at: rfc3339Micros(s.lastError.atMs * 1000),
        },
      })),
    };
  }
}

function request(s: GnmiSubscriptionConfig): Buffer {
  const origin = s.origin ?? '';
  const prefixOrigin = s.prefix?.origin || '';
  const needsPrefix = s.prefix !== undefined || s.target !== undefined;
  return encodeSubscribeRequest({
    // An origin stands in the prefix or in the paths, not in both (gNMI specification 2.7.1).
    paths: s.paths.map((p) => (p.origin !== '' || prefixOrigin !== '' ? p : makePath(p.elem, origin, p.target))),
    prefix: needsPrefix ? makePath(s.prefix?.elem ?? [], prefixOrigin, s.target ?? '') : undefined,
    encoding: s.encoding,
    streamMode: s.stream_mode,
    sampleInterval: s.sample_interval,
    heartbeatInterval: s.heartbeat_interval,
    suppressRedundant: s.suppress_redundant,
    updatesOnly: s.updates_only,
    qos: s.qos,
  });
}

/** What the configuration says of the far end, until a connection tells: a name where no address is known yet. */
function configuredSource(address: string): { address: string; port: number } {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  return { address: normaliseIp(host) ?? host, port: Number(address.slice(colon + 1)) };
}
