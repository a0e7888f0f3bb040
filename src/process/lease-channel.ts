/**
 * A process's end of the lease channel: lines of JSON over the speaker's Unix socket. A speaker that is away is dialled again; what could not be
 * sent meanwhile is never caught up.
 */
import type { Clock } from '../core/clock.ts';
import { connectUnix, type UnixPeer } from '../net/unix.ts';
import type { FromSpeakerToWorker } from './messages.ts';

const REDIAL_MS = 100;

export interface LeaseChannelEvents {
  said(m: FromSpeakerToWorker): void;
  up?(): void;
  /** The channel closed, or, once for each reason, cannot be opened. */
  down?(problem: string): void;
}

export class LeaseChannel {
  private readonly path: string | undefined;
  private readonly clock: Clock;
  private readonly on: LeaseChannelEvents;
  private peer: UnixPeer | undefined;
  private dialling = false;
  private closed = false;
  /** Why there is no channel; undefined: there is one, or nobody wants one. */
  problem: string | undefined;

  /** `path` undefined: there is no speaker. */
  constructor(path: string | undefined, clock: Clock, on: LeaseChannelEvents) {
    this.on = on;
    this.path = path;
    this.clock = clock;
    this.dial();
  }

  get up(): boolean {
    return this.peer !== undefined;
  }

  /** False where nothing was sent. */
  send(message: object): boolean {
    if (this.peer) return this.peer.send(message);
    this.dial();
    return false;
  }

  /** To the speaker a closed channel is the end of this process. */
  close(): void {
    this.closed = true;
    this.peer?.close();
    this.peer = undefined;
  }

  private dial(): void {
    if (this.path === undefined || this.dialling || this.closed || this.peer) return;
    this.dialling = true;
    void connectUnix(this.path).then((r) => {
      this.dialling = false;
      if (!r.ok) {
        this.lost(unreachable(r.code, r.text));
        return;
      }
      if (this.closed) {
        r.value.close();
        return;
      }
      this.peer = r.value;
      this.problem = undefined;
      r.value.onMessage = (m) => this.on.said(m as FromSpeakerToWorker);
      r.value.onClose = () => {
        this.peer = undefined;
        this.lost('the speaker closed the channel');
      };
      this.on.up?.();
    });
  }

  private lost(problem: string): void {
    if (this.closed) return;
    this.clock.setTimeout(() => this.dial(), REDIAL_MS);
    if (problem === this.problem) return;
    this.problem = problem;
    this.on.down?.(problem);
  }
}

/** What it means for who runs it. */
function unreachable(code: string, text: string): string {
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return `no speaker listens on ${text}`;
  if (code !== 'EACCES' && code !== 'EPERM') return text;
  const groups = process.getgroups?.().join(', ');
  return `${text}: this process (uid ${process.getuid?.()}, groups ${groups}) may not connect: give the speaker the same \`user:\`, by name or UID:GID, as who runs ingest`;
}
