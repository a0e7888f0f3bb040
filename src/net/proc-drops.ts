/** The kernel's drop counter of a UDP socket from /proc, for where there is no add-on to ask the socket itself. */

import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { parseIp } from '../core/ip.ts';

/** Datagrams the kernel dropped on the socket bound to this address and port since it was opened; undefined where nobody can say. */
export function dropsOf(address: string, port: number): number | undefined {
  const bytes = parseIp(address);
  if (!bytes) return undefined;
  try {
    return dropsIn(readFileSync(`/proc/self/net/${bytes.length === 4 ? 'udp' : 'udp6'}`, 'latin1'), bytes, port);
  } catch {
    return undefined;
  }
}

/**
 * proc_net(5): the second column is the local address, in words of the host's order, and port; the tenth the socket's inode, the drops are the
 * last. The table is read in pieces while sockets come and go, so that a line may stand in it twice: a socket counts once.
 */
export function dropsIn(table: string, address: Uint8Array, port: number): number | undefined {
  const words: string[] = [];
  for (let i = 0; i < address.length; i += 4) {
    const word = Buffer.from(address.subarray(i, i + 4));
    words.push((endianness() === 'LE' ? word.reverse() : word).toString('hex'));
  }
  const local = `${words.join('')}:${port.toString(16).padStart(4, '0')}`.toUpperCase();
  const bySocket = new Map<string, number>();
  for (const line of table.split('\n')) {
    const columns = line.trim().split(/\s+/);
    if (columns.length > 11 && columns[1] === local) bySocket.set(columns[9], Number(columns[columns.length - 1]));
  }
  if (bySocket.size === 0) return undefined;
  let drops = 0;
  for (const n of bySocket.values()) drops += n;
  return drops;
}
