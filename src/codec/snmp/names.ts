/** OID → name, by exact match for notifications and by longest prefix for objects: what is left of the OID is the instance. */
import { type Enum, NOTIFICATIONS, OBJECTS } from './facts.ts';

export interface Named {
  /** `IF-MIB::ifIndex.3`. */
  name: string;
  values: Enum | undefined;
  /** Octets that are no text even where they look like it. */
  hex: boolean;
}

/** Names repeat as OIDs do. Cleared when full: a flood of made-up OIDs costs the look-ups it causes, not memory. */
const CACHE_LIMIT = 8192;
const cache = new Map<string, Named | null>();

/** `IF-MIB::linkDown`, or undefined where the notification is not known. */
export function trapName(oid: string): string | undefined {
  return Object.hasOwn(NOTIFICATIONS, oid) ? NOTIFICATIONS[oid] : undefined;
}

/** What is known of an object instance; undefined where no prefix of the OID is a known object. */
export function objectName(oid: string): Named | undefined {
  let known = cache.get(oid);
  if (known === undefined) {
    if (cache.size >= CACHE_LIMIT) cache.clear();
    known = find(oid) ?? null;
    cache.set(oid, known);
  }
  return known ?? undefined;
}

function find(oid: string): Named | undefined {
  for (let end = oid.length; end > 0; end = oid.lastIndexOf('.', end - 1)) {
    const fact = OBJECTS.get(oid.slice(0, end));
    if (fact) return { name: fact.name + oid.slice(end), values: fact.values, hex: fact.hex === true };
  }
  return undefined;
}

/** The name of an OID that stands as a value: a notification or an object. */
export function oidName(oid: string): string | undefined {
  return trapName(oid) ?? objectName(oid)?.name;
}
