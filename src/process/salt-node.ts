/** The number by which the salts of this node differ from those of the others. */
import { networkInterfaces } from 'node:os';
import { placeOf } from '../cluster/place.ts';
import type { Config } from '../config/schema.ts';
import { saltNode } from '../protocol/usm/salts.ts';

export function saltNodeOf({ cluster, site, node }: Config): number {
  const own = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map((a) => a.address));
  return saltNode(placeOf(cluster, node, own), site, node);
}
