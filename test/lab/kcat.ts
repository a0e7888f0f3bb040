/** kcat as a reader that is none of ours: it follows a topic, from inside a namespace where that is where the broker is. */
import { validateRecord } from '../schema.ts';
import type { Namespace } from './netns.ts';
import { labBin } from './peers.ts';
import { Proc } from './proc.ts';
import { type WaitOptions, waitFor } from './wait.ts';

/** An event with the facts of its record. */
export interface Followed {
  topic: string;
  partition: number;
  offset: number;
  key: string;
  headers: Record<string, string>;
  /** The record's value as it stands in the topic. */
  payload: string;
  type: string;
  id: string;
  // biome-ignore lint/suspicious/noExplicitAny: each type has fields of its own, and validateRecord has held them against its schema
  data: any;
}

/** What `kcat -J` prints of a record. */
interface Line {
  topic: string;
  partition: number;
  offset: number;
  headers?: string[];
  key: string;
  payload: string;
}

/** Follows one topic from its beginning. Each record is held against its schema; one that does not fit fails the next look. */
export class Kcat {
  readonly records: Followed[] = [];
  readonly topic: string;
  readonly proc: Proc;
  private readonly errors: string[] = [];

  constructor(brokers: readonly string[], topic: string, ns?: Namespace) {
    this.topic = topic;
    const argv = [
      ...[labBin('kcat'), '-C', '-E', '-q', '-u', '-J', '-b', brokers.join(','), '-t', topic, '-o', 'beginning'],
      ...[
        '-X',
        'fetch.wait.max.ms=50',
        '-X',
        'broker.address.family=any',
        '-X',
        'topic.metadata.refresh.interval.ms=2000',
      ],
    ];
    const options = { onStdout: (line: string) => this.take(line) };
    this.proc = ns ? ns.spawn(argv, options) : new Proc(argv, options);
  }

  private take(line: string): void {
    try {
      const { topic, partition, offset, key, payload, headers: list = [] } = JSON.parse(line) as Line;
      const headers: Record<string, string> = {};
      for (let i = 0; i + 1 < list.length; i += 2) headers[list[i]] = list[i + 1];
      const { type, id, data } = validateRecord(headers, payload);
      this.records.push({ topic, partition, offset, key, headers, payload, type, id, data });
    } catch (e) {
      this.errors.push(`${e instanceof Error ? e.message : String(e)}\n${line.slice(0, 2000)}`);
    }
  }

  /** All that fit so far; throws where one did not fit its schema, or kcat ended. */
  find(fits: (r: Followed) => boolean = () => true): Followed[] {
    this.assertSound();
    return this.records.filter(fits);
  }

  assertSound(): void {
    if (this.errors.length > 0) throw new Error(`${this.errors.length} records of ${this.topic}: ${this.errors[0]}`);
    if (!this.proc.alive) throw new Error(`kcat ended: ${this.proc.tail()}`);
  }

  /** Waits until `count` records fit, and returns all that do. */
  wait(fits: (r: Followed) => boolean, count: number, what: string, options?: WaitOptions): Promise<Followed[]> {
    return waitFor(
      () => {
        const found = this.find(fits);
        if (found.length >= count) return found;
        throw new Error(`${found.length} of ${count}`);
      },
      `${what} in ${this.topic}`,
      options,
    );
  }

  async close(): Promise<void> {
    await this.proc.stop(2000);
  }
}
