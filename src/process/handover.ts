/**
 * Hands sockets to workers that run already. Each worker inherits one end of a pair of Unix sockets; descriptors are queued there before the
 * message that speaks of them is sent, so the worker finds them when it reads it. A pair lives as long as its worker: what was not taken
 * ends with it, and the next worker inherits everything.
 */
import { errnoName, errnoText, loadNative } from '../net/native.ts';
import type { Listen, ToWorker } from './messages.ts';

type Send = (m: ToWorker) => void;

interface Gift {
  listen: Listen;
  fds: number[];
}

interface Line {
  pair: [number, number] | undefined;
  /** For when the worker has read what it was given. */
  waiting: Gift[];
}

export class Handover {
  private readonly lines: Line[];

  constructor(workers: number) {
    this.lines = Array.from({ length: workers }, () => ({ pair: undefined, waiting: [] }));
  }

  /** Before a worker is forked: the end it inherits; empty where it binds its own sockets. */
  open(worker: number): number[] {
    this.close(worker);
    const native = loadNative();
    if (!native) return [];
    const pair = native.socketPair();
    this.lines[worker].pair = pair;
    return [pair[1]];
  }

  /** After the fork: its end is its own. */
  forked(worker: number): void {
    const { pair } = this.lines[worker];
    if (!pair || pair[1] < 0) return;
    loadNative()!.closeFd(pair[1]);
    pair[1] = -1;
  }

  /** `fds`: of this worker and listener; empty where the worker binds. Order is kept. */
  give(worker: number, send: Send, listen: Listen, fds: number[]): void {
    this.lines[worker].waiting.push({ listen, fds });
    this.flush(worker, send);
  }

  /** It is not to be opened after all. */
  takeBack(worker: number, key: string): void {
    const line = this.lines[worker];
    line.waiting = line.waiting.filter((g) => g.listen.key !== key);
  }

  /** Sends what waits, as far as the worker takes it; returns what is wrong where it is more than a full queue. */
  flush(worker: number, send: Send): string | undefined {
    const { pair, waiting } = this.lines[worker];
    for (let next = waiting[0]; next; next = waiting[0]) {
      if (next.fds.length > 0) {
        if (!pair) return undefined;
        const errno = loadNative()!.sendFds(pair[0], next.fds);
        if (errno !== 0) return errnoName(errno) === 'EAGAIN' ? undefined : errnoText(errno);
      }
      waiting.shift();
      send({ kind: 'listen', listen: next.listen, fds: next.fds.length });
    }
    return undefined;
  }

  close(worker: number): void {
    const line = this.lines[worker];
    for (const fd of line.pair ?? []) if (fd >= 0) loadNative()!.closeFd(fd);
    line.pair = undefined;
    line.waiting = [];
  }
}
