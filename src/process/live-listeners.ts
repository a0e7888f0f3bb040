/** A worker's listeners while it runs: takes those that the supervisor hands over, closes what is not wanted any more, and says what is open. */
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { errnoName, errnoText, loadNative } from '../net/native.ts';
import type { BuiltCollectors } from './collectors.ts';
import type { Listen, Listening, ToWorker } from './messages.ts';

type Change = Extract<ToWorker, { kind: 'listen' | 'unlisten' | 'adjust' }>;

export interface LiveListenersOptions {
  worker: number;
  /** Where descriptors come (handover.ts); absent: sockets are bound here. */
  channel: number | undefined;
  collectors: Pick<BuiltCollectors, 'listen' | 'unlisten' | 'adjust' | 'listening'>;
  clock: Clock;
  log: Logger;
  onChange(said: Listening): void;
}

const RETRY_MS = 1000;

export class LiveListeners {
  private readonly o: LiveListenersOptions;
  private queue: Promise<void> = Promise.resolve();
  /** What is wanted and could not be opened: why, by key. */
  private readonly failed = new Map<string, string>();

  constructor(options: LiveListenersOptions) {
    this.o = options;
  }

  /** One change after the other, in the order in which they come. */
  change(m: Change): void {
    // The descriptors are taken in the order of their messages, whatever is still being opened.
    const listen = m.kind === 'listen' ? this.take(m.listen, m.fds) : undefined;
    this.queue = this.queue.then(async () => {
      if (m.kind === 'adjust') {
        this.o.collectors.adjust(m.listen);
        return;
      }
      if (m.kind === 'listen') await this.open(m.listen.key, listen!);
      else {
        this.failed.delete(m.key);
        await this.o.collectors.unlisten(m.key);
      }
      this.o.onChange(this.said());
    });
  }

  said(): Listening {
    const { worker, collectors } = this.o;
    return { kind: 'listening', worker, listens: collectors.listening(), failed: Object.fromEntries(this.failed) };
  }

  private async open(key: string, listen: Listen | string): Promise<void> {
    const { collectors, clock, log } = this.o;
    const problem = typeof listen === 'string' ? listen : await collectors.listen(listen);
    if (problem === undefined) {
      this.failed.delete(key);
      return;
    }
    if (this.failed.get(key) !== problem) log.error({ listener: key, problem }, 'a listener cannot be opened');
    this.failed.set(key, problem);
    // An inherited descriptor does not get better.
    if (typeof listen === 'string' || listen.spec.fd !== undefined) return;
    clock.setTimeout(() => {
      if (this.failed.has(key)) this.change({ kind: 'listen', listen, fds: 0 });
    }, RETRY_MS);
  }

  private take(listen: Listen, count: number): Listen | string {
    if (count === 0) return listen;
    const native = loadNative();
    const { channel } = this.o;
    if (!native || channel === undefined) return 'there is no channel for descriptors';
    const fds = native.receiveFds(channel);
    if (typeof fds === 'number') return `its descriptors did not come: ${errnoText(fds)} (${errnoName(fds)})`;
    const [fd, keepFd] = fds;
    return { ...listen, spec: { ...listen.spec, fd, keepFd } };
  }
}
