/**
 * Children of an instance that died without them. They sync and end by themselves when their channel closes; until they have, they own their
 * shard, so the next instance waits for them, and ends those that do not go.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import type { Clock } from '../core/clock.ts';
import { startTime } from './lock.ts';

/** Longer than a worker gives its last sync. */
const PATIENCE_MS = 7000;
const POLL_MS = 50;

/** Writes down a child just forked. */
export function noteChild(file: string, pid: number): void {
  appendFileSync(file, `${JSON.stringify({ pid, started: startTime(pid) ?? '' })}\n`);
}

/** Resolves with the pids that had to be killed when none of the children in `file` is left. */
export async function awaitOrphans(file: string, clock: Clock): Promise<number[]> {
  let left = read(file).filter(alive);
  const end = clock.nowMs() + PATIENCE_MS;
  while (left.length > 0 && clock.nowMs() < end) {
    await new Promise<void>((resolve) => {
      clock.setTimeout(resolve, POLL_MS);
    });
    left = left.filter(alive);
  }
  for (const c of left) process.kill(c.pid, 'SIGKILL');
  writeFileSync(file, '');
  return left.map((c) => c.pid);
}

interface Noted {
  pid: number;
  started: string;
}

function alive(c: Noted): boolean {
  return startTime(c.pid) === c.started;
}

function read(file: string): Noted[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    try {
      const c = JSON.parse(line) as Noted;
      return typeof c.pid === 'number' && c.started !== '' ? [c] : [];
    } catch {
      // The last line of a process that died while it wrote.
      return [];
    }
  });
}
