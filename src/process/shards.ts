/** Which directories of the spool are whose: the current generation's, and what is left of older ones. */
import { chooseGeneration } from '../spool/generations.ts';
import type { Identity } from './privileges.ts';

export interface ShardPlan {
  generation: number;
  /** By worker: its shard of the current generation. */
  current: string[];
  /** By worker: shards of older generations it drains. */
  older: string[][];
}

/** Prepares the spool for `workers` workers and hands it to `who`. */
export async function planShards(
  spoolDir: string,
  workers: number,
  who: Identity | undefined,
  chown: (path: string, who: Identity) => void,
): Promise<ShardPlan> {
  const g = await chooseGeneration(spoolDir, workers);
  if (who) chown(spoolDir, who);
  const older: string[][] = Array.from({ length: workers }, () => []);
  // An old shard is drained by one worker; spread them as they come.
  g.older.forEach((shard, i) => {
    older[i % workers].push(shard);
  });
  return { generation: g.number, current: Array.from({ length: workers }, (_, i) => `${g.dir}/${i}`), older };
}
