/** Who may send: communities and the source prefixes they are accepted from. Bytes are compared; nothing is allocated per packet. */
import { Buffer } from 'node:buffer';
import { type Prefix, parsePrefix, prefixContains } from '../../core/ip.ts';

type Denial = 'no-access-configured' | 'unknown-community' | 'source-not-allowed';

interface Entry {
  name: Buffer;
  /** Undefined: any source. */
  from: Prefix[] | undefined;
}

export class Access {
  /** Those of a length. */
  private readonly byLength: (Entry[] | undefined)[] = [];
  readonly communities: number;

  /** A name that stands twice is accepted from the prefixes of both. */
  constructor(communities: readonly { name: string; from?: readonly string[] }[]) {
    this.communities = communities.length;
    for (const c of communities) {
      const name = Buffer.from(c.name);
      const list = this.byLength[name.length] ?? [];
      list.push({ name, from: c.from?.map((p) => parsePrefix(p)!) });
      this.byLength[name.length] = list;
    }
  }

  /** Why a message with the community data[from, to) is not accepted, or undefined where it is. `source`: 4 or 16 bytes. */
  deny(data: Buffer, from: number, to: number, source: Buffer): Denial | undefined {
    if (this.communities === 0) return 'no-access-configured';
    let known = false;
    const list = this.byLength[to - from];
    if (list === undefined) return 'unknown-community';
    for (const e of list) {
      if (!stands(e.name, data, from)) continue;
      if (e.from === undefined) return undefined;
      for (const p of e.from) if (prefixContains(p, source)) return undefined;
      known = true;
    }
    return known ? 'source-not-allowed' : 'unknown-community';
  }
}

function stands(name: Buffer, data: Buffer, at: number): boolean {
  for (let i = 0; i < name.length; i++) if (name[i] !== data[at + i]) return false;
  return true;
}
