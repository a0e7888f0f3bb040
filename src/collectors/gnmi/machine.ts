/**
 * One dialled target: its streams, one SubscribeRequest each, on one connection.
 *
 *   stream: waiting ── open ──► connecting ── up ──► subscribed ── sync ──► synced
 *              ▲                    │                    │                    │
 *              └──── timer ◄────────┴─────── down ◄──────┴────────────────────┘
 *
 * A stream that ended is opened again after a jittered back-off of its own; the others go on. When none is left, the connection is
 * hung up, so that the next attempt dials afresh. Pure: time, inputs and randomness come from outside.
 */
import { Backoff } from '../../core/backoff.ts';

export type StreamState = 'waiting' | 'connecting' | 'subscribed' | 'synced';
export type TargetState = 'idle' | 'connecting' | 'subscribed' | 'synced';

export type TargetInput =
  | { kind: 'start' }
  /** The target took the call. */
  | { kind: 'up'; stream: string }
  /** sync_response. */
  | { kind: 'sync'; stream: string }
  | { kind: 'down'; stream: string; reason: string }
  | { kind: 'timer'; stream: string }
  /** Opens nothing any more; what is up stays. */
  | { kind: 'quiesce' }
  | { kind: 'stop' };

export type TargetEffect =
  | { kind: 'open'; stream: string }
  | { kind: 'close'; stream: string }
  /** Close the connection: no stream is left on it. */
  | { kind: 'hangup' }
  | { kind: 'set-timer'; stream: string; ms: number }
  | { kind: 'clear-timer'; stream: string }
  /** gnmi.target.v1 */
  | { kind: 'emit'; state: 'up' | 'synced' | 'down'; reason?: string };

export interface TargetOptions {
  streams: readonly string[];
  backoffBaseMs: number;
  backoffMaxMs: number;
  /** A stream that lasted so long begins its back-off anew when it ends. */
  stableMs: number;
}

export const TARGET_DEFAULTS = { backoffBaseMs: 1000, backoffMaxMs: 60_000, stableMs: 30_000 };

interface Stream {
  state: StreamState;
  backoff: Backoff;
  upAt: number;
  attempts: number;
}

export class TargetMachine {
  private readonly streams = new Map<string, Stream>();
  private readonly stableMs: number;
  private announced: 'up' | 'synced' | 'down' | undefined;
  private opening = true;

  constructor(o: TargetOptions, random: () => number) {
    this.stableMs = o.stableMs;
    for (const name of o.streams) {
      const backoff = new Backoff(o.backoffBaseMs, o.backoffMaxMs, random);
      this.streams.set(name, { state: 'waiting', backoff, upAt: 0, attempts: 0 });
    }
  }

  /** `synced` when every stream is; `subscribed` when one is up; `connecting` while one is tried; else `idle`. */
  get state(): TargetState {
    let best: TargetState = 'idle';
    let all = true;
    for (const s of this.streams.values()) {
      if (s.state !== 'synced') all = false;
      if (s.state === 'subscribed' || s.state === 'synced') best = 'subscribed';
      else if (s.state === 'connecting' && best === 'idle') best = 'connecting';
    }
    return all ? 'synced' : best;
  }

  streamState(name: string): StreamState {
    return this.streams.get(name)?.state ?? 'waiting';
  }

  /** How often the stream was opened. */
  attempts(name: string): number {
    return this.streams.get(name)?.attempts ?? 0;
  }

  /** Inputs of unknown or already ended streams change nothing. */
  handle(now: number, input: TargetInput, out: TargetEffect[]): void {
    switch (input.kind) {
      case 'start':
        for (const [name, s] of this.streams) if (s.state === 'waiting') this.open(name, s, out);
        return;
      case 'quiesce':
        this.opening = false;
        for (const [name, s] of this.streams)
          if (s.state === 'waiting') out.push({ kind: 'clear-timer', stream: name });
        return;
      case 'stop':
        this.stop(out);
        return;
      default: {
        const s = this.streams.get(input.stream);
        if (s) this.streamInput(now, input, s, out);
      }
    }
  }

  private streamInput(
    now: number,
    input: Exclude<TargetInput, { kind: 'start' | 'quiesce' | 'stop' }>,
    s: Stream,
    out: TargetEffect[],
  ): void {
    switch (input.kind) {
      case 'timer':
        if (s.state === 'waiting') this.open(input.stream, s, out);
        return;
      case 'up':
        if (s.state === 'connecting') this.up(now, s, out);
        return;
      case 'sync':
        // Some targets say it before their headers reach us, some after each update.
        if (s.state === 'connecting') this.up(now, s, out);
        if (s.state !== 'subscribed') return;
        s.state = 'synced';
        if (this.state === 'synced' && this.announced !== 'synced') {
          this.announced = 'synced';
          out.push({ kind: 'emit', state: 'synced' });
        }
        return;
      case 'down':
        if (s.state !== 'waiting') this.down(now, input.stream, input.reason, s, out);
    }
  }

  private open(name: string, s: Stream, out: TargetEffect[]): void {
    if (!this.opening) return;
    s.state = 'connecting';
    s.attempts++;
    out.push({ kind: 'open', stream: name });
  }

  private up(now: number, s: Stream, out: TargetEffect[]): void {
    s.state = 'subscribed';
    s.upAt = now;
    if (this.announced === 'up' || this.announced === 'synced') return;
    this.announced = 'up';
    out.push({ kind: 'emit', state: 'up' });
  }

  private down(now: number, name: string, reason: string, s: Stream, out: TargetEffect[]): void {
    const wasUp = s.state !== 'connecting';
    if (wasUp && now - s.upAt >= this.stableMs) s.backoff.reset();
    s.state = 'waiting';
    out.push({ kind: 'close', stream: name });
    const state = this.state;
    if (state === 'idle') out.push({ kind: 'hangup' });
    if (state === 'idle' || state === 'connecting') {
      if (this.announced !== 'down') out.push({ kind: 'emit', state: 'down', reason });
      this.announced = 'down';
    } else if (this.announced === 'synced') {
      // One of several ended: said again when all are in step.
      this.announced = 'up';
    }
    if (this.opening) out.push({ kind: 'set-timer', stream: name, ms: Math.round(s.backoff.next()) });
  }

  private stop(out: TargetEffect[]): void {
    this.opening = false;
    for (const [name, s] of this.streams) {
      out.push(s.state === 'waiting' ? { kind: 'clear-timer', stream: name } : { kind: 'close', stream: name });
      s.state = 'waiting';
    }
    out.push({ kind: 'hangup' });
    if (this.announced === 'up' || this.announced === 'synced') {
      this.announced = 'down';
      out.push({ kind: 'emit', state: 'down', reason: 'stopped' });
    }
  }
}
