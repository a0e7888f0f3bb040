/**
 * The worker's end of the lease: a line of JSON to the speaker with each renewal. A speaker that is away is dialled again; a missed renewal is
 * never caught up. The speaker answers with its decision, and with the events it has to say, since it has no spool.
 */
import type { Clock } from '../core/clock.ts';
import { connectUnix, type UnixPeer } from '../net/unix.ts';
import type { FromSpeakerToWorker, Renewal } from './messages.ts';

const REDIAL_MS = 100;

export class LeaseChannel {
  private readonly path: string | undefined;
  private readonly clock: Clock;
  private peer: UnixPeer | undefined;
  private dialling = false;
  private closed = false;
  private readonly onSaid: (m: FromSpeakerToWorker) => void;

  /** `path` undefined: there is no speaker. */
  constructor(path: string | undefined, clock: Clock, onSaid: (m: FromSpeakerToWorker) => void) {
    this.onSaid = onSaid;
    this.path = path;
    this.clock = clock;
    this.dial();
  }

  send(renewal: Renewal): void {
    if (this.peer) this.peer.send(renewal);
    else this.dial();
  }

  /** To the speaker a closed channel is the end of this worker. */
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
        this.clock.setTimeout(() => this.dial(), REDIAL_MS);
        return;
      }
      if (this.closed) {
        r.value.close();
        return;
      }
      this.peer = r.value;
      r.value.onMessage = (m) => this.onSaid(m as FromSpeakerToWorker);
      r.value.onClose = () => {
        this.peer = undefined;
        this.clock.setTimeout(() => this.dial(), REDIAL_MS);
      };
    });
  }
}
