/**
 * What a rate limit took away, said in few events: for each source how many, of what, and from when to when. Pure: time is an argument,
 * inputs and effects are plain objects.
 *
 * The first refusal of a source opens its gap. A gap is said every `EVERY_MS` while it goes on, and closed when nothing was refused for
 * that long. Bounded: sources beyond SOURCES and kinds beyond KINDS are counted together under no name; no count is lost.
 */
export type StormInput =
  /** One datagram refused. `what`: its trap OID where that was cheap to see. */
  | { kind: 'refused'; network: string; source: string; code: string; what: string | undefined; wall: number }
  /** The time of the last `wake` has come. */
  | { kind: 'tick'; wall: number }
  /** Say all that is unsaid. */
  | { kind: 'flush'; wall: number };

export interface Gap {
  network: string;
  /** Undefined: sources that were too many to name. */
  source: string | undefined;
  code: string;
  count: number;
  /** Undefined `trap_oid`: not seen, or too many to name. Most frequent first. */
  of: { trap_oid?: string; count: number }[];
  /** UTC milliseconds. */
  from: number;
  to: number;
}

export type StormEffect =
  | { kind: 'gap'; gap: Gap }
  /** Give a `tick` at this time (milliseconds, monotonic). */
  | { kind: 'wake'; at: number };

export const EVERY_MS = 10_000;
const SOURCES = 100;
const KINDS = 16;

interface Open {
  network: string;
  source: string | undefined;
  code: string;
  count: number;
  of: Map<string, number>;
  from: number;
  to: number;
}

export class StormMachine {
  private readonly open = new Map<string, Open>();
  private armed = false;

  handle(now: number, input: StormInput, out: StormEffect[]): void {
    if (input.kind === 'refused') {
      this.refused(input);
      if (!this.armed) {
        this.armed = true;
        out.push({ kind: 'wake', at: now + EVERY_MS });
      }
      return;
    }
    for (const o of this.open.values()) out.push({ kind: 'gap', gap: gapOf(o) });
    const again = input.kind === 'tick' && this.open.size > 0;
    this.open.clear();
    this.armed = again;
    if (again) out.push({ kind: 'wake', at: now + EVERY_MS });
  }

  private refused(i: StormInput & { kind: 'refused' }): void {
    let key = `${i.code}\n${i.network}\n${i.source}`;
    let o = this.open.get(key);
    if (o === undefined) {
      const named = this.open.size < SOURCES;
      if (!named) key = `${i.code}\n${i.network}`;
      o = this.open.get(key);
      if (o === undefined) {
        const source = named ? i.source : undefined;
        o = { network: i.network, source, code: i.code, count: 0, of: new Map(), from: i.wall, to: i.wall };
        this.open.set(key, o);
      }
    }
    o.count++;
    o.to = Math.max(o.to, i.wall);
    const what = i.what !== undefined && (o.of.has(i.what) || o.of.size < KINDS) ? i.what : '';
    o.of.set(what, (o.of.get(what) ?? 0) + 1);
  }
}

function gapOf(o: Open): Gap {
  const of = [...o.of]
    .sort((a, b) => b[1] - a[1])
    .map(([oid, count]) => (oid === '' ? { count } : { trap_oid: oid, count }));
  return { network: o.network, source: o.source, code: o.code, count: o.count, of, from: o.from, to: o.to };
}
