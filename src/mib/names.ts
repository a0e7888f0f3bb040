/** OID → name, by the longest prefix that the table knows: what is left of the OID is the instance. */
import { arcsOf, instanceText } from './instance.ts';
import type { MibType } from './model.ts';
import type { MibTable } from './table.ts';

/** What is known of an OID that stands as the name of a varbind. */
export interface Named {
  /** `IF-MIB::ifIndex.3`. */
  name: string;
  /** Of an object and its instances; not of what is only below one. */
  type: MibType | undefined;
  /** Its object's node, and the instance as it stands behind it in the OID. */
  node: number;
  instance: string;
}

/** Names repeat as OIDs do. Cleared when full: a flood of made-up OIDs costs the look-ups it causes, not memory. */
const CACHE_LIMIT = 16_384;
/** Longer OIDs are rare; keeping them would let a flood fill much memory. */
const CACHED_LENGTH = 256;

export class Names {
  readonly table: MibTable;
  private readonly objects = new Map<string, Named | null>();
  private readonly traps = new Map<string, string | null>();

  constructor(table: MibTable) {
    this.table = table;
  }

  /** An object's instance; undefined where no part of the OID has a name. */
  object(oid: string): Named | undefined {
    let known = this.objects.get(oid);
    if (known === undefined) {
      known = this.find(oid) ?? null;
      if (oid.length > CACHED_LENGTH) return known ?? undefined;
      if (this.objects.size >= CACHE_LIMIT) this.objects.clear();
      this.objects.set(oid, known);
    }
    return known ?? undefined;
  }

  /** `IF-MIB::linkDown`; undefined where the OID is no notification that is known. */
  trap(oid: string): string | undefined {
    let known = this.traps.get(oid);
    if (known === undefined) {
      const node = this.notification(oid);
      known = node === 0 ? null : this.table.fullName(node);
      if (oid.length > CACHED_LENGTH) return known ?? undefined;
      if (this.traps.size >= CACHE_LIMIT) this.traps.clear();
      this.traps.set(oid, known);
    }
    return known ?? undefined;
  }

  /**
   * The node of a notification, or 0. A v1 trap maps to ENTERPRISE.0.n (RFC 3584 section 3.1), but some modules have their notifications
   * at ENTERPRISE.n, without the zero.
   */
  notification(oid: string): number {
    const node = this.table.exact(oid);
    if (node !== 0 && this.table.kind(node) === 'notification') return node;
    const m = /^(.+)\.0\.(\d+)$/.exec(oid);
    const other = m ? this.table.exact(`${m[1]}.${m[2]}`) : 0;
    return other !== 0 && this.table.kind(other) === 'notification' ? other : 0;
  }

  /** The name of an OID that stands as a value. */
  text(oid: string): string | undefined {
    return this.object(oid)?.name;
  }

  private find(oid: string): Named | undefined {
    const { table } = this;
    const m = table.find(oid);
    if (!m) return undefined;
    const rest = oid.slice(m.rest);
    const name = table.fullName(m.node);
    const kind = table.kind(m.node);
    const arcs = rest === '' ? [] : arcsOf(rest.slice(1));
    // What a newer module has as a column may be unknown here; its index is not.
    if (kind === 'row' && arcs && arcs.length > 1)
      return {
        name: `${name}.${arcs[0]}${instanceText(table, m.node, arcs.slice(1))}`,
        type: undefined,
        node: m.node,
        instance: rest,
      };
    if (kind === 'column' && arcs && rest !== '')
      return {
        name: name + instanceText(table, table.parent(m.node), arcs),
        type: table.type(m.node),
        node: m.node,
        instance: rest,
      };
    return {
      name: name + rest,
      type: kind === 'scalar' || kind === 'column' ? table.type(m.node) : undefined,
      node: m.node,
      instance: rest,
    };
  }
}
