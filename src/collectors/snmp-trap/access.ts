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
  private readonly byLength = new Map<number, Entry[]>();
  readonly communities: number;

  /** A name that stands twice is accepted from the prefixes of both. */
  constructor(communities: readonly { name: string; from?: readonly string[] }[]) {
    this.communities = communities.length;
    for (const c of communities) {
      const name = Buffer.from(c.name);
      const list = this.byLength.get(name.length) ?? [];
      list.push({ name, from: c.from?.map((p) => parsePrefix(p)!) });
      this.byLength.set(name.length, list);
    }
  }

  /** Why a message is not accepted, or undefined where it is. `source`: 4 or 16 bytes. */
  deny(community: Buffer, source: Buffer): Denial | undefined {
    if (this.communities === 0) return 'no-access-configured';
    let known = false;
    for (const e of this.byLength.get(community.length) ?? []) {
      if (!equal(e.name, community)) continue;
      if (e.from === undefined) return undefined;
      for (const p of e.from) if (prefixContains(p, source)) return undefined;
      known = true;
    }
    return known ? 'source-not-allowed' : 'unknown-community';
  }
}

function equal(a: Buffer, b: Buffer): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
