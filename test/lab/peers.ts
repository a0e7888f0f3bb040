/** Where the lab's programs are. They are installed by `npm run lab:install`; tests ask here and never search themselves. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import peers from './peers.json' with { type: 'json' };

export const REPO = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** What is built or fetched once and shared by all checkouts of this machine: `bin/`, `kafka/libs/`. */
export const LAB_CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tidegate-lab');

/** The Node that runs the product: the one of the `node` package, whatever the machine's own is. */
export const NODE = join(REPO, 'node_modules/.bin/node');

export type Peer = keyof typeof peers.commands | keyof typeof peers.go;

const ALL = [...Object.keys(peers.commands), ...Object.keys(peers.go)] as Peer[];

function find(name: string): string | undefined {
  if (name.startsWith('/')) return existsSync(name) ? name : undefined;
  const folders = [join(LAB_CACHE, 'bin'), '/usr/lib/frr', '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return [...folders, ...(process.env.PATH ?? '').split(delimiter)]
    .map((f) => join(f, name))
    .find((f) => existsSync(f));
}

/** The path of a peer's program; throws with the command that installs it. */
export function labBin(name: Peer): string {
  const file = find(name);
  if (!file) throw new Error(`${name} is not installed: run \`npm run lab:install\``);
  return file;
}

/** What of `names` (default: the whole lab) is not on this machine; `root` where we may not make namespaces. */
export function missingPeers(names: readonly Peer[] = ALL): string[] {
  const missing: string[] = names.filter((name) => find(name) === undefined);
  if (process.getuid?.() !== 0) missing.unshift('root');
  return missing;
}

/**
 * May a lab test run here? `describe.skipIf(!labAvailable('vtysh'))`. Where `npm test` installed the lab
 * (TIDEGATE_LAB_REQUIRED) it is always true: a peer that is missing after all fails its test instead of hiding it.
 */
export function labAvailable(...names: Peer[]): boolean {
  if (process.env.TIDEGATE_LAB_REQUIRED === '1') return true;
  return missingPeers(names.length > 0 ? names : ALL).length === 0;
}
