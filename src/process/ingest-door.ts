/** The speaker's side of an instance that runs ingest in another container (speaker-link.ts): it asks, drains and leaves over the lease channel. */
import type { UnixPeer } from '../net/unix.ts';
import type { FromIngest, FromSpeakerToWorker, SpeakerDecision } from './messages.ts';
import type { Speaker } from './speaker.ts';

export class IngestDoor {
  private readonly speaker: Pick<Speaker, 'drain' | 'undrain' | 'drained' | 'status'>;
  private readonly ingests = new Set<UnixPeer>();
  /** An instance asked for the drain: it ends with the instance. */
  private asked = false;
  /** The supervisor beside this process did. */
  private own = false;
  /** The last one that was told. */
  private decision: SpeakerDecision | undefined;
  /** The supervisor beside this process is told of a drain too, so that it has it in mind for the next speaker. */
  private readonly onDraining: (on: boolean) => void;

  constructor(speaker: IngestDoor['speaker'], onDraining: (on: boolean) => void) {
    this.speaker = speaker;
    this.onDraining = onDraining;
  }

  /** A line of the lease channel that is no renewal. Anything else than a message of an ingest instance is ignored. */
  heard(peer: UnixPeer, message: unknown): void {
    const m = asIngest(message);
    if (m === undefined) return;
    switch (m.kind) {
      case 'ingest':
        this.ingests.add(peer);
        if (this.decision) say(peer, { kind: 'decision', decision: this.decision });
        if (m.draining) this.drain('drain requested');
        else if (this.asked) this.undrain();
        else if (this.own) say(peer, { kind: 'draining', on: true });
        return;
      case 'ask':
        answer(peer, m.id, this.speaker.status());
        return;
      case 'drain':
        this.drain(m.reason);
        return;
      case 'undrain':
        this.undrain();
        return;
      case 'leave':
        this.asked = true;
        void this.speaker.drained(`stopping: ${m.reason}`).then(() => say(peer, { kind: 'left' }));
        return;
    }
  }

  closed(peer: UnixPeer): void {
    this.ingests.delete(peer);
  }

  /** With each change; who comes later hears it first of all. */
  tell(decision: SpeakerDecision): void {
    this.decision = decision;
    for (const peer of this.ingests) say(peer, { kind: 'decision', decision });
  }

  /** Drained or undrained by the supervisor beside this process. */
  changed(on: boolean): void {
    this.own = on;
    this.asked &&= on;
    for (const peer of this.ingests) say(peer, { kind: 'draining', on });
  }

  private drain(reason: string): void {
    this.asked = true;
    this.speaker.drain(reason);
    this.onDraining(true);
  }

  private undrain(): void {
    this.asked = false;
    this.own = false;
    this.speaker.undrain();
    this.onDraining(false);
  }
}

function say(peer: UnixPeer, m: FromSpeakerToWorker): boolean {
  return peer.send(m);
}

/** A message has a limit; what is left out is named. */
function answer(peer: UnixPeer, id: number, value: object): void {
  if (say(peer, { kind: 'answer', id, value })) return;
  const left_out = ['vips', 'peers'];
  const short = Object.fromEntries(Object.entries(value).filter(([key]) => !left_out.includes(key)));
  say(peer, { kind: 'answer', id, value: { ...short, left_out } });
}

/** It is a message of another process, so its shape is not taken for granted. */
function asIngest(m: unknown): FromIngest | undefined {
  if (typeof m !== 'object' || m === null) return undefined;
  const { kind, id, reason, draining } = m as Record<string, unknown>;
  switch (kind) {
    case 'ingest':
      return typeof draining === 'boolean' ? { kind, draining } : undefined;
    case 'ask':
      return Number.isSafeInteger(id) ? { kind, id: id as number } : undefined;
    case 'undrain':
      return { kind };
    case 'drain':
    case 'leave':
      return typeof reason === 'string' && reason.length <= 200 ? { kind, reason } : undefined;
    default:
      return undefined;
  }
}
