/** Which of the cluster's members a node is: the same number on no two of them, as far as the configuration says. */
import { parseEndpoint } from '../core/ip.ts';
import type { ClusterConfig } from './config.ts';

/**
 * The place of this node among all members in order, or undefined where that does not follow from the configuration. `own`: addresses of this host.
 *
 *   all members have names       by name; this node's own is known
 *   an address of it is listed   by address
 *   `listen` is an address       by address, with it: the list names the others
 */
export function placeOf(
  cluster: Pick<ClusterConfig, 'members' | 'listen'> | undefined,
  node: string,
  own: readonly string[],
): number | undefined {
  if (cluster === undefined || cluster.members.length === 0) return undefined;
  const { members, listen } = cluster;
  if (members.every((m) => m.node !== undefined)) return place(members.map((m) => m.node!).concat(node), node);
  const addresses = members.map((m) => m.address);
  const listed =
    members.find((m) => m.address === listen || m.node === node) ??
    members.find((m) => own.includes(parseEndpoint(m.address)?.address ?? ''));
  if (listed !== undefined) return place(addresses, listed.address);
  if (listen === undefined || /^(0\.0\.0\.0|\[::\]):/.test(listen)) return undefined;
  return place([...addresses, listen], listen);
}

function place(all: string[], mine: string): number {
  return [...new Set(all)].sort().indexOf(mine);
}
