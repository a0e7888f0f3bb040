/** One instance a data_dir. The lock file names its holder by pid and start time, so that a reused pid is not taken for it. */
import { linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';

export interface Holder {
  pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot; '' where there is no /proc. */
  started: string;
}

/** When a process began, in the kernel's own count; undefined where there is no such process (a zombie counts as gone). */
export function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    try {
      process.kill(pid, 0);
      return '';
    } catch {
      return undefined;
    }
  }
}

/** Takes the lock, or returns the live holder. A lock whose holder is gone is taken over, by one of those who try. */
export function takeLock(file: string): { held: Holder } | { release: () => void } {
  for (let attempt = 0; ; attempt++) {
    if (appear(file)) return { release: () => remove(file) };
    const holder = liveHolder(file);
    if (holder) return { held: holder };
    if (attempt >= ATTEMPTS) throw new Error(`the lock ${file} is stale and could not be taken over`);
    // Only who has this second lock removes the stale one: else a slow starter could remove the lock of the one who was faster.
    const guard = `${file}.takeover`;
    if (appear(guard)) {
      try {
        if (isStale(file)) remove(file);
      } finally {
        remove(guard);
      }
    } else if (attempt > DEAD_GUARD_AFTER + (process.pid % 64) && isStale(guard)) remove(guard);
    else pause();
  }
}

const ATTEMPTS = 400;
const PAUSE_MS = 5;
/** A guard is held for a moment. One whose holder is gone was left by a kill in that moment; nobody else is to be in the middle of it. */
const DEAD_GUARD_AFTER = 100;

/** Creates a lock that has its content from the first moment: an empty one would be taken for a stale one. False where there is one. */
function appear(file: string): boolean {
  const own = `${file}.${process.pid}`;
  writeFileSync(own, JSON.stringify({ pid: process.pid, started: startTime(process.pid) ?? '' }), { mode: 0o644 });
  try {
    linkSync(own, file);
    return true;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e;
    return false;
  } finally {
    unlinkSync(own);
  }
}

/** Who holds a lock and lives. What this process is said to hold was left by an earlier one with its id. */
function liveHolder(file: string): Holder | undefined {
  const holder = readHolder(file);
  return holder !== 'none' && holder && lives(holder) ? holder : undefined;
}

function lives(holder: Holder): boolean {
  return startTime(holder.pid) === holder.started && holder.pid !== process.pid;
}

/** True where there is one and its holder is gone: then only who has the guard changes it. */
function isStale(file: string): boolean {
  const holder = readHolder(file);
  return holder === 'none' ? false : holder === undefined || !lives(holder);
}

function remove(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // Somebody removed it first, or all of data_dir: there is nothing left to remove.
  }
}

/** Starting is not asynchronous yet: there is nothing else to do meanwhile. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
}

/** 'none': there is no such file; undefined: it names nobody. */
function readHolder(file: string): Holder | 'none' | undefined {
  try {
    const holder = JSON.parse(readFileSync(file, 'utf8')) as Holder;
    return typeof holder.pid === 'number' ? holder : undefined;
  } catch (e) {
    return (e as NodeJS.ErrnoException).code === 'ENOENT' ? 'none' : undefined;
  }
}
