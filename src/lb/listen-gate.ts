/**
 * Holds an address of a VIP back while it is not listened at: packets that came here would meet no socket. Pure: what has to be open where
 * comes from the configuration, what is open from the workers.
 */

/** What a worker says of its listeners. */
export interface Heard {
  listens: ReadonlySet<string>;
  /** Listener → why it is not open. */
  failed: Readonly<Record<string, string>>;
}

export class ListenGate {
  private expected: ReadonlyMap<string, readonly string[]>;
  private readonly heard = new Map<number, Heard>();

  /** Address without a length → listeners. */
  constructor(expected: Readonly<Record<string, readonly string[]>> = {}) {
    this.expected = new Map(Object.entries(expected));
  }

  expect(expected: Readonly<Record<string, readonly string[]>>): void {
    this.expected = new Map(Object.entries(expected));
  }

  said(worker: number, heard: Heard): void {
    this.heard.set(worker, heard);
  }

  /** The worker's channel closed; whoever comes after it speaks for itself. */
  forget(worker: number): void {
    this.heard.delete(worker);
  }

  /** Why nothing may draw packets to this address (`address/length`) yet; undefined: every one of the workers listens there. */
  obstacle(prefix: string, workers: number): string | undefined {
    for (const key of this.expected.get(prefix.split('/')[0]) ?? [])
      for (let w = 0; w < workers; w++) {
        const heard = this.heard.get(w);
        if (heard?.listens.has(key)) continue;
        const why = heard?.failed[key];
        return `nothing listens there yet: worker ${w} has not opened ${key}${why === undefined ? '' : `: ${why}`}`;
      }
    return undefined;
  }
}
