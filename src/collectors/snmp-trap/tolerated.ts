/** Engines whose messages strict timeliness would have refused: which, how often, and when last. Bounded: those heard last stay. */
import { Buffer } from 'node:buffer';
import { formatIp } from '../../core/ip.ts';
import { rfc3339Millis } from '../../core/time.ts';
import type { Accepted } from '../../protocol/usm/machine.ts';

/** Engines remembered. */
const ENGINES = 50;

export interface ToleratedEngine {
  engine_id: string;
  /** Of the last message. */
  source: string;
  user: string;
  timeliness: string;
  count: number;
  /** RFC 3339. */
  last: string;
}

interface Entry {
  source: string;
  user: string;
  timeliness: string;
  count: number;
  at: number;
}

export class Tolerated {
  private readonly engines = new Map<string, Entry>();

  /** `source`: latin1 text of 4 or 16 octets. `wallMs`: UTC. */
  note(a: Accepted, source: string, wallMs: number): void {
    const engine = a.engineId.toString('latin1');
    const count = (this.engines.get(engine)?.count ?? 0) + 1;
    this.engines.delete(engine);
    if (this.engines.size >= ENGINES) this.engines.delete(this.engines.keys().next().value!);
    this.engines.set(engine, { source, user: a.user, timeliness: a.tolerated!, count, at: wallMs });
  }

  /** The last one first. */
  list(): ToleratedEngine[] {
    return [...this.engines].reverse().map(([engine, e]) => ({
      engine_id: Buffer.from(engine, 'latin1').toString('hex'),
      source: formatIp(Buffer.from(e.source, 'latin1')),
      user: e.user,
      timeliness: e.timeliness,
      count: e.count,
      last: rfc3339Millis(e.at),
    }));
  }
}
